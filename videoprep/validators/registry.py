"""Finds rules: the modules of `videoprep.validators.rules`, and those of third parties."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from importlib.metadata import entry_points

import videoprep.validators.rules as package
from videoprep.validators.protocol import Validator

ENTRY_POINTS = "videoprep.validators"
"""Third parties name their rule classes in this entry-point group."""


def validators() -> list[Validator]:
    """One of each rule with its default options, ordered by code."""
    classes = [*_built_in(), *(point.load() for point in entry_points(group=ENTRY_POINTS))]
    return sorted((cls() for cls in classes), key=lambda rule: rule.code)


def _built_in() -> list[type[Validator]]:
    found: list[type[Validator]] = []
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found += [
            member
            for _, member in inspect.getmembers(module, inspect.isclass)
            if issubclass(member, Validator)
            and member.__module__ == module.__name__
            and not member.__name__.startswith("_")
        ]
    return found
