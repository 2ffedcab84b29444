"""Which rules are applied, and how severe they are: `select`, `ignore`, `severity`, options."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from videoprep.errors import Code, SpecError
from videoprep.spec.dataset import DatasetSpec
from videoprep.validators.protocol import Finding, Need, ReaderRule, Rule, Severity
from videoprep.validators.registry import built_in

_DEFAULT, _ALL = "default", "all"


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules that are applied.

    Attributes:
        rules: with their options set, by code.
        known: all rules that were there to choose from, by code.
        severities: by code, where the rule's own is replaced.
    """

    rules: Mapping[str, Rule]
    known: Mapping[str, type[Rule]]
    severities: Mapping[str, Severity]

    @property
    def needs(self) -> frozenset[Need]:
        """The union of what the rules look at."""
        return frozenset(need for rule in self.rules.values() for need in rule.needs)

    def judge(self, finding: Finding) -> Finding | None:
        """The finding with its severity here, or None where its rule is not applied.

        A finding that its rule itself calls milder than the rule's own severity stays so.
        """
        if finding.code not in self.rules:
            return None
        wanted = self.severities.get(finding.code)
        if wanted is None or finding.severity is not self.known[finding.code].severity:
            return finding
        return finding.with_severity(wanted)


def select(spec: DatasetSpec, known: Mapping[str, type[Rule]]) -> Selection:
    """Chooses rules as a spec says.

    Raises:
        SpecError: a code, a name or an option does not exist, or has a wrong value.
    """
    default = {code for code, rule in known.items() if not rule.opt_in}
    chosen = set().union(*(_matching(word, known, default) for word in spec.select or (_DEFAULT,)))
    chosen.add(Code.RULE_FAILED.value)  # what a chosen rule cannot say is said at least
    chosen -= set().union(*(_matching(word, known, default) for word in spec.ignore))
    severities = {
        code: Severity(level)
        for word, level in spec.severity.items()
        for code in _matching(word, known, default)
    }
    options = {
        code: given
        for word, given in spec.rule_options.items()
        for code in _matching(word, known, default)
    }
    rules = {code: _made(known[code], options.get(code, {})) for code in known if code in chosen}
    return Selection(rules, known, severities)


def of_rules(spec: DatasetSpec, rules: Iterable[Rule]) -> Selection:
    """Exactly these rules, and what readers report."""
    readers = (rule() for rule in built_in().values() if issubclass(rule, ReaderRule))
    chosen = {rule.code: rule for rule in (*readers, *rules)}
    known: dict[str, type[Rule]] = {code: type(rule) for code, rule in chosen.items()}
    return Selection(chosen, known, select(spec, known).severities)


def _matching(word: str, known: Mapping[str, type[Rule]], default: set[str]) -> set[str]:
    """The codes that a word stands for: a code, the start of some, a name, default, or all."""
    if word == _DEFAULT:
        return default
    if word == _ALL:
        return set(known)
    upper = word.upper()
    found = {code for code, rule in known.items() if code == upper or rule.name == word.lower()}
    if not found and len(upper) > 1:
        begun = {code for code in known if code.startswith(upper)}
        found = begun & default or begun  # those that take long have to be named
    if found:
        return found
    words = [*known, *(rule.name for rule in known.values())]
    close = difflib.get_close_matches(upper, words, 1) or difflib.get_close_matches(word, words, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise SpecError(
        f"there is no rule {word!r}",
        remedy=f"{hint}give a code, a name, the start of codes such as VP1, default, or all; "
        "`videoprep rules` lists them",
    )


def _made(rule: type[Rule], options: Mapping[str, Any]) -> Rule:
    try:
        return rule(rule.Options(**options))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        there = ", ".join(rule.Options.model_fields) or "none"
        raise SpecError(
            f"options of {rule.code} ({rule.name}): {wrong}", remedy=f"its options are: {there}"
        ) from error
