"""`videoprep encode` against the ancestor's prepare_dataset.py: the same clips, model and buckets.

    pip install --target SITE --no-deps decord
    python benchmarks/against_ancestor.py CHECKOUT --site SITE [--clips 40] [--repeats 3]
        [--cases WORD ...] [--all]

CHECKOUT is one of github.com/a-r-r-o-w/cogvideox-factory; SITE a folder with the packages that it
needs and this environment lacks. Both programs run on the CPU from the command line, in turn, each
in a process of its own from start to end; what they wrote is counted. Ratios are the ancestor's
time by that of videoprep: above 1 videoprep is faster. Wall time decides; processor time stands
beside it, since other work on the machine disturbs it less. Files are in the page cache; what
videoprep remembers of files is deleted before each run. --cases takes only the cases whose names
have all the words; --all takes every combination.

The ancestor's files run as they are, but it takes CUDA and NCCL for granted. A launcher in a
temporary folder changes three things before it runs the script, and nothing of its work:
  - Tensor.to and Module.to take a device that begins with "cuda" as "cpu";
  - torch.cuda.set_device does nothing;
  - init_process_group is given gloo for nccl.
Where imageio is missing, diffusers lets OpenCV write the ancestor's videos: that is no slower
(measured), so it is fair to leave it out. The ancestor always encodes its videos anew; that is part
of its work.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np

import videoprep as vp
from videoprep.demo.tiny_model import build_tiny_model

_LAUNCHER = '''
"""Runs a script that takes CUDA and NCCL for granted on the CPU: launcher.py SCRIPT ARGUMENTS."""
import os, runpy, sys
import torch

def on_cpu(value):
    return "cpu" if isinstance(value, str) and value.startswith("cuda") else value

def moving(original):
    def to(self, *args, **kwargs):
        kwargs = {name: on_cpu(value) for name, value in kwargs.items()}
        return original(self, *map(on_cpu, args), **kwargs)
    return to

torch.Tensor.to = moving(torch.Tensor.to)
torch.nn.Module.to = moving(torch.nn.Module.to)
torch.cuda.set_device = lambda device: None
init = torch.distributed.init_process_group
torch.distributed.init_process_group = lambda backend=None, **kwargs: init("gloo", **kwargs)

sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
'''
_PLACES = ("training/cogvideox/prepare_dataset.py", "training/prepare_dataset.py")
_TRIES = 3
_SECONDS = 900
_FPS = 24

_BUCKETS = {"small": (17, 64, 96), "large": (49, 160, 256)}
# Frames, height and width of the files that have to be fitted, in turn.
_LARGER = {
    "small": ((24, 240, 320), (20, 216, 384), (17, 320, 240)),
    "large": ((60, 360, 640), (49, 480, 480), (73, 480, 640)),
}
_LARGE_SHARE = 10


@dataclass(frozen=True)
class Case:
    """What is encoded, and by how many processes.

    Attributes:
        size: a key of `_BUCKETS`.
        fitted: the clips are larger than the bucket, scaled and cropped at the centre.
        image_latents: first frames are encoded too.
        processes: how many torchrun starts; 1: without torchrun.
    """

    size: str
    fitted: bool
    image_latents: bool
    processes: int

    @property
    def name(self) -> str:
        """The case in words."""
        words = (
            self.size,
            "fitted" if self.fitted else "exact",
            "image" if self.image_latents else "no-image",
            f"{self.processes}-process",
        )
        return " ".join(words)


_CASES = (
    Case("small", False, False, 1),
    Case("small", True, True, 1),
    Case("small", True, True, 2),
    Case("large", False, False, 1),
    Case("large", True, True, 2),
)
_ALL = tuple(
    Case(*each) for each in product(("small", "large"), (False, True), (False, True), (1, 2))
)


@dataclass
class Bench:
    """Where everything is.

    Attributes:
        script: the ancestor's.
        site: packages for the ancestor alone; None: it needs none.
        root: the temporary folder.
        clips: of the small size.
    """

    script: Path
    site: Path | None
    root: Path
    clips: int

    def count(self, case: Case) -> int:
        """Clips of a case: few of the large ones, at least one a process."""
        return self.clips if case.size == "small" else max(2, self.clips // _LARGE_SHARE)

    def data(self, case: Case) -> Path:
        """The dataset of a case, made when first asked for."""
        folder = self.root / f"{case.size}-{'fitted' if case.fitted else 'exact'}"
        if not folder.exists():
            shapes = _LARGER[case.size] if case.fitted else (_BUCKETS[case.size],)
            make_dataset(folder, shapes, self.count(case))
        return folder

    def ancestor(self, case: Case) -> tuple[float, float, str]:
        """Wall and processor seconds of a run, and what was wrong with it.

        Raises:
            RuntimeError: every try failed.
        """
        frames, height, width = _BUCKETS[case.size]
        output = self.root / "ancestor"
        command = [
            str(self.root / "launcher.py"),
            str(self.script),
            "--save_latents_and_embeddings",
        ]
        command += ["--model_id", str(self.root / "model"), "--data_root", str(self.data(case))]
        command += ["--caption_column", "prompt.txt", "--video_column", "videos.txt"]
        command += ["--height_buckets", str(height), "--width_buckets", str(width)]
        command += ["--frame_buckets", str(frames), "--max_num_frames", str(frames)]
        command += ["--output_dir", str(output)]
        command += ["--save_image_latents"] if case.image_latents else []
        command += ["--video_reshape_mode", "center"] if case.fitted else []
        failures = []
        for _ in range(_TRIES):
            shutil.rmtree(output, ignore_errors=True)
            wall, processor, error = timed(command, case.processes, self.site)
            kept = len(list(output.glob("video_latents/*.pt")))
            if not error and kept == self.count(case):
                return wall, processor, "; ".join(failures)
            failures.append(error or f"the ancestor lost {self.count(case) - kept} clips")
        raise RuntimeError("; ".join(failures))

    def ours(self, case: Case) -> tuple[float, float]:
        """Wall and processor seconds of a run.

        Raises:
            RuntimeError: it failed, or the store is not whole.
        """
        data, store = self.data(case), self.root / "store"
        for folder in (store, data / ".videoprep"):
            shutil.rmtree(folder, ignore_errors=True)
        command = ["-m", "videoprep", "encode", str(data), "--output", str(store)]
        command += ["--model", str(self.root / "model"), "--device", "cpu", "--dtype", "fp32"]
        command += ["--image-latents"] if case.image_latents else []
        if case.fitted:
            bucket = "x".join(map(str, _BUCKETS[case.size]))
            command += ["--reshape", "center-crop", "--buckets", bucket]
        wall, processor, error = timed(command, case.processes, None)
        if error:
            raise RuntimeError(error)
        latents = vp.LatentDataset(store)
        if len(latents) != self.count(case) or len(latents.components) != 2 + case.image_latents:
            raise RuntimeError(f"the store has {len(latents)} clips with {latents.components}")
        return wall, processor


def make_dataset(folder: Path, shapes: tuple[tuple[int, int, int], ...], count: int) -> None:
    """Writes videos of ``(frames, height, width)`` in turn, each with a pattern of its own."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        frames, height, width = shapes[number % len(shapes)]
        noise = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
        picture = cv2.resize(noise, (width + 2 * frames, height + frames))
        with av.open(str(folder / f"{number}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=_FPS)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for at in range(frames):  # the camera moves over the pattern
                view = np.ascontiguousarray(picture[at : at + height, 2 * at : 2 * at + width])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
            container.mux(stream.encode())
    lines = range(count)
    (folder / "prompt.txt").write_text("".join(f"Pattern {n} moves slowly.\n" for n in lines))
    (folder / "videos.txt").write_text("".join(f"{n}.mp4\n" for n in lines))


def timed(command: list[str], processes: int, site: Path | None) -> tuple[float, float, str]:
    """Runs Python with a command line; gives wall and processor seconds, and the error if any."""
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone"]
        launch += [f"--nproc-per-node={processes}"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    if site:
        paths = (str(site), environment.get("PYTHONPATH", ""))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    before, started = processor_seconds(), time.perf_counter()
    try:
        done = subprocess.run(
            launch + command, env=environment, capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return _SECONDS, processor_seconds() - before, f"still running after {_SECONDS} s"
    wall, processor = time.perf_counter() - started, processor_seconds() - before
    if done.returncode == 0:
        return wall, processor, ""
    return wall, processor, f"exit code {done.returncode}: {cause(done.stderr)}"


def cause(stderr: str) -> str:
    """The line that names the first error, without torchrun's report; else the last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = (
        line for line in lines if re.match(r"(\[rank\d+\]: )?[\w.]*(Error|Exception)\b", line)
    )
    return next(errors, lines[-1] if lines else "nothing said")


def processor_seconds() -> float:
    """What ended child processes and theirs have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(bench: Bench, case: Case, repeats: int) -> float:
    """Prints the ratios of a case, and gives their median."""
    bench.data(case)
    walls, processors, remarks = [], [], []
    for repeat in range(repeats):
        if repeat % 2:
            ours = bench.ours(case)
        try:
            *ancestor, remark = bench.ancestor(case)
        except RuntimeError as error:
            print(f"{case.name:34} the ancestor does not finish, {_TRIES} times: {error}")
            return math.inf
        if not repeat % 2:
            ours = bench.ours(case)
        walls.append(ancestor[0] / ours[0])
        processors.append(ancestor[1] / ours[1])
        remarks += [remark] if remark else []
    frames, height, width = _BUCKETS[case.size]
    print(
        f"{case.name:34} {bench.count(case):3} clips {frames}×{height}×{width}: "
        f"{statistics.median(walls):.2f} ({', '.join(f'{ratio:.2f}' for ratio in walls)}); "
        f"processor {statistics.median(processors):.2f}; last run {ancestor[0]:.1f} s "
        f"against {ours[0]:.1f} s{''.join(f'; ancestor run again: {each}' for each in remarks)}",
        flush=True,
    )
    return statistics.median(walls)


def find_script(checkout: Path) -> Path:
    """The ancestor's script in a checkout of any version."""
    for place in _PLACES:
        if (checkout / place).is_file():
            return (checkout / place).resolve()
    raise SystemExit(f"{checkout} has none of {', '.join(_PLACES)}")


def main() -> None:
    """Runs the cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--site", type=Path, help="packages that only the ancestor needs")
    parser.add_argument("--clips", type=int, default=40, help="of the small size")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=[], help="words of their names")
    parser.add_argument("--all", action="store_true", help="all sixteen cases")
    chosen = parser.parse_args()
    words = set(chosen.cases)
    cases = [case for case in (_ALL if chosen.all else _CASES) if words <= {*case.name.split()}]
    if not cases:
        raise SystemExit(f"no case is called {' '.join(chosen.cases)}")
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(find_script(chosen.checkout), chosen.site, Path(name), chosen.clips)
        (bench.root / "launcher.py").write_text(_LAUNCHER)
        build_tiny_model(bench.root / "model")
        print("ancestor / videoprep, wall time of whole processes on the CPU: median (each pair)")
        print("shimmed for the ancestor: to('cuda…') → cpu; torch.cuda.set_device; nccl → gloo")
        warm_up = Bench(bench.script, bench.site, bench.root / "warm-up", 4)
        warm_up.root.mkdir()
        for shared in ("launcher.py", "model"):
            (warm_up.root / shared).symlink_to(bench.root / shared)
        warm_up.ancestor(_CASES[0])
        warm_up.ours(_CASES[0])
        medians = [compare(bench, case, chosen.repeats) for case in cases]
    slower = [case.name for case, ratio in zip(cases, medians, strict=True) if ratio <= 1]
    print(f"median of the cases {statistics.median(medians):.2f}, least {min(medians):.2f}")
    print(f"not faster: {'; '.join(slower)}" if slower else "videoprep is faster in every case")


if __name__ == "__main__":
    main()
