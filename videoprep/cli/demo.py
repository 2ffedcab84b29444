"""`videoprep demo`: the whole main job, offline, in a minute."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from videoprep.cli.output import safe, stdout
from videoprep.errors import VideoprepError

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
        typer.Option(help="A dataset of your own, instead of the rendered one.", metavar="PATH"),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for all that is made.")
    ] = Path("videoprep-demo"),
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 40,
) -> None:
    """Run the main job offline: validate, index, encode, train with a tiny model, and look at it.

    Without --data a small dataset is rendered. The tiny model is part of the package: its VAE is
    trained, so that latents decode to pictures; all else in it has random weights.
    """
    from videoprep.demo.scenes import render_dataset

    folder = data if data is not None else output / "dataset"
    work = output if data is None else output / f"of-{folder.resolve().name}"
    if data is None:
        _step("1. render a dataset")
        render_dataset(folder)
        stdout.print(safe(f"H.264 files, prompt.txt and videos.txt in {folder}"))
    spec = _validate(folder, own=data is not None)
    index = _index(spec, work / "index.parquet")
    _step("4. encode, with a tiny CogVideoX")
    model = _copy_model(output / "model")
    encoded = _encode(index, model, work / "latents")
    _step("5. train a LoRA from the latents alone")
    trained = _train(work / "latents", model, work / "lora", steps)
    _step("6. look at it")
    seen = _preview(work / "latents", model, work / "preview.png")
    page = _report(spec, work / "latents", seen, work / "report.html")
    _close(folder, work, model, index, encoded, trained, seen, page)
    raise typer.Exit(0 if encoded.ok and seen.ok else 1)


def _copy_model(folder: Path) -> Path:
    """Puts the package's model where the user sees it, whatever an earlier version left there."""
    from videoprep.demo.tiny_model import trained_model

    shutil.copytree(trained_model(), folder, dirs_exist_ok=True)
    return folder


def _validate(folder: Path, *, own: bool) -> DatasetSpec:
    from videoprep.cli.validate import print_report
    from videoprep.spec.dataset import DatasetSpec
    from videoprep.validators.engine import validate

    _step("2. validate")
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

    _step("3. plan buckets, frames and crops")
    index = build_index(spec)
    index.require_clips()
    index.save(path)
    print_index(index, spec)
    return index


def _encode(index: BucketIndex, model: Path, store: Path) -> EncodeResult:
    from videoprep.cli.encode import print_result
    from videoprep.encoding.run import encode

    result = encode(index, model=model, output=store, image_latents=True, device="cpu")
    if result is None:
        raise VideoprepError("the demo runs in one process", remedy="start it without torchrun")
    print_result(result)
    return result


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


def _preview(store: Path, model: Path, output: Path) -> Preview:
    from videoprep.cli.preview import PreviewRows
    from videoprep.previewing.run import preview

    rows = PreviewRows(as_json=False)
    seen = preview(store, model=model, output=output, device="cpu", on_measured=rows.add)
    rows.end(seen, output)
    return seen


def _report(spec: DatasetSpec, store: Path, seen: Preview, output: Path) -> DatasetReport:
    from videoprep.cli.report import print_made
    from videoprep.dataset_report.run import report

    made = report(spec, output, store=store, previews=seen)
    print_made(made)
    return made


def _step(title: str) -> None:
    stdout.print(Rule(Text(title, style="bold"), align="left"))


def _seen(seen: Preview) -> str:
    if seen.median_psnr is None:
        return "the latents decoded"
    return f"the latents decoded beside their source, PSNR {seen.median_psnr:.1f} dB"


def _program() -> str:
    """What to type: the virtual environment that `make` sets up need not be active."""
    if shutil.which("videoprep"):
        return "videoprep"
    return sys.argv[0] if Path(sys.argv[0]).name == "videoprep" else "python -m videoprep"


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
        ("picture", work / "preview.png", _seen(seen)),
        ("report", page.path, "one page on all of it; open it in a browser"),
    ]
    text = Text("Made here, without network and GPU:\n\n")
    for what, path, note in made:
        text += safe(f"  {what:8}", "bold") + safe(f"{path}\n") + safe(f"          {note}\n", "dim")
    text += Text("\nNext, with a dataset and a model of your own:\n\n")
    program = _program()
    for command in (
        "validate PATH",
        "encode PATH -o latents --model THUDM/CogVideoX-2b --reshape center-crop",
        "preview latents",
        "report PATH --store latents",
        "train latents --model THUDM/CogVideoX-2b -o lora",
    ):
        text += safe(f"  {program} {command}\n", "cyan")
    text += Text("\nWithout a network, the tiny model stands in:\n\n")
    plan = work / "index.parquet"
    text += safe(f"  {program} encode {plan} -o {work / 'again'} --model {model}", "cyan")
    panel = Panel(text, title="videoprep demo", title_align="left", expand=False)
    stdout.print(panel, soft_wrap=False)
