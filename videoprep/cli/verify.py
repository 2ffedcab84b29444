"""`videoprep verify`: what is wrong with a store, and on request its repair."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoprep.cli.encode import Device, Revision, print_use
from videoprep.cli.options import Format
from videoprep.cli.output import (
    meter,
    next_command,
    print_json,
    safe,
    said,
    stdout,
    table,
)
from videoprep.text import counted, file_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from videoprep.engine.claims import AtWork
    from videoprep.store.verify_report import EarlierRecipe, Note, Repair, StoreFault, VerifyReport

_SHOWN = 20
_EXAMPLES = 3

StorePlace = Annotated[
    str,
    typer.Argument(help="A store made by `videoprep encode`; its folder or URL.", metavar="STORE"),
]
StoreModel = Annotated[
    str | None,
    typer.Option("--model", help="Diffusers folder or hub id. Default: as the store says."),
]


def verify(
    store: StorePlace,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make anew what is damaged or missing, and only that.")
    ] = False,
    model: StoreModel = None,
    revision: Revision = None,
    data_root: Annotated[
        Path | None,
        typer.Option(help="Folder of the videos, where it was moved.", metavar="PATH"),
    ] = None,
    device: Device = "auto",
    output_format: Format = "rich",
) -> None:
    """Check every file of a store to the last bit, and name each that is not as it was written.

    Changes nothing without --repair. Exit code 1 if something is wrong, or still is.
    """
    from videoprep.encoding.repair import verify as run

    with meter() as shown:
        report = run(
            store,
            repair=repair,
            model=model,
            revision=revision,
            data_root=data_root,
            device=device,
            on_checked=lambda done, total: shown.update("units checked", done, total),
        )
    if output_format == "json":
        print_json(report.to_json())
    else:
        print_report(report)
        if report.ok:
            print_use(store, model)
        elif not repair:
            next_command("verify", store, "--repair")
    raise typer.Exit(0 if report.ok else 1)


def print_report(report: VerifyReport) -> None:
    """What was done, what is wrong, what else there is, and counts that add up."""
    if report.repair is not None:
        _print_repair(report.repair)
    _print_faults(report.faults)
    _print_notes(report.notes)
    if report.components:
        names = (">planned", ">sound", ">damaged", ">failed", ">missing", ">not needed")
        counts = table(report.store, "component", *names)
        for name, one in report.components.items():
            told = (one.planned, one.sound, one.damaged, one.set_aside, one.missing)
            extra = f"{one.orphans} ({file_size(one.orphan_bytes)})" if one.orphans else "0"
            counts.add_row(name, *map(str, told), extra)
        stdout.print(counts)
    print_earlier(report.earlier)
    print_at_work(report.at_work)
    count = len(report.faults)
    wrong = counted(count, "fault") if count else "nothing is wrong"
    stdout.print(
        safe(
            f"{report.store}: {wrong} · {report.units} units, {file_size(report.bytes)} checked "
            f"to the last bit · {report.seconds:.1f} s"
        )
    )


def print_earlier(earlier: Iterable[EarlierRecipe]) -> None:
    """Artifacts that were made in another way."""
    for one in earlier:
        stdout.print(
            safe(
                f"earlier: {one.artifacts} {one.component}, {file_size(one.bytes)}, in "
                f"{one.component}/{one.recipe}: {'; '.join(one.why)}"
            )
        )


def print_at_work(at_work: Iterable[AtWork]) -> None:
    """Who is at the store."""
    for one in at_work:
        units = f": {', '.join(one.units[:_EXAMPLES])}" if one.units else ""
        more = f" and {len(one.units) - _EXAMPLES} more" if len(one.units) > _EXAMPLES else ""
        stdout.print(safe("at work ", "cyan") + safe(f"{one.host}, process {one.pid}{units}{more}"))


def _print_repair(repair: Repair) -> None:
    for fault in repair.before[:_SHOWN]:
        stdout.print(safe(f"was {fault.kind} ", "yellow") + said(f"{fault.name}: {fault.what}"))
    _print_more(len(repair.before), "faults")
    encoded = [f"{count} {name}" for name, count in repair.encoded.items()]
    if encoded:
        stdout.print(safe(f"made anew: {', '.join(encoded)}"))
    if repair.removed:
        stdout.print(f"{len(repair.removed)} files were removed: damaged, orphaned, or left over")
    if repair.rewritten:
        stdout.print(safe(f"written anew: {', '.join(repair.rewritten)}"))
    for what in repair.left_alone[:_SHOWN]:
        stdout.print(safe("left alone ", "yellow") + said(what))
    _print_more(len(repair.left_alone), "left alone")


def _print_faults(faults: Sequence[StoreFault]) -> None:
    for fault in faults[:_SHOWN]:
        clips = f" · {', '.join(fault.clips)}" if fault.clips else ""
        more = ", …" if fault.artifacts > len(fault.clips) > 0 else ""
        stdout.print(
            safe(f"{fault.kind} ", "red") + safe(f"{fault.name}: {fault.what}{clips}{more}")
        )
    _print_more(len(faults), "faults")
    for remedy in dict.fromkeys(fault.remedy for fault in faults):
        names = [fault.name for fault in faults if fault.remedy == remedy]
        which = names[0] if len(names) == 1 else f"{len(names)} of them"
        stdout.print(said(f"→ {which}: {remedy}"))


def _print_notes(notes: Sequence[Note]) -> None:
    """Each kind of note in a line."""
    for kind in dict.fromkeys(note.kind for note in notes):
        same = [note for note in notes if note.kind == kind]
        named = ", ".join(note.name for note in same[:_EXAMPLES])
        more = ", …" if len(same) > _EXAMPLES else ""
        total = sum(note.bytes for note in same)
        of_size = f", {file_size(total)}" if total else ""
        stdout.print(
            safe(f"{kind} ", "dim") + safe(f"{len(same)}{of_size}: {same[0].what}: {named}{more}")
        )


def _print_more(count: int, what: str) -> None:
    if count > _SHOWN:
        stdout.print(f"… and {count - _SHOWN} more {what}; --output-format json lists all")
