"""`BucketIndex`: the persisted table of clips. Loads without torch."""

from __future__ import annotations

import hashlib
import html
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from videoprep.durable import write_file
from videoprep.errors import Code, EmptyPlanError, MediaError, PlanError
from videoprep.index.bucket import Bucket
from videoprep.index.clip import Clip, clip_from_row, prompt_key, video_keys
from videoprep.index.placement import LeftOut, Placement, place
from videoprep.index.policy import Policy
from videoprep.media.inspect import inspect_all
from videoprep.media.probe import MediaInfo
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.sample import Sample

VERSION = 1
_METADATA = b"videoprep.index"
_BATCH = 65_536

SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("caption", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("fingerprint", pa.string()),
        ("stream", pa.int16()),
        ("pyav_only", pa.bool_()),
        ("source_width", pa.int32()),
        ("source_height", pa.int32()),
        ("source_frames", pa.int32()),
        ("source_fps", pa.float64()),
        ("available_frames", pa.int32()),
        ("fps", pa.float64()),
        ("frame_indices", pa.list_(pa.int32())),
        ("frame_ticks", pa.list_(pa.int64())),
        ("time_base", pa.string()),
        ("crop_x", pa.int32()),
        ("crop_y", pa.int32()),
        ("crop_width", pa.int32()),
        ("crop_height", pa.int32()),
        ("frames", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("video_key", pa.string()),
        ("image_key", pa.string()),
        ("prompt_key", pa.string()),
        ("left_out_code", pa.string()),
        ("left_out_reason", pa.string()),
    ]
)
"""One row a sample. A planned one has a bucket and keys; one left out has a code and a reason."""


@dataclass(frozen=True, slots=True)
class LeftOutSample:
    """A sample that is not planned, and why."""

    video: str
    file: str
    line: int
    code: str
    reason: str


class BucketIndex:
    """Every clip of a dataset with its frames, crop and bucket, and every sample left out.

    Made by `build` or `load`. ``len()`` counts the planned clips.

    Attributes:
        table: one row a sample, with `SCHEMA`.
        data_root: the folder that ``video`` is relative to.
        policy: how it was made, as JSON values.
    """

    def __init__(self, table: pa.Table, data_root: Path, policy: dict[str, Any]) -> None:
        self.table = table
        self.data_root = data_root
        self.policy = policy
        self._rows = pc.indices_nonzero(pc.is_null(table["left_out_code"])).to_numpy()

    @classmethod
    def build(
        cls,
        spec: DatasetSpec | str | os.PathLike[str],
        *,
        on_progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> BucketIndex:
        """Probes every video and plans every clip. Uses no GPU and imports no torch.

        Args:
            spec: the dataset, or its path.
            on_progress: called with how many samples are done, and how many there are.
            options: fields of the spec to replace, for instance ``reshape="center-crop"``.

        Raises:
            ListError: the lists hold mistakes.
            SpecError: the dataset is empty, or has no such profile.
            PlanError: a bucket is illegal.
        """
        spec = DatasetSpec.of(spec, **options)
        policy = Policy.of(spec)
        samples = tuple(spec.samples())
        batches: list[pa.RecordBatch] = []
        rows: list[dict[str, Any]] = []
        inspected = inspect_all(spec.data_root, (sample.video for sample in samples))
        for done, (sample, found) in enumerate(zip(samples, inspected, strict=True), start=1):
            rows.append(_row(sample, found.media, policy))
            if len(rows) == _BATCH:
                batches.append(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
                rows = []
            if on_progress is not None:
                on_progress(done, len(samples))
        batches.append(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
        table = pa.Table.from_batches(batches, schema=SCHEMA)
        made_by = {**policy.to_json(), "allow_outside_root": spec.allow_outside_root}
        return cls(table, spec.data_root.resolve(), made_by)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> BucketIndex:
        """Reads an index that `save` wrote.

        Raises:
            PlanError: the file is missing, is no index, or is of a newer version.
        """
        file = Path(path)
        if not file.is_file():
            raise PlanError(
                "no such index", where=str(file), remedy="make one with `videoprep index`"
            )
        try:
            table = pq.read_table(file)
        except (pa.ArrowException, OSError) as error:
            raise PlanError(
                f"cannot be read as Parquet: {error}",
                where=str(file),
                remedy="make it anew with `videoprep index`",
            ) from error
        metadata = _metadata(table)
        if metadata is None:
            raise PlanError(
                "is not an index of videoprep",
                where=str(file),
                remedy="give a folder with a dataset, or an index made with `videoprep index`",
            )
        if metadata["version"] > VERSION:
            raise PlanError(
                f"has version {metadata['version']}; this videoprep reads up to {VERSION}",
                where=str(file),
                remedy="upgrade videoprep, or make the index anew",
            )
        table = table.replace_schema_metadata(None)
        if table.schema != SCHEMA or not {"data_root", "policy"} <= metadata.keys():
            raise PlanError(
                "its columns are not those of an index",
                where=str(file),
                remedy="make it anew with `videoprep index`",
            )
        return cls(table, Path(metadata["data_root"]), metadata["policy"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the index as Parquet. Equal indices give equal bytes."""
        metadata = {"version": VERSION, "data_root": str(self.data_root), "policy": self.policy}
        text = json.dumps(metadata, sort_keys=True).encode()
        table = self.table.replace_schema_metadata({_METADATA: text})
        write_file(Path(path), lambda file: pq.write_table(table, file, compression="zstd"))

    def __len__(self) -> int:
        return len(self._rows)

    def clips(self) -> Iterator[Clip]:
        """The planned clips, in the order of the lists."""
        row = 0
        for batch in self.table.to_batches(max_chunksize=1024):
            for values in batch.to_pylist():
                if values["left_out_code"] is None:
                    yield clip_from_row(row, values, self.data_root)
                row += 1

    @property
    def left_out(self) -> list[LeftOutSample]:
        """The samples that are not planned, each with its code and reason."""
        table = self.table.filter(pc.is_valid(self.table["left_out_code"]))
        columns = ("video", "file", "line", "left_out_code", "left_out_reason")
        return [LeftOutSample(*row.values()) for row in table.select(columns).to_pylist()]

    @property
    def buckets(self) -> Sequence[Bucket]:
        """The bucket of each planned clip, in order."""
        table = self.table.take(self._rows)
        columns = (table[name].to_pylist() for name in ("frames", "height", "width"))
        return [Bucket(*row) for row in zip(*columns, strict=True)]

    @property
    def digest(self) -> str:
        """Stands for the planned clips and their order: 32 hexadecimal digits."""
        table = self.table.take(self._rows)
        digest = hashlib.sha256()
        for video, prompt in zip(table["video_key"], table["prompt_key"], strict=True):
            digest.update(f"{video}{prompt}".encode())
        return digest.hexdigest()[:32]

    def require_clips(self) -> None:
        """Checks that there is something to encode.

        Raises:
            EmptyPlanError: every sample was left out; it says why.
        """
        if len(self):
            return
        reasons = Counter((s.code, s.reason) for s in self.left_out)
        listed = "; ".join(
            f"{code} {reason} ({n}×)" for (code, reason), n in reasons.most_common(5)
        )
        raise EmptyPlanError(
            f"all {self.table.num_rows} samples are left out: {listed}",
            where=str(self.data_root),
            remedy="allow fitting with --reshape center-crop, or see `videoprep validate`",
        )

    def check_sources(self) -> None:
        """Checks that the videos are still those that were planned.

        Raises:
            PlanError: some have changed, vanished or lead outside the data root; it names them.
        """
        planned = self.table.take(self._rows).select(["video", "fingerprint"]).to_pylist()
        fingerprints = {row["video"]: row["fingerprint"] for row in planned}
        changed = list(_changed(fingerprints, self.data_root))
        if not self.policy.get("allow_outside_root"):
            changed += _outside(fingerprints, self.data_root)
        if changed:
            shown = "; ".join(changed[:10]) + ("; …" if len(changed) > 10 else "")
            raise PlanError(
                f"{len(changed)} videos are not as they were planned: {shown}",
                where=str(self.data_root),
                remedy="make the index anew with `videoprep index`",
            )

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{html.escape(str(bucket))}</td><td>{count}</td></tr>"
            for bucket, count in sorted(Counter(self.buckets).items())
        )
        return (
            f"<p><b>BucketIndex</b>: {len(self)} clips, {len(self.left_out)} left out</p>"
            f"<table><tr><th>frames×height×width</th><th>clips</th></tr>{cells}</table>"
        )


def _metadata(table: pa.Table) -> dict[str, Any] | None:
    """What `BucketIndex.save` wrote beside the rows, or None where it did not write the file."""
    try:
        metadata = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    except ValueError:
        return None
    known = isinstance(metadata, dict) and isinstance(metadata.get("version"), int)
    return metadata if known else None


def _outside(videos: Iterable[str], root: Path) -> list[str]:
    resolved = root.resolve()
    return [
        f"{video}: leads outside the data root"
        for video in videos
        if not (root / video).resolve().is_relative_to(resolved)
    ]


def _changed(fingerprints: dict[str, str], root: Path) -> Iterable[str]:
    inspected = inspect_all(root, (root / video for video in fingerprints))
    for (video, planned), found in zip(fingerprints.items(), inspected, strict=True):
        if isinstance(found.media, MediaError):
            yield f"{video}: {found.media.message}"
        elif found.media.fingerprint != planned:
            yield f"{video}: its contents changed"


def _row(sample: Sample, probed: MediaInfo | MediaError, policy: Policy) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {
        "video": sample.name,
        "caption": sample.caption,
        # Parquet holds Unicode only; a path may hold any bytes.
        "file": os.fsencode(sample.source.file).decode("utf-8", "backslashreplace"),
        "line": sample.source.line,
    }
    if isinstance(probed, MediaError):
        return row | _reason(probed.code, probed.message)
    row |= {
        "fingerprint": probed.fingerprint,
        "stream": probed.stream,
        "pyav_only": probed.pyav_only,
        "source_width": probed.width,
        "source_height": probed.height,
        "source_frames": probed.frames,
        "source_fps": float(probed.fps),
    }
    placed = place(probed, policy)
    if isinstance(placed, LeftOut):
        return row | _reason(placed.code, placed.reason)
    return row | _planned(sample, probed, placed)


def _reason(code: Code, reason: str) -> dict[str, Any]:
    return {"left_out_code": code.value, "left_out_reason": reason}


def _planned(sample: Sample, media: MediaInfo, placement: Placement) -> dict[str, Any]:
    video_key, image_key = video_keys(media, placement)
    crop, bucket, times = placement.crop, placement.bucket, media.timestamps
    return {
        "available_frames": placement.available,
        "fps": float(placement.rate),
        "frame_indices": placement.frame_indices.tolist(),
        "frame_ticks": times.ticks[placement.frame_indices].tolist() if times.timed else None,
        "time_base": str(times.time_base),
        "crop_x": crop.x,
        "crop_y": crop.y,
        "crop_width": crop.width,
        "crop_height": crop.height,
        "frames": bucket.frames,
        "height": bucket.height,
        "width": bucket.width,
        "video_key": video_key,
        "image_key": image_key,
        "prompt_key": prompt_key(sample.caption),
    }
