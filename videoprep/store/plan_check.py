"""Checks the files that speak of clips: the plan, the catalogue, the list of failures."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from videoprep.errors import VideoprepError
from videoprep.families.caption_places import CaptionPlaces, Places
from videoprep.families.component import Component, Source
from videoprep.fs import Files
from videoprep.index.arrow_buffer import reader_of
from videoprep.index.clip import has_own_keys
from videoprep.index.table import BucketIndex
from videoprep.store.catalogue import (
    METADATA,
    STORED,
    Artifacts,
    catalogue_writer,
    further_places,
    is_among,
    json_lines,
    set_aside,
    whole,
)
from videoprep.store.format import shard_prefix
from videoprep.store.layout import CATALOGUE, FAILURES, INDEX, Store
from videoprep.store.verify_report import ENCODE_AGAIN, REPAIR, FaultKind, Note, StoreFault

# What reading a file can end in that was damaged at any place.
UNREADABLE = (VideoprepError, pa.ArrowException, ValueError, KeyError, TypeError, OverflowError)

_ROWS = 65_536
_SHOWN = 5

Keys = Mapping[Component, pa.Array]
Sources = Mapping[Component, Source]


@dataclass(frozen=True, slots=True)
class ReadCatalogue:
    """What can be read of the catalogue.

    Attributes:
        table: its rows; None where it is missing or cannot be read.
        index_xxh3: the plan that it follows; None where it does not say.
        faults: what is wrong with it by itself.
    """

    table: pa.Table | None
    index_xxh3: str | None
    faults: tuple[StoreFault, ...]

    def places(self, component: Component, unit: str = "") -> pa.Table:
        """Return where artifacts of a component lie: the columns of `Artifacts.stored`.

        Args:
            component: which.
            unit: of this one alone, ``component/recipe/name``.
        """
        names = [f"{component}_{name}" for name in STORED.names]
        if self.table is None or not set(names) <= set(self.table.schema.names):
            return STORED.empty_table()
        places = self.table.select(names).rename_columns(STORED.names).cast(STORED)
        places = pa.concat_tables([places, further_places(self.table, component)])
        places = places.filter(pc.starts_with(places["shard"], shard_prefix(unit) if unit else ""))
        first = pc.index_in(pc.unique(places["key"]), value_set=whole(places["key"]))
        return places.take(first)

    def keys(self, component: Component, unit: str) -> pa.Array:
        """Return the artifacts of a unit, ``component/recipe/name``."""
        return whole(self.places(component, unit)["key"])


def read_catalogue(store: Store) -> ReadCatalogue:
    """Reads the catalogue, whatever its state.

    Raises:
        OSError: the file system fails.
    """
    if store.files.size(CATALOGUE) is None:
        fault = StoreFault(
            CATALOGUE, "missing", "the encoding was not finished, or it is gone", REPAIR
        )
        return ReadCatalogue(None, None, (fault,))
    try:
        table = _table(store.files.read(CATALOGUE))
        facts = json.loads(table.schema.metadata[METADATA])
        return ReadCatalogue(table, str(facts["index_xxh3"]), ())
    except (*UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        kind = _kind_of(store.files, CATALOGUE)
        what = f"cannot be read: {_short(error)}"
        return ReadCatalogue(None, None, (StoreFault(CATALOGUE, kind, what, REPAIR),))


def check_index(store: Store, followed: str | None) -> tuple[BucketIndex | None, list[StoreFault]]:
    """Checks the plan.

    Args:
        store: where it is.
        followed: the digest of the plan that the catalogue follows; None where none is known.

    Returns:
        The plan, where it can be relied on, and what is wrong.
    """
    try:
        digest = store.digest(INDEX)
    except FileNotFoundError:
        what = "the encoding was not finished, or it is gone"
        return None, [StoreFault(INDEX, "missing", what, ENCODE_AGAIN)]
    index, problem = _readable_index(store)
    if digest == followed and index is not None:
        return index, []
    if problem is None and index is not None:
        problem = _rewritten_problem(store, index)
        if problem is None and followed is None:
            return index, []
    if problem is not None:
        return None, [StoreFault(INDEX, _kind_of(store.files, INDEX), problem, ENCODE_AGAIN)]
    what = "{} each other: a run did not come to its end, or one of the two was damaged"
    return None, [
        StoreFault(
            name, "outdated", what.format(f"{name} and {other} do not belong to"), ENCODE_AGAIN
        )
        for name, other in ((INDEX, CATALOGUE), (CATALOGUE, INDEX))
    ]


def check_catalogue(
    store: Store,
    index: BucketIndex,
    claimed: Mapping[Component, Artifacts],
    unknown: Keys,
    listed: ReadCatalogue,
) -> tuple[list[StoreFault], list[Note]]:
    """Compares the catalogue with what plan and receipts say.

    Args:
        store: where it is.
        index: the plan that it follows.
        claimed: what the receipts say that can be read.
        unknown: keys of the plan of which no such receipt speaks; where they lie the catalogue
            alone knows, and is believed.
        listed: the catalogue.
    """
    believed = {
        component: _with_listed(made, unknown[component], listed.places(component))
        for component, made in claimed.items()
    }
    made = BytesIO()
    catalogue_writer(store, index, believed)(made)
    theirs = store.files.read(CATALOGUE)
    return ([], []) if made.getbuffer() == theirs else _explain(made.getvalue(), theirs)


def _with_listed(made: Artifacts, keys: pa.Array, places: pa.Table) -> Artifacts:
    more = places.filter(is_among(places["key"], keys))
    return replace(made, stored=pa.concat_tables([made.stored, more])) if len(more) else made


def check_failures(
    store: Store,
    index: BucketIndex,
    claimed: Mapping[Component, Artifacts],
    unknown: Keys,
    doubtful: Collection[Component],
) -> list[StoreFault]:
    """Compares the list of failures with what plan and receipts say.

    Args:
        store: where it is.
        index: the plan.
        claimed: what the receipts say that can be read.
        unknown: keys of the plan of which no such receipt speaks.
        doubtful: components of which a receipt cannot be read: it may say more of artifacts of
            which an earlier receipt says that they failed.
    """
    lacking = set_aside(index, claimed)
    sources = {component: made.source for component, made in claimed.items()}
    try:
        found = store.files.read(FAILURES)
    except FileNotFoundError:
        return [
            StoreFault(FAILURES, "missing", f"it lists {len(lacking)} failed artifacts", REPAIR)
        ]
    made = json_lines(lacking)
    if found == made:
        return []
    expected = made.splitlines(keepends=True)
    lines = found.splitlines(keepends=True)
    known = set(expected)
    excess = [line for line in lines if line not in known]
    kept = [line for line in lines if line in known]
    there = set(kept)
    sure = [
        line
        for line, entry in zip(expected, lacking, strict=True)
        if entry.component not in doubtful or line in there
    ]
    keys = {component: set(own.to_pylist()) for component, own in unknown.items()}
    if kept == sure and all(_may_be(index, keys, sources, doubtful, line) for line in excess):
        return []
    gone = len(known - set(lines))
    kind: FaultKind = "truncated" if made.startswith(found) else "damaged"
    what = (
        f"is not what the receipts say: {gone} of its {len(expected)} lines are missing or wrong, "
        f"{len(excess)} are in excess"
    )
    return [StoreFault(FAILURES, kind, what, REPAIR)]


def listed_failures(
    store: Store, index: BucketIndex, component: Component, source: Source
) -> dict[str, int]:
    """How often artifacts of a component were tried, as far as the list of failures can be read."""
    if store.files.size(FAILURES) is None:
        return {}
    found: dict[str, int] = {}
    for line in store.files.read(FAILURES).splitlines():
        key, attempt = _read_failure(index, component, source, line)
        if key is not None:
            found[key] = attempt
    return found


def clips_of(index: BucketIndex, source: Source, keys: pa.Array) -> tuple[str, ...]:
    """The first clips that need some artifacts, as ``video (list:line)``."""
    found = np.flatnonzero(is_among(source.all_keys(index.table), keys).to_numpy())
    numbers = list(dict.fromkeys(CaptionPlaces.of(index.table).rows(found).tolist()))[:_SHOWN]
    rows = index.table.select(["video", "file", "line"]).take(pa.array(numbers, pa.int64()))
    return tuple(
        f"{row['video']} ({Path(row['file']).name}:{row['line']})" for row in rows.to_pylist()
    )


def _readable_index(store: Store) -> tuple[BucketIndex | None, str | None]:
    try:
        index = store.load_index()
        for clip in index.clips():
            if not has_own_keys(clip):
                return None, f"the keys of row {clip.row}, {clip.video}, are not those of its plan"
    except UNREADABLE as error:
        return None, _short(error)
    return index, None


def _rewritten_problem(store: Store, index: BucketIndex) -> str | None:
    """A damage that still can be read shows when the plan is written again, by the same writer."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / INDEX
        index.save(copy)
        ours = copy.read_bytes()
    theirs = store.files.read(INDEX)
    if ours == theirs or _writer_of(ours) != _writer_of(theirs):
        return None
    if _names_in(ours) != _names_in(theirs):
        return None  # of an earlier version, which is written with other columns now
    return "its bytes are not those that were written"


def _explain(ours: bytes, theirs: bytes) -> tuple[list[StoreFault], list[Note]]:
    """What the difference of two catalogues means."""
    expected, found = _table(ours), _table(theirs)
    if not expected.schema.equals(found.schema, check_metadata=True):
        return [_outdated("it has other columns, or is of another format")], []
    if expected.num_rows != found.num_rows:
        what = f"it has {found.num_rows} rows, and the plan {expected.num_rows} clips"
        return [_outdated(what)], []
    rows_of = {name: _unequal_rows(expected[name], found[name]) for name in expected.schema.names}
    columns = [name for name, rows in rows_of.items() if rows]
    if columns:
        rows = sorted(set().union(*rows_of.values()))
        videos = found.select(["video"]).take(pa.array(rows[:_SHOWN]))["video"].to_pylist()
        clips = tuple(f"{video} (row {row})" for video, row in zip(videos, rows, strict=False))
        what = (
            f"{len(rows)} of its rows are not what plan and receipts say, in {', '.join(columns)}"
        )
        return [StoreFault(CATALOGUE, "outdated", what, REPAIR, clips=clips)], []
    writers = _writer_of(ours), _writer_of(theirs)
    if writers[0] != writers[1] and not _is_one_bit(ours, theirs):
        what = f"written by {writers[1]}, here is {writers[0]}; the contents are right"
        return [], [Note(CATALOGUE, "rewritten", what)]
    what = "its bytes are not those that were written, though its contents are right"
    return [StoreFault(CATALOGUE, "damaged", what, REPAIR)], []


def _outdated(what: str) -> StoreFault:
    return StoreFault(CATALOGUE, "outdated", f"is not what plan and receipts say: {what}", REPAIR)


def _unequal_rows(one: pa.ChunkedArray, other: pa.ChunkedArray) -> set[int]:
    found: set[int] = set()
    for start in range(0, len(one), _ROWS):
        ours, theirs = one.slice(start, _ROWS), other.slice(start, _ROWS)
        if not ours.equals(theirs):
            pairs = zip(ours.to_pylist(), theirs.to_pylist(), strict=True)
            found.update(start + n for n, (a, b) in enumerate(pairs) if a != b)
    return found


def _may_be(
    index: BucketIndex,
    unknown: Mapping[Component, set[str]],
    sources: Sources,
    doubtful: Collection[Component],
    line: bytes,
) -> bool:
    """Whether a line can be right: it speaks of an artifact of which no receipt tells for sure."""
    for component, keys in unknown.items():
        key, _ = _read_failure(index, component, sources[component], line)
        if key is not None:
            return component in doubtful or key in keys
    return False


def _read_failure(
    index: BucketIndex, component: Component, source: Source, line: bytes
) -> tuple[str | None, int]:
    """The artifact that a line is about, if it is one of the component, and the attempt."""
    try:
        entry: dict[str, Any] = json.loads(line)
        if entry["component"] != component:
            return None, 0
        place = pc.equal(index.table["line"], entry["line"])
        for name in ("clip", "video"):
            place = pc.and_(place, pc.equal(index.table[name], entry[name]))
        row, caption = index.table.filter(place).slice(0, 1), int(entry.get("caption", 0))
        at = np.flatnonzero(CaptionPlaces.of(row).captions(_places(row)) == caption)
        keys = source.keys_at(row, at)
        return (keys[0].as_py() if len(keys) else None), int(entry["attempt"])
    except (ValueError, KeyError, TypeError, pa.ArrowException):
        return None, 0


def _places(table: pa.Table) -> Places:
    """All places of a table."""
    return np.arange(table.num_rows + len(CaptionPlaces.of(table).parents))


def _is_one_bit(one: bytes, other: bytes) -> bool:
    """Whether two files differ in a single bit."""
    if len(one) != len(other):
        return False
    differences = np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)
    [places] = np.nonzero(differences)
    return len(places) == 1 and int(differences[places[0]]).bit_count() == 1


def _table(data: bytes) -> pa.Table:
    return pq.read_table(reader_of(data))


def _writer_of(data: bytes) -> str:
    return str(pq.read_metadata(reader_of(data)).created_by)


def _names_in(data: bytes) -> list[str]:
    return list(pq.read_schema(reader_of(data)).names)


def _kind_of(files: Files, name: str) -> FaultKind:
    """Whether a Parquet file that cannot be read has its end."""
    size = files.size(name) or 0
    whole = size > 0 and files.read_range(name, max(0, size - 4), 4) == b"PAR1"
    return "damaged" if whole else "truncated"


def _short(error: BaseException) -> str:
    text = error.message if isinstance(error, VideoprepError) else str(error)
    return " ".join(text.split())[:300] or type(error).__name__
