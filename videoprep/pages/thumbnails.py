"""Pictures of videos for pages: made by worker processes, since a video may be hostile."""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from videoprep.errors import VideoprepError
from videoprep.workers.pool import Answer, InspectionRequest, Lost, WorkerPool

logger = logging.getLogger(__name__)

# A picture is a nicety: a video that takes long gives none, and all together take so long at most.
_SECONDS = 10.0
_SECONDS_OF_ALL = 60.0
_PICTURE_BYTES = 1 << 16


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
    try:
        data = base64.b64decode(answer["thumbnail"]["value"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        return None
    if not data.startswith(b"\xff\xd8") or len(data) > _PICTURE_BYTES:
        return None
    return Markup("data:image/jpeg;base64,{}").format(base64.b64encode(data).decode())
