"""What the readers of JSON share: decoding objects, and their values as cells."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from videoprep.errors import Code, Problem
from videoprep.spec.cells import kind_of
from videoprep.spec.encoding import guess_encoding
from videoprep.spec.readers.base import Header
from videoprep.spec.text_file import in_shell

MAX_OBJECT = 1 << 22
"""Characters that one object may have; a longer one is not a sample."""

LOOKED_AT = 100
"""Objects whose values help to tell what a column holds."""

_SHOWN = 100
_MOST_KEYS = 10_000


class RepeatedKeys(dict[str, Any]):
    """An object in which a key comes more than once."""

    repeated: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    counts = Counter(name for name, _ in pairs)
    twice = RepeatedKeys(made)
    twice.repeated = tuple(name for name, count in counts.items() if count > 1)
    return twice


DECODER = json.JSONDecoder(object_pairs_hook=_object)
"""Decodes objects, and keeps in mind which keys come more than once."""


PLAIN = json.JSONDecoder()
"""Decodes objects of which only the keys are wanted, and is faster."""


def note_keys(seen: dict[str, None], value: Mapping[str, Any]) -> None:
    """Take up the keys of an object, as far as there are not absurdly many."""
    if not seen.keys() >= value.keys() and len(seen) < _MOST_KEYS:
        seen.update(dict.fromkeys(value))


def first_keys(text: str) -> list[str]:
    """Return the keys of the object that a text begins with; empty if it is not whole."""
    try:
        value, _ = DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return []
    return list(value) if isinstance(value, dict) else []


def header_from(values: Iterable[Any]) -> Header:
    """Return the keys of objects as columns, with the values of the first objects.

    Elements that are not objects do not count: whoever reads the rows says what is wrong with them.
    """
    names: dict[str, None] = {}
    first: list[Mapping[str, Any]] = []
    for value in values:
        if isinstance(value, dict):
            note_keys(names, value)
            if len(first) < LOOKED_AT:
                first.append(value)
    header = list(names)
    return Header(header, [cells_of(value, header) for value in first])


class Flaws:
    """Says why elements of a file cannot be samples."""

    def __init__(self, path: Path, used: Mapping[str, str]) -> None:
        self._path = path
        self._used = frozenset(used.values())

    def of(self, value: Any, line: int, row: int | None) -> Problem | None:
        """Return the problem of an element, or None.

        Args:
            value: the element, or the exception that says why it is not JSON.
            line: where it begins.
            row: its number, if rows are told by it.
        """
        if isinstance(value, UnicodeError):
            return self._not_utf8(line, row)
        if isinstance(value, Exception):
            return self._malformed(reason_of(value), line, row)
        if not isinstance(value, dict):
            plain_value = isinstance(value, str | float) or type(value) is int
            what = repr(value)[:_SHOWN] if plain_value else kind_of(value)
            return self._malformed(f"expected an object, found {what}", line, row)
        if isinstance(value, RepeatedKeys):
            twice = [name for name in value.repeated if name in self._used]
            if twice:
                message = f"the key {twice[0][:_SHOWN]!r} comes more than once"
                return self._malformed(message, line, row)
        return None

    @cached_property
    def _encoding(self) -> str | None:
        return guess_encoding(self._path)

    def _not_utf8(self, line: int, row: int | None) -> Problem:
        encoding, path = self._encoding, self._path
        looks = f": it looks like {encoding}" if encoding else ""
        files = f"{in_shell(path)} > {in_shell(path.with_stem('new'))}"
        remedy = f"save the file as UTF-8, for instance: iconv -f {encoding} -t UTF-8 {files}"
        if encoding is None:
            remedy = "write the damaged text again"
        return Problem(Code.NOT_UTF8, f"not UTF-8{looks}", remedy, str(path), line, row)

    def _malformed(self, message: str, line: int, row: int | None) -> Problem:
        remedy = 'correct it, or delete it; a sample is an object: {"video": "a.mp4", "caption": …}'
        return Problem(Code.MALFORMED_ROW, message, remedy, str(self._path), line, row)


def cells_of(value: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """Return the values of some keys; None for those that are missing."""
    get = value.get
    return [get(name) for name in names]


def nothing_more(error: Exception, path: Path, line: int) -> Problem:
    """Return the problem of all that follows a line."""
    message = f"nothing from here on is read: {error}"
    return Problem(Code.MALFORMED_ROW, message, "write the file again", str(path), line)


def reason_of(error: Exception) -> str:
    """Return in words why text is not JSON."""
    if isinstance(error, RecursionError):
        return "invalid JSON: nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON: {error.msg.removesuffix(' at')} at column {error.colno}"
    if "int_max_str_digits" in str(error):
        return "invalid JSON: a number has too many digits"
    return f"invalid JSON: {error}"
