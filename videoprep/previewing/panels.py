"""What is shown and said of a clip, alike in sheet, movie and page: rows of frames, and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videoprep.index.clip import Clip
from videoprep.media.geometry import Box
from videoprep.previewing.pictures import ClipPicture, Frames, PictureBeside, Reconstruction
from videoprep.spec.roles import Role
from videoprep.text import numbered

_DIMMED = 0.4
_LINE = (255, 214, 10)
_TINT, _TINTED = (255, 45, 85), 0.6

# Pixels of a frame's longer side per pixel of line width.
_SIDE_OF_LINE = 200

_NUMBERS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Frames of one kind.

    Attributes:
        label: what they are.
        frames: uint8 ``[F, H, W, 3]``; None where there are none.
    """

    label: str
    frames: Frames | None


def panels(picture: ClipPicture) -> tuple[Panel, ...]:
    """Source and reconstruction, or without a VAE the whole frames and what is cut from them.

    Then what the clip has beside its video, such as control media; masks lie on the source.
    """
    beside = (_beside(picture, one) for one in picture.beside)
    if picture.crop is not None:
        marked = None if picture.whole is None else mark_crop(picture.whole, picture.crop)
        return Panel("video", marked), Panel("chosen", picture.source), *beside
    return Panel("source", picture.source), Panel("decoded", picture.decoded), *beside


def _beside(picture: ClipPicture, one: PictureBeside) -> Panel:
    if not Role(one.role).is_mask or one.frames is None or picture.source is None:
        return Panel(one.role, one.frames)
    return Panel(one.role, mark_mask(picture.source, one.frames))


def mark_mask(frames: Frames, mask: Frames) -> Frames:
    """The frames, tinted where the mask is white, and as they are where it is black.

    Args:
        frames: uint8 ``[F, H, W, 3]``.
        mask: likewise.
    """
    share = _TINTED * mask.mean(axis=3, keepdims=True) / 255
    marked: Frames = (frames * (1 - share) + np.array(_TINT) * share).astype(frames.dtype)
    return marked


def mark_crop(frames: Frames, crop: Box) -> Frames:
    """The frames with a line around the crop, inside of it, and all else dimmed.

    Args:
        frames: uint8 ``[F, H, W, 3]``.
        crop: in their pixels.
    """
    thick = max(1, max(frames.shape[1:3]) // _SIDE_OF_LINE)
    left, top, right, bottom = crop.x, crop.y, crop.x + crop.width, crop.y + crop.height
    marked = (frames * _DIMMED).astype(frames.dtype)
    marked[:, top:bottom, left:right] = frames[:, top:bottom, left:right]
    for line in (
        marked[:, top : top + thick, left:right],
        marked[:, bottom - thick : bottom, left:right],
        marked[:, top:bottom, left : left + thick],
        marked[:, top:bottom, right - thick : right],
    ):
        line[:] = _LINE
    return marked


def figures(picture: ClipPicture) -> str:
    """Bucket, rate, frames and PSNR in a line."""
    clip, measure = picture.measure.clip, picture.measure
    parts = [str(clip.bucket) if clip.fps is None else f"{clip.bucket} at {clip.fps:g} fps"]
    if picture.crop is not None:
        parts.append(_cut(measure))
    parts += [decibels(measure)] if measure.psnr is not None else []
    parts += [f"sound: {picture.sound}"] if picture.sound is not None else []
    still = "the still image"
    shown = still if clip.is_still else f"shown: {_listed(picture.file_frames)} of the file"
    parts.append(shown)
    return " · ".join(parts)


def decibels(measure: Reconstruction) -> str:
    """PSNR of all frames, and of the first from its own latents."""
    text = "PSNR –" if measure.psnr is None else f"PSNR {measure.psnr:.1f} dB"
    return text if measure.image_psnr is None else f"{text}, first frame {measure.image_psnr:.1f}"


def captions(clip: Clip) -> list[str]:
    """A clip's caption, or each of several with its number."""
    return numbered(clip.captions)


def is_of(picture: ClipPicture, measure: Reconstruction | None) -> bool:
    """Whether a picture is of the clip that was measured."""
    return measure is not None and picture.measure.number == measure.number


def _cut(measure: Reconstruction) -> str:
    pixels = measure.clip.pixels
    crop, fit = pixels.crop, pixels.fit
    text = f"{crop.width}×{crop.height} of {pixels.source_width}×{pixels.source_height}"
    text += f" from {crop.x}, {crop.y}"
    if pixels.is_resized:
        text += f", resized to {fit.width}×{fit.height}"
    if (fit.width, fit.height) != (pixels.width, pixels.height):
        text += ", on black"
    return text


def _listed(frames: Sequence[int]) -> str:
    named = ", ".join(map(str, frames[:_NUMBERS]))
    return f"frames {named}{', …' if len(frames) > _NUMBERS else ''}"
