"""Host memory of `videoprep export`: many clips against few, for each target that takes CogVideoX.

    python benchmarks/export_memory.py [--many 10000] [--few 500]

The store is imported from random latents, no two alike; each export is a process of its own, whose
memory is watched as in memory.py ("own": what no file backs). A ratio near 1 is flat; what grows
with the clips is the catalogue's rows, a few hundred bytes each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from memory import Peak

import videoprep as vp
from videoprep.demo.tiny_model import build_tiny_model
from videoprep.exporters.registry import exporters

_LATENTS, _TOKENS = (32, 3, 8, 12), 226
_INTERVAL = 0.02


def make_store(root: Path, clips: int, features: int) -> Path:
    """A store of so many clips in two buckets."""
    folder, generator = root / f"folder-{clips}", torch.Generator().manual_seed(0)
    for kind in ("video_latents", "prompt_embeds"):
        (folder / kind).mkdir(parents=True)
    for number in range(clips):
        frames = _LATENTS[1] + 2 * (number % 2)
        shape = (_LATENTS[0], frames, *_LATENTS[2:])
        torch.save(torch.randn(shape, generator=generator), folder / f"video_latents/{number}.pt")
        embeds = torch.randn(_TOKENS, features, generator=generator)
        torch.save(embeds, folder / f"prompt_embeds/{number}.pt")
    lines = range(clips)
    (folder / "prompts.txt").write_text("".join(f"Clip {n} of many.\n" for n in lines))
    (folder / "videos.txt").write_text("".join(f"videos/{n}.mp4\n" for n in lines))
    store = root / f"store-{clips}"
    result = vp.import_precomputed(
        folder, source="cogvideox-factory", model=root / "model", output=store
    )
    if result.clips != clips:
        raise SystemExit(f"{result.clips} of {clips} clips were imported")
    return store


def export(store: Path, target: str, root: Path) -> tuple[Peak, float]:
    """Exports in a process of its own, and watches it; gives seconds, too."""
    peak, started = Peak(), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=root) as out, (root / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "videoprep", "export", str(store), "--to", target]
        child = subprocess.Popen([*command, "-o", f"{out}/export"], stdout=log, stderr=log)
        while child.poll() is None:
            peak.see(child.pid)
            time.sleep(_INTERVAL)
        seconds = time.perf_counter() - started
    if child.returncode:
        raise SystemExit((root / "log.txt").read_text())
    return peak, seconds


def main() -> None:
    """Prints a line a target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=500)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        build_tiny_model(root / "model")
        features = 32
        few, many = (make_store(root, count, features) for count in (chosen.few, chosen.many))
        for target, exporter in exporters().items():
            if exporter.families and "cogvideox" not in exporter.families:
                continue
            (small, _), (large, seconds) = export(few, target, root), export(many, target, root)
            print(
                f"{target}: {small.own / 1024:.0f} MiB of {chosen.few:,} clips, "
                f"{large.own / 1024:.0f} MiB of {chosen.many:,}: {large.own / small.own:.3f} "
                f"({chosen.many / seconds:.0f} clips/s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
