"""`videoprep status`: what of a plan a store holds, what is to be made anew, and why."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli.encode import Revision, plan_of
from videoprep.cli.index import print_left_out
from videoprep.cli.options import (
    Format,
    Missing,
    OnMissing,
    OutputFormat,
    as_options,
    dataset_options,
)
from videoprep.cli.output import file_size, next_command, print_json, safe, stdout, table
from videoprep.cli.verify import StoreModel, StorePlace, print_at_work, print_earlier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videoprep.encoding.status import ComponentStatus, Status
    from videoprep.index.table import BucketIndex

_SHOWN = 20


def _store_first(command: Callable[..., Any]) -> Callable[..., Any]:
    """Puts STORE before PATH, and lets PATH be left out."""
    shared = dataset_options(command)
    signature = inspect.signature(shared)
    parameters = dict(signature.parameters)
    path = parameters.pop("path")
    kind = Annotated[
        Path | None,
        typer.Argument(
            parser=path.annotation.__metadata__[0].parser,
            metavar="PATH",
            help="Dataset or saved index to compare with. Default: the store's own plan.",
            show_default=False,
        ),
    ]
    path = path.replace(annotation=kind, default=None)
    ordered = [parameters.pop("store"), path, *parameters.values()]
    shared.__signature__ = signature.replace(parameters=ordered)  # type: ignore[attr-defined]
    shared.__annotations__ = {p.name: p.annotation for p in ordered}
    return shared


@_store_first
def status(
    path: Path | None,
    dataset: dict[str, Any],
    store: StorePlace,
    model: StoreModel = None,
    revision: Revision = None,
    image_latents: Annotated[
        bool, typer.Option("--image-latents", help="First frames are wanted, too.")
    ] = False,
    dtype: Annotated[
        str | None, typer.Option(help="fp32, fp16 or bf16. Default: as the store has it.")
    ] = None,
    text_encoder_dtype: Annotated[
        str | None, typer.Option(help="Likewise, or int8.", metavar="DTYPE")
    ] = None,
    posterior: Annotated[
        str | None, typer.Option(help="moments, mean or sample. Default: as the store has it.")
    ] = None,
    decoder: Annotated[
        str | None, typer.Option(help="torchcodec or pyav. Default: as the store has it.")
    ] = None,
    use_tiling: Annotated[
        bool | None,
        typer.Option("--use-tiling", help="The VAE is to work in tiles. Default: as the store."),
    ] = None,
    on_missing: OnMissing = Missing.error,
    output_format: Format = OutputFormat.rich,
) -> None:
    """Say what of a plan a store holds: done, to do, set aside, and what is stale and why.

    With PATH and its options it says what the same `videoprep encode` would make anew. Changes
    nothing. Exit code 1 unless all that is planned is done.
    """
    from videoprep.encoding.status import status as run
    from videoprep.mirror import shown

    if path is None and dataset:
        path = dataset.get("data_root")
        if path is None:
            raise typer.BadParameter("options of a dataset need its PATH")

    def plan() -> BucketIndex:
        assert path is not None  # noqa: S101
        return plan_of(path, dataset, on_missing.value)

    found = run(
        store,
        None if path is None else plan,
        model,
        revision=revision,
        image_latents=image_latents,
        dtype=dtype,
        text_encoder_dtype=text_encoder_dtype,
        posterior=posterior,
        decoder=decoder,
        use_tiling=use_tiling,
    )
    if path is not None:
        found = replace(found, plan=shown(path))
    if output_format is OutputFormat.json:
        print_json(found.to_json())
    else:
        print_status(found)
        if not found.ok:
            what = (path, *as_options(dataset)) if path is not None else ("PATH",)
            next_command("encode", *what, "-o", store, "--model", model or "MODEL")
    raise typer.Exit(0 if found.ok else 1)


def print_status(found: Status) -> None:
    """What there is, in counts that add up, and what is to be made and why."""
    names = (">planned", ">done", ">set aside", ">to do", ">stale", ">not needed")
    counts = table(found.store, "component", *names)
    for name, one in found.components.items():
        counts.add_row(name, *_row(one))
    stdout.print(counts)
    for name, one in found.components.items():
        _print_why(name, one)
    _print_redo(found)
    _print_set_aside(found)
    print_left_out(found.left_out)
    print_earlier(found.earlier)
    print_at_work(found.at_work)
    if found.leftovers:
        named = ", ".join(found.leftovers[:3]) + (", …" if len(found.leftovers) > 3 else "")
        stdout.print(safe(f"{len(found.leftovers)} leftovers of processes that died: {named}"))
    stdout.print(safe(_verdict(found)))


def _row(one: ComponentStatus) -> Sequence[str]:
    orphans = f"{one.orphans} ({file_size(one.orphan_bytes)})" if one.orphans else "0"
    if one.planned is None:
        return ("?", str(one.done), str(one.set_aside), "?", "?", "?")
    return (*map(str, (one.planned, one.done, one.set_aside, one.to_do, one.stale)), orphans)


def _print_why(component: str, one: ComponentStatus) -> None:
    for reason, count in one.why.items():
        stdout.print(safe("to do ", "yellow") + safe(f"{count} {component}: {reason}"))
    for difference in one.recipe_changed:
        stdout.print(safe(f"  {component}: {difference}"))
    for damage in one.damages[:_SHOWN]:
        stdout.print(safe("damaged ", "red") + safe(damage))


def _print_redo(found: Status) -> None:
    for entry in found.redo[:_SHOWN]:
        clip = f", clip {entry.clip}" if entry.clip else ""
        stdout.print(
            safe("to do ", "yellow")
            + safe(f"{entry.video} ({Path(entry.file).name}:{entry.line}{clip}): ")
            + safe(f"{', '.join(entry.why)} → {', '.join(entry.components)}")
        )
    for gone in found.gone[:_SHOWN]:
        clip = f", clip {gone.clip}" if gone.clip else ""
        stdout.print(safe("gone ", "yellow") + safe(f"{gone.video} (line {gone.line}{clip})"))
    for what, count in (("to do", len(found.redo)), ("gone", len(found.gone))):
        if count > _SHOWN:
            stdout.print(f"… and {count - _SHOWN} more {what}; --output-format json lists all")


def _print_set_aside(found: Status) -> None:
    for group in found.set_aside:
        tries = "once" if group.attempts == 1 else f"up to {group.attempts} times"
        stdout.print(
            safe("set aside ", "yellow")
            + safe(
                f"{group.artifacts} {group.component} of {group.clips} clips: {group.code}, "
                f"tried {tries}"
            )
        )
        for example in group.examples:
            stdout.print(safe(f"  {example}"))
    if found.set_aside:
        stdout.print("what was set aside is tried again with --retry-failed")


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
        "damaged": "the catalogue is damaged: run `videoprep verify STORE --repair`",
    }[found.catalogue]
    return f"{found.store}, {found.clips} clips of {found.plan}: {verdict} · {catalogue}"
