"""Decisions that a static page exported, taken over into the caption journal."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from videoprep.errors import VideoprepError
from videoprep.fs.fingerprint import open_regular
from videoprep.options import joined
from videoprep.review.items import seen_of
from videoprep.review.review import append_decisions, now, require_caption
from videoprep.spec.caption_journal import Decision, Hash, Text, Verdict
from videoprep.spec.current_captions import CaptionState
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.live_captions import LiveCaptions
from videoprep.spec.path_hints import nowhere
from videoprep.text import escape_unprintable

# A hundred thousand edits of some length.
_MOST_BYTES = 256 << 20
_MOST_DECISIONS = 1_000_000
_MOST_TOLD = 5

_EXPORTED = "name the file that a page of `videoprep review` exported, decisions.json"


class ExportedDecision(BaseModel):
    """One decision of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clip: Hash
    verdict: Verdict
    caption: Text = ""
    seen: Hash
    video: Text = ""
    at: Annotated[str, Field(max_length=40)] = ""


class ExportedDecisions(BaseModel):
    """A file of decisions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["videoprep-decisions"]
    version: Literal[1]
    dataset: Text = ""
    decisions: Annotated[list[ExportedDecision], Field(max_length=_MOST_DECISIONS)]


@dataclass(slots=True)
class AppliedDecisions:
    """What became of the decisions of a file; each clip is counted once."""

    applied: int = 0
    """How many clips got a decision."""
    already: int = 0
    """How many clips are as was decided."""
    unknown: list[str] = field(default_factory=list)
    """Videos that the dataset does not have."""
    changed: list[str] = field(default_factory=list)
    """Videos of clips that changed since the page was written; about these nothing is decided."""

    @property
    def ok(self) -> bool:
        """Whether all decisions are in the journal."""
        return not (self.unknown or self.changed)


def apply_decisions(
    spec: DatasetSpec, path: str | os.PathLike[str], reviewer: str = ""
) -> AppliedDecisions:
    """Add the decisions of a file to a dataset's journal: those that fit, all at once.

    Args:
        spec: the dataset.
        path: the file.
        reviewer: name of whoever decided.

    Raises:
        VideoprepError: the file holds no decisions, or the journal cannot be written, or others
            write to it all the time.
    """
    by_clip: dict[str, list[ExportedDecision]] = {}
    for decision in _read(Path(path)).decisions:
        by_clip.setdefault(decision.clip, []).append(decision)
    live = spec.live_captions()
    found = AppliedDecisions()

    def decide() -> list[Decision]:
        nonlocal found
        live.refresh()
        found, decisions = _sorted(live, by_clip, reviewer)
        return decisions

    append_decisions(live.captions, decide)
    return found


def _sorted(
    live: LiveCaptions, by_clip: dict[str, list[ExportedDecision]], reviewer: str
) -> tuple[AppliedDecisions, list[Decision]]:
    found, records = AppliedDecisions(), []
    for clip, decisions in by_clip.items():
        positions = live.positions(clip)
        video = escape_unprintable(decisions[-1].video, keep="")
        if not positions:
            found.unknown.append(video)
            continue
        state = live.states[positions[0]]
        made = [
            Decision(
                clip, one.verdict, one.caption if one.verdict == "edit" else "", state.sample.name,
                at=one.at or now(), by=reviewer,
            )
            for one in decisions
        ]  # fmt: skip
        if _leaves(state, made):
            found.already += 1
        elif decisions[0].seen != seen_of(state):
            found.changed.append(escape_unprintable(state.sample.name, keep=""))
        else:
            found.applied += 1
            records += made
    return found, records


def _leaves(state: CaptionState, decisions: list[Decision]) -> bool:
    """Return whether decisions would change nothing."""
    after = state.review
    for decision in decisions:
        after = after.after(0, decision)
    now_, then = (replace(one, line=0, at="", by="") for one in (state.review, after))
    return now_ == then


def _read(path: Path) -> ExportedDecisions:
    try:
        with open_regular(path) as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise VideoprepError(
            f"the decisions cannot be read: {error.strerror or error}",
            where=str(path),
            remedy=nowhere(path, _EXPORTED),
            option="apply",
        ) from error
    if len(text) > _MOST_BYTES:
        raise _wrong(path, f"it has more than {_MOST_BYTES >> 20} MiB")
    try:
        read = ExportedDecisions.model_validate_json(text)
    except ValidationError as error:
        errors = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)[:_MOST_TOLD]
        ]
        raise _wrong(path, escape_unprintable(joined(errors), keep="")) from error
    for decision in read.decisions:
        if decision.verdict == "edit":
            try:
                require_caption(decision.caption)
            except VideoprepError as error:
                name = escape_unprintable(decision.video, keep="")
                raise _wrong(path, f"{name}: {error.message}") from error
    return read


def _wrong(path: Path, why: str) -> VideoprepError:
    return VideoprepError(
        f"it is no file of decisions: {why}",
        where=str(path),
        remedy=_EXPORTED,
        option="apply",
    )
