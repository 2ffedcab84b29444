"""Random reads of `LatentDataset` against the ancestor's files and against a plain memory copy.

    python benchmarks/reading.py [STORE] [--clips 200] [--rounds 15]

Without STORE one is encoded, by models that are tiny but for their output: a clip has 4.4 MB of
video latents, 0.3 MB of image latents and 1.9 MB of prompt embeddings, as bfloat16 of 49×480×720
has. In each round all clips are read in one random order by three ways in turn, and every byte is
copied to the same preallocated tensors:
  - `data[i]`, metadata and all;
  - as the ancestor reads: `torch.load(weights_only=True)` of a file per clip and component;
  - a copy out of one resident buffer that holds all clips: what the machine's memory gives.
All is warm, in the page cache; one thread. Asked are 3 times the ancestor and 70 % of the copy. How
many times the ancestor the bare copy is, is told too: no reader can do better. Each way goes over
all clips twice and the second time counts, since the others' passes leave their own data in the
processor's caches and tables. The median of the rounds decides; the first pass after opening, in
which a memory map meets its pages, is told apart.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

import videoprep as vp
from videoprep.demo.scenes import Scene, write_scene
from videoprep.demo.tiny_model import build_tiny_model

Tensors = Mapping[str, torch.Tensor]

_FRAMES, _HEIGHT, _WIDTH = 49, 32, 32
# 2 × 2650 channels at 13×4×4 places, float32: 4.4 MB; 0.3 MB for the first frame.
_LATENT_CHANNELS = 2650
# 226 tokens of this width, float32: 1.9 MB.
_TEXT_WIDTH = 2048


def build_model(folder: Path) -> Path:
    """The tiny model, but what it gives is as large as what a real one does."""
    from diffusers import AutoencoderKLCogVideoX
    from transformers import T5Config, T5EncoderModel

    build_tiny_model(folder)
    config = AutoencoderKLCogVideoX.load_config(folder / "vae")
    config["latent_channels"] = _LATENT_CHANNELS
    AutoencoderKLCogVideoX.from_config(config).save_pretrained(folder / "vae")
    text = T5Config.from_pretrained(folder / "text_encoder")
    text.d_model = _TEXT_WIDTH
    T5EncoderModel(text).save_pretrained(folder / "text_encoder")
    return folder


def build_store(root: Path, clips: int) -> Path:
    """Encodes clips that differ in their captions and in bytes that no decoder looks at."""
    scene = Scene("ball", "red", "bounces up and down", "at noon", _WIDTH, _HEIGHT, _FRAMES)
    write_scene(root / "data/source.mp4", scene)
    contents = (root / "data/source.mp4").read_bytes()
    for number in range(clips):
        box = struct.pack(">I4sQ", 16, b"free", number)
        (root / f"data/{number}.mp4").write_bytes(contents + box)
    (root / "data/prompt.txt").write_text("".join(f"Clip {n} of many.\n" for n in range(clips)))
    (root / "data/videos.txt").write_text("".join(f"{n}.mp4\n" for n in range(clips)))
    model = build_model(root / "model")
    vp.encode(root / "data", model=model, output=root / "store", image_latents=True, device="cpu")
    return root / "store"


class Readers:
    """The three ways to read, and the tensors that all copy to.

    Args:
        store: the store to read.
        folder: where the ancestor's files are written.
        clips: how many at most.
    """

    def __init__(self, store: Path, folder: Path, clips: int) -> None:
        self._data = vp.LatentDataset(store)
        self._folder = folder
        self.clips = min(clips, len(self._data))
        self.components = self._data.components
        items = [self._stored(index) for index in range(self.clips)]
        self.bytes = sum(tensor.nbytes for item in items for tensor in item.values())
        self._resident = self._gather(items)
        self._target = {
            name: torch.zeros(max(item[name].nbytes for item in items), dtype=torch.uint8)
            for name in self.components
        }
        for name in self.components:
            (folder / name).mkdir()
            for index, item in enumerate(items):
                torch.save(item[name].clone(), folder / name / f"{index}.pt")
        self._data = vp.LatentDataset(store)  # nothing of it is mapped yet

    def ours(self, index: int) -> None:
        """Reads a clip from the store."""
        self._keep(self._stored(index))

    def ancestor(self, index: int) -> None:
        """Reads a clip from files of its own."""
        files = {name: self._folder / name / f"{index}.pt" for name in self.components}
        self._keep(
            {
                name: torch.load(path, map_location="cpu", weights_only=True)
                for name, path in files.items()
            }
        )

    def copy(self, index: int) -> None:
        """Reads a clip from memory."""
        self._keep(self._resident[index])

    def _stored(self, index: int) -> Tensors:
        item = self._data[index]
        return {name: item[name] for name in self.components}

    def _keep(self, item: Tensors) -> None:
        """Copies every byte."""
        for name, tensor in item.items():
            flat = tensor.reshape(-1).view(torch.uint8)
            self._target[name][: flat.numel()].copy_(flat)

    def _gather(self, items: list[Tensors]) -> list[Tensors]:
        """Views of the same tensors in one buffer."""
        buffer = torch.empty(self.bytes, dtype=torch.uint8)
        views, start = [], 0
        for item in items:
            view = {}
            for name, tensor in item.items():
                view[name] = buffer[start : start + tensor.nbytes]
                view[name].copy_(tensor.reshape(-1).view(torch.uint8))
                start += tensor.nbytes
            views.append(view)
        return views


def seconds(read: Callable[[int], None], order: list[int]) -> float:
    """How long it takes to read clips in an order."""
    started = time.perf_counter()
    for index in order:
        read(index)
    return time.perf_counter() - started


def measure(readers: Readers, rounds: int) -> None:
    """Reads all and prints rates and ratios."""
    generator = torch.Generator().manual_seed(0)
    ways = {
        "LatentDataset": readers.ours,
        "torch.load": readers.ancestor,
        "memory copy": readers.copy,
    }
    size = readers.bytes / 1e6
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        order = torch.randperm(readers.clips, generator=generator).tolist()
        for name, read in ways.items():
            if number:  # the very first pass is told apart
                seconds(read, order)
            taken[name].append(seconds(read, order))
    print(f"{readers.clips} clips, {size:.0f} MB, {' + '.join(readers.components)}")
    for name, (first, *others) in taken.items():
        median = statistics.median(others)
        print(
            f"{name:14} {size / median:8.0f} MB/s {readers.clips / median:8.0f} clips/s; "
            f"first pass {size / first:.0f} MB/s"
        )
    ours, ancestor, copy = (taken[name] for name in ways)
    tell("LatentDataset is", ancestor, ours, "times torch.load (asked: 3)")
    tell("LatentDataset is", copy, ours, "of the copy (asked: 0.70)")
    tell("the bare copy is", ancestor, copy, "times torch.load")


def tell(name: str, others: list[float], its: list[float], of: str) -> None:
    """Prints the ratios of rates."""
    first, *ratios = (other / own for other, own in zip(others, its, strict=True))
    print(
        f"{name} {statistics.median(ratios):.2f} {of}; in each round {min(ratios):.2f} to "
        f"{max(ratios):.2f}, of the best passes {min(others) / min(its):.2f}, of the first "
        f"{first:.2f}"
    )


def main() -> None:
    """Builds what is missing and measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        store = chosen.store or build_store(root, chosen.clips)
        (root / "files").mkdir()
        torch.set_num_threads(1)
        measure(Readers(store, root / "files", chosen.clips), chosen.rounds)


if __name__ == "__main__":
    main()
