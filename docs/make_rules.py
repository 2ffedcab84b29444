"""Writes the pages about rules and codes from the rules themselves, and the tables of both.

python docs/make_rules.py
"""

from __future__ import annotations

import re
from pathlib import Path

from videoprep.captions.cleaning import RULES as CLEANING_RULES
from videoprep.cli.app import app
from videoprep.cli.spelling import all_flags, spelled
from videoprep.failure_reasons import REASONS
from videoprep.validators.registry import built_in
from videoprep.validators.rule_page import rule_page, rules_table

FOLDER = Path(__file__).parent / "rules"
TROUBLESHOOTING = Path(__file__).parent / "troubleshooting.md"
CAPTIONS = Path(__file__).parent / "captions.md"
_INTRO = """# The rules

What `videoprep validate` looks for. These pages are made from the rules themselves, with
`python docs/make_rules.py`; `videoprep rules` shows the same in a terminal.

"""
_SET_ASIDE = """
## What fails

Codes that `videoprep encode`, `export` and `import` give to clips; they cannot be turned off.

| code | name | what happened |
| --- | --- | --- |
"""
_TABLE = re.compile(r"(<!-- codes, made by make_rules\.py -->\n).*(<!-- end of codes -->\n)", re.S)
_CLEANING = re.compile(
    r"(<!-- cleaning rules, made by make_rules\.py -->\n).*(<!-- end of cleaning rules -->\n)", re.S
)


def pages() -> dict[str, str]:
    """The text of each page by its file name, with options as the command line spells them."""
    return {name: _spelled(text) for name, text in _pages().items()}


def _spelled(text: str) -> str:
    return spelled(text, all_flags(app), ticks=True)


def _pages() -> dict[str, str]:
    rules = built_in()
    made = {f"{code}.md": rule_page(rule) for code, rule in rules.items()}
    made |= {f"{reason.code}.md": reason.page for reason in REASONS}
    rows = (f"| [{r.code}]({r.code}.md) | {r.name} | {r.summary} |\n" for r in REASONS)
    overview = _INTRO + rules_table(rules.values()) + _SET_ASIDE + "".join(rows)
    return {"README.md": overview, **made}


def troubleshooting() -> str:
    """The page on troubles, with its table of codes made anew."""
    page = TROUBLESHOOTING.read_text(encoding="utf-8")
    return _TABLE.sub(lambda m: f"{m[1]}\n{_codes()}\n{m[2]}", page)


def _codes() -> str:
    known = {**built_in(), **{reason.code: reason for reason in REASONS}}
    rows = ["| code | name | what to do |", "| --- | --- | --- |"]
    for code, what in sorted(known.items()):
        rows.append(f"| [{code}](rules/{code}.md) | {what.name} | {what.remedy} |")
    return _spelled("\n".join(rows) + "\n")


def captions_page() -> str:
    """Return the page on captions, with its table of cleaning rules made anew."""
    rows = ["| rule | what it does |", "| --- | --- |"]
    rows += [f"| `{rule.name}` | {rule.what} |" for rule in CLEANING_RULES]
    table = "\n".join(rows)
    page = CAPTIONS.read_text(encoding="utf-8")
    return _CLEANING.sub(lambda m: f"{m[1]}\n{table}\n\n{m[2]}", page)


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    TROUBLESHOOTING.write_text(troubleshooting(), encoding="utf-8")
    CAPTIONS.write_text(captions_page(), encoding="utf-8")
