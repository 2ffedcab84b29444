"""The alpha channel of still images, for masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videoprep.errors import MediaError
from videoprep.media.still_image import load_still_alpha


@pytest.mark.parametrize("ending", ["png", "webp", "tiff"])
def test_alpha_is_read_as_grey(ending: str, tmp_path: Path) -> None:
    picture = np.full((6, 8, 4), 90, np.uint8)
    picture[..., 3] = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    Image.fromarray(picture).save(tmp_path / f"a.{ending}", lossless=True)
    read = load_still_alpha(tmp_path / f"a.{ending}")
    assert read.shape == (6, 8, 3)
    assert (read == picture[..., 3:]).all()


def test_an_opaque_picture_with_alpha_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), "#00000000").save(tmp_path / "clear.png")
    Image.new("RGBA", (4, 4), "#000000ff").save(tmp_path / "opaque.png")
    assert (load_still_alpha(tmp_path / "clear.png") == 0).all()
    assert (load_still_alpha(tmp_path / "opaque.png") == 255).all()


def test_a_turned_picture_is_upright(tmp_path: Path) -> None:
    picture = np.zeros((4, 6, 4), np.uint8)
    picture[0, 0, 3] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    read = load_still_alpha(tmp_path / "a.png")
    assert read.shape == (6, 4, 3)
    assert read[0, 3, 0] == 255


def test_a_picture_without_alpha_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(MediaError, match=r"has no alpha channel \(RGB\)"):
        load_still_alpha(tmp_path / "a.png")
