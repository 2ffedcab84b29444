"""`import`: from the files that another trainer has precomputed to a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from videoprep.encoding.job import work_of
from videoprep.encoding.recipes import Settings
from videoprep.encoding.units import Unit, plan_units
from videoprep.engine.sessions import Session, sweep
from videoprep.errors import Code, ModelError, StoreError, VideoprepError, nearest
from videoprep.families.component import Component, ComponentSpec, ordered
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.registry import components_of, family_of
from videoprep.importers.cogvideox_factory import IMPORTER as COGVIDEOX_FACTORY
from videoprep.importers.plan import FlawError, Importer, Planner, Precomputed
from videoprep.index.table import BucketIndex, LeftOutSample
from videoprep.store.catalogue import SetAside, read_artifacts, write_catalogue
from videoprep.store.layout import CATALOGUE, Store, StoreInfo
from videoprep.store.receipt import Failure, UnitResult, commit_unit
from videoprep.store.recipe import Recipe

if TYPE_CHECKING:
    import torch

IMPORTERS: Mapping[str, Importer] = {importer.name: importer for importer in (COGVIDEOX_FACTORY,)}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What was imported.

    Attributes:
        store: where it is.
        samples: lines of the lists.
        clips: those that are in the store, whole.
        left_out: those that are not, with reasons.
        set_aside: those of which a tensor turned out to be none that can be trained on.
        differing: clips whose caption another has with other embeddings; that one's count.
    """

    store: str
    samples: int
    clips: int
    left_out: list[LeftOutSample]
    set_aside: list[SetAside]
    differing: int

    @property
    def ok(self) -> bool:
        """Whether all are in the store."""
        return not self.left_out and not self.set_aside


def import_precomputed(
    folder: str | os.PathLike[str],
    *,
    source: str,
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    revision: str | None = None,
    on_progress: Progress | None = None,
) -> ImportResult:
    """Makes a store of what another trainer has precomputed, without encoding anything.

    What cannot be known is taken as usual: of the numbers of frames that latents may be of the
    smallest, at the family's frames a second. Call it again to resume.

    Args:
        folder: what the trainer wrote.
        source: the trainer; see `IMPORTERS`.
        model: the model that encoded it: a folder or hub id. Its configs are read, no weights.
        output: the store: new, or begun by the same.
        revision: of the model on the hub.
        on_progress: called with what is done, how much of it, and how much there is.

    Raises:
        StoreError: the folder holds no such thing, or the store is another one.
        ModelError: the model is of a family that the trainer does not know.
        VideoprepError: there is no such source.
    """
    importer = _importer(source)
    opened = open_model(str(model), (), revision)
    family = _family(importer, opened)
    store = Store.open(output)
    _require_unfinished(store)
    clips = list(importer.clips(Path(folder)))
    progress = on_progress or (lambda what, done, total: None)
    planner = Planner(importer, family, opened)
    index = planner.index(Path(folder), clips, _counting(progress, "checked", len(clips)))
    if planner.dtype is None:
        left = index.left_out
        raise StoreError(
            f"no clip can be taken; the first: {left[0].reason}" if left else "its lists are empty",
            where=str(folder),
            remedy="give the folder that the trainer precomputed, and the model that it used",
        )
    run = _ImportRun(store, importer, family, opened, index, {clip.line: clip for clip in clips})
    set_aside = run.write(_dtype(planner.dtype), progress)
    return ImportResult(
        store=store.location,
        samples=len(clips),
        clips=len(index) - len({(entry.file, entry.line) for entry in set_aside}),
        left_out=index.left_out,
        set_aside=set_aside,
        differing=planner.differing,
    )


@dataclass(frozen=True, slots=True)
class _ImportRun:
    store: Store
    importer: Importer
    family: Family
    model: ModelFolder
    index: BucketIndex
    clips: Mapping[int, Precomputed]

    def write(self, dtype: str, progress: Progress) -> list[SetAside]:
        """Commits all units that are not there yet, and the catalogue; gives what failed."""
        info = self.store.claim(self._info(dtype))
        with Session(self.store.files) as session:
            sweep(self.store.files, session)
            for component, recipe in info.recipes.items():
                self._write_component(component, recipe, dtype, session, progress)
            self.store.save_index(self.index)
            artifacts = {name: read_artifacts(self.store, r) for name, r in info.recipes.items()}
            lacking, _ = write_catalogue(self.store, self.index, artifacts)
            return lacking

    def _info(self, dtype: str) -> StoreInfo:
        there = {name for clip in self.clips.values() for name in clip.files}
        fields = {"family": self.family.name, "imported": self.importer.name, "dtype": dtype}
        recipes = {name: Recipe(name, fields) for name in ordered(there)}
        facts = {**self.family.facts(self.model), "posterior": "moments"}
        return StoreInfo(self.family.name, self.model.name, self.model.revision, facts, recipes)

    def _write_component(
        self, component: Component, recipe: Recipe, dtype: str, session: Session, progress: Progress
    ) -> None:
        spec = components_of(self.family, self.model)[component]
        settings = Settings(dtype, dtype, "pyav", tiling=False, posterior="moments")
        items = work_of(spec, self.index, self.family, self.model, settings)
        settled = read_artifacts(self.store, recipe).stored["key"].combine_chunks()
        units = plan_units(items, settled, {})
        done = len(items.keys) - sum(map(len, units))
        for unit in units:
            session.beat()
            made = self._load(spec, unit)
            commit_unit(self.store.files, self.store.folder(recipe), unit.name, made)
            done += len(unit)
            progress(component, done, len(items.keys))

    def _load(self, spec: ComponentSpec, unit: Unit) -> UnitResult:
        names = [*spec.source.columns, "line"]
        rows = self.index.table.select(names).take(pa.array(unit.rows))
        lines = rows["line"].to_pylist()
        tensors: dict[str, torch.Tensor] = {}
        failures: list[Failure] = []
        for key, line in zip(spec.source.keys(rows).to_pylist(), lines, strict=True):
            try:
                tensors[key] = self._finite(self.clips[line].files[spec.name])
            except FlawError as flaw:
                failures.append(Failure(key, Code.NOT_IMPORTABLE.value, str(flaw)))
        return UnitResult(tensors, failures)

    def _finite(self, path: Path) -> torch.Tensor:
        tensor = self.importer.load(path)
        if not tensor.isfinite().all():
            raise FlawError(f"{path.parent.name}/{path.name} holds values that are not finite")
        return tensor


def _importer(source: str) -> Importer:
    if source in IMPORTERS:
        return IMPORTERS[source]
    raise VideoprepError(
        f"nothing can be imported from {source!r}",
        remedy=nearest(source, IMPORTERS, "the sources are"),
    )


def _family(importer: Importer, model: ModelFolder) -> Family:
    family = family_of(model)
    if family.name not in importer.families:
        raise ModelError(
            f"is of the family {family.name!r}; {importer.name} precomputes "
            f"{', '.join(importer.families)}",
            where=model.name,
            remedy="give the model that encoded the folder",
        )
    return family


def _require_unfinished(store: Store) -> None:
    if store.files.size(CATALOGUE) is not None:
        raise StoreError(
            "is a finished store", where=store.location, remedy="choose another -o, or remove it"
        )


def _counting(progress: Progress, what: str, total: int) -> Callable[[], None]:
    numbers: Iterator[int] = iter(range(1, total + 1))
    return lambda: progress(what, next(numbers), total)


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
