"""Small still images with known contents, written by Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

RGB = NDArray[np.uint8]


def noise(width: int = 64, height: int = 48, seed: int = 0) -> RGB:
    """Blocks of 8 × 8 pixels in colours of chance: uint8 ``[H, W, 3]``."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)[:height, :width]


def write_picture(path: Path, pixels: RGB | None = None, **how: Any) -> Path:
    """Writes a picture; its ending chooses the format, without loss where there is a choice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise() if pixels is None else pixels).save(path, **how)
    return path


def swapped_profile() -> bytes:
    """An ICC profile of RGB pictures in which red and green are exchanged."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    tags = [132 + 12 * number for number in range(count)]
    at = {bytes(data[tag : tag + 4]): tag for tag in tags}
    red, green = (slice(at[name] + 4, at[name] + 12) for name in (b"rXYZ", b"gXYZ"))
    data[red], data[green] = data[green], data[red]
    return bytes(data)
