"""Shows how far a run is: a live panel, plain lines, or JSON lines.

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, Literal, TextIO

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style as TextStyle
from rich.table import Column, Table
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from videoprep.engine.progress import GroupProgress, OnProgress, Progress
from videoprep.live_output import above
from videoprep.text import escape_unprintable

Style = Literal["auto", "panel", "lines", "json", "none"]
Clock = Callable[[], float]

_LINES_SECONDS = 30.0
_JSON_SECONDS = 5.0
_DRAWN_A_SECOND = 4
_SILENT_SECONDS = 15.0
"""Calls come about once a second; after so long without one, the panel says so."""

_WIDEST = 100
_NOTEBOOK_WIDTH = 84
_LEAST_BAR = 8
_FRAME = 4
"""Columns of the panel's borders and of the space beside each."""
_NAMED_RANKS = 8

_BUSY, _DECODE, _WRITE, _EMPTY = "green", "yellow", "magenta", "dim"
# Dim, not grey: what a terminal calls bright black is the background of some.
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

    - ``panel``: one live panel, at the end taken away again; other output of this process goes
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
        with _drawn(out, clock) as view:
            yield view.update
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


def in_words(seconds: float | None) -> str:
    """A duration, such as ``45 s``, ``9 min``, ``2 h 05 min``, ``3 d 04 h``."""
    if seconds is None or not math.isfinite(seconds):
        return "?"
    if round(seconds) < 60:
        return f"{max(round(seconds), 0)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


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


def _ranks(progress: Progress) -> str:
    return f"{progress.ranks} rank{'' if progress.ranks == 1 else 's'}"


def _lost(progress: Progress) -> str:
    """Which ranks are lost, or nothing."""
    if not progress.lost:
        return ""
    named = ", ".join(str(rank) for rank in progress.lost[:_NAMED_RANKS])
    more = len(progress.lost) - _NAMED_RANKS
    tail = f" and {more} more" if more > 0 else ""
    return f"lost: rank{'' if len(progress.lost) == 1 else 's'} {named}{tail}"


def _rates(progress: Progress) -> list[str]:
    rates = [rate_in_words(progress.items_per_second, progress.items)]
    if progress.amounts is not None:
        rates.append(rate_in_words(progress.amounts_per_second, progress.amounts))
    return [escape_unprintable(rate, keep="") for rate in rates]


def _time_left(progress: Progress) -> str:
    if progress.phase == "done":
        return ""
    if progress.seconds_left is None:
        return "time left unknown"
    return f"{in_words(progress.seconds_left)} left"


def as_line(progress: Progress) -> str:
    """All that is known, in a line that needs no other beside it."""
    decode, write = _percent(progress.waiting_for_input), _percent(progress.waiting_for_write)
    groups = [
        f"{name} {each.done}/{each.total}" + (f" ({each.failed} failed)" if each.failed else "")
        for name, each in progress.groups.items()
    ]
    facts = [
        *groups,
        *_rates(progress),
        f"busy {_percent(progress.busy)}",
        f"waiting: decode {decode}, write {write}",
        _ranks(progress),
        _lost(progress),
        f"{in_words(progress.seconds)} elapsed",
        _time_left(progress),
    ]
    return escape_unprintable(
        f"{progress.phase}: " + " · ".join(fact for fact in facts if fact), keep=""
    )


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


# --------------------------------------------------------------------------------------- a panel


class _Bar:
    """A bar of shares one after the other, each in its colour; a thin line is what is left over."""

    def __init__(self, *shares: tuple[float, str]) -> None:
        self._shares = shares

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_LEAST_BAR, _LEAST_BAR)  # its column takes what is left over

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        at, sum_of_shares = 0, 0.0
        for share, colour in self._shares:
            # By the ends, not by the lengths: rounding must not add up.
            sum_of_shares += share if math.isfinite(share) else 0
            end = min(max(math.floor(width * sum_of_shares + 1e-9), at), width)
            yield Segment("━" * (end - at), TextStyle.parse(colour))
            at = end
        yield Segment("─" * (width - at), TextStyle.parse(_EMPTY))
        yield Segment.line()


class View:
    """The panel: how far each group is, what the accelerator does, how long it will take.

    It draws the last progress that it was told, as wide as there is room: with bars, without,
    or as text that flows. The height does not change with the numbers.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[Progress | None, float] = (None, clock())

    def update(self, progress: Progress) -> None:
        """Takes what to show from now on. May be called while another thread draws."""
        self._last = (progress, self._clock())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # A line that is filled to the last column would be broken by some terminals.
        width = min(options.max_width, _WIDEST) - 1
        # What is printed above the panel may want its lines unbroken; the panel does not.
        own = options.update(width=width, no_wrap=False, overflow="fold")
        yield from console.render(self._layout(console, own), own)

    def _layout(self, console: Console, options: ConsoleOptions) -> RenderableType:
        progress, heard = self._last
        silent = self._clock() - heard
        if progress is None:
            return Text(f"Starting … {in_words(silent)}", style="dim")
        room = options.max_width - _FRAME
        for bars in (True, False):
            table = _table(progress, bars=bars)
            # Asked without a limit: a table with little room says that it needs no more. And the
            # minimum would be that of cells broken into words.
            if Measurement.get(console, options.update_width(1000), table).maximum <= room:
                return _panel(progress, silent, table, room)
        return Group(*_flowing(progress, silent, options.max_width))


def _panel(progress: Progress, silent: float, table: Table, width: int) -> RenderableType:
    left = _left(progress)
    facts = [fact for fact in (*_facts(progress), _silence(silent)) if fact]
    last = Text(" · ").join(facts)
    space = width - last.cell_len - left.cell_len
    if space >= 2:
        lines = [last.append(" " * space).append_text(left)]
    else:
        lines = _flow([*facts, left], width)
    if progress.lost:
        lines.append(Text(_lost(progress), style="bold red"))
    return Panel(
        Group(table, Text(""), *lines),
        title=_title(progress, silent),
        title_align="left",
        box=box.ROUNDED,
        border_style=_EMPTY,
        width=width + _FRAME,
    )


def _title(progress: Progress, silent: float) -> Text:
    elapsed = progress.seconds + (0 if progress.phase == "done" else silent)
    return Text.assemble(  # not as dim as the border that it is in
        (escape_unprintable(progress.label, keep=""), "bold not dim"),
        (f" · {in_words(elapsed)} elapsed", "not dim"),
    )


def _table(progress: Progress, *, bars: bool) -> Table:
    """A row per group and one for the accelerator, in the same columns."""
    right = [Column(no_wrap=True, justify="right") for _ in range(3)]
    table = Table.grid(
        Column(no_wrap=True),
        Column(ratio=1),
        *right,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        expand=True,
    )

    def add(name: Text, bar: RenderableType, *cells: Text) -> None:
        table.add_row(name, bar if bars else Text(), *cells)

    # As wide as the numbers will ever be: the bars must not change with them.
    totals = max((len(str(each.total)) for each in progress.groups.values()), default=1)
    done = "done".rjust(max(2 * totals + 1, 9))
    add(Text(), Text(), *_headings(done, "failed", " time left"))
    for name, each in progress.groups.items():
        add(_name(name), _group_bar(each), *_group_cells(each))
    add(Text(), Text(), *_headings("busy", "decode wait", "write wait"))
    shares = (
        (progress.busy, _BUSY),
        (progress.waiting_for_input, _DECODE),
        (progress.waiting_for_write, _WRITE),
    )
    cells = [Text(_percent(share), colour if share >= 0.005 else "dim") for share, colour in shares]
    add(Text("accelerator"), _Bar(*shares), *cells)
    return table


def _headings(*words: str) -> list[Text]:
    return [Text(word, style="dim") for word in words]


def _name(group: str) -> Text:
    return Text(escape_unprintable(group.replace("_", " "), keep=""))


def _is_done(group: GroupProgress) -> bool:
    return group.done >= group.total


def _group_bar(group: GroupProgress) -> RenderableType:
    if _is_done(group):
        return _Bar((1, "green"))
    # By cost, which is what takes the time: the dearest come first.
    done, total = group.cost_done, group.cost_total
    if total <= 0:
        done, total = group.done, group.total
    return _Bar((min(done / total, 1), "cyan"))


def _group_cells(group: GroupProgress) -> list[Text]:
    aside = Text(str(group.failed), style="bold yellow" if group.failed else "dim")
    count = Text(f"{group.done}/{group.total}")
    return [count, aside, _group_left(group)]


def _group_left(group: GroupProgress) -> Text:
    if _is_done(group):
        return Text("done", style="green")
    if group.seconds_left is None:
        return Text("–", style="dim")
    return Text(in_words(group.seconds_left))


def _facts(progress: Progress) -> list[Text]:
    return [Text(fact) for fact in (*_rates(progress), _ranks(progress))]


def _left(progress: Progress) -> Text:
    known = progress.seconds_left is not None
    return Text(_time_left(progress), style="bold" if known else "dim")


def _silence(seconds: float) -> Text:
    """That nothing was heard for long: a model is being loaded, or the run hangs."""
    return Text(f"no news for {in_words(seconds)}" if seconds >= _SILENT_SECONDS else "", "yellow")


def _flowing(progress: Progress, silent: float, width: int) -> Iterator[Text]:
    """The panel for a terminal that is too narrow for a table."""
    yield from _flow([_title(progress, silent)], width)
    for name, each in progress.groups.items():
        count, aside, left = _group_cells(each)
        aside = aside.append(" failed") if each.failed else Text()
        if not _is_done(each) and each.seconds_left is not None:
            left.append(" left")
        yield from _flow([Text.assemble(_name(name), " ", count), aside, left], width)
    waits = {"busy": progress.busy, "decode wait": progress.waiting_for_input}
    waits["write wait"] = progress.waiting_for_write
    shares = [Text(f"{name} {_percent(share)}") for name, share in waits.items()]
    lost = Text(_lost(progress), style="bold red")
    yield from _flow([*_facts(progress), *shares, _silence(silent), lost, _left(progress)], width)


def _flow(parts: Sequence[Text], width: int) -> list[Text]:
    """The parts one after the other, broken between them where a line is full."""
    lines: list[Text] = []
    for part in parts:
        if not part:
            continue
        if lines and lines[-1].cell_len + 3 + part.cell_len <= width:
            lines[-1].append(" · ").append_text(part)
        else:
            lines.append(Text("  " if lines else "").append_text(part))
    return lines


@contextmanager
def _drawn(file: TextIO, clock: Clock) -> Iterator[View]:
    view = View(clock)
    console = Console(file=file, highlight=False, emoji=False)
    live = Live(
        view,
        console=console,
        refresh_per_second=_DRAWN_A_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    )
    live.start(refresh=True)
    try:
        with above(console):
            yield view
    finally:
        # A terminal that is gone is no reason to lose the run.
        with suppress(OSError):
            live.stop()


class _Notebook:
    """The panel as a part of a notebook cell's output, by IPython alone: no widgets are needed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._view = View(clock)
        self._next = -math.inf
        display = importlib.import_module("IPython.display").display
        self._handle = display(self._bundle(), raw=True, display_id=True)

    def __call__(self, progress: Progress) -> None:
        self._view.update(progress)
        now = self._clock()
        if now >= self._next or progress.phase == "done":
            self._next = now + 1 / _DRAWN_A_SECOND
            self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        console = Console(
            file=io.StringIO(),
            record=True,
            width=_NOTEBOOK_WIDTH,
            force_terminal=True,
            force_jupyter=False,
            color_system="truecolor",
        )
        console.print(self._view)
        html = console.export_html(
            theme=_NOTEBOOK_THEME, code_format=_NOTEBOOK_HTML, inline_styles=True, clear=False
        )
        return {"text/html": html, "text/plain": console.export_text().rstrip("\n")}
