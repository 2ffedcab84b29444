"""`videoprep split`: finds the scenes of films, and writes a dataset of time ranges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli.options import Format, path_argument, with_options
from videoprep.cli.output import meter, next_command, print_json, safe, said, stdout, table
from videoprep.errors import SpecError
from videoprep.scenes.options import SplitOptions
from videoprep.text import counted, duration

if TYPE_CHECKING:
    from videoprep.pages.split import CutList
    from videoprep.scenes.run import SplitResult

_SHOWN = 20


@with_options(SplitOptions, "options")
def split(
    footage: Annotated[
        Path, path_argument("A film, or a folder with films at any depth.", default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The dataset's folder.", metavar="DATASET")
    ],
    options: dict[str, Any],
    stats: Annotated[
        Path | None,
        typer.Option(help="Write the scores of all frames to this CSV file.", metavar="FILE"),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Write a page to this HTML file that shows both sides of every cut.",
            metavar="FILE",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a list that was changed; a copy of it is kept."),
    ] = False,
    time_limit: Annotated[
        float, typer.Option(help="Seconds to open a small film; large ones get more.", min=0.1)
    ] = 60.0,
    memory_limit: Annotated[
        int, typer.Option(help="MiB of memory that opening a film may take.", min=64)
    ] = 2048,
    output_format: Format = "rich",
) -> None:
    """Find the scenes of films, and write a dataset of time ranges.

    Films stay as they are and where they are; exporting to media cuts files. What
    decoding showed is kept, so that another threshold decodes nothing. All that is in no range is
    listed with its reason. Exit code 1 if a film cannot be used, or if there is no range.
    """
    from videoprep.pages.replacing import require_replaceable
    from videoprep.pages.split import CutList
    from videoprep.scenes.run import split as run
    from videoprep.workers.pool import Limits

    _require_target(stats, ".csv", output)
    _require_target(page, ".html", output)
    if page is not None:
        require_replaceable(page, "page")
    cuts = CutList() if page is not None else None
    with meter() as shown:
        result = run(
            footage,
            output=output,
            overwrite=overwrite,
            stats=stats,
            limits=Limits(time_limit, memory_limit),
            on_film=None if cuts is None else cuts.add,
            on_progress=shown.update,
            **options,
        )
    if cuts is not None and page is not None:
        write_page(cuts, result, page)
    if output_format == "json":
        print_json(result.to_json())
    else:
        print_result(result, stats, page)
        if result.samples:
            found = result.output if result.found_by_folder else result.output / "videoprep.yaml"
            next_command("caption", found, "--model", "MODEL")
    raise typer.Exit(0 if result.ok else 1)


def _require_target(target: Path | None, suffix: str, output: Path) -> None:
    """Check that a file that is written is none of those that are read or that make the dataset."""
    from videoprep.scenes.run import SAMPLES

    if target is None:
        return
    if target.is_dir():
        raise SpecError("is a folder", where=str(target), remedy="name a file in it")
    if target.suffix.lower() != suffix:
        raise SpecError(
            f"does not end in {suffix}",
            where=str(target),
            remedy=f"name a file such as {target.stem}{suffix}",
        )
    if target.resolve().parent == output.resolve() and target.name == SAMPLES:
        raise SpecError("is the list of the dataset", where=str(target), remedy="name another file")


def write_page(cuts: CutList, result: SplitResult, page: Path) -> None:
    """Write the page that shows both sides of every cut."""
    from videoprep.fs.atomic import write_file
    from videoprep.pages.split import as_html

    def write(file: Any) -> None:
        for text in as_html(cuts, result):
            file.write(text.encode("utf-8", "backslashreplace"))

    write_file(page, write)


def print_result(result: SplitResult, stats: Path | None, page: Path | None) -> None:
    """Print what became of the films, in seconds that add up."""
    from videoprep.scenes.ranges import REASONS

    for film in result.failed[:_SHOWN]:
        stdout.print(
            safe("failed ", "red") + safe(f"{film.video}: ") + said(f"{film.code} {film.message}")
        )
    if len(result.failed) > _SHOWN:
        stdout.print(f"… and {len(result.failed) - _SHOWN} more failed; left_over.csv lists all")
    kinds = [counted(number, kind) for kind, number in sorted(result.transitions.items())]
    stdout.print(
        safe(f"{counted(result.films, 'film')}, {duration(result.seconds, 1)}")
        + safe(f" · {', '.join(kinds) or 'no cut'}")
    )
    shown = table("", "what", ">seconds", "why")
    shown.title = None
    kept, left = result.shown_seconds()
    shown.add_row(safe(counted(result.samples, "sample")), f"{kept:.1f}", "")
    for reason, seconds in left:
        shown.add_row(safe(reason), f"{seconds:.1f}", safe(REASONS[reason]))
    shown.add_row(safe("together", "bold"), safe(f"{result.seconds:.1f}", "bold"), "")
    stdout.print(shown)
    for kind, number in sorted(result.passed_over.items()):
        stdout.print(safe(f"passed over: {number:,} {kind}", "dim"))
    if result.is_kept:
        stdout.print(
            said(
                "there is no range, so the list that is there was left as it is; choose another "
                "`min_length`, or see what else the table names",
                "yellow",
            )
        )
    else:
        stdout.print(safe(f"written: {result.output}"))
    for target in filter(None, (stats, page)):
        stdout.print(safe(f"written: {target}"))
