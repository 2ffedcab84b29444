"""Finds rules: the built-in ones, those of plugins, and those written in a notebook."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import videoprep.validators.rules as package
from videoprep.errors import Code
from videoprep.validators.protocol import (
    DatasetValidator,
    Finding,
    Need,
    Rule,
    RuleOptions,
    Severity,
    Subject,
    Validator,
)

ENTRY_POINTS = "videoprep.validators"
"""Third parties name their rule classes in this entry-point group."""

_CODE = re.compile(r"[A-Z][A-Z0-9]{1,15}\d{3}")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_OWN_CODE = re.compile(r"VP\d{3}")

Check = Callable[[Subject], "Iterable[str | tuple[str, str]] | str | None"]

_written_here: dict[str, type[Rule]] = {}


@dataclass(frozen=True, slots=True)
class RuleRegistry:
    """All rules there are.

    Attributes:
        rules: by code, in the order of codes.
        problems: findings on plugins that cannot be used.
    """

    rules: dict[str, type[Rule]]
    problems: list[Finding] = field(default_factory=list)


def registry() -> RuleRegistry:
    """All rules. A plugin that is broken or collides with another rule is a finding."""
    found = dict(built_in())
    problems: list[Finding] = []
    for where, rule in _plugins(problems):
        _add(found, rule, where, problems)
    found |= _written_here  # the notebook's last word on a rule of its own counts
    return RuleRegistry(dict(sorted(found.items())), problems)


@cache
def built_in() -> dict[str, type[Rule]]:
    """The rules of the package `videoprep.validators.rules`, by code.

    Raises:
        ValueError: two have one code or one name.
    """
    found: dict[str, type[Rule]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for name, rule in inspect.getmembers(module, inspect.isclass):
            own = rule.__module__ == module.__name__ and not name.startswith("_")
            if not own or not issubclass(rule, Rule):
                continue
            if any(rule.code == one.code or rule.name == one.name for one in found.values()):
                raise ValueError(f"the code or name of {rule.code} {rule.name} is taken")
            found[rule.code] = rule
    return dict(sorted(found.items()))


def register(rule: type[Rule]) -> None:
    """Adds a rule for the rest of this process; one of the same code is replaced.

    Raises:
        ValueError: it lacks something, or its code or name is a built-in rule's.
    """
    reason = _flaw(rule) or _collision({**built_in()}, rule)
    if reason is not None:
        raise ValueError(reason)
    _written_here[rule.code] = rule


def validator(
    code: str,
    *,
    name: str | None = None,
    severity: Severity | str = Severity.WARNING,
    needs: Iterable[Need | str] = (Need.CAPTION,),
    remedy: str = "",
) -> Callable[[Check], type[Validator]]:
    """Makes a rule of a function, and uses it from now on in this process.

    The function gets a `Subject` and returns or yields what is wrong: messages, or pairs of
    message and remedy. Its docstring is the rule's summary. Defining a rule again, as a notebook
    does, replaces it.

    Args:
        code: letters of one's own and three digits, such as ``NB001``.
        name: the function's name by default.
        severity: ``error``, ``warning`` or ``note``.
        needs: what it looks at, such as ``["caption", "header", "plan"]``.
        remedy: what to do, where the function does not say it.

    Raises:
        ValueError: the code is no code, or is a built-in rule's.
    """

    def make(function: Check) -> type[Validator]:
        def check(rule: Validator, subject: Subject) -> Iterator[Finding]:
            found = function(subject)
            for item in [found] if isinstance(found, str) else found or ():
                message, advice = (item, None) if isinstance(item, str) else item
                yield rule.finding(subject, message, advice)

        lines = (function.__doc__ or function.__name__).strip().splitlines()
        members: dict[str, Any] = {
            "code": code,
            "name": name or function.__name__.strip("_").replace("_", "-").lower(),
            "summary": lines[0],
            "remedy": remedy,
            "severity": Severity(severity),
            "needs": frozenset(Need(need) for need in needs),
            "check": check,
            "__doc__": function.__doc__,
            "__module__": function.__module__,
        }
        rule = type(function.__name__, (Validator,), members)
        register(rule)
        return rule

    return make


def _plugins(problems: list[Finding]) -> Iterable[tuple[str, type[Rule]]]:
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda p: (p.name, p.value)):
        package_name = point.dist.name if point.dist is not None else "?"
        where = f"{point.name} = {point.value} (of the package {package_name})"
        try:
            rule = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a stranger's code may raise anything)
            problems.append(_broken(where, f"{type(error).__name__}: {error}"))
            continue
        reason = _flaw(rule)
        if reason is not None:
            problems.append(_broken(where, reason))
            continue
        yield where, rule


def _add(
    found: dict[str, type[Rule]], rule: type[Rule], where: str, problems: list[Finding]
) -> None:
    reason = _collision(found, rule)
    if reason is None:
        found[rule.code] = rule
    else:
        made_by = built_in()[Code.PLUGIN_COLLIDES.value]()
        problems.append(made_by.finding(where, f"the plugin's rule is not used: {reason}"))


def _broken(where: str, reason: str) -> Finding:
    made_by = built_in()[Code.PLUGIN_BROKEN.value]()
    return made_by.finding(where, f"the plugin cannot be used: {reason}")


def _collision(found: dict[str, type[Rule]], rule: type[Rule]) -> str | None:
    if rule.code in found:
        return f"the code {rule.code} is taken by {found[rule.code].__qualname__}"
    if _OWN_CODE.fullmatch(rule.code):
        return f"codes like {rule.code} are videoprep's own"
    for other in found.values():
        if other.name == rule.name:
            return f"the name {rule.name!r} is taken by {other.code}"
    return None


def _flaw(rule: object) -> str | None:
    """What keeps an object from being a rule, or None."""
    kinds = (Validator, DatasetValidator)
    if not (isinstance(rule, type) and issubclass(rule, kinds)):
        return "it is no subclass of videoprep.Validator or videoprep.DatasetValidator"
    if inspect.isabstract(rule):
        return f"{rule.__qualname__} does not define {', '.join(sorted(rule.__abstractmethods__))}"
    for attribute, pattern, like in (("code", _CODE, "ACME001"), ("name", _NAME, "short-caption")):
        value = getattr(rule, attribute, None)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            return f"{rule.__qualname__}.{attribute} is {value!r}; it has to be like {like}"
    if not isinstance(getattr(rule, "summary", None), str):
        return f"{rule.__qualname__} has no summary"
    if not isinstance(rule.severity, Severity):
        return f"{rule.__qualname__}.severity is no Severity"
    if not (isinstance(rule.needs, frozenset) and all(isinstance(n, Need) for n in rule.needs)):
        return f"{rule.__qualname__}.needs is no frozenset of Need"
    if not (isinstance(rule.Options, type) and issubclass(rule.Options, RuleOptions)):
        return f"{rule.__qualname__}.Options is no subclass of RuleOptions"
    try:
        rule()
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a stranger's code may raise anything)
        return f"{rule.__qualname__}() raises {type(error).__name__}: {error}"
    return None
