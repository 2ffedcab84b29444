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
from videoprep.exporters.media.clips import MediaClip, MediaFile
from videoprep.exporters.media.video_file import writing, writing_picture
from videoprep.failpoints import reach
from videoprep.fs import Files
from videoprep.media.clip_request import ClipRequest
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.media.decoded_clips import decoded_clips
from videoprep.spec.roles import VIDEO
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


@dataclass(slots=True, eq=False)
class ClipExport:
    """A clip in progress."""

    unit: UnitExport
    clip: MediaClip
    left: int
    """How many of its files of pixels are not settled yet."""
    failed: bool = False


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
    """How many files are written at a time."""
    _coming: deque[tuple[ClipExport, Future[None]]] = field(default_factory=deque)
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
        for (work, file), answer in decoded_clips(self.pool, requests, self.data_root, self.rank):
            self._take(work, file, answer)
            yield from self._pop_whole()
        self._settle(most=0)
        yield from self._pop_whole()

    def _requests(
        self, works: Iterator[tuple[ClaimedUnit, Sequence[MediaClip]]]
    ) -> Iterator[tuple[tuple[ClipExport, MediaFile], ClipRequest]]:
        """Yield what is to be decoded. Taking the next claims units when they are needed."""
        for claimed, clips in works:
            unit = UnitExport(claimed, len(clips))
            if not clips:  # somebody else was faster
                self._whole.append(unit)
            for clip in clips:
                lacking = [one for one in clip.files if self.files.size(one.name) is None]
                work = ClipExport(unit, clip, len(lacking))
                if not lacking:
                    self._close(work)
                elif (deadly := claimed.kills(clip.stem)) is not None:
                    self._fail(work, Code.KILLS_ITS_PROCESS, deadly)
                    self._close(work)
                else:
                    for one in lacking:
                        yield (work, one), self._request(clip, one)

    def _request(self, clip: MediaClip, file: MediaFile) -> ClipRequest:
        sounds = self.options.sound and file.role == VIDEO and not clip.clip.is_still
        return ClipRequest(file.pixels, clip.clip.sound() if sounds else None)

    def _take(self, work: ClipExport, file: MediaFile, answer: Decoded | MediaError) -> None:
        """Write a file, unless it cannot be decoded or another one of its clip could not."""
        if isinstance(answer, MediaError):
            whose = "" if file.role == VIDEO else f"its {file.role}: "
            self._fail(work, answer.code, whose + answer.message)
            self._settle_file(work)
            return
        if work.failed:
            answer.release()
            self._settle_file(work)
            return
        claimed = work.unit.claimed
        if claimed.careful:
            self._settle(most=0)  # so that nothing else can end the process
        with claimed.doing(work.clip.stem):
            written = self.threads.submit(self._write, work.clip, file, answer)
            self._coming.append((work, written))
            self._settle(most=0 if claimed.careful else self.at_once)

    def _settle(self, most: int) -> None:
        """Wait until at most ``most`` files are being written."""
        started = time.monotonic()
        while len(self._coming) > most:
            work, written = self._coming.popleft()
            with self.rank.watchdog.watching(f"writing {work.clip.video}"):
                written.result()
            self._settle_file(work)
        self.rank.stats.add_busy(time.monotonic() - started)

    def _write(self, clip: MediaClip, file: MediaFile, decoded: Decoded) -> None:
        whose = "" if file.role == VIDEO else f" {file.role}"
        try:
            reach("clip.encoding", f"{clip.stem}{whose} {file.pixels.frames.path.name}")
            pixels, lossless = decoded.pixels.numpy(), self.options.lossless
            if file.rate is None:
                write = writing_picture(pixels)
            else:
                write = writing(pixels, file.rate, lossless=lossless, sound=decoded.sound)
            self.files.write(file.name, write)
        finally:
            decoded.release()
        if file.role == VIDEO:
            self._write_caption(clip)
        reach("clip.encoded", f"{clip.stem}{whose}")

    def _write_caption(self, clip: MediaClip) -> None:
        # No line break at its end: two of the trainers would take it for a part.
        self.files.write_bytes(clip.caption_file, clip.caption.encode())

    def _fail(self, work: ClipExport, code: Code, reason: str) -> None:
        """Record the first thing that is wrong with a clip."""
        if not work.failed:
            work.unit.failures.append(Failure(work.clip.stem, code.value, reason))
        work.failed = True

    def _settle_file(self, work: ClipExport) -> None:
        work.left -= 1
        if not work.left:
            self._close(work)

    def _close(self, work: ClipExport) -> None:
        """Make a clip whole, or leave nothing of it: a trainer would take a part for all."""
        unit, clip, failed = work.unit, work.clip, work.failed
        if failed:
            for name in (clip.caption_file, *(one.name for one in clip.files)):
                self.files.delete(name)
        elif self.files.size(clip.caption_file) is None:
            self._write_caption(clip)
        frames = clip.clip.bucket.frames
        unit.claimed.settle(done=int(not failed), failed=int(failed), amount=frames)
        unit.left -= 1
        if not unit.left:
            self._whole.append(unit)

    def _pop_whole(self) -> Iterator[tuple[ClaimedUnit, Sequence[Failure]]]:
        while self._whole:
            unit = self._whole.popleft()
            yield unit.claimed, unit.failures
