"""The clips as videos that a browser plays: exactly the frames that are trained on."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from videoprep.errors import VideoprepError
from videoprep.exporters.media.video_file import writing_frames
from videoprep.index.placement import LeftOut, Placement, frames_of_range, place
from videoprep.index.policy import Policy
from videoprep.media.clip import ClipPixels
from videoprep.media.decode import FrameChoice
from videoprep.media.decode_pool import DecodePool
from videoprep.media.geometry import Box, whole
from videoprep.media.inspect import inspect_all
from videoprep.media.probe import MediaInfo
from videoprep.media.timestamps import nearest_frames
from videoprep.review.video_orders import VideoOrders
from videoprep.spec.sample import Sample
from videoprep.text import escape_unprintable

# Longer sides of what is shown, in pixels, and bytes of pixels that one clip may take.
_SIDE, _LEAST_SIDE = 640, 160
_PIXEL_BYTES = 256 << 20

# Bytes of videos that are kept for when they are asked for again, and plans of clips.
_KEPT_BYTES = 128 << 20
_KEPT_PLANS = 1024

# How many videos may wait to be made: a browser asks for six at a time.
_MOST_ORDERS = 16

# After so many seconds of waiting, and again, it is asked whether the video is still wanted.
_ASK_SECONDS = 0.5

_MOST_PARTS = 64

# Seconds in which the process ends; it ends with this one in any case.
_END_SECONDS = 1.0

# What looks good at the size of a page.
_CRF = 20


# A sample's position, and the number of its part.
VideoKey = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ClipPart:
    """A part of a sample that is played: one of its planned clips, or its whole range."""

    label: str
    """What it is, in words."""
    pixels: ClipPixels
    """The whole picture of exactly these frames, as large as it is shown."""
    rate: Fraction
    """Frames a second."""
    crop: Box | None = None
    """What is kept of the upright picture; None if all is."""
    bucket: str = ""
    """Frames × height × width; empty if the sample is not planned."""
    cut: bool = False
    """Whether the range has more frames than are shown."""

    def to_json(self) -> dict[str, Any]:
        """Return what the page shows of it."""
        frames, size = len(self.pixels.frames.indices), self.pixels
        crop = self.crop
        return {
            "label": self.label,
            "frames": frames,
            "fps": float(self.rate),
            "first": int(self.pixels.frames.indices[0]),
            "last": int(self.pixels.frames.indices[-1]),
            "source": [size.source_width, size.source_height],
            "shown": [size.width, size.height],
            "bucket": self.bucket,
            "cut": self.cut,
            "crop": None
            if crop is None
            else [
                round(100 * crop.x / size.source_width, 3),
                round(100 * crop.y / size.source_height, 3),
                round(100 * crop.width / size.source_width, 3),
                round(100 * crop.height / size.source_height, 3),
            ],
            "kept": "" if crop is None else f"{crop.width}×{crop.height}",
        }


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """How a sample is played."""

    parts: tuple[ClipPart, ...] = ()
    """Its clips, then its whole range if that is more; none if the video cannot be used."""
    note: str = ""
    """Why the sample is not planned, or cannot be played."""

    def to_json(self) -> dict[str, Any]:
        """Return what the page shows of it."""
        note = escape_unprintable(self.note)
        return {"parts": [part.to_json() for part in self.parts], "note": note}


def plan_of(media: MediaInfo, path: Path, policy: Policy, sample: Sample) -> ClipPlan:
    """Return how a sample is played.

    Args:
        media: what is in its file.
        path: of the file.
        policy: how clips are planned.
        sample: whose range counts.
    """
    range_ = frames_of_range(media, sample.extras, policy.time_zero)
    if isinstance(range_, LeftOut):
        return ClipPlan(note=range_.reason)
    placed = place(media, policy, sample.extras)
    parts: list[ClipPart] = []
    if not isinstance(placed, LeftOut):
        several = len(placed) > 1
        for number, one in enumerate(placed[:_MOST_PARTS], start=1):
            label = f"clip {number} of {len(placed)}" if several else "the clip"
            parts.append(_planned(media, path, one, label))
    indices = _frames_in(media, range_)
    if not parts or len(parts) > 1 or list(parts[0].pixels.frames.indices) != indices.tolist():
        is_ranged = sample.extras.start is not None or sample.extras.end is not None
        label = "the whole range" if is_ranged else "the whole video"
        parts.append(_part(media, path, indices, media.fps, label))
    return ClipPlan(tuple(parts), placed.reason if isinstance(placed, LeftOut) else "")


def _frames_in(media: MediaInfo, range_: range) -> Any:
    if not media.variable_frame_rate:
        return np.arange(range_.start, range_.stop, dtype=np.int32)
    seconds = media.timestamps.seconds()
    end = media.duration if range_.stop >= media.frames else float(seconds[range_.stop])
    start = float(seconds[range_.start])
    count = max(1, round((end - start) * float(media.fps)))
    return nearest_frames(seconds, media.fps, count, start)


def _planned(media: MediaInfo, path: Path, placement: Placement, label: str) -> ClipPart:
    crop: Box | None = placement.crop
    if crop == whole(media.width, media.height):
        crop = None
    bucket = str(placement.bucket)
    return _part(media, path, placement.frame_indices, placement.rate, label, crop, bucket)


def _part(
    media: MediaInfo,
    path: Path,
    indices: Any,
    rate: Fraction,
    label: str,
    crop: Box | None = None,
    bucket: str = "",
) -> ClipPart:
    width, height, most = _shown_size(*media.shown_size, len(indices))
    kept = indices[:most]
    times = media.timestamps
    ticks = [int(tick) for tick in times.ticks[kept]] if times.timed else None
    frames = FrameChoice(path, media.stream, kept.tolist(), ticks, times.time_base)
    pixels = ClipPixels(
        frames=frames,
        fingerprint=media.fingerprint,
        source_width=media.width,
        source_height=media.height,
        crop=whole(media.width, media.height),
        fit=whole(width, height),
        width=width,
        height=height,
    )
    return ClipPart(label, pixels, rate, crop, bucket, cut=len(kept) < len(indices))


def _shown_size(width: int, height: int, frames: int) -> tuple[int, int, int]:
    """Return width and height, both even, and how many frames there is room for."""
    longer = max(width, height)
    room = sqrt(_PIXEL_BYTES / (3 * frames * width * height))
    scale = min(1.0, _SIDE / longer, max(room, _LEAST_SIDE / longer))
    across, down = (max(16, 2 * round(side * scale / 2)) for side in (width, height))
    return across, down, max(1, _PIXEL_BYTES // (3 * across * down))


class ClipVideos:
    """Makes videos of clips when they are asked for. Any thread may ask.

    Videos are decoded in a process of its own; those that were made last are kept in memory.

    Args:
        root: the data root.
        policy: how clips are planned; its buckets are chosen.
    """

    def __init__(self, root: Path, policy: Policy) -> None:
        self._root = root
        self._policy = policy
        self._plans: OrderedDict[int, ClipPlan] = OrderedDict()
        self._videos: OrderedDict[VideoKey, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._orders: VideoOrders[VideoKey, ClipPart] = VideoOrders(_MOST_ORDERS)
        self._maker: threading.Thread | None = None

    def plan(self, position: int, sample: Sample) -> ClipPlan:
        """Return how a sample is played.

        Args:
            position: the sample's, by which its plan is kept.
            sample: the sample.
        """
        with self._looking:
            plan = self._plans.get(position)
            if plan is None:
                plan = self._look(sample)
            if plan.parts:  # what cannot be played now may be there the next time
                self._plans[position] = plan
                self._plans.move_to_end(position)
                if len(self._plans) > _KEPT_PLANS:
                    self._plans.popitem(last=False)
            return plan

    def video(
        self,
        position: int,
        sample: Sample,
        part: int,
        is_wanted: Callable[[], bool] | None = None,
    ) -> bytes:
        """Return an MP4 file of a part of a sample.

        Args:
            position: the sample's, by which its videos are kept.
            sample: the sample.
            part: the number of its part.
            is_wanted: asked now and then while the video is not made; None: it is.

        Raises:
            VideoprepError: the sample has no such part, or it cannot be decoded; the video is not
                wanted any more, or newer ones have taken its place; or the videos were closed.
        """
        plan = self.plan(position, sample)
        if not 0 <= part < len(plan.parts):
            raise VideoprepError(plan.note or "the sample has no such clip")
        key = (position, part)
        with self._lock:
            kept = self._videos.get(key)
            if kept is not None:
                self._videos.move_to_end(key)
                return kept
            order = self._orders.ask(key, plan.parts[part])
            self._start()
        try:
            while not order.is_done(None if is_wanted is None else _ASK_SECONDS):
                if is_wanted is not None and not is_wanted():
                    raise VideoprepError("nobody waits for the clip any more")
            return order.video.result()
        finally:
            self._orders.leave(order)

    def close(self) -> None:
        """End the process; what is still asked for fails, and so does what is asked for later."""
        self._orders.close()
        with self._lock:
            maker = self._maker
        if maker is not None:
            maker.join(_END_SECONDS)

    def _look(self, sample: Sample) -> ClipPlan:
        try:
            found = next(inspect_all(self._root, [sample.path])).media
        except VideoprepError as error:
            return ClipPlan(note=error.message)
        if not isinstance(found, MediaInfo):
            return ClipPlan(note=found.message)
        return plan_of(found, Path(sample.path), self._policy, sample)

    def _start(self) -> None:
        if self._maker is None:
            self._maker = threading.Thread(target=self._make, daemon=True)
            self._maker.start()

    def _make(self) -> None:
        """Make what is asked for, one after the other: a decode pool belongs to one thread."""
        pool: DecodePool | None = None
        try:
            while (order := self._orders.take()) is not None:
                try:
                    pool = pool or DecodePool(
                        size=1, memory=_PIXEL_BYTES, resizing=True, allow_damaged=True
                    )
                    video = _encoded(pool, order.job)
                except Exception as error:  # noqa: BLE001 (whoever asked gets it)
                    with self._looking:  # the file may be another one than was looked into
                        self._plans.pop(order.key[0], None)
                    self._orders.finish(order, error)
                    continue
                with self._lock:
                    self._keep(order.key, video)
                self._orders.finish(order, video)
        finally:
            if pool is not None:
                pool.close()

    def _keep(self, key: VideoKey, video: bytes) -> None:
        self._videos[key] = video
        self._bytes += len(video)
        while self._bytes > _KEPT_BYTES and len(self._videos) > 1:
            _, oldest = self._videos.popitem(last=False)
            self._bytes -= len(oldest)


def _encoded(pool: DecodePool, part: ClipPart) -> bytes:
    for _, answer in pool.run([(None, part.pixels)]):
        if isinstance(answer, VideoprepError):
            raise answer
        try:
            file = io.BytesIO()
            frames = (picture.transpose(1, 2, 0) for picture in answer.pixels.numpy())
            size = part.pixels.height, part.pixels.width
            writing_frames(frames, size, part.rate, crf=_CRF)(file)
            return file.getvalue()
        finally:
            answer.release()
    raise VideoprepError("no clip was decoded")
