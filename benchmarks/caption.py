"""Captioning: clips a second against a server that answers at once, and what a request costs.

    python benchmarks/caption.py [--clips 200] [--frames 16] [--answer 0.0] [--concurrency 1 8]

The server runs in a process of its own on this machine and answers after so many seconds. Each
clip is asked about once: its frames are decoded, scaled and sent as images, and the answer is
written into a journal of its own for each concurrency. What starting takes is not counted: it is
measured with a tenth of the clips, and what the others take beside that is the rate.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import videoprep as vp
from videoprep.demo.scenes import Scene, write_scene
from videoprep.spec.caption_journal import Answer, CaptionJournal

_REPOSITORY = Path(__file__).parents[1]


def main() -> None:
    """Runs it and prints a line for each concurrency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--answer", type=float, default=0.0)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8])
    chosen = parser.parse_args()
    print(
        f"{len(os.sched_getaffinity(0))} cores; {chosen.clips} clips of 704×480, "
        f"{chosen.frames} frames each, an answer after {chosen.answer:g} s"
    )
    with tempfile.TemporaryDirectory() as name, _server(chosen.answer) as url:
        folder = Path(name)
        _render(folder, chosen.clips)
        for concurrency in chosen.concurrency:
            _measure(folder, url, chosen, concurrency)


def _measure(folder: Path, url: str, chosen: argparse.Namespace, concurrency: int) -> None:
    """Caption all clips, and say how fast."""
    few = max(1, chosen.clips // 10)
    started, _ = _captioned(folder, url, chosen.frames, concurrency, few)
    seconds, answers = _captioned(folder, url, chosen.frames, concurrency, None)
    rate = (chosen.clips - few) / max(1e-9, seconds - started)
    asked = sorted(answers)[len(answers) // 2] - chosen.answer
    print(
        f"concurrency {concurrency}: {rate:.1f} clips/s, {1000 / rate:.1f} ms a clip; "
        f"a request takes {1000 * asked:.1f} ms beside the answer (median)"
    )


def _captioned(
    folder: Path, url: str, frames: int, concurrency: int, limit: int | None
) -> tuple[float, list[float]]:
    """Caption clips; returns how long it took, and how long each request did."""
    journal = folder / f"journal-{concurrency}-{limit}"
    began = time.monotonic()
    result = vp.caption(
        folder,
        endpoint=url,
        frames=frames,
        concurrency=concurrency,
        limit=limit,
        caption_journal=str(journal),
    )
    seconds = time.monotonic() - began
    assert result is not None
    assert result.ok
    records = [placed.record for placed in CaptionJournal(journal).read("caption")]
    return seconds, [one.seconds or 0.0 for one in records if isinstance(one, Answer)]


def _render(folder: Path, count: int) -> None:
    """Write distinct files of one scene, each with bytes of its own behind it."""
    scene = Scene("star", "yellow", "circles slowly in the air", "at sunset", 704, 480, 49)
    write_scene(folder / "scene.mp4", scene)
    data = (folder / "scene.mp4").read_bytes()
    (folder / "scene.mp4").unlink()
    for number in range(count):
        padding = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        (folder / f"{number:05d}.mp4").write_bytes(data + padding)


@contextmanager
def _server(seconds: float) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.support.scripted_server", "--seconds", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_REPOSITORY) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
