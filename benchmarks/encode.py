"""Encoding, whole, against the bare model forwards on the same batches and threads.

    python benchmarks/encode.py [DATASET] [--max-num-frames N] [--repeats N]

DATASET is by default the real clips beside the checkout, center-cropped. Prints the ratio of
`videoprep.encode` (planning, loading the models, decode, crop, encode, commit, catalogue; libraries
imported before) to the VAE and text encoder forwards alone, both in this run on this CPU: once with
one clip at a time and one thread for both, and once as `encode` does it by default, two clips side
by side. 1.00 would mean that everything else is free.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

import videoprep as vp
from videoprep.demo.tiny_model import build_tiny_model
from videoprep.families.cogvideox import FAMILY
from videoprep.families.model_folder import ModelFolder
from videoprep.media.clip import load_clip, normalize

REAL_CLIPS = Path(__file__).parents[2] / "shared/data/real-clips"


def forwards(index: vp.BucketIndex, model: Path) -> float:
    """Seconds of the forwards alone; each clip's pixels are decoded before its clock runs."""
    folder, cpu = ModelFolder(model, "tiny"), torch.device("cpu")
    text = FAMILY.load_text_encoder(folder, "text_encoder", cpu, torch.float32, eight_bit=False)
    video = FAMILY.load_video_encoder(folder, cpu, torch.float32, tiling=False)
    seconds = 0.0
    for clip in index.clips():
        first = replace(clip.pixels, frames=clip.pixels.frames.select([0]))
        batches = [
            normalize(load_clip(pixels)).permute(1, 0, 2, 3)[None]
            for pixels in (clip.pixels, first)
        ]
        started = time.perf_counter()
        text.encode([clip.caption])
        for batch in batches:
            video.encode(batch)
        seconds += time.perf_counter() - started
    return seconds


def whole(
    index: vp.BucketIndex, model: Path, store: Path, at_once: int | None = None
) -> vp.EncodeResult:
    """One encode run into an empty store."""
    return vp.encode(
        index,
        model=model,
        output=store,
        image_latents=True,
        device="cpu",
        batch_size=at_once,
        progress="none",
    )


def main() -> None:
    """Measures and prints the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset", nargs="?", type=Path, default=REAL_CLIPS)
    parser.add_argument("--max-num-frames", type=int, default=49)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # encode keeps its hands off the threads then
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = build_tiny_model(root / "model")
        index = vp.BucketIndex.build(
            options.dataset,
            reshape="center-crop",
            profile="cogvideox",
            max_num_frames=options.max_num_frames,
        )
        whole(
            index.filter(clip=0).filter(sample=index.table["sample"][0].as_py()), model, root / "0"
        )
        print(
            f"{len(index)} clips, CPU, one thread: " + ", ".join(map(str, index.buckets.counts()))
        )
        for attempt in range(1, options.repeats + 1):
            bare = forwards(index, model)
            for at_once in (1, None):
                store = root / f"{attempt}-{at_once}"
                started = time.perf_counter()
                timings = whole(index, model, store, at_once).timings
                took = time.perf_counter() - started
                print(
                    f"{'one clip at a time' if at_once else 'by default'}: videoprep.encode "
                    f"{took:.1f} s / bare forwards {bare:.1f} s = {took / bare:.3f} (asked: 1.10) "
                    f"· busy {timings.busy:.1f} s, waiting: decode "
                    f"{timings.waiting_for_decode:.1f} s, write {timings.waiting_for_write:.1f} s"
                )


if __name__ == "__main__":
    main()
