"""`videoprep train`: a LoRA, or all weights, from a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli.encode import Device, Model, Revision
from videoprep.cli.options import Format, with_options
from videoprep.cli.output import print_json, safe, stderr, stdout, step_bar
from videoprep.training.settings import TrainSettings

if TYPE_CHECKING:
    from videoprep.training.run import Step, TrainResult


@with_options(TrainSettings, "options")
def train(
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE",
            help="A store made by `videoprep encode`, its folder or URL; with --from-videos a "
            "dataset.",
        ),
    ],
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for weights, checkpoints and logs.")
    ],
    options: dict[str, Any],
    from_videos: Annotated[
        bool,
        typer.Option(
            "--from-videos", help="Encode each batch when it is needed, from a dataset or index."
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on at the last checkpoint in the folder.")
    ] = False,
    device: Device = "auto",
    revision: Revision = None,
    output_format: Format = "rich",
) -> None:
    """Train CogVideoX from a store alone: no VAE and no text encoder is loaded.

    Runs under torchrun, too. To resume, run it again with --resume: it continues from
    the last checkpoint, with the same results as an uninterrupted run.
    """
    from videoprep.training.run import train as run

    with steps_shown() if _is_first() else nullcontext() as on_step:
        result = run(
            store,
            model=model,
            output=output,
            from_videos=from_videos,
            resume=resume,
            device=device,
            revision=revision,
            on_step=on_step,
            **options,
        )
    if not _is_first():
        return
    if output_format == "json":
        from dataclasses import asdict

        print_json(asdict(result))
    else:
        print_result(result)
        if not options.get("full"):
            load = (
                f"DiffusionPipeline.from_pretrained({model!r}).load_lora_weights({str(output)!r})"
            )
            stdout.print(safe("next, in Python: ", "bold") + safe(load, "cyan"))


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def steps_shown() -> Iterator[Callable[[Step], None]]:
    """A bar in a terminal; elsewhere a line for the first step, the last, and some twenty more."""
    if not stderr.is_terminal:
        yield _print_step
        return
    with step_bar() as update:
        yield lambda step: update(_told(step), step.step, step.steps)


def _print_step(step: Step) -> None:
    every = max(1, step.steps // 20)
    if step.made == 1 or step.step == step.steps or step.step % every == 0:
        rate = step.made / max(step.seconds, 1e-9)
        stderr.print(f"step {step.step}/{step.steps} · {_told(step)} · {rate:.2f} steps/s")


def _told(step: Step) -> str:
    waiting = step.waited / max(step.seconds, 1e-9)
    return f"loss {step.loss:.4f} · waiting for data {waiting:.1%}"


def print_result(result: TrainResult) -> None:
    """Where the weights are, and how the loss changed on fixed noise."""
    stdout.print(
        f"loss on fixed clips, noise and timesteps: {result.loss_before:.4f} → "
        f"{result.loss_after:.4f}"
    )
    if result.validation_loss is not None:
        stdout.print(f"the same on the split validation: {result.validation_loss:.4f}")
    of_split = f" of the split {result.split}" if result.split is not None else ""
    stdout.print(safe(f"trained on {result.clips} clips{of_split}"))
    if result.incomplete:
        stdout.print(
            safe(
                f"{result.incomplete} clips of the store lack a component: not trained on", "yellow"
            )
        )
    if result.skipped:
        stdout.print(safe(f"{result.skipped} steps were not finite, and skipped", "yellow"))
    stdout.print(safe(f"weights: {result.weights}"))
    stdout.print(safe(f"log: {result.log}"))
