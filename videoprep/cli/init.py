"""`videoprep init`: writes a commented videoprep.yaml for a folder, or updates the one there."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from videoprep.cli.options import Path_
from videoprep.cli.output import next_command, safe, said, stderr, stdout
from videoprep.errors import SpecError

if TYPE_CHECKING:
    from videoprep.families.profile import Profile
    from videoprep.index.scaffold import Scaffold


# Options that an error about a dataset may advise, and that `init` does not have.
_OF_OTHERS = ("caption_fallback", "id_token", "dataset_file", "time_unit", "data_root")


def init(
    path: Path_ = Path(),
    model: Annotated[
        str | None,
        typer.Option(
            help="The model that you will train: a diffusers folder or a hub id. Only its configs "
            "are read.",
            metavar="PATH_OR_ID",
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Its profile, instead of the model.", metavar="NAME")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Write the file here, for instance if the dataset is read-only.",
            metavar="FILE",
        ),
    ] = None,
    caption_column: Annotated[
        str | None, typer.Option(help="The table's caption column, if it is not recognized.")
    ] = None,
    video_column: Annotated[
        str | None, typer.Option(help="The table's video column, if it is not recognized.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Set what is proposed: consent to it.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start from scratch; keep no settings.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the file; write nothing.")
    ] = False,
) -> None:
    """Write a commented videoprep.yaml from what is found in a folder.

    Finds lists of captions and videos, and captions in text files beside the videos. Opens a few
    videos and proposes settings for the model that you will train, with reasons. If a
    videoprep.yaml is there, your settings and comments are kept.
    """
    from videoprep.index.scaffold import ReadOnlyError, scaffold

    try:
        made = scaffold(
            path,
            caption_column=caption_column,
            video_column=video_column,
            profile=profile,
            model=model,
            accept=accept,
            overwrite=overwrite,
            output=output,
            ask=_ask if sys.stdin.isatty() and sys.stderr.isatty() else None,
        )
    except SpecError as error:
        if any(f"`{name}`" in (error.remedy or "") for name in _OF_OTHERS):
            error.remedy = f"{error.remedy} with `videoprep validate`, `index` or `encode`"
        raise
    if dry_run:
        sys.stdout.write(made.text)
        return
    try:
        backup = made.write()
    except ReadOnlyError as error:
        if output is None:
            error.remedy = f"write the file elsewhere: {_elsewhere(made)}"
        raise
    _print(made)
    if made.changes:
        kept = f"; the old file is {backup}" if backup is not None else ""
        stdout.print(safe(f"wrote {made.path}{kept}"))
    else:
        stdout.print(safe(f"nothing to change: {made.path} was not written"))
    next_command("validate", made.path if output is not None else made.path.parent)


def _ask() -> str | None:
    """Ask in the terminal which profile is meant; Enter means the default."""
    from videoprep.families.registry import profiles

    known = list(profiles().values())
    choices = Table.grid(padding=(0, 2))
    for number, one in enumerate(known, start=1):
        choices.add_row(safe(f" {number}"), safe(one.name, "bold"), safe(one.describe()))
    stderr.print("Which model will you train?")
    stderr.print(choices, soft_wrap=False)
    while True:
        stderr.print(safe(f"Number or name [{known[0].name}]: "), end="")
        answer = sys.stdin.readline()
        if not answer:  # Ctrl-D
            stderr.print("\nstopped: nothing was written")
            raise typer.Abort
        chosen = _chosen(answer.strip(), known)
        if chosen is not None:
            return chosen
        stderr.print(safe(f"There is no {answer.strip()!r}: give a number from 1 to {len(known)}."))


def _chosen(answer: str, known: list[Profile]) -> str | None:
    if not answer:
        return known[0].name
    if answer.isdecimal():
        return known[int(answer) - 1].name if 1 <= int(answer) <= len(known) else None
    return next((one.name for one in known if one.name == answer.lower()), None)


def _elsewhere(made: Scaffold) -> str:
    """The same command, with an output that is not in the dataset's folder."""
    from videoprep.fs.atomic import may_write

    name = f"{made.path.resolve().parent.name}.yaml"
    output = name if may_write(Path()) else "FILE.yaml"
    return shlex.join(["videoprep", *sys.argv[1:], "-o", output])


def _print(made: Scaffold) -> None:
    from videoprep.index.scaffold import columns_of

    stdout.print(safe(f"found {made.found.what}"))
    used = " · ".join(f"{what}: {name}" for what, name in columns_of(made).items())
    if used:
        stdout.print(safe(f"  Used: {used}"))
    for note in (*made.found.notes, *made.unused, *made.seen):
        stdout.print(said(f"  {note}"))
    _print_changes(made)
    if made.profile is not None:
        stdout.print(safe(f"for the profile {made.profile}"))
    else:
        stdout.print("no model was named: name it with --model PATH_OR_ID or --profile NAME")
    for name, proposal in made.proposed.items():
        stdout.print(
            safe("proposed ", "cyan")
            + safe(f"{name}: {proposal.value}", "bold")
            + said(f" · {proposal.why}")
        )
    if made.proposed:
        stdout.print("none of that is set: edit the file, or set it all with --accept")


def _print_changes(made: Scaffold) -> None:
    """What became of the settings of a file that was there."""
    merged = made.merged
    if merged.kept:
        stdout.print(safe("kept ", "cyan") + safe(_listed(merged.kept)))
    for change in merged.changed:
        new = "not set" if change.new is None else change.new
        stdout.print(
            safe("changed ", "yellow")
            + safe(f"{change.name}: {change.old} → {new}", "bold")
            + safe(f" · {change.why}")
        )
    if merged.added:
        stdout.print(safe("added ", "cyan") + safe(_listed(merged.added)))


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in settings.items())
