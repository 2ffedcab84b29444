"""The clips of a dataset as they are reviewed: their captions, findings, and what was decided."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from videoprep.errors import Code
from videoprep.spec.caption_journal import digest
from videoprep.spec.current_captions import CaptionState
from videoprep.spec.live_captions import LiveCaptions
from videoprep.spec.sample import Sample
from videoprep.text import escape_unprintable
from videoprep.validators.engine import CaptionRules
from videoprep.validators.protocol import Finding, Severity
from videoprep.validators.report import Report

Show = Literal["all", "undecided", "kept", "edited", "dropped", "missing", "failed"]
"""Which clips are shown, by what became of them."""

SHOWS: tuple[Show, ...] = get_args(Show)

# The bit of each clip that says whether it belongs to such a group.
_BITS: dict[Show, int] = {show: 1 << number for number, show in enumerate(SHOWS)}

_SEVERITIES = {severity.value: rank for rank, severity in enumerate(Severity)}

# What a change of the caption or a decision may settle.
_SETTLED = {Code.EMPTY_CAPTION.value, Code.DROPPED.value}

_MOST_FINDINGS = 50
_SNIPPET = 120


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """Which clips are wanted."""

    show: Show = "all"
    """By what became of them."""
    code: str = ""
    """By a rule that found something; empty for any."""
    words: tuple[str, ...] = ()
    """In lower case; each is in the video's name or a caption."""

    @classmethod
    def of(cls, show: str, code: str = "", text: str = "") -> ClipFilter:
        """Return the filter that a page asks for; an unknown group stands for all."""
        known: Show = next((one for one in SHOWS if one == show), "all")
        return cls(known, code, tuple(text.lower().split()))


@dataclass(frozen=True, slots=True)
class ClipSearch:
    """A search of clips as they were at one moment. It may go on while others decide."""

    wanted: ClipFilter
    candidates: Sequence[int]
    """The clips among which those that are wanted are, in order."""
    groups: bytes
    """Of each clip, the groups that it belongs to."""
    states: Sequence[CaptionState]
    """What is known about each clip's caption; empty if no words are looked for."""
    total: int | None
    """How many clips are wanted, if that is known without a look at each."""

    def after(self, position: int = -1) -> Iterator[int]:
        """Yield the clips that are wanted and come after one, in order."""
        bit = _BITS[self.wanted.show]
        begin = bisect_right(self.candidates, position)
        for number in range(begin, len(self.candidates)):
            found = self.candidates[number]
            if self.groups[found] & bit and self._has_words(found):
                yield found

    def count(self) -> int | None:
        """Return how many clips are wanted; None if all captions would have to be read for it."""
        if self.wanted.words:
            return None
        return sum(1 for _ in self.after()) if self.total is None else self.total

    def _has_words(self, position: int) -> bool:
        if not self.wanted.words:
            return True
        sample = self.states[position].sample
        text = " ".join([sample.name, *sample.captions]).lower()
        return all(word in text for word in self.wanted.words)


def seen_of(state: CaptionState) -> str:
    """Return a hash of all that a reviewer decides on: the captions and what was decided."""
    sample = state.sample
    review = state.review
    return digest(state.clip, sample.written, state.edited, review.verdict, *sample.further)


class ReviewItems:
    """The clips of a dataset, numbered from 0 in its order. Use it from one thread at a time.

    Args:
        live: the captions.
        report: what validation found.
        rules: those that are applied to captions again when they change.
        spell: writes the options that findings name as the reviewer gives them.
    """

    def __init__(
        self,
        live: LiveCaptions,
        report: Report,
        rules: CaptionRules,
        spell: Callable[[str], str] = str,
    ) -> None:
        self._spell = spell
        self.live = live
        self.rules = rules
        self.counts: dict[Show, int] = dict.fromkeys(SHOWS, 0)
        """How many clips belong to each group."""
        self.report = report
        self._groups = bytearray(len(live.states))
        self._findings: dict[int, list[Finding]] = {}
        self._by_code: dict[str, set[int]] = {}
        self._worst: dict[str, int] = {}
        self._sorted: dict[str, list[int]] = {}
        self._take(report.findings)
        for position in range(len(live.states)):
            self._group(position)

    def __len__(self) -> int:
        return len(self.live.states)

    def state(self, position: int) -> CaptionState:
        """Return what is known about a clip's caption."""
        return self.live.states[position]

    def refresh(self) -> None:
        """Read what others added to the journal."""
        for position in self.live.refresh():
            self._group(position)
            self._check(position)

    def codes(self) -> list[dict[str, Any]]:
        """Return the rules that found something, those with errors first."""
        worst = {code: rank for code, rank in self._worst.items() if self._by_code[code]}
        severities = list(_SEVERITIES)
        return [
            {
                "code": code,
                "name": self._name_of(code),
                "severity": severities[worst[code]],
                "count": len(self._by_code[code]),
            }
            for code in sorted(worst, key=lambda code: (worst[code], code))
        ]

    def search(self, wanted: ClipFilter) -> ClipSearch:
        """Return a search of the clips as they are now, which takes no time yet."""
        return ClipSearch(
            wanted,
            self._candidates(wanted.code),
            bytes(self._groups),
            tuple(self.live.states) if wanted.words else (),
            None if wanted.code or wanted.words else self.counts[wanted.show],
        )

    def row(self, position: int) -> dict[str, Any]:
        """Return what a list shows of a clip."""
        state = self.state(position)
        findings = self._findings.get(position, ())
        ranks = [_SEVERITIES[finding.severity.value] for finding in findings]
        return {
            "at": position,
            "name": escape_unprintable(state.sample.name),
            "caption": escape_unprintable(state.sample.written[:_SNIPPET], keep=""),
            "verdict": state.review.verdict,
            "edited": bool(state.edited),
            "severity": list(_SEVERITIES)[min(ranks)] if ranks else None,
        }

    def item(self, position: int) -> dict[str, Any]:
        """Return all that the page shows of a clip, but how it is played."""
        state = self.state(position)
        sample, review = state.sample, state.review
        tokens = self.rules.count(sample)
        raw = {"described": state.described, "refined": state.refined, "edited": state.edited}
        origin = sample.origin
        return {
            **self.row(position),
            "number": sample.number,
            "clip": state.clip,
            "source": escape_unprintable(str(sample.source)),
            "range": _range(sample),
            "token": escape_unprintable(sample.token),
            "caption": sample.written,
            "own": escape_unprintable(_own(state)),
            **{name: escape_unprintable(text) for name, text in raw.items()},
            "edit": state.edited,
            "stage": None if origin is None else origin.stage,
            "model": "" if origin is None else escape_unprintable(origin.model),
            "failure": escape_unprintable(state.failure),
            "decided": {"verdict": review.verdict, "at": review.at, "by": _line(review.by)},
            "seen": seen_of(state),
            "tokens": tokens,
            "limit": self.rules.limit,
            "hidden": hidden_in(sample.written),
            "further": [escape_unprintable(text) for text in sample.further],
            "findings": [self._shown(one) for one in self._of(position)[:_MOST_FINDINGS]],
            "copies": len(self.live.positions(state.clip)),
        }

    def check(self, position: int, text: str) -> dict[str, Any]:
        """Return what would be found in another first caption of a clip."""
        sample = self.state(position).sample
        sample = replace(sample, caption=sample.token + text, further=())
        tokens = self.rules.count(sample)
        return {
            "tokens": tokens,
            "limit": self.rules.limit,
            "hidden": hidden_in(text),
            "findings": [self._shown(one) for one in self.rules.check(sample, tokens)],
        }

    def _take(self, findings: Iterable[Finding]) -> None:
        by_number = {
            state.sample.number: position for position, state in enumerate(self.live.states)
        }
        for finding in findings:
            position = by_number.get(finding.number or 0)
            if position is not None and finding.code != Code.DROPPED.value:
                self._findings.setdefault(position, []).append(finding)
                self._note(position, finding)

    def _group(self, position: int) -> None:
        state = self.state(position)
        held: dict[Show, bool] = {
            "all": True,
            "undecided": state.review.verdict is None,
            "kept": state.review.verdict == "keep",
            "edited": bool(state.edited) and not state.dropped,
            "dropped": state.dropped,
            "missing": not state.sample.written,
            "failed": bool(state.failure),
        }
        before = self._groups[position]
        now = self._groups[position] = sum(_BITS[show] for show, is_in in held.items() if is_in)
        for show, bit in _BITS.items():
            self.counts[show] += bool(now & bit) - bool(before & bit)

    def _check(self, position: int) -> None:
        """Apply the rules on captions to those that are current now."""
        sample = self.state(position).sample
        found = self.rules.check(sample, self.rules.count(sample))
        again = self.rules.codes | _SETTLED
        kept = [one for one in self._findings.pop(position, []) if one.code not in again]
        for code in again:
            self._by_code.get(code, set()).discard(position)
        if kept or found:
            self._findings[position] = [*kept, *found]
        for finding in found:
            self._note(position, finding)
        self._sorted.clear()

    def _note(self, position: int, finding: Finding) -> None:
        rank = _SEVERITIES[finding.severity.value]
        self._worst[finding.code] = min(rank, self._worst.get(finding.code, rank))
        self._by_code.setdefault(finding.code, set()).add(position)

    def _of(self, position: int) -> Sequence[Finding]:
        found = self._findings.get(position, [])
        return sorted(found, key=lambda one: (_SEVERITIES[one.severity.value], one.code))

    def _candidates(self, code: str) -> Sequence[int]:
        if not code:
            return range(len(self))
        ordered = self._sorted.get(code)
        if ordered is None:
            ordered = self._sorted[code] = sorted(self._by_code.get(code, ()))
        return ordered

    def _name_of(self, code: str) -> str:
        known = self.report.rules
        return known[code].name if code in known else self.rules.name_of(code)

    def _shown(self, finding: Finding) -> dict[str, Any]:
        return {
            "code": finding.code,
            "name": self._name_of(finding.code),
            "severity": finding.severity.value,
            "message": escape_unprintable(self._spell(finding.message)),
            "remedy": escape_unprintable(self._spell(finding.remedy)),
        }


def hidden_in(text: str) -> list[str]:
    """Return the characters of a text that cannot be seen, as their codes, each once."""
    if text.isprintable():
        return []
    codes = {escape_unprintable(char): None for char in text if escape_unprintable(char) != char}
    return list(codes)[:_MOST_FINDINGS]


def _own(state: CaptionState) -> str:
    """What the dataset has: all its captions if a captioner's text stands for them."""
    return state.own if state.sample.further else "\n".join(state.own_captions)


def _range(sample: Sample) -> str:
    extras = sample.extras
    if extras.start is None and extras.end is None:
        return ""
    end = "the end" if extras.end is None else f"{extras.end:g}"
    unit = "s" if extras.unit == "seconds" else "frames"
    return f"{extras.start or 0:g} to {end} {unit}"


def _line(text: str) -> str:
    return escape_unprintable(text, keep="")
