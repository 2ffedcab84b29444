"""`videoprep export`: a store or a plan as the files of another trainer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli import completion
from videoprep.cli.index import print_left_out
from videoprep.cli.options import Format, LogJson, OnMissing, with_options
from videoprep.cli.output import meter, print_json, safe, said, stdout
from videoprep.encoding.draws import Posterior
from videoprep.engine.execution import ExecutionOptions
from videoprep.failure_reasons import what_helps
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.exporters.media.run import MediaResult
    from videoprep.exporters.run import ExportResult


@with_options(ExecutionOptions, "execution")
def export(
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE",
            help="What `videoprep encode` made; for media what `videoprep index` made does, too.",
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to", help="The target.", metavar="TARGET", autocompletion=completion.targets
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder: made, or gone on with.")
    ],
    split: Annotated[str | None, typer.Option(help="Only the clips of this split.")] = None,
    posterior: Annotated[
        Posterior | None,
        typer.Option(
            help="What to write of the latents; by default what the target caches.",
            metavar="WHAT",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the samples drawn.")] = 0,
    lossless: Annotated[
        bool,
        typer.Option("--lossless", help="media: keep pixels to the last bit, in larger files."),
    ] = False,
    sound: Annotated[
        bool, typer.Option("--sound/--no-sound", help="media: keep the sound of the clips.")
    ] = True,
    allow_damaged: Annotated[
        bool,
        typer.Option("--allow-damaged", help="media: also export clips with damaged frames."),
    ] = False,
    data_root: Annotated[
        str | None,
        typer.Option(help="media: new folder or URL of the videos, if they moved.", metavar="PATH"),
    ] = None,
    on_missing: OnMissing = None,
    log_json: LogJson = False,
    output_format: Format = "rich",
    *,
    execution: dict[str, Any],
) -> None:
    """Write a store in the form that another trainer reads, and say how to train with it.

    Targets: cogvideo-finetune, cogvideox-factory, fastvideo, finetrainers, hf-datasets,
    ltx-trainer, ltx2-trainer, musubi, webdataset; and media, video files with captions and the
    configs of diffusion-pipe, musubi-tuner, SimpleTuner and ai-toolkit. Run the same command again
    to resume an export that was stopped. Media exports can be split over torchrun ranks, jobs and
    Ray.
    """
    from videoprep.exporters.registry import MEDIA

    if to != MEDIA:
        of_media = (lossless, allow_damaged, not sound, data_root, on_missing, log_json, execution)
        if any(of_media):
            raise typer.BadParameter(
                "--lossless, --no-sound, --allow-damaged, --data-root, --on-missing, --log-json, "
                "and options on how the work is done, such as --num-jobs, are for --to media"
            )
        _export_tensors(store, to, output, split, posterior, seed, output_format)
        return
    if posterior is not None or seed:
        raise typer.BadParameter("--posterior and --seed are not for --to media")
    from videoprep.exporters.media.run import export_media

    result = export_media(
        store,
        output=output,
        split=split,
        data_root=data_root,
        on_missing=on_missing,
        lossless=lossless,
        sound=sound,
        allow_damaged=allow_damaged,
        progress="json" if log_json else "auto",
        **execution,
    )
    if result is None:  # another rank than the first: the first one speaks
        raise typer.Exit(0)
    if output_format == "json":
        print_json(asdict(result))
    else:
        _print_media(result)
    raise typer.Exit(0 if result.ok else 1)


def _export_tensors(
    store: str,
    to: str,
    output: Path,
    split: str | None,
    posterior: Posterior | None,
    seed: int,
    output_format: str,
) -> None:
    from videoprep.exporters.run import export as run

    with meter() as shown:
        result = run(
            store,
            to=to,
            output=output,
            split=split,
            posterior=posterior,
            seed=seed,
            on_progress=lambda done, total: shown.update("exported", done, total),
        )
    if output_format == "json":
        print_json(asdict(result))
    else:
        _print_tensors(result)


def _print_tensors(result: ExportResult) -> None:
    more = f", {result.incomplete:,} incomplete ones skipped" if result.incomplete else ""
    stdout.print(
        safe(f"{result.path}: {counted(result.clips, result.word)} for {result.target}{more}")
    )
    stdout.print(safe(f"latents: {result.posterior}"))
    if result.loses:
        stdout.print(said(f"lost: {result.loses}"))
    for note in result.notes:
        stdout.print(said(f"note: {note}"))
    # A line of its own each, and never wrapped: they are to be copied.
    stdout.print("train with:")
    for line in result.command.splitlines():
        stdout.print(safe(line), soft_wrap=True)


def _print_media(result: MediaResult) -> None:
    failed = set(result.failed)
    skipped = [sample for sample in result.left_out if sample not in failed]
    print_left_out(skipped)
    print_left_out(result.failed, what="failed")
    for advice in what_helps(sample.code for sample in result.failed):
        stdout.print(said(advice))
    counts = {"skipped": len(skipped), "failed": len(result.failed)}
    counts["pending in other jobs"] = result.pending
    more = "".join(f", {count:,} {what}" for what, count in counts.items() if count)
    stdout.print(safe(f"{result.path}: {counted(result.clips, result.word)} as media{more}"))
    stdout.print(said(f"lost: {result.loses}"))
    for note in result.notes:
        stdout.print(said(f"note: {note}"))
    for trainer, command in result.commands.items():
        stdout.print(safe(f"{trainer}: {command}"))
