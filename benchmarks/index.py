"""Planning cold files against decoding them whole, which is what the ancestor does.

    python benchmarks/index.py [FOLDER]

FOLDER is a dataset; without it some clips of 49×480×704 are rendered. Both in one thread.
"""

import sys
import tempfile
import time
from pathlib import Path

import av

import videoprep as vp
from videoprep.demo.scenes import Scene, write_scene
from videoprep.media.probe import probe


def render(folder: Path) -> None:
    """Renders four clips of 49×480×704."""
    scene = Scene("star", "yellow", "circles slowly in the air", "at sunset", 704, 480, 49)
    names = [f"{number}.mp4" for number in range(4)]
    for name in names:
        write_scene(folder / name, scene)
    (folder / "prompt.txt").write_text(f"{scene.caption}\n" * len(names))
    (folder / "videos.txt").write_text("\n".join(names) + "\n")


def decode_whole(path: Path) -> int:
    """Decodes every frame of the best video stream; gives how many there are."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def main() -> None:
    """Measures both and prints the ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(name)
        if len(sys.argv) == 1:
            render(folder)
        videos = [sample.video for sample in vp.DatasetSpec.from_path(folder).samples()]
        for video in videos:
            video.read_bytes()  # both find the file in memory
        started = time.perf_counter()
        probed = sum(probe(video).frames for video in videos)
        probing = time.perf_counter() - started
        started = time.perf_counter()
        decoded = sum(decode_whole(video) for video in videos)
        decoding = time.perf_counter() - started
    print(f"{len(videos)} files, {probed} frames probed, {decoded} decoded")
    print(f"decoding whole / probing: {decoding / probing:.1f}")


if __name__ == "__main__":
    main()
