"""Clips decoded ahead in worker processes: a hostile video costs one clip, and no more.

Pixels and sound come back in shared memory, without a copy, and in order. How much of them there
may be at a time is a number of bytes, not of clips.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from videoprep.errors import Code, MediaError, SourceError, VideoprepError
from videoprep.fs.mirror import shown
from videoprep.media.audio import Sound
from videoprep.media.clip import ClipPixels
from videoprep.media.clip_request import ClipRequest, request_of
from videoprep.media.loader import error_of
from videoprep.workers import Limits, Lost, WorkerJob, Workers
from videoprep.workers.pool import BEGIN, IN_HAND
from videoprep.workers.shared_memory import Arena, Piece

if TYPE_CHECKING:
    import torch

_CODE = BEGIN + ("from videoprep.media.loader import serve; serve(*map(int, sys.argv[2:7]))")

# Many workers that import torch at a time from a slow disk.
_START_SECONDS = 900.0

# What a clip takes beside opening its file: decoding from the file's beginning at the slowest.
_DECODE_FACTOR = 10
_DECODE_RATE = 1e5

_LIMITS = Limits()

_SAMPLE_BYTES = 4

# Files that are warned of: more would be no news.
_TOLD = 1000

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Decoded:
    """The pixels of a clip, its sound, or both.

    Attributes:
        pixels: uint8 ``[F, 3, H, W]``, a view into shared memory; valid until `release`. Of no
            frames if only sound was asked for.
        sound: its samples are a view, too; None if no sound was asked for.
        damage: which of its frames are damaged, and whether its sound is, in words; None if nothing
            is.
    """

    pixels: torch.Tensor
    sound: Sound | None
    damage: str | None
    _release: Callable[[], None] = field(repr=False)

    def release(self) -> None:
        """Gives the memory back to the pool, from any thread; a second time does nothing.

        What reads the pixels has to be done: other clips will be written there.
        """
        self._release()


@dataclass(slots=True, eq=False)
class _Job(WorkerJob):
    """A clip on its way, and what became of it."""

    item: Any
    clip: ClipRequest
    request: bytes
    arena: Arena
    piece: Piece | None = None
    error: MediaError | SourceError | None = None
    damage: str | None = None
    cut_off: str | None = None
    sound: dict[str, Any] | None = None

    @property
    def path(self) -> Path:
        return self.clip.path

    def admit(self, *, first: bool) -> bool:
        if self.piece is None:
            room = max(self.clip.most_bytes, len(self.request))
            self.piece = self.arena.take(room, beyond=first)
        return self.piece is not None

    def line(self) -> str:
        assert self.piece is not None  # noqa: S101
        self.arena.memory.write(self.piece.start, self.request)
        return json.dumps({"start": self.piece.start, "length": len(self.request)})

    def take(self, line: bytes) -> None:
        answer = json.loads(line)
        self.error = error_of(answer, self.path)
        self.damage, self.cut_off = answer.get("damage"), answer.get("cut_off")
        self.sound = answer.get("sound")

    def lose(self, lost: Lost) -> None:
        self.error = _lost(self.path, lost)

    def abandon(self) -> None:
        if self.piece is not None:
            self.arena.give_back(self.piece)


class DecodePool:
    """Worker processes that decode clips. Use it in a ``with`` block, from one thread.

    Args:
        size: worker processes.
        memory: bytes of pixels and sound that there are at most, those that are not released
            included. The clip that is given next may always be there beside them, however large.
        limits: what a clip may take, beside its pixels and its sound; its time grows with the file.
        ahead: clips that are decoded, or being decoded, before they are asked for; by default two
            a worker. A caller that takes many at a time wants as many.
        resizing: whether clips have to be resized; workers then import torch before they are asked
            for the first.
        allow_damaged: whether clips with damaged frames or sound are given, see `Decoded.damage`,
            rather than what is wrong with them.
        check: called now and then while a clip is waited for; what it raises ends the `run`.

    Raises:
        VideoprepError: these numbers are not positive, or the system gives no shared memory.
    """

    def __init__(
        self,
        *,
        size: int,
        memory: int,
        limits: Limits = _LIMITS,
        ahead: int | None = None,
        resizing: bool = False,
        allow_damaged: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        ahead = IN_HAND * size if ahead is None else ahead
        if min(size, memory, ahead) <= 0:
            raise VideoprepError(
                f"no decode pool: {size} workers, {memory} bytes, {ahead} clips ahead",
                remedy="give positive numbers",
            )
        self._limits = limits
        self._running = False
        self._told: set[Path] = set()
        try:
            self._arena = Arena(memory)
        except OSError as error:
            raise VideoprepError(
                f"no memory can be shared with worker processes: {error}",
                remedy="allow for less memory of decoded clips, or raise the limits (ulimit -a)",
            ) from error
        shared = self._arena.memory
        numbers = [limits.memory_mib, shared.number, shared.size, int(resizing), int(allow_damaged)]
        self._workers: Workers[_Job] = Workers(
            _CODE, list(map(str, numbers)), size, ahead, [shared.number], _START_SECONDS
        )
        self.resize(size, ahead, check)

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def resize(self, size: int, ahead: int, check: Callable[[], None]) -> None:
        """Changes how many workers there are, and the rest, before a `run`.

        So a first worker can be started before it is known how many there will be.
        """
        workers = self._workers
        workers.size, workers.ahead, workers.check = size, ahead, check
        workers.in_hand = max(IN_HAND, -(-ahead // size))

    @property
    def waited(self) -> float:
        """Seconds that `run` spent waiting for a worker when it was asked for a clip."""
        return self._workers.waited

    def start(self) -> None:
        """Starts the processes without waiting for them; they take seconds to be ready.

        Raises:
            VideoprepError: a worker cannot be started.
        """
        while len(self._workers.running) < self._workers.size:
            self._workers.start()

    def close(self) -> None:
        """Ends the processes at once. Pixels that were given stay as they are, released or not."""
        self._workers.close()
        self._arena.close()

    def run(
        self, clips: Iterable[tuple[T, ClipPixels | ClipRequest]]
    ) -> Iterator[tuple[T, Decoded | MediaError | SourceError]]:
        """Gives what is asked of each clip, or what is wrong with it, in the order of the clips.

        `ClipPixels` ask for pixels alone, a `ClipRequest` for sound beside them or instead.

        Clips are taken from ``clips`` only when a clip is asked for, and only as many as workers
        and memory have room for. A clip that crashes its worker is tried once more, alone.

        Raises:
            VideoprepError: a worker cannot be started.
            RuntimeError: the last `run` is not over.
        """
        if self._running:
            raise RuntimeError("one run of a decode pool has to end before the next begins")
        self._running = True
        jobs = (self._job(item, clip) for item, clip in clips)
        try:
            with closing(self._workers.run(jobs)) as done:
                for job in done:
                    yield job.item, self._result(job)
        finally:
            self._running = False

    def _job(self, item: object, clip: ClipPixels | ClipRequest) -> _Job:
        asked = request_of(clip)
        request = json.dumps(asked.absolute().to_json()).encode()
        seconds = sum(_seconds(path, self._limits) for path in asked.paths)
        return _Job(seconds, item, asked, request, self._arena)

    def _result(self, job: _Job) -> Decoded | MediaError | SourceError:
        assert job.piece is not None  # noqa: S101
        give_back = partial(self._arena.give_back, job.piece)
        self._tell(job)
        if job.error is None:
            pixels = self._arena.memory.tensor(job.piece.start, job.clip.shape)
            return Decoded(pixels, self._sound(job, job.piece), job.damage, give_back)
        give_back()
        return job.error

    def _sound(self, job: _Job, piece: Piece) -> Sound | None:
        if job.sound is None:
            return None
        told = dict(job.sound)
        channels, samples = told.pop("shape")
        start = piece.start + job.clip.sound_offset
        data = self._arena.memory.array(start, (channels * samples * _SAMPLE_BYTES,))
        return Sound(samples=data.view(np.float32).reshape(channels, samples), **told)

    def _tell(self, job: _Job) -> None:
        """Warn once of a file that lacks its end, though not the frames of this clip."""
        if job.cut_off is not None and job.path not in self._told and len(self._told) < _TOLD:
            self._told.add(job.path)
            logger.warning(
                "%s is cut off after the last frame used: %s", shown(job.path), job.cut_off
            )


def _seconds(path: Path, limits: Limits) -> float:
    try:
        size = os.stat(path).st_size
    except OSError:
        size = 0  # the worker will say what is wrong
    return _DECODE_FACTOR * limits.seconds + size / _DECODE_RATE


def _lost(path: Path, lost: Lost) -> MediaError:
    remedy = "re-encode the file, or remove the sample"
    if lost.why == "time":
        return MediaError(
            f"decoding it {lost.detail}",
            code=Code.TIME_LIMIT,
            where=str(path),
            remedy=f"{remedy}; on a slow disk, allow it more time",
        )
    return MediaError(
        f"decoding it crashes the decoder: {lost.detail}",
        code=Code.DECODER_CRASH,
        where=str(path),
        remedy=remedy,
    )
