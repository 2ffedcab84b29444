"""Checks a store to the last bit, and names every file that is not as it was written.

Nothing is changed. Memory grows with the plan, which is held as columns, not with the shards.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from videoprep.engine.claims import AtWork, Presence, is_service, presence_at
from videoprep.errors import StoreError
from videoprep.families.component import FRAMES, Component, Source, ordered
from videoprep.fs import Files
from videoprep.fs.atomic import is_temporary
from videoprep.index.table import BucketIndex
from videoprep.store.catalogue import Artifacts, gather
from videoprep.store.empty_caption import path_of, read_empty_caption
from videoprep.store.fault import ENCODE_AGAIN, REPAIR, BadUnit, Note, StoreFault
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
    is_receipt,
    is_shard,
)
from videoprep.store.plan_check import (
    Keys,
    ReadCatalogue,
    check_catalogue,
    check_failures,
    check_index,
    clips_of,
    places_of,
    read_catalogue,
)
from videoprep.store.receipt import Receipt, StoredTensor
from videoprep.store.recipe import Recipe
from videoprep.store.unit_check import check_unit, check_without_receipt

_VISIBLE = (INFO, INDEX, CATALOGUE, FAILURES, DAMAGED)
_HASH_DIGITS = 16

# Reading and hashing let go of the interpreter's lock; elsewhere each request takes a while.
_LOCAL_READERS, _REMOTE_READERS = 4, 16

OnChecked = Callable[[int, int], None]
"""Told how many units are checked, and how many there are."""


@dataclass(frozen=True, slots=True)
class ComponentCheck:
    """The artifacts of one component, distinct ones; the four last add up to ``planned``.

    Attributes:
        planned: those that the plan needs.
        sound: stored, and as they were written.
        damaged: in a unit that has to be made anew.
        set_aside: could not be made; ``failures.jsonl`` says why.
        missing: none of these.
        orphans: stored, but no clip of the plan needs them.
        orphan_bytes: their size.
    """

    planned: int
    sound: int
    damaged: int
    set_aside: int
    missing: int
    orphans: int
    orphan_bytes: int


@dataclass(frozen=True, slots=True)
class EarlierRecipe:
    """Artifacts that the catalogue does not name because they were made in another way.

    Attributes:
        component: which one.
        recipe: names the folder.
        artifacts: how many there are.
        bytes: their size.
        why: how the recipe differs from the present one.
    """

    component: str
    recipe: str
    artifacts: int
    bytes: int
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repair:
    """What `verify` did about the faults.

    Attributes:
        before: the faults that there were.
        encoded: artifacts made anew, by component.
        removed: files removed: of units that were made anew, orphaned shards, leftovers.
        rewritten: derived files that were written anew.
        left_alone: what could not be repaired, and why.
    """

    before: tuple[StoreFault, ...]
    encoded: Mapping[Component, int]
    removed: tuple[str, ...]
    rewritten: tuple[str, ...]
    left_alone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What is wrong with a store.

    Attributes:
        store: which one.
        faults: every file that is not as it has to be.
        notes: files that do no harm: orphaned shards, leftovers, unknown ones.
        components: counts; empty where the plan or ``store.json`` cannot be relied on.
        earlier: artifacts of earlier recipes.
        at_work: processes that work at the store now; what they have not finished counts as
            missing.
        units: how many units were checked.
        bytes: the size of their shards.
        seconds: how long it took.
        repair: what was done about it, where that was asked for; ``faults`` are those left.
    """

    store: str
    faults: tuple[StoreFault, ...]
    notes: tuple[Note, ...]
    components: Mapping[Component, ComponentCheck]
    earlier: tuple[EarlierRecipe, ...]
    at_work: tuple[AtWork, ...]
    units: int
    bytes: int
    seconds: float
    repair: Repair | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        return {"ok": self.ok, **asdict(self)}

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(f.kind)}</td><td>{html.escape(f.name)}</td>"
            f"<td>{html.escape(f.what)}</td></tr>"
            for f in self.faults
        )
        verdict = "nothing is wrong" if self.ok else f"{len(self.faults)} faults"
        return f"<p><b>{html.escape(self.store)}</b>: {verdict}</p><table>{rows}</table>"


@dataclass(slots=True)
class RecipeCheck:
    """One recipe's folder, checked.

    Attributes:
        component: which one.
        recipe: names the folder.
        claimed: what its receipts say that can be read.
        bad: units that have to be made anew.
        orphaned: shards that no receipt names.
        notes: other files.
        units: how many receipts there are.
    """

    component: Component
    recipe: str
    claimed: Artifacts
    bad: list[BadUnit]
    orphaned: list[str]
    notes: list[Note]
    units: int

    @property
    def folder(self) -> str:
        """Where it lies."""
        return f"{self.component}/{self.recipe}"

    @property
    def bytes(self) -> int:
        """The size of its artifacts."""
        return int(pc.sum(self.claimed.stored["bytes"]).as_py() or 0)


@dataclass(frozen=True, slots=True)
class Examination:
    """All that a check has found.

    Attributes:
        store: what was checked.
        info: ``store.json``, where it can be relied on.
        index: the plan, where it can be relied on.
        parts: the folders of the present recipes.
        others: the folders of other recipes.
        presence: who is at the store.
        listed: the catalogue.
        report: all of it in words and numbers.
    """

    store: Store
    info: StoreInfo | None
    index: BucketIndex | None
    parts: Mapping[Component, RecipeCheck]
    others: Sequence[RecipeCheck]
    presence: Presence
    listed: ReadCatalogue
    report: VerifyReport

    def bad_units(self) -> list[BadUnit]:
        """Units at fault, of whatever recipe."""
        return [unit for part in (*self.parts.values(), *self.others) for unit in part.bad]

    def orphaned(self) -> list[str]:
        """Shards that no receipt names."""
        return [name for part in (*self.parts.values(), *self.others) for name in part.orphaned]


def examine(
    store: Store, on_checked: OnChecked | None = None, without: Sequence[str] = ()
) -> Examination:
    """Checks every file of a store. Changes nothing.

    Args:
        store: which one.
        on_checked: told how far it is.
        without: sessions that do not count as being at work.

    Raises:
        StoreError: there is no store.
        OSError: the store cannot be listed.
    """
    started = time.monotonic()
    info, faults = _check_info(store)
    presence = presence_at(store.files, without)
    parts = _check_parts(store.files, info, presence, on_checked)
    listed = read_catalogue(store)
    index, of_index = check_index(store, listed.index_xxh3)
    current = _current(parts, info)
    others = [part for part in parts if part not in current.values()]
    for part in parts:
        _add_lost_receipts(store, part, listed)
    planned = _planned(index, info)
    unknown = {name: _unknown(keys, current.get(name)) for name, keys in planned.items()}
    of_units = [_fault_of(bad, part, index, listed) for part in parts for bad in part.bad]
    of_units += [
        fault
        for part in parts
        for bad in part.bad
        for fault in _without_receipt(store, bad, listed)
    ]
    of_plan, notes = _check_lists(store, index, info, current, unknown, listed)
    faults += [*of_index, *of_plan, *of_units, *_missing(info, index, current, unknown, listed)]
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
        components={c: _count(keys, unknown[c], current.get(c)) for c, keys in planned.items()},
        earlier=tuple(earlier_recipes(info, others)),
        at_work=presence.at_work,
        units=sum(part.units for part in parts),
        bytes=sum(part.bytes for part in parts),
        seconds=time.monotonic() - started,
    )
    return Examination(store, info, index, current, others, presence, listed, report)


def earlier_recipes(
    info: StoreInfo | None, parts: Iterable[RecipeCheck]
) -> Iterator[EarlierRecipe]:
    """What the folders of other recipes hold, and how those differ."""
    known = {} if info is None else {r.id: r for r in (*info.earlier, *info.recipes.values())}
    for part in parts:
        size = int(pc.sum(part.claimed.stored["bytes"]).as_py() or 0)
        rows = part.claimed.stored.num_rows
        recipe = known.get(part.recipe)
        present = None if info is None else info.recipes.get(part.component)
        yield EarlierRecipe(part.component, part.recipe, rows, size, why_earlier(recipe, present))


def why_earlier(recipe: Recipe | None, present: Recipe | None) -> tuple[str, ...]:
    """How an earlier recipe differs from the present one, in words."""
    if recipe is None:
        return (f"{INFO} does not name this recipe",)
    if present is None:
        return ("the store has no such component now",)
    return tuple(present.differences(recipe.fields))


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
    done = 0
    parts = []
    for (component, recipe), found in names.items():

        def told(so_far: int, before: int = done) -> None:
            if on_checked is not None:
                on_checked(before + so_far, total)

        source = _source_of(info, component, recipe)
        part = _check_part(files, component, recipe, source, found, presence, told)
        done += part.units
        parts.append(part)
    return parts


def _source_of(info: StoreInfo | None, component: Component, recipe: str) -> Source:
    """Artifacts of a recipe that ``store.json`` does not know are counted, never sought."""
    known = () if info is None else (*info.recipes.values(), *info.earlier)
    same = (one for one in known if (one.component, one.id) == (component, recipe))
    return next((one.source for one in same), FRAMES)


def _check_part(
    files: Files,
    component: Component,
    recipe: str,
    source: Source,
    names: Sequence[str],
    presence: Presence,
    told: Callable[[int], None],
) -> RecipeCheck:
    folder = f"{component}/{recipe}"
    units = [name.removesuffix(".json") for name in names if is_receipt(name)]
    bad: list[BadUnit] = []
    named: set[str] = set()

    def readable() -> Iterator[Receipt]:
        for done, found in enumerate(_checked(files, folder, units), 1):
            receipt = found.receipt if isinstance(found, BadUnit) else found
            if isinstance(found, BadUnit):
                bad.append(found)
            if receipt is not None:
                named.add(receipt.shard or "")
                yield receipt
            told(done)

    claimed = gather(readable(), folder, source)
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
            receipt = Receipt.from_bytes(files.read(f"{folder}/{unit_of_shard(shard)}.json"))
        except FileNotFoundError:
            yield name
        except ValueError:
            continue  # it may be just being written
        else:
            if receipt.shard != shard:
                yield name


def unit_of_shard(shard: str) -> str:
    """The unit of a shard, by the name of the file: the unit's, and a hash of its contents."""
    return shard.rpartition("/")[2].removesuffix(".safetensors")[: -_HASH_DIGITS - 1]


def _shard_note(files: Files, name: str, in_hand: bool) -> Note:
    size = files.size(name) or 0
    if in_hand:
        return Note(name, "in hand", "a shard that is just being committed", size)
    return Note(name, "orphaned", "a shard without a receipt: it does not exist for readers", size)


def _add_lost_receipts(store: Store, part: RecipeCheck, listed: ReadCatalogue) -> None:
    """Finds receipts that are gone although the catalogue names their shards."""
    name = f"{part.component}_shard"
    if listed.table is None or name not in listed.table.schema.names:
        return
    shards = pc.unique(listed.table[name].drop_null()).to_pylist()
    prefix = f"{part.folder}/"
    units = {unit_of_shard(shard) for shard in shards if shard.startswith(prefix)}
    known = part.claimed.units | {unit.unit for unit in part.bad}
    for unit in sorted(units - known):
        path = f"{prefix}{unit}.json"
        if store.files.size(path) is None:
            what = "the receipt is gone, though the catalogue names its shard"
            part.bad.append(BadUnit(part.folder, unit, path, "missing", what))
            own = [n for n in part.orphaned if unit_of_shard(n) == unit]
            part.orphaned = [n for n in part.orphaned if n not in own]
            part.notes = [note for note in part.notes if note.name not in own]


# The plan


def _current(parts: Sequence[RecipeCheck], info: StoreInfo | None) -> dict[Component, RecipeCheck]:
    if info is None:
        return {}
    ids = {component: recipe.id for component, recipe in info.recipes.items()}
    return {part.component: part for part in parts if ids.get(part.component) == part.recipe}


def _planned(index: BucketIndex | None, info: StoreInfo | None) -> dict[Component, pa.Array]:
    """The distinct artifacts that the plan needs."""
    if index is None or info is None:
        return {}
    columns = {c: info.recipes[c].source.keys(index.table) for c in ordered(info.recipes)}
    return {c: _whole(pc.unique(pc.drop_null(column))) for c, column in columns.items()}


def _unknown(planned: pa.Array, part: RecipeCheck | None) -> pa.Array:
    """Artifacts of the plan of which no receipt speaks that can be read."""
    if part is None:
        return planned
    told = [*part.claimed.stored["key"].chunks, *part.claimed.failed["key"].chunks]
    known = pc.is_in(planned, value_set=_whole(pa.chunked_array(told, pa.string())))
    return planned.filter(pc.invert(known))


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _count(planned: pa.Array, unknown: pa.Array, part: RecipeCheck | None) -> ComponentCheck:
    if part is None:
        return ComponentCheck(len(planned), 0, 0, 0, len(planned), 0, 0)
    stored = part.claimed.stored
    needed = pc.is_in(stored["key"], value_set=planned)
    keys = _whole(stored["key"].filter(needed))
    failed = pc.sum(pc.is_in(part.claimed.failed["key"], value_set=planned)).as_py() or 0
    receipts = [unit.receipt for unit in part.bad if unit.receipt is not None]
    lost = pa.array([t.key for receipt in receipts for t in receipt.tensors], pa.string())
    damaged = pc.sum(pc.is_in(keys, value_set=lost)).as_py() or 0
    unneeded = stored["bytes"].filter(pc.invert(needed))
    return ComponentCheck(
        planned=len(planned),
        sound=len(keys) - damaged,
        damaged=damaged,
        set_aside=failed,
        missing=len(unknown),
        orphans=len(unneeded),
        orphan_bytes=pc.sum(unneeded).as_py() or 0,
    )


def _check_lists(
    store: Store,
    index: BucketIndex | None,
    info: StoreInfo | None,
    current: Mapping[Component, RecipeCheck],
    unknown: Keys,
    listed: ReadCatalogue,
) -> tuple[list[StoreFault], list[Note]]:
    """Checks the catalogue and the list of failures."""
    faults, notes = list(listed.faults), list[Note]()
    if index is None or info is None:
        if store.files.size(FAILURES) is None:
            what = "the encoding was not finished, or it is gone"
            faults.append(StoreFault(FAILURES, "missing", what, ENCODE_AGAIN))
        # A repair has nothing to write them from.
        return [replace(fault, remedy=ENCODE_AGAIN) for fault in faults], notes
    claimed = {
        c: current[c].claimed if c in current else gather((), "", recipe.source)
        for c, recipe in info.recipes.items()
    }
    lost = [(c, bad) for c, part in current.items() for bad in part.bad if bad.receipt is None]
    excused = {
        c: pa.concat_arrays([keys, *(_listed_keys(listed, c, bad) for d, bad in lost if d == c)])
        for c, keys in unknown.items()
    }
    if listed.table is not None:
        of_catalogue, notes = check_catalogue(store, index, claimed, excused, listed.table)
        faults += of_catalogue
    doubtful = {component for component, _ in lost}
    return [*faults, *check_failures(store, index, claimed, excused, doubtful)], notes


def _missing(
    info: StoreInfo | None,
    index: BucketIndex | None,
    current: Mapping[Component, RecipeCheck],
    unknown: Keys,
    listed: ReadCatalogue,
) -> Iterator[StoreFault]:
    """Artifacts that nobody knows of: neither a receipt, nor a unit that is named already.

    What a receipt that cannot be read may have recorded as failed is told by no other file. It is
    named, and they are not named again.
    """
    for component, keys in unknown.items():
        assert info is not None  # noqa: S101 (else nothing is unknown)
        part, recipe = current.get(component), info.recipes[component]
        named = [_listed_keys(listed, component, bad) for bad in part.bad] if part else []
        if not all(map(len, named)):
            continue
        rest = keys
        for some in named:
            rest = rest.filter(pc.invert(pc.is_in(rest, value_set=some)))
        if len(rest) and index is not None:
            what = f"{len(rest)} artifacts of the plan are neither stored nor failed"
            clips = clips_of(index, recipe.source, rest)
            yield StoreFault(f"{Store.folder(recipe)}/", "missing", what, REPAIR, len(rest), clips)


def _listed_keys(listed: ReadCatalogue, component: Component, bad: BadUnit) -> pa.Array:
    """The artifacts of a unit as the catalogue has them."""
    shards = f"{component}_shard"
    if listed.table is None or shards not in listed.table.schema.names:
        return pa.array([], pa.string())
    own = pc.starts_with(listed.table[shards], f"{bad.folder}/{bad.unit}-")
    return _whole(pc.unique(listed.table[f"{component}_key"].filter(own)))


def keys_of_unit(bad: BadUnit, listed: ReadCatalogue) -> pa.Array:
    """The artifacts of a unit at fault, as far as receipt or catalogue tell."""
    if bad.receipt is None:
        component: Any = bad.folder.partition("/")[0]
        return _listed_keys(listed, component, bad)
    stored = [tensor.key for tensor in bad.receipt.tensors]
    return pa.array([*stored, *(failure.key for failure in bad.receipt.failures)], pa.string())


def _without_receipt(store: Store, bad: BadUnit, listed: ReadCatalogue) -> Iterator[StoreFault]:
    """What is wrong with the shard of a unit whose receipt is gone, or cannot be read."""
    if bad.receipt is not None or bad.kind == "unreadable" or listed.table is None:
        return
    component: Any = bad.folder.partition("/")[0]
    places = places_of(listed.table, component)
    own = places.filter(pc.starts_with(places["shard"], f"{bad.folder}/{bad.unit}-")).to_pylist()
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
