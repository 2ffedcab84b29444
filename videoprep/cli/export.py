"""`videoprep export`: a store as the files of another trainer."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from videoprep.cli.options import Format, OutputFormat
from videoprep.cli.output import meter, print_json, safe, stdout


class Latents(str, Enum):
    """What is written of the latents' posterior."""

    moments = "moments"
    sample = "sample"
    mean = "mean"


def export(
    store: Annotated[str, typer.Argument(metavar="STORE", help="What `videoprep encode` made.")],
    to: Annotated[str, typer.Option("--to", help="The target.", metavar="TARGET")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder: made, or gone on with.")
    ],
    split: Annotated[str | None, typer.Option(help="Only the clips of this split.")] = None,
    posterior: Annotated[
        Latents | None,
        typer.Option(help="What to write of the latents; by default what the target caches."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the samples drawn.")] = 0,
    output_format: Format = OutputFormat.rich,
) -> None:
    """Write a store in the form that another trainer reads, and say how to train with it.

    Targets: cogvideo-finetune, cogvideox-factory, fastvideo, finetrainers, hf-datasets,
    ltx-trainer, musubi, webdataset. Stopped in any way and run again, it goes on.
    """
    from videoprep.exporters.run import export as run

    with meter() as shown:
        result = run(
            store,
            to=to,
            output=output,
            split=split,
            posterior=None if posterior is None else posterior.value,
            seed=seed,
            on_progress=lambda done, total: shown.update("exported", done, total),
        )
    if output_format is OutputFormat.json:
        print_json(asdict(result))
        return
    more = f", {result.incomplete:,} incomplete ones left out" if result.incomplete else ""
    stdout.print(safe(f"{result.path}: {result.clips:,} clips for {result.target}{more}"))
    stdout.print(safe(f"latents: {result.posterior}"))
    if result.loses:
        stdout.print(safe(f"lost: {result.loses}"))
    for note in result.notes:
        stdout.print(safe(f"note: {note}"))
    # A line of its own each, and never wrapped: they are to be copied.
    stdout.print("train with:")
    for line in result.command.splitlines():
        stdout.print(safe(line), soft_wrap=True)
