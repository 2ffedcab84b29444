"""`export --to media`: from a plan to video files, decoded and fitted as `encode` does it."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

from videoprep.durable import write_file
from videoprep.errors import Code, MediaError, SourceError
from videoprep.exporters.folder import NAMES, Folder
from videoprep.exporters.media import ai_toolkit, diffusion_pipe, musubi_tuner, simpletuner
from videoprep.exporters.media.clips import FOLDER, MediaClip, digest_of, media_clips
from videoprep.exporters.media.contract import ClipFolder
from videoprep.exporters.media.video_file import writing
from videoprep.exporters.registry import MEDIA
from videoprep.index.bucket import Bucket
from videoprep.index.table import BucketIndex, LeftOutSample, OnMissing
from videoprep.media.clip import ClipPixels
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.media.staged import clips_here
from videoprep.staging import Staging
from videoprep.store.layout import Store

VERSION = 1

TRAINERS = (
    diffusion_pipe.TRAINER,
    musubi_tuner.TRAINER,
    simpletuner.TRAINER,
    ai_toolkit.TRAINER,
)

LOSSES = (
    "sound",
    "how often a clip comes in an epoch (weight, repeats)",
    "line breaks and runs of spaces in captions",
)
LOSSY = "what H.264 takes from the pixels (--lossless keeps them)"

# Bytes of decoded pixels that may wait, as for encoding.
_MEMORY = 1 << 30
_MOST_AT_ONCE = 8
_SHOWN_RATES = 4

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MediaResult:
    """What was exported.

    Attributes:
        path: the folder.
        clips: how many are there now.
        written: files of clips written in this run; the others were there already.
        left_out: clips of the plan that are not there, and why.
        loses: what is not carried over, in words.
        notes: what trainers do to clips all the same, in words.
        commands: how each trainer reads its config.
    """

    path: str
    clips: int
    written: int
    left_out: tuple[LeftOutSample, ...]
    loses: str
    notes: tuple[str, ...]
    commands: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether every clip of the plan is there."""
        return not self.left_out


def export_media(
    source: BucketIndex | str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    split: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
    on_missing: OnMissing = "error",
    lossless: bool = False,
    on_progress: Progress | None = None,
) -> MediaResult:
    """Writes each planned clip as a video file with a caption, and a config a trainer.

    The pixels are those that `encode` gives to the VAE: the planned frames, cropped and resized,
    at the plan's rate. What is decoded at a time does not grow with the dataset, or with the length
    of a video. Each file is whole or not there; stopped in any way and called again, it goes on.

    Args:
        source: an index, or its path, or a store, whose plan is taken.
        output: the folder: new, empty, or an export of the same that goes on.
        split: only the clips of this split; None: all.
        data_root: the folder of the videos, or its URL, where the dataset was moved.
        on_missing: ``skip`` leaves clips out whose video is gone or has changed, and lists them.
        lossless: keep the pixels to the last bit, in files some six times as large.
        on_progress: called with how many clips are done, and how many there are.

    Raises:
        PlanError: there is no such index or split, or videos are gone or have changed; it names
            them.
        StoreError: there is no store, it is not finished, or the folder holds something else.
        SourceError: a video cannot be read, or changed meanwhile.
    """
    index = open_plan(source, split, data_root)
    gone = {
        sample.video: sample
        for sample in index.check_sources(on_missing).left_out
        if sample.code == Code.SOURCE_CHANGED.value
    }
    identity = {
        "version": VERSION,
        "target": MEDIA,
        "clips": digest_of(media_clips(index)),
        "lossless": lossless,
    }
    folder = Folder(output, identity)
    export = _Export(index, folder, gone, lossless, on_progress or (lambda done, total: None))
    export.run()
    folders = _finish(index, folder, export.left_out)
    loses = LOSSES if lossless else (*LOSSES, LOSSY)
    return MediaResult(
        path=str(folder.path),
        clips=len(index) - len(export.left_out),
        written=export.written,
        left_out=tuple(export.left_out[number] for number in sorted(export.left_out)),
        loses="; ".join(loses),
        notes=tuple(_notes(index, folders)),
        commands=_commands(folder, folders),
    )


def open_plan(
    source: BucketIndex | str | os.PathLike[str],
    split: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
) -> BucketIndex:
    """The planned clips of an index or a store; see `export_media`."""
    if isinstance(source, BucketIndex):
        index = source
    elif os.fspath(source).endswith(".parquet") or BucketIndex.is_index(source):
        index = BucketIndex.load(source)
    else:
        index = Store.open(source).load_index()
    index = index.moved(data_root)
    if split is not None:
        index = index.of_split(split)
    index.require_clips()
    return index


@dataclass(slots=True)
class _Export:
    """Decodes clips in processes, and writes them in threads, a few at a time.

    Attributes:
        index: the plan.
        folder: where to.
        gone: videos that are not as they were planned.
        lossless: see `writing`.
        progress: told after each clip.
        left_out: by its number, a clip that cannot be exported.
        written: files, so far.
        done: clips, so far.
    """

    index: BucketIndex
    folder: Folder
    gone: Mapping[str, LeftOutSample]
    lossless: bool
    progress: Progress
    left_out: dict[int, LeftOutSample] = field(default_factory=dict)
    written: int = 0
    done: int = 0

    def run(self) -> None:
        """Writes what is not there yet."""
        staging = Staging.of(self.index.data_root)
        size = _at_once()
        resizing = self.index.is_resizing
        pool = DecodePool("auto", size=size, memory=_MEMORY, resizing=resizing)
        with pool, ThreadPoolExecutor(size) as threads:
            coming: deque[Future[int]] = deque()
            for clip, answer in pool.run(clips_here(self._missing(), staging)):
                staging.done(clip.clip.pixels.frames.path)
                if isinstance(answer, SourceError):
                    raise answer
                if isinstance(answer, MediaError):
                    self._leave_out(clip, answer.code.value, answer.message)
                    continue
                coming.append(threads.submit(self._write, clip, answer))
                if len(coming) > size:
                    self._settle(coming.popleft().result())
            while coming:
                self._settle(coming.popleft().result())

    def _missing(self) -> Iterator[tuple[MediaClip, ClipPixels]]:
        """The clips that have to be decoded; settles the others."""
        for clip in media_clips(self.index):
            if self.folder.has(clip.video):
                self._settle(self._write_caption(clip))
            elif clip.clip.video in self.gone:
                sample = self.gone[clip.clip.video]
                self._leave_out(clip, sample.code, sample.reason)
            else:
                yield clip, clip.clip.pixels

    def _write(self, clip: MediaClip, decoded: Decoded) -> int:
        try:
            pixels = decoded.pixels.numpy()
            write = writing(pixels, clip.rate, lossless=self.lossless)
            self.folder.write(clip.video, write)
        finally:
            decoded.release()
        return 1 + self._write_caption(clip)

    def _write_caption(self, clip: MediaClip) -> int:
        if self.folder.has(clip.caption_file):
            return 0
        # No line break at its end: two of the trainers would take it for a part.
        self.folder.write_text(clip.caption_file, clip.caption)
        return 1

    def _leave_out(self, clip: MediaClip, code: str, reason: str) -> None:
        planned = clip.clip
        sample = LeftOutSample(planned.video, planned.file, planned.line, code, reason)
        self.left_out[clip.number] = sample
        self._settle(0)

    def _settle(self, written: int) -> None:
        self.written += written
        self.done += 1
        self.progress(self.done, len(self.index))


def _at_once() -> int:
    """Decoding and writing take about as long: each gets half of the cores."""
    return max(1, min(len(os.sched_getaffinity(0)) // 2, _MOST_AT_ONCE))


def _finish(
    index: BucketIndex, folder: Folder, left_out: Mapping[int, LeftOutSample]
) -> Sequence[ClipFolder]:
    """Writes the list and the configs; gives the folders that hold clips."""
    buckets: set[Bucket] = set()

    def write(file: BinaryIO) -> None:
        for clip in media_clips(index):
            if clip.number not in left_out:
                buckets.add(clip.clip.bucket)
                file.write(f"{json.dumps(clip.to_json(), ensure_ascii=False)}\n".encode())

    write_file(folder.path / NAMES, write)
    root = folder.path.resolve()
    folders = [ClipFolder(f"{root}/{FOLDER}/{b.plain}", b) for b in sorted(buckets)]
    for trainer in TRAINERS:
        folder.write_text(trainer.config, trainer.text(folders, f"{root}/cache/{trainer.name}"))
    return folders


def _commands(folder: Folder, folders: Sequence[ClipFolder]) -> Mapping[str, str]:
    root = folder.path.resolve()
    return {t.name: t.command(f"{root}/{t.config}", folders) for t in TRAINERS}


def _notes(index: BucketIndex, folders: Sequence[ClipFolder]) -> Iterator[str]:
    """What trainers do to the clips all the same."""
    for trainer in TRAINERS:
        for one in folders:
            what = trainer.alters(one.bucket)
            if what is not None:
                yield f"{trainer.name} {what} of the clips of {one.bucket}"
    rates = sorted({clip.rate for clip in media_clips(index)})
    for trainer in TRAINERS:
        if trainer.resamples:
            yield f"{trainer.name} {trainer.resamples}; these clips have {_shown(rates)}"


def _shown(rates: Sequence[Fraction]) -> str:
    if len(rates) > _SHOWN_RATES:
        return f"{len(rates)} rates from {float(rates[0]):g} to {float(rates[-1]):g}"
    return ", ".join(f"{float(rate):g}" for rate in rates)
