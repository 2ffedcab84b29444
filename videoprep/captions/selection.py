"""Which clips a captioner is asked about, and why not the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from videoprep.captions.options import Only
from videoprep.captions.task import AskedClip, AskedClips
from videoprep.errors import VideoprepError
from videoprep.spec.caption_journal import Outcome, digest
from videoprep.spec.current_captions import CaptionState, own_hash, text_hash
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.readers.base import TableReader

SkipReason = Literal["dropped", "edited", "captioned", "current", "unreadable", "repeated"]
"""Why a clip is not asked about: a person dropped it or wrote its caption; the dataset has a
caption of its own; it has a caption, and only others are asked about; its file cannot be read;
another sample is of the same clip."""


Skip = TypeVar("Skip")


@dataclass(slots=True)
class Candidates(Generic[Skip]):
    """The clips that can be asked about, whether or not they have been."""

    states: list[CaptionState] = field(default_factory=list)
    """One for each clip, in the dataset's order."""
    skipped: Counter[Skip] = field(default_factory=Counter)
    """The other samples."""

    @classmethod
    def of(
        cls,
        states: Iterable[CaptionState],
        reason: Callable[[CaptionState], Skip | None],
        again: Callable[[CaptionState, CaptionState], Skip],
    ) -> Candidates[Skip]:
        """Choose them.

        Args:
            states: of all samples of a dataset.
            reason: why one is not asked about; None if it is.
            again: why one is not whose clip is that of an earlier one, which comes first.
        """
        found, seen = cls(), dict[str, CaptionState]()
        for state in states:
            why = reason(state)
            if why is None and state.clip in seen:
                why = again(seen[state.clip], state)
            if why is None:
                seen[state.clip] = state
                found.states.append(state)
            else:
                found.skipped[why] += 1
        return found


def find_candidates(
    states: Iterable[CaptionState], run: str, *, all_clips: bool = False, only: Only | None = None
) -> Candidates[SkipReason]:
    """Return the clips that can be asked about, whether or not they have been.

    Args:
        states: of all samples of a dataset.
        run: the way of asking.
        all_clips: whether those with a caption of the dataset's own are among them.
        only: those without any caption, or with one of another run.
    """
    return Candidates.of(
        states, lambda state: _reason(state, run, all_clips, only), lambda first, state: "repeated"
    )


def _reason(state: CaptionState, run: str, all_clips: bool, only: Only | None) -> SkipReason | None:
    if state.dropped:
        return "dropped"
    if state.edited:
        return "edited"
    if not state.clip:
        return "unreadable"
    if only == "stale":
        return None if state.captioner not in ("", run) else "current"
    if only == "missing":
        return "current" if state.described else None
    return "captioned" if state.own and not all_clips else None


def wanted_outcomes(only: Only | None, retry_failed: bool) -> Callable[[Outcome | None], bool]:
    """Return whether a clip is asked about whose last answer in the same way ended so."""
    if only == "failed":
        return lambda outcome: outcome not in (None, "ok")
    if retry_failed:
        return lambda outcome: outcome != "ok"
    return lambda outcome: outcome is None


def asked_clips(states: Iterable[CaptionState], contexts: Mapping[int, str]) -> AskedClips:
    """Return candidates as a task takes them, without what is shown of them.

    Args:
        states: the candidates.
        contexts: what is known about each, by the number of its sample.
    """
    context = {number: context_hash(text) for number, text in contexts.items()}
    return AskedClips.of(
        asked_clip(state, context=context.get(state.sample.number, "")) for state in states
    )


def asked_clip(
    state: CaptionState, *, of: str = "", payload: str = "", context: str = ""
) -> AskedClip:
    """Return a clip as a task takes it; see `AskedClip`."""
    sample = state.sample
    start, end = sample.extras.start, sample.extras.end
    own, count, first = text_hash(state.own), 0, ""
    if not of:  # a text that describes the clip stands for all its captions
        captions = state.own_captions
        own, count, first = own_hash(captions), len(captions), own if len(captions) > 1 else ""
    return AskedClip(
        state.clip, sample.number, sample.name, start, end, own, of, payload, context, first, count
    )


def context_hash(context: str) -> str:
    """Return the hash of what is known about a clip; empty for nothing."""
    return digest(context) if context else ""


def read_contexts(
    spec: DatasetSpec, column: str | None, states: Sequence[CaptionState]
) -> dict[int, str]:
    """Return what a column says about clips, by the numbers of their samples.

    Raises:
        VideoprepError: The dataset is no table, or has no such column.
    """
    if column is None:
        return {}
    if spec.dataset_file is None:
        raise VideoprepError(
            "only a table has columns",
            where=str(spec.data_root),
            remedy="leave out `context_column`, or write the dataset as a CSV file",
            option="context_column",
        )
    reader = spec.reader
    assert isinstance(reader, TableReader)  # noqa: S101 (only tables are files)
    names = reader.textual(spec.list_file)
    if column not in names:
        raise VideoprepError(
            f"there is no column {column!r}",
            where=str(spec.list_file),
            remedy=f"the columns are: {', '.join(names)}",
            option="context_column",
        )
    numbers = sorted(state.sample.number for state in states)
    return dict(_cells(reader, spec, names.index(column), numbers))


def _cells(
    reader: TableReader, spec: DatasetSpec, at: int, numbers: Sequence[int]
) -> Iterator[tuple[int, str]]:
    rows = reader.excerpt(spec.list_file, frozenset(numbers))
    next(rows)  # the header
    for number, row in zip(numbers, rows, strict=False):
        text = " ".join(row[at].split()) if at < len(row) else ""
        if text:
            yield number, text
