"""What is decoded is what was put in: the right frames, in the right colours, from either decoder.

Files are written with known pixels and tags; `known_colours` makes YCbCr without FFmpeg's help,
and the frames of `numbered` say which they are.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from tests.conftest import need
from tests.media.known_colours import (
    BT601,
    BT709,
    LAYOUTS,
    LIMITED,
    MATRICES,
    UNTAGGED_MATRIX,
    UNTAGGED_RANGE,
    Layout,
    Matrix,
    Rgb,
    cube,
    picture_for,
    waves,
    write_colours,
)
from tests.media.numbered import (
    HEIGHT,
    WIDTH,
    number_on,
    numbers_on,
    picture_of,
    trimmed,
    without_start,
    write_numbered,
)
from videoprep.media import decode as module
from videoprep.media.clip import ClipPixels, load_clip
from videoprep.media.decode import DecoderName, FrameChoice, decode_frames
from videoprep.media.geometry import whole
from videoprep.media.probe import probe
from videoprep.media.timestamps import nearest_frames

Numbered = Callable[[str, str, bool], Path]


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Numbered:
    """A file of 60 numbered frames for an ending, an encoder and open groups or closed ones."""
    folder = tmp_path_factory.mktemp("numbered")

    @cache
    def make(ending: str, codec: str, open_gop: bool) -> Path:
        path = folder / f"{codec}-{open_gop}{ending}"
        return write_numbered(path, 60, codec=codec, open_gop=open_gop)

    return make


def _choice(path: Path, indices: list[int]) -> FrameChoice:
    info = probe(path)
    ticks = [int(info.timestamps.ticks[n]) for n in indices]
    base = info.timestamps.time_base
    return FrameChoice(path, info.stream, indices, ticks, base, info.pyav_only)


def _decoded(path: Path, indices: list[int], decoder: DecoderName) -> list[Rgb]:
    """The frames; a torchcodec that gives up does not go unnoticed."""
    choice = _choice(path, indices)
    if decoder == "pyav" or choice.pyav_only:
        return list(decode_frames(choice, decoder))
    with patch.object(module, "_decode_pyav", side_effect=AssertionError("torchcodec gives up")):
        return list(decode_frames(choice, decoder))


def _all_numbers(path: Path, decoder: DecoderName) -> list[int]:
    return numbers_on(_decoded(path, list(range(probe(path).frames)), decoder))


def _error(pictures: list[Rgb], expected: Rgb) -> float:
    """The largest of the mean absolute differences of the pictures, in levels."""
    assert all(picture.shape == expected.shape for picture in pictures)
    wanted = expected.astype(int)
    return max(float(np.abs(picture.astype(int) - wanted).mean()) for picture in pictures)


def _assert_decoders_agree(path: Path, indices: list[int]) -> None:
    one, other = (_decoded(path, indices, name) for name in ("pyav", "torchcodec"))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# --- colours ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_colours_are_those_of_the_matrix_and_range_that_are_named(
    tmp_path: Path, decoder: DecoderName, matrix: Matrix, full: bool, layout: Layout, ending: str
) -> None:
    picture = picture_for(layout)
    path = write_colours(tmp_path / f"a{ending}", picture, layout, matrix, full=full)
    info = probe(path)
    assert (info.color_space, info.color_range) == (matrix.number, LIMITED + full)
    assert info.pixel_format.replace("yuvj", "yuv") == layout.pixel_format
    assert info.pyav_only == (layout.pixel_format == "yuv420p10le")
    assert _error(_decoded(path, [0, 1], decoder), picture) <= layout.bound


@pytest.mark.usefixtures("torchcodec")
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_decoders_agree_on_colours(
    tmp_path: Path, matrix: Matrix, full: bool, layout: Layout
) -> None:
    """At the hard edges of colours, too."""
    path = write_colours(tmp_path / "a.mp4", cube(), layout, matrix, full=full)
    _assert_decoders_agree(path, [0, 1])


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(
    ("matrix", "named", "full"),
    [
        (BT709, BT601, False),
        (BT601, BT709, False),
        (BT709, MATRICES["bt2020nc"], False),
        (MATRICES["bt2020nc"], BT601, False),
        (BT709, BT709, True),
    ],
    ids=["709-as-601", "601-as-709", "709-as-2020", "2020-as-601", "full-as-limited"],
)
def test_a_wrong_tag_would_be_seen(
    tmp_path: Path, decoder: DecoderName, matrix: Matrix, named: Matrix, full: bool, layout: Layout
) -> None:
    """The bounds tell apart what they have to."""
    tags = (named.number, LIMITED)
    picture = picture_for(layout)
    path = write_colours(tmp_path / "a.mkv", picture, layout, matrix, full=full, tags=tags)
    assert _error(_decoded(path, [0], decoder), picture) > layout.bound


@pytest.mark.parametrize(
    ("width", "height", "pixel_format"),
    [
        (192, 128, "yuv444p"),
        (192, 128, "yuv420p"),
        (192, 128, "yuv420p10le"),
        (720, 480, "yuv444p"),
        (1280, 720, "yuv420p"),
        (1920, 1080, "yuv420p"),
    ],
)
def test_untagged_files_are_taken_for_limited_bt601_whatever_their_size(
    tmp_path: Path, decoder: DecoderName, width: int, height: int, pixel_format: str
) -> None:
    """As VP117 says; the large ones get its warning."""
    layout = LAYOUTS[pixel_format]
    tags = (UNTAGGED_MATRIX, UNTAGGED_RANGE)
    picture = waves(width, height) if layout.halved else cube(width, height)
    path = write_colours(tmp_path / "a.mp4", picture, layout, BT601, tags=tags)
    info = probe(path)
    assert (info.width, info.height) == (width, height)
    assert (info.color_space, info.color_range) == tags
    assert _error(_decoded(path, [0], decoder), picture) <= layout.bound


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_pictures_keep_their_colours(
    tmp_path: Path, decoder: DecoderName, degrees: int, layout: Layout, ending: str
) -> None:
    picture = picture_for(layout)
    turned, display = tmp_path / f"a{ending}", f"turned-{degrees}"
    write_colours(turned, picture, layout, BT709, display=display)
    expected = np.rot90(picture, -degrees // 90)
    assert _error(_decoded(turned, [0, 1], decoder), expected) <= layout.bound


@pytest.mark.usefixtures("torchcodec")
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_decoders_agree_on_turned_pictures(tmp_path: Path, degrees: int, layout: Layout) -> None:
    path = tmp_path / "a.mp4"
    write_colours(path, cube(), layout, BT709, display=f"turned-{degrees}")
    _assert_decoders_agree(path, [0, 1])


# FFmpeg repeats chroma samples or interpolates them, by what a picture is like, and may convert
# each field for itself. How it does so depends on its version and on how it is called, in which
# the decoders differ.
_KINDS = {
    "8 bits": "-c:v libx264 -pix_fmt yuv420p",
    "8 bits 4:2:2": "-c:v libx264 -pix_fmt yuv422p",
    "8 bits full": "-c:v libx264 -pix_fmt yuvj420p",
    "10 bits": "-c:v libx264 -pix_fmt yuv420p10le",
    "10 bits 4:2:2": "-c:v libx264 -pix_fmt yuv422p10le",
    "10 bits HEVC": "-c:v libx265 -x265-params log-level=none:pools=1 -pix_fmt yuv420p10le",
    "ProRes": "-c:v prores_ks -pix_fmt yuv422p10le",
    "12 bits": "-c:v ffv1 -pix_fmt yuv420p12le",
    "4:1:1": "-c:v ffv1 -pix_fmt yuv411p",
    "4:4:0": "-c:v ffv1 -pix_fmt yuv440p",
    "packed 4:2:2": "-c:v rawvideo -pix_fmt uyvy422",
    "interlaced": "-flags +ilme+ildct -c:v libx264 -x264opts tff=1 -pix_fmt yuv420p",
    "interlaced 4:4:4": "-vf setfield=tff -c:v ffv1 -pix_fmt yuv444p",
    "odd width": "-vf scale=159:96 -c:v ffv1 -pix_fmt yuv420p",
    "odd height": "-vf scale=160:95 -c:v ffv1 -pix_fmt yuv420p",
    "odd 4:4:4": "-vf scale=159:95 -c:v libx264 -pix_fmt yuv444p",
    "grey": "-c:v ffv1 -pix_fmt gray10le",
    "alpha": "-c:v ffv1 -pix_fmt yuva420p",
    "palette": "-c:v qtrle -pix_fmt gray",
    "RGB": "-c:v ffv1 -pix_fmt bgr0",
    "10 bits RGB": "-c:v ffv1 -pix_fmt gbrp10le",
}


@pytest.mark.usefixtures("torchcodec")
@pytest.mark.parametrize("kind", _KINDS)
def test_decoders_agree_on_pixels_of_every_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mov"
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25:duration=0.4"]
    strict = ["-strict", "-1", "-vtag", "FFV1"] if "ffv1" in _KINDS[kind] else []
    try:
        command = ["ffmpeg", "-v", "error", *source, *_KINDS[kind].split(), *strict, str(path)]
        subprocess.run(command, check=True)
    except FileNotFoundError:
        need("ffmpeg")
    _assert_decoders_agree(path, [0, 4, 9])


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("open_gop", [False, True], ids=["closed", "open"])
def test_frames_out_of_order_come_in_order(
    numbered: Numbered, decoder: DecoderName, open_gop: bool, ending: str, codec: str
) -> None:
    path = numbered(ending, codec, open_gop)
    assert _all_numbers(path, decoder) == list(range(60))
    # Right before, at and after key frames, alone and together.
    for indices in ([0], [11], [12], [13], [35], [59], [9, 10, 23], [25, 25, 47, 48]):
        assert numbers_on(_decoded(path, indices, decoder)) == indices


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(
    ("open_gop", "drop", "first"),
    [
        (False, 5, 12),
        (False, 12, 12),
        (False, 13, 24),
        (True, 5, 12),
        # Frame 12 is stored before 9, 10 and 11, which refer to it.
        (True, 9, 12),
        (True, 12, 24),
        (True, 15, 24),
    ],
)
def test_a_stream_that_is_joined_later_begins_with_its_first_key_frame(
    tmp_path: Path,
    numbered: Numbered,
    decoder: DecoderName,
    open_gop: bool,
    drop: int,
    first: int,
    ending: str,
    codec: str,
) -> None:
    """What comes before it, or refers to what is gone, is not shown."""
    full = numbered(ending, codec, open_gop)
    path = without_start(full, drop, tmp_path / f"a{ending}")
    assert _all_numbers(path, decoder) == list(range(first, 60))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("open_gop", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize(("seconds", "first"), [(0.5, 13), (0.96, 24), (1.0, 25)])
@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_an_edit_list_hides_what_was_cut_off(
    tmp_path: Path,
    numbered: Numbered,
    decoder: DecoderName,
    ending: str,
    seconds: float,
    first: int,
    open_gop: bool,
    codec: str,
) -> None:
    full = numbered(ending, codec, open_gop)
    path = trimmed(full, seconds, tmp_path / f"a{ending}")
    assert probe(path).frames == 60 - first
    assert _all_numbers(path, decoder) == list(range(first, 60))
    last = 59 - first
    assert numbers_on(_decoded(path, [1, 20, last], decoder)) == [first + 1, first + 20, 59]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("open_gop", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize("ending", [".mkv", ".ts"])
@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_a_copy_without_edit_list_begins_with_a_key_frame(
    tmp_path: Path,
    numbered: Numbered,
    decoder: DecoderName,
    seconds: float,
    ending: str,
    open_gop: bool,
    codec: str,
) -> None:
    """With which one is for FFmpeg to say; what is there is what is counted and shown."""
    full = numbered(ending, codec, open_gop)
    path = trimmed(full, seconds, tmp_path / f"a{ending}")
    first = 60 - probe(path).frames
    assert first % 12 == 0
    assert _all_numbers(path, decoder) == list(range(first, 60))


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("open_gop", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize("rate", [Fraction(8), Fraction(24000, 1001)])
def test_frames_of_a_variable_rate_are_chosen_by_their_times(
    tmp_path: Path, decoder: DecoderName, rate: Fraction, open_gop: bool, ending: str
) -> None:
    gaps = random.Random(3).choices([17, 33, 40, 41, 120, 400], k=79)
    times = [sum(gaps[:n]) for n in range(80)]
    path = write_numbered(tmp_path / f"a{ending}", 80, open_gop=open_gop, times=times)
    info = probe(path)
    assert info.variable_frame_rate
    count = int(times[-1] * rate / 1000)
    indices = nearest_frames(info.timestamps.seconds(), rate, count).tolist()
    shown = numbers_on(_decoded(path, indices, decoder))
    for number, frame in enumerate(shown):
        ideal = 1000 * number / rate
        nearest = min(abs(time - ideal) for time in times)
        assert abs(times[frame] - ideal) <= nearest + 1  # ticks may be rounded


# --- late clips ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["closed", "open", "10 bits"])
def long_video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many frames that `load_clip` has torchcodec seek some, and PyAV decode others."""
    path = tmp_path_factory.mktemp("long") / "a.mp4"
    pixel_format = "yuv420p10le" if request.param == "10 bits" else "yuv420p"
    return write_numbered(path, 640, open_gop=request.param == "open", pixel_format=pixel_format)


def _clip(path: Path, indices: list[int]) -> ClipPixels:
    box = whole(WIDTH, HEIGHT)
    return ClipPixels(_choice(path, indices), "", WIDTH, HEIGHT, box, box, WIDTH, HEIGHT)


@pytest.mark.parametrize("first", [480, 499, 500, 501, 503, 504, 505, 527, 528, 600])
@pytest.mark.parametrize("step", [1, 3])
def test_late_clips_begin_with_the_right_frame(
    long_video: Path, decoder: DecoderName, first: int, step: int
) -> None:
    indices = list(range(first, first + 13 * step, step))
    clip = _clip(long_video, indices)
    assert clip.is_late == (first >= 500)
    pictures = [frame.permute(1, 2, 0).numpy() for frame in load_clip(clip, decoder)]
    assert numbers_on(pictures) == indices
    assert _error(pictures[:1], picture_of(first)) < 4  # chroma is halved, at hard edges
    assert numbers_on(_decoded(long_video, indices, decoder)) == indices


@pytest.mark.usefixtures("torchcodec")
def test_a_frame_is_the_same_in_an_early_and_a_late_clip(long_video: Path) -> None:
    early = load_clip(_clip(long_video, list(range(490, 520))), "torchcodec")
    late = load_clip(_clip(long_video, list(range(500, 520))), "torchcodec")
    assert np.array_equal(early[10:].numpy(), late.numpy())


def test_a_mixture_of_frames_has_no_number() -> None:
    """What a decoder makes of missing references."""
    assert [number_on(picture_of(n)) for n in (0, 1, 639, 1023)] == [0, 1, 639, 1023]
    mixture = picture_of(7) // 2 + picture_of(8) // 2
    with pytest.raises(ValueError, match="no number"):
        number_on(mixture)
