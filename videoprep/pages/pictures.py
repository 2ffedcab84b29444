"""Pictures for pages: thumbnails of videos, which may be hostile, and strips of frames."""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from videoprep.errors import VideoprepError
from videoprep.pages.builder import jpeg_url
from videoprep.workers.pool import Answer, InspectionRequest, Lost, WorkerPool

logger = logging.getLogger(__name__)

# A picture is a nicety: a video that takes long gives none, and all together take so long at most.
_SECONDS = 10.0
_SECONDS_OF_ALL = 60.0
_PICTURE_BYTES = 1 << 16

_GAP = 4
"""Pixels between the frames of a strip."""


def thumbnails(paths: Sequence[Path]) -> dict[Path, Markup]:
    """Pictures of those videos that give one, as data URLs."""
    found: dict[Path, Markup] = {}
    requests = (InspectionRequest(("thumbnail",), path, _SECONDS) for path in paths)
    until = time.monotonic() + _SECONDS_OF_ALL
    try:
        with WorkerPool() as pool:
            for path, answer in zip(paths, pool.run(requests), strict=True):
                picture = _picture(answer)
                if picture is not None:
                    found[path] = picture
                if time.monotonic() > until:
                    break
    except VideoprepError as error:  # without workers there is a report, though no pictures
        logger.warning("the report has no pictures: %s", error)
    return found


def _picture(answer: Answer | Lost) -> Markup | None:
    """The data URL in a worker's answer, once it is sure to be one: the video is a stranger's."""
    if isinstance(answer, Lost) or "value" not in answer.get("thumbnail", {}):
        return None
    return jpeg_of(answer["thumbnail"]["value"])


def jpeg_of(text: object) -> Markup | None:
    """Return the data URL of a small JPEG that a worker sent in base64; None if it is not one."""
    if not isinstance(text, str):
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    if not data.startswith(b"\xff\xd8") or len(data) > _PICTURE_BYTES:
        return None
    return jpeg_url(data)


def strip(*rows: NDArray[np.uint8], side: int, quality: int) -> Markup:
    """Return frames side by side, in one row or several, as the data URL of a JPEG.

    Args:
        rows: uint8 RGB ``[F, H, W, 3]``.
        side: pixels of a frame's longer side; a small one grows by whole numbers, up to that.
        quality: of the JPEG, up to 100.
    """
    drawn = np.concatenate([_row(frames, side) for frames in rows])[:-_GAP, :-_GAP]
    # OpenCV takes blue first.
    _, data = cv2.imencode(".jpg", drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return jpeg_url(data.tobytes())


def _row(frames: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """uint8 RGB ``[H, F × W, 3]``, with a gap to the right of and below each frame."""
    height, width = frames.shape[1:3]
    scale = side / max(height, width)
    scale = max(1, int(scale)) if scale >= 1 else scale
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    edges = ((0, _GAP), (0, _GAP), (0, 0))
    shown = [np.pad(cv2.resize(one, size, interpolation=how), edges) for one in frames]
    return np.concatenate(shown, axis=1)
