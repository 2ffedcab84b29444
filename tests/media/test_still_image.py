"""Still images: what is found in them, and their pixels, against Pillow's and by arithmetic."""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from tests.support.media_classes import _png_header as png_header
from tests.support.pictures import RGB, noise, swapped_profile, write_picture
from videoprep.errors import Code, MediaError
from videoprep.media.frame_scan import scan_frames
from videoprep.media.inspect import inspect_all
from videoprep.media.inspector import pictures, thumbnail
from videoprep.media.media_info import MediaInfo
from videoprep.media.probe import probe
from videoprep.media.scene_scan import scan_scenes
from videoprep.media.still_image import load_still
from videoprep.workers import Limits

RAMP = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
CODED = ("jpg", "png", "webp", "avif", "tiff", "bmp", "gif")


def grey(values: Any) -> RGB:
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, 2)


def on(ground: int, colors: RGB, alpha: RGB) -> Any:
    """Colours on a grey ground, in exact arithmetic."""
    share = alpha[..., None] / 255
    return colors * share + ground * (1 - share)


@pytest.mark.parametrize("ending", CODED)
def test_a_picture_is_one_frame_without_time(tmp_path: Path, ending: str) -> None:
    path = write_picture(tmp_path / f"a.{ending}")
    info = probe(path)
    assert info.is_still
    assert (info.frames, info.width, info.height) == (1, 64, 48)
    assert (info.fps, info.duration, info.time_base, info.audio) == (None, None, None, None)
    with pytest.raises(ValueError, match="no frame rate"):
        info.rate  # noqa: B018
    assert MediaInfo.from_json(info.to_json()).to_json() == info.to_json()
    with Image.open(path) as image:
        assert np.array_equal(load_still(path), np.asarray(image.convert("RGB")))


def test_a_video_of_one_frame_stays_a_video(tmp_path: Path) -> None:
    from tests.support.assets import write_video

    info = probe(write_video(tmp_path / "a.mp4", frames=1))
    assert not info.is_still
    assert info.rate == 8


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff", "avif"])
@pytest.mark.parametrize("number", range(1, 9))
def test_exif_orientation_is_followed(tmp_path: Path, ending: str, number: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = number
    path = write_picture(tmp_path / f"a.{ending}", exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    found, info = load_still(path), probe(path)
    assert np.array_equal(found, upright)
    assert (info.height, info.width) == found.shape[:2]


def test_an_orientation_that_is_nonsense_counts_for_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    path = write_picture(tmp_path / "a.png", exif=exif)
    assert np.array_equal(load_still(path), noise())


def test_colours_become_srgb_by_the_profile(tmp_path: Path) -> None:
    """In a profile whose red and green are exchanged, red pixels are green."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4, :, 0], pixels[4:, :, 2] = 255, 255
    path = write_picture(tmp_path / "a.png", pixels, icc_profile=swapped_profile())
    found = load_still(path)
    assert np.abs(found[:4].astype(int) - (0, 255, 0)).max() <= 2
    assert np.abs(found[4:].astype(int) - (0, 0, 255)).max() <= 2
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = write_picture(tmp_path / "b.png", icc_profile=srgb)
    assert np.abs(load_still(path).astype(int) - noise()).max() <= 1


def test_a_grey_picture_may_have_the_profile_of_what_it_was_made_from(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RAMP).save(path, icc_profile=swapped_profile())
    assert probe(path).pixel_format == "L"
    assert np.abs(load_still(path).astype(int) - grey(RAMP)).max() <= 2


@pytest.mark.parametrize(
    ("mode", "profile", "why"),
    [
        ("RGB", b"no profile at all", "is damaged"),
        ("CMYK", None, "RGB pictures, and its pixels are CMYK"),
    ],
)
def test_a_profile_that_cannot_be_applied_is_refused(
    tmp_path: Path, mode: str, profile: bytes | None, why: str
) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "a.jpg"
    Image.fromarray(noise()).convert(mode).save(path, icc_profile=profile or srgb)
    with pytest.raises(MediaError, match=why) as caught:
        probe(path)
    assert caught.value.code is Code.UNREADABLE


@pytest.mark.parametrize("ending", ["png", "webp", "tiff"])
def test_transparent_pixels_show_the_background(tmp_path: Path, ending: str) -> None:
    how = {"lossless": True, "exact": True} if ending == "webp" else {}
    path = write_picture(tmp_path / f"a.{ending}", np.dstack([noise(), RAMP]), **how)
    assert probe(path).alpha
    assert np.abs(load_still(path) - on(255, noise(), RAMP)).max() <= 1
    assert np.abs(load_still(path, "#000000") - on(0, noise(), RAMP)).max() <= 1
    assert tuple(load_still(path, "#102030")[0, 0]) == (16, 32, 48)


def test_an_alpha_channel_that_lets_nothing_through_is_none(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", np.dstack([noise(), np.full_like(RAMP, 255)]))
    assert not probe(path).alpha
    assert np.array_equal(load_still(path, "#000000"), noise())


def test_a_transparent_colour_of_a_palette(tmp_path: Path) -> None:
    image = Image.fromarray(noise()).quantize(16)
    image.save(tmp_path / "a.png", transparency=3)
    found, clear = load_still(tmp_path / "a.png", "#010203"), np.asarray(image) == 3
    assert probe(tmp_path / "a.png").alpha
    assert clear.any()
    assert (found[clear] == (1, 2, 3)).all()
    assert np.array_equal(found[~clear], np.asarray(image.convert("RGB"))[~clear])


def test_other_kinds_of_pixels(tmp_path: Path) -> None:
    """16 bits: the upper 8, as Pillow takes those of RGB; a bit; grey with alpha; CMYK."""
    deep = (RAMP.astype(np.uint16) << 8) + 129
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tiff")
    for name in ("deep.png", "deep.tiff"):
        assert probe(tmp_path / name).bit_depth == 16
        assert np.array_equal(load_still(tmp_path / name), grey(RAMP))
    Image.fromarray(RAMP > 99).save(tmp_path / "bit.png")
    assert np.array_equal(load_still(tmp_path / "bit.png"), grey((RAMP > 99) * 255))
    Image.fromarray(np.dstack([RAMP, RAMP])).save(tmp_path / "la.png")
    assert np.abs(load_still(tmp_path / "la.png") - on(255, grey(RAMP), RAMP)).max() <= 1
    Image.fromarray(noise()).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    with Image.open(tmp_path / "cmyk.jpg") as image:
        assert image.mode == "CMYK"
        assert np.array_equal(load_still(tmp_path / "cmyk.jpg"), np.asarray(image.convert("RGB")))


def test_rgb_of_16_bits_is_taken_alike(tmp_path: Path) -> None:
    import cv2

    deep = (noise().astype(np.uint16) << 8) + 77
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    assert np.array_equal(load_still(tmp_path / "a.png"), noise())


def test_pixels_that_no_white_is_known_of_are_refused(tmp_path: Path) -> None:
    Image.fromarray(RAMP.astype(np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(MediaError, match="which value is white"):
        probe(tmp_path / "a.tiff")


def test_an_animated_picture_is_a_video_or_refused(tmp_path: Path) -> None:
    more = {"save_all": True, "append_images": [Image.fromarray(255 - noise())]}
    for ending in ("gif", "png", "avif"):
        info = probe(write_picture(tmp_path / f"a.{ending}", duration=100, **more))
        assert not info.is_still
        assert info.frames == 2
    for ending, why in (("webp", "animated WebP"), ("tiff", "holds 2 pictures")):
        with pytest.raises(MediaError, match=why):
            probe(write_picture(tmp_path / f"a.{ending}", **more))


@pytest.mark.parametrize("ending", CODED)
def test_contents_count_and_not_the_ending(tmp_path: Path, ending: str) -> None:
    path = write_picture(tmp_path / f"a.{ending}")
    wrong = shutil.copyfile(path, tmp_path / "wrong.mp4")
    assert probe(wrong).is_still
    assert probe(wrong).container == probe(path).container


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<!doctype html><title>Not found</title>")
    with pytest.raises(MediaError, match="web page") as caught:
        probe(tmp_path / "page.png")
    assert caught.value.code is Code.UNREADABLE
    (tmp_path / "bad.bmp").write_bytes(b"BM" + bytes(100))
    with pytest.raises(MediaError, match="cannot be read as a picture"):
        probe(tmp_path / "bad.bmp")
    (tmp_path / "new.jpg").write_bytes(b"\xff\x0a" + bytes(100))
    with pytest.raises(MediaError, match="not read \\(JPEG XL\\)"):
        probe(tmp_path / "new.jpg")


@pytest.mark.parametrize("ending", ["jpg", "png", "tiff", "bmp"])
def test_a_picture_that_is_cut_off(tmp_path: Path, ending: str) -> None:
    data = write_picture(tmp_path / f"a.{ending}").read_bytes()
    (tmp_path / f"b.{ending}").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(MediaError, match="cut off") as caught:
        probe(tmp_path / f"b.{ending}")
    assert caught.value.code is Code.TRUNCATED
    with pytest.raises(MediaError):
        load_still(tmp_path / f"b.{ending}")


@pytest.mark.parametrize("size", [(12_000, 8_333), (16_384, 16_384), (60_000, 60_000)])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(*size))
    with pytest.raises(MediaError, match=f"{size[0]}×{size[1]} is larger") as caught:
        probe(path)
    assert caught.value.code is Code.TOO_LARGE
    assert "scale the picture down" in (caught.value.remedy or "")


def test_a_picture_that_wants_too_much_memory_costs_itself_alone(tmp_path: Path) -> None:
    """In the worker process, whose memory is limited; the next file is looked into all the same."""
    large = np.zeros((8000, 8000), np.uint8)
    Image.fromarray(large).convert("RGB").save(tmp_path / "large.png", compress_level=1)
    write_picture(tmp_path / "small.png")
    files = [tmp_path / "large.png", tmp_path / "small.png"]
    found = list(inspect_all(tmp_path, files, limits=Limits(memory_mib=64)))
    assert found[0].error is not None
    assert found[0].error.code is Code.MEMORY_LIMIT
    assert isinstance(found[1].media, MediaInfo)


def test_what_an_older_version_remembered_is_forgotten(tmp_path: Path) -> None:
    from videoprep.fs.fact_cache import FactCache, keys_of

    path = write_picture(tmp_path / "a.png")
    error = {"message": "is a still image, not a video", "code": "VP108", "remedy": ""}
    with FactCache(tmp_path) as cache:
        import json

        (key,) = keys_of(tmp_path, [path])
        cache.put(key, probe(path).fingerprint, {"probe": json.dumps({"error": error})})
    (found,) = inspect_all(tmp_path, [path])
    assert isinstance(found.media, MediaInfo)


def test_heic_is_read_with_its_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turned one, too; without the plugin the error says what to install."""
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(noise())
    image.info["exif"] = exif.tobytes()  # which is written as what turns a HEIC picture
    path = tmp_path / "a.heic"
    image.save(path, quality=90)
    assert (probe(path).width, probe(path).height) == (48, 64)
    turned = np.rot90(noise(), -1).astype(int)
    assert np.abs(load_still(path) - turned).mean() < 12
    monkeypatch.delitem(Image.OPEN, "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MediaError, match="with pillow-heif only") as caught:
        probe(path)
    assert "videoprep[heif]" in (caught.value.remedy or "")


def test_a_thumbnail_and_a_scan(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", np.dstack([noise(640, 320), np.zeros((320, 640))]
                         ).astype(np.uint8))  # fmt: skip
    import cv2

    small = cv2.imdecode(np.frombuffer(thumbnail(path), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (96, 192, 3)
    assert small.min() > 240  # nothing but the background
    first, second = pictures(path, [0, 1])
    assert first == thumbnail(path)
    assert second == b""
    scan = scan_frames(write_picture(tmp_path / "black.png", np.zeros((48, 64, 3), np.uint8)))
    assert (scan.decoded, scan.brightness.tolist(), scan.damaged) == (1, [0], ())


def test_a_png_that_says_it_is_huge_takes_no_memory_for_it(tmp_path: Path) -> None:
    """What stands in the header is compared with the limit before anything is allocated."""
    path = tmp_path / "a.tiff"
    entries = [(256, 4, 1, 1 << 20), (257, 4, 1, 1 << 20), (258, 3, 1, 8), (262, 3, 1, 1),
               (273, 4, 1, 8), (277, 3, 1, 1), (279, 4, 1, 8)]  # fmt: skip
    data = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries))
    data += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    path.write_bytes(data)
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert caught.value.code is Code.TOO_LARGE


def test_a_still_has_no_scenes(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="has no scenes"):
        scan_scenes(write_picture(tmp_path / "film.mp4.png"))
