"""What tests of the engine share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.hashing import FILES, Hashing, plan_of
from videoprep.engine.run import run_task


@pytest.fixture(scope="session")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of files, one of them empty, and what the task makes of it."""
    root = tmp_path_factory.mktemp("hashing")
    (root / "files").mkdir()
    for number in range(FILES):
        (root / f"files/{number}.txt").write_text("word " * number)
    run_task(plan_of(root / "files", root / "whole"))
    return root / "files", root / "whole"


@pytest.fixture
def hashing(hashed: tuple[Path, Path], tmp_path: Path) -> Hashing:
    return Hashing(hashed[0], tmp_path / "output", hashed[1])
