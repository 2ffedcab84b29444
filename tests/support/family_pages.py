"""Runs the Python of a family's page."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_page(page: str, folder: Path) -> dict[str, Any]:
    """Runs what a page says of ``store`` where ``folder`` has it; gives the names it leaves."""
    code = "\n".join(_BLOCK.findall((REPOSITORY / "docs" / page).read_text(encoding="utf-8")))
    assert code
    before = Path.cwd()
    names: dict[str, Any] = {}
    os.chdir(folder)
    try:
        exec(compile(code, page, "exec"), names)
    finally:
        os.chdir(before)
    return names
