"""Where things lie in a store, and ``store.json``, which says what they are."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from videoprep.errors import PlanError, StoreError
from videoprep.families.component import Component, is_component_name, ordered
from videoprep.fs import Files, open_files
from videoprep.index.table import BucketIndex
from videoprep.shell import command_line
from videoprep.spec.path_hints import instead_of_a_store
from videoprep.store.format import checksum, is_receipt, receipt_name, shard_name, tensor_file
from videoprep.store.recipe import Recipe

_T = TypeVar("_T")

FORMAT_VERSION = 3

INFO = "store.json"
"""What the store holds and how it was made."""

INDEX = "index.parquet"
"""The plan that the catalogue follows."""

ACCEPTED = ".plan.parquet"
"""The plan of a run that has not finished yet. Later runs compare theirs with it."""

CATALOGUE = "catalogue.parquet"
"""A row a clip; derived from the index and the receipts."""

EMPTY_CAPTION = "empty_caption"
"""The folder of what text encoders make of the empty caption."""

FAILURES = "failures.jsonl"
"""The failed clips; derived from the receipts."""

DAMAGED = "damaged.jsonl"
"""The clips encoded with damaged frames, if there are any; derived from the receipts."""


_RECIPE_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class StoreInfo:
    """The contents of ``store.json``.

    Attributes:
        family: the model family.
        model: how the model was called when the store was made; for people.
        revision: its commit on the hub; None for a local folder.
        facts: what a trainer must know: scaling, channels, compression.
        recipes: the recipe of each component that the store holds.
        earlier: recipes by which artifacts were made before; the catalogue names none of them.
    """

    family: str
    model: str
    revision: str | None
    facts: Mapping[str, Any]
    recipes: Mapping[Component, Recipe]
    earlier: tuple[Recipe, ...] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """A store's files.

    Attributes:
        files: its folder, on this machine or behind a URL.
    """

    files: Files

    @classmethod
    def open(cls, location: str | os.PathLike[str]) -> Store:
        """The store at a path or URL; it need not exist yet."""
        return cls(open_files(location))

    @property
    def location(self) -> str:
        """Path or URL."""
        return self.files.location

    @staticmethod
    def folder(recipe: Recipe) -> str:
        """Where the shards and receipts of a recipe lie."""
        return f"{recipe.component}/{recipe.id}"

    @staticmethod
    def receipt(unit: str) -> str:
        """Return the file that makes a unit exist: its receipt, or of an empty caption the tensor.

        Args:
            unit: ``component/recipe/name``, or ``empty_caption/name``.
        """
        return tensor_file(unit) if unit.startswith(f"{EMPTY_CAPTION}/") else receipt_name(unit)

    @staticmethod
    def shard(unit: str, digest: str) -> str:
        """Return the shard of a unit.

        Args:
            unit: ``component/recipe/name``.
            digest: xxh3-128 of the shard.
        """
        return shard_name(unit, digest)

    def has_unit(self, unit: str) -> bool:
        """Return whether a unit is committed; see `receipt`."""
        return self.files.size(self.receipt(unit)) is not None

    def committed(self, units: Collection[str]) -> set[str]:
        """Return those of some units that are committed."""
        if len(units) == 1:  # the folder of a large store has many files
            return set(filter(self.has_unit, units))
        folders = {unit.rpartition("/")[0] for unit in units}
        there = {f"{folder}/{name}" for folder in folders for name in self.files.names(folder)}
        return {unit for unit in units if self.receipt(unit) in there}

    def exists(self) -> bool:
        """Whether there is a ``store.json``."""
        return self.files.size(INFO) is not None

    def read_info(self) -> StoreInfo:
        """Reads ``store.json``.

        Raises:
            StoreError: it is missing, damaged, or of another format.
        """
        try:
            data = self.files.read(INFO)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreError(
                f"no store here: {INFO} is missing",
                where=self.location,
                remedy=instead_of_a_store(
                    self.location,
                    "make one with "
                    f"`{command_line('encode', 'PATH', output='STORE', model='MODEL')}`",
                ),
            ) from error
        except OSError as error:
            raise _no_info(self.files, f"cannot be read: {error.strerror or error}") from error
        try:
            fields = json.loads(data)
            _require_version(int(fields["format_version"]), self.location)
            info = _from_json(fields)
        except (ValueError, KeyError, TypeError) as error:
            raise _no_info(self.files, f"is no {INFO} of videoprep: {error!r}") from error
        if fields.pop("xxh3", None) != checksum(fields):
            raise _no_info(self.files, "was changed or damaged: its checksum does not fit")
        return info

    def claim(self, info: StoreInfo) -> StoreInfo:
        """Makes the folder this model's store, or adds to one that is; gives what it says now.

        A component whose recipe is another one than before starts anew by that recipe. What was
        made by the one before stays, and is taken up again if it is asked for again.

        Raises:
            StoreError: the folder holds something else, or artifacts of another family.
        """
        path = self.files.path("")
        if path is not None and path.exists() and not path.is_dir():
            raise StoreError(
                "is not a folder", where=self.location, remedy="choose another `output`",
                option="output",
            )  # fmt: skip
        if self.exists():
            old = self._with_receipts(self.read_info())
            _require_family(old, info, self.location)
            info = _merge(old, info)
        elif not self._is_empty_or_remains():
            raise StoreError(
                "the folder is not empty, and it is not a store",
                where=self.location,
                remedy="choose a new or empty folder as `output`",
                option="output",
            )
        if not self.exists() or info != self.read_info():
            self.files.write_bytes(INFO, info_bytes(info))
        return info

    def load_index(self) -> BucketIndex:
        """The plan that the catalogue follows.

        Raises:
            StoreError: there is none.
            PlanError: it is damaged.
        """
        with self.index_file() as path:
            return BucketIndex.load(path)

    @contextmanager
    def index_file(self, name: str = INDEX) -> Iterator[Path]:
        """The file of the plan that the catalogue follows; a copy of one that lies elsewhere.

        Args:
            name: of the file; that of the plan, or `ACCEPTED`.

        Raises:
            StoreError: there is none.
        """
        path = self.files.path(name)
        if path is not None and path.is_file():
            yield path
            return
        if self.files.size(name) is None:
            raise self.unfinished(f"the store has no {name}")
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / name
            with copy.open("wb") as file:
                for piece in self.files.chunks(name):
                    file.write(piece)
            yield copy

    def save_index(self, index: BucketIndex) -> None:
        """Writes the plan, and removes the one that was accepted: it is this one."""
        index.save_to(self.files, INDEX)
        self.files.delete(ACCEPTED)

    def accept(self, index: BucketIndex) -> None:
        """Keeps the plan of a run that begins."""
        index.save_to(self.files, ACCEPTED)

    def read_accepted(self, read: Callable[[Path], _T]) -> _T | None:
        """Read the plan that the last run followed, finished or not.

        Args:
            read: reads the file. Called again with the finished plan if the accepted one is removed
                meanwhile: another job, which came to its end, has made it the finished one.

        Returns:
            What was read; None if there is no plan.

        Raises:
            PlanError: it is damaged.
        """
        for name in (ACCEPTED, INDEX):
            if self.files.size(name) is None:
                continue
            try:
                with self.index_file(name) as path:
                    return read(path)
            except (StoreError, PlanError, OSError):
                if self.files.size(name) is not None:
                    raise
        return None

    def unfinished(self, what: str) -> StoreError:
        """Return the error about a store that lacks what is written last.

        Args:
            what: it lacks.
        """
        root, model = "PATH", "MODEL"
        with suppress(StoreError, PlanError, OSError):
            model = self.read_info().model
            root = self.read_accepted(BucketIndex.root_named_in) or root
        again = command_line("encode", root, output=self.location, model=model)
        return StoreError(
            f"{what}: its encoding was not finished",
            where=self.location,
            remedy=f"run the same command again to resume, such as `{again}`; "
            f"`{command_line('status', self.location)}` shows what is done",
        )

    def digest(self, name: str) -> str:
        """xxh3-128 of a file, 32 hexadecimal digits.

        Raises:
            OSError: it cannot be read.
        """
        digest = xxhash.xxh3_128()
        for piece in self.files.chunks(name):
            digest.update(piece)
        return digest.hexdigest()

    def _is_empty_or_remains(self) -> bool:
        """Whether there is nothing, or nothing but what is left of a store without its info."""
        names = {*self.files.folders(), *self.files.names()}
        visible = {name for name in names if not name.startswith(".")}
        own = {EMPTY_CAPTION, INDEX, CATALOGUE, FAILURES, DAMAGED}
        return not visible - own - {*component_folders(self.files)}

    def _with_receipts(self, info: StoreInfo) -> StoreInfo:
        """Leaves out recipes by which nothing was ever committed: they bind nobody."""
        used = {
            component: recipe
            for component, recipe in info.recipes.items()
            if any(is_receipt(name) for name in self.files.names(self.folder(recipe)))
        }
        return replace(info, recipes=used)


def component_folders(files: Files) -> tuple[Component, ...]:
    """Return the components of which a store has folders, told by the recipes' folders in them.

    What they are called does not matter: a plugin may have brought them.
    """
    names = (name for name in files.folders() if is_component_name(name) and name != EMPTY_CAPTION)
    return ordered(name for name in names if any(map(_RECIPE_ID.fullmatch, files.folders(name))))


def _merge(old: StoreInfo, new: StoreInfo) -> StoreInfo:
    """The new recipes count; of the old ones those for other components stay."""
    known = {recipe.id: recipe for recipe in (*old.earlier, *old.recipes.values())}
    recipes = {**old.recipes, **new.recipes}
    current = {recipe.id for recipe in recipes.values()}
    earlier = sorted(
        (recipe for recipe in known.values() if recipe.id not in current),
        key=lambda recipe: (recipe.component, recipe.id),
    )
    return replace(new, recipes=recipes, earlier=tuple(earlier))


def _require_family(old: StoreInfo, new: StoreInfo, where: str) -> None:
    if old.recipes and old.family != new.family:
        raise StoreError(
            f"the store was encoded for the family {old.family!r}, with the model {old.model}; "
            f"{new.model} is of the family {new.family!r}",
            where=where,
            remedy="choose another `output`: a store holds one family",
            option="output",
        )


def _require_version(version: int, where: str) -> None:
    if version != FORMAT_VERSION:
        newer = version > FORMAT_VERSION
        raise StoreError(
            f"has format {version}; this videoprep reads format {FORMAT_VERSION}",
            where=where,
            remedy="upgrade videoprep" if newer else "encode into a new folder",
        )


def _no_info(files: Files, what: str) -> StoreError:
    return StoreError(
        what,
        where=files.where(INFO),
        remedy="if this is not a store, choose another `output`; if it is, delete this file and "
        "run the same `videoprep encode` command: it writes it again and finds all that is "
        "committed",
    )


def _from_json(data: Mapping[str, Any]) -> StoreInfo:
    recipes = {
        component: Recipe(component, dict(data["recipes"][component]))
        for component in ordered(data["recipes"])
    }
    earlier: Sequence[Mapping[str, Any]] = data["earlier"]
    return StoreInfo(
        family=data["family"],
        model=data["model"],
        revision=data["revision"],
        facts=dict(data["facts"]),
        recipes=recipes,
        earlier=tuple(Recipe(e["component"], dict(e["fields"])) for e in earlier),
    )


def info_bytes(info: StoreInfo) -> bytes:
    """Return what ``store.json`` holds, to the byte."""
    data: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "family": info.family,
        "model": info.model,
        "revision": info.revision,
        "facts": dict(info.facts),
        "recipes": {name: dict(info.recipes[name].fields) for name in sorted(info.recipes)},
        "earlier": [
            {"component": recipe.component, "fields": dict(recipe.fields)}
            for recipe in info.earlier
        ],
    }
    data["xxh3"] = checksum(data)
    return (json.dumps(data, indent=2, sort_keys=True) + "\n").encode()
