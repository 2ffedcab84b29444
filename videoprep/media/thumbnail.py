"""A small picture of a video, for reports."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError
from videoprep.media.geometry import square_size
from videoprep.media.orientation import orientation_of
from videoprep.media.probe import best_video_stream, open_file

_SIDE = 192
_QUALITY = 70


def thumbnail(path: Path) -> bytes:
    """The first frame, as players show it, as a JPEG whose longer side has at most 192 pixels.

    Raises:
        MediaError: no frame of it can be decoded.
        av.error.FFmpegError: the file cannot be opened.
    """
    with open_file(path) as container:
        stream = best_video_stream(container)
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
            size = square_size(frame.width, frame.height, Fraction(aspect or 1))
            scale = min(1.0, _SIDE / max(size))
            width, height = (max(1, round(side * scale)) for side in size)
            small = frame.reformat(width=width, height=height, format="bgr24").to_ndarray()
            return _jpeg(orientation_of(frame).apply(cast("NDArray[np.uint8]", small)))
    raise MediaError("no frame of it can be decoded", code=Code.UNREADABLE, where=str(path))


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    upright = np.ascontiguousarray(picture)
    done, data = cv2.imencode(".jpg", upright, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError("the picture cannot be written as a JPEG")
    return data.tobytes()
