"""The keys of a section of a config: their values checked, and what is not honoured named."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from videoprep.errors import Code, Problem, SpecError
from videoprep.spec.configs.parsed_file import ParsedFile
from videoprep.text import escape_unprintable

_SHOWN = 100
_LARGEST = 1 << 31
_LONGEST_SIDE = 1 << 16
_MOST_FRAMES = 100_000
_HIGHEST_RATE = 1000


@dataclass(frozen=True, slots=True)
class KeyKind:
    """What the value of a key has to be."""

    words: str
    """As in “expected …”."""
    check: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class TrainerKey:
    """A key that the trainer knows."""

    kind: KeyKind | None = None
    """What its value has to be; None: anything, since it is not looked at."""
    ignored: str = ""
    """Why videoprep does not honour it; empty: it does."""
    severity: Literal["warning", "note"] = "warning"
    """How bad it is that it is not honoured."""
    here: str = ""
    """What becomes of it here, as the documentation says it."""


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) < _LARGEST


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < _LARGEST


def _is_list(value: Any, item: Callable[[Any], bool], *lengths: int) -> bool:
    fits = isinstance(value, list) and (not lengths or len(value) in lengths)
    return fits and 0 < len(value) <= 1000 and all(map(item, value))


def _is_side(value: Any) -> bool:
    return _is_positive(value) and value <= _LONGEST_SIDE


def _is_positive(value: Any) -> bool:
    return _is_whole(value) and value > 0


WHOLE = KeyKind("a whole number", _is_whole)
POSITIVE = KeyKind("a whole number above 0", _is_positive)
NUMBER = KeyKind("a number", _is_number)
ABOVE_ZERO = KeyKind("a number above 0", lambda value: _is_number(value) and value > 0)
TEXT = KeyKind("a text", lambda value: isinstance(value, str) and "\0" not in value)
YES_NO = KeyKind("true or false", lambda value: isinstance(value, bool))
FRAMES = KeyKind(
    "a number of frames from 1 to 100,000", lambda v: _is_positive(v) and v <= _MOST_FRAMES
)
RATE = KeyKind(
    "frames a second, from 0.1 to 1,000", lambda v: _is_number(v) and 0.1 <= v <= _HIGHEST_RATE
)
COUNTS = KeyKind("a list of whole numbers above 0", lambda v: _is_list(v, _is_positive))
SIZE = KeyKind(
    "a number of pixels, or [width, height]",
    lambda v: _is_side(v) or _is_list(v, _is_side, 2),
)


def list_of(item: KeyKind, words: str) -> KeyKind:
    """Return the kind of lists of a kind of values."""
    return KeyKind(words, lambda value: _is_list(value, item.check))


def one_of(*words: str) -> KeyKind:
    """Return the kind of values that are one of some words."""
    return KeyKind(" or ".join(words), lambda value: value in words and isinstance(value, str))


def honoured(kind: KeyKind, here: str = "") -> TrainerKey:
    """Return a key that videoprep honours.

    Args:
        kind: what its value has to be.
        here: what becomes of it.
    """
    return TrainerKey(kind, here=here)


def ignored(why: str) -> TrainerKey:
    """Return a key that is not honoured and changes what is trained on."""
    return TrainerKey(None, why)


def of_training(why: str = "it is of training, not of the data") -> TrainerKey:
    """Return a key that is not honoured and changes nothing of the data."""
    return TrainerKey(None, why, "note")


@dataclass(slots=True)
class KeyCheck:
    """Checks the keys of a config, and gathers what is not honoured."""

    file: ParsedFile
    trainer: str
    refuses_unknown: bool = False
    """Whether the trainer ends at a key that it does not know."""
    problems: list[Problem] = field(default_factory=list)

    def section(
        self, data: Any, known: Mapping[str, TrainerKey], *place: str | int
    ) -> dict[str, Any]:
        """Return the values of a section that are honoured; None in JSON and YAML is left out.

        Args:
            data: the section.
            known: its keys.
            place: the way to it.

        Raises:
            SpecError: it is no section, or a value is wrong.
        """
        if not isinstance(data, dict):
            raise self.error("expected a section with keys", *place)
        values: dict[str, Any] = {}
        for key, value in data.items():
            if not isinstance(key, str):
                raise self.error(f"{key!r} is no key", *place)
            one = known.get(key)
            if one is None:
                self._unknown(key, known, *place)
            elif one.ignored:
                self.note(f"{key!r} is not honoured: {one.ignored}", one.severity, *place, key)
            elif value is not None:
                if one.kind is not None and not one.kind.check(value):
                    shown = escape_unprintable(repr(value))[:_SHOWN]
                    raise self.error(f"{key!r}: expected {one.kind.words}: {shown}", *place, key)
                values[key] = value
        return values

    def _unknown(self, key: str, known: Mapping[str, TrainerKey], *place: str | int) -> None:
        close = difflib.get_close_matches(key, known, n=1)
        end = f"; {self.trainer} refuses the file for it" if self.refuses_unknown else ""
        remedy = f"did you mean {close[0]!r}?" if close else f"the keys are: {', '.join(known)}"
        message = f"{escape_unprintable(key)[:_SHOWN]!r} is no key of {self.trainer}{end}"
        self.note(message, "warning", *place, key, remedy=remedy)

    def note(
        self,
        message: str,
        severity: Literal["warning", "note"],
        *place: str | int,
        remedy: str = "nothing, if videoprep need not do it",
        code: Code = Code.CONFIG_KEY,
    ) -> None:
        """Note something that the user has to know."""
        line = self.file.line(*place)
        where = str(self.file.path)
        self.problems.append(Problem(code, message, remedy, where, line, severity=severity))

    def error(self, message: str, *place: str | int, remedy: str = "correct the file") -> SpecError:
        """Return an error about a place in the file."""
        return SpecError(message, where=self.file.where(*place), remedy=remedy)

    def items(self, name: str) -> Iterator[tuple[int, Any]]:
        """Yield the items of a list at the top of the file.

        Raises:
            SpecError: it is no list, or an empty one.
        """
        data = self.file.data.get(name)
        if not isinstance(data, list) or not 0 < len(data) <= 1000:
            raise self.error(f"{name!r} is no list of 1 to 1,000 datasets", name)
        yield from enumerate(data)
