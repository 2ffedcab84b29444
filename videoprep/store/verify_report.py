"""What `verify` has to say of a store and its files."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from videoprep.engine.claims import AtWork
from videoprep.families.component import Component
from videoprep.shell import command_line

FaultKind = Literal["missing", "truncated", "damaged", "outdated", "unreadable"]

NoteKind = Literal["orphaned", "leftover", "in hand", "rewritten", "unknown"]

ENCODE_AGAIN = (
    "run the same `videoprep encode PATH …` command as before: it writes this file anew and makes "
    "only what is missing"
)

# STORE is filled in where the store is known: see `StoreFault.named_in`.
REPAIR = f"run `{command_line('verify', 'STORE', repair=True)}`"


@dataclass(frozen=True, slots=True)
class StoreFault:
    """Something wrong with a file of the store.

    Attributes:
        name: the file, relative to the store; the folder where no file of it can be named.
        kind: ``missing``, ``truncated``, ``damaged`` (not as it was written), ``outdated`` (whole,
            but of another state than the rest), or ``unreadable`` (the file system failed).
        what: what is wrong, in words.
        remedy: what to do.
        artifacts: how many artifacts of the plan are concerned.
        clips: the first of their clips, as ``video (list:line)``; of captions likewise.
    """

    name: str
    kind: FaultKind
    what: str
    remedy: str
    artifacts: int = 0
    clips: tuple[str, ...] = ()

    def named_in(self, store: str) -> StoreFault:
        """Return the same with the store's name in the command that its remedy names."""
        named = f"run `{command_line('verify', store, repair=True)}`"
        return replace(self, remedy=self.remedy.replace(REPAIR, named))


@dataclass(frozen=True, slots=True)
class Note:
    """A file that is not as it has to be in a finished store, and does no harm.

    Attributes:
        name: the file, relative to the store; a folder ends in a slash.
        kind: ``orphaned`` (a shard without a receipt), ``leftover`` (of a process that died), ``in
            hand`` (a living process is writing it), ``rewritten`` (by another version of the
            writer; the contents are right), or ``unknown`` (not of videoprep; never removed).
        what: what it is, in words.
        bytes: its size.
    """

    name: str
    kind: NoteKind
    what: str
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class ComponentCheck:
    """The artifacts of one component, distinct ones; the four last add up to ``planned``.

    Attributes:
        planned: those that the plan needs.
        sound: stored, and as they were written.
        damaged: in a unit that must be encoded again.
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
        encoded: artifacts encoded again, by component.
        removed: files removed: of units that were encoded again, orphaned shards, leftovers.
        rewritten: derived files that were rewritten.
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
