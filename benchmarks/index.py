"""Looking into cold files against decoding them whole, which is what the ancestor does.

    python benchmarks/index.py [VIDEO ...]

Clips of 49×480×704 and of 300×1080×1920 are rendered and measured, and the videos that are named.
One process, one thread; nothing is known of the files, but both find them in memory. Processor time
is measured: where others use the machine too, what takes long would be slowed down the more.

To learn a video's size the ancestor decodes it, makes at most 49 of its frames a float tensor, and
throws that away. Beside it stands mere decoding, of which nothing is made.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from videoprep.media.probe import probe

_SOURCES = ("testsrc2", "mandelbrot")
_RATE = 25
_ANCESTORS_FRAMES = 49
_PROBES_A_RUN = 10


def main() -> None:
    """Runs all of them and prints a line for each file."""
    with tempfile.TemporaryDirectory() as name:
        short_clips(Path(name))
        long_clips(Path(name))
    for argument in sys.argv[1:]:
        compare(Path(argument), runs=5)


def short_clips(folder: Path) -> None:
    """Clips of 49×480×704; 50 times as fast is the aim."""
    for source in _SOURCES:
        compare(render(folder / f"{source}-480p.mp4", source, 704, 480, 49), runs=15)


def long_clips(folder: Path) -> None:
    """Clips of 300×1080×1920; 200 times as fast is the aim."""
    for source in _SOURCES:
        compare(render(folder / f"{source}-1080p.mp4", source, 1920, 1080, 300), runs=3)


def compare(path: Path, runs: int) -> None:
    """Prints medians and their ratios."""
    path.read_bytes()
    probing, converting, decoding = [], [], []
    for _ in range(runs):  # in turn, so that all have their share of a machine's moods
        probing += [milliseconds(lambda: probe(path)) for _ in range(_PROBES_A_RUN)]
        converting.append(milliseconds(lambda: as_the_ancestor(path)))
        decoding.append(milliseconds(lambda: decode_whole(path)))
    ours = statistics.median(probing)
    whole, bare = statistics.median(converting), statistics.median(decoding)
    print(
        f"{path.name}: {probe(path).frames} frames; ours {ours:.2f} ms, the ancestor's "
        f"{whole:.0f} ms, {whole / ours:.0f} times that; mere decoding {bare:.0f} ms, "
        f"{bare / ours:.0f} times",
        flush=True,
    )


def as_the_ancestor(path: Path) -> tuple[int, ...]:
    """Decodes a video whole, makes a tensor of its frames, and gives its shape.

    That is ``[frames, 3, height, width]``, float32, from -1 to 1.
    """
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        assert stream is not None
        stream.codec_context.thread_count = 1
        step = max(1, stream.frames // _ANCESTORS_FRAMES)
        pictures: list[NDArray[np.uint8]] = []
        for number, frame in enumerate(container.decode(stream)):
            if number % step == 0 and len(pictures) < _ANCESTORS_FRAMES:
                pictures.append(frame.to_ndarray(format="rgb24"))
    planes = np.stack(pictures).transpose(0, 3, 1, 2)
    tensor = np.ascontiguousarray(planes, dtype=np.float32)
    tensor /= 255
    tensor -= 0.5
    tensor /= 0.5
    return tensor.shape


def decode_whole(path: Path) -> int:
    """Decodes every frame of the best video stream; gives how many there are."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        assert stream is not None
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def render(path: Path, source: str, width: int, height: int, frames: int) -> Path:
    """Encodes one of FFmpeg's moving test pictures as most clips are: x264, its own settings."""
    graph = f"{source}=size={width}x{height}:rate={_RATE}"
    with av.open(graph, format="lavfi") as pictures, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "23"}
        for number, frame in enumerate(pictures.decode(video=0)):
            if number == frames:
                break
            frame = frame.reformat(format="yuv420p")
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def milliseconds(work: Callable[[], object]) -> float:
    """Processor time that it takes."""
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started)


if __name__ == "__main__":
    main()
