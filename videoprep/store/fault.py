"""What `verify` has to say of a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from videoprep.shell import command_line
from videoprep.store.receipt import Receipt

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
class BadUnit:
    """A unit that has to be made anew.

    Attributes:
        folder: where its receipt and shard lie.
        unit: its name.
        name: the file that is at fault.
        kind: how.
        what: what is wrong with it.
        receipt: what the receipt says, where it can be read.
        damaged: keys of the artifacts whose own bytes are not those that were written.
    """

    folder: str
    unit: str
    name: str
    kind: FaultKind
    what: str
    receipt: Receipt | None = None
    damaged: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The receipt's file."""
        return f"{self.folder}/{self.unit}.json"

    @property
    def id(self) -> str:
        """``component/recipe/unit``, as claims name it."""
        return f"{self.folder}/{self.unit}"
