"""Finds exporters: every module of this package that defines ``EXPORTER``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import videoprep.exporters as package
from videoprep.errors import VideoprepError, nearest
from videoprep.exporters.contract import Exporter
from videoprep.shell import command_line

MEDIA = "media"
"""The one target that is made of the plan's videos, not of a store's tensors."""


@cache
def exporters() -> dict[str, Exporter]:
    """All exporters by name, in alphabetical order."""
    found: dict[str, Exporter] = {}
    for module in pkgutil.iter_modules(package.__path__):
        exporter = getattr(
            importlib.import_module(f"{package.__name__}.{module.name}"), "EXPORTER", None
        )
        if isinstance(exporter, Exporter):
            found[exporter.name] = exporter
    return dict(sorted(found.items()))


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
