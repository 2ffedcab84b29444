"""The right frames, upright."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.assets import LEVEL_STEP, LIFT, MATRICES, level, write_video
from videoprep.errors import Code, MediaError, SourceError
from videoprep.media.clip import ClipPixels, load_clip, normalize
from videoprep.media.decode import FrameChoice, FrameDecoder
from videoprep.media.geometry import Box, center_box, letter_box, whole
from videoprep.media.probe import probe

# In which corner the bright quarter lies once the picture stands upright.
CORNERS = {
    "upright": "upper left",
    "turned-90": "upper right",
    "turned-180": "lower right",
    "turned-270": "lower left",
    "mirrored": "upper right",
    "upside-down-mirrored": "lower left",
    "transposed": "upper left",
    "anti-transposed": "lower right",
}


def _choice(path: Path, indices: list[int]) -> FrameChoice:
    info = probe(path)
    times = info.timestamps
    ticks = [int(times.ticks[n]) for n in indices] if times.timed else None
    return FrameChoice(path, info.stream, indices, ticks, times.time_base)


def _frames(path: Path, indices: list[int]) -> list[np.ndarray]:
    return list(FrameDecoder().frames(_choice(path, indices)))


def _bright_corner(picture: np.ndarray) -> str:
    height, width = picture.shape[:2]
    rows = {"upper": height // 4, "lower": 3 * height // 4}
    columns = {"left": width // 4, "right": 3 * width // 4}
    levels = {
        f"{row} {column}": int(picture[y, x, 0])
        for row, y in rows.items()
        for column, x in columns.items()
    }
    return max(levels, key=levels.__getitem__)


@pytest.mark.parametrize("indices", [[0], [3], [0, 1, 2], [2, 2, 7, 30, 30, 39], list(range(40))])
def test_frames_are_those_asked_for(tmp_path: Path, indices: list[int]) -> None:
    path = write_video(tmp_path / "a.mp4", frames=40, fps=25)
    pictures = _frames(path, indices)
    shown = [int(picture[-8, -8, 0]) for picture in pictures]
    assert shown == pytest.approx([level(n) for n in indices], abs=1)


@pytest.mark.parametrize("matrix", MATRICES)
def test_pictures_stand_upright(tmp_path: Path, matrix: str) -> None:
    path = write_video(tmp_path / "a.mp4", frames=2, matrix=matrix)
    info = probe(path)
    for picture in _frames(path, [0, 1]):
        assert picture.shape == (info.height, info.width, 3)
        assert _bright_corner(picture) == CORNERS[matrix]


@pytest.mark.parametrize(
    "ending", [".mp4", ".mkv", ".ts", ".avi", ".mpg", ".h264", ".webm", ".flv"]
)
@pytest.mark.parametrize("indices", [[0, 1, 2, 3], [0, 5, 10, 39], list(range(40))])
def test_every_container_gives_the_frames_asked_for(
    tmp_path: Path, ending: str, indices: list[int]
) -> None:
    codec = {".webm": "libvpx-vp9", ".mpg": "mpeg2video"}.get(ending, "libx264")
    path = write_video(tmp_path / f"a{ending}", frames=40, fps=25, codec=codec)
    info = probe(path)
    assert info.frames == 40
    assert info.timestamps.timed == (ending not in (".h264", ".avi"))
    shown = [int(picture[-8, -8, 0]) for picture in _frames(path, indices)]
    assert shown == pytest.approx([level(n) for n in indices], abs=3)


def _without_start(path: Path, drop: int) -> Path:
    """A copy without its first packets, so that it starts in the middle of a group of pictures."""
    cut = path.with_name(f"cut{path.suffix}")
    with av.open(str(path)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number >= drop and packet.size:
                packet.stream = stream
                target.mux(packet)
    return cut


@pytest.mark.parametrize("ending", [".mkv", ".ts"])
def test_a_stream_that_starts_between_key_frames(tmp_path: Path, ending: str) -> None:
    path = _without_start(write_video(tmp_path / f"a{ending}", frames=40, fps=25), 5)
    info = probe(path)
    # A group has twelve frames: what comes before the second key frame cannot be shown.
    assert info.frames <= 28
    shown = [int(p[-8, -8, 0]) for p in _frames(path, list(range(info.frames)))]
    numbers = [round((value - level(0)) / LEVEL_STEP) for value in shown]
    assert numbers == list(range(40 - info.frames, 40))


def test_a_frame_too_many_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=9)
    choice = replace(_choice(path, [0, 8]), indices=[0, 9], ticks=[0, 9 * 2048])
    with pytest.raises(MediaError, match="frame 9 is missing") as raised:
        list(FrameDecoder().frames(choice))
    assert raised.value.code is Code.DECODE_FAILED


def test_a_file_gone_bad_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=9)
    choice = _choice(path, [0])
    path.write_bytes(b"no video at all")
    with pytest.raises(MediaError) as raised:
        list(FrameDecoder().frames(choice))
    assert raised.value.code is Code.DECODE_FAILED


def test_a_file_that_is_gone_is_no_fault_of_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=9)
    choice = _choice(path, [0])
    path.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        list(FrameDecoder().frames(choice))


@pytest.mark.heavy
@pytest.mark.parametrize(("width", "height"), [(64, 40), (50, 30), (192, 96), (33, 47)])
def test_resizing_equals_that_of_torchvision(tmp_path: Path, width: int, height: int) -> None:
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize

    path = write_video(tmp_path / "v.mp4", frames=2)
    choice = _choice(path, [0, 1])
    frames = torch.from_numpy(np.stack(list(FrameDecoder().frames(choice)))).permute(0, 3, 1, 2)
    expected = resize(
        frames, [height, width], interpolation=InterpolationMode.BICUBIC, antialias=True
    )
    box = Box(0, 0, 96, 64)
    clip = ClipPixels(choice, "", 96, 64, box, Box(0, 0, width, height), width, height)
    assert torch.equal(load_clip(clip), expected)


@pytest.mark.heavy
def test_a_clip_is_cropped_and_resized(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", width=128, height=96, frames=5)
    crop = center_box(128, 96, 32, 64)
    assert crop == Box(40, 0, 48, 96)
    clip = ClipPixels(_choice(path, [0, 2, 4]), "", 128, 96, crop, whole(32, 64), 32, 64)
    pixels = load_clip(clip)
    assert pixels.shape == (3, 3, 64, 32)
    assert str(pixels.dtype) == "torch.uint8"
    for frame, number in zip(pixels, [0, 2, 4], strict=True):
        # The bright quarter ends at column 64 of 128: the middle of the crop.
        assert int(frame[0, 8, 4]) == pytest.approx(level(number) + LIFT, abs=2)
        assert int(frame[0, 8, 28]) == pytest.approx(level(number), abs=2)


@pytest.mark.heavy
def test_without_fitting_pixels_are_untouched(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=5)
    clip = ClipPixels(_choice(path, [0, 4]), "", 96, 64, whole(96, 64), whole(96, 64), 96, 64)
    pixels = load_clip(clip)
    for frame, picture in zip(pixels, _frames(path, [0, 4]), strict=True):
        assert np.array_equal(frame.permute(1, 2, 0).numpy(), picture)


@pytest.mark.heavy
def test_a_padded_clip_is_black_around_the_picture(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", width=128, height=64, frames=5)
    fit = letter_box(128, 64, 64, 64)
    assert fit == Box(0, 16, 64, 32)
    choice = _choice(path, [0])
    pixels = load_clip(ClipPixels(choice, "", 128, 64, whole(128, 64), fit, 64, 64))
    shrunk = ClipPixels(choice, "", 128, 64, whole(128, 64), whole(64, 32), 64, 32)
    assert np.array_equal(pixels[:, :, 16:48], load_clip(shrunk))
    assert pixels.shape == (1, 3, 64, 64)
    assert not pixels[:, :, :16].any()
    assert not pixels[:, :, 48:].any()
    assert int(pixels[0, 0, 20, 4]) == pytest.approx(level(0) + LIFT, abs=2)


@pytest.mark.heavy
def test_a_size_other_than_planned_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=5)
    clip = ClipPixels(_choice(path, [0]), "", 128, 64, whole(128, 64), whole(96, 64), 96, 64)
    with pytest.raises(MediaError, match="96×64, planned were 128×64"):
        load_clip(clip)


@pytest.mark.heavy
def test_normalize_equals_the_video_processor_of_diffusers() -> None:
    import torch
    from diffusers.video_processor import VideoProcessor
    from PIL import Image

    picture = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    theirs = VideoProcessor(vae_scale_factor=8).preprocess_video([Image.fromarray(picture)], 16, 16)
    ours = normalize(torch.from_numpy(picture).permute(2, 0, 1)[None])
    assert torch.equal(ours.permute(1, 0, 2, 3)[None], theirs)
