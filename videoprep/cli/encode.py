"""`videoprep encode`: from a dataset or a saved plan to a store."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from videoprep.cli import completion
from videoprep.cli.index import build_index, print_left_out
from videoprep.cli.options import (
    Format,
    Missing,
    OnMissing,
    OutputFormat,
    as_options,
    dataset_options,
    make_spec,
)
from videoprep.cli.output import next_command, print_json, safe, stdout, table
from videoprep.media.workers import Limits

if TYPE_CHECKING:
    from videoprep.encoding.result import EncodeResult
    from videoprep.index.table import BucketIndex

_SHOWN = 20
_LIMITS = Limits()

Model = Annotated[str, typer.Option("--model", help="Diffusers folder or hub id.")]
Device = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, or a name that torch knows.", autocompletion=completion.devices
    ),
]
Revision = Annotated[str | None, typer.Option(help="Hub revision of the model.")]


class TextDtype(str, Enum):
    """What the text encoder computes in."""

    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


class PosteriorChoice(str, Enum):
    """What is stored of the VAE's posterior."""

    moments = "moments"
    mean = "mean"
    sample = "sample"


@dataset_options
def encode(
    path: Path,
    dataset: dict[str, Any],
    model: Model,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The store, a folder or URL: made, or continued.")
    ],
    image_latents: Annotated[
        bool,
        typer.Option(
            "--image-latents", help="Make what image-to-video needs, too, of the first frames."
        ),
    ] = False,
    image_noise: Annotated[
        int,
        typer.Option(
            min=0,
            help="Encode so many draws of noise on each first frame, too, as CogVideoX's "
            "image-to-video is trained with.",
            metavar="DRAWS",
        ),
    ] = 0,
    dtype: Annotated[
        str,
        typer.Option(
            help="auto, fp32, fp16 or bf16; auto: fp32 on a CPU, else bf16.",
            autocompletion=completion.dtypes,
        ),
    ] = "auto",
    text_encoder_dtype: Annotated[
        TextDtype,
        typer.Option(
            help="What the text encoder computes in: auto (as --dtype), fp32, fp16, bf16, or int8 "
            "with bitsandbytes.",
            metavar="DTYPE",
        ),
    ] = TextDtype.auto,
    posterior: Annotated[
        PosteriorChoice,
        typer.Option(
            help="What is stored of the VAE's posterior: moments, mean or sample.", metavar="WHAT"
        ),
    ] = PosteriorChoice.moments,
    device: Device = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Clips in a micro-batch at most. Default: found by trial. A CPU takes one at a "
            "time.",
        ),
    ] = None,
    decoder: Annotated[
        str, typer.Option(help="auto, torchcodec or pyav.", autocompletion=completion.decoders)
    ] = "auto",
    decode_workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that decode. Default: as the machine allows."),
    ] = None,
    use_tiling: Annotated[
        bool, typer.Option("--use-tiling", help="Let the VAE work in tiles: less memory.")
    ] = False,
    revision: Revision = None,
    num_shards: Annotated[
        int, typer.Option(min=1, help="How many jobs share the work without talking.")
    ] = 1,
    shard_id: Annotated[int, typer.Option(min=0, help="Which of them this is, from 0.")] = 0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what was set aside.")
    ] = False,
    max_failures: Annotated[
        int | None, typer.Option(min=0, help="Stop when more than so many are set aside.")
    ] = None,
    watchdog: Annotated[
        float, typer.Option(min=0, help="Seconds that one step may take; 0: for ever.")
    ] = 1800.0,
    time_limit: Annotated[
        float,
        typer.Option(min=0.1, help="Seconds for decoding a small clip; a large one has more."),
    ] = _LIMITS.seconds,
    memory_limit: Annotated[
        int, typer.Option(min=1, help="MiB that decoding one clip may take.")
    ] = _LIMITS.memory_mib,
    on_missing: OnMissing = Missing.error,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Progress as JSON lines on standard error.")
    ] = False,
    output_format: Format = OutputFormat.rich,
) -> None:
    """Encode video latents, first-frame latents and prompt embeddings into a store.

    PATH may be an index saved by `videoprep index`. Run it again to go on or to encode what has
    changed. Under torchrun all ranks share the work.
    """
    from videoprep.encoding.run import encode as run

    def plan() -> BucketIndex:
        return plan_of(path, dataset, on_missing.value)

    result = run(
        plan,
        model=model,
        output=output,
        image_latents=image_latents,
        image_noise=image_noise,
        dtype=dtype,
        text_encoder_dtype=text_encoder_dtype.value,
        posterior=posterior.value,
        device=device,
        batch_size=batch_size,
        decoder=decoder,
        decode_workers=decode_workers,
        use_tiling=use_tiling,
        revision=revision,
        num_shards=num_shards,
        shard_id=shard_id,
        retry_failed=retry_failed,
        max_failures=max_failures,
        watchdog=watchdog,
        limits=Limits(time_limit, memory_limit),
        progress="json" if log_json else "auto",
    )
    if result is None:  # another rank than the first: the first one speaks
        raise typer.Exit(0)
    if output_format is OutputFormat.json:
        print_json(result.to_json())
    else:
        print_result(result)
        if result.ok:
            next_command("train", output, "--model", model, "-o", "lora")
        elif result.left_out:
            next_command("validate", path, *as_options(dataset))
    raise typer.Exit(0 if result.ok else 1)


def plan_of(
    path: Path, dataset: dict[str, Any], on_missing: Literal["error", "skip"]
) -> BucketIndex:
    """The plan that PATH and options mean: a saved one, or one of the dataset, made now."""
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


def print_result(result: EncodeResult) -> None:
    """What was done, in counts that add up."""
    _print_mended(result)
    names = (">encoded", ">already there", ">set aside")
    pending = any(made.pending for made in result.components.values())
    counts = table(result.store, "component", *names, *([">pending"] if pending else []))
    for name, made in result.components.items():
        told = (made.encoded, made.reused, made.set_aside, made.pending)
        counts.add_row(name, *map(str, told if pending else told[:-1]))
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
    if result.set_aside:
        stdout.print("what was set aside is tried again with --retry-failed")
    if result.truncated:
        stdout.print(f"{result.truncated} captions were cut to the text encoder's limit")
    if result.tiled:
        stdout.print(f"{result.tiled} latents were made in tiles: memory did not suffice for more")
    if result.unlisted:
        stdout.print(
            f"{result.unlisted} clips of an earlier plan are not in this one: their latents stay, "
            "the catalogue no longer names them"
        )
    if not result.encoded:
        stdout.print("nothing to do: everything that can be encoded is there")
    plural = "" if result.clips == 1 else "s"
    waiting = f"{result.pending} pending in other jobs + " if result.pending else ""
    stdout.print(
        f"{result.clips} clip{plural} = {result.complete} complete + {waiting}"
        f"{result.failed} set aside · "
        f"{len(result.left_out)} of {result.samples} samples left out · "
        f"decoder {result.decoder} · {result.seconds:.1f} s"
    )


def _print_mended(result: EncodeResult) -> None:
    """What an earlier run, or a disk, had left behind."""
    for damage in result.damages[:_SHOWN]:
        stdout.print(safe("damaged ", "yellow") + safe(f"{damage.name}: {damage.what}; made anew"))
    if len(result.damages) > _SHOWN:
        stdout.print(f"… and {len(result.damages) - _SHOWN} more were made anew")
    if result.swept:
        stdout.print(f"{len(result.swept)} leftovers of processes that died were removed")
