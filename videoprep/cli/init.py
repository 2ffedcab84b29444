"""`videoprep init`: writes a commented videoprep.yaml for a folder that has none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoprep.cli.options import Path_
from videoprep.cli.output import next_command, safe, stdout

if TYPE_CHECKING:
    from videoprep.index.scaffold import Scaffold


def init(
    path: Path_ = Path(),
    caption_column: Annotated[
        str | None, typer.Option(help="The table's caption column, where it is not recognized.")
    ] = None,
    video_column: Annotated[
        str | None, typer.Option(help="The table's video column, likewise.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Set what is proposed, too: consent to it.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a videoprep.yaml that is there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the file; write nothing.")
    ] = False,
) -> None:
    """Write a commented videoprep.yaml from what is found in a folder.

    Finds lists of captions and videos (text files, CSV, TSV, JSON lines, Parquet) and captions in
    text files beside the videos. Opens a few videos and proposes profile, buckets, rate and
    reshape, with reasons.
    """
    from videoprep.index.scaffold import scaffold

    made = scaffold(path, caption_column=caption_column, video_column=video_column, accept=accept)
    if dry_run:
        sys.stdout.write(made.text)
        return
    written = made.write(overwrite=overwrite)
    _print(made)
    for one in written:
        stdout.print(safe(f"wrote {one}"))
    next_command("validate", made.found.folder)


def _print(made: Scaffold) -> None:
    stdout.print(safe(f"found {made.found.what}"))
    for note in (*made.found.notes, *made.seen):
        stdout.print(safe(f"  {note}"))
    for name, proposal in made.proposed.items():
        stdout.print(
            safe("proposed ", "cyan")
            + safe(f"{name}: {proposal.value}", "bold")
            + safe(f" · {proposal.why}")
        )
    if made.proposed:
        stdout.print("none of that is set: edit the file, or set it all with --accept")
