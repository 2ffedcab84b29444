"""`videoprep encode`: from a dataset or a saved plan to a store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli import completion
from videoprep.cli.index import print_as_they_are, print_left_out
from videoprep.cli.options import (
    Format,
    LogJson,
    OnMissing,
    as_options,
    dataset_options,
    named_path,
    with_options,
)
from videoprep.cli.output import (
    next_command,
    planning,
    print_json,
    print_reading,
    safe,
    said,
    stderr,
    stdout,
    table,
)
from videoprep.encoding.options import EncodeOptions
from videoprep.errors import listed
from videoprep.failure_reasons import what_helps
from videoprep.index.row_words import of_stills
from videoprep.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videoprep.encoding.replan import Replan
    from videoprep.encoding.result import EncodeResult
    from videoprep.store.catalogue import DamagedClip, SetAside

_SHOWN = 20

Model = Annotated[str, typer.Option("--model", help="Diffusers folder or hub id.")]
Family = Annotated[
    str | None,
    typer.Option(
        help="Family of the weights, such as wan, if there is no model folder: its published "
        "configs and tokenizers are used."
    ),
]
Vae = Annotated[
    str | None, typer.Option("--vae", metavar="FILE", help="VAE as a single .safetensors file.")
]
TextEncoderFile = Annotated[
    str | None,
    typer.Option(
        "--text-encoder", metavar="FILE", help="Text encoder as a single .safetensors file."
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PART=FILE",
        help="Another part as a single .safetensors file, such as image_encoder=FILE. Repeatable.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, or a name that torch knows.", autocompletion=completion.devices
    ),
]
Revision = Annotated[str | None, typer.Option(help="Hub revision of the model.")]


@dataset_options
@with_options(EncodeOptions, "options")
def encode(
    path: Path,
    dataset: dict[str, Any],
    options: dict[str, Any],
    output: Annotated[
        str, typer.Option("--output", "-o", help="The store, a folder or URL: made, or continued.")
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="Diffusers folder or hub id.")
    ] = None,
    family: Family = None,
    vae: Vae = None,
    text_encoder: TextEncoderFile = None,
    weights: Weights = None,
    on_missing: OnMissing = None,
    log_json: LogJson = False,
    output_format: Format = "rich",
) -> None:
    """Encode video latents, first-frame latents and prompt embeddings into a store.

    PATH may be an index saved by `videoprep index`, or a store, whose plan is taken. Run it again
    to go on or to encode what has changed. Under torchrun all ranks share the work.
    """
    from videoprep.encoding.run import encode as run

    files = {"vae": vae, "text_encoder": text_encoder, **_parts(weights or [])}
    model = _model(model, family, {part: file for part, file in files.items() if file}, options)
    with planning() as on_planned:
        result = run(
            named_path(path, dataset),
            model=model,
            output=output,
            on_missing=on_missing,
            progress="json" if log_json else "auto",
            on_planned=on_planned,
            on_replan=_ask if sys.stdin.isatty() else None,
            **options,
            **dataset,
        )
    if result is None:  # another rank than the first: the first one speaks
        raise typer.Exit(0)
    if output_format == "json":
        print_json(result.to_json())
    else:
        print_result(result)
        planned = [*_planned_dataset(path, dataset), "--model", model]
        print_as_they_are(result.as_they_are, *planned)
        if result.ok:
            print_use(output, model)
        elif result.skipped:
            next_command("validate", *planned)
    raise typer.Exit(0 if result.ok else 1)


def _parts(given: Sequence[str]) -> dict[str, str]:
    """The single files of parts, as ``--weights`` names them."""
    pairs = [one.partition("=") for one in given]
    for (part, _, file), one in zip(pairs, given, strict=True):
        if not part or not file:
            raise typer.BadParameter(
                f"{one!r} is not PART=FILE, such as image_encoder=FILE",
                param_hint="--weights",
            )
    return {part: file for part, _, file in pairs}


def _model(
    model: str | None, family: str | None, files: dict[str, str], options: dict[str, Any]
) -> str:
    """The model folder: the one that is named, or one of single files."""
    if not files:
        if model is None or family is not None:
            raise typer.BadParameter(
                "name a diffusers folder or hub id with --model alone, or give single files: "
                "--family, --vae and --text-encoder",
                param_hint="--model" if model is None else "--family",
            )
        return model
    from videoprep.families.model_from_files import model_from_files

    folder = model_from_files(files, family=family, model=model, revision=options.get("revision"))
    stderr.print(said(f"the files make up the model folder {folder}"))
    return str(folder)


def _planned_dataset(path: Path, options: dict[str, Any]) -> list[object]:
    """The dataset that was planned, with its options: that behind an index or a store."""
    from videoprep.sources import dataset_behind

    behind = dataset_behind(path)
    if behind is None:
        return [named_path(path, options), *as_options(options)]
    root, planned = behind
    return [options.get("data_root", root), *as_options(planned)]


def _ask(replan: Replan) -> bool:
    """Asks before what a store holds is encoded again."""
    stderr.print(safe(f"{replan.store} holds what this run would change:", "yellow"))
    for line in replan.lines:
        stderr.print(said(f"  {line}"))
    question = "Encode it again?" if replan.clips else "Go on all the same?"
    return typer.confirm(question, default=False, err=True)


def print_use(store: str, model: str | None = None) -> None:
    """Print what follows a whole store: the trainer, or the exporter for one of its family.

    Args:
        store: which one.
        model: what the model was called in this command; None: as the store says.
    """
    from videoprep.exporters.registry import MEDIA, exporters
    from videoprep.store.layout import Store
    from videoprep.training.cogvideox import is_trained

    info = Store.open(store).read_info()
    family = info.family
    if is_trained(family):
        next_command("train", store, "--model", model or info.model, "-o", "lora")
        return
    takers = [name for name, exporter in exporters().items() if family in exporter.families]
    target = takers[0] if takers else MEDIA
    next_command("export", store, "--to", target, "-o", f"for-{target}")


def _artifact(entry: SetAside) -> str:
    """What could not be made; of which caption, if it is not the first."""
    return f"{entry.component} of caption {entry.caption + 1}" if entry.caption else entry.component


def print_result(result: EncodeResult) -> None:
    """What was done, in counts that add up."""
    print_reading(result.reading)
    _print_mended(result)
    names = (">encoded", ">already there", ">failed")
    pending = any(made.pending for made in result.components.values())
    counts = table(result.store, "component", *names, *([">pending"] if pending else []))
    for name, made in result.components.items():
        told = (made.encoded, made.reused, made.set_aside, made.pending)
        counts.add_row(name, *map(str, told if pending else told[:-1]))
    stdout.print(counts)
    if result.not_of_stills:
        stdout.print(
            f"{of_stills(result.stills, result.word)}: not made of them: "
            f"{', '.join(result.not_of_stills)}"
        )
    print_left_out(result.left_out)
    for entry in result.set_aside[:_SHOWN]:
        stdout.print(
            safe("failed ", "yellow")
            + safe(f"{listed(entry.video, entry.file, entry.line)}, {_artifact(entry)}: ")
            + said(f"{entry.code} {entry.reason}")
        )
    if len(result.set_aside) > _SHOWN:
        stdout.print(f"… and {len(result.set_aside) - _SHOWN} more in failures.jsonl")
    for advice in what_helps(entry.code for entry in result.set_aside):
        stdout.print(said(advice))
    print_damaged(result.damaged)
    if result.truncated:
        stdout.print(f"{result.truncated} captions were cut to the text encoder's limit")
    if result.tiled:
        stdout.print(f"{result.tiled} latents were made in tiles: memory did not suffice for more")
    if result.unlisted:
        one = result.unlisted == 1
        stdout.print(
            f"{counted(result.unlisted, result.word)} of an earlier plan "
            f"{'is' if one else 'are'} not in this one: {'its' if one else 'their'} latents stay, "
            f"the catalogue no longer names {'it' if one else 'them'}"
        )
    if not result.encoded:
        stdout.print("nothing to do: everything that can be encoded is there")
    waiting = f"{result.pending} pending in other jobs + " if result.pending else ""
    stdout.print(
        f"{counted(result.clips, result.word)} = {result.complete} complete + {waiting}"
        f"{result.failed} failed · "
        f"{result.samples_told} · {result.seconds:.1f} s"
    )


def print_damaged(damaged: Sequence[DamagedClip]) -> None:
    """Name the clips that were encoded although frames of them are damaged."""
    for clip in damaged[:_SHOWN]:
        stdout.print(
            safe("encoded with damage ", "yellow")
            + safe(f"{listed(clip.video, clip.file, clip.line)}, {clip.component}: ")
            + safe(clip.damage)
        )
    if len(damaged) > _SHOWN:
        stdout.print(f"… and {len(damaged) - _SHOWN} more in damaged.jsonl")


def _print_mended(result: EncodeResult) -> None:
    """What an earlier run, or a disk, had left behind."""
    for damage in result.damages[:_SHOWN]:
        stdout.print(safe("damaged ", "yellow") + safe(f"{damage.name}: {damage.what}; made anew"))
    if len(result.damages) > _SHOWN:
        stdout.print(f"… and {len(result.damages) - _SHOWN} more were made anew")
    if result.swept:
        stdout.print(f"{len(result.swept)} leftovers of processes that died were removed")
