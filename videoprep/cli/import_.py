"""`videoprep import`: what another trainer has precomputed, as a store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from videoprep.cli import completion
from videoprep.cli.options import Format
from videoprep.cli.output import meter, next_command, print_json, safe, said, stdout

_SHOWN = 10


def import_(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="What the trainer has precomputed.")
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from", help="The trainer.", metavar="SOURCE", autocompletion=completion.sources
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="The model that encoded it: a diffusers folder or a hub id. No weights are read."
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="The store: new, or begun by the same command.")
    ],
    revision: Annotated[str | None, typer.Option(help="Of the model on the hub.")] = None,
    output_format: Format = "rich",
) -> None:
    """Make a store of what another trainer has precomputed, without encoding anything.

    Sources: cogvideox-factory. Run the same command again to resume an import that was stopped.
    """
    from videoprep.importers.run import import_precomputed

    with meter() as shown:
        result = import_precomputed(
            folder,
            source=source,
            model=model,
            output=output,
            revision=revision,
            on_progress=shown.update,
        )
    if output_format == "json":
        print_json(asdict(result))
    else:
        stdout.print(safe(f"{result.store}: {result.clips:,} of {result.samples:,} clips imported"))
        reasons = [f"{one.file}:{one.line} {one.video}: {one.reason}" for one in result.left_out]
        reasons += [f"{one.file}:{one.line} {one.video}: {one.reason}" for one in result.set_aside]
        for reason in reasons[:_SHOWN]:
            stdout.print(said(f"skipped: {reason}"))
        if more := len(reasons) - _SHOWN:
            stdout.print(
                safe(f"… {more:,} more; --output-format json names all")
            ) if more > 0 else None
        if result.differing:
            stdout.print(
                safe(
                    f"note: {result.differing:,} clips have a caption that another has with other "
                    "embeddings; a store has one a caption: the first one's"
                )
            )
        next_command("verify", output)
    if not result.ok:
        raise typer.Exit(1)
