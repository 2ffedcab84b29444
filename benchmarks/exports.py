"""Exports read by the trainers' own code, and compared with the store.

    python benchmarks/exports.py STORE [--cogvideox-factory CHECKOUT] [--finetrainers CHECKOUT]
        [--site SITE]

A CHECKOUT is one of the trainer's repository; SITE a folder with packages that the trainers need
and this environment lacks (`pip install --target SITE --no-deps decord`). Nothing of the trainers
is changed but where they load to: finetrainers' reader maps tensors to the GPU of its rank, here to
the CPU.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
import tempfile
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import videoprep as vp


def load_module(name: str, path: Path) -> ModuleType:
    """A module of a checkout, by its file."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cogvideox_factory(checkout: Path, store: Path, out: Path) -> int:
    """Reads with `VideoDataset(load_tensors=True)`; gives how many clips were equal."""
    path = next(
        path
        for path in (checkout / "training/cogvideox/dataset.py", checkout / "training/dataset.py")
        if path.is_file()
    )
    module = load_module("cogvideox_factory_dataset", path)
    vp.export(store, to="cogvideox-factory", output=out)
    data = vp.LatentDataset(store)
    kinds = list(data.buckets.kinds)
    theirs = module.VideoDataset(
        data_root=str(out),
        caption_column="prompts.txt",
        video_column="videos.txt",
        max_num_frames=max(kind.frames for kind in kinds),
        height_buckets=sorted({kind.height for kind in kinds}),
        width_buckets=sorted({kind.width for kind in kinds}),
        frame_buckets=sorted({kind.frames for kind in kinds}),
        load_tensors=True,
        image_to_video="image_latents" in data.components,
    )
    require(len(theirs) == len(data), "as many clips")
    for item, their in zip(data, (theirs[n] for n in range(len(theirs))), strict=True):
        require(torch.equal(their["video"], item["video_latents"]), "video latents")
        require(torch.equal(their["prompt"], item["prompt_embeds"]), "prompt embeddings")
        if "image_latents" in data.components:
            require(torch.equal(their["image"], item["image_latents"]), "image latents")
        sides = their["video_metadata"]
        row = item["metadata"]
        found = (sides["num_frames"], sides["height"], sides["width"])
        require(found == (row["frames"], row["height"], row["width"]), "sizes")
    return len(data)


def finetrainers(checkout: Path, store: Path, out: Path) -> int:
    """Reads with `PrecomputedOnceDataIterable`; gives how many clips were equal."""
    for name in ("finetrainers", "finetrainers.logging", "finetrainers.utils"):
        sys.modules[name] = ModuleType(name)  # whose imports need much that reading does not
    sys.modules["finetrainers.logging"].get_logger = lambda: None  # type: ignore[attr-defined]
    sys.modules["finetrainers.utils"].delete_files = None  # type: ignore[attr-defined]
    module = load_module("precomputation", checkout / "finetrainers/data/precomputation.py")
    vp.export(store, to="finetrainers", output=out)
    data = vp.LatentDataset(store)
    folder = out / module.PRECOMPUTED_DATA_DIR
    load = torch.load
    torch.load = functools.partial(_to_cpu, load)
    try:
        latents, conditions = (
            list(islice(iter(module.PrecomputedOnceDataIterable(0, 1, folder, kind)), len(data)))
            for kind in ("latent", "condition")
        )
    finally:
        torch.load = load
    for item, latent, condition in zip(data, latents, conditions, strict=True):
        moments = item["video_latents"][None]
        if data.info.family == "cogvideox":
            moments = moments.transpose(1, 2)
        require(torch.equal(latent["latents"], moments), "latents")
        embeds = condition["encoder_hidden_states"][0, : len(item["prompt_embeds"])]
        require(torch.equal(embeds, item["prompt_embeds"]), "prompt embeddings")
    return len(data)


def _to_cpu(load: Any, *arguments: Any, **options: Any) -> Any:
    return load(*arguments, **{**options, "map_location": "cpu"})


def require(holds: bool, what: str) -> None:
    """Ends where the trainer reads something else than was stored."""
    if not holds:
        raise SystemExit(f"not equal: {what}")


def main() -> None:
    """Exports to each target whose checkout is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--cogvideox-factory", type=Path)
    parser.add_argument("--finetrainers", type=Path)
    parser.add_argument("--site", type=Path)
    chosen = parser.parse_args()
    if chosen.site:
        sys.path.append(str(chosen.site))
    readers = {
        "cogvideox-factory": (cogvideox_factory, chosen.cogvideox_factory),
        "finetrainers": (finetrainers, chosen.finetrainers),
    }
    with tempfile.TemporaryDirectory() as root:
        for name, (read, checkout) in readers.items():
            if checkout is not None:
                clips = read(checkout, chosen.store, Path(root) / name)
                print(f"{name}: {clips} clips read by its own reader, equal to the store's")


if __name__ == "__main__":
    main()
