"""Videos that threads wait for: the one that was asked for last is made first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from videoprep.errors import VideoprepError

K = TypeVar("K")
J = TypeVar("J")


@dataclass(eq=False, slots=True)
class VideoOrder(Generic[K, J]):
    """A video that threads wait for."""

    key: K
    """What it is known by."""
    job: J
    """What is to be made."""
    video: Future[bytes] = field(default_factory=Future)
    """The file, or why there is none."""
    askers: int = 0
    """How many threads wait for it."""

    def is_done(self, seconds: float | None) -> bool:
        """Wait for the video, and return whether it is there or has failed.

        Args:
            seconds: how long; None: as long as it takes.
        """
        return bool(wait([self.video], seconds).done)


class VideoOrders(Generic[K, J]):
    """Orders of any threads, for one that makes the videos.

    Whoever looks at clips one after the other wants the last one. So it is made first, and of
    those that are not begun yet only the last ones stay.

    Args:
        most: how many orders may wait to be begun.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._waiting: OrderedDict[K, VideoOrder[K, J]] = OrderedDict()
        self._begun: VideoOrder[K, J] | None = None
        self._is_closed = False

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting)

    def ask(self, key: K, job: J) -> VideoOrder[K, J]:
        """Return the order for a video, a new one if there is none; `leave` it in the end.

        Raises:
            VideoprepError: no video is made any more.
        """
        with self._changed:
            if self._is_closed:
                raise _ended()
            if self._begun is not None and self._begun.key == key:
                order = self._begun
            else:
                order = self._waiting.setdefault(key, VideoOrder(key, job))
                self._waiting.move_to_end(key)
            order.askers += 1
            while len(self._waiting) > self._most:
                _, oldest = self._waiting.popitem(last=False)
                oldest.video.set_exception(
                    VideoprepError(
                        "too many clips were asked for since", remedy="open the clip again"
                    )
                )
            self._changed.notify()
            return order

    def leave(self, order: VideoOrder[K, J]) -> None:
        """Wait no longer; an order for which nobody waits is not begun."""
        with self._changed:
            order.askers -= 1
            if not order.askers and self._waiting.get(order.key) is order:
                del self._waiting[order.key]

    def take(self) -> VideoOrder[K, J] | None:
        """Wait for an order and begin with it; None: there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._waiting)
            if self._is_closed:
                return None
            _, self._begun = self._waiting.popitem()
            return self._begun

    def finish(self, order: VideoOrder[K, J], answer: bytes | Exception) -> None:
        """Give the video of an order that was begun to all who wait, or what went wrong."""
        with self._changed:
            self._begun = None
            if order.video.done():  # all was closed meanwhile
                return
            if isinstance(answer, Exception):
                order.video.set_exception(answer)
            else:
                order.video.set_result(answer)

    def close(self) -> None:
        """End all waiting, and take no more orders."""
        with self._changed:
            self._is_closed = True
            left = [*self._waiting.values(), *([self._begun] if self._begun else [])]
            self._waiting.clear()
            for order in left:
                if not order.video.done():
                    order.video.set_exception(_ended())
            self._changed.notify_all()


def _ended() -> VideoprepError:
    return VideoprepError("the review has ended")
