"""From a file to the pixels of one clip: decode, crop, resize, normalise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from videoprep.errors import Code, MediaError
from videoprep.media.decode import DecoderName, FrameChoice, Picture, decode_frames
from videoprep.media.geometry import Box

if TYPE_CHECKING:
    import torch

PIXELS = "crop, bicubic antialiased, uint8 RGB"
"""How pixels are made; part of every recipe, so that a change here makes old latents stale."""


@dataclass(frozen=True, slots=True)
class ClipPixels:
    """All that decides the pixels of a clip.

    Attributes:
        frames: which frames of which file.
        fingerprint: of the file that was planned.
        source_width: width of the upright frames, as planned.
        source_height: height of the upright frames, as planned.
        crop: which part of each.
        fit: where that part lies, after; around it all is black.
        width: pixels a row, after.
        height: rows, after.
    """

    frames: FrameChoice
    fingerprint: str
    source_width: int
    source_height: int
    crop: Box
    fit: Box
    width: int
    height: int


def load_clip(clip: ClipPixels, decoder: DecoderName) -> torch.Tensor:
    """The clip's pixels: uint8 ``[F, 3, H, W]`` RGB. Each frame is fitted as it comes.

    Raises:
        MediaError: with `Code.DECODE_FAILED`, where frames are missing, do not decode, or have
            another size than planned.
    """
    import torch

    frames = decode_frames(clip.frames, decoder)
    return torch.stack([_fit(picture, clip) for picture in frames])


def normalize(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 0…255 to float32 −1…1, in the two steps of diffusers' `VideoProcessor`, to the bit."""
    return 2.0 * (pixels.float() / 255.0) - 1.0


def _fit(picture: Picture, clip: ClipPixels) -> torch.Tensor:
    import numpy as np
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize

    if picture.shape[:2] != (clip.source_height, clip.source_width):
        raise MediaError(
            f"a frame is {picture.shape[1]}×{picture.shape[0]}, "
            f"planned were {clip.source_width}×{clip.source_height}",
            code=Code.DECODE_FAILED,
            where=str(clip.frames.path),
        )
    box, fit = clip.crop, clip.fit
    part = picture[box.y : box.y + box.height, box.x : box.x + box.width]
    frame = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1).contiguous()
    if (box.height, box.width) != (fit.height, fit.width):
        frame = resize(
            frame, [fit.height, fit.width], interpolation=InterpolationMode.BICUBIC, antialias=True
        )
    if (fit.height, fit.width) == (clip.height, clip.width):
        return frame
    canvas = torch.zeros((3, clip.height, clip.width), dtype=torch.uint8)
    canvas[:, fit.y : fit.y + fit.height, fit.x : fit.x + fit.width] = frame
    return canvas
