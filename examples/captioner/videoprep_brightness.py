"""A captioner without a model: it says how bright a clip is, and whether that changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from videoprep.captions.protocol import CaptionFailure, CaptionReply, CaptionRequest

T = TypeVar("T")


class BrightnessCaptioner:
    """Describes brightness. A real one would load a model here, or connect to one."""

    identity = "brightness 1"  # another version answers anew
    settings: Mapping[str, Any] = {}
    ahead = 1

    def __init__(self, model: str) -> None:
        self.model = model

    def ask(
        self, requests: Iterator[tuple[T, CaptionRequest]]
    ) -> Iterator[tuple[T, CaptionReply | CaptionFailure]]:
        for item, request in requests:
            if not request.frames:
                yield item, CaptionFailure("there are no frames")
                continue
            first, last = (float(request.frames[at].mean()) for at in (0, -1))
            light = "A bright" if first + last > 255 else "A dark"
            change = "grows brighter" if last > first + 8 else "stays as it is"
            yield item, CaptionReply(f"{light} scene {change}.")

    def close(self) -> None:
        pass


def open_captioner(model: str) -> BrightnessCaptioner:
    return BrightnessCaptioner(model)
