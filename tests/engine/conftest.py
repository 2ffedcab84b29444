"""What tests of the engine share."""

from __future__ import annotations

import importlib.util
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.engine.hashing import FILES, Hashing, plan_of
from tests.support.ray_cluster import start_cluster
from tests.support.warm import REPOSITORY
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


@pytest.fixture(scope="module")
def ray_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ray's settings for a module: a token of its own, and nothing is sent anywhere."""
    if importlib.util.find_spec("ray") is None:
        need("ray")
    token = tmp_path_factory.mktemp("ray") / "token"
    token.write_text(secrets.token_hex(32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        yield


@pytest.fixture(scope="module")
def cluster_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes of the cluster write by which places they come."""
    return tmp_path_factory.mktemp("cluster") / "log"


@pytest.fixture(scope="module")
def cluster(ray_environment: None, cluster_log: Path) -> Iterator[Any]:
    """A head without CPUs, and a node of two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOPREP_FAILPOINTS_LOG", str(cluster_log))
        made = start_cluster()
    yield made
    made.shutdown()
