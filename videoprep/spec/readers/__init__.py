"""Readers of dataset formats: one file each, found because it lies here.

A module of this package that defines ``READER`` adds a format, and so does an entry point in the
group ``videoprep.readers``. Every list of endings in videoprep is derived from here.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from videoprep.errors import SpecError, nearest
from videoprep.spec.readers.base import FolderReader, Reader, TableReader
from videoprep.spec.video_files import suffix_of

logger = logging.getLogger(__name__)

ENTRY_POINTS = "videoprep.readers"
"""Third parties name their readers in this entry-point group: instances of `Reader`."""


@cache
def readers() -> Mapping[str, Reader]:
    """Return all readers by name. A plugin that is broken is warned of and not used."""
    found = dict(_built_in())
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda p: (p.name, p.value)):
        try:
            reader = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a plugin may raise anything)
            logger.warning("the reader plugin %s cannot be used: %r", point.value, error)
            continue
        flaw = _flaw(reader, found)
        if flaw is None:
            found[reader.name] = reader
        else:
            logger.warning("the reader plugin %s cannot be used: %s", point.value, flaw)
    return found


@cache
def table_readers() -> Mapping[str, TableReader]:
    """Return the readers of tables by the ending of their files."""
    return {
        suffix: reader
        for reader in readers().values()
        if isinstance(reader, TableReader)
        for suffix in reader.suffixes
    }


@cache
def folder_readers() -> tuple[FolderReader, ...]:
    """Return the readers of folders, in the order in which their formats are looked for."""
    found = (one for one in readers().values() if isinstance(one, FolderReader))
    return tuple(sorted(found, key=lambda one: (one.order, one.name)))


def table_suffixes() -> tuple[str, ...]:
    """Return the endings of all files that hold a table."""
    return tuple(table_readers())


def table_reader(path: Path) -> TableReader | None:
    """Return the reader of a file, by its ending; None if no format has it."""
    return table_readers().get(suffix_of(path.name))


def reader_of(name: str) -> Reader:
    """Return the reader of that name.

    Raises:
        SpecError: there is none; it names those there are.
    """
    known = readers()
    if name in known:
        return known[name]
    raise SpecError(f"unknown format {name!r}", remedy=nearest(name, known, "the formats are"))


@cache
def _built_in() -> Mapping[str, Reader]:
    found: dict[str, Reader] = {}
    for module in pkgutil.iter_modules(__path__):
        reader = getattr(importlib.import_module(f"{__name__}.{module.name}"), "READER", None)
        if isinstance(reader, Reader):
            found[reader.name] = reader
    return dict(sorted(found.items()))


def _flaw(reader: object, others: Mapping[str, Reader]) -> str | None:
    """What keeps an object from being one more reader, or None."""
    if not isinstance(reader, FolderReader | TableReader):
        return "expected an instance of videoprep.spec.readers.base.TableReader or FolderReader"
    name = getattr(reader, "name", None)
    if not isinstance(name, str) or not name or name in others:
        return f"the name {name!r} is missing or taken"
    if isinstance(reader, TableReader):
        suffixes = getattr(reader, "suffixes", ())
        taken = {suffix for one in others.values() for suffix in getattr(one, "suffixes", ())}
        if not suffixes or any(not s.startswith(".") or s != s.lower() for s in suffixes):
            return "suffixes must be endings in lower case, such as .csv"
        if twice := sorted(taken.intersection(suffixes)):
            return f"{', '.join(twice)} has a reader already"
    return None
