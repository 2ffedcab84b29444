"""Reader for JSON Lines: an object per line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

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
)
from videoprep.spec.text_file import changed, require_list

_SNIFFED = 1 << 16
_MOST_BYTES = 4 * MAX_OBJECT

Line = tuple[int, Any]
"""A line's number, and its object or the exception that says why it is not one."""


class JsonLines(TableReader):
    """Keys are columns, also those that first come late. A line is a row."""

    name = "json-lines"
    summary = "a JSON Lines file, with an object per line"
    suffixes = (".jsonl", ".ndjson")

    def sniff(self, path: Path) -> bool:
        with open_utf8(path) as file:
            return file.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{"

    def glance(self, file: BinaryIO) -> Sequence[str] | None:
        start = file.read(_SNIFFED).removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
        start = start.lstrip()
        return first_keys(start) if start.startswith("{") else None

    def header(self, path: Path) -> Header:
        require_list(path)
        header = header_from(value for _, value in _objects(path, PLAIN))
        if not header.names:
            raise _no_objects(path)
        return header

    def rows(self, path: Path, used: Mapping[str, str], found: Entries) -> Iterator[Row]:
        require_list(path)
        names, seen = list(used.values()), found.header
        flaws = Flaws(path, used)
        for number, value in _objects(path):
            if (flaw := flaws.of(value, number, None)) is not None:
                yield Row(number, None, flaw)
                continue
            note_keys(seen, value)
            yield Row(number, None, cells_of(value, names))


READER = JsonLines()


def _no_objects(path: Path) -> SpecError:
    message = "there is no JSON object in it"
    return table_error(path, message, 'write an object per line: {"video": "a.mp4", "caption": …}')


def _objects(path: Path, decoder: json.JSONDecoder = DECODER) -> Iterator[Line]:
    """The objects of the lines that are not blank, each with its number."""
    decode = decoder.decode
    try:
        with open_utf8(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(_MOST_BYTES), b""), 1):
                if len(line) == _MOST_BYTES and not line.endswith(b"\n"):
                    while (rest := file.readline(_MOST_BYTES)) and not rest.endswith(b"\n"):
                        pass
                    yield number, ValueError(f"the line has more than {_MOST_BYTES:,} bytes")
                    continue
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if not (line := line.strip()):
                    continue
                try:
                    yield number, decode(line.decode())
                except (ValueError, RecursionError) as error:
                    yield number, error
    except (UnicodeDecodeError, OSError) as error:
        raise changed(path, error) from error
