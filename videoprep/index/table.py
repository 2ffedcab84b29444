"""`BucketIndex`: the persisted table of clips. Loads without torch."""

from __future__ import annotations

import html
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from typing_extensions import Unpack

from videoprep.errors import Code, EmptyPlanError, ListError, PlanError, Problem, SpecError
from videoprep.families.caption_places import FURTHER_KEYS
from videoprep.families.component import NO_AUDIO, for_roles, ordered
from videoprep.families.registry import get_profile
from videoprep.fs import Files
from videoprep.fs.atomic import write_file
from videoprep.fs.mirror import local_path, remote_of, shown
from videoprep.fs.staging import bring
from videoprep.gc_pause import gc_paused
from videoprep.index.as_they_are import Marks, count_marked, mark, no_marks
from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.builder import (
    PATH_DIGITS,
    OnProgress,
    build_table,
    path_name,
)
from videoprep.index.clip import Clip, clip_from_row, has_own_keys
from videoprep.index.diff import IndexDiff, compare
from videoprep.index.multiplicity import (
    OF_DATASETS,
    digest_of,
    is_for_regularization,
    multiplicity_of,
    splits_trained_on,
)
from videoprep.index.placement import LeftOut
from videoprep.index.policy import Policy
from videoprep.index.presence import ComponentPresence
from videoprep.index.schema import (
    FILE_SCHEMA,
    SCHEMA,
    VERSION,
    VERSION_WITH_MEDIA,
    VERSION_WITH_OPTIONAL,
    FurtherColumns,
    caption_counts_of,
    key_column,
    media_column,
    plain,
    roles_in,
    version_of,
)
from videoprep.index.splits import assign_splits, require_shares
from videoprep.index.survey import resolve
from videoprep.index.validation import require_sound
from videoprep.media.inspect import (
    InspectedSample,
    Inspection,
    inspect_all,
    inspect_beside,
    inspect_samples,
)
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_group import DatasetGroup, Datasets, open_datasets
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.spec.path_hints import nowhere
from videoprep.spec.readers.parquet_table import INDEX_MARK
from videoprep.spec.roles import VIDEO, Role
from videoprep.spec.sample import Listing, Location, Sample
from videoprep.text import counted

if TYPE_CHECKING:
    import pandas

OnMissing = Literal["error", "skip"]
"""What becomes of a video that is gone or changed: an error, or it is skipped and listed."""

_METADATA = INDEX_MARK
_BATCH = 65_536
_SHOWN = 10
_OLDEST = 2
_ANEW = "make it anew with `videoprep index`"


@dataclass(frozen=True, slots=True)
class LeftOutSample:
    """A sample that is not planned, and why."""

    video: str
    file: str
    line: int | None
    """The line in ``file``, or the row in a list without lines; None if it is neither."""
    code: str
    reason: str

    @property
    def where(self) -> str:
        """The list and the line without folders, such as ``metadata.csv:3``."""
        name = os.path.basename(self.file)
        return name if self.line is None else f"{name}:{self.line}"

    @property
    def is_dropped(self) -> bool:
        """Whether a person dropped it in a review: that is no fault, and there is no more to do."""
        return self.code == Code.DROPPED.value


@dataclass(frozen=True, slots=True)
class ListedDataset:
    """A dataset whose lists were read, and whose videos were not opened yet."""

    spec: DatasetSpec
    policy: Policy
    listing: Listing

    @classmethod
    def of(cls, spec: DatasetSpec, on_missing: OnMissing) -> ListedDataset:
        """Read the lists.

        Args:
            spec: the dataset.
            on_missing: see `BucketIndex.build`.

        Raises:
            ListError, SpecError, PlanError: see `BucketIndex.build`.
        """
        policy = Policy.of(spec)
        require_shares(spec.split)  # wrong wishes are said before any video is opened
        listing = spec.listing()
        _require_pairs(listing, on_missing)
        if not listing.total:
            raise spec.empty_error()
        return cls(spec, policy, listing)


class BucketIndex:
    """Every clip of a dataset with its frames, crop and bucket, and every skipped sample.

    Made by `build` or `load`; never changed. ``len()`` counts the planned clips.

    Attributes:
        table: one row a clip, and one a sample that is skipped, with
            `FurtherColumns.memory_schema`.
        data_root: the folder that ``video`` is relative to; of a remote dataset what stands for it.
        policy: how it was made, as JSON values.
    """

    def __init__(
        self,
        table: pa.Table,
        data_root: Path,
        policy: Mapping[str, Any],
        *,
        _marks: Marks | None = None,
    ) -> None:
        self.table = table
        self.data_root = data_root
        self.policy = policy
        self._marks = no_marks() if _marks is None else _marks
        # Not pc.indices_nonzero: of an empty table it kills the process, up to pyarrow 25.
        self._rows = np.flatnonzero(pc.is_null(table["left_out_code"]).to_numpy())

    @classmethod
    def build(
        cls,
        spec: Datasets | str | os.PathLike[str],
        *,
        on_missing: OnMissing = "skip",
        on_progress: OnProgress | None = None,
        **options: Unpack[DatasetOptions],
    ) -> BucketIndex:
        """Probes every video and plans every clip. Uses no GPU and imports no torch.

        Videos that were probed before and have not changed are not opened again.

        Args:
            spec: the dataset, or several that are one, or their path.
            on_missing: what becomes of samples whose video is not there: ``skip`` lists them with
                the other samples that cannot be used, ``error`` refuses to plan.
            on_progress: called with how many samples are done, and how many there are.
            options: fields of the spec to replace, for instance ``reshape="center-crop"``.

        Raises:
            ListError: the lists cannot be relied on: which caption belongs to which video is
                uncertain. One bad row is not an error: it is listed in ``left_out``.
            SpecError: the dataset is empty, or has no such profile.
            PlanError: a bucket is illegal or longer than every clip, wishes contradict each other,
                or copies of one video are in several splits.
        """
        if on_missing not in get_args(OnMissing):
            raise PlanError(f"on_missing is {on_missing!r}", remedy="say error or skip")
        spec = open_datasets(spec, **options)
        with gc_paused():
            if isinstance(spec, DatasetGroup):
                from videoprep.index.group_index import build_group  # which is made of these

                return build_group(spec, on_missing=on_missing, on_progress=on_progress)
            return cls.of_listed(ListedDataset.of(spec, on_missing), on_progress)

    @classmethod
    def of_listed(cls, listed: ListedDataset, on_progress: OnProgress | None = None) -> BucketIndex:
        """Plan a dataset whose lists were read.

        Args:
            listed: the dataset.
            on_progress: see `build`.

        Raises:
            PlanError: see `build`.
        """
        spec, listing, samples = listed.spec, listed.listing, listed.listing.samples
        policy = resolve(listed.policy, spec.data_root, samples)
        marks = no_marks()
        inspected = _marking(marks, samples, inspect_samples(spec.data_root, samples))
        table = build_table(
            samples, inspected, policy, on_progress,
            lambda sample: marks[Code.SHORT_SOUND].add(sample.name),
            tuple(_unusable(listing, spec.data_root)),
        )  # fmt: skip
        made_by = {
            **policy.to_json(),
            "split": dict(sorted(spec.split.items())),
            "allow_outside_root": spec.allow_outside_root,
            "id_token": spec.id_token,
            "reading": listing.reading.to_json(),
        }
        index = cls(table, spec.data_root.resolve(), made_by, _marks=marks)
        return index._with_splits(spec.split)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        data_root: str | os.PathLike[str] | None = None,
    ) -> BucketIndex:
        """Reads an index that `save` wrote.

        Args:
            path: the file.
            data_root: the folder that videos are relative to, or its URL, where the dataset was
                moved.

        Raises:
            PlanError: the file is missing, is no index, is of another version, or holds what no
                plan can hold.
        """
        file = _local_file(path)
        root, policy = _header_of(file)
        try:
            further = FurtherColumns.named(pq.read_schema(file).names)
            table = pq.read_table(file, read_dictionary=list(further.repeated))
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error
        return cls._read(table, root, policy, file, data_root)

    @classmethod
    def excerpts(
        cls,
        path: str | os.PathLike[str],
        clips: Iterable[tuple[str, int]],
        *,
        data_root: str | os.PathLike[str] | None = None,
    ) -> Iterator[BucketIndex]:
        """A few clips of a large index, a part of it after the other: never is all of it held.

        Args:
            path: the file.
            clips: which: their ``sample`` and ``clip``, in the order of the index. What follows one
                that is not there is not found.
            data_root: see `load`.

        Raises:
            PlanError: as `load`, of the clips that are asked for.
        """
        file = _local_file(path)
        root, policy = _header_of(file)
        coming = iter(clips)
        wanted = next(coming, None)
        try:
            further = FurtherColumns.named(pq.read_schema(file).names)
            parquet = pq.ParquetFile(file, read_dictionary=list(further.repeated))
            for number in range(parquet.num_row_groups):
                if wanted is None:
                    return
                names = parquet.read_row_group(number, columns=["sample", "clip"]).to_pydict()
                there = {key: row for row, key in enumerate(zip(*names.values(), strict=True))}
                rows = []
                while wanted in there:
                    rows.append(there[wanted])
                    wanted = next(coming, None)
                if rows:
                    table = parquet.read_row_group(number).take(pa.array(rows))
                    yield cls._read(table, root, policy, file, data_root)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error

    @classmethod
    def _read(
        cls,
        table: pa.Table,
        root: str,
        policy: Mapping[str, Any],
        file: Path,
        data_root: str | os.PathLike[str] | None,
    ) -> BucketIndex:
        """Rows of a file, once they are known to be those of a plan."""
        table = table.replace_schema_metadata(None)
        if "audio_key" not in table.column_names:
            unknown = pa.nulls(table.num_rows, pa.string())
            at = SCHEMA.get_field_index("audio_key")
            table = table.add_column(at, "audio_key", unknown)
        schema = FurtherColumns.named(table.column_names).memory_schema
        table = table.cast(schema).unify_dictionaries()
        require_sound(table, policy["profile"], str(file))
        return cls(table, _root(root, data_root), policy)

    @staticmethod
    def data_root_of(
        path: str | os.PathLike[str], data_root: str | os.PathLike[str] | None = None
    ) -> Path:
        """The folder that the videos of a saved index are relative to, without its rows.

        Args:
            path: the file.
            data_root: see `load`.

        Raises:
            PlanError: as `load`.
        """
        root, _ = _header_of(_local_file(path))
        return _root(root, data_root)

    @staticmethod
    def policy_of(path: str | os.PathLike[str]) -> Mapping[str, Any]:
        """Return the policy of a saved index, without reading its rows.

        Raises:
            PlanError: as `load`.
        """
        return _header_of(_local_file(path))[1]

    @staticmethod
    def root_named_in(path: str | os.PathLike[str]) -> str:
        """Return the folder or URL that the videos of a saved index were in.

        Raises:
            PlanError: as `load`.
        """
        return _header_of(_local_file(path))[0]

    @staticmethod
    def is_index(path: str | os.PathLike[str]) -> bool:
        """Whether a file is an index, also one of a version that can no longer be read."""
        if not os.path.isfile(path):  # a pipe would be waited for
            return False
        try:
            return _metadata(pq.read_schema(path)) is not None
        except (pa.ArrowException, OSError):
            return False

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the index as Parquet. Equal indices give equal bytes."""
        write_file(Path(path), self._write)

    def save_to(self, files: Files, name: str) -> None:
        """The same to a file of a folder, which may be behind a URL; `load_from` reads it."""
        files.write(name, self._write)

    @classmethod
    def load_from(cls, files: Files, name: str) -> BucketIndex:
        """Read what `save_to` wrote."""
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "index.parquet"
            copy.write_bytes(files.read(name))
            return cls.load(copy)

    def _write(self, file: BinaryIO) -> None:
        """Text that is held once in memory is written out: bytes tell nothing of its history."""
        further = FurtherColumns.used_in(self.table)
        table = further.of(self.table)
        metadata = {
            "version": version_of(table),
            "data_root": shown(self.data_root),
            "policy": self.policy,
        }
        text = json.dumps(metadata, sort_keys=True, default=dict).encode()
        schema = further.file_schema.with_metadata({_METADATA: text})
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for start in range(0, max(1, table.num_rows), _BATCH):
                part = table.slice(start, _BATCH).cast(schema.remove_metadata())
                writer.write_table(part.cast(schema), row_group_size=_BATCH)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def samples(self) -> int:
        """How many samples there are, planned and skipped."""
        left_out = self.table.num_rows - len(self._rows)
        planned = int(pc.count_distinct(self._planned("sample")).as_py())
        return int(planned + left_out)

    def clips(self) -> Iterator[Clip]:
        """The planned clips, in the order of the lists."""
        row, roles = 0, self.roles
        for batch in self.table.to_batches(max_chunksize=1024):
            for values in batch.to_pylist():
                if values["left_out_code"] is None:
                    yield clip_from_row(row, values, self.data_root, roles)
                row += 1

    def clips_at(self, places: NDArray[np.int64]) -> list[Clip]:
        """The planned clips at some places, which count from 0 and pass over skipped samples."""
        return self.clips_of_rows(self._rows[places])

    def clips_of_rows(self, rows: NDArray[np.int64]) -> list[Clip]:
        """The clips of some rows of the table."""
        found: dict[int, dict[str, Any]] = {}
        start = 0
        for batch in self.table.to_batches():  # of a table in pieces, `take` copies all of it
            own = rows[(rows >= start) & (rows < start + batch.num_rows)]
            if len(own):
                values = batch.take(pa.array(own - start)).to_pylist()
                found |= dict(zip(own.tolist(), values, strict=True))
            start += batch.num_rows
        return [clip_from_row(row, found[row], self.data_root, self.roles) for row in rows.tolist()]

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """The roles of media that some samples have beside their videos."""
        return roles_in(self.table.column_names)

    @property
    def skipped(self) -> int:
        """How many samples are not planned, but for those that a person dropped in a review."""
        codes = self.table["left_out_code"]
        dropped = pc.sum(pc.equal(codes, Code.DROPPED.value)).as_py() or 0
        return int(len(codes) - codes.null_count - dropped)

    @property
    def left_out(self) -> list[LeftOutSample]:
        """The samples that are not planned, each with its code and reason."""
        table = self.table.filter(pc.is_valid(self.table["left_out_code"]))
        columns = ("video", "file", "line", "left_out_code", "left_out_reason")
        return [LeftOutSample(*row.values()) for row in table.select(columns).to_pylist()]

    @property
    def as_they_are(self) -> dict[str, int]:
        """How many planned videos are interlaced (``VP115``) or HDR (``VP116``); none: left out.

        Known after `build` and `check_sources`, which look at the videos; empty after `load`.
        """
        return count_marked(self._marks, self._planned("video"))

    @property
    def short_sounds(self) -> int:
        """How many planned videos have a sound file that ends before one of their clips does.

        Known after `build`, which looks at the files; 0 after `load`.
        """
        among = set(self._planned("video").to_pylist()) if self._marks[Code.SHORT_SOUND] else set()
        return len(self._marks[Code.SHORT_SOUND] & among)

    @cached_property
    def buckets(self) -> BucketColumn:
        """The bucket of each planned clip, in order."""
        columns = (self._planned(name).to_numpy() for name in ("frames", "height", "width"))
        return BucketColumn.of(*columns)

    @property
    def knows_sound(self) -> bool:
        """Whether it says of each clip if it has sound; earlier versions did not look."""
        return int(self._planned("audio_key").null_count) == 0

    @cached_property
    def stills(self) -> int:
        """How many planned clips are still images."""
        return int(self._planned("fps").null_count)

    def without_stills(self) -> BucketIndex:
        """Return the plan without its still images; samples that are skipped stay."""
        if not self.stills:
            return self
        planned = pc.is_null(pc.field("left_out_code"))
        return self.filter(~(planned & pc.is_null(pc.field("fps"))))

    @cached_property
    def has_audio(self) -> NDArray[np.bool_]:
        """Whether each planned clip has sound at the time of its frames: bool ``[clips]``.

        Raises:
            PlanError: it is not known, see `knows_sound`.
        """
        if not self.knows_sound:
            raise PlanError("the index does not say which clips have sound", remedy=_ANEW)
        has: NDArray[np.bool_] = pc.not_equal(self._planned("audio_key"), NO_AUDIO).to_numpy()
        return has

    @cached_property
    def presence(self) -> ComponentPresence | None:
        """Which components each planned clip does without, of those of the profile's family.

        None if all do without the same, or none.
        """
        own = for_roles(get_profile(self.policy["profile"]).components, self.roles)
        specs = [spec for spec in own if spec.source.may_lack]
        if not len(self):
            return None
        keys = {spec.name: spec.source.keys(self.table) for spec in specs}
        return ComponentPresence.of(
            {name: column.is_valid().to_numpy()[self._rows] for name, column in keys.items()}
        )

    @property
    def is_resizing(self) -> bool:
        """Whether any planned clip is resized."""
        sides = ("height", "width")
        pairs = ((self._planned(f"crop_{side}"), self._planned(f"fit_{side}")) for side in sides)
        return any(pc.any(pc.not_equal(crop, fit)).as_py() for crop, fit in pairs)

    @property
    def multiplicity(self) -> NDArray[np.float64]:
        """Float64 ``[clips]``: how often each comes in an epoch; see `multiplicity_of`."""
        return self.draws()

    def draws(self, regularization: float = 0.0) -> NDArray[np.float64]:
        """Float64 ``[clips]``: the same, with datasets for regularization; see `multiplicity_of`.

        Args:
            regularization: clips for regularization for each other clip of an epoch.
        """
        return multiplicity_of(self._planned_rows(self._draw_columns), regularization)

    @property
    def splits_trained_on(self) -> tuple[str, ...] | None:
        """The splits without those that are held out of training; None if there are none such."""
        return splits_trained_on(self.table, self.split_names)

    @property
    def has_regularization(self) -> bool:
        """Whether some clips are those of datasets for regularization."""
        return bool(is_for_regularization(self._planned_rows(self._draw_columns)).any())

    @property
    def _draw_columns(self) -> list[str]:
        """The columns that decide how often a clip comes in an epoch."""
        of_datasets = (name for name in OF_DATASETS if name in self.table.column_names)
        return ["weight", "repeats", *of_datasets]

    @property
    def caption_counts(self) -> NDArray[np.int64] | None:
        """Int64 ``[clips]``: how many captions each has; None if each has one."""
        if FURTHER_KEYS not in self.table.column_names:
            return None
        return caption_counts_of(self._planned(FURTHER_KEYS))

    @cached_property
    def digest(self) -> str:
        """Stands for the planned clips, their order and their weights: 32 hexadecimal digits."""
        keys = ["video_key", "prompt_key", *map(key_column, self.roles)]
        keys += [FURTHER_KEYS] if FURTHER_KEYS in self.table.column_names else []
        return digest_of(self._planned_rows([*keys, *self._draw_columns]), keys)

    def latent_tokens(self, bucket: Bucket) -> int:
        """How many tokens a transformer sees of a clip of the bucket, by the index's profile."""
        profile = get_profile(self.policy["profile"])
        return profile.latent_tokens(bucket.frames, bucket.height, bucket.width)

    def filter(
        self, where: pc.Expression | NDArray[np.bool_] | None = None, /, **equal: Any
    ) -> BucketIndex:
        """The rows that fulfil all conditions.

        Args:
            where: an expression such as ``pc.field("source_fps") > 20``, or a bool array with an
                entry for each row of ``table``.
            equal: values, or lists of values, of columns: ``split="val"``, ``frames=[17, 33]``.

        Raises:
            PlanError: there is no such column, or a condition does not fit the table.
        """
        unknown = sorted(equal.keys() - set(self.table.column_names))
        if unknown:
            raise PlanError(
                f"an index has no column {', '.join(unknown)}",
                remedy=f"its columns are: {', '.join(self.table.column_names)}",
            )
        table = self.table
        keep = np.ones(table.num_rows, np.bool_)
        try:
            for name, value in equal.items():
                alone = value is None or isinstance(value, (str, int, float, bool))
                column = plain(table[name])
                values = pa.array([value] if alone else list(value), column.type)
                keep &= pc.is_in(column, value_set=values).to_numpy()
            if isinstance(where, pc.Expression):
                numbers = pa.array(np.arange(table.num_rows))
                chosen = table.append_column("row", numbers).filter(where)["row"].to_numpy()
                keep &= np.isin(np.arange(table.num_rows), chosen)
            elif where is not None:
                keep &= _mask(where, table.num_rows)
        except (pa.ArrowException, TypeError) as error:
            raise PlanError(
                f"the condition does not fit the index: {error}",
                remedy="compare columns with values of their types: see docs/plan.md",
            ) from error
        return self._with_table(table.filter(pa.array(keep)))

    def split(self, shares: Mapping[str, float] | None = None) -> dict[str, BucketIndex]:
        """The planned clips of each split.

        Clips of one video and of its copies are always in one split.

        Args:
            shares: of each split, together 1; None: as they were planned.

        Raises:
            PlanError: the shares do not sum up to 1; or they are not given, and not every planned
                clip has a split.
        """
        index = self if shares is None else self._with_splits(shares, anew=True)
        without = pc.sum(pc.is_null(index._planned("split"))).as_py() or 0
        if without:
            raise PlanError(
                f"{without} of {len(index)} clips were planned without a split",
                remedy='give shares, such as {"train": 0.9, "val": 0.1}, or fill the column split',
            )
        names = sorted(shares or pc.unique(index._planned("split")).to_pylist())
        return {name: index.filter(split=name, left_out_code=None) for name in names}

    def moved(self, data_root: str | os.PathLike[str] | None) -> BucketIndex:
        """The same plan, of videos in another folder or at its URL; None: where they were."""
        if data_root is None:
            return self
        return BucketIndex(self.table, local_path(data_root).resolve(), self.policy)

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that clips are in."""
        return tuple(sorted(pc.unique(self.table["split"]).drop_null().to_pylist()))

    def of_split(self, name: str, *others: str) -> BucketIndex:
        """The planned clips of one split, or of several.

        Raises:
            PlanError: no clip is in one of them.
        """
        names = self.split_names
        lacking = [one for one in (name, *others) if one not in names]
        chosen = self.filter(split=[name, *others], left_out_code=None)
        if len(chosen) and not lacking:
            return chosen
        raise PlanError(
            f"the plan has no clip of the split {(lacking or [name])[0]!r}",
            remedy=f"its splits are: {', '.join(names)}" if names else "it has none: leave it out",
        )

    @classmethod
    def concat(cls, indices: Iterable[BucketIndex]) -> BucketIndex:
        """One index of several datasets; paths become relative to the folder that holds all.

        Raises:
            PlanError: there are none, they are for different profiles, share a clip, have the same
                video in several splits, or only some of them may lead outside their root.
        """
        indices = list(indices)
        if not indices:
            raise PlanError("there is no index to join", remedy="give one at least")
        profiles = {index.policy["profile"] for index in indices}
        if len(profiles) > 1:
            raise PlanError(
                f"the indices are for different profiles: {', '.join(sorted(profiles))}",
                remedy="plan all with one `profile`",
            )
        root = Path(os.path.commonpath([index.data_root for index in indices]))
        if remote_of(root) is None and any(remote_of(index.data_root) for index in indices):
            raise PlanError(
                "indices of different remote folders cannot be joined",
                remedy="plan the folder that holds them all",
            )
        table = joined_tables([moved_to(index, root) for index in indices])
        number = pc.cast(pc.fill_null(table["clip"], 0), pa.string())
        clips = pc.binary_join_element_wise(table["sample"], number, " ")
        if pc.count_distinct(clips).as_py() < len(clips):
            raise PlanError(
                "the indices share clips: which plan holds is not decided",
                remedy="leave one of them out, or remove its rows with `filter`",
            )
        policies = [index.policy for index in indices]
        same = all(policy == policies[0] for policy in policies)
        policy = policies[0] if same else {"profile": profiles.pop(), "of": policies}
        outside = {bool(policy.get("allow_outside_root")) for policy in policies}
        if len(outside) > 1:
            raise PlanError(
                "only some of the indices may lead outside their data root",
                remedy="plan all of them with `allow_outside_root`, or none",
            )
        joined = cls(table, root, {**policy, "allow_outside_root": outside.pop()})
        return joined._with_splits({})  # a copy of a video goes where the other one is

    def diff(self, old: BucketIndex) -> IndexDiff:
        """Return what changed since an older index, and what would have to be encoded again."""
        profile = get_profile(self.policy["profile"])
        own = [*profile.components, *profile.of_some_families]
        specs = {spec.name: spec for spec in for_roles(own, {*self.roles, *old.roles})}
        compared = (specs[name] for name in ordered(specs) if not specs[name].noise)
        return compare(self.table, old.table, compared)

    def to_pandas(self) -> pandas.DataFrame:
        """All rows as a data frame.

        Raises:
            ImportError: pandas is not installed.
        """
        frame: pandas.DataFrame = self.table.to_pandas()
        return frame

    def require_clips(self) -> None:
        """Checks that there is something to encode.

        Raises:
            EmptyPlanError: every sample was skipped; it says why.
        """
        if len(self):
            return
        reasons = Counter((s.code, s.reason) for s in self.left_out)
        listed = "; ".join(
            f"{code} {reason} ({n}×)" for (code, reason), n in reasons.most_common(5)
        )
        raise EmptyPlanError(
            f"all {self.table.num_rows} samples are skipped: {listed}",
            where=str(self.data_root),
            remedy="see `videoprep validate`"
            if self.policy.get("reshape") != "none"
            else "allow fitting with `reshape='center-crop'`, or see `videoprep validate`",
        )

    def check_sources(
        self, on_missing: OnMissing = "error", roles: Collection[Role] | None = None
    ) -> BucketIndex:
        """Check that the videos and the media beside them are still those that were planned.

        Args:
            on_missing: ``skip`` leaves out the clips of files that are not, with `VP403`.
            roles: the roles beside the video whose files are read; None: all.

        Returns:
            The index, without those clips; it knows `as_they_are`.

        Raises:
            PlanError: some have changed, vanished or lead outside the data root; it names them. Or
                a clip's keys are not those of its plan.
        """
        self._require_root()
        self._require_own_keys()
        marks = no_marks()
        marks[Code.SHORT_SOUND] = self._marks[Code.SHORT_SOUND]
        read = self.roles if roles is None else [role for role in self.roles if role in roles]
        changed = {role: self._changed(role, marks) for role in (VIDEO, *read)}
        reasons = [(name, why) for found in changed.values() for name, why in found.items()]
        if not reasons or on_missing == "skip":
            seen = self if marks == self._marks else self._marked(marks)
            return seen._without(changed) if reasons else seen
        named = "; ".join(f"{name}: {why}" for name, why in reasons[:_SHOWN])
        kind = "video" if len(changed[VIDEO]) == len(reasons) else "file"
        several = len(reasons) > 1
        raise PlanError(
            f"{counted(len(reasons), kind)} {'are' if several else 'is'} not as "
            f"{'they were' if several else 'it was'} planned: {named}"
            + ("; …" if len(reasons) > _SHOWN else ""),
            where=shown(self.data_root),
            remedy="make the index again with `videoprep index`, or leave them out with "
            "`on_missing='skip'`",
        )

    def files_of(self, role: Role) -> pa.ChunkedArray:
        """Return the file of each row that holds its media of a role; null if it has none."""
        column = self.table[_path_of(role)] if role in (VIDEO, *self.roles) else None
        if not role.kind.in_video:
            return pa.nulls(self.table.num_rows, pa.string()) if column is None else column
        video = self.table["video"]
        return video if column is None else pc.coalesce(column, video)

    def changed_files(self, role: Role) -> Mapping[str, str]:
        """Return which of the files of `files_of` are not as they were planned, and why.

        Raises:
            PlanError: as `check_sources`, but for files that are gone or have changed.
        """
        self._require_root()
        self._require_own_keys()
        if role not in self.roles:
            return self._changed(VIDEO, no_marks()) if role.kind.in_video else {}
        changed = self._changed(role, no_marks())
        if role.kind.in_video:
            others = self.filter(pc.field(_path_of(role)).is_null())
            changed |= others._changed(VIDEO, no_marks())
        return changed

    def _changed(self, role: Role, marks: Marks) -> dict[str, str]:
        """The files named for a role that are not as they were planned, and why."""
        files = self._planned_files(role)
        if not self.policy.get("allow_outside_root"):
            require_inside(files, self.data_root)
        return dict(_changed(role, files, self.data_root, marks))

    def _require_root(self) -> None:
        remote = remote_of(self.data_root)
        if remote is not None:
            remote.listing(fresh=True)
        elif not self.data_root.is_dir():
            raise PlanError(
                "the folder of the videos is not there",
                where=str(self.data_root),
                remedy="if it was moved, say where it is with `data_root`",
            )

    def _require_own_keys(self) -> None:
        """What was encoded is found by its key: one that is another clip's would bring its latents.

        Raises:
            PlanError: the file was changed by hand.
        """
        for clip in self.clips():
            if not has_own_keys(clip):
                raise PlanError(
                    f"the plan of row {clip.row}, {clip.video}, was changed after it was made",
                    remedy="make the index anew with `videoprep index`",
                )

    def _planned_files(self, role: Role) -> dict[str, str]:
        """The fingerprints of the files of a role, by name."""
        planned = self._planned_rows([_path_of(role), _fingerprint_of(role)])
        pairs = zip(*(column.to_pylist() for column in planned.columns), strict=True)
        return {name: fingerprint for name, fingerprint in pairs if name is not None}

    def _planned(self, name: str) -> pa.ChunkedArray:
        return self._planned_rows([name])[name]

    def _planned_rows(self, names: list[str]) -> pa.Table:
        return self.table.select(names).take(pa.array(self._rows))

    def _with_table(self, table: pa.Table) -> BucketIndex:
        return BucketIndex(table, self.data_root, self.policy, _marks=self._marks)

    def _marked(self, marks: Marks) -> BucketIndex:
        return BucketIndex(self.table, self.data_root, self.policy, _marks=marks)

    def _with_splits(self, shares: Mapping[str, float], *, anew: bool = False) -> BucketIndex:
        written = self.table["split"].to_pylist()
        if not shares and not any(written):
            return self
        planned = pc.is_null(self.table["left_out_code"])
        contents = pc.if_else(planned, self.table["fingerprint"], None).to_pylist()
        splits = assign_splits(
            contents,
            [None] * len(written) if anew else written,
            self.table["video"].to_pylist(),
            shares,
        )
        at = SCHEMA.get_field_index("split")
        column = pa.array(splits, pa.string()).dictionary_encode()
        return self._with_table(self.table.set_column(at, SCHEMA.field(at), column))

    def _without(self, changed: Mapping[Role, Mapping[str, str]]) -> BucketIndex:
        """The clips of some files become samples that are skipped.

        Args:
            changed: what is wrong with files of each role, by name.
        """
        table = self.table.append_column("row", pa.array(np.arange(self.table.num_rows)))
        of_these = pa.array(np.zeros(table.num_rows, np.bool_))
        for role, files in changed.items():
            names = pa.array(list(files), pa.string())
            of_these = pc.or_(of_these, pc.is_in(table[_path_of(role)], value_set=names))
        gone = pc.and_(of_these, pc.is_null(table["left_out_code"]))
        # The first row of each sample stays, to say that it is skipped.
        rows = {row["sample"]: row for row in reversed(table.filter(gone).to_pylist())}
        left_out = [_left_out(row, self.roles, changed) for row in rows.values()]
        made = pa.Table.from_pylist(left_out, schema=table.schema)
        joined = pa.concat_tables([table.filter(pc.invert(gone)), made]).unify_dictionaries()
        return self._with_table(joined.sort_by("row").drop_columns(["row"]))

    def __repr__(self) -> str:
        clips, kinds = len(self), len(self.buckets.counts())
        left_out = self.table.num_rows - clips
        return (
            f"BucketIndex({clips:,} clip{'s'[: clips != 1]} in {kinds:,} "
            f"bucket{'s'[: kinds != 1]}, {left_out:,} sample{'s'[: left_out != 1]} skipped, "
            f"profile {self.policy.get('profile')!r})"
        )

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{html.escape(str(bucket))}</td><td>{count}</td></tr>"
            for bucket, count in self.buckets.counts().items()
        )
        return (
            f"<p><b>BucketIndex</b>: {len(self)} clips, {len(self.left_out)} skipped</p>"
            f"<table><tr><th>frames×height×width</th><th>clips</th></tr>{cells}</table>"
        )


_MISSING = (Code.MISSING_VIDEO, Code.MISSING_MEDIA)


def _require_pairs(listing: Listing, on_missing: OnMissing) -> None:
    """Check that a problem costs no more than its own sample.

    Raises:
        ListError: which caption belongs to which video is uncertain for several samples; or a
            video or its sound file is missing, and that was to be an error.
    """
    problems = [problem for problem in listing.problems if problem.number is None]
    if on_missing == "error":
        problems += [one for one in listing.problems if one.code in _MISSING]
    if problems:
        raise ListError(problems)


def _unusable(listing: Listing, root: Path) -> Iterator[tuple[Sample, LeftOut]]:
    """The samples that cannot be used, each with the first of its problems, in their order."""
    known = {sample.number: sample for sample in listing.unusable}
    first: dict[int, Problem] = {}
    for problem in listing.problems:
        if problem.number is not None:
            first.setdefault(problem.number, problem)
    for number, problem in sorted(first.items()):
        place = Location(problem.file, problem.line, problem.row)
        unknown = Sample(problem.video or "", "", root, place, problem.file, number=number)
        # The index has one number for the place: where it is the line, the message has the row.
        row = "" if problem.line is None or problem.row is None else f"row {problem.row}: "
        yield (
            known.get(number, unknown),
            LeftOut(problem.code, row + problem.message, problem.remedy),
        )


def _metadata(schema: pa.Schema) -> dict[str, Any] | None:
    """What `BucketIndex.save` wrote beside the rows, or None where it did not write the file."""
    try:
        metadata = json.loads((schema.metadata or {}).get(_METADATA, b"{}"))
    except ValueError:
        return None
    known = isinstance(metadata, dict) and isinstance(metadata.get("version"), int)
    return metadata if known else None


def _local_file(path: str | os.PathLike[str]) -> Path:
    """The file, on this machine."""
    file = local_path(path)
    bring(file.parent, [file.name])
    if not file.is_file():
        raise PlanError(
            "no such index",
            where=shown(file),
            remedy=nowhere(file, "make one with `videoprep index`"),
        )
    return file


def _header_of(file: Path) -> tuple[str, Mapping[str, Any]]:
    """The data root and the policy of an index, whose columns are the right ones."""
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error
    metadata = _metadata(schema)
    if metadata is None:
        raise PlanError(
            "is not an index of videoprep",
            where=str(file),
            remedy="give a folder with a dataset, or an index made with `videoprep index`",
        )
    _require_version(metadata["version"], file)
    known = _has_columns_of(metadata["version"], schema.remove_metadata())
    if not known or not _is_whole(metadata):
        raise PlanError("its columns are not those of an index", where=str(file), remedy=_ANEW)
    return metadata["data_root"], metadata["policy"]


def _root(planned: str, moved: str | os.PathLike[str] | None) -> Path:
    return local_path(planned) if moved is None else local_path(moved).resolve()


def _unreadable(file: Path, error: Exception) -> PlanError:
    return PlanError(f"cannot be read as Parquet: {error}", where=str(file), remedy=_ANEW)


def _is_whole(metadata: dict[str, Any]) -> bool:
    root, policy = metadata.get("data_root"), metadata.get("policy")
    return isinstance(root, str) and isinstance(policy, dict) and "profile" in policy


def _require_version(version: int, file: Path) -> None:
    if version > VERSION_WITH_OPTIONAL:
        raise PlanError(
            f"has version {version}; this videoprep reads versions up to {VERSION_WITH_OPTIONAL}",
            where=str(file),
            remedy="upgrade videoprep, or make the index anew with `videoprep index`",
        )
    if version < _OLDEST:
        raise PlanError(
            f"has version {version}, which this videoprep no longer reads",
            where=str(file),
            remedy="make it anew with `videoprep index`",
        )


def _has_columns_of(version: int, schema: pa.Schema) -> bool:
    """Whether the columns are those of a version."""
    try:
        further = FurtherColumns.named(schema.names)
    except SpecError:
        return False
    if further.optional and version < VERSION_WITH_OPTIONAL:
        return False
    if version < VERSION_WITH_OPTIONAL and bool(further.roles) != (version == VERSION_WITH_MEDIA):
        return False
    if version < VERSION:
        return bool(schema == FILE_SCHEMA.remove(FILE_SCHEMA.get_field_index("audio_key")))
    return bool(schema == further.file_schema)


def moved_to(index: BucketIndex, root: Path) -> pa.Table:
    """Return an index's table with paths that are relative to another root, which holds its own."""
    prefix = index.data_root.relative_to(root).as_posix()
    if prefix == ".":
        return index.table
    columns = {
        _path_of(role): [
            name if name is None or os.path.isabs(name) else f"{prefix}/{name}"
            for name in index.table[_path_of(role)].to_pylist()
        ]
        for role in (VIDEO, *index.roles)
    }
    before = index.table["sample"].to_pylist()
    columns["sample"] = [
        path_name(video) + name[PATH_DIGITS:]
        for video, name in zip(columns["video"], before, strict=True)
    ]
    table = index.table
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pa.array(values, pa.string()))
    return table


def joined_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all, with all the columns that one has."""
    further = reduce(or_, (FurtherColumns.named(table.column_names) for table in tables))
    return pa.concat_tables([further.of(table) for table in tables]).unify_dictionaries()


def _path_of(role: Role) -> str:
    """The column that names the file of a role."""
    return "video" if role == VIDEO else media_column(role, "path")


def _fingerprint_of(role: Role) -> str:
    return "fingerprint" if role == VIDEO else media_column(role, "fingerprint")


def _mask(where: object, rows: int) -> NDArray[np.bool_]:
    mask = np.asarray(where)
    if mask.dtype != np.bool_ or mask.shape != (rows,):
        raise TypeError(f"it is {mask.dtype} {list(mask.shape)}, and there are {rows} rows")
    return mask


def _left_out(
    row: dict[str, Any], roles: Iterable[Role], changed: Mapping[Role, Mapping[str, str]]
) -> dict[str, Any]:
    """A clip's row as that of a sample that is skipped.

    Args:
        row: the clip's.
        roles: those that the table has columns of.
        changed: see `BucketIndex._without`.
    """
    of_sample = ("row", "sample", "caption", "file", "line", "weight", "repeats")
    names = {role: row[_path_of(role)] for role in (VIDEO, *roles)}
    role = next(role for role, files in changed.items() if names[role] in files)
    why = changed[role][names[role]]
    what = why if role == VIDEO else f"its {role} {names[role]} is not as it was: {why}"
    return {
        **{name: row[name] for name in of_sample},
        **{_path_of(role): name for role, name in names.items()},
        "left_out_code": Code.SOURCE_CHANGED.value,
        "left_out_reason": f"it was planned, but {what}",
    }


def require_inside(videos: Iterable[str], root: Path) -> None:
    """Checks that files lie inside of a data root, symbolic links followed.

    Raises:
        PlanError: some do not; it names them.
    """
    resolved = root.resolve()
    outside = [v for v in videos if not (root / v).resolve().is_relative_to(resolved)]
    if outside:
        raise PlanError(
            f"{counted(len(outside), 'file')} outside the data root: {'; '.join(outside[:_SHOWN])}",
            where=str(root),
            remedy="make the index anew with `videoprep index`",
        )


def _marking(
    marks: Marks, samples: Iterable[Sample], inspected: Iterable[InspectedSample]
) -> Iterator[InspectedSample]:
    """Pass on what is known of files, and mark the videos that are encoded as they are."""
    for sample, found in zip(samples, inspected, strict=True):
        mark(marks, sample.name, found.video)
        yield found


def _changed(
    role: Role, fingerprints: Mapping[str, str], root: Path, marks: Marks
) -> Iterator[tuple[str, str]]:
    """Files that are not as they were planned, and why."""
    paths = (os.path.join(root, name) for name in fingerprints)
    inspected = inspect_all(root, paths) if role == VIDEO else inspect_beside(root, role, paths)
    for (name, planned), found in zip(fingerprints.items(), inspected, strict=True):
        if isinstance(found, Inspection) and role == VIDEO:
            mark(marks, name, found)
        if found.error is not None:
            yield name, found.error.message
        elif found.fingerprint != planned:
            yield name, "its contents changed"
