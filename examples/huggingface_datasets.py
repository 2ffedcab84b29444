"""A store as a `datasets.Dataset`: its rows lie in Arrow, its tensors are read when asked for.

python examples/huggingface_datasets.py latents --caption ball
"""

import argparse
import sys
from hashlib import sha256
from types import SimpleNamespace

import datasets
import numpy as np
import torch
from torch.utils.data import DataLoader

import videoprep as vp

COLUMNS = {"number": "int64", "video": "string", "caption": "string", "split": "string"}
COLUMNS |= {"frames": "int64", "height": "int64", "width": "int64", "fps": "float64"}


def rows_of(data):
    """What is known of each clip, without its tensors."""
    for number in range(len(data)):
        row = {"number": number, **data.row(number)}
        yield {name: row[name] for name in COLUMNS}


def to_rows(data):
    """A `datasets.Dataset` of the rows, which it writes to its cache and maps from there."""
    features = {name: datasets.Value(kind) for name, kind in COLUMNS.items()}
    return datasets.Dataset.from_generator(
        rows_of, features=datasets.Features(features), gen_kwargs={"data": data}
    )


def with_tensors(rows, data):
    """The same with the tensors of the clips; `filter`, `sort` and `select` rows before."""

    def read(batch):
        clips = data.__getitems__(batch["number"])
        return {**batch, **{name: [clip[name] for clip in clips] for name in data.components}}

    return rows.with_transform(read)


def bucketed(rows, data):
    """What `BucketBatchSampler` has to know of rows."""
    numbers = np.array(rows["number"], dtype=np.int64)
    return SimpleNamespace(
        buckets=[data.buckets[number] for number in numbers],
        digest=sha256(data.digest.encode() + numbers.tobytes()).hexdigest(),
        multiplicity=data.multiplicity[numbers],
    )


def main(options):
    data = vp.LatentDataset(options.store)
    rows = to_rows(data)
    chosen = rows.filter(lambda caption: options.caption in caption, input_columns="caption")
    print(f"{len(chosen)} of {len(rows)} clips speak of {options.caption!r}")
    sampler = vp.BucketBatchSampler(bucketed(chosen, data), batch_size=2)
    for batch in DataLoader(with_tensors(chosen, data), batch_sampler=sampler, collate_fn=list):
        latents = torch.stack([clip["video_latents"] for clip in batch])
        captions = " | ".join(clip["caption"] for clip in batch)
        print(f"latents {tuple(latents.shape)} · {captions}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("store", help="what `videoprep encode` made")
    parser.add_argument("--caption", default="", help="only clips whose captions have this in them")
    try:
        main(parser.parse_args())
    except (vp.VideoprepError, OSError) as error:
        sys.exit(f"error: {error}")
