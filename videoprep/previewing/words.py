"""What is said of a clip, the same in every form."""

from __future__ import annotations

from collections.abc import Sequence

from videoprep.previewing.pictures import ClipPicture, Reconstruction

_NUMBERS = 12


def figures(picture: ClipPicture) -> str:
    """Bucket, rate, frames and PSNR in a line."""
    clip, measure = picture.measure.clip, picture.measure
    parts = [f"{clip.bucket} at {clip.fps:g} fps"]
    if picture.crop is not None:
        parts.append(_cut(measure))
    parts += [decibels(measure)] if measure.psnr is not None else []
    parts.append(f"shown: {_listed(picture.file_frames)} of the file")
    return " · ".join(parts)


def decibels(measure: Reconstruction) -> str:
    """PSNR of all frames, and of the first from its own latents."""
    text = "PSNR –" if measure.psnr is None else f"PSNR {measure.psnr:.1f} dB"
    return text if measure.image_psnr is None else f"{text}, first frame {measure.image_psnr:.1f}"


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
