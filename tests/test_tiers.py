"""Each test is of one tier, and what is run follows from what is asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, TIERS

LIST = """
def show(what, items):
    for item in items:
        print(what, item.nodeid.partition("::")[0], *(mark.name for mark in item.iter_markers()))

def pytest_deselected(items):
    show("LEFT", items)

def pytest_collection_finish(session):
    show("RUN", session.items)
"""

Tests = list[tuple[str, list[str]]]
"""The file and the tiers of each test."""


def collected(folder: Path, *arguments: str) -> tuple[Tests, Tests]:
    """The tests that pytest would run, and those that it would leave."""
    (folder / "list_tiers.py").write_text(LIST)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, "-p", "list_tiers", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return _tests("RUN", done.stdout), _tests("LEFT", done.stdout)


def _tests(what: str, output: str) -> Tests:
    lines = re.findall(rf"^{what} (.*)$", output, re.MULTILINE)
    parts = [line.split() for line in lines]
    return [(file, [mark for mark in marks if mark in TIERS]) for file, *marks in parts]


def test_every_test_has_one_tier_and_plain_pytest_runs_the_units(tmp_path: Path) -> None:
    run, left = collected(tmp_path)
    assert [file for file, tiers in run + left if len(tiers) != 1] == []
    assert {tier for _, (tier,) in run} == {"unit"}
    assert {tier for _, (tier,) in left} == set(TIERS) - {"unit"}
    assert {tier for file, (tier,) in left if file.startswith("tests/faults/")} == {"faults"}


@pytest.mark.parametrize(
    ("arguments", "tiers"),
    [
        (("tests/pages",), {"unit", "browser"}),
        (("tests/pages", "-m", "browser"), {"browser"}),
        (("tests/fs", "-m", "unit"), {"unit"}),
    ],
)
def test_what_is_asked_for_runs(
    tmp_path: Path, arguments: tuple[str, ...], tiers: set[str]
) -> None:
    run, _ = collected(tmp_path, *arguments)
    assert {tier for _, own in run for tier in own} == tiers
