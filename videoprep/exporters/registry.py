"""Finds exporters and, for media, trainers: modules that define ``EXPORTER`` or ``TRAINER``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from types import ModuleType
from typing import TypeVar

from videoprep import exporters as package
from videoprep.errors import VideoprepError, nearest
from videoprep.exporters import media
from videoprep.exporters.contract import Exporter
from videoprep.exporters.media.contract import Trainer
from videoprep.shell import command_line

MEDIA = "media"
"""The one target that is made of the plan's videos, not of a store's tensors."""


_Found = TypeVar("_Found", Exporter, Trainer)


@cache
def exporters() -> dict[str, Exporter]:
    """All exporters by name, in alphabetical order."""
    return _by_name(_defined(package, "EXPORTER", Exporter))


@cache
def trainers() -> dict[str, Trainer]:
    """All trainers that read media, likewise."""
    return _by_name(_defined(media, "TRAINER", Trainer))


def _defined(where: ModuleType, name: str, kind: type[_Found]) -> Iterable[_Found]:
    """What the modules of a package define by a name."""
    for module in pkgutil.iter_modules(where.__path__):
        found = getattr(importlib.import_module(f"{where.__name__}.{module.name}"), name, None)
        if isinstance(found, kind):
            yield found


def _by_name(found: Iterable[_Found]) -> dict[str, _Found]:
    return {one.name: one for one in sorted(found, key=lambda one: one.name.lower())}


def get_exporter(name: str) -> Exporter:
    """The exporter of that name.

    Raises:
        VideoprepError: there is none; it names those there are.
    """
    known = exporters()
    if name in known:
        return known[name]
    if name == MEDIA:
        raise VideoprepError(
            "media is made of the plan's videos, not of tensors",
            remedy=f"call videoprep.export_media, or run `{command_line('export', '…', to=MEDIA)}`",
        )
    targets = nearest(name, [*known, MEDIA], "the targets are")
    raise VideoprepError(
        f"there is no target {name!r}",
        remedy=f"{targets}; for a trainer that reads videos itself, export with `to={MEDIA!r}`",
    )
