"""TOML, YAML and JSON of strangers: parsed within limits, with the line of each key."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from videoprep.errors import SpecError
from videoprep.text import escape_unprintable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIXES = (".toml", ".yaml", ".yml", ".json")
"""Endings of configs."""

LARGEST = 1 << 20
"""Bytes of the largest file that is taken for a config."""

_DEEPEST = 50
_SHOWN = 300

Place = tuple[str | int, ...]
"""The way to a value: keys, and numbers of items of lists."""


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A config, parsed."""

    path: Path
    data: Any
    lines: Mapping[Place, int]
    """The line of each key and item, counted from 1."""

    def line(self, *place: str | int) -> int:
        """Return the line of a value, or of the nearest thing around it that has one."""
        for end in range(len(place), 0, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return 1

    def where(self, *place: str | int) -> str:
        """Return the file and the line of a value."""
        return f"{self.path}:{self.line(*place)}"


class _DuplicateKeyError(ValueError):
    """A mapping has a key twice."""


def parse(path: Path) -> ParsedFile:
    """Parse a file by its ending.

    Raises:
        SpecError: it cannot be read, is too large, not UTF-8, or not what its ending says; or a
            mapping in it has a key twice.
    """
    text = _text(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".toml":
            data: Any = tomllib.loads(text)
            lines = dict(_toml_lines(text))
        elif suffix == ".json":
            data = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
            lines = dict(_json_lines(text))
        else:
            data, lines = _yaml(text)
    except RecursionError as error:
        raise _error(path, "is nested too deeply", "this is no dataset config") from error
    except (ValueError, yaml.YAMLError) as error:
        reason = escape_unprintable(" ".join(str(error).split()))[:_SHOWN]
        kind = {".toml": "TOML", ".json": "JSON"}.get(suffix, "YAML")
        raise _error(path, f"is not valid {kind}: {reason}", "correct it") from error
    return ParsedFile(path, data, lines)


def _text(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise _error(path, "is not a regular file", "name a config")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise _error(path, f"cannot be read: {error.strerror}", "check its permissions") from error
    if len(data) > LARGEST:
        raise _error(path, f"is larger than {LARGEST:,} bytes", "this is no dataset config")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(
            "is not UTF-8", where=f"{path}:{line}", remedy="save the file as UTF-8"
        ) from error
    return text.replace("\r\n", "\n")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _DuplicateKeyError(f"the key {twice!r} comes more than once")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


def _json_lines(text: str) -> Iterator[tuple[Place, int]]:
    """Of a text that is known to be JSON."""
    stack: list[str | int] = []  # a key or the number of an item, for each level
    waiting: str | None = None  # a text that may be a key
    line, at = 1, 0
    for match in _PIECE.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        piece = match[0]
        before, waiting = waiting, None
        if piece == "{":
            yield tuple(stack), line
            stack.append("")
        elif piece == "[":
            yield tuple(stack), line
            stack.append(0)
        elif piece in "}]":
            stack.pop()
        elif piece == ",":
            last = stack[-1]
            stack[-1] = last + 1 if isinstance(last, int) else ""
        elif piece == ":" and before is not None:
            stack[-1] = str(json.loads(before))
            yield tuple(stack), line
        elif stack and isinstance(stack[-1], int):
            yield tuple(stack), line
        elif piece.startswith('"'):
            waiting = piece


_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*([A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[^=]+?)?\s*=""")
_FENCE = re.compile(r'"""|\'\'\'')


def _toml_lines(text: str) -> Iterator[tuple[Place, int]]:
    """Where tables and their keys begin. What lies in texts of several lines is passed over."""
    table: Place = ()
    counts: dict[Place, int] = {}
    fence = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if fence:
            fence = "" if fence in line else fence
            continue
        if (found := _TABLE.match(line)) and line.count("=") == 0:
            names: Place = tuple(part.strip().strip("\"'") for part in found[2].split("."))
            if found[1] == "[[":
                counts[names] = counts.get(names, -1) + 1
                yield names, number
                table = (*names, counts[names])
            else:
                table = (names[0], counts[names[:1]], *names[1:]) if names[:1] in counts else names
            yield table, number
        elif found := _KEY.match(line):
            yield (*table, found[1].strip("\"'")), number
        fences = _FENCE.findall(line)
        if len(fences) % 2:
            fence = fences[0]


def _yaml(text: str) -> tuple[Any, dict[Place, int]]:
    root = yaml.compose(text, yaml.SafeLoader)
    lines: dict[Place, int] = {}
    if root is not None:
        lines.update(_yaml_lines(root, (), set()))
    return yaml.safe_load(text), lines


def _yaml_lines(node: yaml.Node, place: Place, above: set[int]) -> Iterator[tuple[Place, int]]:
    """Of each value; refuses aliases, with which a few lines stand for gigabytes."""
    if len(place) > _DEEPEST:
        raise RecursionError
    if id(node) in above:
        raise ValueError("aliases (*name) are not supported")
    above.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                at = key.start_mark.line + 1
                raise _DuplicateKeyError(f"the key {name!r} comes more than once (line {at})")
            seen.add(name)
            yield (*place, name), key.start_mark.line + 1
            yield from _yaml_lines(value, (*place, name), above)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield (*place, number), item.start_mark.line + 1
            yield from _yaml_lines(item, (*place, number), above)


def _error(path: Path, message: str, remedy: str) -> SpecError:
    return SpecError(message, where=str(path), remedy=remedy)
