"""Shows how far a run is: a live display, plain lines, or JSON lines.

All of them go to standard error; results are none of their business.
"""

from __future__ import annotations

import importlib
import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, Literal, TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from videoprep.engine.progress import GroupProgress, OnProgress, Progress
from videoprep.live_output import above
from videoprep.text import counted, duration, escape_unprintable

Style = Literal["auto", "panel", "lines", "json", "none"]
Clock = Callable[[], float]

_LINES_SECONDS = 30.0
_JSON_SECONDS = 5.0
_DRAWN_A_SECOND = 4
_SILENT_SECONDS = 15.0
"""Calls come about once a second; after so long without one, the display says so."""

_WIDTH_WITH_BARS, _NOTEBOOK_WIDTH = 70, 100
_NAMED_RANKS = 8

# Colours that can be read on white as well as on black.
_COLOURS = [(90, 90, 90), (218, 54, 51), (46, 150, 67), (184, 134, 11)]
_COLOURS += [(48, 116, 214), (153, 90, 220), (27, 142, 180), (150, 150, 150)]
_NOTEBOOK_THEME = TerminalTheme((255, 255, 255), (0, 0, 0), _COLOURS)
_NOTEBOOK_HTML = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:normal;'
    "font-family:Menlo,'DejaVu Sans Mono',consolas,'Courier New',monospace\">{code}</pre>"
)


@contextmanager
def shown(
    style: Style = "auto", *, file: TextIO | None = None, clock: Clock = time.monotonic
) -> Iterator[OnProgress]:
    """What to call with the progress of a run; it is shown for the time of the block.

    - ``panel``: one live block, at the end taken away again; other output of this process goes
      above it. Where it cannot be drawn (a pipe, a dumb terminal), ``lines`` instead. In a
      notebook it is a part of the cell's output, where its last state stays.
    - ``lines``: a line when a phase begins and when all is done, and one every 30 s between.
    - ``json``: a JSON object on a line of its own, as often as ``lines`` but every 5 s: the
      numbers of `Progress`, ``"event": "progress"`` and the ``time`` in UTC. A number that is not
      finite is null.
    - ``none``: nothing.
    - ``auto``: ``panel`` in a terminal or a notebook; ``lines`` in a pipe, a file, or where the
      variable ``CI`` is set.

    If the block is left before the run is done, lines end with the last state that was told.
    What cannot be written any more, because the terminal or the reader is gone, is given up: a
    run does not die of its display.

    Args:
        style: see above.
        file: where to write; standard error by default.
        clock: seconds that only grow; for tests.
    """
    out = sys.stderr if file is None else file
    if style == "none":
        yield _ignore
    elif style == "json":
        with _logged(_Log(as_json, _JSON_SECONDS, out, clock)) as log:
            yield log
    elif style != "lines" and file is None and Console().is_jupyter:
        yield _Notebook(clock)
    elif style != "lines" and _can_draw(out) and not (style == "auto" and _in_ci()):
        with _drawn(out, clock) as tell:
            yield tell
    else:
        with _logged(_Log(as_line, _LINES_SECONDS, out, clock)) as log:
            yield log


def _ignore(progress: Progress) -> None:
    """For those who want to see nothing."""


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _can_draw(file: TextIO) -> bool:
    # rich alone would take a pipe for a terminal where FORCE_COLOR is set, as CI services do.
    console = Console(file=file)
    drawable = console.is_interactive and not console.is_dumb_terminal
    return file.isatty() and drawable and not console.options.ascii_only


# ------------------------------------------------------------------------------------- in words


def rate_in_words(rate: float, what: str) -> str:
    """A rate to two digits or whole numbers; slow ones by the minute: ``3.2 clips/s``."""
    if not math.isfinite(rate):
        return f"? {what}/s"
    if 0 < rate < 0.1:
        return f"{_two_digits(60 * rate)} {what}/min"
    return f"{_two_digits(rate)} {what}/s"


def _two_digits(number: float) -> str:
    if number <= 0:
        return "0"
    digits = max(1 - math.floor(math.log10(number)), 0)
    # 9.96 rounds to 10, which has a digit more than was counted.
    return f"{number:.0f}" if number >= 9.95 else f"{number:.{min(digits, 3)}f}"


def _percent(share: float) -> str:
    if not math.isfinite(share):
        return "? %"
    return f"{100 * min(max(share, 0), 1):.0f} %"


def _lost(progress: Progress) -> str:
    """Which ranks are lost, or nothing."""
    if not progress.lost:
        return ""
    named = ", ".join(str(rank) for rank in progress.lost[:_NAMED_RANKS])
    more = len(progress.lost) - _NAMED_RANKS
    tail = f" and {more} more" if more > 0 else ""
    return f"lost: {'rank' if len(progress.lost) == 1 else 'ranks'} {named}{tail}"


def _time_left(progress: Progress) -> str:
    if progress.phase == "done":
        return ""
    if progress.seconds_left is None:
        return "time left unknown"
    return f"{duration(progress.seconds_left)} left"


def _facts(progress: Progress) -> list[str]:
    """What holds of the run as a whole."""
    decode, write = _percent(progress.waiting_for_input), _percent(progress.waiting_for_write)
    rates = [rate_in_words(progress.items_per_second, progress.items)]
    if progress.amounts is not None:
        rates.append(rate_in_words(progress.amounts_per_second, progress.amounts))
    return [
        *rates,
        *([] if progress.busy is None else [f"busy {_percent(progress.busy)}"]),
        f"waiting: decode {decode}, write {write}",
        counted(progress.ranks, "rank"),
    ]


def _joined(*facts: str) -> str:
    return escape_unprintable(" · ".join(fact for fact in facts if fact), keep="")


def as_line(progress: Progress) -> str:
    """All that is known, in a line that needs no other beside it."""
    groups = [
        f"{name} {each.done}/{each.total}" + (f" ({each.failed} failed)" if each.failed else "")
        for name, each in progress.groups.items()
    ]
    elapsed = f"{duration(progress.seconds)} elapsed"
    phase = escape_unprintable(progress.phase, keep="")
    facts = (*groups, *_facts(progress), _lost(progress), elapsed, _time_left(progress))
    return f"{phase}: {_joined(*facts)}"


def as_json(progress: Progress) -> str:
    """The progress as one JSON object on one line."""
    values = {
        "event": "progress",
        "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "phase": progress.phase,
        "components": {name: _counts(each) for name, each in progress.groups.items()},
        "seconds": progress.seconds,
        "clips_per_second": progress.items_per_second,
        "frames_per_second": progress.amounts_per_second,
        "seconds_left": progress.seconds_left,
        "busy": progress.busy,
        "waiting_for_decode": progress.waiting_for_input,
        "waiting_for_write": progress.waiting_for_write,
        "ranks": progress.ranks,
        "lost": list(progress.lost),
    }
    return json.dumps(_finite(values), allow_nan=False)


def _counts(group: GroupProgress) -> dict[str, Any]:
    """How far a group is, by the names that the JSON lines have for it."""
    values = asdict(group)
    return {"set_aside" if name == "failed" else name: value for name, value in values.items()}


def _finite(value: Any) -> Any:
    """The value with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---------------------------------------------------------------------------------- line by line


class _Log:
    """Writes a line when a phase begins and every so often."""

    def __init__(
        self, write: Callable[[Progress], str], period: float, file: TextIO, clock: Clock
    ) -> None:
        self._write = write
        self._period = period
        self._file = file
        self._clock = clock
        self._next = -math.inf
        self._phase = ""
        self._unwritten: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        if self._phase == progress.phase == "done":
            return  # nothing is new after the end
        now = self._clock()
        self._unwritten = progress
        if progress.phase != self._phase or now >= self._next:
            self._phase = progress.phase
            self._next = now + self._period
            self.close()

    def close(self) -> None:
        """Writes the last that was told, if it is not written yet."""
        if self._unwritten is None:
            return
        line = self._write(self._unwritten) + "\n"
        self._unwritten = None
        # A reader that went away, or a closed file, is no reason to lose the run.
        with suppress(OSError, ValueError):
            encoding = self._file.encoding or "utf-8"
            self._file.write(line.encode(encoding, "replace").decode(encoding))
            self._file.flush()


@contextmanager
def _logged(log: _Log) -> Iterator[_Log]:
    try:
        yield log
    finally:
        log.close()


# ---------------------------------------------------------------------------------- a live block


class Display(Bars):
    """How far each group is, what the accelerator does, how long it will take.

    It draws the last progress that it was told.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[Progress | None, float] = (None, clock())
        self._rows: dict[str, TaskID] = {}
        bars = [BarColumn()] if console.width >= _WIDTH_WITH_BARS else []
        super().__init__(
            # A name wraps if there is little room.
            TextColumn("{task.description}", markup=False, table_column=Column()),
            *bars,
            TextColumn("{task.fields[count]}", justify="right"),
            TextColumn("{task.fields[failed]}", style="bold yellow"),
            TextColumn("{task.fields[left]}", justify="right"),
            console=console,
            refresh_per_second=_DRAWN_A_SECOND,
            transient=True,
            redirect_stdout=False,  # see `above`
            redirect_stderr=False,
        )

    def tell(self, progress: Progress) -> None:
        """Take what to show from now on. May be called while another thread draws."""
        self._last = (progress, self._clock())
        for name, each in progress.groups.items():
            if name not in self._rows:
                shown = escape_unprintable(name.replace("_", " "), keep="")
                self._rows[name] = self.add_task(shown, total=None, count="", failed="", left="")
            self.update(self._rows[name], **_row(each))

    def get_renderables(self) -> Iterator[RenderableType]:
        """Yield the heading, a row for each group, and what holds of the run as a whole."""
        progress, heard = self._last
        silent = self._clock() - heard
        if progress is None:
            yield Text(f"Starting … {duration(silent)}", style="dim")
            return
        elapsed = progress.seconds + (0 if progress.phase == "done" else silent)
        label = escape_unprintable(progress.label, keep="")
        about = (f"{duration(elapsed)} elapsed", _time_left(progress), _silence(silent))
        yield Text.assemble((label, "bold"), " · ", _joined(*about))
        yield self.make_tasks_table(self.tasks)
        yield Text(_joined(*_facts(progress)), style="dim")
        if progress.lost:
            yield Text(_lost(progress), style="bold red")


def _row(group: GroupProgress) -> dict[str, Any]:
    """What the row of a group shows. The bar goes by cost, which is what takes the time."""
    done, total = group.cost_done, group.cost_total
    if total <= 0:
        done, total = group.done, group.total
    if group.done >= group.total:
        done, left = total, "done"
    elif group.seconds_left is None:
        left = ""
    else:
        left = f"{duration(group.seconds_left)} left"
    failed = f"{group.failed} failed" if group.failed else ""
    count = f"{group.done}/{group.total}"
    return {"completed": done, "total": total, "count": count, "failed": failed, "left": left}


def _silence(seconds: float) -> str:
    """That nothing was heard for long: a model is being loaded, or the run hangs."""
    return f"no news for {duration(seconds)}" if seconds >= _SILENT_SECONDS else ""


@contextmanager
def _drawn(file: TextIO, clock: Clock) -> Iterator[OnProgress]:
    console = Console(file=file, highlight=False, emoji=False)
    display = Display(console, clock)
    display.start()
    try:
        with above(console):
            yield display.tell
    finally:
        # A terminal that is gone is no reason to lose the run.
        with suppress(OSError):
            display.stop()


class _Notebook:
    """The block as a part of a notebook cell's output, by IPython alone: no widgets are needed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._console = Console(
            file=io.StringIO(),
            record=True,
            width=_NOTEBOOK_WIDTH,
            force_terminal=True,
            force_jupyter=False,
            color_system="truecolor",
        )
        self._block = Display(self._console, clock)
        self._next = -math.inf
        display = importlib.import_module("IPython.display").display
        self._handle = display(self._bundle(), raw=True, display_id=True)

    def __call__(self, progress: Progress) -> None:
        self._block.tell(progress)
        now = self._clock()
        if now >= self._next or progress.phase == "done":
            self._next = now + 1 / _DRAWN_A_SECOND
            self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        self._console.print(self._block)
        html = self._console.export_html(
            theme=_NOTEBOOK_THEME, code_format=_NOTEBOOK_HTML, inline_styles=True, clear=False
        )
        return {"text/html": html, "text/plain": self._console.export_text().rstrip("\n")}
