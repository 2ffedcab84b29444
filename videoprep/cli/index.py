"""`videoprep index`: plans every clip and saves the plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli.options import Format, OutputFormat, dataset_options, make_spec
from videoprep.cli.output import meter, print_json, safe, stdout, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videoprep.index.table import BucketIndex, LeftOutSample
    from videoprep.spec.dataset import DatasetSpec

_SHOWN = 20


@dataset_options
def index(
    path: Path,
    dataset: dict[str, Any],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write.", show_default=True)
    ] = Path("index.parquet"),
    output_format: Format = OutputFormat.rich,
) -> None:
    """Plan every clip: its frames, its crop, its bucket. Uses no GPU.

    Exit code 1 if samples are left out; each is named with its reason.
    """
    _require_index(output)
    made = build_index(make_spec(path, dataset))
    made.require_clips()
    made.save(output)
    if output_format is OutputFormat.json:
        print_json({"output": str(output), **describe(made)})
    else:
        print_index(made)
        stdout.print(safe(f"written: {output}"))
    raise typer.Exit(1 if made.left_out else 0)


def _require_index(path: Path) -> None:
    """Only an index is written over: the option is easily given a list or a video by mistake."""
    from videoprep.errors import PlanError
    from videoprep.index.table import BucketIndex

    if not path.exists():
        return
    try:
        BucketIndex.load(path)
    except PlanError as error:
        raise PlanError(
            "exists and is not an index", where=str(path), remedy="choose another -o"
        ) from error


def build_index(spec: DatasetSpec) -> BucketIndex:
    """Builds an index and shows how far it is."""
    from videoprep.index.table import BucketIndex

    with meter() as shown:
        return BucketIndex.build(
            spec, on_progress=lambda done, total: shown.update("probed", done, total)
        )


def describe(index: BucketIndex) -> dict[str, Any]:
    """The plan for machines."""
    return {
        "samples": index.table.num_rows,
        "clips": len(index),
        "policy": index.policy,
        "buckets": [
            {"frames": b.frames, "height": b.height, "width": b.width, "clips": count}
            for b, count in sorted(Counter(index.buckets).items())
        ],
        "left_out": [asdict(entry) for entry in index.left_out],
    }


def print_index(index: BucketIndex) -> None:
    """The plan for people: the buckets, what is cut, who is left out."""
    buckets = table("buckets", ">frames", ">height", ">width", ">clips", ">cut", ">frames unused")
    for bucket, rows in _by_bucket(index).items():
        buckets.add_row(*map(str, bucket), str(len(rows)), _cut(rows), _unused(rows))
    stdout.print(buckets)
    print_left_out(index.left_out)
    stdout.print(
        f"{index.table.num_rows} samples = {len(index)} planned + {len(index.left_out)} left out"
    )


def print_left_out(left_out: Sequence[LeftOutSample]) -> None:
    """Names the samples that are not planned."""
    for entry in left_out[:_SHOWN]:
        stdout.print(
            safe("left out ", "yellow")
            + safe(f"{entry.video} ({Path(entry.file).name}:{entry.line}): ")
            + safe(f"{entry.code} {entry.reason}")
        )
    if len(left_out) > _SHOWN:
        stdout.print(
            f"… and {len(left_out) - _SHOWN} more left out; --output-format json lists all"
        )


def _by_bucket(index: BucketIndex) -> dict[tuple[int, int, int], list[dict[str, Any]]]:
    columns = ["frames", "height", "width", "crop_width", "crop_height"]
    columns += ["source_width", "source_height", "available_frames"]
    found: dict[tuple[int, int, int], list[dict[str, Any]]] = {}
    for row in index.table.select(columns).to_pylist():
        if row["frames"] is not None:
            found.setdefault((row["frames"], row["height"], row["width"]), []).append(row)
    return dict(sorted(found.items()))


def _cut(rows: list[dict[str, Any]]) -> str:
    kept = sum(row["crop_width"] * row["crop_height"] for row in rows)
    whole = sum(row["source_width"] * row["source_height"] for row in rows)
    return f"{1 - kept / whole:.1%}"


def _unused(rows: list[dict[str, Any]]) -> str:
    used = sum(row["frames"] for row in rows)
    available = sum(row["available_frames"] for row in rows)
    return f"{available - used} of {available}"
