"""What commands print: tables and progress for people, one JSON document for machines.

Results go to standard output; progress and errors to standard error. Text from datasets is
printed without the control characters that could steer a terminal.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from videoprep.cli.spelling import flag_to_blame, spelled
from videoprep.errors import VideoprepError
from videoprep.text import duration, escape_unprintable

if TYPE_CHECKING:
    from videoprep.spec.entries import Reading

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)

_PLAIN_SECONDS = 30.0
_BARS_SECONDS = 0.05


def safe(value: object, style: str = "") -> Text:
    """Text as it is: no markup is read in it, and control characters are made visible.

    Newlines stay; everything else of Unicode's control and format classes (escapes, bidirectional
    overrides) is written as its code.
    """
    return Text(escape_unprintable(str(value)), style=style)


def said(text: str, style: str = "") -> Text:
    """Text of the library: as `safe`, with its options as the command line spells them."""
    return safe(spelled(text), style)


def print_reading(reading: Reading | Mapping[str, Any] | None) -> None:
    """Print which files and columns a dataset was read from, and what was passed over.

    Args:
        reading: what was read; or as an index keeps it; None if that is not known.
    """
    if reading is None:
        return
    if isinstance(reading, Mapping):
        from videoprep.spec.entries import Reading

        reading = Reading.from_json(reading)
    for sentence in reading.sentences():
        stdout.print(safe(sentence, "dim"))


def print_json(data: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def print_error(error: VideoprepError) -> None:
    """What is wrong, where, and what to do."""
    text, flag = spelled(str(error)), flag_to_blame(error)
    text = f"{flag}: {text}" if flag is not None and flag not in text else text
    stderr.print(Text("error: ", style="bold red") + safe(text))


def next_command(*words: object) -> None:
    """Says what to type next, in a line of its own that can be copied.

    Words in capitals, such as MODEL, are for the user to fill in.
    """
    stdout.print(safe("next: ", "bold") + safe(command_of(*words), "cyan"))


def command_of(*words: object) -> str:
    """Return a command of videoprep as it is typed."""
    return shlex.join(["videoprep", *map(_word, words)])


def _word(word: object) -> str:
    """A word of a command line: a path is no option, and a URL not the path that stands for it."""
    from videoprep.fs.mirror import shown

    text = shown(word) if isinstance(word, Path) else str(word)
    return f"./{text}" if isinstance(word, Path) and text.startswith("-") else text


def seen_from_here(path: str | os.PathLike[str]) -> str:
    """Return a path relative to the folder in which the command runs, if it lies in there."""
    absolute, here = os.path.abspath(path), os.getcwd()
    inside = absolute.startswith(os.path.join(here, ""))
    return os.path.relpath(absolute, here) if inside else os.fspath(path)


def table(title: str, *columns: str) -> Table:
    """A table in the house style; a column name that starts with ``>`` is set to the right."""
    made = Table(title=safe(title), title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.lstrip(">"), justify="right" if right else "left", no_wrap=right)
    return made


class Meter(Protocol):
    """Shows how far named tasks are."""

    def update(self, task: str, done: int, total: int) -> None:
        """Says that ``done`` of ``total`` are done."""


class _Bars:
    """Live bars with rate and time left, on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}
        self._next = 0.0

    def update(self, task: str, done: int, total: int) -> None:
        now = time.monotonic()
        if task not in self._tasks:
            self._tasks[task] = self._progress.add_task(task, total=total)
        elif now < self._next and done < total:
            return  # more often than it is drawn
        self._next = now + _BARS_SECONDS
        self._progress.update(self._tasks[task], completed=done, total=total)


class _Lines:
    """A plain line now and then, where standard error is a file or a pipe."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._next: dict[str, float] = {}
        self._last = time.monotonic()

    def update(self, task: str, done: int, total: int) -> None:
        now = time.monotonic()
        # A task begins where the one before it was last heard of.
        started = self._started.setdefault(task, self._last)
        self._last = now
        if done >= total and self._next.get(task) != math.inf:
            self._next[task] = math.inf
        elif now >= self._next.setdefault(task, now + _PLAIN_SECONDS):
            self._next[task] = now + _PLAIN_SECONDS
        else:
            return
        rate = done / max(now - started, 1e-9)
        left = f", {duration((total - done) / rate)} left" if 0 < done < total else ""
        stderr.print(f"{task}: {done}/{total}, {rate:.1f}/s{left}")


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


@contextmanager
def meter() -> Iterator[Meter]:
    """A meter on standard error for the time of the block."""
    if not stderr.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, transient=True) as progress:
        yield _Bars(progress)


@contextmanager
def planning() -> Iterator[Callable[[int, int], None]]:
    """A bar for a dataset that is planned; gone as soon as it is, to make room for what follows."""
    with ExitStack() as bar:
        shown: Meter | None = None
        done_before = False

        def told(done: int, total: int) -> None:
            nonlocal shown, done_before
            if done_before:
                return
            shown = shown or bar.enter_context(meter())
            shown.update("planned", done, total)
            if done >= total:
                done_before = True
                bar.close()

        yield told


@contextmanager
def step_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar in the terminal for numbered steps; called with what to say, the step, and how many."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr) as progress:
        task = progress.add_task("loading", total=None)
        yield lambda told, step, steps: progress.update(
            task, description=told, completed=step, total=steps
        )
