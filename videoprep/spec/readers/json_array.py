"""Reader for a JSON file: an array of objects, read in a stream."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from videoprep.errors import SpecError
from videoprep.spec.encoding import open_utf8
from videoprep.spec.entries import Entries
from videoprep.spec.readers.base import Header, Row, TableReader, table_error
from videoprep.spec.readers.json_objects import (
    DECODER,
    MAX_OBJECT,
    PLAIN,
    Flaws,
    cells_of,
    first_keys,
    header_from,
    note_keys,
    nothing_more,
)
from videoprep.spec.readers.json_pieces import DEEP, LostError, Pieces
from videoprep.spec.text_file import changed, require_list

_SNIFFED = 1 << 16

_BETWEEN = re.compile(r"[\s,]*")
# The beginning of an object, and its first key. A pattern that begins with one character is
# searched for ten times as fast as one that begins with a class of them.
_OBJECT = re.compile(r'\{\s*"((?:[^"\\]|\\.)*)"\s*:')
# What stands before a part of another object: the value of a key, or the first of a list.
_PART = (":", "[")
_ARRAY = re.compile(r"\s*\[\s*([{\]]|\Z)")
_OBJECTS = re.compile(r'\s*\{\s*"')
_LONGEST_START = 1 << 12  # characters from the end of an object to the first key of the next


class Item(NamedTuple):
    """An element of the array: the line it begins on, and what it is."""

    line: int
    value: Any
    """An object, another value, or the exception that says why it is neither."""


class JsonArray(TableReader):
    """Keys are columns, also those that first come late. An element of the array is a row.

    Objects that follow each other without an array around them are read, too: some programs call
    JSON Lines ``.json``.
    """

    name = "json"
    summary = "a JSON file with an array of objects"
    suffixes = (".json",)

    def sniff(self, path: Path) -> bool:
        with open_utf8(path) as file:
            return _is_array(_start(file))

    def glance(self, file: BinaryIO) -> Sequence[str] | None:
        text = _start(file)
        return first_keys(text[text.find("{") :]) if _is_array(text) else None

    def header(self, path: Path) -> Header:
        require_list(path)
        if _is_one_object(path, self):
            raise table_error(
                path,
                "it is one object, not an array of samples",
                'write an array: [{"video": "a.mp4", "caption": "…"}, …]',
            )
        header = header_from(_values(path))
        if not header.names:
            raise _no_objects(path)
        return header

    def rows(self, path: Path, used: Mapping[str, str], found: Entries) -> Iterator[Row]:
        require_list(path)
        names, seen = list(used.values()), found.header
        flaws = Flaws(path, used)
        try:
            for row, (line, value) in enumerate(_items(path), 1):
                if (flaw := flaws.of(value, line, row)) is not None:
                    yield Row(line, row, flaw)
                    continue
                note_keys(seen, value)
                yield Row(line, row, cells_of(value, names))
        except LostError as error:
            found.total += 1
            found.problems.append(nothing_more(error, path, error.line))


READER = JsonArray()


def _start(file: BinaryIO) -> str:
    return file.read(_SNIFFED).removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")


def _is_array(start: str) -> bool:
    """Whether a text begins like an array of objects, or like objects on lines of their own."""
    if _ARRAY.match(start):
        return True
    first, _, rest = start.strip().partition("\n")
    return bool(_OBJECTS.match(first) and first.rstrip().endswith("}") and _OBJECTS.match(rest))


def _values(path: Path) -> Iterator[Any]:
    """The elements up to where reading cannot go on, which whoever reads the rows says."""
    try:
        for _, value in _items(path, PLAIN):
            yield value
    except LostError:
        return


def _is_one_object(path: Path, reader: JsonArray) -> bool:
    with open_utf8(path) as file:
        start = file.read(_SNIFFED).removeprefix(codecs.BOM_UTF8).lstrip()
    return start.startswith(b"{") and not reader.sniff(path)


def _no_objects(path: Path) -> SpecError:
    message = "there is no array of objects in it"
    remedy = 'write an array of samples: [{"video": "a.mp4", "caption": "…"}, …]'
    return table_error(path, message, remedy)


def _items(path: Path, decoder: json.JSONDecoder = DECODER) -> Iterator[Item]:
    try:
        with open_utf8(path) as file:
            yield from _ArrayScanner(file, decoder).items()
    except (UnicodeDecodeError, OSError) as error:
        raise changed(path, error) from error


class _ArrayScanner(Pieces):
    """Goes through the elements of an array."""

    def __init__(self, file: BinaryIO, decoder: json.JSONDecoder) -> None:
        super().__init__(file, decoder)
        self._keys: dict[str, None] = {}
        self._lost = False  # whether no object follows a broken one: the array's end is lost, too

    def items(self) -> Iterator[Item]:
        """Yield the elements; one that is broken costs itself. Arrays may follow each other.

        Raises:
            LostError: so much is broken that the rest is not looked through.
        """
        in_array = False
        while True:
            self._skip(_BETWEEN)
            char = self._peek()
            if not char:
                if in_array:
                    yield Item(self._line, EOFError("the file ends before the array does"))
                return
            if char == "]" or (char == "[" and not in_array):
                in_array = char == "["
                self._move(self._at + 1)
                continue
            item = self._item()
            yield item
            if self._lost:
                return

    def _item(self) -> Item:
        line = self._line
        value = self._value()
        if isinstance(value, Exception) and not isinstance(value, UnicodeError):
            self._resume()
        elif isinstance(value, dict):
            note_keys(self._keys, value)
        return Item(line, value)

    def _resume(self) -> None:
        """Move to the next object: one with a key that an object before has.

        Raises:
            LostError: so much was broken already that the rest is not looked through.
        """
        while True:
            self._require_hope()
            match = self._next_object()
            if match is None:
                self._move(self._last_start())
                if not self._grow():
                    self._move(len(self._text))
                    self._lost = True
                    return
                continue
            self._move(match.start())
            if not self._keys or match[1] in self._keys or self._has_known_key():
                return

    def _next_object(self) -> re.Match[str] | None:
        """Find where an object of the array may begin, behind the place that was reached."""
        text, at = self._text, self._at
        while match := _OBJECT.search(text, at):
            before = match.start() - 1
            while before > self._at and text[before].isspace():
                before -= 1
            if before >= self._at and not text[before].isspace() and text[before] not in _PART:
                return match
            at = match.start() + 1
        return None

    def _has_known_key(self) -> bool:
        """Whether the object that begins here is one, and a key of it is known."""
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._tried += error.pos - self._at
                room = len(self._text) - self._at <= MAX_OBJECT
                if self._may_go_on(error) and room and self._grow():
                    continue
                return False
            except (RecursionError, ValueError):
                self._tried += min(DEEP, len(self._text) - self._at)
                return False
            self._tried += end - self._at
            return isinstance(value, dict) and not self._keys.keys().isdisjoint(value)

    def _last_start(self) -> int:
        """Where the text may be let go up to: an object may begin at its end."""
        brace = self._text.rfind("{", max(self._at, len(self._text) - _LONGEST_START))
        at = len(self._text) if brace < 0 else brace
        bare = self._text[max(self._at, at - _LONGEST_START) : at].rstrip()
        return max(self._at, at - (min(at - self._at, _LONGEST_START) - len(bare)) - 1)
