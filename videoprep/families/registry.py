"""Finds families: every module of this package that defines ``FAMILY``, and those of plugins."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

import videoprep.families as package
from videoprep.errors import ModelError, SpecError, nearest
from videoprep.families.component import (
    SOURCES,
    Component,
    ComponentSpec,
    for_roles,
    is_component_name,
)
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.moments import POSTERIOR_FORMS
from videoprep.families.profile import DEFAULT, Profile
from videoprep.spec.roles import Role

logger = logging.getLogger(__name__)


ENTRY_POINTS = "videoprep.families"
"""Third parties name their families in this entry-point group: instances of `Family`."""


@dataclass(frozen=True, slots=True)
class FamilyRegistry:
    """All families there are.

    Attributes:
        families: by name, in alphabetical order.
        problems: plugins that cannot be used, and why.
    """

    families: dict[str, Family]
    problems: tuple[str, ...]


def families() -> dict[str, Family]:
    """All families by name, in alphabetical order."""
    return registry().families


@cache
def registry() -> FamilyRegistry:
    """All families. A plugin that is broken or takes another's name is warned of and left out."""
    found = dict(built_in())
    problems: list[str] = []
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda p: (p.name, p.value)):
        package_name = point.dist.name if point.dist is not None else "?"
        try:
            family = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a stranger's code may raise anything)
            reason: str | None = f"{type(error).__name__}: {error}"
        else:
            reason = _flaw(family, found)
        if reason is None:
            found[family.name] = family
        else:
            problems.append(f"{point.name} = {point.value} (of {package_name}): {reason}")
    for problem in problems:
        logger.warning("a family's plugin cannot be used: %s", problem)
    return FamilyRegistry(dict(sorted(found.items())), tuple(problems))


@cache
def built_in() -> Mapping[str, Family]:
    """The families of this package."""
    found: dict[str, Family] = {}
    for module in pkgutil.iter_modules(package.__path__):
        family = getattr(
            importlib.import_module(f"{package.__name__}.{module.name}"), "FAMILY", None
        )
        if isinstance(family, Family):
            found[family.name] = family
    return found


def _flaw(family: object, others: Mapping[str, Family]) -> str | None:
    """What keeps an object from being one more family, or None."""
    if not isinstance(family, Family):
        return "it is no instance of videoprep.families.contract.Family"
    lacking = [
        name for name in ("name", "profile", "parts", "max_tokens") if not _has(family, name)
    ]
    if lacking:
        return f"{type(family).__qualname__} lacks {', '.join(lacking)}"
    if family.name in others or family.name == DEFAULT.name:
        return f"the name {family.name!r} is taken"
    if family.profile.name != family.name:
        return f"its profile is called {family.profile.name!r}, and the family {family.name!r}"
    return None


def _has(family: Family, name: str) -> bool:
    return getattr(family, name, None) is not None


def profiles() -> dict[str, Profile]:
    """All profiles by name: the default, and each family's, those that many train first."""
    own = sorted((f.profile for f in families().values()), key=lambda one: -one.prominence)
    return {DEFAULT.name: DEFAULT, **{one.name: one for one in own}}


def get_profile(name: str | None) -> Profile:
    """The profile of that name; None: the default.

    Raises:
        SpecError: there is none; it names those there are.
    """
    if name is None:
        return DEFAULT
    known = profiles()
    if name in known:
        return known[name]
    raise SpecError(
        f"there is no profile {name!r}",
        remedy=nearest(name, known, "the profiles are"),
        option="profile",
    )


def profile_of(model: str, revision: str | None = None) -> str:
    """Return the name of the profile of a model's family. Only the model's configs are read.

    Args:
        model: a model folder or hub id.
        revision: its revision on the hub.

    Raises:
        ModelError: there is no such model, or it is of no known family.
    """
    return family_of(open_model(model, (), revision)).profile.name


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
    return TokenCounter(family.load_token_counter(folder), family.token_limit(folder))


def family_of(model: ModelFolder) -> Family:
    """The family that recognizes the model folder.

    Raises:
        ModelError: none does, or several do.
    """
    found = [family for family in families().values() if _recognizes(family, model)]
    if len(found) > 1:
        names = " and ".join(repr(family.name) for family in found)
        raise ModelError(
            f"it is recognized by the families {names}",
            where=str(model.path),
            remedy="uninstall the plugin of the one that is not meant",
        )
    if found:
        return found[0]
    unusable = "".join(f"; a plugin cannot be used: {problem}" for problem in registry().problems)
    raise ModelError(
        f"its pipeline {model.index.get('_class_name')!r} is of no known family",
        where=str(model.path),
        remedy=f"the families are: {', '.join(families())}{unusable}; docs/families.md says how to "
        "add one",
    )


def components_of(
    family: Family, model: ModelFolder, roles: Iterable[Role] = ()
) -> Mapping[Component, ComponentSpec]:
    """Return the components that a model can make, by name.

    Args:
        family: the model's.
        model: its folder.
        roles: those of the media that a dataset, or a store, has beside videos.

    Raises:
        ModelError: The family, which a plugin may have brought, declares them wrongly.
    """
    specs = family.components(model)
    for problem in _component_problems(family, specs):
        raise ModelError(
            f"the family {family.name!r} declares its components wrongly: {problem}",
            where=str(model.path),
            remedy="fix the family; docs/families.md describes a component's fields",
        )
    return {spec.name: spec for spec in for_roles(specs, roles)}


def _component_problems(family: Family, specs: Sequence[ComponentSpec]) -> Iterator[str]:
    if not specs:
        yield "there are none"
    names = [spec.name for spec in specs]
    for spec in specs:
        if not is_component_name(spec.name):
            yield f"{spec.name!r} is not lower-case words joined by underscores"
        if names.count(spec.name) > 1:
            yield f"{spec.name} is declared {names.count(spec.name)} times"
        yield from _spec_problems(family, spec, specs)


def _spec_problems(
    family: Family, spec: ComponentSpec, specs: Sequence[ComponentSpec]
) -> Iterator[str]:
    if SOURCES.get(spec.source.name) != spec.source:
        yield (
            f"{spec.name} is made from the unknown source {spec.source.name!r}; "
            f"{nearest(spec.source.name, SOURCES, 'the sources are')}"
        )
    if spec.part not in family.parts:
        yield (
            f"{spec.name} is made by {spec.part!r}, which is not among the family's parts: "
            f"{', '.join(family.parts)}"
        )
    if (spec.sound is not None) != spec.source.sound:
        yield f"{spec.name} has a sound format if and only if it is made from sound"
    form = spec.posterior
    if form is not None and form not in POSTERIOR_FORMS.values():
        yield (
            f"the posterior of {spec.name} is {form!r}; the forms are "
            f"{', '.join(POSTERIOR_FORMS)} of videoprep.families.moments, or None"
        )
    if spec.mask and not any(one.is_masked_by(spec) for one in specs):
        yield f"{spec.name} is a mask, but no embeddings of captions are made by {spec.part!r}"
    if spec.noise and not (form and spec.source.frames):
        yield f"{spec.name} has noise, but it is not made of frames by a VAE"


def _recognizes(family: Family, model: ModelFolder) -> bool:
    """Asks a family, which may be a stranger's; one that fails is named."""
    if family.name in built_in():
        return family.recognizes(model)
    try:
        return family.recognizes(model)
    except Exception as error:
        raise ModelError(
            f"the plugin's family {family.name!r} fails: {type(error).__name__}: {error}",
            where=str(model.path),
            remedy="mend the plugin, or uninstall it",
        ) from error
