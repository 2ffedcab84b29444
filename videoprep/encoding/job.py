"""The job of a run: made by rank 0, shared with the other ranks through a folder in the store."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from videoprep.encoding.recipes import Settings
from videoprep.encoding.units import TEXT, ArtifactSize, Items, Unit, items_of
from videoprep.engine.activity import JOBS
from videoprep.engine.shared_task import remove_shared
from videoprep.families.component import Component, ComponentSpec
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.registry import components_of, families
from videoprep.fs import Files
from videoprep.index.arrow_buffer import reader_of
from videoprep.index.bucket import Bucket
from videoprep.index.clip import Clip, clip_from_row
from videoprep.index.table import BucketIndex
from videoprep.store.recipe import Recipe

_DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_UNITS = pa.schema(
    [
        ("component", pa.string()),
        ("name", pa.string()),
        ("rows", pa.list_(pa.int64())),
        ("cost", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Pass:
    """The work of one encoder, which is loaded once for it.

    Attributes:
        part: the part of the model.
        units: dearest first.
    """

    part: str
    units: Sequence[Unit]

    of_captions: bool
    """Whether captions are encoded, and no pixels."""

    @property
    def name(self) -> str:
        """What the ranks call the pass when they share its units. A part may have two passes."""
        return f"{self.part}, {'captions' if self.of_captions else 'frames'}"


@dataclass(frozen=True)
class EncodeJob:
    """All that a rank needs to encode.

    Attributes:
        index: the plan.
        model: path of the model folder, and how the user called it.
        family: name of the family.
        settings: dtype, decoder, tiling.
        recipes: one a component.
        units: the work, dearest first.
        attempts: for artifacts that were set aside before and are tried again, how often.
    """

    index: BucketIndex
    model: ModelFolder
    family: str
    settings: Settings
    recipes: Mapping[Component, Recipe]
    units: Sequence[Unit]
    attempts: Mapping[str, int]

    @cached_property
    def totals(self) -> Mapping[Component, tuple[int, int]]:
        """How many artifacts of each component are to be made, and what they cost."""
        totals = dict.fromkeys(sorted(self.recipes, key=self.phases.__getitem__), (0, 0))
        for unit in self.units:
            count, cost = totals[unit.component]
            totals[unit.component] = count + len(unit), cost + unit.cost
        return totals

    @cached_property
    def phases(self) -> Mapping[Component, str]:
        """In which phase each component is made: captions first."""
        return {
            name: "video" if recipe.source.frames else "text"
            for name, recipe in self.recipes.items()
        }

    def passes(self) -> list[Pass]:
        """The units by what makes them, captions' first; only passes that have any."""
        # A part may make components of captions alone, and others: it is loaded for each.
        kind_of = {name: (spec.part, spec.source.frames) for name, spec in self.specs.items()}
        units: dict[tuple[str, bool], list[Unit]] = {kind: [] for kind in kind_of.values()}
        for unit in self.units:
            units[kind_of[unit.component]].append(unit)
        passes = [Pass(part, own, not frames) for (part, frames), own in units.items() if own]
        return sorted(passes, key=lambda one: not one.of_captions)

    @cached_property
    def specs(self) -> Mapping[Component, ComponentSpec]:
        """The components that the model can make."""
        return components_of(families()[self.family], self.model)

    def folder(self, unit: Unit) -> str:
        """Where the shard and receipt of a unit lie in the store."""
        recipe = self.recipes[unit.component]
        return f"{recipe.component}/{recipe.id}"

    def keys(self, unit: Unit) -> list[str]:
        """The artifacts of a unit, in its order."""
        source = self.specs[unit.component].source
        rows = self.index.table.select(source.key_columns).take(pa.array(unit.rows))
        keys: list[str] = source.keys(rows).to_pylist()
        return keys

    def clips(self, unit: Unit) -> list[Clip]:
        """The clips that a unit is made from, in its order."""
        rows = self.index.table.take(pa.array(unit.rows)).to_pylist()
        root = self.index.data_root
        return [clip_from_row(int(n), row, root) for n, row in zip(unit.rows, rows, strict=True)]

    @contextmanager
    def shared(self, files: Files, name: str) -> Iterator[None]:
        """Lets the other ranks read the job from the store while the block runs."""
        folder = f"{JOBS}/{name}"
        data = {
            "model": [str(self.model.path.resolve()), self.model.name, self.model.revision],
            "family": self.family,
            "settings": asdict(self.settings),
            "recipes": {name: dict(recipe.fields) for name, recipe in self.recipes.items()},
            "attempts": dict(self.attempts),
        }
        units = pa.Table.from_pylist(
            [{n: getattr(unit, n) for n in _UNITS.names} for unit in self.units], schema=_UNITS
        )
        with TemporaryDirectory() as temporary:
            index = Path(temporary) / "index.parquet"
            self.index.save(index)
            files.write_bytes(f"{folder}/index.parquet", index.read_bytes())
        files.write(f"{folder}/units.parquet", lambda file: pq.write_table(units, file))
        files.write_bytes(f"{folder}/job.json", json.dumps(data).encode())
        try:
            yield
        finally:
            remove_shared(files, name)

    @classmethod
    def receive(cls, files: Files, name: str) -> EncodeJob:
        """Reads a job that rank 0 has shared."""
        folder = f"{JOBS}/{name}"
        data = json.loads(files.read(f"{folder}/job.json"))
        with TemporaryDirectory() as temporary:
            copy = Path(temporary) / "index.parquet"
            copy.write_bytes(files.read(f"{folder}/index.parquet"))
            index = BucketIndex.load(copy)
        units = pq.read_table(reader_of(files.read(f"{folder}/units.parquet"))).to_pylist()
        path, called, revision = data["model"]
        model = ModelFolder(Path(path), called, revision)
        if revision is not None and not model.path.is_dir():
            # Another machine with a hub cache of its own: the same commit is downloaded there.
            family = families()[data["family"]]
            model = open_model(called, family.parts, revision)
        return cls(
            index=index,
            model=model,
            family=data["family"],
            settings=Settings(**data["settings"]),
            recipes={name: Recipe(name, fields) for name, fields in data["recipes"].items()},
            units=[_unit(fields) for fields in units],
            attempts=data["attempts"],
        )


def work_of(
    spec: ComponentSpec, index: BucketIndex, family: Family, model: ModelFolder, settings: Settings
) -> Items:
    """The artifacts of a component that a plan needs, and what they cost."""

    def measure(bucket: Bucket) -> ArtifactSize:
        sides = bucket.frames, bucket.height, bucket.width
        shape = family.shape(model, spec.name, *sides)
        size = math.prod(shape) * _DTYPE_BYTES[settings.dtype]
        if not spec.source.frames:
            return ArtifactSize(TEXT, size, 1)
        if spec.noise:
            draws = settings.image_noise
            return ArtifactSize(bucket, draws * size, draws * bucket.pixels)
        if spec.posterior and settings.posterior != "moments":
            size //= 2
        return ArtifactSize(bucket, size, bucket.pixels)

    return items_of(spec.name, spec.source, index.table, measure)


def _unit(fields: dict[str, Any]) -> Unit:
    return Unit(**{**fields, "rows": np.asarray(fields["rows"], np.int64)})
