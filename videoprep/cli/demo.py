"""`videoprep demo`: the whole main job, offline, in a minute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoprep.cli.demo_parts import (
    copy_folder,
    encode_plan,
    list_commands,
    list_made,
    of_preview,
    preview_store,
    print_panel,
    print_step,
)
from videoprep.cli.output import safe, stdout

if TYPE_CHECKING:
    from videoprep.dataset_report.run import DatasetReport
    from videoprep.encoding.result import EncodeResult
    from videoprep.index.table import BucketIndex
    from videoprep.previewing.run import Preview
    from videoprep.spec.dataset import DatasetSpec
    from videoprep.training.run import TrainResult

# A tiny model on a CPU encodes these in a second; a folder of one's own is fitted into them.
_SIDES = (32, 64, 96, 128)
_FRAMES = (5, 9, 17)


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help="A dataset of your own, instead of the rendered one; with --from-footage a film, "
            "or a folder of films.",
            metavar="PATH",
        ),
    ] = None,
    from_footage: Annotated[
        bool,
        typer.Option(
            "--from-footage",
            help="Begin with films: split them into clips, and caption these with a tiny model.",
        ),
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for all that is made.")
    ] = Path("videoprep-demo"),
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 40,
) -> None:
    """Run the main job offline: validate, index, encode, train with a tiny model, and look at it.

    Without --data a small dataset is rendered. The tiny model is part of the package: its VAE is
    trained, so that latents decode to pictures; all else in it has random weights.

    With --from-footage, go from films to an encoded store: split, caption, validate, index, encode.
    Without --data two films are rendered. The tiny captioner is part of the package, too: it was
    trained to describe what is in these films, and knows nothing else.
    """
    if from_footage:
        from videoprep.cli.demo_footage import demo_footage

        raise typer.Exit(0 if demo_footage(data, output) else 1)
    from videoprep.demo.scenes import render_dataset
    from videoprep.demo.tiny_model import trained_model

    folder = data if data is not None else output / "dataset"
    work = output if data is None else output / f"of-{folder.resolve().name}"
    if data is None:
        print_step("1. render a dataset")
        render_dataset(folder)
        stdout.print(safe(f"H.264 files, prompt.txt and videos.txt in {folder}"))
    spec = _validate(folder, own=data is not None)
    index = _index(spec, work / "index.parquet")
    print_step("4. encode, with a tiny CogVideoX")
    model = copy_folder(trained_model(), output / "model")
    encoded = encode_plan(index, model, work / "latents", image_latents=True)
    print_step("5. train a LoRA from the latents alone")
    trained = _train(work / "latents", model, work / "lora", steps)
    print_step("6. look at it")
    seen = preview_store(work / "latents", model, work / "preview.png")
    page = _report(spec, work / "latents", seen, work / "report.html")
    _close(folder, work, model, index, encoded, trained, seen, page)
    raise typer.Exit(0 if encoded.ok and seen.ok else 1)


def _validate(folder: Path, *, own: bool) -> DatasetSpec:
    from videoprep.cli.validate import print_report
    from videoprep.spec.dataset import DatasetSpec
    from videoprep.validators.engine import validate

    print_step("2. validate")
    spec = DatasetSpec.from_path(folder)
    report = validate(spec)
    print_report(report)
    if not own:
        return spec
    stdout.print("for the demo every clip is center-cropped into a small bucket")
    return DatasetSpec.from_path(
        folder,
        reshape="center-crop",
        height_buckets=_SIDES,
        width_buckets=_SIDES,
        frame_buckets=_FRAMES,
    )


def _index(spec: DatasetSpec, path: Path) -> BucketIndex:
    from videoprep.cli.index import build_index, print_index

    print_step("3. plan buckets, frames and crops")
    index = build_index(spec)
    index.require_clips()
    index.save(path)
    print_index(index, spec)
    return index


def _train(store: Path, model: Path, run: Path, steps: int) -> TrainResult:
    from videoprep.cli.train import print_result, steps_shown
    from videoprep.training.run import train

    with steps_shown() as on_step:
        result = train(
            store,
            model=model,
            output=run,
            steps=steps,
            batch_size=2,
            rank=16,
            device="cpu",
            on_step=on_step,
            overwrite=True,
        )
    print_result(result)
    return result


def _report(spec: DatasetSpec, store: Path, seen: Preview, output: Path) -> DatasetReport:
    from videoprep.cli.report import print_made
    from videoprep.dataset_report.run import report

    made = report(spec, output, store=store, previews=seen)
    print_made(made)
    return made


def _close(
    folder: Path,
    work: Path,
    model: Path,
    index: BucketIndex,
    encoded: EncodeResult,
    trained: TrainResult,
    seen: Preview,
    page: DatasetReport,
) -> None:
    made = [
        ("dataset", folder, f"{encoded.samples} videos with captions"),
        (
            "plan",
            work / "index.parquet",
            f"{len(index)} clips in {len(set(index.buckets))} buckets",
        ),
        ("latents", work / "latents", f"{encoded.complete} clips with all components"),
        (
            "LoRA",
            Path(trained.weights),
            f"loss {trained.loss_before:.3f} → {trained.loss_after:.3f} in {trained.steps} steps",
        ),
        ("picture", work / "preview.png", of_preview(seen)),
        ("report", page.path, "one page on all of it; open it in a browser"),
    ]
    text = list_made(made)
    text += list_commands(
        "Next, with a dataset and a model of your own:",
        (
            "validate PATH",
            "encode PATH -o latents --model THUDM/CogVideoX-2b --reshape center-crop",
            "preview latents",
            "report PATH --store latents",
            "train latents --model THUDM/CogVideoX-2b -o lora",
        ),
    )
    again = f"encode {work / 'index.parquet'} -o {work / 'again'} --model {model}"
    text += list_commands("Without a network, the tiny model stands in:", [again])
    print_panel(text, "videoprep demo")
