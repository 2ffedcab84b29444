"""Records commands as a picture: really runs them, and draws what they print as an SVG.

``python docs/make_recording.py [FOLDER]`` writes ``docs/images/terminal.svg``, of a dataset of
one's own or of the demo's, with the tiny model of the package. The picture needs no font and no
address of the network; its lines appear one after the other where a viewer animates.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from videoprep.demo.scenes import render_dataset
from videoprep.demo.tiny_model import trained_model

PICTURE = Path(__file__).with_name("images") / "terminal.svg"

WIDTH = 100
LONGEST = 12  # lines that are shown of one command's output
SECONDS = 0.12  # between two lines

COMMANDS = (
    "videoprep validate clips",
    "videoprep index clips --buckets auto --num-buckets 2 --max-pixels 10000 -o index.parquet",
    "videoprep encode index.parquet -o latents --model model --image-latents",
    "videoprep train latents --model model -o lora --steps 40 --rank 16",
)

_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_THEME = TerminalTheme(
    (22, 27, 34),
    (219, 226, 234),
    [
        (72, 79, 88), (255, 123, 114), (86, 211, 100), (227, 179, 65),
        (121, 192, 255), (210, 168, 255), (86, 212, 221), (219, 226, 234),
    ],
)  # fmt: skip
_LINE = re.compile(r'<text class="recording-r\d+"[^>]*\by="([\d.]+)"')


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the commands and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="A dataset; the demo's without it.")
    parser.add_argument("-o", "--output", type=Path, default=PICTURE)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        lines = list(record(Path(place), chosen.folder))
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(as_svg(lines), encoding="utf-8")


def record(place: Path, folder: Path | None) -> Iterator[Text]:
    """What a terminal shows, line by line, of the commands that are run in a folder."""
    if folder is None:
        render_dataset(place / "clips")
    else:
        shutil.copytree(folder, place / "clips", copy_function=shutil.copyfile)
    shutil.copytree(trained_model(), place / "model")
    for command in COMMANDS:
        yield Text.assemble(("$ ", "green"), (command, "bold"))
        yield from _shortened(_run(command, place))
        yield Text("")


def _run(command: str, place: Path) -> list[Text]:
    """The lines of its standard output, coloured; a terminal's width is given to it."""
    colours = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    done = subprocess.run(  # noqa: S603 (the commands are those above)
        [sys.executable, "-m", *command.split()],
        cwd=place,
        env={**os.environ, **colours, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stderr}")
    return [Text.from_ansi(line) for line in done.stdout.rstrip().splitlines()]


def _shortened(lines: list[Text]) -> list[Text]:
    """The beginning and the end of long output, and what was left out in words."""
    if len(lines) <= LONGEST:
        return lines
    end = 4
    cut = len(lines) - LONGEST + 1
    return [*lines[: -cut - end], Text(f"⋮ {cut} more lines", style="dim"), *lines[-end:]]


def as_svg(lines: Sequence[Text]) -> str:
    """The picture of a terminal that shows these lines."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line, soft_wrap=False)
    drawn = console.export_svg(title="videoprep", theme=_THEME, unique_id="recording")
    return _animated(_without_addresses(drawn))


def _without_addresses(drawn: str) -> str:
    """Without the fonts that it would fetch: the viewer's own are there."""
    drawn = re.sub(r"@font-face\s*{.*?}", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"font-family:[^;]*;", f"font-family: {_FONTS};", drawn)
    return re.sub(r"<!--.*?-->", "", drawn, flags=re.DOTALL)


def _animated(drawn: str) -> str:
    """Lets each line appear after the one before, once; all are there where nothing moves."""
    heights = sorted({float(height) for height in _LINE.findall(drawn)})
    number = {height: at for at, height in enumerate(heights)}

    def delayed(match: re.Match[str]) -> str:
        seconds = SECONDS * number[float(match[1])]
        return match[0].replace("<text ", f'<text style="animation-delay:{seconds:.2f}s" ', 1)

    style = (
        "@media (prefers-reduced-motion: no-preference) {"
        " @keyframes appear { from { opacity: 0 } }"
        " text[style] { animation: appear 0.2s backwards } }"
    )
    return _LINE.sub(delayed, drawn).replace("</style>", f"{style}\n    </style>", 1)


if __name__ == "__main__":
    main()
