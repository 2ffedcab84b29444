"""A rule explained, as Markdown: for `videoprep rules CODE` and for the documentation."""

from __future__ import annotations

from collections.abc import Iterable

from videoprep.validators.protocol import ReaderRule, Rule, Validator


def rule_page(rule: type[Rule]) -> str:
    """What a rule demands, why, an example, the remedy and its options."""
    parts = [f"# {rule.code} {rule.name}", rule.summary]
    applied = "only when it is asked for, since it takes long" if rule.opt_in else "by default"
    facts = [f"Severity: **{rule.severity.value}**", f"applied {applied}", f"needs: {_needs(rule)}"]
    parts.append(" · ".join(facts))
    if rule.__doc__:
        parts.append(_paragraph(rule.__doc__))
    for title, text in (("Why", rule.why), ("Example", rule.example), ("Remedy", rule.remedy)):
        if text:
            parts += [f"## {title}", text]
    options = _options(rule)
    if options:
        parts += ["## Options", options]
    parts += ["## Turning it off or up", _turning(rule)]
    return "\n\n".join(parts) + "\n"


def rules_table(rules: Iterable[type[Rule]]) -> str:
    """All rules as a Markdown table with links to their pages."""
    rows = ["| code | name | severity | demands |", "| --- | --- | --- | --- |"]
    for rule in rules:
        severity = rule.severity.value + (", on request" if rule.opt_in else "")
        rows.append(
            f"| [{rule.code}]({rule.code}.md) | {rule.name} | {severity} | {rule.summary} |"
        )
    return "\n".join(rows) + "\n"


def _needs(rule: type[Rule]) -> str:
    reported = issubclass(rule, ReaderRule) and not issubclass(rule, Validator)
    needs = ", ".join(sorted(need.value for need in rule.needs))
    return f"{needs}; reported when it is read" if reported else needs


def _paragraph(text: str) -> str:
    return " ".join(text.split())


def _options(rule: type[Rule]) -> str:
    lines = []
    for name, option in rule.Options.model_fields.items():
        what = f": {option.description}" if option.description else ""
        # Two backticks: it is an option of the rule, and not one of the command line.
        lines.append(f"- ``{name}``, by default `{option.default}`{what}.")
    if lines:
        first = next(iter(rule.Options.model_fields))
        lines.append(f"\nSet one with `rule_options={{{rule.code!r}: {{{first!r}: VALUE}}}}`.")
    return "\n".join(lines)


def _turning(rule: type[Rule]) -> str:
    wanted = f"`select=['default', {rule.code!r}]`" if rule.opt_in else f"`ignore=[{rule.code!r}]`"
    level = "error" if rule.severity.value != "error" else "warning"
    what = "applies it besides the others" if rule.opt_in else "leaves it out"
    return f"{wanted} {what}; `severity={{{rule.code!r}: {level!r}}}` changes its severity."
