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
from videoprep.encoding.units import TEXT, Items, Measure, Unit, items_of
from videoprep.families.component import IS_LATENTS, KEY_COLUMN, MADE_FROM, Component
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.registry import families
from videoprep.files import Files
from videoprep.index.bucket import Bucket
from videoprep.index.clip import Clip, clip_from_row
from videoprep.index.owned_bytes import reader_of
from videoprep.index.table import BucketIndex
from videoprep.store.recipe import Recipe
from videoprep.store.sessions import Session

JOBS = ".jobs"

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

    @property
    def of_captions(self) -> bool:
        """Whether captions are encoded, and no pixels."""
        return MADE_FROM[self.units[0].component] == "caption"


@dataclass(frozen=True)
class Job:
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
        totals = dict.fromkeys(self.recipes, (0, 0))
        for unit in self.units:
            count, cost = totals[unit.component]
            totals[unit.component] = count + len(unit), cost + unit.cost
        return totals

    def passes(self) -> list[Pass]:
        """The units by what makes them, captions' first; only passes that have any."""
        made_by = self.made_by
        parts = dict.fromkeys(made_by.values())
        passes = [
            Pass(part, tuple(unit for unit in self.units if made_by[unit.component] == part))
            for part in parts
        ]
        return sorted((one for one in passes if one.units), key=lambda one: not one.of_captions)

    @cached_property
    def made_by(self) -> Mapping[Component, str]:
        """The part of the model that makes each component."""
        return families()[self.family].encoders(self.model)

    def folder(self, unit: Unit) -> str:
        """Where the shard and receipt of a unit lie in the store."""
        recipe = self.recipes[unit.component]
        return f"{recipe.component}/{recipe.id}"

    def keys(self, unit: Unit) -> list[str]:
        """The artifacts of a unit, in its order."""
        column = self.index.table[KEY_COLUMN[unit.component]]
        keys: list[str] = column.take(pa.array(unit.rows)).to_pylist()
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
    def receive(cls, files: Files, name: str) -> Job:
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


def remove_shared(files: Files, name: str) -> None:
    """Removes a job that was shared, or what is left of one."""
    folder = f"{JOBS}/{name}"
    for file in files.names(folder):
        files.delete(f"{folder}/{file}")
    files.delete_folder(folder)
    files.delete_folder(JOBS)


def sweep_shared(files: Files, session: Session) -> None:
    """Removes the jobs that processes shared which are dead now."""
    for name in files.folders(JOBS):
        if not session.is_alive(name):
            remove_shared(files, name)


def work_of(
    component: Component, index: BucketIndex, family: Family, model: ModelFolder, settings: Settings
) -> Items:
    """The artifacts of a component that a plan needs, and what they cost."""

    def measure(bucket: Bucket) -> Measure:
        sides = bucket.frames, bucket.height, bucket.width
        shape = family.shape(model, component, *sides)
        size = math.prod(shape) * _DTYPE_BYTES[settings.dtype]
        if component == "noisy_image_latents":
            draws = settings.image_noise
            return Measure(bucket, draws * size, draws * bucket.pixels)
        if MADE_FROM[component] == "caption":
            return Measure(TEXT, size, 1)
        if IS_LATENTS[component] and settings.posterior != "moments":
            size //= 2
        return Measure(bucket, size, bucket.pixels)

    return items_of(component, index.table, measure)


def _unit(fields: dict[str, Any]) -> Unit:
    return Unit(**{**fields, "rows": np.asarray(fields["rows"], np.int64)})
