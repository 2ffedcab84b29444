"""Which rules are applied, and how severe they are: `select`, `ignore`, `severity`, options."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from videoprep.errors import Code, SpecError
from videoprep.options import joined, wrong_values
from videoprep.spec.dataset import DatasetSpec
from videoprep.validators.protocol import Finding, Need, ReaderRule, Rule, Severity
from videoprep.validators.registry import built_in

_DEFAULT, _ALL = "default", "all"
_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules that are applied.

    Attributes:
        rules: with their options set, by code.
        severities: by code, where the rule's own is replaced.
        needs: the union of what the rules look at.
        left_out: how many of the rules that are applied by default are not.
    """

    rules: Mapping[str, Rule]
    severities: Mapping[str, Severity]
    needs: frozenset[Need]
    left_out: int = 0

    def judge(self, finding: Finding) -> Finding | None:
        """The finding with its severity here, or None where its rule is not applied.

        A finding that its rule itself calls milder than the rule's own severity stays so.
        """
        if finding.code not in self.rules:
            return None
        wanted = self.severities.get(finding.code)
        own = self.rules[finding.code].severity
        if wanted is None or _RANK[finding.severity] > _RANK[own]:
            return finding
        return finding.with_severity(wanted)


def select(spec: DatasetSpec, known: Mapping[str, type[Rule]]) -> Selection:
    """Chooses rules as a spec says.

    Raises:
        SpecError: a code, a name or an option does not exist, or has a wrong value.
    """
    default = _default(known)
    words = spec.select or (_DEFAULT,)
    chosen = set().union(*(_selected(word, known, default) for word in words))
    chosen.add(Code.RULE_FAILED.value)  # what a chosen rule cannot say is said at least
    chosen -= set().union(*(_matching(word, known, default) for word in spec.ignore))
    options = {
        code: given
        for word, given in spec.rule_options.items()
        for code in _matching(word, known, default)
    }
    if not chosen & set(known) - {Code.RULE_FAILED.value}:
        raise SpecError(
            "no rule is left", remedy="select more, or ignore less; `videoprep rules` lists them"
        )
    rules = {code: _made(known[code], options.get(code, {})) for code in known if code in chosen}
    needs = frozenset(need for rule in rules.values() for need in rule.needs)
    return Selection(rules, _severities(spec, known), needs, len(default - chosen))


def of_rules(
    spec: DatasetSpec, known: Mapping[str, type[Rule]], rules: Iterable[Rule]
) -> Selection:
    """Exactly these rules, and what readers report on the way.

    Raises:
        SpecError: see `select`.
    """
    own = {rule.code: rule for rule in rules}
    readers = (rule() for rule in built_in().values() if issubclass(rule, ReaderRule))
    chosen = {**{rule.code: rule for rule in readers}, **own}
    known = {**known, **{code: type(rule) for code, rule in own.items()}}
    needs = frozenset(need for rule in own.values() for need in rule.needs)
    return Selection(chosen, _severities(spec, known), needs)


def _default(known: Mapping[str, type[Rule]]) -> set[str]:
    return {code for code, rule in known.items() if not rule.opt_in}


def _severities(spec: DatasetSpec, known: Mapping[str, type[Rule]]) -> dict[str, Severity]:
    default = _default(known)
    return {
        code: Severity(level)
        for word, level in spec.severity.items()
        for code in _matching(word, known, default)
    }


def _selected(word: str, known: Mapping[str, type[Rule]], default: set[str]) -> set[str]:
    """As `_matching`, but rules that take long have to be named, unless there are no others."""
    found = _matching(word, known, default)
    by_start = word != _ALL and len(found) > 1
    return found & default or found if by_start else found


def _matching(word: str, known: Mapping[str, type[Rule]], default: set[str]) -> set[str]:
    """The codes that a word stands for: a code, the start of some, a name, default, or all."""
    if word == _DEFAULT:
        return default
    if word == _ALL:
        return set(known)
    upper = word.upper()
    found = {code for code, rule in known.items() if code == upper or rule.name == word.lower()}
    found = found or {code for code in known if len(upper) > 1 and code.startswith(upper)}
    if found:
        return found
    raise no_such_rule(word, known)


def no_such_rule(word: str, known: Mapping[str, type[Rule]]) -> SpecError:
    """The error for a word that stands for no rule; it names the one that is nearest."""
    words = [*known, *(rule.name for rule in known.values())]
    close = [
        near
        for spelling in (word.upper(), word.lower())
        for near in difflib.get_close_matches(spelling, words, 1)
    ]
    hint = f"did you mean {close[0]}? " if close else ""
    return SpecError(
        f"there is no rule {word!r}",
        remedy=f"{hint}give a code, a name, the start of codes such as VP1, default, or all; "
        "`videoprep rules` lists them",
    )


def _made(rule: type[Rule], options: Mapping[str, Any]) -> Rule:
    try:
        return rule(rule.Options(**options))
    except ValidationError as error:
        wrong = joined(wrong_values(error, rule.Options, str).values())
        there = ", ".join(rule.Options.model_fields) or "none"
        raise SpecError(
            f"options of {rule.code} ({rule.name}): {wrong}", remedy=f"its options are: {there}"
        ) from error
