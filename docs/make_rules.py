"""Writes the pages about rules from the rules themselves.

python docs/make_rules.py
"""

from __future__ import annotations

from pathlib import Path

from videoprep.reporting.rule_page import rule_page, rules_table
from videoprep.validators.registry import built_in

FOLDER = Path(__file__).parent / "rules"
_INTRO = """# The rules

What `videoprep validate` looks for. These pages are made from the rules themselves, with
`python docs/make_rules.py`; `videoprep rules` shows the same in a terminal.

"""


def pages() -> dict[str, str]:
    """The text of each page by its file name."""
    rules = dict(sorted(built_in().items()))
    made = {f"{code}.md": rule_page(rule) for code, rule in rules.items()}
    return {"README.md": _INTRO + rules_table(rules.values()), **made}


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
