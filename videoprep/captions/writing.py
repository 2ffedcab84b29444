"""Gives the current captions of a dataset away, as new files that any trainer reads."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from videoprep.errors import VideoprepError
from videoprep.fs.atomic import create_file, write_file
from videoprep.spec.current_captions import CaptionState
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.sample import Sample
from videoprep.text import counted

CaptionForm = Literal["sidecar", "csv", "jsonl"]
"""A text file a video; a table; a JSON object a line, with where each caption comes from."""

LeftReason = Literal["dropped", "uncaptioned", "part", "outside"]
"""Why a clip has no line or file: a person dropped it; it has no caption; it is a part of its
video, or not its only clip, so that a text file beside the video would be of more than the clip;
its video lies outside the dataset's folder."""


@dataclass(frozen=True, slots=True)
class WrittenCaptions:
    """What was written."""

    path: str
    """The file, or the folder of the text files."""
    captions: int
    """How many; a clip may have several."""
    left: Counter[LeftReason]
    """Clips that were left out."""


def write_captions(
    spec: DatasetSpec, form: CaptionForm, output: Path, *, overwrite: bool = False
) -> WrittenCaptions:
    """Write the current captions of a dataset's clips: a person's, refined, a model's or its own.

    Args:
        spec: the dataset.
        form: ``sidecar``: a text file for each video, under its name; ``csv`` and ``jsonl``: a
            table of all clips, which is a dataset.
        output: the file; of text files the folder, to which the videos' names are added.
        overwrite: whether files that are there may be replaced. If not, none is touched.

    Raises:
        VideoprepError: A file is there already.
        SpecError: A list file, a column or the data root is missing.
    """
    states = spec.caption_states()
    left = Counter[LeftReason]()
    kept = []
    for state in states:
        reason = _reason(state)
        if reason is None:
            kept.append(state)
        else:
            left[reason] += 1
    if form == "sidecar":
        kept = _alone(kept, states, left)
        _write_sidecars(kept, output, overwrite)
    else:
        lines = _table(kept) if form == "csv" else _lines(kept)
        _write(output, lines, overwrite)
    written = sum(len(state.sample.captions) for state in kept)
    return WrittenCaptions(str(output), written, left)


def _reason(state: CaptionState) -> LeftReason | None:
    if state.dropped:
        return "dropped"
    return None if state.sample.written.strip() else "uncaptioned"


def _alone(
    kept: Sequence[CaptionState], states: Sequence[CaptionState], left: Counter[LeftReason]
) -> list[CaptionState]:
    """Return the clips that are whole videos, each the only one of its video."""
    clips = Counter(state.sample.name for state in states)
    found = []
    for state in kept:
        sample = state.sample
        is_part = sample.extras.start is not None or sample.extras.end is not None
        if is_part or clips[sample.name] > 1:
            left["part"] += 1
        elif os.path.isabs(sample.name) or ".." in Path(sample.name).parts:
            left["outside"] += 1
        else:
            found.append(state)
    return found


def _write_sidecars(kept: Sequence[CaptionState], folder: Path, overwrite: bool) -> None:
    files = [(folder / state.sample.name).with_suffix(".txt") for state in kept]
    twice = next((file for file, count in Counter(files).items() if count > 1), None)
    if twice is not None:
        raise VideoprepError(
            "two videos have the same name apart from their endings",
            where=str(twice),
            remedy="write a table with `write='csv'`",
            option="write",
        )
    if not overwrite:
        _require_new(files)
    for file, state in zip(files, kept, strict=True):
        _write(file, iter([_lines_of(state.sample)]), overwrite)


def _lines_of(sample: Sample) -> str:
    """The caption, or each of several in a line of its own, as caption files have them."""
    if not sample.further:
        return sample.written
    return "\n".join(" ".join(text.split()) for text in sample.captions)


def _require_new(files: Sequence[Path]) -> None:
    there = [file for file in files if os.path.lexists(file)]
    if there:
        raise VideoprepError(
            f"{counted(len(there), 'file')} {'exists' if len(there) == 1 else 'exist'} already",
            where=str(there[0]),
            remedy="name another `output`, or replace what is there with `overwrite=True`",
            option="output",
        )


def _write(path: Path, pieces: Iterator[str], overwrite: bool) -> None:
    def write(file: BinaryIO) -> None:
        for piece in pieces:
            file.write(piece.encode("utf-8", "surrogateescape"))

    path.parent.mkdir(parents=True, exist_ok=True)
    if overwrite:
        write_file(path, write)
    elif not create_file(path, write):
        _require_new([path])


def _table(kept: Sequence[CaptionState]) -> Iterator[str]:
    """Yield the rows of a CSV file that is a dataset again."""
    frames = any(state.sample.extras.unit == "frames" for state in kept)
    ranges = any(_range(state) != (None, None) for state in kept)
    unit = "_frame" if frames else ""
    yield _row(["video", "caption", *([f"start{unit}", f"end{unit}"] if ranges else [])])
    for state in kept:
        bounds = [_number(bound) for bound in _range(state)] if ranges else []
        captions = state.sample.captions
        cell = json.dumps(captions, ensure_ascii=False) if len(captions) > 1 else captions[0]
        yield _row([state.sample.name, cell, *bounds])


def _lines(kept: Sequence[CaptionState]) -> Iterator[str]:
    """Yield JSON objects."""
    for state in kept:
        sample, origin = state.sample, state.sample.origin
        start, end = _range(state)
        unit = "_frame" if sample.extras.unit == "frames" else ""
        captions = list(sample.captions) if sample.further else sample.written
        entry: dict[str, Any] = {"video": sample.name, "caption": captions}
        bounds = {f"start{unit}": start, f"end{unit}": end}
        entry |= {name: bound for name, bound in bounds.items() if bound is not None}
        entry["caption_source"] = "dataset" if origin is None else origin.stage
        if origin is not None and origin.run:
            entry |= {"caption_model": origin.model, "caption_run": origin.run}
        yield json.dumps(entry, ensure_ascii=False) + "\n"


def _range(state: CaptionState) -> tuple[float | None, float | None]:
    return state.sample.extras.start, state.sample.extras.end


def _number(bound: float | None) -> str:
    return "" if bound is None else f"{bound:.15g}"


def _row(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
