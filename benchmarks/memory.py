"""Host memory of `videoprep encode`: many clips against few, a long video against a short one.

    python benchmarks/memory.py [--many 2000] [--few 100] [--long 20000] [--repeats 1]

Each run is a process of its own with its decode workers; every 20 ms the memory of all of them is
added up from /proc (Linux), and the peak is told, in MiB:
  - PSS: all that is resident, what several processes share counted once;
  - own: of that what no file backs, anonymous and shared memory. Mapped files are left out: their
    share depends on who else has mapped them, such as another program that uses torch, and on what
    the machine has to spare. This is the figure to judge by.
The clips are tiny and so is the model, so that growth with their number would show; no two have the
same contents or caption. Of the long video and of the short one 49 frames are needed, in the middle
and at the end. A ratio from 0.95 to 1.05 is flat.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from videoprep.demo.tiny_model import build_tiny_model

_CLIP = (5, 32, 32)
_NEEDED = 49
# Both begin late, and are decoded by the same library.
_SHORT = 600
_HEIGHT, _WIDTH = 64, 96
_RATE = 25
_INTERVAL = 0.02
_OWN = ("Pss_Anon:", "Pss_Shmem:")


@dataclass
class Peak:
    """The most that was seen at once.

    Attributes:
        pss: KiB resident, shared pages counted once.
        own: KiB of that which no file backs.
        processes: how many there were.
        seconds: how long the run took.
    """

    pss: int = 0
    own: int = 0
    processes: int = 0
    seconds: float = 0.0

    def see(self, pid: int) -> None:
        """Adds up the memory of a process and its descendants as it is now."""
        found = [memory for each in tree(pid) if (memory := memory_of(each))]
        self.pss = max(self.pss, sum(pss for pss, _ in found))
        self.own = max(self.own, sum(own for _, own in found))
        self.processes = max(self.processes, len(found))


def tree(pid: int) -> list[int]:
    """A process and its descendants that are there."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = [pid]
    for parent in found:  # grows on the way
        found += [child for child, its in parents.items() if its == parent]
    return found


def memory_of(pid: int) -> tuple[int, int] | None:
    """KiB that a process has resident, and that it owns; None when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    values = {name: int(value) for name, value, *_ in map(str.split, lines[1:])}
    return values["Pss:"], sum(values[name] for name in _OWN)


def run(arguments: list[str], root: Path) -> Peak:
    """Encodes into a new store and watches."""
    peak, started = Peak(), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=root) as store, (root / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "videoprep", "encode", *arguments, "--output", store]
        command += ["--model", str(root / "model"), "--device", "cpu"]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        while child.poll() is None:
            peak.see(child.pid)
            time.sleep(_INTERVAL)
    peak.seconds = time.perf_counter() - started
    if child.returncode:
        print((root / "log.txt").read_text())
        raise SystemExit(f"videoprep encode ended with {child.returncode}")
    return peak


def make_clips(folder: Path, count: int) -> None:
    """One small video under many names, each with other bytes at its end and another caption."""
    folder.mkdir()
    write_video(folder / "source.mp4", *_CLIP)
    contents = (folder / "source.mp4").read_bytes()
    for number in range(count):
        # A box called free is skipped by every reader; yet the file's contents are its own.
        tail = struct.pack(">I4sQ", 16, b"free", number)
        (folder / f"{number}.mp4").write_bytes(contents + tail)
    lines = range(count)
    (folder / "prompt.txt").write_text("".join(f"Clip {n} of many.\n" for n in lines))
    (folder / "videos.txt").write_text("".join(f"{n}.mp4\n" for n in lines))


def make_table(folder: Path, video: str, frames: int, start: int) -> str:
    """A table that asks for some frames of a video; gives its path."""
    table = folder / f"{Path(video).stem}-{start}.csv"
    table.write_text(
        "video,caption,start_frame,end_frame\n"
        f"{video},Part of {frames} frames.,{start},{start + _NEEDED}\n"
    )
    return str(table)


def write_video(path: Path, frames: int, height: int, width: int) -> None:
    """Writes noise that moves, as H.264."""
    noise = np.random.default_rng(0).integers(0, 256, (height, 2 * width, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for number in range(frames):
            at = number % width
            view = np.ascontiguousarray(noise[:, at : at + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode())


def compare(name: str, base: list[str], others: dict[str, list[str]], root: Path) -> None:
    """Prints the peaks of some runs, and their ratios to that of the first."""
    first = run(base, root)
    tell(name, first)
    for other, arguments in others.items():
        peak = run(arguments, root)
        tell(other, peak, first)


def tell(name: str, peak: Peak, first: Peak | None = None) -> None:
    """Prints a line of the table."""
    line = (
        f"{name:42}{peak.pss / 1024:9.0f}{peak.own / 1024:9.0f}{peak.processes:11}"
        f"{peak.seconds:9.1f}"
    )
    if first:
        line += f"   PSS × {peak.pss / first.pss:.3f}, own × {peak.own / first.own:.3f}"
    print(line, flush=True)


def main() -> None:
    """Makes the datasets and runs both comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--long", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        build_tiny_model(root / "model")
        make_clips(root / "few", chosen.few)
        make_clips(root / "many", chosen.many)
        write_video(root / "short.mp4", _SHORT, _HEIGHT, _WIDTH)
        write_video(root / "long.mp4", chosen.long, _HEIGHT, _WIDTH)
        middle, end = (chosen.long - _NEEDED) // 2, chosen.long - _NEEDED
        print("videoprep encode PATH --output STORE --model TINY --device cpu")
        print(f"{'':42}{'PSS':>9}{'own':>9}{'processes':>11}{'seconds':>9}")
        for _ in range(chosen.repeats):
            compare(
                f"{chosen.few} clips of {'×'.join(map(str, _CLIP))}",
                [str(root / "few")],
                {f"{chosen.many} clips": [str(root / "many")]},
                root,
            )
            compare(
                f"{_NEEDED} of {_SHORT} frames of {_HEIGHT}×{_WIDTH}",
                [make_table(root, "short.mp4", _SHORT, _SHORT - _NEEDED)],
                {
                    f"{_NEEDED} of {chosen.long} frames, from frame {start}": [
                        make_table(root, "long.mp4", chosen.long, start)
                    ]
                    for start in (middle, end)
                },
                root,
            )


if __name__ == "__main__":
    main()
