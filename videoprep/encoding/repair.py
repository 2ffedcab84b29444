"""`verify`: what is wrong with a store, and on request the units at fault made anew."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from videoprep.encoding.job import EncodeJob, work_of
from videoprep.encoding.options import EncodeOptions
from videoprep.encoding.rebuild import Again, Rebuilder, keys_of
from videoprep.encoding.recipes import make_recipes, settings_of
from videoprep.encoding.run import open_checked
from videoprep.encoding.units import Items, Unit, plan_units
from videoprep.engine.activity import presence_at
from videoprep.engine.claims import Claims
from videoprep.engine.coordination import SingleProcess, planned_world_size
from videoprep.engine.options import TaskOptions
from videoprep.engine.sessions import Session
from videoprep.engine.shared_task import sweep_shared
from videoprep.engine.sweep import sweep
from videoprep.engine.task import most_expensive_first
from videoprep.engine.work import do_work
from videoprep.errors import PlanError, StoreError, VideoprepError
from videoprep.families.component import Component, Source
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of
from videoprep.fs.mirror import local_path
from videoprep.index.table import BucketIndex
from videoprep.reporting.panel import Style, shown
from videoprep.spec.roles import Role
from videoprep.store.catalogue import gather, read_artifacts, write_catalogue
from videoprep.store.fault import BadUnit
from videoprep.store.layout import (
    CATALOGUE,
    EMPTY_CAPTION,
    FAILURES,
    INDEX,
    Store,
    StoreInfo,
    is_shard,
)
from videoprep.store.plan_check import listed_failures
from videoprep.store.receipt import Receipt, ReceiptDamage, read_receipts
from videoprep.store.recipe import Recipe
from videoprep.store.verify import (
    Examination,
    OnChecked,
    Repair,
    VerifyReport,
    examine,
    keys_of_unit,
    orphaned_at,
    unit_of_shard,
)
from videoprep.workers.pool import Limits

_NAMED = 3


def verify(
    store: str | os.PathLike[str],
    *,
    repair: bool = False,
    model: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    decode_workers: int | None = None,
    limits: Limits | None = None,
    progress: Style = "auto",
    on_checked: OnChecked | None = None,
) -> VerifyReport:
    """Checks a store to the last bit; with ``repair`` makes anew what is damaged or missing.

    Without ``repair`` nothing is changed. With it, receipts and shards of units at fault are
    removed and these units alone are encoded again, by the store's own plan, model and recipes;
    the catalogue is written anew; what dead processes left is removed. Then all is checked again.
    Nothing is removed that could not be made anew: the sources and the model are checked before.
    Units that a living process has in hand are left alone.

    Args:
        store: path or URL.
        repair: whether to mend what is wrong.
        model: the model folder or hub id; None: as ``store.json`` says.
        revision: the hub revision of the model; None: as ``store.json`` says.
        data_root: the folder of the videos, where it was moved; None: as the plan says.
        device: ``auto``, ``cpu``, ``cuda`` or any name that torch knows.
        decode_workers: processes that decode; None: as the machine allows.
        limits: what decoding one clip may take.
        progress: how encoding is shown; as for `encode`.
        on_checked: told how many units are checked, and how many there are.

    Raises:
        StoreError: there is no store; or the model or this videoprep is not the one
            that made it. Nothing has been removed then.
        VideoprepError: the repair cannot go on. What was made anew stays.
    """
    place = Store.open(store)
    found = examine(place, on_checked)
    if not repair:
        return found.report
    if planned_world_size() > 1:
        raise VideoprepError(
            "a repair is the work of one process", remedy="run it without torchrun"
        )
    limits = limits or Limits()
    means = _Means(
        model=None if model is None else str(model),
        revision=revision,
        data_root=None if data_root is None else local_path(data_root).resolve(),
        device=device,
        options=EncodeOptions.of(
            decode_workers=decode_workers,
            time_limit=limits.seconds,
            memory_limit=limits.memory_mib,
        ),
        progress=progress,
    )
    with Session(place.files) as session:
        mending = _Mending(found, session, means)
        mending.run()
    after = examine(place, on_checked)
    return replace(after.report, repair=mending.told())


@dataclass(frozen=True, slots=True)
class _Means:
    """With what to repair; see `verify`."""

    model: str | None
    revision: str | None
    data_root: Path | None
    device: str
    options: EncodeOptions
    progress: Style


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be made anew.

    Attributes:
        jobs: how; more than one only where artifacts failed and are tried again.
        redo: the units whose files go first.
    """

    jobs: Sequence[EncodeJob]
    redo: Sequence[BadUnit]


@dataclass(slots=True)
class _Mending:
    """A repair under way.

    Attributes:
        found: what is wrong.
        session: this process at the store.
        means: model, device and so on.
        removed: files removed so far.
        rewritten: files written anew so far.
        left_alone: what cannot be repaired, and why.
        encoded: artifacts made anew, by component.
    """

    found: Examination
    session: Session
    means: _Means
    removed: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    encoded: dict[Component, int] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.found.store

    def told(self) -> Repair:
        """What was done."""
        return Repair(
            before=self.found.report.faults,
            encoded=self.encoded,
            removed=tuple(self.removed),
            rewritten=tuple(self.rewritten),
            left_alone=tuple(self.left_alone),
        )

    def run(self) -> None:
        """Repairs what can be repaired."""
        info, index = self.found.info, self.found.index
        if info is None or index is None:
            # Without them nobody knows what has to be there: nothing but leftovers may go.
            faults = [f for f in self.found.report.faults if f.name in ("store.json", INDEX)]
            self.left_alone += [f"{fault.name}: {fault.remedy}" for fault in faults]
        else:
            self._mend(info, index)
            self._remove_orphaned()
        self._sweep()

    def _mend(self, info: StoreInfo, index: BucketIndex) -> None:
        bad = self._free(self.found.bad_units())
        tables = {fault.name for fault in self.found.report.faults} & {CATALOGUE, FAILURES}
        useless = [unit for unit in bad if self._is_useless(unit)]
        plan = self._plan(info, index, [unit for unit in bad if unit not in useless])
        for unit in (*(plan.redo if plan else ()), *useless):
            self._remove(unit)
        self._remove_empty_captions()
        for job in plan.jobs if plan else ():
            self._encode(job)
        if tables or self.encoded or self.removed:
            self._rewrite(info, index)

    def _remove_empty_captions(self) -> None:
        """Damaged ones: the next run that encodes adds them anew."""
        for fault in self.found.report.faults:
            if fault.name.startswith(f"{EMPTY_CAPTION}/"):
                self.store.files.delete(fault.name)
                self.removed.append(fault.name)

    def _free(self, units: Sequence[BadUnit]) -> list[BadUnit]:
        """The units that nobody has in hand, and of which it is known that they are damaged."""
        claimed = presence_at(self.store.files, (self.session.id,)).claimed
        free = []
        for unit in units:
            if unit.id in claimed:
                self.left_alone.append(f"{unit.name}: a living process has the unit in hand")
            elif unit.kind == "unreadable":
                self.left_alone.append(f"{unit.name}: {unit.what}; that may pass")
            else:
                free.append(unit)
        return free

    def _is_useless(self, unit: BadUnit) -> bool:
        """Whether no clip of the plan needs anything of a unit, so that it is not made anew."""
        part = next((p for p in self.found.parts.values() if p.folder == unit.folder), None)
        if part is None:
            return True  # of an earlier recipe
        if self.found.report.components[part.component].planned == 0:
            return True
        keys = keys_of_unit(unit, self.found.listed)
        return bool(len(keys)) and not _any_in(keys, self._planned(part.claimed.source))

    def _planned(self, source: Source) -> pa.Array:
        index = self.found.index
        assert index is not None  # noqa: S101
        return pc.unique(pc.drop_null(source.keys(index.table)))

    # Planning

    def _plan(self, info: StoreInfo, index: BucketIndex, bad: Sequence[BadUnit]) -> _Plan | None:
        """Finds out what is to be made anew, and whether it can be. Removes nothing."""
        counts = self.found.report.components
        needed = [
            component
            for component, count in counts.items()
            if count.missing or any(u.folder == Store.folder(info.recipes[component]) for u in bad)
        ]
        if not needed:
            return None
        settings = settings_of(info, self.store.location)
        model, family = self._open_model(info)
        specs = components_of(family, model)
        recipes = make_recipes(family, model, [specs[name] for name in needed], settings)
        _require_same(info, recipes, self.store.location)
        moved = self.means.data_root
        if moved is not None:
            index = BucketIndex(index.table, moved, index.policy)
        again: list[Again] = []
        redo: list[BadUnit] = []
        for component in needed:
            items = work_of(specs[component], index, family, model, settings)
            own = [u for u in bad if u.folder == Store.folder(info.recipes[component])]
            planned = self._units(items, info.recipes[component], own)
            made, blocked = self._with_sources(index, items.source, planned)
            again += made
            redo += self._unblocked(own, items, blocked)
        jobs = [
            EncodeJob(index, model, family.name, settings, recipes, units, attempts)
            for units, attempts in _batches(again)
        ]
        return _Plan(jobs, redo)

    def _open_model(self, info: StoreInfo) -> tuple[ModelFolder, Family]:
        means = self.means
        if means.model is not None:
            return open_checked(means.model, means.revision)
        return open_checked(info.model, means.revision or info.revision)

    def _units(self, items: Items, recipe: Recipe, bad: Sequence[BadUnit]) -> list[Again]:
        """The units to make: those at fault, as they were where that can be; what is missing."""
        folder = Store.folder(recipe)
        all_bad = [unit for unit in self.found.bad_units() if unit.folder == folder]
        receipts = _sound(self.store, folder, {unit.unit for unit in all_bad})
        sound = gather(receipts, folder, recipe.source)
        numbers = sound.failed["attempt"].to_pylist()
        tried = dict(zip(sound.failed["key"].to_pylist(), numbers, strict=True))
        rebuilder = Rebuilder(items, self._most_tried(recipe, tried, all_bad))
        redone = {unit.unit for unit in bad}
        kept = (unit for unit in all_bad if unit.unit not in redone)
        settled = [key for unit in kept for key in self._keys(unit).to_pylist()]
        exact: list[Again] = []
        loose: list[str] = []
        for unit in bad:
            again = rebuilder.find(unit.unit, self._keys(unit).to_pylist())
            if again is not None:
                exact.append(again)
                settled += keys_of(items, again.unit)
            else:
                loose += self._keys(unit).to_pylist()
        known = pa.chunked_array(
            [*sound.stored["key"].chunks, *sound.failed["key"].chunks], pa.string()
        ).combine_chunks()
        known = known.filter(pc.invert(pc.is_in(known, value_set=pa.array(loose, pa.string()))))
        known = pa.concat_arrays([known, pa.array(settled, pa.string())])
        for again in self._of_orphans(rebuilder, recipe, known):
            exact.append(again)
            known = pa.concat_arrays([known, pa.array(keys_of(items, again.unit), pa.string())])
        return [*exact, *(Again(unit, tried) for unit in plan_units(items, known, tried))]

    def _of_orphans(self, rebuilder: Rebuilder, recipe: Recipe, known: pa.Array) -> Iterator[Again]:
        """Units whose receipts are gone, and of which nothing but the name of a shard is left."""
        if self.found.report.components[recipe.component].missing == 0:
            return
        folder = Store.folder(recipe)
        names = {unit_of_shard(n) for n in self.found.orphaned() if n.startswith(f"{folder}/")}
        for name in sorted(names):
            again = rebuilder.find(name, ())
            if again is not None:
                keys = pa.array(keys_of(rebuilder.items, again.unit), pa.string())
                if pc.any(pc.invert(pc.is_in(keys, value_set=known))).as_py():
                    yield again

    def _most_tried(
        self, recipe: Recipe, tried: Mapping[str, int], bad: Sequence[BadUnit]
    ) -> Mapping[str, int]:
        """How often artifacts failed, by all that tells of it."""
        told = dict(tried)
        if self.found.index is not None:
            index, source = self.found.index, recipe.source
            listed = listed_failures(self.store, index, recipe.component, source)
            told |= {key: max(count, told.get(key, 0)) for key, count in listed.items()}
        for unit in bad:
            for failure in unit.receipt.failures if unit.receipt is not None else ():
                told[failure.key] = max(failure.attempt, told.get(failure.key, 0))
        return told

    def _keys(self, unit: BadUnit) -> pa.Array:
        return keys_of_unit(unit, self.found.listed)

    def _with_sources(
        self, index: BucketIndex, source: Source, units: Sequence[Again]
    ) -> tuple[list[Again], list[Unit]]:
        """The units whose files are as they were planned, and the others; names these."""
        rows = [row for one in units for row in one.unit.rows.tolist()] if source.media else []
        gone = _gone(index, source.role, rows)
        files = index.files_of(source.role)
        made, blocked = list[Again](), list[Unit]()
        for one in units:
            unit = one.unit
            own = set(files.take(pa.array(unit.rows)).to_pylist()) & gone.keys()
            if not own:
                made.append(one)
                continue
            blocked.append(unit)
            named = "; ".join(f"{name}: {gone[name]}" for name in sorted(own)[:_NAMED])
            more = f"; … {len(own) - _NAMED} more" if len(own) > _NAMED else ""
            self.left_alone.append(f"{unit.component}, unit {unit.name}: {named}{more}")
        return made, blocked

    def _unblocked(
        self, bad: Sequence[BadUnit], items: Items, blocked: Sequence[Unit]
    ) -> Iterator[BadUnit]:
        """The units at fault of which all that the plan needs can be made anew."""
        rows = [row for unit in blocked for row in unit.rows.tolist()]
        of_rows = pc.is_in(pa.array(items.rows), value_set=pa.array(rows, pa.int64()))
        waiting = items.keys.filter(of_rows)
        for unit in bad:
            keys = self._keys(unit)
            if not len(waiting) or (len(keys) and not _any_in(keys, waiting)):
                yield unit

    # Doing

    def _remove(self, unit: BadUnit) -> None:
        """Removes the receipt first: a shard without one does not exist."""
        files = self.store.files
        if files.size(unit.path) is not None:
            files.delete(unit.path)
            self.removed.append(unit.path)
        for name in files.names(unit.folder):
            if is_shard(name) and name.startswith(f"{unit.unit}-"):
                files.delete(f"{unit.folder}/{name}")
                self.removed.append(f"{unit.folder}/{name}")

    def _encode(self, job: EncodeJob) -> None:
        from videoprep.encoding.task import EncodeTask

        options = TaskOptions(device=self.means.device, watchdog=self.means.options.watchdog)
        task = EncodeTask(job, self.store, self.means.options)
        units = most_expensive_first(task.planned_units())
        with shown(self.means.progress) as told:
            tally = do_work(task, units, self.session, SingleProcess(), options, told)
        for component in job.recipes:
            counts = tally.counts[component]
            if counts.done > counts.failed:
                before = self.encoded.get(component, 0)
                self.encoded[component] = before + counts.done - counts.failed

    def _rewrite(self, info: StoreInfo, index: BucketIndex) -> None:
        """Writes what is derived from plan and receipts; another job may write it meanwhile."""
        digest = self.store.digest(INDEX)
        before = {name: _digest(self.store, name) for name in (CATALOGUE, FAILURES)}
        while True:
            made = {name: read_artifacts(self.store, r) for name, r in info.recipes.items()}
            write_catalogue(self.store, index, made)
            now = self.store.digest(INDEX)
            if now == digest:
                break
            digest, index = now, self.store.load_index()
        self.rewritten += [n for n, was in before.items() if _digest(self.store, n) != was]

    def _remove_orphaned(self) -> None:
        """Shards without a receipt go where nobody works who may be about to commit one."""
        orphaned = self.found.orphaned()
        if not orphaned:
            return
        others = presence_at(self.store.files, (self.session.id,)).at_work
        if others:
            self.left_alone += [f"{name}: others are at work at the store" for name in orphaned]
            return
        for name in orphaned_at(self.store.files, orphaned):
            self.store.files.delete(name)
            self.removed.append(name)

    def _sweep(self) -> None:
        """Removes what dead processes left."""
        files, session = self.store.files, self.session
        before = presence_at(files, (session.id,))
        if not before.dead:
            return
        sweep(files, session)
        sweep_shared(files, session)
        # Where something is still to be made, the next run has to know what killed the others.
        done = not self.left_alone and not before.at_work
        Claims(files, session).sweep(lambda unit: done or self.store.has_unit(unit))
        left = {*presence_at(files, (session.id,)).dead}
        self.removed += [name for name in before.dead if name not in left]


def _digest(store: Store, name: str) -> str | None:
    return None if store.files.size(name) is None else store.digest(name)


def _sound(store: Store, folder: str, bad: set[str]) -> Iterator[Receipt]:
    for found in read_receipts(store.files, folder):
        if not isinstance(found, ReceiptDamage) and found.unit not in bad:
            yield found


def _batches(units: Sequence[Again]) -> Iterator[tuple[list[Unit], Mapping[str, int]]]:
    """Units that one job can make: it holds one number of attempts for each artifact."""
    alike: dict[frozenset[tuple[str, int]], list[Unit]] = {}
    for one in units:
        alike.setdefault(frozenset(one.attempts.items()), []).append(one.unit)
    for attempts, made in alike.items():
        yield made, dict(attempts)


def _any_in(keys: pa.Array, among: pa.Array) -> bool:
    return bool(pc.any(pc.is_in(keys, value_set=among)).as_py())


def _gone(index: BucketIndex, role: Role, rows: Sequence[int]) -> Mapping[str, str]:
    """The files of a role of some rows that are not as they were planned, and why."""
    if not rows:
        return {}
    table = index.table.take(pa.array(sorted(set(rows))))
    part = BucketIndex(table, index.data_root, index.policy)
    try:
        return part.changed_files(role)
    except PlanError as error:  # the whole folder is gone, for instance
        where = f" ({error.where})" if error.where else ""
        return dict.fromkeys(part.files_of(role).to_pylist(), f"{error.message}{where}")


def _require_same(info: StoreInfo, recipes: Mapping[Component, Recipe], where: str) -> None:
    """What would be made must be what is there."""
    for component, recipe in recipes.items():
        told = info.recipes[component]
        if told.id != recipe.id:
            raise StoreError(
                f"{component} would be made in another way than those in the store: "
                + "; ".join(recipe.differences(told.fields)),
                where=where,
                remedy="nothing was removed; give the model that made the store as `model`",
            )
