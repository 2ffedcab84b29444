"""`videoprep preview`: pictures of clips: as they were chosen, and as their latents decode."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli.encode import Device, Revision
from videoprep.cli.options import Format, dataset_options, named_path, path_argument
from videoprep.cli.output import planning, safe, said, stdout
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.previewing.pictures import Reconstruction
    from videoprep.previewing.run import Preview

_FIGURES, _BUCKET = 9, 14


@dataset_options
def preview(
    path: Annotated[
        Path,
        path_argument(
            "Store, index (Parquet), dataset folder or list, or the URL of one, such as "
            "s3://bucket/latents."
        ),
    ],
    dataset: dict[str, Any],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="A file that ends in .png, .mp4 or .html.", metavar="FILE"
        ),
    ] = Path("preview.png"),
    clips: Annotated[int, typer.Option(min=1, help="How many clips are shown.", metavar="N")] = 8,
    video: Annotated[
        list[str] | None,
        typer.Option(
            help="Show the clips of this video, called as in the dataset's list; may be repeated.",
            metavar="NAME",
        ),
    ] = None,
    worst: Annotated[
        bool,
        typer.Option("--worst", help="Measure every clip, and show those that come back worst."),
    ] = False,
    min_psnr: Annotated[
        float | None,
        typer.Option(help="Exit with 1 if a clip comes back with fewer dB.", metavar="DB"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Diffusers folder or hub id. Default: as the store says."),
    ] = None,
    revision: Revision = None,
    without_vae: Annotated[
        bool,
        typer.Option("--without-vae", help="Show the frames chosen and the crop; decode nothing."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Which clips are shown.")] = 0,
    device: Device = "auto",
    output_format: Format = "rich",
) -> None:
    """Lay what a store's latents decode to beside the frames they were made of.

    PATH may be a store, an index or a dataset; of the last two, and without a VAE, the frames
    chosen are shown with the crop drawn on the video. Exit code 1 if latents are not finite or
    damaged, or a video is gone.
    """
    from videoprep.previewing.run import preview as run

    rows = PreviewRows(as_json=output_format == "json")
    with planning() as on_planned:
        result = run(
            named_path(path, dataset),
            output=output,
            model=model,
            revision=revision,
            without_vae=without_vae,
            clips=clips,
            videos=video or (),
            worst=worst,
            min_psnr=min_psnr,
            seed=seed,
            device=device,
            on_measured=rows.add,
            on_planned=on_planned,
            **dataset,
        )
    rows.end(result, output)
    raise typer.Exit(0 if result.ok else 1)


class PreviewRows:
    """Prints a row a clip as soon as it is there: there may be millions.

    Args:
        as_json: as one JSON document, else for people.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._count = 0

    def add(self, measure: Reconstruction) -> None:
        """Prints one."""
        if self._as_json:
            before = ",\n  " if self._count else '{"measures": [\n  '
            sys.stdout.write(before + json.dumps(measure.to_json(), allow_nan=False))
        else:
            if not self._count:
                titles = f"{'PSNR':>{_FIGURES}} {'frame 0':>{_FIGURES}}  {'bucket':{_BUCKET}} clip"
                stdout.print(safe(titles, "bold"))
            self._print(measure)
        self._count += 1

    def end(self, result: Preview, output: Path) -> None:
        """Prints what is said of all."""
        if self._as_json:
            rest = json.dumps({**result.to_json(), "output": str(output)}, allow_nan=False)
            sys.stdout.write(f"\n],\n{rest[1:]}\n")
            return
        for line in result.lines:
            stdout.print(safe(line))
        if result.faulty:
            faults = "has a fault" if result.faulty == 1 else "have faults"
            which = counted(result.faulty, result.word)
            stdout.print(safe(f"{which} {faults}, see above", "red"))
        stdout.print(safe(f"written: {output}"))

    def _print(self, measure: Reconstruction) -> None:
        numbers = " ".join(f"{_decibels(one):>{_FIGURES}}" for one in _figures(measure))
        bucket = f"{measure.clip.bucket!s:{_BUCKET}}"
        stdout.print(safe(f"{numbers}  {bucket} {measure.name}", "red" if measure.faults else ""))
        for fault in measure.faults:
            stdout.print(said(f"{'':{_FIGURES}} {fault.kind}: {fault.what}", "red"))


def _figures(measure: Reconstruction) -> tuple[float | None, float | None]:
    return measure.psnr, measure.image_psnr


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} dB"
