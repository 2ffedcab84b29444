"""`caption_status`: which captions a dataset has, who wrote them, and what is stale and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from videoprep.captions.again import options_again, prompt_name
from videoprep.captions.refine_selection import find_refinable
from videoprep.spec.caption_journal import Answer, Outcome, Run, Stage
from videoprep.spec.current_captions import CaptionState, CurrentCaptions
from videoprep.spec.dataset import DatasetSpec

CaptionWriter = Literal["dataset", "caption", "refine", "review", "none"]
"""Who wrote a current caption: the dataset's author, a captioner, a refiner, a person who edited
it, or nobody."""

_SHOWN = 60

_Current = Mapping[Stage, AbstractSet[tuple[str, str]]]
"""Clips and runs, by stage."""


@dataclass(frozen=True, slots=True)
class CaptionFailures:
    """Clips whose last answer of one run is none, for one reason."""

    outcome: Outcome
    reason: str
    clips: int
    example: str
    """One of their videos."""


@dataclass(frozen=True, slots=True)
class CaptionRunStatus:
    """What one way of asking has given. Copies of a clip count once."""

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
    """Clips with a caption of it, also those that are no longer in the dataset."""
    current: int
    """Clips of the dataset whose caption it is, or of whose refined caption it is the source. Those
    that a person edited or dropped are not among them."""
    failures: Sequence[CaptionFailures]
    """Clips whose last answer of it is none, by the reason."""
    differs: Sequence[str]
    """In what it differs from the run of its stage that began last; empty for that one."""


@dataclass(frozen=True, slots=True)
class CaptionStatus:
    """The captions of a dataset.

    ``samples`` is the sum of ``writers`` and ``dropped``; what is stale is counted in clips, each
    once, as `caption` and `refine` ask about them.
    """

    journal: str
    samples: int
    """Samples whose video is there."""
    writers: Mapping[CaptionWriter, int]
    """How many samples have a current caption of each; a person's edit is one."""
    dropped: int
    """Of the samples, those that a person dropped."""
    unreadable: int
    """Of the samples, those whose file cannot be read."""
    stale: int
    """Clips that are described by another captioner's run than the one that began last, and that
    no person edited: those that `caption` asks about with ``only="stale"``."""
    stale_refined: int
    """Clips that were refined, and whose text has changed since: `refine` asks about them. Clips
    without a text that could be refined are not among them."""
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
    """Return what is known about a dataset's captions. Changes nothing, and reads the journal once.

    Raises:
        SpecError: A list file, a column or the data root is missing.
    """
    answers = _Answers()
    live = spec.live_captions(answers.take)
    states, captions = live.states, live.captions
    kept = [state for state in states if not state.dropped]
    current = _current(kept)
    last = captions.last_run("caption")
    described = {clip for clip, run in current["caption"] if last is not None and run != last.id}
    refinable = find_refinable(states, "", None).states
    failed, answered = answers.ends(last.id if last is not None else "")
    asked = [one for one in kept if one.clip and not (one.edited or one.own)]
    return CaptionStatus(
        journal=str(spec.journal.folder),
        samples=len(states),
        writers=dict(Counter(map(_writer, kept))),
        dropped=len(states) - len(kept),
        unreadable=sum(not state.clip for state in kept),
        stale=len(described),
        stale_refined=sum(
            captions.was_refined(state.clip) and not state.refined for state in refinable
        ),
        unasked=sum(
            _writer(one) == "none" and one.clip not in failed and one.clip not in answered
            for one in asked
        ),
        failed=len({one.clip for one in asked if one.clip in failed}),
        runs=tuple(_runs(captions, answers, current)),
    )


@dataclass(slots=True)
class _Answers:
    """What the journal's answers come to, by run."""

    captioned: dict[str, set[str]] = field(default_factory=dict)
    """The clips with a caption."""
    failed: dict[str, dict[str, tuple[Outcome, str, str]]] = field(default_factory=dict)
    """The clips whose last answer is none: outcome, reason and video of that."""

    def take(self, one: Answer) -> None:
        """Take note of the next answer."""
        failed = self.failed.setdefault(one.run, {})
        if one.outcome == "ok":
            failed.pop(one.clip, None)
            self.captioned.setdefault(one.run, set()).add(one.clip)
        else:
            failed[one.clip] = (one.outcome, one.reason, one.video)

    def ends(self, run: str) -> tuple[AbstractSet[str], AbstractSet[str]]:
        """The clips whose last answer of a run is none, and those with a caption of it."""
        return self.failed.get(run, {}).keys(), self.captioned.get(run, set())


def _current(states: Iterable[CaptionState]) -> _Current:
    """Which clips have a current text of which run: a captioner's is also where it was refined."""
    described, refined = set[tuple[str, str]](), set[tuple[str, str]]()
    for state in states:
        if state.edited:
            continue
        if state.captioner:
            described.add((state.clip, state.captioner))
        origin = state.sample.origin
        if origin is not None and origin.stage == "refine":
            refined.add((state.clip, origin.run))
    return {"caption": described, "refine": refined}


def _writer(state: CaptionState) -> CaptionWriter:
    origin = state.sample.origin
    if origin is not None:
        return origin.stage
    return "dataset" if state.own else "none"


def _runs(
    captions: CurrentCaptions, answers: _Answers, current: _Current
) -> Iterator[CaptionRunStatus]:
    counts = Counter(run for texts in current.values() for _, run in texts)
    for run in captions.runs.values():
        last = captions.last_run(run.stage)
        yield CaptionRunStatus(
            run=run.id,
            stage=run.stage,
            model=run.model,
            prompt=_beginning(run.prompt),
            prompt_name=prompt_name(run),
            options=options_again(run),
            answered=len(answers.captioned.get(run.id, ())),
            current=counts[run.id],
            failures=tuple(_failures(answers.failed.get(run.id, {}).values())),
            differs=tuple(differences(run, last)) if last is not None else (),
        )


def _failures(failed: Iterable[tuple[Outcome, str, str]]) -> Iterator[CaptionFailures]:
    counts, examples = Counter[tuple[Outcome, str]](), dict[tuple[Outcome, str], str]()
    for outcome, reason, video in failed:
        counts[outcome, reason] += 1
        examples[outcome, reason] = video
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
