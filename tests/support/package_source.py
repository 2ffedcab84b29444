"""The package's own source, parsed once for all tests that look at it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import videoprep

PACKAGE = Path(videoprep.__file__).parent


@cache
def modules() -> dict[str, ast.Module]:
    """Each module's tree, by its path below the package."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def nodes() -> dict[str, list[ast.AST]]:
    """All nodes of each module."""
    return {name: list(ast.walk(tree)) for name, tree in modules().items()}
