"""Who works at a store right now, and what those left there who died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from videoprep.engine.claims import FOLDER as CLAIMS
from videoprep.engine.claims import claims_at
from videoprep.engine.sessions import FOLDER as SESSIONS
from videoprep.engine.sessions import leftovers, sessions_at
from videoprep.fs import Files

JOBS = ".jobs"
"""Where runs of several ranks share their work; each in a folder named by its session."""


@dataclass(frozen=True, slots=True)
class AtWork:
    """A process that works at the store."""

    session: str
    """Its mark at the store."""
    host: str
    """The machine."""
    pid: int
    """Its number there."""
    units: tuple[str, ...]
    """What it has in progress, each as ``folder/name``."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is at a store.

    Attributes:
        at_work: the processes that live.
        dead: files and folders of processes that died: temporary files, marks, claims, shared jobs.
    """

    at_work: tuple[AtWork, ...]
    dead: tuple[str, ...]

    @property
    def claimed(self) -> frozenset[str]:
        """The units that somebody has in hand."""
        return frozenset(unit for process in self.at_work for unit in process.units)


def presence_at(files: Files, without: Sequence[str] = ()) -> Presence:
    """Looks who is at a store. Changes nothing there.

    Args:
        files: the store.
        without: sessions that do not count.
    """
    sessions = {name: alive for name, alive in sessions_at(files).items() if name not in without}
    living = {name: list[str]() for name, alive in sessions.items() if alive}
    dead = leftovers(files)
    dead += [f"{SESSIONS}/{name}.lock" for name, alive in sessions.items() if not alive]
    for claim in claims_at(files):
        if claim.session in living:
            living[claim.session].append(claim.unit)
        elif claim.session not in without:
            dead.append(claim.name)
    dead += [f"{JOBS}/{name}/" for name in files.folders(JOBS) if name not in (*living, *without)]
    at_work = (_at_work(session, units) for session, units in living.items())
    return Presence(tuple(at_work), tuple(sorted(dead)))


def is_service(folder: str) -> bool:
    """Whether a folder at the top of a store is one for its processes."""
    return folder in (CLAIMS, SESSIONS, JOBS)


def _at_work(session: str, units: Sequence[str]) -> AtWork:
    host, pid, _ = session.rsplit("-", 2)
    return AtWork(session, host, int(pid), tuple(sorted(units)))
