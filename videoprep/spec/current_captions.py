"""Which caption of a clip is current: an edited, a refined, a model's, or the dataset's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from videoprep.errors import Code, Problem
from videoprep.spec.caption_journal import (
    Answer,
    CaptionJournal,
    Decision,
    Placed,
    Position,
    Run,
    Stage,
    digest,
)
from videoprep.spec.review_state import UNDECIDED, ReviewState, ReviewStep
from videoprep.spec.sample import CaptionOrigin, Sample

_STEPS = 100


def text_hash(text: str) -> str:
    """Return the hash by which the journal knows a text; empty for none."""
    return digest(text) if text else ""


def own_hash(captions: Sequence[str]) -> str:
    """Return the hash by which the journal knows all captions that the dataset has for a sample.

    Of one it is its `text_hash`; it is empty for none.
    """
    return digest(*captions) if any(captions) else ""


@dataclass(frozen=True, slots=True)
class CaptionState:
    """What is known about the caption of one clip."""

    sample: Sample
    """With its current caption; with none if the clip has none."""
    clip: str
    """Its key in the journal; empty if its file cannot be read."""
    own: str
    """The first caption that the dataset itself has, without the id token; empty if none."""
    described: str
    """The caption before it is refined: a captioner's, or the dataset's first."""
    refined: str
    """The refined caption, if there is one of exactly the text that is described."""
    edited: str
    """A person's text; it wins over the others."""
    dropped: bool
    """Whether a person dropped the clip."""
    trigger: str = ""
    """What the captioner's run put before the text described, which no model has written."""
    captioner: str = ""
    """The run of the captioner whose text is described; empty if that is the dataset's own."""
    review: ReviewState = UNDECIDED
    """What people decided, and when."""
    failure: str = ""
    """Why the model's last answer gave no text, if there is none of a model for that."""
    own_further: tuple[str, ...] = ()
    """The captions after the first that the dataset itself has."""

    @property
    def own_captions(self) -> tuple[str, ...]:
        """All captions that the dataset itself has; none if it has none."""
        return (self.own, *self.own_further) if self.own else ()


@dataclass(frozen=True, slots=True)
class _Text:
    """A caption in the journal."""

    line: int
    run: str
    text: str
    given: str
    """Hash of what it belongs to: of the dataset's captions then, or of what was rewritten."""
    own_captions: int
    """How many of the dataset's captions that is a hash of; see `Answer`."""

    def is_of(self, captions: Sequence[str]) -> bool:
        """Return whether it belongs to these captions of the dataset."""
        return self.given == own_hash(captions if self.own_captions else captions[:1])


@dataclass(slots=True)
class CurrentCaptions:
    """The captions in a journal, by clip."""

    journal: CaptionJournal
    runs: dict[str, Run] = field(default_factory=dict)
    """By id."""
    steps: deque[ReviewStep] = field(default_factory=lambda: deque(maxlen=_STEPS))
    """The last decisions that were not undone, the latest last."""
    _order: dict[str, int] = field(default_factory=dict)  # by run: the later, the higher
    _texts: dict[Stage, dict[str, list[_Text]]] = field(default_factory=dict)
    _reviews: dict[str, ReviewState] = field(default_factory=dict)
    _failures: dict[Stage, dict[str, str]] = field(default_factory=dict)  # by clip
    _read: dict[Stage, Position] = field(default_factory=dict)
    _on_answer: Callable[[Answer], None] | None = None

    @classmethod
    def read(
        cls, journal: CaptionJournal, on_answer: Callable[[Answer], None] | None = None
    ) -> CurrentCaptions:
        """Read all of a journal.

        A run begins with a line of its own each time; of several answers the one counts whose run
        began last. So an earlier prompt that is used again is current again, though nothing is
        asked.

        Args:
            journal: which one.
            on_answer: called with each answer in it, for who wants to know more about them.
        """
        made = cls(journal, _on_answer=on_answer)
        made.update()
        return made

    def update(self) -> set[str]:
        """Read on, and return the clips about which something was added."""
        changed: set[str] = set()
        stages: tuple[Stage, ...] = ("caption", "refine")
        for stage in stages:
            for placed in self.journal.read(stage, self.read_to(stage)):
                self._take(placed, stage)
                changed |= {placed.record.clip} if isinstance(placed.record, Answer) else set()
        for placed in self.journal.read("review", self.read_to("review")):
            if isinstance(placed.record, Decision):
                self._decide(placed.line, placed.record)
                changed.add(placed.record.clip)
        return changed

    def read_to(self, stage: Stage) -> Position:
        """Return how far a stage's file was read."""
        return self._read.setdefault(stage, Position())

    def _take(self, placed: Placed, stage: Stage) -> None:
        record = placed.record
        if isinstance(record, Answer) and self._on_answer is not None:
            self._on_answer(record)
        if isinstance(record, Run):
            self.runs[record.id] = record
            self._order[record.id] = len(self._order) + placed.line
        elif isinstance(record, Answer) and record.outcome == "ok" and record.caption:
            given = record.own if not record.of else record.of
            text = _Text(placed.line, record.run, record.caption, given, record.own_captions)
            self._texts.setdefault(stage, {}).setdefault(record.clip, []).append(text)
            self._failures.get(stage, {}).pop(record.clip, None)
        elif isinstance(record, Answer):
            why = f"{record.outcome.replace('_', ' ')}: {record.reason}"
            self._failures.setdefault(stage, {})[record.clip] = why.removesuffix(": ")

    def _decide(self, line: int, decision: Decision) -> None:
        before = self._reviews.get(decision.clip, UNDECIDED)
        after = self._reviews[decision.clip] = before.after(line, decision)
        if not decision.undo:
            self.steps.append(ReviewStep(decision.clip, before, after))
        elif decision.verdict == "reset":
            undone = (step for step in reversed(self.steps) if step.clip == decision.clip)
            if (step := next(undone, None)) is not None:
                self.steps.remove(step)

    def was_refined(self, clip: str) -> bool:
        """Return whether a clip has a refined text, whatever it was made of."""
        return clip in self._texts.get("refine", {})

    def last_run(self, stage: Stage) -> Run | None:
        """Return the run of a stage that began last."""
        runs = (run for run in self.runs.values() if run.stage == stage)
        return max(runs, key=lambda run: self._order[run.id], default=None)

    def state(self, sample: Sample, clip: str) -> CaptionState:
        """Return what is known about a clip's caption.

        A captioner's text stands for all captions that the dataset has for the sample, and gives
        way to any that the dataset got, or got changed, since. A refined text counts only as long
        as the text that it was made of is the one described. It stands for that one alone, as a
        person's does: the dataset's captions after the first stay.

        Args:
            sample: as the dataset writes it.
            clip: its key; see `videoprep.spec.caption_journal.clip_key`.
        """
        own = sample.written
        told = self._latest("caption", clip, lambda text: not own or text.is_of(sample.captions))
        described = own if told is None else told.text
        refined = self._refined(clip, described) if described else None
        review = self._reviews.get(clip, UNDECIDED)
        current, origin = described, self._origin("caption", told)
        if refined is not None:
            current, origin = refined.text, self._origin("refine", refined)
        if review.edited:
            current, origin = review.edited, self._edited(review)
        return CaptionState(
            sample
            if origin is None
            else _with_caption(sample, current, origin, sample.further if told is None else ()),
            clip,
            own,
            described,
            "" if refined is None else refined.text,
            review.edited,
            review.dropped,
            "" if told is None else self._trigger(told),
            "" if told is None else told.run,
            review,
            self._failure(clip, told is not None or bool(own), refined is not None),
            sample.further,
        )

    def _failure(self, clip: str, is_described: bool, is_refined: bool) -> str:
        stage: Stage = "refine" if is_described else "caption"
        return "" if is_refined else self._failures.get(stage, {}).get(clip, "")

    def _refined(self, clip: str, described: str) -> _Text | None:
        return self._latest("refine", clip, lambda text: text.given == text_hash(described))

    def _latest(self, stage: Stage, clip: str, fits: Callable[[_Text], bool]) -> _Text | None:
        texts = [text for text in self._texts.get(stage, {}).get(clip, ()) if fits(text)]
        return max(texts, key=lambda text: (self._order.get(text.run, 0), text.line), default=None)

    def _origin(self, stage: Stage, text: _Text | None) -> CaptionOrigin | None:
        if text is None:
            return None
        run = self.runs.get(text.run)
        model = "" if run is None else run.model
        return CaptionOrigin(stage, model, text.run, str(self.journal.file(stage)), text.line)

    def _trigger(self, text: _Text) -> str:
        """Return what a run put before its texts, with the space, if this one begins with it."""
        run = self.runs.get(text.run)
        trigger = run.settings.get("trigger") if run is not None else None
        before = f"{trigger} " if isinstance(trigger, str) and trigger else ""
        return before if text.text.startswith(before) else ""

    def _edited(self, review: ReviewState) -> CaptionOrigin:
        return CaptionOrigin("review", "", "", str(self.journal.file("review")), review.line)


def _with_caption(
    sample: Sample, text: str, origin: CaptionOrigin, further: tuple[str, ...]
) -> Sample:
    return replace(sample, caption=sample.token + text, further=further, origin=origin)


@dataclass(slots=True)
class Captioned:
    """Samples with their current captions, and those that cannot be used for theirs."""

    samples: list[Sample] = field(default_factory=list)
    """Those that can be used."""
    positions: list[int] = field(default_factory=list)
    """Their positions among those that were given."""
    problems: list[Problem] = field(default_factory=list)
    """Why the others cannot be used."""
    with_fallback: set[int] = field(default_factory=set)
    """Numbers of the samples that have the fallback for a caption."""

    def remarks(self, found: Iterable[Problem]) -> Iterator[Problem]:
        """Yield remarks but those on captions that the dataset lacks and the journal has."""
        for remark in found:
            if remark.code is not Code.EMPTY_CAPTION or remark.number in self.with_fallback:
                yield remark


def usable(states: Iterable[CaptionState], fallback: str | None, command: str) -> Captioned:
    """Choose the samples that can be used.

    Args:
        states: of all samples whose videos are there.
        fallback: caption of clips that have none, if they may have none.
        command: what captions the dataset.
    """
    found = Captioned()
    for position, state in enumerate(states):
        sample = state.sample
        if state.dropped:
            found.problems.append(_dropped(state))
            continue
        if not sample.written and fallback is None:
            found.problems.append(_uncaptioned(sample, command))
            continue
        if not sample.written:
            found.with_fallback.add(sample.number)
            sample = _with_fallback(sample, fallback)
        found.samples.append(sample)
        found.positions.append(position)
    return found


def _with_fallback(sample: Sample, fallback: str | None) -> Sample:
    text = fallback or ""
    return replace(sample, caption=sample.token + text if text else sample.token.strip())


def _dropped(state: CaptionState) -> Problem:
    return _problem(
        Code.DROPPED,
        state.sample,
        "it was dropped in a review",
        "take that back on the review page if it is to be used",
    )


def _uncaptioned(sample: Sample, command: str) -> Problem:
    return _problem(
        Code.EMPTY_CAPTION,
        sample,
        "there is no caption, neither in the dataset nor in its caption journal",
        f"let a model write it (`{command}`), or write one",
    )


def _problem(code: Code, sample: Sample, message: str, remedy: str) -> Problem:
    source = sample.source
    return Problem(
        code, message, remedy, source.file, source.line, source.row, sample.number,
        video=sample.name,
    )  # fmt: skip
