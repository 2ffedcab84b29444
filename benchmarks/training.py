"""How long a training step waits for its data.

    python benchmarks/training.py [STORE] [--model MODEL] [--steps 300] [--rounds 3]

Without STORE, 64 clips of 17×64×96 are encoded by the demo's model, with first frames, and that
model is trained on them: a LoRA and all weights, with batches of 1 and of 4, in this process, by
one thread, with the real loader, which reads ahead in another. Told is the share of the time in
which a step waits for its batch: over all steps, the first batch among them, and without the first
tenth. The smaller the model, the larger the share: with this one a step takes some 10 ms. The
median of the rounds counts; asked is 2 %.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import torch

import videoprep as vp
from videoprep.demo.scenes import scenes, write_scene
from videoprep.demo.tiny_model import trained_model
from videoprep.training.run import Step

_CLIPS, _FRAMES, _HEIGHT, _WIDTH = 64, 17, 64, 96
_ASKED = 0.02


def build_store(root: Path, model: Path) -> Path:
    """Encodes rendered scenes."""
    names = [f"{number:03}.mp4" for number in range(_CLIPS)]
    for name, scene in zip(names, cycle(scenes())):
        size = {"width": _WIDTH, "height": _HEIGHT, "frames": _FRAMES}
        write_scene(root / "data" / name, replace(scene, **size))
    (root / "data/videos.txt").write_text("".join(f"{name}\n" for name in names))
    (root / "data/prompt.txt").write_text("".join(f"Scene {name}.\n" for name in names))
    vp.encode(
        root / "data", model=model, output=root / "store", image_latents=True, device="cpu",
        progress="none",
    )  # fmt: skip
    return root / "store"


def shares(
    store: Path, model: Path, output: Path, steps: int, *, full: bool, batch: int
) -> tuple[float, float, float]:
    """Share of the waiting in all steps and without the first tenth; seconds a step."""
    told: list[Step] = []
    vp.train(
        store, model=model, output=output, steps=steps, full=full, batch_size=batch, device="cpu",
        overwrite=True, checkpoint_every=0, on_step=told.append,
    )  # fmt: skip
    begin, end = told[steps // 10], told[-1]
    seconds = end.seconds - begin.seconds
    return end.waited / end.seconds, (end.waited - begin.waited) / seconds, seconds / steps


def main() -> None:
    """Trains, and prints a line a case."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("store", type=Path, nargs="?")
    parser.add_argument("--model", type=Path, default=trained_model())
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("weights  batch    all steps  after the first tenth    a step")
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or build_store(Path(folder), given.model)
        for full in (False, True):
            for batch in (1, 4):
                run = Path(folder) / "run"
                rounds = [
                    shares(store, given.model, run, given.steps, full=full, batch=batch)
                    for _ in range(given.rounds)
                ]
                whole, later, seconds = map(statistics.median, zip(*rounds, strict=True))
                kind = "all" if full else "LoRA"
                verdict = "" if whole <= _ASKED else "  more than asked"
                print(
                    f"{kind:7}  {batch:5}  {whole:11.2%}  {later:21.2%}  {seconds * 1e3:5.1f} ms"
                    f"{verdict}"
                )


if __name__ == "__main__":
    main()
