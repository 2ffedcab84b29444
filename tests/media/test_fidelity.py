"""What is decoded is what was put in: the right frames, in the right colours.

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

import numpy as np
import pytest

from tests.conftest import need
from tests.support.known_colours import (
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
from tests.support.numbered import (
    HEIGHT,
    WIDTH,
    number_on,
    numbers_on,
    picture_of,
    trimmed,
    with_edits,
    without_start,
    write_numbered,
)
from videoprep.media.clip import ClipPixels, load_clip
from videoprep.media.decode import FrameChoice, FrameDecoder
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
    return FrameChoice(path, info.stream, indices, ticks, base)


def _decoded(path: Path, indices: list[int]) -> list[Rgb]:
    """The frames, none of which is damaged."""
    decoder = FrameDecoder()
    pictures = list(decoder.frames(_choice(path, indices)))
    assert decoder.damage is None
    return pictures


def _all_numbers(path: Path) -> list[int]:
    return numbers_on(_decoded(path, list(range(probe(path).frames))))


def _error(pictures: list[Rgb], expected: Rgb) -> float:
    """The largest of the mean absolute differences of the pictures, in levels."""
    assert all(picture.shape == expected.shape for picture in pictures)
    wanted = expected.astype(int)
    return max(float(np.abs(picture.astype(int) - wanted).mean()) for picture in pictures)


# --- colours ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_colours_are_those_of_the_matrix_and_range_that_are_named(
    tmp_path: Path, matrix: Matrix, full: bool, layout: Layout, ending: str
) -> None:
    picture = picture_for(layout)
    path = write_colours(tmp_path / f"a{ending}", picture, layout, matrix, full=full)
    info = probe(path)
    assert (info.color_space, info.color_range) == (matrix.number, LIMITED + full)
    assert info.pixel_format.replace("yuvj", "yuv") == layout.pixel_format
    assert _error(_decoded(path, [0, 1]), picture) <= layout.bound


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
    tmp_path: Path, matrix: Matrix, named: Matrix, full: bool, layout: Layout
) -> None:
    """The bounds tell apart what they have to."""
    tags = (named.number, LIMITED)
    picture = picture_for(layout)
    path = write_colours(tmp_path / "a.mkv", picture, layout, matrix, full=full, tags=tags)
    assert _error(_decoded(path, [0]), picture) > layout.bound


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
    tmp_path: Path, width: int, height: int, pixel_format: str
) -> None:
    """As VP117 says; the large ones get its warning."""
    layout = LAYOUTS[pixel_format]
    tags = (UNTAGGED_MATRIX, UNTAGGED_RANGE)
    picture = waves(width, height) if layout.halved else cube(width, height)
    path = write_colours(tmp_path / "a.mp4", picture, layout, BT601, tags=tags)
    info = probe(path)
    assert (info.width, info.height) == (width, height)
    assert (info.color_space, info.color_range) == tags
    assert _error(_decoded(path, [0]), picture) <= layout.bound


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_pictures_keep_their_colours(
    tmp_path: Path, degrees: int, layout: Layout, ending: str
) -> None:
    picture = picture_for(layout)
    turned, display = tmp_path / f"a{ending}", f"turned-{degrees}"
    write_colours(turned, picture, layout, BT709, display=display)
    expected = np.rot90(picture, -degrees // 90)
    assert _error(_decoded(turned, [0, 1]), expected) <= layout.bound


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


@pytest.mark.parametrize("kind", _KINDS)
def test_a_sought_frame_has_the_pixels_of_one_decoded_from_the_start(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / ("a.mov" if kind in ("ProRes", "palette") else "a.mkv")
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x96:rate=1:duration=40"]
    try:
        command = ["ffmpeg", "-v", "error", *source, "-g", "4", *_KINDS[kind].split(), str(path)]
        subprocess.run(command, check=True)
    except FileNotFoundError:
        need("ffmpeg")
    straight = _decoded(path, list(range(40)))
    for indices in ([30], [17, 18, 39], [39]):
        pictures = zip(_decoded(path, indices), indices, strict=True)
        assert all(np.array_equal(picture, straight[n]) for picture, n in pictures)


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("open_gop", [False, True], ids=["closed", "open"])
def test_frames_out_of_order_come_in_order(
    numbered: Numbered, open_gop: bool, ending: str, codec: str
) -> None:
    path = numbered(ending, codec, open_gop)
    assert _all_numbers(path) == list(range(60))
    # Right before, at and after key frames, alone and together.
    for indices in ([0], [11], [12], [13], [35], [59], [9, 10, 23], [25, 25, 47, 48]):
        assert numbers_on(_decoded(path, indices)) == indices


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
    open_gop: bool,
    drop: int,
    first: int,
    ending: str,
    codec: str,
) -> None:
    """What comes before it, or refers to what is gone, is not shown."""
    full = numbered(ending, codec, open_gop)
    path = without_start(full, drop, tmp_path / f"a{ending}")
    assert _all_numbers(path) == list(range(first, 60))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("open_gop", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize(("seconds", "first"), [(0.5, 13), (0.96, 24), (1.0, 25)])
@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_an_edit_list_hides_what_was_cut_off(
    tmp_path: Path,
    numbered: Numbered,
    ending: str,
    seconds: float,
    first: int,
    open_gop: bool,
    codec: str,
) -> None:
    full = numbered(ending, codec, open_gop)
    path = trimmed(full, seconds, tmp_path / f"a{ending}")
    assert probe(path).frames == 60 - first
    assert _all_numbers(path) == list(range(first, 60))
    last = 59 - first
    assert numbers_on(_decoded(path, [1, 20, last])) == [first + 1, first + 20, 59]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("open_gop", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize(
    "parts", [[(101, 14), (12, 46)], [(21, 10), (43, 28)], [(91, 21), (135, 55), (119, 6)]]
)
def test_an_edit_list_that_jumps_shows_its_parts(
    tmp_path: Path, parts: list[tuple[int, int]], open_gop: bool, codec: str
) -> None:
    full = write_numbered(tmp_path / "full.mp4", 200, codec=codec, open_gop=open_gop)
    path = with_edits(full, parts, tmp_path / "a.mp4")
    numbers = [first + n for first, count in parts for n in range(count)]
    info = probe(path)
    assert (info.frames, info.repeated_times) == (len(numbers), 0)
    assert _all_numbers(path) == numbers
    assert numbers_on(_decoded(path, [3, 16, 37])) == [numbers[n] for n in (3, 16, 37)]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_frames_that_an_edit_list_shows_at_one_time_are_counted(tmp_path: Path, codec: str) -> None:
    full = write_numbered(tmp_path / "full.mp4", 200, codec=codec, open_gop=True)
    info = probe(with_edits(full, [(96, 28), (49, 13)], tmp_path / "a.mp4"))
    assert info.frames + info.repeated_times == 28 + 13


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("open_gop", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize("ending", [".mkv", ".ts"])
@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_a_copy_without_edit_list_begins_with_a_key_frame(
    tmp_path: Path,
    numbered: Numbered,
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
    assert _all_numbers(path) == list(range(first, 60))


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("open_gop", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize("rate", [Fraction(8), Fraction(24000, 1001)])
def test_frames_of_a_variable_rate_are_chosen_by_their_times(
    tmp_path: Path, rate: Fraction, open_gop: bool, ending: str
) -> None:
    gaps = random.Random(3).choices([17, 33, 40, 41, 120, 400], k=79)
    times = [sum(gaps[:n]) for n in range(80)]
    path = write_numbered(tmp_path / f"a{ending}", 80, open_gop=open_gop, times=times)
    info = probe(path)
    assert info.variable_frame_rate
    count = int(times[-1] * rate / 1000)
    indices = nearest_frames(info.timestamps.seconds(), rate, count).tolist()
    shown = numbers_on(_decoded(path, indices))
    for number, frame in enumerate(shown):
        ideal = 1000 * number / rate
        nearest = min(abs(time - ideal) for time in times)
        assert abs(times[frame] - ideal) <= nearest + 1  # ticks may be rounded


# --- late clips ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["closed", "open", "10 bits"])
def long_video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many frames that late ones are sought."""
    path = tmp_path_factory.mktemp("long") / "a.mp4"
    pixel_format = "yuv420p10le" if request.param == "10 bits" else "yuv420p"
    return write_numbered(path, 640, open_gop=request.param == "open", pixel_format=pixel_format)


def _clip(path: Path, indices: list[int]) -> ClipPixels:
    box = whole(WIDTH, HEIGHT)
    return ClipPixels(_choice(path, indices), "", WIDTH, HEIGHT, box, box, WIDTH, HEIGHT)


@pytest.mark.heavy
@pytest.mark.parametrize("first", [480, 499, 500, 501, 503, 504, 505, 527, 528, 600])
@pytest.mark.parametrize("step", [1, 3])
def test_late_clips_begin_with_the_right_frame(long_video: Path, first: int, step: int) -> None:
    indices = list(range(first, first + 13 * step, step))
    clip = _clip(long_video, indices)
    pictures = [frame.permute(1, 2, 0).numpy() for frame in load_clip(clip)]
    assert numbers_on(pictures) == indices
    assert _error(pictures[:1], picture_of(first)) < 4  # chroma is halved, at hard edges
    assert numbers_on(_decoded(long_video, indices)) == indices


def test_clips_of_one_file_in_any_order(long_video: Path) -> None:
    decoder = FrameDecoder()
    for indices in ([0, 1], [500, 530], [531], [531, 532], [200], [12, 13], [639], [0]):
        assert numbers_on(decoder.frames(_choice(long_video, indices))) == indices
        assert decoder.damage is None


def test_a_mixture_of_frames_has_no_number() -> None:
    """What a decoder makes of missing references."""
    assert [number_on(picture_of(n)) for n in (0, 1, 639, 1023)] == [0, 1, 639, 1023]
    mixture = picture_of(7) // 2 + picture_of(8) // 2
    with pytest.raises(ValueError, match="no number"):
        number_on(mixture)
