"""`videoprep index`: plans every clip, saves the plan and says what it comes to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli.options import (
    Format,
    OnMissing,
    OutputFormat,
    as_options,
    dataset_options,
    make_datasets,
    named_path,
)
from videoprep.cli.output import (
    command_of,
    meter,
    next_command,
    print_json,
    safe,
    said,
    stdout,
)
from videoprep.cli.spelling import spelled
from videoprep.errors import listed
from videoprep.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from videoprep.index.summary import Summary
    from videoprep.index.table import BucketIndex, LeftOutSample
    from videoprep.index.table import OnMissing as OnMissingWord
    from videoprep.spec.dataset_group import Datasets

_SHOWN = 20
_OUTPUT = Path("index.parquet")
_GPUS = 8  # with one clip each: the global batch that is told about where nothing is said


@dataset_options
def index(
    path: Path,
    dataset: dict[str, Any],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write; its name ends in .parquet.",
            show_default=str(_OUTPUT),
        ),
    ] = None,
    diff: Annotated[
        Path | None,
        typer.Option(
            "--diff", help="Say what changed since this index; write nothing.", metavar="OLD"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder or hub id, whose family is the profile if the dataset names none."
        ),
    ] = None,
    on_missing: OnMissing = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Clips in a batch of one GPU, in your trainer.")
    ] = 1,
    num_gpus: Annotated[
        int, typer.Option(min=1, help="GPUs that train; times the batch size: the global batch.")
    ] = _GPUS,
    output_format: Format = "rich",
) -> None:
    """Plan every clip: its frames, its crop, its bucket. Uses no GPU.

    Says what the plan comes to: what is cut and thrown away, tokens, disk, what incomplete batches
    would drop, and what to do about small buckets. Exit code 1 if samples are skipped; each is
    named with its reason. Samples that were dropped in a review do not count.
    """
    from videoprep.index.policy import for_model

    if diff is not None:
        if output is not None:
            raise typer.BadParameter("--diff writes nothing: leave out --output")
        _diff(for_model(make_datasets(path, dataset), model), diff, on_missing, output_format)
        return
    output = output or _OUTPUT
    _require_writable(output)
    spec = for_model(make_datasets(path, dataset), model)
    made = build_index(spec, on_missing)
    made.require_clips()
    made.save(output)
    if output_format == "json":
        described = {**describe(made, batch_size, num_gpus), **describe_trainer(spec)}
        print_json({"output": str(output), **described})
    else:
        print_index(made, spec, batch_size=batch_size, num_gpus=num_gpus)
        planned = (named_path(path, dataset), *as_options(dataset))
        planned += () if model is None else ("--model", model)
        print_trainer(spec, *planned)
        print_as_they_are(made.as_they_are, *planned)
        _print_short_sounds(made, *planned)
        stdout.print(safe(f"written: {output}"))
        next_command("encode", output, "-o", "latents", "--model", model or "MODEL")
    raise typer.Exit(1 if made.skipped else 0)


def _diff(
    spec: Datasets, old: Path, on_missing: OnMissingWord | None, output_format: OutputFormat
) -> None:
    from videoprep.cli.index_tables import print_diff, print_policy
    from videoprep.index.summary import summarize
    from videoprep.index.table import BucketIndex

    before = BucketIndex.load(old)
    made = build_index(spec, on_missing)
    changed = made.diff(before)
    if output_format == "json":
        left_out = [asdict(entry) for entry in made.left_out]
        counts = {"samples": made.samples, "clips": len(made)}
        print_json({"old": str(old), **counts, **changed.to_json(), "left_out": left_out})
    else:
        print_policy(made.policy, spec)
        summary = summarize(made)
        print_diff(changed, str(old), summary.word)
        _print_counts(made, summary)
    raise typer.Exit(1 if made.skipped else 0)


def _require_writable(path: Path) -> None:
    """Checks before the work that its result can be written, and replaces nothing but an index.

    The option is easily given a list or a video by mistake.
    """
    from videoprep.errors import PlanError
    from videoprep.fs.atomic import may_write
    from videoprep.index.table import BucketIndex

    another = "choose another -o"
    if path.is_dir():
        raise PlanError("is a folder", where=str(path), remedy="name a file in it")
    if path.exists() and not BucketIndex.is_index(path):
        raise PlanError("exists and is not an index", where=str(path), remedy=another)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise PlanError("is not a folder", where=str(folder), remedy=another)
    if not may_write(folder):
        raise PlanError(
            "is read-only, so that no index can be written there", where=str(folder), remedy=another
        )
    if path.suffix.lower() != _OUTPUT.suffix:
        raise PlanError(
            f"cannot write an index as {path.suffix or 'a file without an ending'}",
            where=str(path),
            remedy=f"let the name end in {_OUTPUT.suffix}",
        )


def build_index(spec: Datasets, on_missing: OnMissingWord | None = None) -> BucketIndex:
    """Builds an index and shows how far it is."""
    from videoprep.index.table import BucketIndex

    with meter() as shown:
        return BucketIndex.build(
            spec,
            on_missing=on_missing or "skip",
            on_progress=lambda done, total: shown.update("planned", done, total),
        )


def describe(index: BucketIndex, batch_size: int = 1, num_gpus: int = _GPUS) -> dict[str, Any]:
    """The plan for machines.

    Args:
        index: the plan.
        batch_size: clips in a batch of one GPU.
        num_gpus: how many train.
    """
    from videoprep.index.calibration import estimate, recall
    from videoprep.index.role_counts import count_roles
    from videoprep.index.summary import summarize

    summary = summarize(index, batch_size * num_gpus)
    speed = recall(index.data_root)
    roles = count_roles(index)
    return {
        **summary.to_json(),
        "clips_by_role": dict(roles.clips),
        "files_by_role": dict(roles.files),
        "policy": index.policy,
        "as_they_are": index.as_they_are,
        "short_sounds": index.short_sounds,
        "advice": _advice(index, summary),
        "calibration": None if speed is None else asdict(speed),
        "encoding_seconds": None
        if speed is None
        else {one.name: estimate([one], speed, image_latents=True) for one in summary.components},
        "left_out": [asdict(entry) for entry in index.left_out],
    }


def _advice(index: BucketIndex, summary: Summary) -> dict[str, Any]:
    from videoprep.index.suggestions import suggest

    advice = suggest(index, summary).to_json()
    return {**advice, "options": advice["options"] and spelled(advice["options"])}


def print_index(
    index: BucketIndex,
    spec: Datasets | None = None,
    *,
    batch_size: int = 1,
    num_gpus: int = _GPUS,
) -> None:
    """The plan for people.

    Args:
        index: the plan.
        spec: what it was made from, to say where times, splits and weights come from.
        batch_size: clips in a batch of one GPU.
        num_gpus: how many train.
    """
    from videoprep.cli.index_tables import (
        print_advice,
        print_datasets,
        print_policy,
        print_roles,
        print_summary,
    )
    from videoprep.index.calibration import recall
    from videoprep.index.role_counts import count_roles
    from videoprep.index.suggestions import suggest
    from videoprep.index.summary import summarize

    summary = summarize(index, batch_size * num_gpus)
    print_policy(index.policy, spec)
    print_datasets(summary)
    speed = recall(index.data_root)
    print_summary(summary, index.policy, speed, batch_size=batch_size, num_gpus=num_gpus)
    print_roles(count_roles(index), summary)
    print_advice(suggest(index, summary))
    _print_counts(index, summary)


def describe_trainer(spec: Datasets) -> dict[str, Any]:
    """What the trainer whose config the datasets are would do, for machines; empty if of none."""
    from videoprep.index.forecasts import summarize_forecasts
    from videoprep.spec.dataset_group import DatasetGroup

    if not isinstance(spec, DatasetGroup) or spec.trainer is None:
        return {}
    notes = [
        {"line": one.line, "severity": one.severity, "message": one.message, "remedy": one.remedy}
        for one in spec.config_notes
    ]
    forecasts = [one.to_json() for one in summarize_forecasts(spec)]
    return {"trainer": spec.trainer, "config_notes": notes, "forecasts": forecasts}


def print_trainer(spec: Datasets, *dataset: object) -> None:
    """Say what the trainer whose config the datasets are would do, beside the plan.

    Args:
        spec: the datasets; of others nothing is printed.
        dataset: its path and its options, as on a command line.
    """
    from videoprep.cli.index_tables import print_forecasts
    from videoprep.index.forecasts import summarize_forecasts
    from videoprep.spec.dataset_group import DatasetGroup

    if not isinstance(spec, DatasetGroup) or spec.trainer is None:
        return
    print_forecasts(spec.trainer, summarize_forecasts(spec))
    for one in spec.config_notes:
        if one.severity != "note":
            stdout.print(safe(f"{one.where}: ", "yellow") + said(one.message))
    stdout.print(
        safe(f"each clip of {spec.trainer}, and every key: `{command_of('validate', *dataset)}`")
    )


def print_as_they_are(counts: Mapping[str, int], *dataset: object) -> None:
    """Say how many videos are interlaced or HDR, and which command names them.

    Args:
        counts: Number of videos per code. If it is empty, nothing is printed.
        dataset: its path and its options, as on a command line.
    """
    from videoprep.index.as_they_are import sentence

    told = sentence(counts)
    if told is not None:
        command = command_of("validate", *dataset)
        stdout.print(safe("note ", "yellow") + safe(f"{told}: see `{command}`"))


def _print_short_sounds(index: BucketIndex, *dataset: object) -> None:
    """Say how many sound files end too early, and which command names them."""
    if index.short_sounds:
        command = command_of("validate", *dataset)
        told = f"{counted(index.short_sounds, 'video')} with a sound file that ends before a clip"
        stdout.print(safe("note ", "yellow") + safe(f"{told} (VP134): see `{command}`"))


def _print_counts(index: BucketIndex, summary: Summary) -> None:
    """Who is skipped, and counts that add up."""
    left_out = index.table["left_out_code"].length() - len(index)
    print_left_out(_left_out(index, _SHOWN), left_out)
    samples, dropped = index.samples, left_out - index.skipped
    told = f" + {dropped} dropped in a review" if dropped else ""
    stdout.print(
        f"{counted(samples, 'sample')} = {samples - left_out} planned + {index.skipped} skipped"
        f"{told}; {clips_of(summary)}"
    )


def clips_of(summary: Summary) -> str:
    """How many clips there are, and in how many bucket assignments if one is in several."""
    clips = counted(summary.clips, "clip")
    if summary.assignments == summary.clips:
        return clips
    return f"{clips} in {counted(summary.assignments, summary.word)}"


def _left_out(index: BucketIndex, most: int) -> list[LeftOutSample]:
    """The first samples that are not planned; there may be millions."""
    import numpy as np

    from videoprep.index.table import BucketIndex

    rows = np.flatnonzero(index.table["left_out_code"].is_valid().to_numpy())[:most]
    return BucketIndex(index.table.take(rows), index.data_root, index.policy).left_out


def print_left_out(
    left_out: Sequence[LeftOutSample], total: int | None = None, what: str = "skipped"
) -> None:
    """Names the samples that are not planned.

    Args:
        left_out: the first of them, or all.
        total: how many there are; None: those.
        what: became of them, in a word.
    """
    total = len(left_out) if total is None else total
    for entry in left_out[:_SHOWN]:
        stdout.print(
            safe("dropped " if entry.is_dropped else f"{what} ", "yellow")
            + safe(
                f"{listed(entry.video, entry.file, entry.line)}: "
                if entry.video
                else f"{entry.where}: "
            )
            + said(f"{entry.code} {entry.reason}")
        )
    if total > _SHOWN:
        stdout.print(f"… and {total - _SHOWN} more {what}; --output-format json lists all")
