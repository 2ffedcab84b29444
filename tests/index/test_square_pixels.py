"""Pixels that are not square: what is encoded has the shape that players show."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import videoprep as vp
from tests.conftest import need
from tests.index.test_placement import media, one, policy
from tests.support.assets import write_lists
from videoprep.errors import Code
from videoprep.index.placement import LeftOut, place
from videoprep.index.shown import stretch_of
from videoprep.index.summary import summarize
from videoprep.media.clip import load_clip
from videoprep.media.geometry import Box, square_size
from videoprep.media.inspector import thumbnail
from videoprep.media.orientation import Orientation
from videoprep.media.probe import probe

# Its stored size and pixels, and how it looks once they are square: all are 128×96 seen upright.
FILES = {
    "wide": ("scale=96:96,setsar=4/3", 0, (128, 96)),
    "narrow": ("scale=128:72,setsar=3/4", 0, (128, 96)),
    "turned": ("scale=96:96,setsar=4/3", 90, (96, 128)),
}
_CODEC = ["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv444p", "-preset", "ultrafast"]
_FFMPEG = ["ffmpeg", "-v", "error", "-y"]


def make(folder: Path, name: str) -> list[str]:
    """Make a file of pixels that are not square, and by ffmpeg the same of square ones."""
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    squeeze, turn, (width, height) = FILES[name]
    source = "testsrc2=size=128x96:rate=8:duration=0.5,gblur=1"
    stored, turned, square = (folder / f"{kind}.mp4" for kind in ("flat", "stored", "square"))
    made = [*_FFMPEG, "-f", "lavfi", "-i", f"{source},{squeeze}", *_CODEC, stored]
    subprocess.run(made, check=True)
    copy = ["-i", stored, "-c", "copy", "-metadata:s:v", f"rotate={turn}", turned]
    subprocess.run([*_FFMPEG, *copy], check=True)
    fit = ["-i", turned, "-vf", f"scale={width}:{height}:flags=bicubic,setsar=1", *_CODEC, square]
    subprocess.run([*_FFMPEG, *fit], check=True)
    stored.unlink()
    return [turned.name, square.name]


@pytest.fixture(scope="module", params=list(FILES))
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one file twice: as it is stored, and made square."""
    folder = tmp_path_factory.mktemp(request.param)
    names = make(folder, request.param)
    write_lists(folder, ["Moving bars."] * 2, names)
    return folder


def _aspect(dataset: Path) -> Fraction:
    return probe(dataset / "stored.mp4").pixel_aspect


def pixels_of(index: vp.BucketIndex) -> list[NDArray[np.float64]]:
    return [load_clip(clip.pixels).double().numpy() for clip in index.clips()]


@pytest.mark.heavy
@pytest.mark.parametrize(
    "options",
    [
        {"reshape": "center-crop"},
        {"reshape": "center-crop", "buckets": "4x64x64"},
        {"reshape": "random-crop", "buckets": "4x64x64", "crop_seed": 1},
        {"reshape": "resize", "buckets": "4x64x96"},
        {"reshape": "pad", "buckets": "4x96x96"},
        {"buckets": "auto"},
    ],
)
def test_pixels_are_those_that_ffmpeg_makes_square(dataset: Path, options) -> None:
    index = vp.BucketIndex.build(dataset, **options)
    assert not index.left_out
    stored, square = index.clips()
    assert stored.bucket == square.bucket
    assert summarize(index).enlarged == 0
    if options.get("reshape") == "random-crop":  # the contents decide where
        shown = square_size(stored.pixels.crop.width, stored.pixels.crop.height, _aspect(dataset))
        assert abs(shown[0] - shown[1]) <= 1
        return
    ours, theirs = pixels_of(index)
    assert np.abs(ours - theirs).mean() < 1.5


def test_without_consent_pixels_stay_as_they_are_stored() -> None:
    info = media(64, 96, 9, sample_aspect_ratio=Fraction(4, 3))
    kept = one(place(info, policy()))
    assert kept.crop == kept.fit == Box(0, 0, 64, 96)
    assert (kept.bucket.height, kept.bucket.width) == (96, 64)


def test_a_warning_becomes_a_note_with_consent(dataset: Path) -> None:
    warned = vp.validate(dataset, select=["VP113"])
    assert [finding.severity.value for finding in warned.findings] == ["warning"]
    (finding,) = vp.validate(dataset, select=["VP113"], reshape="center-crop").findings
    assert (finding.severity.value, finding.remedy) == ("note", "nothing to do")
    assert finding.data["shown"] in ([128, 96], [96, 128])


def test_latents_of_other_boxes_have_other_keys(dataset: Path) -> None:
    bucket = {"buckets": "4x64x64"}
    index = vp.BucketIndex.build(dataset, reshape="center-crop", **bucket)
    stored, square = index.clips()
    squeezed, _ = vp.BucketIndex.build(dataset, reshape="resize", **bucket).clips()
    assert stored.pixels.crop != square.pixels.crop
    assert len({stored.video_key, square.video_key, squeezed.video_key}) == 3


def test_thumbnails_have_the_shape_that_is_shown(dataset: Path) -> None:
    stored, square = (
        cv2.imdecode(np.frombuffer(thumbnail(dataset / name), np.uint8), cv2.IMREAD_COLOR)
        for name in ("stored.mp4", "square.mp4")
    )
    assert stored.shape == square.shape


@pytest.mark.parametrize(
    ("size", "ratio", "shown"),
    [
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),
        ((1080, 1440), Fraction(3, 4), (1080, 1920)),
        ((720, 480), Fraction(32, 27), (853, 480)),
        ((720, 480), Fraction(8, 9), (720, 540)),
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((854, 480), Fraction(1280, 1281), (854, 480)),  # what scale=-2:480 of 16:9 leaves
        ((640, 480), Fraction(1), (640, 480)),
    ],
)
def test_one_side_becomes_longer(size, ratio: Fraction, shown) -> None:
    assert square_size(*size, ratio) == shown


def test_a_ratio_that_no_picture_has_is_refused() -> None:
    info = media(640, 480, 9, sample_aspect_ratio=Fraction(1000))
    found = place(info, policy(reshape="center-crop"))
    assert isinstance(found, LeftOut)
    assert found.code is Code.NON_SQUARE_PIXELS
    assert "640000×480" in found.reason
    assert not isinstance(place(info, policy()), LeftOut)


def test_rules_of_size_go_by_what_is_shown() -> None:
    info = media(1440, 1080, 9, sample_aspect_ratio=Fraction(4, 3))
    wide = one(place(info, policy(reshape="center-crop", buckets=("9x1056x1920", "9x1056x1440"))))
    assert (wide.bucket.height, wide.bucket.width) == (1056, 1920)
    assert (wide.crop, wide.fit) == (Box(0, 12, 1440, 1056), Box(0, 0, 1920, 1056))
    padded = one(place(info, policy(reshape="pad", buckets=("9x960x960",))))
    assert (padded.crop, padded.fit) == (Box(0, 0, 1440, 1080), Box(0, 210, 960, 540))
    limited = one(place(info, policy(reshape="center-crop", max_pixels=480 * 854)))
    assert (limited.bucket.height, limited.bucket.width) == (480, 832)
    turned = media(
        1080, 1440, 9, sample_aspect_ratio=Fraction(4, 3), orientation=Orientation(transpose=True)
    )
    tall = one(place(turned, policy(reshape="center-crop")))
    assert (tall.bucket.height, tall.bucket.width) == (1920, 1056)


@pytest.mark.parametrize(
    ("crop", "fit", "reshape", "stretch"),
    [
        (Box(0, 0, 1440, 1056), Box(0, 0, 1920, 1056), "center-crop", (4 / 3, 1)),
        (Box(0, 0, 1056, 1440), Box(0, 0, 1056, 1920), "pad", (1, 4 / 3)),
        (Box(0, 0, 1440, 1056), Box(0, 0, 1920, 1056), "resize", (1, 1)),
        (Box(0, 0, 853, 480), Box(0, 0, 832, 468), "pad", (1, 1)),  # but for rounding
    ],
)
def test_rows_tell_what_pixels_were(crop: Box, fit: Box, reshape: str, stretch) -> None:
    assert stretch_of(crop, fit, {"reshape": reshape}) == pytest.approx(stretch)
