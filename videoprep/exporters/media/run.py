"""`export_media`: from a plan to video files, decoded and fitted as `encode` does it."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

from videoprep.errors import Code, MediaError, SourceError
from videoprep.exporters.folder import NAMES, Folder
from videoprep.exporters.media import ai_toolkit, diffusion_pipe, musubi_tuner, simpletuner
from videoprep.exporters.media.clips import FOLDER, MediaClip, digest_of, media_clips
from videoprep.exporters.media.contract import ClipFolder
from videoprep.exporters.media.video_file import sound_in, writing
from videoprep.exporters.registry import MEDIA
from videoprep.fs.atomic import write_file
from videoprep.fs.staging import Staging
from videoprep.index.bucket import Bucket
from videoprep.index.table import BucketIndex, LeftOutSample, OnMissing
from videoprep.media.clip_request import ClipRequest
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.media.staged import clips_here
from videoprep.sources import Source, open_index

VERSION = 2

TRAINERS = (
    diffusion_pipe.TRAINER,
    musubi_tuner.TRAINER,
    simpletuner.TRAINER,
    ai_toolkit.TRAINER,
)

LOSSES = (
    "how often a clip comes in an epoch (weight, repeats)",
    "line breaks and runs of spaces in captions",
)
LOSSY = "what H.264 takes from the pixels (`lossless` keeps them)"
SILENT = "sound"

# Bytes of decoded pixels that may wait, as for encoding.
_MEMORY = 1 << 30
_MOST_AT_ONCE = 8
_SHOWN_RATES = 4

# States of sound.
_COMPLETE, _NONE = "complete", "none"

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
    source: Source,
    *,
    output: str | os.PathLike[str],
    split: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
    on_missing: OnMissing | None = None,
    lossless: bool = False,
    sound: bool = True,
    allow_damaged: bool = False,
    on_progress: Progress | None = None,
) -> MediaResult:
    """Writes each planned clip as a video file with a caption, and a config a trainer.

    The pixels are those that `encode` gives to the VAE: the planned frames, cropped and resized,
    at the plan's rate. The sound is that of exactly these frames. What is decoded at a time does
    not grow with the dataset, or with the length of a video. Each file is whole or not there;
    stopped in any way and called again, it goes on.

    Args:
        source: an index or a store, whose plan is taken, or a dataset, which is planned.
        output: the folder: new, empty, or an export of the same that goes on.
        split: only the clips of this split; None: all.
        data_root: the folder of the videos, or its URL, where the dataset was moved.
        on_missing: what to do with clips whose video is gone or has changed: ``skip`` leaves them
            out and lists them; None: an error, but for a dataset, which is planned without them.
        lossless: keep the pixels to the last bit, in files some six times as large, and 24 bits of
            sound instead of 16.
        sound: keep the sound. A clip whose sound is damaged is skipped; without sound it is not.
        allow_damaged: also export clips with damaged frames or sound; without, they are skipped.
        on_progress: called with how many clips are done, and how many there are.

    Raises:
        PlanError: there is no such index or split, or videos are gone or have changed; it names
            them.
        StoreError: there is no store, it is not finished, or the folder holds something else.
        SourceError: a video cannot be read, or changed meanwhile.
    """
    index = open_plan(source, split, data_root, on_missing)
    gone = {
        sample.video: sample
        for sample in index.check_sources(on_missing or "error").left_out
        if sample.code == Code.SOURCE_CHANGED.value
    }
    identity = {
        "version": VERSION,
        "target": MEDIA,
        "clips": digest_of(media_clips(index)),
        "lossless": lossless,
        "sound": sound,
    }
    folder = Folder(output, identity)
    progress = on_progress or (lambda done, total: None)
    export = _Export(index, folder, gone, lossless, sound, allow_damaged, progress)
    export.run()
    folders = _finish(index, folder, export)
    loses = (*([] if sound else [SILENT]), *LOSSES, *([] if lossless else [LOSSY]))
    return MediaResult(
        path=str(folder.path),
        clips=len(index) - len(export.left_out),
        written=export.written,
        left_out=tuple(export.left_out[number] for number in sorted(export.left_out)),
        loses="; ".join(loses),
        notes=(*_notes_on_sound(export), *_notes(index, folders)),
        commands=_commands(folder, folders),
    )


def open_plan(
    source: Source,
    split: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
    on_missing: OnMissing | None = None,
) -> BucketIndex:
    """The planned clips of a source; see `export_media`."""
    index = open_index(source, data_root=data_root, on_missing=on_missing, check_videos=False)
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
        sound: whether the files have sound.
        allow_damaged: whether clips with damaged frames are written.
        progress: told after each clip.
        left_out: by its number, a clip that cannot be exported.
        lacking: by its number, what a clip has of sound if that is not complete.
        written: files, so far.
        done: clips, so far.
    """

    index: BucketIndex
    folder: Folder
    gone: Mapping[str, LeftOutSample]
    lossless: bool
    sound: bool
    allow_damaged: bool
    progress: Progress
    left_out: dict[int, LeftOutSample] = field(default_factory=dict)
    lacking: dict[int, str] = field(default_factory=dict)
    written: int = 0
    done: int = 0

    def run(self) -> None:
        """Writes what is not there yet."""
        staging = Staging.of(self.index.data_root)
        size = _at_once()
        resizing = self.index.is_resizing
        damaged = self.allow_damaged
        pool = DecodePool(size=size, memory=_MEMORY, resizing=resizing, allow_damaged=damaged)
        with pool, ThreadPoolExecutor(size) as threads:
            coming: deque[Future[int]] = deque()
            for clip, answer in pool.run(clips_here(self._missing(), staging)):
                for path in self._request(clip).paths:
                    staging.done(path)
                if isinstance(answer, SourceError):
                    raise answer
                if isinstance(answer, MediaError):
                    self._leave_out(clip, answer.code.value, answer.message)
                    continue
                if answer.sound is not None:
                    self._note_sound(clip, answer.sound.state)
                coming.append(threads.submit(self._write, clip, answer))
                if len(coming) > size:
                    self._settle(coming.popleft().result())
            while coming:
                self._settle(coming.popleft().result())

    def _missing(self) -> Iterator[tuple[MediaClip, ClipRequest]]:
        """The clips that have to be decoded; settles the others."""
        for clip in media_clips(self.index):
            if self.folder.has(clip.video):
                if self.sound:
                    self._note_sound(clip, sound_in(self.folder.path / clip.video))
                self._settle(self._write_caption(clip))
            elif clip.clip.video in self.gone:
                sample = self.gone[clip.clip.video]
                self._leave_out(clip, sample.code, sample.reason)
            else:
                yield clip, self._request(clip)

    def _request(self, clip: MediaClip) -> ClipRequest:
        pixels = clip.clip.pixels
        if not self.sound:
            return ClipRequest(pixels, None)
        return ClipRequest(pixels, clip.clip.sound())

    def _write(self, clip: MediaClip, decoded: Decoded) -> int:
        try:
            pixels = decoded.pixels.numpy()
            write = writing(pixels, clip.rate, lossless=self.lossless, sound=decoded.sound)
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

    def _note_sound(self, clip: MediaClip, state: str) -> None:
        if state != _COMPLETE:
            self.lacking[clip.number] = state

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


def _finish(index: BucketIndex, folder: Folder, export: _Export) -> Sequence[ClipFolder]:
    """Writes the list and the configs; gives the folders that hold clips."""
    buckets: set[Bucket] = set()

    def write(file: BinaryIO) -> None:
        for clip in media_clips(index):
            if clip.number in export.left_out:
                continue
            buckets.add(clip.clip.bucket)
            entry = clip.to_json()
            if export.sound:
                entry["sound"] = export.lacking.get(clip.number, _COMPLETE)
            file.write(f"{json.dumps(entry, ensure_ascii=False)}\n".encode())

    write_file(folder.path / NAMES, write)
    root = folder.path.resolve()
    folders = [ClipFolder(f"{root}/{FOLDER}/{b.plain}", b) for b in sorted(buckets)]
    for trainer in TRAINERS:
        folder.write_text(trainer.config, trainer.text(folders, f"{root}/cache/{trainer.name}"))
    return folders


def _commands(folder: Folder, folders: Sequence[ClipFolder]) -> Mapping[str, str]:
    root = folder.path.resolve()
    return {t.name: t.command(f"{root}/{t.config}", folders) for t in TRAINERS}


def _notes_on_sound(export: _Export) -> Iterator[str]:
    """How many clips have no sound, or not all of it."""
    none = sum(state == _NONE for state in export.lacking.values())
    part = len(export.lacking) - none
    if none:
        yield f"clips without sound: {none:,}"
    if part:
        yield f"clips whose sound starts late or ends early: {part:,}"


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
