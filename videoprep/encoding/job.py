"""The job of a run: made by rank 0, shared with the other ranks through a folder in the store."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from videoprep.durable import write_bytes
from videoprep.encoding.recipes import Settings
from videoprep.encoding.units import Item, Unit, dearest_first, distinct, plan_units, unit_limit
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.registry import families
from videoprep.index.bucket import Bucket
from videoprep.index.clip import Clip, clip_from_row
from videoprep.index.table import BucketIndex
from videoprep.store.catalogue import Artifacts
from videoprep.store.recipe import KEY_COLUMN, Component, Recipe

_DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Job:
    """All that a rank needs to encode.

    Attributes:
        index: the plan.
        model: path of the model folder, and how the user called it.
        family: name of the family.
        settings: dtype, decoder, tiling.
        recipes: one a component.
        units: the work, dearest first; the text pass comes before the video pass.
    """

    index: BucketIndex
    model: ModelFolder
    family: str
    settings: Settings
    recipes: Mapping[Component, Recipe]
    units: Sequence[Unit]

    @cached_property
    def totals(self) -> Mapping[Component, int]:
        """How many artifacts of each component are to be made."""
        totals = dict.fromkeys(self.recipes, 0)
        for unit in self.units:
            totals[unit.component] += len(unit.keys)
        return totals

    def passes(self) -> list[list[Unit]]:
        """The units of the text pass, then those of the video pass."""
        text = [unit for unit in self.units if unit.component == "prompt_embeds"]
        video = [unit for unit in self.units if unit.component != "prompt_embeds"]
        return [text, video]

    def planned_keys(self, component: Component) -> set[str]:
        """The distinct artifacts that the plan needs."""
        return set(self.index.table[KEY_COLUMN[component]].drop_null().to_pylist())

    def clips(self, unit: Unit) -> list[Clip]:
        """The clips that a unit is made from, in its order."""
        rows = self.index.table.take(list(unit.rows)).to_pylist()
        root = self.index.data_root
        return [clip_from_row(n, row, root) for n, row in zip(unit.rows, rows, strict=True)]

    def share(self, store: Path) -> Path:
        """Writes the job where the other ranks can read it; gives the folder."""
        folder = store / f".job-{socket.gethostname()}-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        self.index.save(folder / "index.parquet")
        data = {
            "model": [str(self.model.path.resolve()), self.model.name, self.model.revision],
            "family": self.family,
            "settings": asdict(self.settings),
            "recipes": {name: dict(recipe.fields) for name, recipe in self.recipes.items()},
            "units": [asdict(unit) for unit in self.units],
        }
        write_bytes(folder / "job.json", json.dumps(data).encode())
        return folder

    @classmethod
    def receive(cls, folder: Path) -> Job:
        """Reads a job that rank 0 has shared."""
        data = json.loads((folder / "job.json").read_bytes())
        path, name, revision = data["model"]
        model = ModelFolder(Path(path), name, revision)
        if revision is not None and not model.path.is_dir():
            # Another machine with a hub cache of its own: the same commit is downloaded there.
            family = families()[data["family"]]
            model = open_model(name, (*family.text_parts, *family.video_parts), revision)
        return cls(
            index=BucketIndex.load(folder / "index.parquet"),
            model=model,
            family=data["family"],
            settings=Settings(**data["settings"]),
            recipes={name: Recipe(name, fields) for name, fields in data["recipes"].items()},
            units=[_unit(fields) for fields in data["units"]],
        )


def remove_shared(folder: Path) -> None:
    """Removes a shared job once every rank has finished."""
    shutil.rmtree(folder)


def plan_work(
    index: BucketIndex,
    family: Family,
    model: ModelFolder,
    settings: Settings,
    artifacts: Mapping[Component, Artifacts],
) -> list[Unit]:
    """The units that are not done yet: neither stored nor set aside."""
    units: list[Unit] = []
    for component, made in artifacts.items():
        items = list(_items(component, index, family, model, _DTYPE_BYTES[settings.dtype]))
        missing = distinct(items, lambda k, made=made: k in made.stored or k in made.failures)  # type: ignore[misc]
        units += plan_units(component, missing, unit_limit(items))
    return dearest_first(units)


def _items(
    component: Component, index: BucketIndex, family: Family, model: ModelFolder, size: int
) -> Iterator[Item]:
    column = KEY_COLUMN[component]
    table = index.table.select([column, "frames", "height", "width"])

    @cache  # a family reads the model's config for it: once a bucket, not once a clip
    def measured(bucket: Bucket) -> tuple[Bucket, int, int]:
        return _measure(component, bucket, family, model, size)

    row = -1
    for batch in table.to_batches(max_chunksize=65_536):
        for values in batch.to_pylist():
            row += 1
            if values[column] is None:
                continue
            bucket = Bucket(values["frames"], values["height"], values["width"])
            yield Item(values[column], row, *measured(bucket))


def _measure(
    component: Component, bucket: Bucket, family: Family, model: ModelFolder, size: int
) -> tuple[Bucket, int, int]:
    """What an artifact is made from, its bytes, and the pixels that making it costs."""
    if component == "prompt_embeds":
        tokens, features = family.embed_shape(model)
        return Bucket(0, 0, 0), tokens * features * size, 1
    if component == "image_latents":
        bucket = Bucket(1, bucket.height, bucket.width)
    channels, frames, height, width = family.latent_shape(
        model, bucket.frames, bucket.height, bucket.width
    )
    return bucket, channels * frames * height * width * size, bucket.pixels


def _unit(fields: dict[str, Any]) -> Unit:
    return Unit(**{**fields, "rows": tuple(fields["rows"]), "keys": tuple(fields["keys"])})
