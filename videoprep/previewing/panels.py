"""What lies side by side: rows of frames and their labels, for sheet, movie and page alike."""

from __future__ import annotations

from dataclasses import dataclass

from videoprep.media.geometry import Box
from videoprep.previewing.pictures import ClipPicture, Frames

_DIMMED = 0.4
_LINE = (255, 214, 10)

# A line is a pixel thick for so many pixels of a frame's longer side.
_SIDE_OF_LINE = 200


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Frames of one kind.

    Attributes:
        label: what they are.
        frames: uint8 ``[F, H, W, 3]``; None where there are none.
    """

    label: str
    frames: Frames | None


def panels(picture: ClipPicture) -> tuple[Panel, Panel]:
    """Source and reconstruction, or without a VAE the whole frames and what is cut from them."""
    if picture.crop is not None:
        marked = None if picture.whole is None else mark_crop(picture.whole, picture.crop)
        return Panel("video", marked), Panel("chosen", picture.source)
    return Panel("source", picture.source), Panel("decoded", picture.decoded)


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
