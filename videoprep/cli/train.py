"""`videoprep train`: a LoRA from a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoprep.cli.encode import Device, Model, Revision
from videoprep.cli.options import Format, OutputFormat
from videoprep.cli.output import print_json, safe, stderr, stdout

if TYPE_CHECKING:
    from videoprep.training.run import Step, TrainResult


def train(
    store: Annotated[Path, typer.Argument(help="A store made by `videoprep encode`.")],
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for weights and log.")],
    split: Annotated[
        str | None,
        typer.Option(help="Train on this split. Default: train where there are splits, else all."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips a step.")] = 1,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of AdamW.")] = 1e-3,
    rank: Annotated[int, typer.Option(min=1, help="Of the LoRA.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and noise.")] = 0,
    device: Device = "auto",
    revision: Revision = None,
    output_format: Format = OutputFormat.rich,
) -> None:
    """Train a text-to-video LoRA from a store alone: no VAE and no text encoder is loaded."""
    from videoprep.training.run import train as run

    result = run(
        store,
        model=model,
        output=output,
        split=split,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        rank=rank,
        seed=seed,
        device=device,
        revision=revision,
        on_step=print_step,
    )
    if output_format is OutputFormat.json:
        from dataclasses import asdict

        print_json(asdict(result))
    else:
        print_result(result)


def print_step(step: Step) -> None:
    """A line for the first step, the last, and some twenty in between."""
    every = max(1, step.steps // 20)
    if step.step == 1 or step.step == step.steps or step.step % every == 0:
        rate = step.step / max(step.seconds, 1e-9)
        stderr.print(f"step {step.step}/{step.steps} · loss {step.loss:.4f} · {rate:.2f} steps/s")


def print_result(result: TrainResult) -> None:
    """Where the weights are, and how the loss changed on fixed noise."""
    stdout.print(
        f"loss on fixed clips, noise and timesteps: {result.loss_before:.4f} → "
        f"{result.loss_after:.4f}"
    )
    of_split = f" of the split {result.split}" if result.split is not None else ""
    stdout.print(safe(f"trained on {result.clips} clips{of_split}"))
    if result.incomplete:
        stdout.print(
            safe(
                f"{result.incomplete} clips of the store lack a component: not trained on", "yellow"
            )
        )
    stdout.print(safe(f"weights: {result.weights}"))
    stdout.print(safe(f"log: {result.log}"))
