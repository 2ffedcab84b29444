"""Checks a store to the last bit, and names every file that is not as it was written.

Nothing is changed. Memory grows with the plan, which is held as columns, not with the shards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count

import pyarrow as pa
import pyarrow.compute as pc

from videoprep.engine.claims import Presence, is_service, presence_at
from videoprep.errors import StoreError
from videoprep.families.component import FRAMES, Component, Source, ordered
from videoprep.fs import Files
from videoprep.fs.atomic import is_temporary
from videoprep.index.table import BucketIndex
from videoprep.store.catalogue import Artifacts, count_among, gather, without
from videoprep.store.empty_caption import path_of, read_empty_caption
from videoprep.store.format import (
    StoredTensor,
    is_receipt,
    is_shard,
    unit_of_receipt,
    unit_of_shard,
)
from videoprep.store.layout import (
    CATALOGUE,
    DAMAGED,
    EMPTY_CAPTION,
    FAILURES,
    INDEX,
    INFO,
    Store,
    StoreInfo,
    component_folders,
    info_bytes,
)
from videoprep.store.plan_check import (
    ReadCatalogue,
    check_catalogue,
    check_failures,
    check_index,
    clips_of,
    read_catalogue,
)
from videoprep.store.receipt import Receipt
from videoprep.store.recipe import Recipe
from videoprep.store.unit_check import BadUnit, check_unit, check_without_receipt
from videoprep.store.verify_report import (
    ENCODE_AGAIN,
    REPAIR,
    ComponentCheck,
    EarlierRecipe,
    Note,
    StoreFault,
    VerifyReport,
)

_VISIBLE = (INFO, INDEX, CATALOGUE, FAILURES, DAMAGED)

# Reading and hashing let go of the interpreter's lock; elsewhere each request takes a while.
_LOCAL_READERS, _REMOTE_READERS = 4, 16

OnChecked = Callable[[int, int], None]
"""Told how many units are checked, and how many there are."""


@dataclass(slots=True)
class RecipeCheck:
    """One recipe's folder, checked."""

    component: Component
    recipe: str
    """Names the folder."""
    claimed: Artifacts
    """What its receipts say that can be read."""
    bad: list[BadUnit]
    """Units that must be encoded again."""
    orphaned: list[str]
    """Shards that no receipt names."""
    notes: list[Note]
    """Other files."""
    units: int
    """How many receipts there are."""

    @property
    def folder(self) -> str:
        """Where it lies."""
        return f"{self.component}/{self.recipe}"


@dataclass(frozen=True, slots=True)
class Examination:
    """All that a check has found.

    Attributes:
        store: what was checked.
        info: ``store.json``, where it can be relied on.
        index: the plan, where it can be relied on.
        parts: the folders of the present recipes.
        others: the folders of other recipes.
        listed: the catalogue.
        report: all of it in words and numbers.
    """

    store: Store
    info: StoreInfo | None
    index: BucketIndex | None
    parts: Mapping[Component, RecipeCheck]
    others: Sequence[RecipeCheck]
    listed: ReadCatalogue
    report: VerifyReport

    @property
    def bad_units(self) -> list[BadUnit]:
        """Units at fault, of whatever recipe."""
        return [unit for part in (*self.parts.values(), *self.others) for unit in part.bad]

    @property
    def orphaned(self) -> list[str]:
        """Shards that no receipt names."""
        return [name for part in (*self.parts.values(), *self.others) for name in part.orphaned]


def examine(store: Store, on_checked: OnChecked | None = None) -> Examination:
    """Check every file of a store. Changes nothing.

    Args:
        store: which one.
        on_checked: told how far it is.

    Raises:
        StoreError: there is no store.
        OSError: the store cannot be listed.
    """
    started = time.monotonic()
    info, faults = _check_info(store)
    presence = presence_at(store.files)
    parts = _check_parts(store.files, info, presence, on_checked)
    listed = read_catalogue(store)
    index, of_index = check_index(store, listed.index_xxh3)
    current = _current(info, parts)
    others = [part for part in parts if part not in current.values()]
    for part in parts:
        _add_lost_receipts(store, part, listed)
    of_units = [_fault_of(bad, part, index, listed) for part in parts for bad in part.bad]
    of_units += [
        fault
        for part in parts
        for bad in part.bad
        for fault in _without_receipt(store, bad, listed)
    ]
    of_plan, notes = _check_plan(store, index, current, listed)
    faults += [*of_index, *of_plan, *of_units]
    if info is not None:
        faults += _damaged_empty_captions(store.files, info)
    for part in parts:
        notes += part.notes
    notes += [Note(name, "leftover", "of a process that died") for name in presence.dead]
    notes += _strangers(store.files)
    report = VerifyReport(
        store=store.location,
        faults=tuple(fault.named_in(store.location) for fault in faults),
        notes=tuple(notes),
        components={c: _count(part, index) for c, part in current.items() if index is not None},
        earlier=tuple(
            earlier_recipe(info, part.component, part.recipe, part.claimed) for part in others
        ),
        at_work=presence.at_work,
        units=sum(part.units for part in parts),
        bytes=sum(part.claimed.bytes for part in parts),
        seconds=time.monotonic() - started,
    )
    return Examination(store, info, index, current, others, listed, report)


def earlier_recipe(
    info: StoreInfo | None,
    component: Component,
    name: str,
    made: Artifacts,
    present: Recipe | None = None,
) -> EarlierRecipe:
    """Return what the folder of another recipe holds, and how that recipe differs.

    Args:
        info: ``store.json``, if it can be relied on.
        component: what is made by the recipe.
        name: the recipe's id.
        made: what its receipts say.
        present: the recipe that counts; None: that of ``store.json``.
    """
    recipes = {} if info is None else info.recipes
    known = {r.id: r for r in (() if info is None else (*info.earlier, *recipes.values()))}
    present = present or recipes.get(component)
    if name not in known:
        why = [f"{INFO} does not name this recipe"]
    elif present is None:
        why = ["the store has no such component now"]
    else:
        why = present.differences(known[name].fields)
    return EarlierRecipe(component, name, made.stored.num_rows, made.bytes, tuple(why))


# store.json


def _check_info(store: Store) -> tuple[StoreInfo | None, list[StoreFault]]:
    """Reads ``store.json``; that there is no store at all is an error, not a fault."""
    if not store.exists():
        place = store.files.path("")
        if (place is not None and place.is_file()) or not _has_remains(store.files):
            store.read_info()  # says that there is none
        return None, [StoreFault(INFO, "missing", "it is gone", ENCODE_AGAIN)]
    again = f"delete it; then {ENCODE_AGAIN}"
    try:
        info = store.read_info()
    except StoreError as error:
        return None, [StoreFault(INFO, "damaged", error.message, again)]
    if store.files.read(INFO) != info_bytes(info):
        what = "its bytes are not those that were written"
        return None, [StoreFault(INFO, "damaged", what, again)]
    return info, []


def _has_remains(files: Files) -> bool:
    """Whether there is something that only a store has."""
    lists = any(files.size(name) is not None for name in (INDEX, CATALOGUE))
    return lists or bool(component_folders(files))


# Units


def _check_parts(
    files: Files, info: StoreInfo | None, presence: Presence, on_checked: OnChecked | None
) -> list[RecipeCheck]:
    """Checks every recipe's folder, those of earlier recipes, too."""
    folders = [(c, recipe) for c in component_folders(files) for recipe in files.folders(c)]
    names = {place: files.names("/".join(place)) for place in folders}
    total = sum(is_receipt(name) for found in names.values() for name in found)
    numbers = count(1)

    def told() -> None:
        if on_checked is not None:
            on_checked(next(numbers), total)

    return [
        _check_part(files, component, recipe, info, found, presence, told)
        for (component, recipe), found in names.items()
    ]


def _source_of(info: StoreInfo | None, component: Component, recipe: str) -> Source:
    """Artifacts of a recipe that ``store.json`` does not know are counted, never sought."""
    known = () if info is None else (*info.recipes.values(), *info.earlier)
    same = (one for one in known if (one.component, one.id) == (component, recipe))
    return next((one.source for one in same), FRAMES)


def _check_part(
    files: Files,
    component: Component,
    recipe: str,
    info: StoreInfo | None,
    names: Sequence[str],
    presence: Presence,
    told: Callable[[], None],
) -> RecipeCheck:
    folder = f"{component}/{recipe}"
    units = [unit_of_receipt(name) for name in names if is_receipt(name)]
    bad: list[BadUnit] = []
    named: set[str | None] = set()

    def readable() -> Iterator[Receipt]:
        for found in _checked(files, folder, units):
            receipt = found.receipt if isinstance(found, BadUnit) else found
            if isinstance(found, BadUnit):
                bad.append(found)
            if receipt is not None:
                named.add(receipt.shard)
                yield receipt
            told()

    claimed = gather(readable(), folder, _source_of(info, component, recipe))
    unreadable = {unit.unit for unit in bad if unit.receipt is None}
    shards = [
        n for n in names if is_shard(n) and n not in named and unit_of_shard(n) not in unreadable
    ]
    in_hand = {name for name in shards if f"{folder}/{unit_of_shard(name)}" in presence.claimed}
    notes = [_shard_note(files, f"{folder}/{name}", name in in_hand) for name in shards]
    notes += _unknown_files(folder, [n for n in names if not is_receipt(n) and not is_shard(n)])
    notes += [Note(f"{folder}/{f}/", "unknown", _UNKNOWN) for f in files.folders(folder)]
    orphaned = [f"{folder}/{name}" for name in shards if name not in in_hand]
    return RecipeCheck(component, recipe, claimed, bad, orphaned, notes, len(units))


def _checked(files: Files, folder: str, units: Sequence[str]) -> Iterator[Receipt | BadUnit | None]:
    """Checks units, several at a time, in their order."""
    readers = _REMOTE_READERS if files.path("") is None else _LOCAL_READERS
    pool = ThreadPoolExecutor(readers)
    try:
        yield from pool.map(lambda unit: check_unit(files, folder, unit), units)
    finally:
        pool.shutdown(cancel_futures=True)


def orphaned_at(files: Files, shards: Iterable[str]) -> Iterator[str]:
    """Those of some shards that still have no receipt of their unit, or one that counts another."""
    for name in shards:
        folder, _, shard = name.rpartition("/")
        try:
            receipt = Receipt.from_bytes(
                files.read(Store.receipt(f"{folder}/{unit_of_shard(shard)}"))
            )
        except FileNotFoundError:
            yield name
        except ValueError:
            continue  # it may be just being written
        else:
            if receipt.shard != shard:
                yield name


def _shard_note(files: Files, name: str, in_hand: bool) -> Note:
    size = files.size(name) or 0
    if in_hand:
        return Note(name, "in hand", "a shard that is just being committed", size)
    return Note(name, "orphaned", "a shard without a receipt: it does not exist for readers", size)


def _add_lost_receipts(store: Store, part: RecipeCheck, listed: ReadCatalogue) -> None:
    """Finds receipts that are gone although the catalogue names their shards."""
    shards = pc.unique(listed.places(part.component)["shard"]).to_pylist()
    units = {unit_of_shard(shard) for shard in shards if shard.startswith(f"{part.folder}/")}
    known = part.claimed.units | {unit.unit for unit in part.bad}
    for unit in sorted(units - known):
        path = store.receipt(f"{part.folder}/{unit}")
        if store.files.size(path) is None:
            what = "the receipt is gone, though the catalogue names its shard"
            part.bad.append(BadUnit(part.folder, unit, path, "missing", what))
            own = [n for n in part.orphaned if unit_of_shard(n) == unit]
            part.orphaned = [n for n in part.orphaned if n not in own]
            part.notes = [note for note in part.notes if note.name not in own]


# The plan


def _current(info: StoreInfo | None, parts: Iterable[RecipeCheck]) -> dict[Component, RecipeCheck]:
    """The folders of the present recipes; nothing is in those that are not there."""
    there = {part.folder: part for part in parts}
    recipes = () if info is None else [info.recipes[name] for name in ordered(info.recipes)]
    return {
        r.component: there.get(Store.folder(r))
        or RecipeCheck(r.component, r.id, gather((), "", r.source), [], [], [], 0)
        for r in recipes
    }


def _count(part: RecipeCheck, index: BucketIndex) -> ComponentCheck:
    counts = part.claimed.count(index.table)
    receipts = [unit.receipt for unit in part.bad if unit.receipt is not None]
    lost = pa.array([t.key for receipt in receipts for t in receipt.tensors], pa.string())
    damaged = count_among(part.claimed.planned(index.table), lost)
    return ComponentCheck(
        planned=counts.planned,
        sound=counts.stored - damaged,
        damaged=damaged,
        set_aside=counts.failed,
        missing=counts.planned - counts.stored - counts.failed,
        orphans=counts.orphans,
        orphan_bytes=counts.orphan_bytes,
    )


def _check_plan(
    store: Store,
    index: BucketIndex | None,
    current: Mapping[Component, RecipeCheck],
    listed: ReadCatalogue,
) -> tuple[list[StoreFault], list[Note]]:
    """Checks the catalogue and the list of failures, and that all that is planned is known of."""
    faults, notes = list(listed.faults), list[Note]()
    if index is None or not current:
        if store.files.size(FAILURES) is None:
            what = "the encoding was not finished, or it is gone"
            faults.append(StoreFault(FAILURES, "missing", what, ENCODE_AGAIN))
        # A repair has nothing to write them from.
        return [replace(fault, remedy=ENCODE_AGAIN) for fault in faults], notes
    claimed = {component: part.claimed for component, part in current.items()}
    unknown = {c: without(made.planned(index.table), made.settled) for c, made in claimed.items()}
    lost = [bad for part in current.values() for bad in part.bad if bad.receipt is None]
    excused = {
        component: pa.concat_arrays(
            [keys, *(keys_of_unit(bad, listed) for bad in lost if bad.component == component)]
        )
        for component, keys in unknown.items()
    }
    if listed.table is not None:
        of_catalogue, notes = check_catalogue(store, index, claimed, excused, listed)
        faults += of_catalogue
    doubtful = {bad.component for bad in lost}
    faults += check_failures(store, index, claimed, excused, doubtful)
    for component, part in current.items():
        faults += _missing(part, index, unknown[component], listed)
    return faults, notes


def _missing(
    part: RecipeCheck, index: BucketIndex, keys: pa.Array, listed: ReadCatalogue
) -> Iterator[StoreFault]:
    """Artifacts that nobody knows of: neither a receipt, nor a unit that is named already.

    What a receipt that cannot be read may have recorded as failed is told by no other file. It is
    named, and they are not named again.
    """
    named = [listed.keys(part.component, bad.id) for bad in part.bad]
    if not all(map(len, named)):
        return
    for some in named:
        keys = without(keys, some)
    if len(keys):
        what = f"{len(keys)} artifacts of the plan are neither stored nor failed"
        clips = clips_of(index, part.claimed.source, keys)
        yield StoreFault(f"{part.folder}/", "missing", what, REPAIR, len(keys), clips)


def keys_of_unit(bad: BadUnit, listed: ReadCatalogue) -> pa.Array:
    """The artifacts of a unit at fault, as far as receipt or catalogue tell."""
    if bad.receipt is None:
        return listed.keys(bad.component, bad.id)
    stored = [tensor.key for tensor in bad.receipt.tensors]
    return pa.array([*stored, *(failure.key for failure in bad.receipt.failures)], pa.string())


def _without_receipt(store: Store, bad: BadUnit, listed: ReadCatalogue) -> Iterator[StoreFault]:
    """What is wrong with the shard of a unit whose receipt is gone, or cannot be read."""
    if bad.receipt is not None or bad.kind == "unreadable":
        return
    own = listed.places(bad.component, bad.id).to_pylist()
    for shard in dict.fromkeys(row["shard"] for row in own):
        tensors = [
            StoredTensor(r["key"], r["offset"], r["bytes"], r["dtype"], (), r["xxh3"])
            for r in own
            if r["shard"] == shard
        ]
        what = check_without_receipt(store.files, shard, tensors)
        if what is not None:
            gone = store.files.size(shard) is None
            yield StoreFault(shard, "missing" if gone else "damaged", what, REPAIR, len(tensors))


def _fault_of(
    bad: BadUnit, part: RecipeCheck, index: BucketIndex | None, listed: ReadCatalogue
) -> StoreFault:
    keys = pa.array(bad.damaged, pa.string()) if bad.damaged else keys_of_unit(bad, listed)
    clips = clips_of(index, part.claimed.source, keys) if index is not None else ()
    remedy = REPAIR
    if bad.kind == "unreadable":
        remedy = f"check the disk or the network; if it stays so, delete the file and {REPAIR}"
    return StoreFault(bad.name, bad.kind, bad.what, remedy, len(keys), clips)


def _damaged_empty_captions(files: Files, info: StoreInfo) -> Iterator[StoreFault]:
    """A store that has none yet is whole: only some training needs them."""
    for recipe in info.recipes.values():
        if recipe.source.media or files.size(path_of(recipe)) is None:
            continue
        try:
            read_empty_caption(files, recipe)
        except StoreError as error:
            yield StoreFault(path_of(recipe), "damaged", error.message, REPAIR)


# What does not belong

_UNKNOWN = "not of videoprep; it is left as it is"


def _strangers(files: Files) -> Iterator[Note]:
    """Files and folders that no store has."""
    top = [name for name in files.names() if name not in _VISIBLE]
    yield from _unknown_files("", top)
    components = component_folders(files)
    for folder in files.folders():
        if folder in components:
            yield from _unknown_files(folder, files.names(folder))
        elif folder != EMPTY_CAPTION and not is_service(folder):
            yield Note(f"{folder}/", "unknown", _UNKNOWN)


def _unknown_files(folder: str, names: Iterable[str]) -> Iterator[Note]:
    """All but temporary files: of those whose writers are dead `Presence` tells."""
    for name in names:
        if not is_temporary(name):
            yield Note(f"{folder}/{name}" if folder else name, "unknown", _UNKNOWN)
