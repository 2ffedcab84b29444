"""Finds exporters, and for media trainers and lists: modules with a constant for it."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from videoprep import exporters as package
from videoprep.errors import VideoprepError, nearest
from videoprep.exporters import media
from videoprep.exporters.contract import Exporter
from videoprep.exporters.media.contract import Trainer
from videoprep.exporters.media.file_list import FileList
from videoprep.shell import command_line

MEDIA = "media"
"""The one target that is made of the plan's videos, not of a store's tensors."""


@cache
def exporters() -> dict[str, Exporter]:
    """All exporters by name, in alphabetical order."""
    return _defined(package, "EXPORTER")


@cache
def trainers() -> dict[str, Trainer]:
    """All trainers that read media, likewise."""
    return _defined(media, "TRAINER")


@cache
def file_lists() -> dict[str, FileList]:
    """All lists of media that trainers read, likewise."""
    return _defined(media, "LIST")


def _defined(where: ModuleType, constant: str) -> dict[str, Any]:
    """What the modules of a package define by the name of a constant, by its own name."""
    names = (f"{where.__name__}.{module.name}" for module in pkgutil.iter_modules(where.__path__))
    modules = [importlib.import_module(name) for name in names]
    found = [getattr(module, constant) for module in modules if hasattr(module, constant)]
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
