"""What decoding every frame shows."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.assets import write_video
from videoprep.media.frame_scan import FrameScan, scan_frames
from videoprep.media.probe import probe


def _write(path: Path, pictures: list[np.ndarray]) -> Path:  # type: ignore[type-arg]
    """Pictures without any loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def _grey(level: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.full((96, 160, 3), level, dtype=np.uint8)


def test_numbers_of_known_pictures(tmp_path: Path) -> None:
    board = _grey(0)
    board[::2, ::2] = board[1::2, 1::2] = 255
    pictures = [_grey(0), _grey(0), _grey(10), _grey(255), board]
    scan = scan_frames(_write(tmp_path / "a.mkv", pictures))
    assert (scan.decoded, scan.damaged, scan.complaint, scan.changes) == (5, (), None, ())
    assert scan.brightness.tolist() == [0, 0, 10, 255, 128]
    assert scan.contrast.tolist() == [0, 0, 0, 0, 128]
    assert scan.change.tolist()[:4] == [255, 0, 40, 255]
    assert scan.jump.tolist()[:2] == [0, 0]
    assert scan.jump[3] == 255
    assert scan.sharpness.tolist() == [0, 0, 0, 0, 255]


def test_json_round_trip(tmp_path: Path) -> None:
    scan = scan_frames(write_video(tmp_path / "a.mp4"))
    again = FrameScan.from_json(json.loads(json.dumps(scan.to_json())))
    assert again.to_json() == scan.to_json()
    assert (again.change == scan.change).all()


@pytest.mark.parametrize(
    ("ending", "codec"),
    [(".mp4", "libx264"), (".mkv", "libx264"), (".avi", "mpeg4"), (".webm", "libvpx"),
     (".ts", "mpeg2video"), (".gif", "gif")],
)  # fmt: skip
def test_whole_files_have_no_errors(tmp_path: Path, ending: str, codec: str) -> None:
    path = tmp_path / f"a{ending}"
    if codec == "gif":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("gif", rate=10)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "rgb8"
            for level in range(9):
                frame = av.VideoFrame.from_ndarray(_grey(20 * level)[:64, :96], format="rgb24")
                container.mux(stream.encode(frame.reformat(format="rgb8")))
            container.mux(stream.encode())
    else:
        write_video(path, frames=33, fps=25, codec=codec)
    scan = scan_frames(path)
    assert (scan.damaged, scan.complaint, scan.changes) == ((), None, ())
    assert scan.decoded == probe(path).frames


def test_a_file_does_not_speak_for_the_next(tmp_path: Path) -> None:
    """FFmpeg's log leaves out what it said before, also of another file."""
    path = write_video(tmp_path / "a.mkv", width=320, height=192, frames=24)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 200] = bytes(range(200))
    path.write_bytes(data)
    scans = [scan_frames(path).to_json() for _ in range(3)]
    assert len(scans[0]["damaged"]) > 0
    assert scans[0] == scans[1] == scans[2]


def test_the_log_is_quiet_afterwards(tmp_path: Path) -> None:
    scan_frames(write_video(tmp_path / "a.mp4"))
    assert av.logging.get_level() is None


@pytest.mark.parametrize("frames", [1, 2])
def test_short_files(tmp_path: Path, frames: int) -> None:
    scan = scan_frames(write_video(tmp_path / "a.mp4", frames=frames))
    assert scan.decoded == frames == len(scan.sharpness)


def test_an_empty_packet_is_not_the_end(tmp_path: Path) -> None:
    """AVI repeats a frame by a packet without data."""
    path = tmp_path / "a.avi"
    write_video(path, frames=12, fps=8, codec="mpeg4")
    gap = tmp_path / "gap.avi"
    with av.open(str(path)) as source, av.open(str(gap), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is None:
                continue
            moved = 3 if packet.dts > 5 else 0
            packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
            packet.stream = stream
            target.mux(packet)
    scan = scan_frames(gap)
    assert (scan.damaged, scan.decoded) == ((), probe(gap).frames)
