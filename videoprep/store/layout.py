"""Where things lie in a store, and ``store.json``, which says what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videoprep.durable import write_bytes
from videoprep.errors import StoreError
from videoprep.store.recipe import COMPONENTS, Component, Recipe

FORMAT_VERSION = 2


@dataclass(frozen=True)
class StoreInfo:
    """The contents of ``store.json``.

    Attributes:
        family: the model family.
        model: how the model was called when the store was made; for people.
        revision: its commit on the hub; None for a local folder.
        facts: what a trainer must know: scaling, channels, compression.
        recipes: the recipe of each component that the store holds.
    """

    family: str
    model: str
    revision: str | None
    facts: Mapping[str, Any]
    recipes: Mapping[Component, Recipe]


@dataclass(frozen=True, slots=True)
class Store:
    """The paths of a store."""

    root: Path

    @property
    def info_file(self) -> Path:
        """What the store holds and how it was made."""
        return self.root / "store.json"

    @property
    def index_file(self) -> Path:
        """The plan that the catalogue follows."""
        return self.root / "index.parquet"

    @property
    def catalogue_file(self) -> Path:
        """A row a clip; derived from the index and the receipts."""
        return self.root / "catalogue.parquet"

    @property
    def failures_file(self) -> Path:
        """The clips set aside; derived from the receipts."""
        return self.root / "failures.jsonl"

    def folder(self, recipe: Recipe) -> Path:
        """Where the shards and receipts of a recipe lie."""
        return self.root / recipe.component / recipe.id

    def read_info(self) -> StoreInfo:
        """Reads ``store.json``.

        Raises:
            StoreError: it is missing, damaged, or of another format.
        """
        if not self.info_file.is_file():
            raise StoreError(
                "no store here: store.json is missing",
                where=str(self.root),
                remedy="make one with `videoprep encode PATH -o STORE --model MODEL`",
            )
        try:
            data = json.loads(self.info_file.read_bytes())
            version = int(data["format_version"])
            if version != FORMAT_VERSION:
                newer = version > FORMAT_VERSION
                raise StoreError(
                    f"has format {version}; this videoprep reads format {FORMAT_VERSION}",
                    where=str(self.root),
                    remedy="upgrade videoprep" if newer else "encode into a new folder",
                )
            recipes = {
                component: Recipe(component, dict(data["recipes"][component]))
                for component in COMPONENTS
                if component in data["recipes"]
            }
            return StoreInfo(
                family=data["family"],
                model=data["model"],
                revision=data.get("revision"),
                facts=dict(data["facts"]),
                recipes=recipes,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"is no store.json of videoprep: {error!r}",
                where=str(self.info_file),
                remedy="choose another -o, or delete the folder and encode anew",
            ) from error

    def claim(self, info: StoreInfo) -> None:
        """Makes the folder this model's store, or adds components to one that is.

        Raises:
            StoreError: the folder holds something else, or artifacts of another model or recipe.
        """
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(
                "exists and is not a folder", where=str(self.root), remedy="choose another -o"
            )
        known: dict[Component, Recipe] = {}
        if self.info_file.exists():
            old = self._with_receipts(self.read_info())
            self._require_same(old, info)
            known = dict(old.recipes)
        elif self.root.is_dir() and _visible(self.root):
            raise StoreError(
                "exists, is not empty, and is no store",
                where=str(self.root),
                remedy="choose another -o, or empty the folder",
            )
        merged = replace(info, recipes={**known, **info.recipes})
        if not self.info_file.exists() or merged != self.read_info():
            write_bytes(self.info_file, _to_json(merged))

    def _with_receipts(self, info: StoreInfo) -> StoreInfo:
        """Leaves out recipes by which nothing was ever committed: they bind nobody."""
        used = {
            component: recipe
            for component, recipe in info.recipes.items()
            if any(self.folder(recipe).glob("[!.]*.json"))
        }
        return replace(info, recipes=used)

    def _require_same(self, old: StoreInfo, new: StoreInfo) -> None:
        different = [
            f"{component}: {'; '.join(new.recipes[component].differences(recipe.fields))}"
            for component, recipe in old.recipes.items()
            if component in new.recipes and new.recipes[component].id != recipe.id
        ]
        if old.recipes and old.family != new.family:
            different.insert(0, f"family: {old.family!r} there, {new.family!r} asked for")
        if different:
            raise StoreError(
                f"was made with another model or recipe ({old.model}): {'. '.join(different)}",
                where=str(self.root),
                remedy="choose another -o, or use the model and options it was made with",
            )


def _visible(folder: Path) -> Sequence[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _to_json(info: StoreInfo) -> bytes:
    data = {
        "format_version": FORMAT_VERSION,
        "family": info.family,
        "model": info.model,
        "revision": info.revision,
        "facts": dict(info.facts),
        "recipes": {name: dict(info.recipes[name].fields) for name in sorted(info.recipes)},
    }
    return (json.dumps(data, indent=2, sort_keys=True) + "\n").encode()
