"""Who is at a store, and works on which unit.

A claim is only an optimisation: correctness rests on receipts. It is a small file, written before a
unit is begun and removed once it is committed. One whose owner is dead tells that the unit was
begun and not finished; after several deaths the unit's items are done one at a time, each announced
before, so that an item that kills its process is found, and fails alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

from videoprep.engine.sessions import FOLDER as SESSIONS
from videoprep.engine.sessions import Session, leftovers, sessions_at
from videoprep.fs import Files

FOLDER = ".claims"
_CAREFUL_AFTER = 2
_DEADLY_AFTER = 3
JOBS = ".jobs"
"""Where runs of several ranks share their work; each in a folder named by its session."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A unit that a process has begun."""

    name: str
    """The claim's file."""
    session: str
    """The process."""
    deaths: int = 0
    """How many processes died while they worked on the unit."""
    deadly: dict[str, int] = field(default_factory=dict)
    """How many died on each item, by key, since they are done one at a time."""
    current: tuple[str, ...] = ()
    """The items in progress; only known while they are done one at a time."""
    unit: str = ""
    """The unit, as ``folder/name``; empty in claims of earlier versions."""

    @property
    def careful(self) -> bool:
        """Whether the items are to be done one at a time, each announced before."""
        return self.deaths >= _CAREFUL_AFTER

    def kills(self, key: str) -> bool:
        """Whether an item has killed its process so often that it is to fail."""
        return self.deadly.get(key, 0) >= _DEADLY_AFTER


class Claims:
    """The claims at a store, made and read on behalf of one session."""

    def __init__(self, files: Files, session: Session) -> None:
        self._files = files
        self._session = session
        self._held: dict[str, Claim] = {}
        self._presumed_dead: set[str] = set()

    def take(self, folder: str, unit: str) -> Claim | None:
        """Claims a unit; None where a living process of another job has it."""
        claim = self._take(f"{folder}/{unit}")
        if claim is not None:
            self._held[claim.name] = claim
        return claim

    def presume_dead(self, sessions: set[str]) -> None:
        """Takes sessions for dead, whatever their locks say: they have been silent for too long."""
        self._presumed_dead |= sessions

    def _take(self, unit: str) -> Claim | None:
        name = f"{FOLDER}/{unit.replace('/', '-')}.json"
        claim = Claim(name, self._session.id, unit=unit)
        if self._files.create(name, _to_bytes(claim)):
            return claim
        other = self._read(name)
        if other is None:
            return self._put(claim)
        if other.session == self._session.id:
            return self._put(replace(other, current=(), unit=unit))
        if self._is_alive(other.session):
            return None
        deadly = dict(other.deadly)
        for key in other.current:
            deadly[key] = deadly.get(key, 0) + 1
        return self._put(replace(claim, deaths=other.deaths + 1, deadly=deadly))

    def announce(self, claim: Claim, keys: Sequence[str]) -> None:
        """Say which items are done next."""
        self._put(replace(claim, current=tuple(keys)))

    def release(self, claim: Claim) -> None:
        """Gives a unit back: it is committed, or left to others."""
        self._files.delete(claim.name)
        self._held.pop(claim.name, None)

    def release_all(self) -> None:
        """Gives back what this process still has: it ends, and is no death."""
        for claim in list(self._held.values()):
            self.release(claim)
        self._files.delete_folder(FOLDER)

    def sweep(self, is_useless: Callable[[str], bool]) -> None:
        """Remove claims of dead processes whose units, as ``folder/name``, need none any more."""
        for claim in claims_at(self._files):
            if self._is_alive(claim.session):
                continue
            if is_useless(claim.unit):
                self._files.delete(claim.name)
        self._files.delete_folder(FOLDER)

    def _is_alive(self, session: str) -> bool:
        return session not in self._presumed_dead and self._session.is_alive(session)

    def _put(self, claim: Claim) -> Claim:
        self._files.write_bytes(claim.name, _to_bytes(claim))
        return claim

    def _read(self, name: str) -> Claim | None:
        return _read(self._files, name)


def claims_at(files: Files) -> list[Claim]:
    """The claims at a store, ordered by name; the owner of each may be dead."""
    names = [name for name in files.names(FOLDER) if not name.startswith(".")]
    found = (_read(files, f"{FOLDER}/{name}") for name in names)
    return [claim for claim in found if claim is not None]


def _read(files: Files, name: str) -> Claim | None:
    try:
        data = json.loads(files.read(name))
        return Claim(**{**data, "name": name, "current": tuple(data["current"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None  # just released, or torn: as good as none


def _to_bytes(claim: Claim) -> bytes:
    return json.dumps(asdict(claim)).encode()


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
    return folder in (FOLDER, SESSIONS, JOBS)


def _at_work(session: str, units: Sequence[str]) -> AtWork:
    host, pid, _ = session.rsplit("-", 2)
    return AtWork(session, host, int(pid), tuple(sorted(units)))
