"""`export_media`: from a plan to video files, decoded and fitted as `encode` does it."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import pyarrow.compute as pc
from typing_extensions import Unpack

from videoprep.engine.execution import ExecutionKeywords, ExecutionOptions, execute
from videoprep.engine.progress import OnProgress
from videoprep.engine.ray_cluster import share_of_node
from videoprep.engine.run import TaskPlan
from videoprep.engine.sessions import Session
from videoprep.errors import Code, StoreError
from videoprep.exporters.folder import NAMES, Folder
from videoprep.exporters.held_out import held_out_notes
from videoprep.exporters.media.clip_writer import MediaOptions
from videoprep.exporters.media.clips import MediaClip, digest_of, media_clips
from videoprep.exporters.media.contract import CAPTION_LIST, BesideFolder, ClipFolder
from videoprep.exporters.media.file_list import FileList, ListedColumns, ListedFile
from videoprep.exporters.media.task import MediaTask, load_media_task
from videoprep.exporters.media.video_file import sound_in
from videoprep.exporters.names import to_line
from videoprep.exporters.registry import MEDIA, file_lists, trainers
from videoprep.failpoints import reach
from videoprep.fs import LocalFiles
from videoprep.index.row_words import CLIP, row_word
from videoprep.index.table import BucketIndex, LeftOutSample, OnMissing
from videoprep.progress import Style, shown
from videoprep.sources import Source, open_index
from videoprep.spec.roles import AUDIO
from videoprep.text import counted

VERSION = 2

LOSSES = (
    "how often a clip comes in an epoch (weight, repeats)",
    "line breaks and runs of spaces in captions",
)
LOSSY = "what H.264 takes from the pixels (`lossless` keeps them)"
SILENT = "sound"

_SHOWN_RATES = 4
_GONE = Code.SOURCE_CHANGED.value

# States of sound.
_COMPLETE, _NONE = "complete", "none"


@dataclass(frozen=True, slots=True)
class MediaResult:
    """What was exported.

    Attributes:
        path: the folder.
        clips: how many are there now, of what `word` names.
        written: files of clips written since the run began; the others were there already.
        left_out: clips of the plan that are not there, skipped or failed, and why.
        failed: those of ``left_out`` that failed, in this run or in an earlier one.
        pending: clips that wait for other jobs.
        loses: what is not carried over, in words.
        notes: what trainers do to clips all the same, in words.
        commands: how each trainer reads its config.
    """

    path: str
    clips: int
    written: int
    left_out: tuple[LeftOutSample, ...]
    failed: tuple[LeftOutSample, ...]
    pending: int
    loses: str
    notes: tuple[str, ...]
    commands: Mapping[str, str]
    word: str = CLIP
    """What ``clips`` counts: ``clip``, or ``bucket assignment`` if a clip may be in several
    buckets."""

    @property
    def ok(self) -> bool:
        """Whether nothing was skipped and nothing failed; other jobs may have work to do yet."""
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
    progress: Style = "none",
    on_progress: OnProgress | None = None,
    **execution: Unpack[ExecutionKeywords],
) -> MediaResult | None:
    """Writes each planned clip as a video file with a caption, and a config a trainer.

    The pixels are those that `encode` gives to the VAE: the planned frames, cropped and resized,
    at the plan's rate. The sound is that of exactly these frames. What is decoded at a time does
    not grow with the dataset, or with the length of a video. Each file is whole or not there;
    call it again to resume an export that was stopped. Under torchrun every rank calls this.

    Args:
        source: an index or a store, whose plan is taken, or a dataset, which is planned.
        output: the folder: new, empty, or an export of the same that goes on.
        split: only the clips of this split; None: all, without those of several datasets that are
            for validation or regularization.
        data_root: the folder of the videos, or its URL, where the dataset was moved.
        on_missing: what to do with clips whose video is gone or has changed: ``skip`` leaves them
            out and lists them; None: an error, but for a dataset, which is planned without them.
        lossless: keep the pixels to the last bit, in files some six times as large, and 24 bits of
            sound instead of 16.
        sound: keep the sound. A clip whose sound is damaged fails; without sound it does not.
        allow_damaged: also export clips with damaged frames or sound, those that failed for it in
            earlier runs, too; without, they fail.
        progress: how progress is shown on rank 0; see `encode`.
        on_progress: called about once a second on rank 0, in a thread, instead of showing it.
        execution: where the work is done and when to give up, as for `encode`: ``executor``,
            ``address``, ``num_jobs``, ``job_id``, ``retry_failed``, ``max_failures``, ``watchdog``.

    Returns:
        What was exported, on rank 0; None on the other ranks.

    Raises:
        PlanError: there is no such index or split, or videos are gone or have changed; it names
            them.
        StoreError: there is no store, it is not finished, or the folder holds something else.
        SourceError: a video cannot be read, or changed meanwhile.
        KeyboardInterrupt: SIGINT came; what was finished is there.
        SystemExit: SIGTERM came; likewise.
    """
    how = ExecutionOptions.of(**execution)
    options = MediaOptions(lossless, sound, allow_damaged, how.retry_failed)
    run = _MediaRun(source, Path(output), split, data_root, on_missing, options, how)
    plan = TaskPlan(run.make_task, load_media_task, LocalFiles(run.output))
    with nullcontext(on_progress) if on_progress else shown(progress) as told:
        done = execute(plan, how, on_progress=told)
    return None if done is None else run.finish()


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
class _Survey:
    """What has become of the planned clips, by their places in the plan."""

    there: set[int] = field(default_factory=set)
    left_out: dict[int, LeftOutSample] = field(default_factory=dict)
    pending: int = 0
    files: int = 0
    """Those of this job's clips."""


@dataclass(slots=True)
class _MediaRun:
    """The part of the process that plans an export and finishes it."""

    source: Source
    output: Path
    split: str | None
    data_root: str | os.PathLike[str] | None
    on_missing: OnMissing | None
    options: MediaOptions
    execution: ExecutionOptions
    folder: Folder = field(init=False)
    task: MediaTask = field(init=False)
    sounds: dict[int, str] = field(default_factory=dict)
    """What exported files have of sound, by the places of their clips in the plan."""
    columns: dict[str, ListedColumns] = field(default_factory=dict)
    """The columns of each list, by the trainer's name."""
    held: int = 0
    """Clips that are not exported, since they are held out of training."""

    def make_task(self) -> MediaTask:
        """Plan the export and make the folder ready. Nothing is written before all is checked."""
        index = open_plan(self.source, self.split, self.data_root, self.on_missing)
        if self.split is None:
            every, trained = len(index), index.splits_trained_on
            index = index if trained is None else index.of_split(*trained)
            self.held = every - len(index)
        index.require_clips()
        roles = [role for role in index.roles if role != AUDIO or self.options.sound]
        checked = index.check_sources(self.on_missing or "error", roles).table
        lost = checked.filter(pc.equal(checked["left_out_code"], _GONE))
        reasons = lost["left_out_reason"].to_pylist()
        gone = dict(zip(lost["sample"].to_pylist(), reasons, strict=True))
        identity = {
            "version": VERSION,
            "target": MEDIA,
            "clips": digest_of(media_clips(index), sound=self.options.sound),
            "lossless": self.options.lossless,
            "sound": self.options.sound,
        }
        self.folder = Folder(self.output, identity)
        cpus = share_of_node(gpu=False)[0] if self.execution.executor == "ray" else 1.0
        self.task = MediaTask(index, LocalFiles(self.output), self.options, gone, cpus)
        return self.task

    def finish(self) -> MediaResult:
        """Write the list and the configs, and return what was done."""
        with Session(self.task.files):  # whoever looks sees that somebody is at work
            found = self._survey()
            while True:  # of several jobs the last one sees it all, and writes the list of all
                folders, states = self._write(found.there)
                before, found = found, self._survey()
                if found.pending or found.there == before.there:
                    break
            reach("run.finished")
        left_out = tuple(found.left_out[place] for place in sorted(found.left_out))
        silent = () if self.options.sound else (SILENT,)
        lossy = () if self.options.lossless else (LOSSY,)
        word = row_word(self.task.index.policy)
        return MediaResult(
            path=str(self.output),
            clips=len(found.there),
            written=found.files - self.task.before,
            left_out=left_out,
            failed=tuple(sample for sample in left_out if sample.code != _GONE),
            pending=found.pending,
            loses="; ".join((*silent, *LOSSES, *lossy)),
            notes=(
                *_notes_on_sound(states, word),
                *_notes_on_media(folders, word),
                *self._notes_on_lists(found.there),
                *_notes(self.task.index, folders),
                *held_out_notes(self.held, word),
            ),
            commands={**_commands(self.output, folders), **self._list_commands()},
            word=word,
        )

    def _survey(self) -> _Survey:
        found, own = _Survey(), {unit.id for unit in self.task.own}
        for state in self.task.survey(self.task.all_units):
            planned, problem = state.clip.clip, state.problem
            if state.is_there:
                found.there.add(state.clip.number)
            elif problem is not None:
                found.left_out[state.clip.number] = LeftOutSample(
                    planned.video, planned.file, planned.line, problem.code, problem.reason
                )
            else:
                found.pending += 1
            found.files += state.files if state.unit in own else 0
        return found

    def _write(self, there: Collection[int]) -> tuple[Sequence[ClipFolder], Counter[str]]:
        """Write the list and the configs; return the folders that hold clips, and their sound."""
        states: Counter[str] = Counter()
        self.folder.write_lines(NAMES, self._lines(there, states))
        root = self.folder.path.resolve()
        folders = _folders(str(root), media_clips(self.task.index), there)
        if self.task.index.caption_counts is not None:
            self._write_captions(there)
        for trainer in trainers().values():
            text = trainer.text(folders, f"{root}/cache/{trainer.name}")
            self.folder.write_text(trainer.config, text)
        for one in file_lists().values():
            columns = one.columns_of(self._listed(there, one))
            self.folder.write_lines(one.file, one.lines(self._listed(there, one), columns))
            self.columns[one.name] = columns
        return folders, states

    def _listed(self, there: Collection[int], wanted: FileList) -> Iterator[ListedFile]:
        """Yield the exported clips that a list takes."""
        for clip in media_clips(self.task.index):
            if clip.number in there:
                still = clip.clip.is_still
                sound = self.options.sound and not still and self._sound_of(clip) != _NONE
                file = ListedFile(
                    path=clip.video,
                    captions=[to_line(caption) for caption in clip.clip.captions],
                    bucket=clip.clip.bucket,
                    rate=None if still else clip.rate,
                    has_sound=sound,
                    beside={one.role: one.name for one in clip.beside},
                )
                if wanted.takes(file):
                    yield file

    def _list_commands(self) -> dict[str, str]:
        """How each list is read, by trainer."""
        root = str(self.output.resolve())
        lists = file_lists()
        return {name: lists[name].command(root, own) for name, own in self.columns.items()}

    def _notes_on_lists(self, there: Collection[int]) -> Iterator[str]:
        """Yield how many clips have media beside them, or are stills, that a list does not name."""
        for one in file_lists().values():
            named = set(self.columns[one.name].beside)
            left: Counter[str] = Counter()
            for clip in media_clips(self.task.index):
                if clip.number in there:
                    if clip.clip.is_still and not one.stills:
                        left["still images"] += 1
                    left.update(str(file.role) for file in clip.beside if file.role not in named)
            if left:
                text = ", ".join(f"{what} of {count:,}" for what, count in sorted(left.items()))
                word = row_word(self.task.index.policy)
                yield f"the list for {one.name} leaves out: {text} {word}s"

    def _write_captions(self, there: Collection[int]) -> None:
        """Write the captions of each folder that has a clip with several: a list a file."""
        captions: dict[str, dict[str, list[str]]] = {}
        several: set[str] = set()
        for clip in media_clips(self.task.index):
            if clip.number in there:
                folder, _, name = clip.video.rpartition("/")
                captions.setdefault(folder, {})[name] = list(clip.clip.captions)
                several |= {folder} if clip.clip.further_captions else set()
        for folder in sorted(several):
            text = json.dumps(captions[folder], indent=1, ensure_ascii=False)
            self.folder.write_text(f"{folder}/{CAPTION_LIST}", f"{text}\n")

    def _lines(self, there: Collection[int], states: Counter[str]) -> Iterator[str]:
        """Yield the lines of the list, and count states of sound."""
        for clip in media_clips(self.task.index):
            if clip.number in there:
                entry = clip.to_json()
                if self.options.sound and not clip.clip.is_still:
                    entry["sound"] = self._sound_of(clip)
                    states[entry["sound"]] += 1
                yield json.dumps(entry, ensure_ascii=False)

    def _sound_of(self, clip: MediaClip) -> str:
        """Return what the file of a clip says of its sound. Each file is opened once."""
        if clip.number not in self.sounds:
            path = self.output / clip.video
            try:
                self.sounds[clip.number] = sys.intern(sound_in(path))
            except av.error.FFmpegError as error:
                raise StoreError(
                    f"an exported file is damaged: {error.strerror}",
                    where=str(path),
                    remedy="delete it, and run the same command again",
                ) from error
        return self.sounds[clip.number]


def _commands(folder: Path, folders: Sequence[ClipFolder]) -> Mapping[str, str]:
    root = folder.resolve()
    return {t.name: t.command(f"{root}/{t.config}", folders) for t in trainers().values()}


def _notes_on_sound(states: Mapping[str, int], word: str) -> Iterator[str]:
    """How many clips have no sound, or not all of it."""
    none = states[_NONE]
    part = sum(states.values()) - none - states[_COMPLETE]
    if none:
        yield f"{word}s without sound: {none:,}"
    if part:
        yield f"{word}s whose sound starts late or ends early: {part:,}"


def _folders(root: str, clips: Iterable[MediaClip], there: Collection[int]) -> list[ClipFolder]:
    """The folders that hold clips, by bucket and by what clips have beside them."""
    found: dict[str, ClipFolder] = {}
    for clip in clips:
        if clip.number not in there:
            continue
        one = found.get(clip.kind)
        if one is None:
            *beside, own = clip.files
            one = ClipFolder(
                f"{root}/{own.folder}",
                clip.clip.bucket,
                clip.clip.is_still,
                tuple(BesideFolder(f.role, f"{root}/{f.folder}", f.rate is None) for f in beside),
            )
        found[clip.kind] = replace(one, clips=one.clips + 1)
    return sorted(found.values(), key=lambda one: (one.bucket, one.name))


def _notes_on_media(folders: Sequence[ClipFolder], word: str) -> Iterator[str]:
    """Which media beside clips the config of a trainer leaves out, and of how many clips."""
    for trainer in trainers().values():
        left: Counter[str] = Counter()
        for folder in folders:
            read = trainer.reads(folder)
            left.update({str(one.role): folder.clips for one in folder.beside if one not in read})
        if left:
            named = ", ".join(f"{role} of {count:,}" for role, count in sorted(left.items()))
            yield f"{trainer.name} does not take all that clips have beside them: {named} {word}s"


def _notes(index: BucketIndex, folders: Sequence[ClipFolder]) -> Iterator[str]:
    """What trainers do to the clips all the same."""
    word = row_word(index.policy)
    counts = index.caption_counts
    if counts is not None:
        drawing = [trainer.name for trainer in trainers().values() if trainer.draws_captions]
        several = int((counts > 1).sum())
        have = "has" if several == 1 else "have"
        yield (
            f"{counted(several, word)} {have} several captions: caption files hold the first; "
            f"{CAPTION_LIST} holds all, for {' and '.join(drawing)}"
        )
    for trainer in trainers().values():
        for bucket, stills in sorted({(one.bucket, one.stills) for one in folders}):
            what = trainer.alters(bucket, stills=stills)
            if what is not None:
                named = "still images" if stills else "clips"
                yield f"{trainer.name} {what} of the {named} of {bucket}"
    rates = sorted({one.rate for one in media_clips(index) if not one.clip.is_still})
    for trainer in trainers().values():
        if trainer.resamples and rates:
            yield f"{trainer.name} {trainer.resamples}; these clips have {_shown(rates)}"


def _shown(rates: Sequence[Fraction]) -> str:
    if len(rates) > _SHOWN_RATES:
        return f"{len(rates)} rates from {float(rates[0]):g} to {float(rates[-1]):g}"
    return ", ".join(f"{float(rate):g}" for rate in rates)
