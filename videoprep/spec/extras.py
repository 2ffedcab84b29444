"""Reads what a table's row says beside its video and caption, cell by cell."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from videoprep.spec.cells import BadCellError, as_range, as_text
from videoprep.spec.sample import NO_EXTRAS, Extras
from videoprep.text import escape_unprintable

TimeUnit = Literal["seconds", "frames"]
"""What the times of a table are in."""

TimeZero = Literal["container", "first-frame"]
"""Where times in seconds count from. ``container``: where the file begins for a player, be it with
sound; ``first-frame``: where its picture does."""

EXTRAS = ("start", "end", "range", "split", "weight", "repeats")
"""What a table may say beside; each in a column of its own."""

MOST = 10**9
"""Times in seconds or frames are not above it."""

MOST_TIMES = 10_000
"""A sample comes at most so many times in an epoch: a slip must not make epochs that never end."""

_MOST_LETTERS = 100
_SHOWN = 60

# Rows that say the same share one object; of cells that differ in each row nothing is gained.
_REMEMBERED = 4096

_NUMBER = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_CLOCK = re.compile(r"(?:([0-9]{1,5}):)?([0-5]?[0-9]):([0-5]?[0-9](?:\.[0-9]*)?)")
_INTEGER = re.compile(r"([0-9]{1,15})(?:\.0*)?")  # pandas writes 12.0 where others are missing


class BadValueError(ValueError):
    """Cells that cannot be read; ``reasons`` has a sentence for each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


class ExtrasReader:
    """Reads the extras of rows.

    Args:
        columns: name and position of each column that there is, by what it says; see `EXTRAS`.
        unit: what times are in.
    """

    def __init__(self, columns: Mapping[str, tuple[str, int]], unit: TimeUnit) -> None:
        self._columns = tuple(
            (what, name, _parser(what, unit)) for what, (name, _) in columns.items()
        )
        self._positions = tuple(at for _, at in columns.values())
        self._unit = unit
        self._extras = lru_cache(_REMEMBERED)(self._parsed)

    def read(self, row: Sequence[Any]) -> Extras:
        """Return the extras of one row.

        Raises:
            BadValueError: some of its cells are not what they should be.
        """
        cells = tuple([_as_key(row[at]) for at in self._positions])
        # 1 and True are one key of a cache: only text is remembered.
        if all(type(cell) is str for cell in cells):
            return self._extras(cells)
        return self._parsed(cells)

    def _parsed(self, cells: tuple[Any, ...]) -> Extras:
        values: dict[str, Any] = {}
        wrong = []
        for (what, name, parse), cell in zip(self._columns, cells, strict=True):
            try:
                if what == "range":
                    values |= self._range(cell)
                elif text := as_text(cell).strip():
                    values[what] = parse(text)
            except BadCellError as error:
                wrong.append(f"column {name[:_SHOWN]!r} {error}")
            except ValueError as error:
                wrong.append(f"column {name[:_SHOWN]!r}: {_shown(cell)} is not {error}")
        start, end = values.get("start", 0.0), values.get("end", math.inf)
        if end <= start:
            wrong.append(f"the end, {end:.12g}, does not come after the start, {start:.12g}")
        if values.get("weight", 1.0) * values.get("repeats", 1) > MOST_TIMES:
            wrong.append(f"weight × repeats is above {MOST_TIMES}")
        if wrong:
            raise BadValueError(wrong)
        return Extras(unit=self._unit, **values) if values else NO_EXTRAS

    def _range(self, cell: Any) -> dict[str, float]:
        """Start and end of a cell that holds both."""
        if cell == "":
            return {}
        ends = as_range(cell)
        if ends is None:
            raise ValueError("a range of two times, such as [1.5, 4]")
        parse = _parser("start", self._unit)
        named = zip(("start", "end"), (end.strip() for end in ends), strict=True)
        return {what: parse(text) for what, text in named if text}


def _as_key(cell: Any) -> Any:
    """A number as the text that it is read as anyway, so that it is remembered."""
    if cell is None:
        return ""
    kind = type(cell)
    if kind is float:  # not a number: what is missing, as for `as_text`
        return repr(cell) if cell == cell else ""
    return repr(cell) if kind is int else cell


def _parser(what: str, unit: TimeUnit) -> Callable[[str], Any]:
    if what in ("start", "end", "range"):
        return _seconds if unit == "seconds" else _frame
    return {"split": _split, "weight": _weight, "repeats": _repeats}[what]


def _seconds(text: str) -> float:
    clock = _CLOCK.fullmatch(text) if ":" in text else None
    if clock is None:
        return _number(text, f"seconds up to {MOST}, such as 12.5 or 01:30.5 ([HH:]MM:SS)")
    hours, minutes, seconds = clock.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def _frame(text: str) -> float:
    return float(_integer(text, MOST, "the number of a frame, counted from 0"))


@lru_cache(_REMEMBERED)
def _weight(text: str) -> float:
    return _number(text, f"a number from 0 to {MOST_TIMES}", MOST_TIMES)


@lru_cache(_REMEMBERED)
def _repeats(text: str) -> int:
    return _integer(text, MOST_TIMES, f"a whole number from 0 to {MOST_TIMES}")


@lru_cache(_REMEMBERED)
def _split(text: str) -> str:
    if len(text) > _MOST_LETTERS or escape_unprintable(text, keep="") != text:
        raise ValueError(f"a name of at most {_MOST_LETTERS} printable characters")
    return sys.intern(text)


def _number(text: str, expected: str, most: float = MOST) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not value <= most:  # so is nan
        raise ValueError(expected)
    return value


def _integer(text: str, most: int, expected: str) -> int:
    match = _INTEGER.fullmatch(text)
    if match is None or int(match[1]) > most:
        raise ValueError(expected)
    return int(match[1])


def _shown(cell: Any) -> str:
    text = cell if isinstance(cell, str) else str(cell)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
