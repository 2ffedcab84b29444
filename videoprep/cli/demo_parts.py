"""What both ways of `videoprep demo` share: steps, the tiny model, encoding, looking at it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from videoprep.cli.output import safe, stdout
from videoprep.errors import VideoprepError

if TYPE_CHECKING:
    from videoprep.encoding.result import EncodeResult
    from videoprep.index.table import BucketIndex
    from videoprep.previewing.run import Preview


def print_step(title: str) -> None:
    """Print where a step begins."""
    stdout.print(Rule(Text(title, style="bold"), align="left"))


def copy_folder(source: Path, folder: Path) -> Path:
    """Put a model of the package where the user sees it, whatever an earlier version left there."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    return folder


def encode_plan(
    index: BucketIndex, model: Path, store: Path, *, image_latents: bool
) -> EncodeResult:
    """Encode on the CPU, and print what came of it.

    Raises:
        VideoprepError: There are several ranks.
    """
    from videoprep.cli.encode import print_result
    from videoprep.encoding.run import encode

    result = encode(index, model=model, output=store, image_latents=image_latents, device="cpu")
    if result is None:
        raise VideoprepError("the demo runs in one process", remedy="start it without torchrun")
    print_result(result)
    return result


def preview_store(store: Path, model: Path, output: Path) -> Preview:
    """Decode some latents, and print how they compare."""
    from videoprep.cli.preview import PreviewRows
    from videoprep.previewing.run import preview

    rows = PreviewRows(as_json=False)
    seen = preview(store, model=model, output=output, device="cpu", on_measured=rows.add)
    rows.end(seen, output)
    return seen


def of_preview(seen: Preview) -> str:
    """Return what was seen, in a few words."""
    if seen.median_psnr is None:
        return "the latents decoded"
    return f"the latents decoded beside their source, PSNR {seen.median_psnr:.1f} dB"


def program() -> str:
    """Return what to type: the virtual environment that `make` sets up need not be active."""
    if shutil.which("videoprep"):
        return "videoprep"
    return sys.argv[0] if Path(sys.argv[0]).name == "videoprep" else "python -m videoprep"


def list_made(made: Iterable[tuple[str, Path, str]]) -> Text:
    """Return what was made, where it is, and a note on each, for the last panel."""
    text = Text("Made here, without network and GPU:\n\n")
    for what, path, note in made:
        text += safe(f"  {what:9}", "bold") + safe(f"{path}\n") + safe(f"{'':11}{note}\n", "dim")
    return text


def list_commands(heading: str, commands: Iterable[str]) -> Text:
    """Return commands to type next, for the last panel."""
    text = Text(f"\n{heading}\n\n")
    for command in commands:
        text += safe(f"  {program()} {command}\n", "cyan")
    return text


def print_panel(text: Text, title: str) -> None:
    """Print the last panel."""
    text.rstrip()
    panel = Panel(text, title=title, title_align="left", expand=False)
    stdout.print(panel, soft_wrap=False)
