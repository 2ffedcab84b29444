"""`preview`: looks at clips of a store, or of a plan, and says how well they are given back."""

from __future__ import annotations

import heapq
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from typing_extensions import Unpack

from videoprep.errors import VideoprepError
from videoprep.fs.atomic import write_bytes, write_file
from videoprep.index.row_words import CLIP, row_word
from videoprep.pages.replacing import require_replaceable
from videoprep.previewing.beside import with_media
from videoprep.previewing.choose import spread, spread_frames
from videoprep.previewing.clips import Clips, open_clips
from videoprep.previewing.html import page
from videoprep.previewing.movie import movie
from videoprep.previewing.pictures import LOW, ClipPicture, Reconstruction, pictures
from videoprep.previewing.reconstruct import Reconstructor, load_reconstructor
from videoprep.previewing.sheet import sheet
from videoprep.sources import Source
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.store.dataset import LatentDataset
from videoprep.text import counted

FORMS = (".png", ".mp4", ".html")
"""How a preview may be written; a file's name says which."""

_FRAMES = 5

OnMeasured = Callable[[Reconstruction], None]


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """Pictures of clips. In a notebook it shows itself.

    Attributes:
        source: the store, plan or dataset.
        model: the model whose VAE decoded; None where the crops are shown alone.
        clips: how many there are, of what `word` names.
        measured: how many were decoded.
        median_psnr: of all that were measured, in dB; None where none was.
        worst: the one that is given back worst; None where fewer than two were measured.
        faulty: how many of those that were decoded have a fault, ``low`` included.
        pictures: of the clips that are shown.
        notes: what else there is to say.
        failed: whether something is wrong that nobody need look at to know: latents that are not
            finite or damaged, a video that is gone, or PSNR below what was asked for.
    """

    source: str
    model: str | None
    clips: int
    measured: int
    median_psnr: float | None
    worst: Reconstruction | None
    faulty: int
    pictures: tuple[ClipPicture, ...]
    notes: tuple[str, ...]
    failed: bool
    word: str = CLIP
    """What ``clips`` counts: ``clip``, or ``bucket assignment`` if a clip may be in several
    buckets."""

    @property
    def ok(self) -> bool:
        """The opposite of ``failed``."""
        return not self.failed

    @property
    def lines(self) -> list[str]:
        """What is said of all clips together."""
        rows = counted(self.clips, self.word)
        if self.model is None:
            first = f"{len(self.pictures)} of {rows}: the frames chosen, and the crop"
        else:
            first = f"{self.measured} of {rows} decoded by the VAE of {self.model}"
        if self.median_psnr is not None:
            first += f" · PSNR median {self.median_psnr:.1f} dB"
        if self.worst is not None and self.worst.psnr is not None:
            first += f", worst {self.worst.psnr:.1f} dB: {self.worst.name}"
        return [first, *self.notes]

    def png(self) -> bytes:
        """The contact sheet."""
        return sheet(self.source, self.lines, self.pictures, self.worst)

    def html(self) -> str:
        """The page."""
        return page(self.source, self.lines, self.pictures, self.worst)

    def to_json(self) -> dict[str, Any]:
        """For machines; without pixels."""
        return {
            "source": self.source,
            "model": self.model,
            "clips": self.clips,
            "measured": self.measured,
            "median_psnr": None if self.median_psnr is None else round(self.median_psnr, 3),
            "worst": None if self.worst is None else self.worst.name,
            "faulty": self.faulty,
            "notes": list(self.notes),
            "shown": [picture.measure.number for picture in self.pictures],
        }

    def __repr__(self) -> str:
        return f"Preview({'; '.join([self.source, *self.lines])})"

    def _repr_png_(self) -> bytes:
        return self.png()


def preview(
    source: Source | LatentDataset,
    *,
    output: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    without_vae: bool = False,
    clips: int = 8,
    videos: Iterable[str] = (),
    worst: bool = False,
    min_psnr: float | None = None,
    seed: int = 0,
    device: str = "auto",
    on_measured: OnMeasured | None = None,
    on_planned: Callable[[int, int], None] | None = None,
    **options: Unpack[DatasetOptions],
) -> Preview:
    """Lays what latents decode to beside the frames they were made of, and measures it.

    Of a plan, which has no latents, and without a VAE: the frames chosen, with the crop drawn on
    the video.

    Args:
        source: a store, an index, a dataset, or the path or URL of one.
        output: a file that ends in ``.png``, ``.mp4`` or ``.html``; None: nothing is written.
        model: the model's folder or hub id; None: as the store says.
        revision: its commit on the hub.
        without_vae: show the crops alone.
        clips: how many are shown, spread over the buckets.
        videos: show the clips of these videos instead, called as the dataset names them.
        worst: measure every clip, and show those that are given back worst.
        min_psnr: dB that each clip has to reach; None: any, and those below 15 are pointed out.
        seed: which clips are shown.
        device: where the VAE runs: ``auto``, ``cpu``, ``cuda`` or any name that torch knows.
        on_measured: called with each clip, as soon as it is measured.
        on_planned: called while a dataset is planned, with how many samples are done, and how many
            there are.
        options: fields of `DatasetSpec` to replace. An index or a store takes ``data_root`` alone:
            the folder or URL that its videos were moved to.

    Raises:
        VideoprepError: wishes contradict each other, or the output cannot be written.
        StoreError, PlanError, SpecError, ListError: there is nothing to look at.
        ModelError: the model is not to be had, or is of another family.
    """
    videos = list(videos)
    opened = open_clips(source, on_planned, **options)
    path = None if output is None else _output(output, opened)
    vae = not without_vae and opened.info is not None
    _require_sense(vae, clips, videos, worst=worst, min_psnr=min_psnr, model=model)
    reconstructor = None
    if vae and opened.info is not None:
        name = None if model is None else os.fspath(model)
        reconstructor = load_reconstructor(
            opened.info, model=name, revision=revision, device=device
        )
    low = LOW if min_psnr is None else min_psnr
    tally = _Tally(low_fails=min_psnr is not None, on_measured=on_measured)
    if reconstructor is not None and worst:
        all_clips = range(len(opened))
        every = tally.each(
            pictures(opened, all_clips, reconstructor, frames=1, low=low, sound=False)
        )
        measured = (picture.measure for picture in every)
        numbers = sorted(m.number for m in heapq.nsmallest(clips, measured, key=_rank))
    elif videos:
        numbers = opened.of_videos(videos)
    else:
        numbers = spread(opened.buckets, clips, seed)
    all_frames = path is not None and path.suffix == ".mp4"
    coming = with_media(
        pictures(opened, numbers, reconstructor, frames=None if all_frames else _FRAMES, low=low),
        opened,
    )
    shown = coming if worst else tally.each(coming)
    if all_frames and path is not None:
        kept: list[ClipPicture] = []
        planned = [clip for _, clip in opened.take(numbers)]
        write_file(path, movie(planned, _keeping(shown, kept)))
    else:
        kept = list(shown)
    made = _result(opened, reconstructor, tally, kept)
    if path is not None and path.suffix == ".png":
        write_bytes(path, made.png())
    elif path is not None and path.suffix == ".html":
        write_bytes(path, made.html().encode())
    return made


def _require_sense(
    vae: bool,
    clips: int,
    videos: Sequence[str],
    *,
    worst: bool,
    min_psnr: float | None,
    model: object,
) -> None:
    if clips < 1:
        raise VideoprepError(f"{clips} clips are none", remedy="ask for one at least")
    if worst and videos:
        raise VideoprepError(
            "the worst of all clips and certain videos are asked for",
            remedy="ask for one of them",
        )
    asked = [("the worst", worst), ("a PSNR", min_psnr is not None), ("a model", model is not None)]
    for what, is_asked in asked:
        if is_asked and not vae:
            raise VideoprepError(
                f"without latents and a VAE there is no use in {what}",
                remedy="give a store, and leave out `without_vae`",
            )


def _output(output: str | os.PathLike[str], clips: Clips) -> Path:
    """The file, which says by its name what it is; before the work is done.

    Raises:
        VideoprepError: it does not, or could be one of the dataset's own.
    """
    path = Path(output)
    if path.suffix not in FORMS:
        raise VideoprepError(
            f"cannot write a preview as {path.suffix or 'a file without an ending'}",
            where=str(path),
            remedy=f"let the name end in one of: {', '.join(FORMS)}",
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder" if path.is_dir() else "there is no such folder"
        raise VideoprepError(what, where=str(path), remedy="name a file in a folder that is there")
    if path.suffix == ".mp4" and path.resolve().is_relative_to(clips.data_root.resolve()):
        raise VideoprepError(
            "lies among the dataset's videos", where=str(path), remedy="write it elsewhere"
        )
    if path.suffix == ".html":
        require_replaceable(path, "output")
    return path


class _Tally:
    """Counts of what was measured; four bytes a clip.

    Args:
        low_fails: whether a PSNR that is too low fails.
        on_measured: told of each clip.

    Attributes:
        measured: how many clips.
        psnr: of each that has one.
        faulty: how many have a fault.
        failed: whether one of them fails.
        worst: the lowest PSNR.
    """

    def __init__(self, *, low_fails: bool, on_measured: OnMeasured | None) -> None:
        self.measured = 0
        self.psnr = array("f")
        self.faulty = 0
        self.failed = False
        self.worst: Reconstruction | None = None
        self._low_fails = low_fails
        self._on_measured = on_measured or (lambda measure: None)

    def each(self, coming: Iterable[ClipPicture]) -> Iterator[ClipPicture]:
        """Counts pictures as they come."""
        for picture in coming:
            self._add(picture.measure)
            yield picture

    def _add(self, measure: Reconstruction) -> None:
        self.measured += 1
        self.faulty += bool(measure.faults)
        kinds = {fault.kind for fault in measure.faults}
        self.failed |= bool(kinds - {"low", "sound"}) or (self._low_fails and "low" in kinds)
        if measure.psnr is not None:
            self.psnr.append(measure.psnr)
            if self.worst is None or self.worst.psnr is None or measure.psnr < self.worst.psnr:
                self.worst = measure
        self._on_measured(measure)


def _rank(measure: Reconstruction) -> tuple[bool, float]:
    """What fails comes first, then what is given back worst."""
    hard = any(fault.kind not in ("low", "sound") for fault in measure.faults)
    return not hard, measure.psnr if measure.psnr is not None else 0.0


def _keeping(coming: Iterable[ClipPicture], kept: list[ClipPicture]) -> Iterator[ClipPicture]:
    """Keeps a few frames of each picture that goes by."""
    for picture in coming:
        kept.append(_thinned(picture))
        yield picture


def _thinned(picture: ClipPicture) -> ClipPicture:
    few = spread_frames(len(picture.frames), _FRAMES)
    source, decoded, whole = (
        None if frames is None else frames[few].copy()
        for frames in (picture.source, picture.decoded, picture.whole)
    )
    frames = tuple(picture.frames[place] for place in few)
    beside = tuple(
        replace(one, frames=None if one.frames is None else one.frames[few].copy())
        for one in picture.beside
    )
    return replace(
        picture, frames=frames, source=source, decoded=decoded, whole=whole, beside=beside
    )


def _result(
    clips: Clips, reconstructor: Reconstructor | None, tally: _Tally, kept: Sequence[ClipPicture]
) -> Preview:
    return Preview(
        source=clips.where,
        model=None if reconstructor is None else reconstructor.name,
        clips=len(clips),
        measured=tally.measured if reconstructor is not None else 0,
        median_psnr=median(tally.psnr) if tally.psnr else None,
        worst=tally.worst if len(tally.psnr) > 1 else None,
        faulty=tally.faulty,
        pictures=tuple(kept),
        notes=tuple(_notes(clips, reconstructor)),
        failed=tally.failed,
        word=row_word(clips.policy),
    )


def _notes(clips: Clips, reconstructor: Reconstructor | None) -> Iterator[str]:
    if clips.incomplete:
        word = row_word(clips.policy)
        yield f"{clips.incomplete} more {word}s of the plan have no latents: see `videoprep status`"
    if reconstructor is None:
        return
    if reconstructor.other_vae:
        yield "this VAE is another one than made the latents: the PSNR is that of the two together"
    if reconstructor.tiled:
        yield "memory did not suffice: decoded in tiles, which changes the result a little"
