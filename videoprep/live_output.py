"""Keeps a live display whole: what is written to the terminal meanwhile goes above it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.ansi import AnsiDecoder
from rich.console import Console


class _Above:
    """Stands in for a terminal stream: whole lines are printed above what is live.

    It differs from rich's own stand-in where that would tear the display: other rich consoles
    write to this one too, instead of to the stream behind it. An unfinished line waits for its
    end, and a carriage return drops what it would overwrite, so that of the bars of other
    libraries only the last state is left. Whoever keeps the stand-in for longer than the display
    lives, or inherits it by a fork, writes to the stream itself.
    """

    def __init__(self, console: Console, behind: TextIO) -> None:
        self.behind = behind
        self._console = console
        self._process = os.getpid()
        self._live = True
        self._line = ""
        self._decoder = AnsiDecoder()
        # A signal's handler may print in the middle of a print: the same thread must get through.
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    def write(self, text: str) -> int:
        if not self._live or os.getpid() != self._process:
            return self.behind.write(text)
        with self._lock:
            *lines, self._line = (self._line + text).split("\n")
            self._line = _overwritten(self._line)
            for line in lines:
                self._print(line)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def end(self) -> None:
        """Print what waits for the end of its line; from now on the stream itself is written."""
        with self._lock:
            if self._line.rstrip("\r"):
                self._print(self._line)
            self._line = ""
            self._live = False

    def _print(self, line: str) -> None:
        # Long lines are left to the terminal to break, so that a path can be copied from it.
        self._console.print(self._decoder.decode_line(_overwritten(line)), soft_wrap=True)


def _overwritten(line: str) -> str:
    """The line without what a terminal overwrites when the cursor returns to its start."""
    kept = line.rstrip("\r")
    return kept.rpartition("\r")[2] + line[len(kept) :]


def _redirect_logs(streams: Iterable[tuple[Any, Any]]) -> None:
    """Give log handlers that hold the first stream of a pair the second."""
    others = {id(old): new for old, new in streams}
    known = list(logging.root.manager.loggerDict.values())
    loggers = [logging.root, *(each for each in known if isinstance(each, logging.Logger))]
    for handler in (handler for logger in loggers for handler in logger.handlers):
        if isinstance(handler, logging.StreamHandler) and id(handler.stream) in others:
            handler.setStream(others[id(handler.stream)])


@contextmanager
def above(console: Console) -> Iterator[None]:
    """Within the block, standard output and error are printed above what is live on ``console``.

    Only a stream that is a terminal is replaced: results that go to a file or a pipe still go
    there. Log handlers that hold such a stream are given the stand-in. What other processes or
    C libraries write to the terminal is out of reach.

    Args:
        console: where something is live; it must have a file of its own, not the standard ones
            by name, or it would be sent to itself.
    """
    replaced: dict[str, _Above] = {}
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if stream is not None and stream.isatty():
            replaced[name] = _Above(console, stream)
            setattr(sys, name, cast("TextIO", replaced[name]))
    _redirect_logs((one.behind, one) for one in replaced.values())
    try:
        yield
    finally:
        for name, one in replaced.items():
            if getattr(sys, name) is one:  # else somebody else replaced it: it is theirs now
                setattr(sys, name, one.behind)
            one.end()
        _redirect_logs((one, one.behind) for one in replaced.values())
