"""The lines of a ``videoprep.yaml`` that a person wrote: settings as written, and own comments."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import yaml

EXPLAINS = "##"
"""What a line of explanation begins with, in contrast to a person's own comments."""

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML counts them
_COMMENTED_OUT = re.compile(r"# ([a-z_]+): ?\S")


@dataclass(frozen=True, slots=True)
class YamlLines:
    """What a person wrote into a file.

    Attributes:
        settings: by option, the lines that set it.
        above: by option, the comments that belong to it.
        top: comments at the top of the file.
        end: comments at its end.
    """

    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    above: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    top: tuple[str, ...] = ()
    end: tuple[str, ...] = ()


def read_yaml_lines(text: str, mark: str, explained: Collection[str]) -> YamlLines:
    """Find the settings and the own comments in a file.

    Lines that explain are dropped: in a file that has the line ``mark``, those that begin with
    ``##``; in any other file, those in ``explained``.

    Args:
        text: the file's text, which is a YAML mapping, or comments alone.
        mark: the first line of every text that explains itself.
        explained: lines that explain, as they are written today.
    """
    lines = _LINE_END.split(text.removeprefix("\ufeff"))
    spans = _spans(text)
    if spans is None:
        return YamlLines(top=tuple(line.strip() for line in lines if line.strip().startswith("#")))
    reader = _LineReader(lines, mark if mark in lines else None, explained)
    for name, first, last in spans:
        reader.read_comments(first)
        reader.read_setting(name, last)
    reader.read_comments(len(lines))
    return reader.found()


def with_settings(text: str, settings: Mapping[str, str | None]) -> str | None:
    """Return a text in which some options are set otherwise; every other line stays as it is.

    An option that the text does not set comes in the place of the line that shows its default, if
    there is one, else at the end.

    Args:
        text: a YAML mapping, or comments alone.
        settings: by option, the lines that set it; None: nothing sets it any more.

    Returns:
        The text; None if its settings share lines, so that they cannot be exchanged.
    """
    spans = _spans(text)
    if spans is None:
        return None
    parts = re.split(f"({_LINE_END.pattern})", text)
    lines = [line + end for line, end in zip(parts[::2], [*parts[1::2], ""], strict=True)]
    if parts[-1]:
        lines[-1] += "\n"
    for name, first, last in spans:
        if name in settings:
            while last > first and not lines[last].strip():
                last -= 1
            lines[first : last + 1] = [settings[name] or "", *[""] * (last - first)]
    set_already = {name for name, _, _ in spans}
    for name, written in settings.items():
        if written is not None and name not in set_already:
            shown = _shown_default(lines, name)
            if shown is None:
                lines.append(written)
            else:
                lines[shown] = written
    return "".join(lines)


def _shown_default(lines: list[str], name: str) -> int | None:
    """The place of the only line that shows an option without setting it."""
    for at in range(1, len(lines)):
        goes_on = at + 1 < len(lines) and lines[at + 1].startswith("# ")
        if lines[at].startswith(f"# {name}: ") and lines[at - 1].startswith(EXPLAINS):
            return None if goes_on else at
    return None


def option_name(key: object) -> str:
    """Return the name of the option that a key sets: hyphens stand for underscores."""
    return str(key).replace("-", "_")


def lines_of_items(data: bytes, name: str) -> list[Mapping[str, int]]:
    """Return where the items of a list stand, by their keys; "" stands for an item as a whole.

    Lines are counted from 1. An item that is no mapping has no keys.

    Args:
        data: the file, which is a YAML mapping.
        name: the setting that is a list.
    """
    root = yaml.compose(data, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return []
    lists = [value for key, value in root.value if option_name(key.value) == name]
    items = lists[-1].value if lists and isinstance(lists[-1], yaml.SequenceNode) else ()
    return [{"": item.start_mark.line + 1, **_lines_of_keys(item)} for item in items]


def _lines_of_keys(node: yaml.Node) -> dict[str, int]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {option_name(key.value): key.start_mark.line + 1 for key, _ in node.value}


class _LineReader:
    """Goes through the lines once, and collects comments for the setting that they belong to."""

    def __init__(self, lines: list[str], mark: str | None, explained: Collection[str]) -> None:
        self._lines = lines
        self._mark = mark
        self._explained = {line.lstrip("# ") for line in explained}
        self._settings: dict[str, list[str]] = {}
        self._above: dict[str, list[str]] = {}
        self._top: list[str] = []
        self._waiting: list[str] = []
        self._last: str | None = None  # the setting that the line before belongs to
        self._at = 0
        self._begun = mark is None

    def read_setting(self, name: str, last: int) -> None:
        self._attach(name)
        lines = self._lines[self._at : last + 1]
        while not lines[-1].strip():  # a text block takes the blank lines after it
            lines.pop()
        self._settings.setdefault(name, []).extend(lines)
        self._last, self._at = name, last + 1

    def read_comments(self, end: int) -> None:
        for at in range(self._at, end):
            self._read_comment(self._lines[at].strip(), at)
        self._at = end

    def found(self) -> YamlLines:
        return YamlLines(
            {name: tuple(lines) for name, lines in self._settings.items()},
            {name: tuple(lines) for name, lines in self._above.items()},
            tuple(self._top),
            tuple(self._waiting),
        )

    def _read_comment(self, line: str, at: int) -> None:
        if not line.startswith("#"):  # blank, or --- and the like
            self._end_of_paragraph()
        elif line == self._mark:
            self._top += self._waiting
            self._waiting, self._begun = [], True
        elif self._explains(line):
            self._end_of_paragraph()
        elif (option := self._commented_out(line, at)) is not None:
            self._attach(option)
        else:
            self._waiting.append(line)

    def _end_of_paragraph(self) -> None:
        """Comments right below a setting, with nothing right below them, belong to it."""
        if self._waiting and self._last is not None:
            self._attach(self._last)
        elif self._waiting and not self._settings and self._mark is None:
            self._top += self._waiting
            self._waiting = []
        self._last = None

    def _attach(self, name: str) -> None:
        if self._waiting:
            self._above.setdefault(name, []).extend(self._waiting)
        self._waiting, self._last = [], None

    def _explains(self, line: str) -> bool:
        if self._mark is not None:
            return self._begun and line.startswith(EXPLAINS)
        return line.lstrip("# ") in self._explained

    def _commented_out(self, line: str, at: int) -> str | None:
        """An option that is shown and not set; one that a person commented out is a comment."""
        match = _COMMENTED_OUT.match(line)
        shown = at > 0 and self._lines[at - 1].startswith(EXPLAINS)
        return match[1] if match and shown and self._mark is not None and self._begun else None


def _spans(text: str) -> list[tuple[str, int, int]] | None:
    """Each setting with its first and last line; None if they share lines or are indented."""
    root = yaml.compose(text, yaml.SafeLoader)
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    if any(key.start_mark.column for key, _ in root.value):  # lines that fit no others
        return None
    return [
        (option_name(key.value), key.start_mark.line, max(_last_line(value), key.end_mark.line))
        for key, value in root.value
    ]


def _last_line(node: yaml.Node) -> int:
    """The last line with something of a value in it."""
    end: int = node.end_mark.line
    if isinstance(node, yaml.ScalarNode):
        return end - 1 if node.style in ("|", ">") and node.end_mark.column == 0 else end
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        return max(_last_line(child) for child in _children(node))
    return end


def _children(node: yaml.CollectionNode) -> Iterator[yaml.Node]:
    for child in node.value:
        yield from child if isinstance(child, tuple) else (child,)
