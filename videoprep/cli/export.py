"""`videoprep export`: a store as the files of another trainer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from videoprep.cli.options import Format, OutputFormat
from videoprep.cli.output import meter, print_json, safe, stdout


def export(
    store: Annotated[str, typer.Argument(metavar="STORE", help="What `videoprep encode` made.")],
    to: Annotated[str, typer.Option("--to", help="The target.", metavar="TARGET")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder: made, or gone on with.")
    ],
    split: Annotated[str | None, typer.Option(help="Only the clips of this split.")] = None,
    output_format: Format = OutputFormat.rich,
) -> None:
    """Write a store in the form that another trainer reads, and say how to train with it.

    Targets: cogvideox-factory, finetrainers. Stopped in any way and run again, it goes on.
    """
    from videoprep.exporters.run import export as run

    with meter() as shown:
        result = run(
            store,
            to=to,
            output=output,
            split=split,
            on_progress=lambda done, total: shown.update("exported", done, total),
        )
    if output_format is OutputFormat.json:
        print_json(asdict(result))
        return
    more = f", {result.incomplete:,} incomplete ones left out" if result.incomplete else ""
    stdout.print(safe(f"{result.path}: {result.clips:,} clips for {result.target}{more}"))
    if result.loses:
        stdout.print(safe(f"lost: {result.loses}"))
    stdout.print(safe(f"train with: {result.command}"))
