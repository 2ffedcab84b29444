"""`verify`: what is wrong with a store, and on request the units at fault made anew."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from videoprep.encoding.job import EncodeJob
from videoprep.encoding.options import EncodeOptions
from videoprep.encoding.recipes import make_recipes, settings_of
from videoprep.encoding.run import open_checked
from videoprep.encoding.units import Items, Unit, keys_in, plan_units, unit_of
from videoprep.engine.claims import Claims, presence_at
from videoprep.engine.coordination import SingleProcess, planned_world_size
from videoprep.engine.run import sweep_shared
from videoprep.engine.sessions import Session, sweep
from videoprep.engine.task import TaskOptions, most_expensive_first
from videoprep.engine.work import do_work
from videoprep.errors import PlanError, StoreError, VideoprepError
from videoprep.families.caption_places import CaptionPlaces
from videoprep.families.component import Component, roles_read
from videoprep.families.registry import components_of
from videoprep.fs.mirror import local_path
from videoprep.index.table import BucketIndex
from videoprep.progress import Style, shown
from videoprep.spec.roles import Role
from videoprep.store.catalogue import (
    Artifacts,
    count_among,
    gather,
    read_artifacts,
    without,
    write_catalogue,
)
from videoprep.store.format import unit_of_shard
from videoprep.store.layout import CATALOGUE, EMPTY_CAPTION, FAILURES, INDEX, INFO, Store, StoreInfo
from videoprep.store.plan_check import listed_failures
from videoprep.store.receipt import Receipt, ReceiptDamage, read_receipts, shards_of
from videoprep.store.recipe import Recipe
from videoprep.store.unit_check import BadUnit
from videoprep.store.verify import (
    Examination,
    OnChecked,
    examine,
    keys_of_unit,
    orphaned_at,
)
from videoprep.store.verify_report import Repair, VerifyReport
from videoprep.workers import Limits

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
    options = EncodeOptions.of(
        device=device,
        revision=revision,
        decode_workers=decode_workers,
        time_limit=limits.seconds,
        memory_limit=limits.memory_mib,
    )
    with Session(place.files) as session:
        mending = _Mending(
            found,
            session,
            None if model is None else str(model),
            None if data_root is None else local_path(data_root).resolve(),
            options,
            progress,
        )
        mending.run()
    after = examine(place, on_checked)
    return replace(after.report, repair=mending.told())


@dataclass(slots=True)
class _Mending:
    """A repair in progress. It decides what can be encoded again before it removes anything."""

    found: Examination
    """What is wrong."""
    session: Session
    """This process at the store."""
    model: str | None
    data_root: Path | None
    options: EncodeOptions
    progress: Style
    removed: list[str] = field(default_factory=list)
    """Files removed so far."""
    rewritten: list[str] = field(default_factory=list)
    """Files rewritten so far."""
    left_alone: list[str] = field(default_factory=list)
    """What cannot be repaired, and why."""
    encoded: dict[Component, int] = field(default_factory=dict)
    """Artifacts encoded again, by component."""

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
            faults = [f for f in self.found.report.faults if f.name in (INFO, INDEX)]
            self.left_alone += [f"{fault.name}: {fault.remedy}" for fault in faults]
        else:
            self._mend(info, index)
            self._remove_orphaned()
        self._sweep()

    def _mend(self, info: StoreInfo, index: BucketIndex) -> None:
        bad = self._free(self.found.bad_units)
        needless = [unit for unit in bad if self._is_needless(unit, index)]
        job, redone = self._plan(info, index, [unit for unit in bad if unit not in needless])
        for unit in (*redone, *needless):
            self._remove(unit)
        self._remove_empty_captions()
        if job is not None:
            self._encode(job)
        tables = {fault.name for fault in self.found.report.faults} & {CATALOGUE, FAILURES}
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

    def _is_needless(self, unit: BadUnit, index: BucketIndex) -> bool:
        """Whether no clip of the plan needs anything of a unit, so that it is not made anew."""
        part = self.found.parts.get(unit.component)
        if part is None or part.folder != unit.folder:
            return True  # of an earlier recipe
        planned, keys = part.claimed.planned(index.table), self._keys(unit)
        return not len(planned) or bool(len(keys) and not count_among(planned, keys))

    # Planning

    def _plan(
        self, info: StoreInfo, index: BucketIndex, bad: Sequence[BadUnit]
    ) -> tuple[EncodeJob | None, list[BadUnit]]:
        """Return what to encode again, and the units whose files must be removed first."""
        counts = self.found.report.components
        of_bad = {unit.component for unit in bad}
        needed = [c for c, count in counts.items() if count.missing or c in of_bad]
        if not needed:
            return None, []
        settings = settings_of(info, self.store.location)
        revision = self.options.revision or (None if self.model else info.revision)
        model, family = open_checked(self.model or info.model, revision)
        roles = roles_read(recipe.fields for recipe in info.recipes.values())
        specs = components_of(family, model, roles)
        recipes = make_recipes(family, model, [specs[name] for name in needed], settings)
        _require_same(info, recipes, self.store.location)
        if self.data_root is not None:
            index = BucketIndex(index.table, self.data_root, index.policy)
        job = EncodeJob(index, model, family.name, settings, recipes)
        units: list[Unit] = []
        redone: list[BadUnit] = []
        for component in needed:
            own = [unit for unit in bad if unit.component == component]
            items = job.items(component)
            planned, waiting = self._with_sources(index, items, self._units(items, own))
            units += planned
            redone += (unit for unit in own if not self._waits(unit, waiting))
        return (replace(job, units=units) if units else None), redone

    def _units(self, items: Items, bad: Sequence[BadUnit]) -> list[Unit]:
        """The units to make: those at fault, as they were if that can be; then what is missing."""
        part = self.found.parts[items.component]
        named = {unit.unit for unit in part.bad}
        sound = gather(_sound(self.store, part.folder, named), part.folder, items.source)
        first = {unit.name: unit for unit in plan_units(items, pa.array([], pa.string()), {})}
        was = {unit.unit: first.get(unit.unit) or _as_it_was(items, unit) for unit in bad}
        again = [unit for unit in was.values() if unit is not None]
        tried = dict(zip(*(sound.failed[n].to_pylist() for n in ("key", "attempt")), strict=True))
        forgotten = self._forgotten(items, sound, tried)
        doubtful = [self._keys(unit) for unit in bad if was[unit.unit] is None]
        doubtful.append(pa.array(list(forgotten), pa.string()))
        known = [without(sound.settled, pa.concat_arrays(doubtful))]
        known += [self._keys(unit) for unit in part.bad if unit not in bad]
        settled = pa.concat_arrays([*known, *(keys_in(items, unit) for unit in again)])
        if self.found.report.components[part.component].missing:
            # Of a unit whose receipt is gone nothing may be left but the name of its shard.
            names = sorted({unit_of_shard(name) for name in part.orphaned} & first.keys())
            lost = [first[name] for name in names]
            again += [unit for unit in lost if len(without(keys_in(items, unit), settled))]
            settled = pa.concat_arrays([*known, *(keys_in(items, unit) for unit in again)])
        # What a unit makes again may have failed once more, in another one that is lost, too.
        settled = without(settled, pa.array(list(forgotten), pa.string()))
        return [*again, *plan_units(items, settled, {**tried, **forgotten})]

    def _forgotten(
        self, items: Items, sound: Artifacts, tried: Mapping[str, int]
    ) -> dict[str, int]:
        """What failed once more in a unit whose receipt is lost, and how often it had before."""
        index = self.found.index
        assert index is not None  # noqa: S101
        listed = listed_failures(self.store, index, items.component, items.source)
        keys = without(pa.array(list(listed), pa.string()), sound.stored["key"]).to_pylist()
        return {key: listed[key] - 1 for key in keys if listed[key] > max(1, tried.get(key, 0))}

    def _keys(self, unit: BadUnit) -> pa.Array:
        return keys_of_unit(unit, self.found.listed)

    def _with_sources(
        self, index: BucketIndex, items: Items, units: Sequence[Unit]
    ) -> tuple[list[Unit], pa.Array]:
        """The units whose files are as they were planned, and the artifacts of the others."""
        places = CaptionPlaces.of(index.table)
        own_rows = {unit.name: places.rows(unit.rows) for unit in units}
        rows = [row for unit in units for row in own_rows[unit.name].tolist()]
        rows = rows if items.source.media else []
        gone = _gone(index, items.source.role, rows)
        files = index.files_of(items.source.role)
        made = list[Unit]()
        waiting = [pa.array([], pa.string())]
        for unit in units:
            own = set(files.take(pa.array(own_rows[unit.name])).to_pylist()) & gone.keys()
            if not own:
                made.append(unit)
                continue
            waiting.append(keys_in(items, unit))
            named = "; ".join(f"{name}: {gone[name]}" for name in sorted(own)[:_NAMED])
            more = f"; … {len(own) - _NAMED} more" if len(own) > _NAMED else ""
            self.left_alone.append(f"{unit.component}, unit {unit.name}: {named}{more}")
        return made, pa.concat_arrays(waiting)

    def _waits(self, unit: BadUnit, waiting: pa.Array) -> bool:
        """Whether something of a unit at fault, or perhaps of it, cannot be made now."""
        keys = self._keys(unit)
        return bool(count_among(keys, waiting) if len(keys) else len(waiting))

    # Doing

    def _remove(self, unit: BadUnit) -> None:
        """Removes the receipt first: a shard without one does not exist."""
        files = self.store.files
        if files.size(unit.path) is not None:
            files.delete(unit.path)
            self.removed.append(unit.path)
        for name in shards_of(files, unit.folder, unit.unit):
            files.delete(f"{unit.folder}/{name}")
            self.removed.append(f"{unit.folder}/{name}")

    def _encode(self, job: EncodeJob) -> None:
        from videoprep.encoding.task import EncodeTask

        options = TaskOptions(device=self.options.device, watchdog=self.options.watchdog)
        task = EncodeTask(job, self.store, self.options)
        units = most_expensive_first(task.planned_units())
        with shown(self.progress) as told:
            tally = do_work(task, units, self.session, SingleProcess(), options, told)
        for component in job.recipes:
            counts = tally.counts[component]
            if counts.done > counts.failed:
                self.encoded[component] = counts.done - counts.failed

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
        orphaned = self.found.orphaned
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


def _as_it_was(items: Items, bad: BadUnit) -> Unit | None:
    """The unit that a receipt speaks of, if it can be read and the plan still has all of it."""
    if bad.receipt is None:
        return None
    failures = {failure.key: failure.attempt - 1 for failure in bad.receipt.failures}
    keys = [*(tensor.key for tensor in bad.receipt.tensors), *failures]
    unit = unit_of(items, pa.array(keys, pa.string()), {k: n for k, n in failures.items() if n})
    # It may tell less of attempts than the unit's name, which stays.
    return None if unit is None else replace(unit, name=bad.unit)


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
