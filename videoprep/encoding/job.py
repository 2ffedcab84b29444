"""`EncodeJob`: what one process plans and shares with the others of its run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from videoprep.encoding.recipes import Settings
from videoprep.encoding.units import (
    TEXT,
    ArtifactSize,
    Items,
    Unit,
    items_of,
    plan_units,
    share_of,
)
from videoprep.engine.task import JobShare
from videoprep.families.caption_places import CaptionPlaces
from videoprep.families.component import Component, ComponentSpec, SoundFormat, roles_read
from videoprep.families.contract import Family
from videoprep.families.masks import shape_of
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.registry import components_of, families
from videoprep.fs import Files
from videoprep.index.arrow_buffer import reader_of
from videoprep.index.bucket import Bucket
from videoprep.index.clip import Clip
from videoprep.index.table import BucketIndex
from videoprep.store.catalogue import Artifacts, without
from videoprep.store.layout import Store
from videoprep.store.recipe import Recipe

_USUAL_FPS = 24
_DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_UNITS = pa.schema(
    [
        ("component", pa.string()),
        ("name", pa.string()),
        ("rows", pa.list_(pa.int64())),
        ("cost", pa.int64()),
        ("attempts", pa.map_(pa.string(), pa.int64())),
    ]
)


@dataclass(frozen=True)
class EncodeJob:
    """All that a process has to know to encode."""

    index: BucketIndex
    model: ModelFolder
    """Where the model is, and how the user called it."""
    family: str
    """The name of the model's family."""
    settings: Settings
    """Dtype, decoder, tiling."""
    recipes: Mapping[Component, Recipe]
    """One per component."""
    units: Sequence[Unit] = ()
    """The work."""

    @cached_property
    def specs(self) -> Mapping[Component, ComponentSpec]:
        """The components that the model can make."""
        of_store = roles_read(recipe.fields for recipe in self.recipes.values())
        return components_of(families()[self.family], self.model, of_store)

    def items(self, component: Component) -> Items:
        """Return the artifacts of a component that the plan needs."""
        family = families()[self.family]
        return work_of(self.specs[component], self.index, family, self.model, self.settings)

    def left(
        self,
        there: Mapping[Component, Artifacts],
        again: Mapping[Component, Mapping[str, int]],
        share: JobShare,
    ) -> EncodeJob:
        """Return the job with the units that are left to do.

        Args:
            there: what is there.
            again: what failed and is to be tried again, and how often it was tried.
            share: of which job; others do the rest.
        """
        units: list[Unit] = []
        works = {component: self.items(component) for component in there}
        for component, items in works.items():
            tried = again[component]
            settled = without(there[component].settled, pa.array(list(tried), pa.string()))
            units += plan_units(items, settled, tried)
        if share.count > 1:
            units = share_of([*works.values()], units, share.number, share.count)
        return replace(self, units=units)

    def folder(self, unit: Unit) -> str:
        """Return where the shard and the receipt of a unit lie in the store."""
        return Store.folder(self.recipes[unit.component])

    def keys(self, unit: Unit) -> list[str]:
        """Return the artifacts of a unit, in its order."""
        source, table = self.specs[unit.component].source, self.index.table
        rows = self.places.take(table, source.columns, unit.rows)
        keys: list[str] = source.keys(rows).to_pylist()
        return keys

    def clips(self, unit: Unit) -> list[Clip]:
        """Return the clips that a unit is made from, in its order."""
        clips = self.index.clips_of_rows(self.places.rows(unit.rows))
        numbers = self.places.captions(unit.rows).tolist()
        return [clip.with_caption(n) for clip, n in zip(clips, numbers, strict=True)]

    @cached_property
    def places(self) -> CaptionPlaces:
        """Where the captions of the index are."""
        return CaptionPlaces.of(self.index.table)

    def save(self, files: Files, folder: str) -> None:
        """Write the job to a folder; `load` reads it."""
        data = {
            "model": [str(self.model.path.resolve()), self.model.name, self.model.revision],
            "family": self.family,
            "settings": asdict(self.settings),
            "recipes": {name: dict(recipe.fields) for name, recipe in self.recipes.items()},
        }
        units = pa.Table.from_pylist([_fields(unit) for unit in self.units], schema=_UNITS)
        self.index.save_to(files, f"{folder}/index.parquet")
        files.write(f"{folder}/units.parquet", lambda file: pq.write_table(units, file))
        files.write_bytes(f"{folder}/job.json", json.dumps(data).encode())

    @classmethod
    def load(cls, files: Files, folder: str) -> EncodeJob:
        """Read a job that another process has written."""
        data = json.loads(files.read(f"{folder}/job.json"))
        units = pq.read_table(reader_of(files.read(f"{folder}/units.parquet"))).to_pylist()
        path, called, revision = data["model"]
        model = ModelFolder(Path(path), called, revision)
        if revision is not None and not model.path.is_dir():
            # Another machine with a hub cache of its own: the same commit is downloaded there.
            family = families()[data["family"]]
            model = open_model(called, family.parts, revision)
        return cls(
            index=BucketIndex.load_from(files, f"{folder}/index.parquet"),
            model=model,
            family=data["family"],
            settings=Settings(**data["settings"]),
            recipes={name: Recipe(name, fields) for name, fields in data["recipes"].items()},
            units=[_unit(fields) for fields in units],
        )


def work_of(
    spec: ComponentSpec, index: BucketIndex, family: Family, model: ModelFolder, settings: Settings
) -> Items:
    """The artifacts of a component that a plan needs, and what they cost."""

    def measure(bucket: Bucket) -> ArtifactSize:
        if spec.sound is not None:
            return _sound_size(spec, spec.sound, bucket, family, model, settings)
        sides = bucket.frames, bucket.height, bucket.width
        shape = shape_of(family, model, spec, *sides)
        size = math.prod(shape) * (1 if spec.mask else _DTYPE_BYTES[settings.dtype])
        if not spec.source.frames:
            return ArtifactSize(TEXT, size, 1)
        if spec.noise:
            draws = settings.image_noise
            return ArtifactSize(bucket, draws * size, draws * bucket.pixels)
        if spec.posterior is not None and settings.posterior != "moments":
            size //= spec.posterior.tensors
        return ArtifactSize(bucket, size, bucket.pixels)

    return items_of(spec.name, spec.source, index.table, measure)


def _sound_size(
    spec: ComponentSpec,
    sound: SoundFormat,
    bucket: Bucket,
    family: Family,
    model: ModelFolder,
    settings: Settings,
) -> ArtifactSize:
    """Of clips at the family's rate: others are a little larger or smaller."""
    samples = round(bucket.frames / float(family.profile.fps or _USUAL_FPS) * sound.sample_rate)
    shape = shape_of(family, model, spec, samples, 0, 0)
    size = math.prod(shape) * _DTYPE_BYTES[settings.dtype]
    if spec.posterior is not None and settings.posterior != "moments":
        size //= spec.posterior.tensors
    return ArtifactSize(bucket, size, samples)


def _fields(unit: Unit) -> dict[str, Any]:
    fields = {name: getattr(unit, name) for name in _UNITS.names}
    return {**fields, "attempts": list(unit.attempts.items())}


def _unit(fields: dict[str, Any]) -> Unit:
    rows = np.asarray(fields["rows"], np.int64)
    return Unit(**{**fields, "rows": rows, "attempts": dict(fields["attempts"])})
