"""`videoprep caption`: captions by a model, into the caption journal of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.captions.options import CaptionOptions
from videoprep.captions.writing import CaptionForm
from videoprep.cli.asking import (
    READING,
    AskingWords,
    print_counts,
    print_failures,
    print_next,
    run_asking,
)
from videoprep.cli.options import (
    Format,
    LogJson,
    as_options,
    dataset_options,
    named_path,
    with_options,
)
from videoprep.cli.output import next_command, print_json, safe, stdout
from videoprep.engine.execution import ExecutionOptions
from videoprep.errors import VideoprepError
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.captions.run import CaptionResult
    from videoprep.captions.writing import WrittenCaptions

_WORDS = AskingWords(
    made="captioned",
    failed="failed",
    more="more failed",
    again="--retry-failed asks about them again",
    before="failed",
    captions="captions",
    kinds={
        "cut_off": "cut off at the limit of tokens",
        "refused": "refused",
        "blocked": "withheld by the server",
        "malformed": "malformed",
        "empty": "empty",
        "failed": "failed",
    },
    skipped={
        "captioned": "with a caption in the dataset (--all-clips asks about such clips, too)",
        "current": "not among those that --only names",
        "edited": "edited by a person",
        "dropped": "dropped in a review",
        "repeated": "of the same clip as another sample",
        "unreadable": "with a file that cannot be read",
    },
)

_LEFT = {
    "dropped": "dropped in a review",
    "uncaptioned": "without a caption",
    "part": "a part of a video (use --write csv)",
    "outside": "outside the dataset's folder",
}


@dataset_options(only=READING)
@with_options(CaptionOptions, "options")
@with_options(ExecutionOptions, "execution")
def caption(
    path: Path,
    dataset: dict[str, Any],
    options: dict[str, Any],
    execution: dict[str, Any],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print one request, and send nothing.")
    ] = False,
    write: Annotated[
        CaptionForm | None,
        typer.Option(
            help="Write the current captions to new files: sidecar, csv or jsonl. Without a "
            "model or a server, do nothing else.",
            metavar="FORM",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where --write goes: a file, or for sidecar a folder."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let --write replace files that are there.")
    ] = False,
    log_json: LogJson = False,
    output_format: Format = "rich",
) -> None:
    """Ask a model for captions, and write them into the dataset's caption journal.

    The model is on a server (--endpoint) or runs here (--model). It is shown the frames of each
    clip's range. Your own files are not changed; captions in the journal are used wherever the
    dataset is. Run it again to go on: no clip is asked about twice in the same way.
    """
    from videoprep.captions.run import caption as run
    from videoprep.captions.run import caption_request

    place = named_path(path, dataset)
    form = _form(write, output)
    if dry_run:
        print_json(caption_request(place, **options, **dataset))
        return
    ok, told = True, {}
    if form is None or {"endpoint", "model", "captioner"} & options.keys():
        given = {**options, **execution, **dataset}
        result = run_asking(run, place, log_json=log_json, **given)
        ok, told = result.ok, result.to_json()
        if output_format == "rich":
            print_result(result)
            parts = (dataset, options, execution)
            if form is None and not print_next("caption", place, result, parts, CaptionOptions):
                _print_next(place, dataset, result)
    if form is not None:
        written = _write(place, dataset, form, output or Path(), overwrite)
        told = {**told, "written": asdict(written)}
        if output_format == "rich":
            _print_written(written)
    if output_format == "json":
        print_json(told)
    raise typer.Exit(0 if ok else 1)


def _print_next(place: Path, dataset: Mapping[str, Any], result: CaptionResult) -> None:
    if result.captioned or result.answered.get("ok"):
        next_command("validate", place, *as_options(dataset))


def _form(write: CaptionForm | None, output: Path | None) -> CaptionForm | None:
    if write is None:
        if output is not None:
            raise VideoprepError(
                "only captions that are written somewhere need a place",
                remedy="add `write='csv'`, or leave out `output`",
                option="output",
            )
        return None
    if output is None:
        raise VideoprepError(
            "no output file or folder is given",
            remedy="name a new folder with `output`"
            if write == "sidecar"
            else "name a new file with `output`",
            option="output",
        )
    return write


def _write(
    place: Path, dataset: Mapping[str, Any], form: CaptionForm, output: Path, overwrite: bool
) -> WrittenCaptions:
    from videoprep.captions.asking_run import captionable
    from videoprep.captions.writing import write_captions

    return write_captions(captionable(place, **dataset), form, output, overwrite=overwrite)


def print_result(result: CaptionResult) -> None:
    """Print what was done, in counts that add up."""
    print_failures(result, _WORDS)
    print_counts(result, result.captioned, _WORDS)


def _print_written(written: WrittenCaptions) -> None:
    stdout.print(safe(f"{written.path}: {counted(written.captions, 'caption')}"))
    for reason, count in written.left.items():
        stdout.print(safe(f"left out: {count:,} {_LEFT[reason]}"))
