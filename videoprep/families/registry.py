"""Finds families: every module of this package that defines ``FAMILY``."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import videoprep.families as package
from videoprep.errors import ModelError, SpecError
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.profile import DEFAULT, Profile


@cache
def families() -> dict[str, Family]:
    """All families by name, in alphabetical order."""
    found: dict[str, Family] = {}
    for module in pkgutil.iter_modules(package.__path__):
        family = getattr(
            importlib.import_module(f"{package.__name__}.{module.name}"), "FAMILY", None
        )
        if isinstance(family, Family):
            found[family.name] = family
    return dict(sorted(found.items()))


def profiles() -> dict[str, Profile]:
    """All profiles by name: the default, and each family's."""
    return {DEFAULT.name: DEFAULT, **{name: f.profile for name, f in families().items()}}


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        SpecError: there is none; it names those there are.
    """
    known = profiles()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise SpecError(
        f"there is no profile {name!r}", remedy=f"{hint}the profiles are: {', '.join(known)}"
    )


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts a caption's tokens as one model does.

    Attributes:
        count: tokens of a caption before it is cut, those that the tokenizer adds included.
        limit: how many the model takes.
    """

    count: Callable[[str], int]
    limit: int


def token_counter(model: str) -> TokenCounter:
    """The token counter of a model folder or hub id; loads its tokenizer, and no torch.

    Raises:
        ModelError: there is no such model, it is of no known family, or it has no tokenizer.
    """
    name_only = open_model(model, ())
    family = family_of(name_only)
    folder = open_model(model, ("tokenizer",))
    return TokenCounter(family.load_token_counter(folder), family.max_tokens)


def family_of(model: ModelFolder) -> Family:
    """The family that recognizes the model folder.

    Raises:
        ModelError: none does.
    """
    for family in families().values():
        if family.recognizes(model):
            return family
    raise ModelError(
        f"its pipeline {model.index.get('_class_name')!r} is of no known family",
        where=str(model.path),
        remedy=f"the families are: {', '.join(families())}",
    )
