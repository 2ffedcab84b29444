"""From a file to the pixels of one clip: decode, crop, resize, normalise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError
from videoprep.media.decode import FrameChoice, FrameDamage, FrameDecoder, Picture
from videoprep.media.geometry import Box

if TYPE_CHECKING:
    import torch

PIXELS = "PyAV's uint8 RGB, crop, bicubic antialiased"
"""How pixels are made; part of every recipe, so that a change here makes old latents stale."""


MaskChannel = Literal["luma", "alpha"]
"""What of a picture is its mask."""


@dataclass(frozen=True, slots=True)
class MaskReading:
    """How a mask is read from pictures. What is padded is outside of it, however it is read."""

    channel: MaskChannel = "luma"
    """What of them is the mask: how bright they are, or how opaque."""
    inverted: bool = False
    """Whether black means what white does otherwise."""


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
        mask: how they are read as a mask; None: they are colours.
    """

    frames: FrameChoice
    fingerprint: str
    source_width: int
    source_height: int
    crop: Box
    fit: Box
    width: int
    height: int
    mask: MaskReading | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the pixels: ``(F, 3, H, W)``."""
        return len(self.frames.indices), 3, self.height, self.width

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write; `from_json` reads it back."""
        frames, crop, fit = self.frames, self.crop, self.fit
        return {
            "path": str(frames.path),
            "stream": frames.stream,
            "indices": [int(index) for index in frames.indices],
            "ticks": None if frames.ticks is None else [int(tick) for tick in frames.ticks],
            "time_base": None if frames.time_base is None else str(frames.time_base),
            "background": frames.background,
            "fingerprint": self.fingerprint,
            "source": [self.source_width, self.source_height],
            "crop": [crop.x, crop.y, crop.width, crop.height],
            "fit": [fit.x, fit.y, fit.width, fit.height],
            "size": [self.width, self.height],
            "mask": None if self.mask is None else asdict(self.mask),
        }

    @property
    def is_resized(self) -> bool:
        """Whether the part that is cropped has another size than where it goes."""
        return (self.crop.height, self.crop.width) != (self.fit.height, self.fit.width)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ClipPixels:
        """The inverse of `to_json`."""
        frames = FrameChoice(
            path=Path(data["path"]),
            stream=data["stream"],
            indices=data["indices"],
            ticks=data["ticks"],
            time_base=None if data["time_base"] is None else Fraction(data["time_base"]),
            background=data["background"],
        )
        (source_width, source_height), (width, height) = data["source"], data["size"]
        mask = data["mask"]
        return cls(
            frames=frames,
            fingerprint=data["fingerprint"],
            source_width=source_width,
            source_height=source_height,
            crop=Box(*data["crop"]),
            fit=Box(*data["fit"]),
            width=width,
            height=height,
            mask=None if mask is None else MaskReading(**mask),
        )


def load_clip(clip: ClipPixels) -> torch.Tensor:
    """Return the clip's pixels: uint8 ``[F, 3, H, W]`` RGB. Each frame is fitted as it comes.

    Raises:
        MediaError: with `Code.DECODE_FAILED` if frames are missing, do not decode, or have another
            size than planned; with `Code.DAMAGED_FRAMES` or `Code.CHANGES_MIDWAY` as they say.
    """
    import torch

    pixels = torch.empty(clip.shape, dtype=torch.uint8)
    decoder = FrameDecoder()
    try:
        damage = load_clip_into(pixels.numpy(), clip, decoder)
    finally:
        decoder.close()
    if damage is not None:
        raise damaged(clip, damage)
    return pixels


def load_clip_into(
    pixels: NDArray[np.uint8], clip: ClipPixels, decoder: FrameDecoder
) -> FrameDamage | None:
    """Write what `load_clip` returns to where there is room for it.

    At most one decoded frame is in memory beside ``pixels``, which an error leaves half written.

    Returns:
        What is damaged; None if nothing is.
    """
    alpha = clip.mask is not None and clip.mask.channel == "alpha"
    for out, picture in zip(pixels, decoder.frames(clip.frames, alpha=alpha), strict=True):
        _fit(picture, clip, out)
    return decoder.damage


def damaged(clip: ClipPixels, damage: FrameDamage) -> MediaError:
    """Return the error for a clip with damaged frames."""
    return MediaError(
        str(damage),
        code=Code.DAMAGED_FRAMES,
        where=str(clip.frames.path),
        remedy="copy or download the file again, or take damaged frames with `allow_damaged`",
    )


def to_unit(pixels: torch.Tensor) -> torch.Tensor:
    """Return uint8 0…255 as float32 0…1."""
    return pixels.float() / 255.0


def normalize(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 0…255 to float32 −1…1, in the two steps of diffusers' `VideoProcessor`, to the bit."""
    return 2.0 * to_unit(pixels) - 1.0


def _fit(picture: Picture, clip: ClipPixels, out: NDArray[np.uint8]) -> None:
    """Writes a frame, cropped and resized, to ``out``: uint8 ``[3, H, W]``."""
    if picture.shape[:2] != (clip.source_height, clip.source_width):
        raise MediaError(
            f"a frame is {picture.shape[1]}×{picture.shape[0]}, "
            f"planned were {clip.source_width}×{clip.source_height}",
            code=Code.DECODE_FAILED,
            where=str(clip.frames.path),
        )
    box, fit = clip.crop, clip.fit
    part = picture[box.y : box.y + box.height, box.x : box.x + box.width]
    frame = _resize(part, fit.height, fit.width) if clip.is_resized else part.transpose(2, 0, 1)
    if clip.mask is not None and clip.mask.inverted:
        frame = 255 - frame
    if (fit.height, fit.width) != (clip.height, clip.width):
        out[:] = 0
    out[:, fit.y : fit.y + fit.height, fit.x : fit.x + fit.width] = frame


def _resize(part: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """What torchvision's resize comes to, whose import takes every decoding process a second.

    Torch takes a third to a quarter of the time for a picture whose channels lie together, as they
    do where it comes from, and gives the same bits.

    Args:
        part: uint8 ``[H, W, 3]``.
        height: rows, after.
        width: pixels a row, after.

    Returns:
        uint8 ``[3, height, width]``.
    """
    import torch
    from torch.nn.functional import interpolate

    batch = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None]
    resized = interpolate(batch, [height, width], mode="bicubic", antialias=True)
    array: NDArray[np.uint8] = resized[0].numpy()
    return array
