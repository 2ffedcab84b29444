"""The progress of a run, as a terminal, a pipe, a machine and a notebook get it."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from videoprep.engine.progress import GroupProgress, Progress
from videoprep.live_output import above
from videoprep.progress import Display, Style, as_json, as_line, rate_in_words, shown

ROOT = Path(__file__).parents[1]
MINUTE = 60.0

PROGRESS = Progress(
    phase="video",
    label="Encoding video",
    items="clips",
    amounts="frames",
    groups={
        "video_latents": GroupProgress(120, 2000, 1, 900, 9000, 9 * MINUTE),
        "image_latents": GroupProgress(118, 2000, 0, 700, 9000, 9 * MINUTE),
        "prompt_embeds": GroupProgress(1812, 1812, 0, 1812, 1812, None),
    },
    seconds=3 * MINUTE,
    items_per_second=3.2,
    amounts_per_second=157.0,
    seconds_left=9 * MINUTE,
    busy=0.93,
    waiting_for_input=0.04,
    waiting_for_write=0.01,
    ranks=2,
    lost=(),
)

TEXT = replace(PROGRESS, phase="text", label="Encoding text", items="captions", amounts=None)
DONE = replace(PROGRESS, phase="done", label="Done")


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# ------------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.0, "0 clips/s"),
        (3.2, "3.2 clips/s"),
        (3.249, "3.2 clips/s"),
        (9.96, "10 clips/s"),
        (0.996, "1.00 clips/s"),
        (157.4, "157 clips/s"),
        (12345.6, "12346 clips/s"),
        (0.5, "0.50 clips/s"),
        (0.05, "3.0 clips/min"),
        (0.0005, "0.030 clips/min"),
        (1e-9, "0.000 clips/min"),
        (float("nan"), "? clips/s"),
    ],
)
def test_rates_have_sensible_digits(rate: float, words: str) -> None:
    assert rate_in_words(rate, "clips") == words


def test_a_line_says_everything() -> None:
    assert as_line(PROGRESS) == (
        "video: video_latents 120/2000 (1 failed) · image_latents 118/2000 · "
        "prompt_embeds 1812/1812 · 3.2 clips/s · 157 frames/s · busy 93 % · "
        "waiting: decode 4 %, write 1 % · 2 ranks · 3 min 00 s elapsed · 9 min 00 s left"
    )


def test_a_line_of_text_speaks_of_captions() -> None:
    line = as_line(replace(TEXT, ranks=1, seconds_left=None))
    assert "3.2 captions/s · busy" in line
    assert "1 rank ·" in line
    assert line.endswith("time left unknown")


def test_a_line_names_the_lost_ranks() -> None:
    assert "· lost: rank 1 ·" in as_line(replace(PROGRESS, lost=(1,)))
    assert "· lost: ranks 0, 2 ·" in as_line(replace(PROGRESS, lost=(0, 2)))
    many = as_line(replace(PROGRESS, ranks=64, lost=tuple(range(20))))
    assert "lost: ranks 0, 1, 2, 3, 4, 5, 6, 7 and 12 more" in many


def test_shares_that_are_none_are_shown_as_such() -> None:
    line = as_line(replace(PROGRESS, busy=float("nan"), waiting_for_input=1.7))
    assert "busy ? % · waiting: decode 100 %" in line


# ---------------------------------------------------------------------------------- line by line


def _told(style: Style, steps: list[tuple[float, Progress]]) -> list[tuple[float, str]]:
    """What is written, and when, if progress is told at these seconds."""
    clock, file = Clock(), io.StringIO()
    start, written = clock.now, []
    with shown(style, file=file, clock=clock) as on_progress:
        for seconds, progress in steps:
            clock.now = start + seconds
            before = len(file.getvalue())
            on_progress(progress)
            written += [(seconds, line) for line in file.getvalue()[before:].splitlines()]
        before = len(file.getvalue())
    return [*written, *((-1.0, line) for line in file.getvalue()[before:].splitlines())]


def _run_of(text: int, video: int) -> list[tuple[float, Progress]]:
    """A call each second: some of text, some of video, and the end."""
    phases = ["text"] * text + ["video"] * video + ["finishing", "done"]
    return [(float(at), replace(PROGRESS, phase=phase)) for at, phase in enumerate(phases)]


def test_lines_come_at_each_phase_and_every_30_seconds() -> None:
    written = _told("lines", _run_of(70, 45))
    assert [(at, line.partition(":")[0]) for at, line in written] == [
        (0, "text"),
        (30, "text"),
        (60, "text"),
        (70, "video"),
        (100, "video"),
        (115, "finishing"),
        (116, "done"),
    ]


def test_json_comes_at_each_phase_and_every_5_seconds() -> None:
    written = _told("json", _run_of(12, 7))
    assert [(at, json.loads(line)["phase"]) for at, line in written] == [
        (0, "text"),
        (5, "text"),
        (10, "text"),
        (12, "video"),
        (17, "video"),
        (19, "finishing"),
        (20, "done"),
    ]


@pytest.mark.parametrize("style", ["lines", "json"])
def test_the_end_is_told_once(style: Style) -> None:
    assert len(_told(style, [(0, DONE), (1, DONE), (1000, DONE)])) == 1
    assert len(_told(style, [(0, DONE)])) == 1


def test_a_run_that_stops_early_ends_with_how_far_it_was() -> None:
    clock, file = Clock(), io.StringIO()

    def run() -> None:
        with shown("lines", file=file, clock=clock) as on_progress:
            on_progress(PROGRESS)
            clock.now += 3
            on_progress(replace(PROGRESS, busy=0.5))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        run()
    assert [re.findall(r"busy \d+", line) for line in file.getvalue().splitlines()] == [
        ["busy 93"],
        ["busy 50"],
    ]


def test_nothing_is_written_of_a_run_that_told_nothing() -> None:
    assert _told("lines", []) == []
    assert _told("json", []) == []
    assert _told("none", [(0.0, PROGRESS)]) == []


def test_json_has_every_field_as_a_plain_value() -> None:
    record = json.loads(as_json(replace(PROGRESS, lost=(1,))))
    assert record.pop("event") == "progress"
    assert datetime.fromisoformat(record.pop("time")).utcoffset() == timedelta(0)
    assert record == {
        "phase": "video",
        "components": {
            name: {
                "done": each.done,
                "total": each.total,
                "set_aside": each.failed,
                "cost_done": each.cost_done,
                "cost_total": each.cost_total,
                "seconds_left": each.seconds_left,
            }
            for name, each in PROGRESS.groups.items()
        },
        "seconds": 180.0,
        "clips_per_second": 3.2,
        "frames_per_second": 157.0,
        "seconds_left": 540.0,
        "busy": 0.93,
        "waiting_for_decode": 0.04,
        "waiting_for_write": 0.01,
        "ranks": 2,
        "lost": [1],
    }


def test_json_has_null_for_what_json_cannot_say() -> None:
    component = GroupProgress(1, 2, 0, 1, 2, float("inf"))
    progress = replace(
        PROGRESS, groups=MappingProxyType({"video_latents": component}), busy=float("nan")
    )
    record = json.loads(as_json(progress), parse_constant=pytest.fail)
    assert record["busy"] is None
    assert record["components"]["video_latents"]["seconds_left"] is None


def test_a_reader_that_left_does_not_end_the_run() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as file:
        os.close(read)
        with shown("lines", file=file) as on_progress:
            on_progress(PROGRESS)
            on_progress(DONE)
        with pytest.raises(BrokenPipeError):
            file.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())  # so that it can be closed


def test_a_file_of_another_encoding_gets_what_it_can_hold() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    with shown("lines", file=file) as on_progress:
        on_progress(PROGRESS)
    assert b"video_latents 120/2000 (1 failed) ? image_latents" in raw.getvalue()


@pytest.mark.parametrize("style", ["auto", "panel", "lines"])
def test_a_pipe_gets_lines_even_if_colours_are_forced(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert [line for _, line in _told(style, [(0.0, PROGRESS)])] == [as_line(PROGRESS)]


# ---------------------------------------------------------------------------------- a live block


def _rendered(
    progress: Progress | None, width: int, *, silent: float = 0, ansi: bool = False
) -> str:
    clock = Clock()
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=ansi, color_system="standard" if ansi else None
    )
    display = Display(console, clock)
    if progress is not None:
        display.tell(progress)
    clock.now += silent
    console.print(display)
    return file.getvalue()


def test_the_block_at_80_columns() -> None:
    lines = _rendered(replace(PROGRESS, lost=(1,)), 80).splitlines()
    assert lines[0].rstrip() == "Encoding video · 3 min 00 s elapsed · 9 min 00 s left"
    assert re.fullmatch(
        r"video latents +━[━╸╺ ]+ +120/2000 +1 failed +9 min 00 s left *", lines[1]
    ), lines[1]
    assert re.fullmatch(r"image latents +━[━╸╺ ]+ +118/2000 +9 min 00 s left *", lines[2])
    assert re.fullmatch(r"prompt embeds +━+ +1812/1812 +done *", lines[3])
    assert lines[4].rstrip() == (
        "3.2 clips/s · 157 frames/s · busy 93 % · waiting: decode 4 %, write 1 % · 2"
    )
    assert [line.rstrip() for line in lines[5:]] == ["ranks", "lost: rank 1"]


@pytest.mark.parametrize(
    "progress",
    [
        PROGRESS,
        replace(PROGRESS, lost=tuple(range(30)), ranks=64, items_per_second=0.05),
        replace(TEXT, groups={}, seconds_left=None),
    ],
    ids=["usual", "lost", "nothing"],
)
def test_the_block_fits_and_says_everything_at_any_width(progress: Progress) -> None:
    for width in (*range(40, 110), 200):
        text = _rendered(progress, width)
        assert max(map(len, text.splitlines())) <= width
        words = re.sub(r"[\s·━╸╺]+", " ", text)
        facts = ["93 %", "4 %", "1 %", f"{progress.ranks} ranks", "elapsed"]
        for each in progress.groups.values():
            facts += [f"{each.done}/{each.total}"] + ["1 failed"] * bool(each.failed)
        assert [fact for fact in facts if fact not in words] == [], text
        assert ("lost: rank" in words) == bool(progress.lost)


def test_what_failed_and_what_is_lost_stands_out() -> None:
    text = _rendered(replace(PROGRESS, lost=(1,)), 100, ansi=True)
    assert re.search(r"\x1b\[1;33m1 failed", text)
    assert "\x1b[1;31mlost: rank 1" in text


def test_bars_go_by_cost() -> None:
    component = GroupProgress(1, 100, 0, 50, 100, None)
    progress = replace(PROGRESS, groups={"video_latents": component})
    bar = _rendered(progress, 120).splitlines()[1]
    assert bar.count("━") == 20, "of 40"


def test_a_component_without_cost_or_pace_or_work_can_be_shown() -> None:
    groups = {
        "video_latents": GroupProgress(5, 10, 0, 0, 0, None),
        "image_latents": GroupProgress(0, 0, 0, 0, 0, None),
    }
    text = _rendered(replace(PROGRESS, groups=groups), 80)
    assert re.search(r"video latents .* 5/10 *\n", text)
    assert re.search(r"image latents .* 0/0 +done *\n", text)


def test_silence_is_told_and_time_goes_on() -> None:
    assert "no news" not in _rendered(PROGRESS, 80, silent=5)
    text = _rendered(PROGRESS, 80, silent=2 * MINUTE)
    assert "no news for 2 min 00 s" in text
    assert "5 min 00 s elapsed" in text
    assert "Starting … 40 s" in _rendered(None, 80, silent=40)


def test_names_cannot_steer_the_terminal() -> None:
    component = PROGRESS.groups["video_latents"]
    progress = replace(
        PROGRESS,
        phase="\x1b[2J",
        label="\x1b[2J",
        items="\x1b[2J",
        groups={"[red]x\x1b]0;t\x07": component},
    )
    assert "\x1b" not in _rendered(progress, 120)
    assert "[red]x" in _rendered(progress, 120)
    assert "\x1b" not in as_line(progress)
    assert "\x1b" not in as_json(progress)


# ------------------------------------------------------------------------------------ a terminal


class Screen:
    """As much of a terminal as the display needs; anything else fails the test."""

    def __init__(self) -> None:
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.cursor_is_shown = True

    def feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
            if part == "\n":
                self.row += 1
                self.rows += [""] * (self.row + 1 - len(self.rows))
            elif part == "\r":
                self.column = 0
            elif part.startswith("\x1b"):
                self._obey(part[2:])
            else:
                row = self.rows[self.row].ljust(self.column)
                end = self.column + len(part)
                self.rows[self.row] = row[: self.column] + part + row[end:]
                self.column = end

    def _obey(self, order: str) -> None:
        if order == "2K":
            self.rows[self.row] = ""
        elif order == "1A":
            self.row = max(self.row - 1, 0)
        elif order in ("?25h", "?25l"):
            self.cursor_is_shown = order == "?25h"
        else:
            assert order.endswith("m"), f"the terminal does not know {order!r}"

    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows).rstrip("\n")


SCRIPT = """
    import logging, subprocess, sys, threading, warnings
    from dataclasses import replace
    from rich.console import Console
    from rich.live import Live
    from tests.test_progress import PROGRESS
    from videoprep.progress import shown

    logging.basicConfig(format="%(message)s")  # holds the standard error of now
    other = Console(stderr=True)
    begun, frames = threading.Event(), threading.Semaphore(0)
    start, refresh = Live.start, Live.refresh

    def starting(self, *arguments, **options):
        begun.set()
        start(self, *arguments, **options)

    def refreshing(self):
        refresh(self)
        frames.release()

    Live.start, Live.refresh = starting, refreshing

    def wait_for_a_frame():
        "Waits until the display, if there is one, shows what was told last."
        if begun.is_set():
            while frames.acquire(blocking=False):
                pass
            frames.acquire()  # it may have been begun before
            frames.acquire()
"""


def _in_terminal(
    body: str,
    *,
    columns: int = 80,
    stdout: int | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[tuple[float, str]], int]:
    """What a script writes to a terminal, with when, and its exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {key: value for key, value in os.environ.items() if key not in ("CI", "COLUMNS")}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT) + textwrap.dedent(body)],
        stdin=slave,
        stdout=slave if stdout is None else stdout,
        stderr=slave,
        cwd=ROOT,
        env={**inherited, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment},
    )
    os.close(slave)
    pieces = []
    try:
        while piece := os.read(master, 65536):
            pieces.append((time.monotonic(), piece))
    except OSError:  # so a pty says that the other end is closed
        pass
    os.close(master)
    return [(at, piece.decode(errors="replace")) for at, piece in pieces], process.wait(300)


def _screens(pieces: list[tuple[float, str]]) -> Iterator[Screen]:
    """The screen after each frame."""
    screen = Screen()
    whole = "".join(piece for _, piece in pieces)
    for frame in re.split(r"(?=\x1b\[2K\x1b\[1A)(?<!\x1b\[1A)", whole):
        screen.feed(frame)
        yield screen


def test_a_terminal_gets_one_block_that_is_taken_away() -> None:
    pieces, code = _in_terminal(
        """
        print("before")
        with shown() as on_progress:
            for at in range(5):
                for _ in range(100):
                    on_progress(replace(PROGRESS, busy=at / 10))
                wait_for_a_frame()
        print("after")
        """
    )
    assert code == 0
    texts = [screen.text() for screen in _screens(pieces)]
    assert texts[-1] == "before\nafter"
    with_block = [text for text in texts if "Encoding video" in text]
    assert all(text.count("Encoding video") == 1 for text in with_block)
    assert with_block[0].startswith("before\nEncoding video")
    assert len({re.search(r"busy (\d+)", text)[1] for text in with_block}) > 1  # type: ignore[index]
    assert 2 <= len(with_block) <= 50  # the clock draws, not what is told: that is 500 times
    *_, last = _screens(pieces)
    assert last.cursor_is_shown


def test_what_is_written_meanwhile_goes_above_the_block() -> None:
    pieces, code = _in_terminal(
        """
        with shown() as on_progress:
            for at in range(3):
                on_progress(PROGRESS)
                wait_for_a_frame()
                print(f"out {at}", flush=True)
                sys.stderr.write(f"err {at}\\n")
                logging.getLogger("some").error("log %d", at)
                other.print(f"[red]rich {at}[/red]", markup=True)
                other.print("x" * 150, soft_wrap=True)
            for at in range(5):
                print(f"\\rbar {at}", end="", file=sys.stderr, flush=True)
            print(file=sys.stderr)
            late = logging.StreamHandler()
            print("unfinished", end="")
        late.emit(logging.makeLogRecord({"msg": "late"}))
        print("after")
        """
    )
    assert code == 0
    texts = [screen.text() for screen in _screens(pieces)]
    assert all(text.count("Encoding video") <= 1 for text in texts)
    assert all(text.count("frames/s") <= 1 for text in texts)
    expected = []
    for at in range(3):
        expected += [f"out {at}", f"err {at}", f"log {at}", f"rich {at}", "x" * 150]
    assert texts[-1].splitlines() == [*expected, "bar 4", "unfinished", "late", "after"]
    assert "\x1b[31mrich" in "".join(piece for _, piece in pieces)


def test_an_error_within_leaves_a_clean_terminal() -> None:
    pieces, code = _in_terminal(
        """
        with shown("panel") as on_progress:
            on_progress(PROGRESS)
            wait_for_a_frame()
            raise KeyboardInterrupt
        """
    )
    *_, last = _screens(pieces)
    assert code != 0
    assert last.text().startswith("Traceback")
    assert "Encoding" not in last.text()
    assert last.cursor_is_shown


def test_results_that_go_to_a_file_still_go_there(tmp_path: Path) -> None:
    with (tmp_path / "results").open("w") as file:
        pieces, code = _in_terminal(
            """
            with shown() as on_progress:
                on_progress(PROGRESS)
                print("result")
                wait_for_a_frame()
            """,
            stdout=file.fileno(),
        )
    assert code == 0
    assert (tmp_path / "results").read_text() == "result\n"
    assert "result" not in "".join(piece for _, piece in pieces)
    assert "Encoding" in "".join(piece for _, piece in pieces)


def test_a_forked_child_does_not_draw() -> None:
    pieces, code = _in_terminal(
        """
        import os
        with shown() as on_progress:
            on_progress(PROGRESS)
            wait_for_a_frame()
            child = os.fork()
            if not child:
                print("", end="")
                sys.stdout.write("child\\n")
                sys.stdout.flush()
                os._exit(0)
            os.waitpid(child, 0)
        """
    )
    whole = "".join(piece for _, piece in pieces)
    assert code == 0
    assert "child\r\n" in whole


@pytest.mark.parametrize(
    ("environment", "style", "drawn"),
    [
        ({}, "auto", True),
        ({"CI": "true"}, "auto", False),
        ({"CI": "false"}, "auto", True),
        ({"CI": "true"}, "panel", True),
        ({"TERM": "dumb"}, "panel", False),
        ({}, "lines", False),
        ({}, "json", False),
        ({}, "none", False),
    ],
)
def test_how_the_style_is_chosen(environment: dict[str, str], style: str, drawn: bool) -> None:
    pieces, code = _in_terminal(
        f"""
        with shown({style!r}) as on_progress:
            on_progress(PROGRESS)
            wait_for_a_frame()
        """,
        environment=environment,
    )
    whole = "".join(piece for _, piece in pieces)
    assert code == 0
    assert ("━" in whole) == ("\x1b" in whole) == drawn


def test_a_narrow_terminal_gets_no_broken_lines() -> None:
    pieces, _ = _in_terminal(
        """
        with shown() as on_progress:
            on_progress(PROGRESS)
            wait_for_a_frame()
            raise SystemExit(3)
        """,
        columns=36,
    )
    whole = "".join(piece for _, piece in pieces)
    assert "120/2000" in whole
    screen = Screen()
    screen.feed(whole)
    assert screen.text() == ""


def test_above_leaves_streams_and_handlers_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, pipe = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", pipe)
    handler = logging.StreamHandler()
    logger = logging.getLogger("tests.above")
    logger.addHandler(handler)
    try:
        with above(Console(file=terminal)):
            assert sys.stdout is pipe
            assert handler.stream is sys.stderr is not terminal
            kept = sys.stderr
            kept.write("a line\nand a half")
            assert terminal.getvalue() == "a line\n"
        assert sys.stderr is handler.stream is terminal
        kept.write("later")
        assert terminal.getvalue() == "a line\nand a half\nlater"
    finally:
        logger.removeHandler(handler)


# ------------------------------------------------------------------------------------ a notebook


class Displayed:
    """Stands in for IPython's display handle."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Displayed:
        assert raw
        assert display_id
        self.bundles.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.bundles.append(bundle)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Displayed:
    displayed = Displayed()
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    module: Any = SimpleNamespace(display=displayed.display)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return displayed


def test_a_notebook_gets_the_block_in_its_cell(
    notebook: Displayed, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    with shown(clock=clock) as on_progress:
        for _ in range(10):
            on_progress(PROGRESS)
            clock.now += 0.1
        on_progress(DONE)
    assert 4 <= len(notebook.bundles) <= 6  # drawn 4 times a second
    assert "Starting …" in notebook.bundles[0]["text/plain"]
    assert "Encoding video" in notebook.bundles[1]["text/plain"]
    last = notebook.bundles[-1]
    assert "Done" in last["text/plain"]
    assert last["text/html"].startswith("<pre")
    assert "━" in last["text/html"]
    assert "#000000" not in last["text/html"]  # it would not be seen on a dark page
    assert "\x1b" not in last["text/html"] + last["text/plain"]
    assert capfd.readouterr() == ("", "")


def test_a_notebook_can_have_lines_too(
    notebook: Displayed, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown("lines") as on_progress:
        on_progress(PROGRESS)
    assert not notebook.bundles
    assert capsys.readouterr().err == as_line(PROGRESS) + "\n"


def test_no_torch_is_loaded() -> None:
    code = "import sys, videoprep.progress; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "IPython", "numpy"}
