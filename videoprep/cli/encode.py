"""`videoprep encode`: from a dataset or a saved plan to a store."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from videoprep.cli.index import build_index, print_left_out
from videoprep.cli.options import (
    Format,
    Missing,
    OnMissing,
    OutputFormat,
    dataset_options,
    make_spec,
)
from videoprep.cli.output import meter, print_json, safe, stdout, table

if TYPE_CHECKING:
    from videoprep.encoding.result import EncodeResult
    from videoprep.index.table import BucketIndex

_SHOWN = 20

Model = Annotated[str, typer.Option("--model", help="Diffusers folder or hub id.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, or a name that torch knows.")]
Revision = Annotated[str | None, typer.Option(help="Hub revision of the model.")]


@dataset_options
def encode(
    path: Path,
    dataset: dict[str, Any],
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="The store: made, or continued.")],
    image_latents: Annotated[
        bool, typer.Option("--image-latents", help="Encode first frames too, for image-to-video.")
    ] = False,
    dtype: Annotated[
        str, typer.Option(help="auto, fp32, fp16 or bf16; auto: fp32 on a CPU, else bf16.")
    ] = "auto",
    device: Device = "auto",
    batch_size: Annotated[
        int, typer.Option(min=1, help="Clips in a micro-batch; a CPU takes one at a time.")
    ] = 1,
    decoder: Annotated[str, typer.Option(help="auto, torchcodec or pyav.")] = "auto",
    use_tiling: Annotated[
        bool, typer.Option("--use-tiling", help="Let the VAE work in tiles: less memory.")
    ] = False,
    revision: Revision = None,
    on_missing: OnMissing = Missing.error,
    output_format: Format = OutputFormat.rich,
) -> None:
    """Encode video latents, first-frame latents and prompt embeddings into a store.

    PATH may be an index saved by `videoprep index`. Run it again to go on or to encode what has
    changed. Under torchrun all ranks share the work.
    """
    from videoprep.encoding.coordination import is_first_rank
    from videoprep.encoding.run import Progress
    from videoprep.encoding.run import encode as run

    def plan() -> BucketIndex:
        index = _plan(path, dataset, on_missing.value)
        quiet_libraries()  # from now on; the download of the model, before, shows itself
        return index

    if not is_first_rank():
        quiet_libraries()
    with meter() as shown:

        def on_progress(progress: Progress) -> None:
            shown.update(progress.component, progress.done, progress.total)

        result = run(
            plan,
            model=model,
            output=output,
            image_latents=image_latents,
            dtype=dtype,
            device=device,
            batch_size=batch_size,
            decoder=decoder,
            use_tiling=use_tiling,
            revision=revision,
            on_progress=on_progress,
        )
    if result is None:  # another rank than the first: the first one speaks
        raise typer.Exit(0)
    if output_format is OutputFormat.json:
        print_json(result.to_json())
    else:
        print_result(result)
    raise typer.Exit(0 if result.ok else 1)


def _plan(path: Path, dataset: dict[str, Any], on_missing: Literal["error", "skip"]) -> BucketIndex:
    if path.suffix != ".parquet" or path.is_dir():
        return build_index(make_spec(path, dataset), on_missing)
    from videoprep.index.table import BucketIndex

    root = dataset.get("data_root")
    given = sorted(name for name, value in dataset.items() if value and name != "data_root")
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(
            f"{path} is a finished plan: {names} must be given when it is made"
        )
    return BucketIndex.load(path, data_root=root).check_sources(on_missing)


def quiet_libraries() -> None:
    """Our own progress is shown; the libraries' bars and load reports would tear it apart."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity(logging.ERROR)


def print_result(result: EncodeResult) -> None:
    """What was done, in counts that add up."""
    counts = table(result.store, "component", ">encoded", ">already there", ">set aside")
    for name, made in result.components.items():
        counts.add_row(name, str(made.encoded), str(made.reused), str(made.set_aside))
    stdout.print(counts)
    print_left_out(result.left_out)
    for entry in result.set_aside[:_SHOWN]:
        stdout.print(
            safe("set aside ", "yellow")
            + safe(f"{entry.video} ({Path(entry.file).name}:{entry.line}), {entry.component}: ")
            + safe(f"{entry.code} {entry.reason}")
        )
    if len(result.set_aside) > _SHOWN:
        stdout.print(f"… and {len(result.set_aside) - _SHOWN} more in failures.jsonl")
    if result.truncated:
        stdout.print(f"{result.truncated} captions were cut to the text encoder's limit")
    if result.unlisted:
        stdout.print(
            f"{result.unlisted} clips of an earlier plan are not in this one: their latents stay, "
            "the catalogue no longer names them"
        )
    if not result.encoded:
        stdout.print("nothing to do: everything that can be encoded is there")
    plural = "" if result.clips == 1 else "s"
    stdout.print(
        f"{result.clips} clip{plural} = {result.complete} complete + "
        f"{result.clips - result.complete} set aside · "
        f"{len(result.left_out)} of {result.samples} samples left out · "
        f"decoder {result.decoder} · {result.seconds:.1f} s"
    )
