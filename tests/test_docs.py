"""Every command and program of README, docs and examples, run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

_DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(_DOCS.glob("*.md")), _DOCS / "export/media.md"]
"""The other targets' pages are run by tests/exporters/test_pages.py, each on its own family."""
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Set-up, which the suite itself has done.
_NOT_RUN = ("make ", "pip ")


def _blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{page.name}:{number}", text)
        for page in PAGES
        for number, (kind, text) in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")))
        if kind == language
    ]


@pytest.fixture
def workplace(tmp_path: Path, demo_dataset: Path, demo_store: Path, tiny_model: Path) -> Path:
    """What the pages speak of: ``dataset/``, a table in it, ``latents/``, the model's id …"""
    shutil.copytree(demo_dataset, tmp_path / "dataset", ignore=shutil.ignore_patterns(".*"))
    (tmp_path / "dataset/list.csv").write_text("clip,text\nvideos/00000.mp4,a ball\n")
    shutil.copytree(demo_store, tmp_path / "latents")
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    (tmp_path / "THUDM").mkdir()
    (tmp_path / "THUDM/CogVideoX-2b").symlink_to(tiny_model)
    return tmp_path


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "HF_DATASETS_CACHE": str(folder / ".cache")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize(("where", "block"), _blocks("bash"), ids=lambda v: v.split("\n")[0][:40])
def test_commands(where: str, block: str, workplace: Path) -> None:
    for line in filter(None, block.splitlines()):
        if line.startswith(_NOT_RUN):
            continue
        done = _run(["bash", "-c", line], workplace)
        assert done.returncode == 0, f"{where}: {line}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(("where", "block"), _blocks("python"), ids=lambda v: v.split("\n")[0][:40])
def test_programs(where: str, block: str, workplace: Path) -> None:
    done = _run([sys.executable, "-c", block], workplace)
    assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
