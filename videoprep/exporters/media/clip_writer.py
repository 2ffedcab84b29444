"""`ClipWriter`: clips decoded in processes and written in threads, a few at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.errors import Code, MediaError
from videoprep.exporters.media.clips import MediaClip
from videoprep.exporters.media.video_file import writing
from videoprep.failpoints import reach
from videoprep.fs import Files
from videoprep.media.clip_request import ClipRequest
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.media.decoded_clips import decoded_clips
from videoprep.store.receipt import Failure

_DAMAGE = (Code.DAMAGED_FRAMES.value, Code.DAMAGED_SOUND.value)


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """How clips are written; see `export_media`."""

    lossless: bool = False
    sound: bool = True
    allow_damaged: bool = False
    retry_failed: bool = False

    def takes_up(self, failure: Failure) -> bool:
        """Whether a clip that failed in an earlier run is tried again."""
        return self.retry_failed or (self.allow_damaged and failure.code in _DAMAGE)


@dataclass(slots=True, eq=False)
class UnitExport:
    """A unit in progress."""

    claimed: ClaimedUnit
    left: int
    """How many of its clips are neither written nor failed yet."""
    failures: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class ClipWriter:
    """Decodes clips in processes, and writes them in threads."""

    files: Files
    """Where to."""
    options: MediaOptions
    data_root: Path
    """Where the videos are."""
    rank: RankContext
    pool: DecodePool
    threads: ThreadPoolExecutor
    at_once: int
    """How many clips are written at a time."""
    _coming: deque[tuple[UnitExport, MediaClip, Future[None]]] = field(default_factory=deque)
    """What threads write."""
    _whole: deque[UnitExport] = field(default_factory=deque)
    """Units of which all is written or failed."""

    def write(
        self, works: Iterator[tuple[ClaimedUnit, Sequence[MediaClip]]]
    ) -> Generator[tuple[ClaimedUnit, Sequence[Failure]], None, None]:
        """Yield each unit, once its clips are written, with those that failed.

        Raises:
            SourceError: A video is gone or another one than was planned.
        """
        requests = self._requests(works)
        for (unit, clip), answer in decoded_clips(self.pool, requests, self.data_root, self.rank):
            self._take(unit, clip, answer)
            yield from self._pop_whole()
        self._settle(most=0)
        yield from self._pop_whole()

    def _requests(
        self, works: Iterator[tuple[ClaimedUnit, Sequence[MediaClip]]]
    ) -> Iterator[tuple[tuple[UnitExport, MediaClip], ClipRequest]]:
        """Yield what is to be decoded. Taking the next claims units when they are needed."""
        for claimed, clips in works:
            unit = UnitExport(claimed, len(clips))
            if not clips:  # somebody else was faster
                self._whole.append(unit)
            for clip in clips:
                if self.files.size(clip.video) is not None:
                    self._write_caption(clip)
                    self._close(unit, clip)
                elif (deadly := claimed.kills(clip.stem)) is not None:
                    self._fail(unit, clip, Code.KILLS_ITS_PROCESS, deadly)
                else:
                    sound = clip.clip.sound() if self.options.sound else None
                    yield (unit, clip), ClipRequest(clip.clip.pixels, sound)

    def _take(self, unit: UnitExport, clip: MediaClip, answer: Decoded | MediaError) -> None:
        if isinstance(answer, MediaError):
            self._fail(unit, clip, answer.code, answer.message)
            return
        careful = unit.claimed.careful
        if careful:
            self._settle(most=0)  # so that nothing else can end the process
        with unit.claimed.doing(clip.stem):
            self._coming.append((unit, clip, self.threads.submit(self._write, clip, answer)))
            self._settle(most=0 if careful else self.at_once)

    def _settle(self, most: int) -> None:
        """Wait until at most ``most`` clips are being written."""
        started = time.monotonic()
        while len(self._coming) > most:
            unit, clip, written = self._coming.popleft()
            with self.rank.watchdog.watching(f"writing {clip.video}"):
                written.result()
            self._close(unit, clip)
        self.rank.stats.add_busy(time.monotonic() - started)

    def _write(self, clip: MediaClip, decoded: Decoded) -> None:
        try:
            reach("clip.encoding", f"{clip.stem} {clip.clip.video}")
            pixels, lossless = decoded.pixels.numpy(), self.options.lossless
            write = writing(pixels, clip.rate, lossless=lossless, sound=decoded.sound)
            self.files.write(clip.video, write)
        finally:
            decoded.release()
        self._write_caption(clip)
        reach("clip.encoded", clip.stem)

    def _write_caption(self, clip: MediaClip) -> None:
        # No line break at its end: two of the trainers would take it for a part.
        self.files.write_bytes(clip.caption_file, clip.caption.encode())

    def _fail(self, unit: UnitExport, clip: MediaClip, code: Code, reason: str) -> None:
        unit.failures.append(Failure(clip.stem, code.value, reason))
        self._close(unit, clip, failed=True)

    def _close(self, unit: UnitExport, clip: MediaClip, *, failed: bool = False) -> None:
        frames = clip.clip.bucket.frames
        unit.claimed.settle(done=int(not failed), failed=int(failed), amount=frames)
        unit.left -= 1
        if not unit.left:
            self._whole.append(unit)

    def _pop_whole(self) -> Iterator[tuple[ClaimedUnit, Sequence[Failure]]]:
        while self._whole:
            unit = self._whole.popleft()
            yield unit.claimed, unit.failures
