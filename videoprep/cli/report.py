"""`videoprep report`: one page on a whole dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli.options import Format, dataset_options, named_path
from videoprep.cli.output import meter, print_json, safe, said, stdout
from videoprep.text import file_size

if TYPE_CHECKING:
    from videoprep.dataset_report.run import DatasetReport


@dataset_options
def report(
    path: Path,
    dataset: dict[str, Any],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Page to write.", metavar="FILE")
    ] = Path("report.html"),
    store: Annotated[
        str | None, typer.Option(help="Where the dataset or index was encoded to.", metavar="STORE")
    ] = None,
    previews: Annotated[
        int, typer.Option(min=0, help="Number of clips whose latents are decoded.", metavar="N")
    ] = 4,
    model: Annotated[
        str | None, typer.Option(help="For that: where the model is. Default: as the store says.")
    ] = None,
    output_format: Format = "rich",
) -> None:
    """Write one page on a dataset, an index or a store: asked, planned, encoded, and its clips.

    The page loads nothing: send it to anyone. Exit code 1 if something is skipped, has failed or
    is to do, or a rule is broken.
    """
    from videoprep.dataset_report.run import report as run

    root = dataset.pop("data_root", None)
    place = named_path(path, {"data_root": root})
    with meter() as shown:
        made = run(
            place,
            output,
            store=store,
            data_root=root,
            previews=previews,
            model=model,
            on_progress=shown.update,
            **dataset,
        )
    if output_format == "json":
        print_json(made.to_json())
    else:
        print_made(made)
    raise typer.Exit(0 if made.ok else 1)


def print_made(made: DatasetReport) -> None:
    """Counts that add up, and where the page is."""
    facts = made.facts
    if facts.no_plan is not None:
        stdout.print(safe("no plan: ", "yellow") + said(facts.no_plan))
    elif facts.samples:
        parts = " + ".join(f"{count:,} {state}" for state, count in facts.samples.items())
        stdout.print(safe(f"{facts.total:,} samples = {parts}"))
    for note in made.notes:
        stdout.print(said(note), style="dim")
    stdout.print(safe(f"written: {made.path} ({file_size(made.bytes)})"))
