"""`caption_status`: which captions a dataset has, who wrote them, and what is stale and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from videoprep.captions.again import options_again, prompt_name
from videoprep.spec.caption_journal import Answer, CaptionJournal, Outcome, Run, Stage
from videoprep.spec.current_captions import CaptionState, CurrentCaptions
from videoprep.spec.dataset import DatasetSpec

CaptionWriter = Literal["dataset", "caption", "refine", "review", "none"]
"""Who wrote a current caption: the dataset's author, a captioner, a refiner, a person who edited
it, or nobody."""

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class CaptionFailures:
    """Clips of one run without a caption, for one reason."""

    outcome: Outcome
    reason: str
    clips: int
    example: str
    """One of their videos."""


@dataclass(frozen=True, slots=True)
class CaptionRunStatus:
    """What one way of asking has given."""

    run: str
    stage: Stage
    model: str
    prompt: str
    """How it begins."""
    prompt_name: str
    """The preset, or the file with a hash of what is in it."""
    options: Mapping[str, Any]
    """Those with which the same is asked again; what is not known is in capitals."""
    answered: int
    """Clips with a caption of it."""
    current: int
    """Of these, those whose caption is used, or is what was refined."""
    failures: Sequence[CaptionFailures]
    differs: Sequence[str]
    """In what it differs from the run of its stage that began last; empty for that one."""


@dataclass(frozen=True, slots=True)
class CaptionStatus:
    """The captions of a dataset."""

    journal: str
    samples: int
    """Samples whose video is there."""
    writers: Mapping[CaptionWriter, int]
    """How many current captions there are of each."""
    dropped: int
    """Of the samples, those that a person dropped."""
    unreadable: int
    """Of the samples, those whose file cannot be read."""
    stale: int
    """Clips that are described by another captioner's run than the one that began last."""
    stale_refined: int
    """Clips that were refined, and whose text has changed since."""
    unasked: int
    """Clips without a caption that the captioner's run that began last has not been asked about."""
    failed: int
    """Clips that the captioner's run that began last was asked about, without a caption."""
    runs: Sequence[CaptionRunStatus]
    """In the order in which they first began."""

    @property
    def ok(self) -> bool:
        """Whether every clip that is not dropped has a caption, and none is stale."""
        return not (self.writers.get("none") or self.stale or self.stale_refined)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "ok": self.ok}


def caption_status(spec: DatasetSpec) -> CaptionStatus:
    """Return what is known about a dataset's captions. Changes nothing.

    Raises:
        SpecError: A list file, a column or the data root is missing.
    """
    journal = spec.journal
    states = spec.caption_states()
    captions = CurrentCaptions.read(journal)
    last = captions.last_run("caption")
    kept = [state for state in states if not state.dropped]
    writers = Counter(map(_writer, kept))
    refined = _refined_before(journal)
    stale = [one for one in kept if one.captioner and last is not None and one.captioner != last.id]
    outcomes = _outcomes(journal)
    ends = {} if last is None else outcomes.get(last.id, {})
    asked = [one for one in kept if one.clip and not (one.edited or one.own)]
    return CaptionStatus(
        journal=str(journal.folder),
        samples=len(states),
        writers=dict(writers),
        dropped=len(states) - len(kept),
        unreadable=sum(not state.clip for state in kept),
        stale=sum(not state.edited for state in stale),
        stale_refined=sum(
            state.clip in refined and not (state.refined or state.edited) for state in kept
        ),
        unasked=sum(_writer(one) == "none" and one.clip not in ends for one in asked),
        failed=sum(one.clip in ends and ends[one.clip].outcome != "ok" for one in asked),
        runs=tuple(_runs(captions, kept, outcomes)),
    )


def _writer(state: CaptionState) -> CaptionWriter:
    origin = state.sample.origin
    if origin is not None:
        return origin.stage
    return "dataset" if state.own else "none"


def _refined_before(journal: CaptionJournal) -> set[str]:
    """The clips that have a refined text, whatever it was made of."""
    records = (placed.record for placed in journal.read("refine"))
    return {one.clip for one in records if isinstance(one, Answer) and one.outcome == "ok"}


def _runs(
    captions: CurrentCaptions,
    states: Sequence[CaptionState],
    outcomes: Mapping[str, Mapping[str, Answer]],
) -> Iterator[CaptionRunStatus]:
    current = Counter(state.captioner for state in states)
    for state in states:
        origin = state.sample.origin
        if origin is not None and origin.stage == "refine":
            current[origin.run] += 1
    for run in captions.runs.values():
        last = captions.last_run(run.stage)
        ends = outcomes.get(run.id, {})
        yield CaptionRunStatus(
            run=run.id,
            stage=run.stage,
            model=run.model,
            prompt=_beginning(run.prompt),
            prompt_name=prompt_name(run),
            options=options_again(run),
            answered=sum(one.outcome == "ok" for one in ends.values()),
            current=current[run.id],
            failures=tuple(_failures(ends)),
            differs=tuple(differences(run, last)) if last is not None else (),
        )


def _outcomes(journal: CaptionJournal) -> dict[str, dict[str, Answer]]:
    """The last answer of each run about each clip, without its texts."""
    found: dict[str, dict[str, Answer]] = {}
    stages: tuple[Stage, ...] = ("caption", "refine")
    for stage in stages:
        for placed in journal.read(stage):
            one = placed.record
            if isinstance(one, Answer):
                slim = Answer(one.clip, one.run, one.outcome, reason=one.reason, video=one.video)
                found.setdefault(one.run, {})[one.clip] = slim
    return found


def _failures(ends: Mapping[str, Answer]) -> Iterator[CaptionFailures]:
    failed = [one for one in ends.values() if one.outcome != "ok"]
    counts = Counter((one.outcome, one.reason) for one in failed)
    examples = {(one.outcome, one.reason): one.video for one in failed}
    for (outcome, reason), count in counts.most_common():
        yield CaptionFailures(outcome, reason, count, examples[outcome, reason])


def differences(run: Run, last: Run) -> Iterator[str]:
    """Say in what a way of asking differs from another one that came after it."""
    if run.id == last.id:
        return
    if run.model != last.model or run.identity != last.identity:
        same = run.model == last.model
        yield (
            f"another model: {run.identity} → {last.identity}"
            if same
            else f"another model: {run.model} → {last.model}"
        )
    if run.prompt != last.prompt:
        yield "another prompt"
    before, after = _flat(run.settings), _flat(last.settings)
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield f"{name}: {before.get(name, 'none')} → {after.get(name, 'none')}"


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= dict(value) if isinstance(value, Mapping) else {name: value}
    return found


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN].rstrip()}…"
