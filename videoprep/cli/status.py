"""`videoprep status`: what of a plan a store holds, what is to be made anew, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from videoprep.cli.asking import READING
from videoprep.cli.encode import print_damaged, print_use
from videoprep.cli.index import print_left_out
from videoprep.cli.options import (
    Format,
    OnMissing,
    as_options,
    dataset_options,
    path_argument,
    with_options,
)
from videoprep.cli.output import (
    command_of,
    next_command,
    planning,
    print_json,
    print_reading,
    safe,
    said,
    seen_from_here,
    stdout,
    table,
)
from videoprep.cli.verify import StoreModel, StorePlace, print_at_work, print_earlier
from videoprep.encoding.options import STATUS_OPTIONS, EncodeOptions
from videoprep.errors import listed
from videoprep.failure_reasons import what_helps
from videoprep.shell import command_line
from videoprep.text import counted, file_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videoprep.captions.status import CaptionRunStatus, CaptionStatus
    from videoprep.encoding.status import ComponentStatus, Status
    from videoprep.spec.dataset import DatasetSpec

_SHOWN = 20


@dataset_options
@with_options(
    EncodeOptions, "options", leave_out=EncodeOptions.model_fields.keys() - STATUS_OPTIONS
)
def status(
    store: StorePlace,
    dataset: dict[str, Any],
    options: dict[str, Any],
    path: Annotated[
        Path | None,
        path_argument(
            "Dataset or saved index to compare with. Default: the store's own plan.", default=False
        ),
    ] = None,
    model: StoreModel = None,
    on_missing: OnMissing = None,
    output_format: Format = "rich",
) -> None:
    """Say what of a plan a store holds: done, to do, failed, and what is stale and why.

    Of a dataset, say who wrote its captions, how many are missing, and what is stale and why.
    With PATH and its options, show what the same `videoprep encode` would encode again. An option
    that is not given has the value of the store. Changes nothing. Exit code 1 unless all that is
    planned is done.
    """
    from videoprep.encoding.status import status as run

    spec = _to_caption(store, dataset) if path is None else None
    if spec is not None:
        _print_captions(spec, store, dataset, output_format)
    if path is None:
        path = dataset.get("data_root")
    with planning() as on_planned:
        found = run(
            store,
            path,
            model,
            on_missing=on_missing,
            on_planned=on_planned,
            **options,
            **dataset,
        )
    if output_format == "json":
        print_json(found.to_json())
    else:
        print_status(found)
        if found.differences or (not found.ok and not found.is_hopeless):
            _print_next(found, path, {**dataset, **options, **found.keep}, model)
        elif found.ok:
            print_use(store, model or found.model)
    raise typer.Exit(0 if found.ok else 1)


def _to_caption(place: str, dataset: dict[str, Any]) -> DatasetSpec | None:
    """The dataset whose captions are asked about; None if this is none."""
    from videoprep.captions.asking_run import captionable
    from videoprep.errors import SpecError
    from videoprep.sources import kind_of

    if kind_of(place) != "dataset":
        return None
    try:
        spec = captionable(place, **dataset)
        if not spec.journal.exists():
            spec.listing()
    except SpecError:
        return None  # that it is no store will be said
    return spec


def _print_captions(
    spec: DatasetSpec, place: str, dataset: dict[str, Any], output_format: str
) -> NoReturn:
    from videoprep.captions.status import caption_status

    found = caption_status(spec)
    if output_format == "json":
        print_json(found.to_json())
    else:
        again = _CaptionCommands(found, place, dataset)
        print_caption_status(found, again)
        if not found.ok:
            stdout.print(safe("not every clip has a current caption", "yellow"))
        words = ("validate", Path(place), *as_options(dataset)) if found.ok else again.next()
        if words is not None and found.samples:
            next_command(*words)
    raise typer.Exit(0 if found.ok else 1)


@dataclass(frozen=True, slots=True)
class _CaptionCommands:
    """The commands that mend what is missing, failed or stale, in the way that was asked last."""

    found: CaptionStatus
    place: str
    dataset: dict[str, Any]

    def next(self) -> Sequence[object] | None:
        """The first of them; None if there is nothing to ask about."""
        found = self.found
        if found.unasked:
            return self.of("caption", **({"only": "missing"} if found.stale else {}))
        if found.failed:
            return self.of("caption", only="failed")
        if found.stale:
            return self.of("caption", only="stale")
        return self.of("refine", only="stale") if found.stale_refined else None

    def of(self, stage: str, **which: str) -> Sequence[object]:
        """The words of one."""
        from videoprep.captions.options import CaptionOptions
        from videoprep.captions.refine_options import RefineOptions

        model = CaptionOptions if stage == "caption" else RefineOptions
        last = self._last(stage)
        options = {"model": "MODEL"} if last is None else last.options
        of_dataset = as_options(
            {name: self.dataset[name] for name in self.dataset if name in READING}
        )
        return (stage, Path(self.place), *of_dataset, *as_options({**options, **which}, model))

    def _last(self, stage: str) -> CaptionRunStatus | None:
        of_stage = [run for run in self.found.runs if run.stage == stage]
        return next((run for run in of_stage if not run.differs), None)


def print_caption_status(found: CaptionStatus, again: _CaptionCommands) -> None:
    """Who wrote the captions of a dataset, what is stale and why, and how to mend it."""
    words = {
        "dataset": "by the dataset itself",
        "caption": "by a captioner",
        "refine": "refined",
        "review": "edited by a person",
        "none": "without a caption",
    }
    parts = [f"{count:,} {words[who]}" for who, count in found.writers.items()]
    parts += [f"{found.dropped:,} dropped in a review"] if found.dropped else []
    samples = counted(found.samples, "sample")
    stdout.print(safe(f"{samples} = {' + '.join(parts)}" if parts else samples))
    if found.unreadable:
        stdout.print(safe(f"of them, {found.unreadable:,} have a file that cannot be read"))
    _print_runs(found)
    for run in found.runs:
        if run.current and run.differs:
            why = "; ".join(run.differs)
            stdout.print(safe("stale ", "yellow") + safe(f"{run.current:,} of {run.run}: {why}"))
            _print_remedy(again.of(run.stage, only="stale"))
        for failure in run.failures[:_SHOWN]:
            stdout.print(
                safe("failed ", "yellow")
                + safe(f"{failure.clips:,} of {run.run}, such as {failure.example}: ")
                + said(failure.reason or failure.outcome)
            )
        if run.failures and not run.differs:
            _print_remedy(again.of(run.stage, only="failed"))
    if found.stale_refined:
        stdout.print(
            safe("stale ", "yellow")
            + safe(f"{found.stale_refined:,} refined: their captions have changed since")
        )
        _print_remedy(again.of("refine", only="stale"))


def _print_runs(found: CaptionStatus) -> None:
    if not found.runs:
        return
    runs = table(
        seen_from_here(found.journal), "run", "stage", "model", "prompt", ">captions", ">current"
    )
    for run in found.runs:
        counts = (f"{run.answered:,}", f"{run.current:,}")
        runs.add_row(run.run, run.stage, safe(run.model), safe(run.prompt_name), *counts)
    stdout.print(runs)


def _print_remedy(words: Sequence[object]) -> None:
    stdout.print(safe(f"  → {command_of(*words)}", "dim"))


def _print_next(
    found: Status, path: Path | None, options: dict[str, Any], model: str | None
) -> None:
    """The command that makes what is left; without PATH, for the dataset that was planned."""
    from videoprep.sources import dataset_behind

    what: object = path
    if path is None:
        what, planned = dataset_behind(found.store) or ("PATH", {})
        options = {**planned, **options}
    if found.only_failed:
        options["retry_failed"] = True
    of_dataset, of_run = _options_again(options)
    words = (what, *of_dataset, "-o", found.store, "--model", model or found.model, *of_run)
    next_command("encode", *words)


def _options_again(options: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The options of the dataset and of the run, as `encode` takes them."""
    of_run = {name: options[name] for name in options if name in EncodeOptions.model_fields}
    of_dataset = {name: options[name] for name in options if name not in of_run}
    return as_options(of_dataset), as_options(of_run, EncodeOptions)


def print_status(found: Status) -> None:
    """What there is, in counts that add up, and what is to be made and why."""
    print_reading(found.reading)
    names = (">planned", ">done", ">failed", ">to do", ">stale", ">not needed")
    counts = table(found.store, "component", *names)
    for name, one in found.components.items():
        counts.add_row(name, *_row(one))
    stdout.print(counts)
    _print_datasets(found)
    for name, one in found.components.items():
        if one.absent:
            stdout.print(safe(f"{name}: {counted(one.absent, found.word)} without, as planned"))
        _print_why(name, one)
    for difference in found.differences:
        stdout.print(safe("differs ", "yellow") + said(str(difference)))
    _print_redo(found)
    _print_set_aside(found)
    print_damaged(found.damaged)
    print_left_out(found.left_out)
    print_earlier(found.earlier)
    print_at_work(found.at_work)
    if found.leftovers:
        named = ", ".join(found.leftovers[:3]) + (", …" if len(found.leftovers) > 3 else "")
        stdout.print(safe(f"{len(found.leftovers)} leftovers of processes that died: {named}"))
    stdout.print(safe(_verdict(found)))


def _print_datasets(found: Status) -> None:
    """How far each of several datasets is."""
    if not found.datasets:
        return
    made = table("datasets", "dataset", f">{found.word}s", ">done", ">failed", ">to do")
    for one in found.datasets:
        made.add_row(safe(one.name), *map(str, (one.clips, one.done, one.failed, one.to_do)))
    stdout.print(made)


def _row(one: ComponentStatus) -> Sequence[str]:
    orphans = f"{one.orphans} ({file_size(one.orphan_bytes)})" if one.orphans else "0"
    if one.planned is None:
        return ("?", str(one.done), str(one.set_aside), "?", "?", "?")
    return (*map(str, (one.planned, one.done, one.set_aside, one.to_do, one.stale)), orphans)


def _print_why(component: str, one: ComponentStatus) -> None:
    for reason, count in one.why.items():
        stdout.print(safe("to do ", "yellow") + said(f"{count} {component}: {reason}"))
    for difference in one.recipe_changed:
        stdout.print(said(f"  {component}: {difference}"))
    for damage in one.damages[:_SHOWN]:
        stdout.print(safe("damaged ", "red") + safe(damage))


def _print_redo(found: Status) -> None:
    for entry in found.redo[:_SHOWN]:
        clip = f"clip {entry.clip}" if entry.clip else ""
        stdout.print(
            safe("to do ", "yellow")
            + safe(f"{listed(entry.video, entry.file, entry.line, clip)}: ")
            + safe(f"{', '.join(entry.why)} → {', '.join(entry.components)}")
        )
    for gone in found.gone[:_SHOWN]:
        clip = f"clip {gone.clip}" if gone.clip else ""
        where = listed(gone.video, gone.file, gone.line, clip)
        stdout.print(safe("gone ", "yellow") + safe(where))
    for what, count in (("to do", len(found.redo)), ("gone", len(found.gone))):
        if count > _SHOWN:
            stdout.print(f"… and {count - _SHOWN} more {what}; --output-format json lists all")


def _print_set_aside(found: Status) -> None:
    for group in found.set_aside:
        tries = "once" if group.attempts == 1 else f"up to {group.attempts} times"
        stdout.print(
            safe("failed ", "yellow")
            + safe(
                f"{group.artifacts} {group.component} of {counted(group.clips, found.word)}: "
                f"{group.code}, tried {tries}"
            )
        )
        for example in group.examples:
            stdout.print(said(f"  {example}"))
    for advice in what_helps(group.code for group in found.set_aside):
        stdout.print(said(advice))


def _verdict(found: Status) -> str:
    if found.plan is None:
        return (
            f"{found.store}: encoding was not finished; give PATH to see what is left, or run the "
            "same `videoprep encode` command again"
        )
    verdict = "all is done" if found.ok else "not all is done"
    catalogue = {
        "current": "the catalogue is current",
        "outdated": "the catalogue is outdated: it is written anew when encoding ends",
        "missing": "there is no catalogue: it is written when encoding ends",
        "damaged": "the catalogue is damaged: run "
        f"`{command_line('verify', found.store, repair=True)}`",
    }[found.catalogue]
    rows = counted(found.clips, found.word)
    return f"{found.store}, {rows} of {found.plan}: {verdict} · {catalogue}"
