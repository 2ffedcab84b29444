"""Each test is of one tier, and what is run follows from what is asked for."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.conftest import REPOSITORY, TIERS
from tests.support.warm import Warm

Tests = list[tuple[str, list[str]]]
"""The file and the tiers of each test."""


def collected(warm: Warm, *arguments: str) -> tuple[Tests, Tests]:
    """The tests that pytest would run, and those that it would leave."""
    command = ["--collect-only", "-p", "no:cacheprovider", "-p", "tests.support.list_tiers"]
    done = warm.run(*command, *arguments, module="pytest", cwd=REPOSITORY, timeout=300)
    assert done.returncode == 0, done.stderr
    assert " tests collected" in done.stdout, done.stdout[-2000:]
    return _tests("RUN", done.stdout), _tests("LEFT", done.stdout)


def _tests(what: str, output: str) -> Tests:
    lines = re.findall(rf"^{what} (.*)$", output, re.MULTILINE)
    parts = [line.split() for line in lines]
    return [(file, [mark for mark in marks if mark in TIERS]) for file, *marks in parts]


def test_every_test_has_one_tier_and_plain_pytest_runs_the_units(warm: Warm) -> None:
    every, left = collected(warm, "tests")
    assert left == []
    assert [file for file, tiers in every if len(tiers) != 1] == []
    assert {tier for _, (tier,) in every} == set(TIERS)
    assert {tier for file, (tier,) in every if file.startswith("tests/faults/")} == {"faults"}
    run, _ = collected(warm)
    # As many of each file: a file that is not looked into for their sake has none.
    units = Counter(file for file, (tier,) in every if tier == "unit")
    assert Counter(file for file, _ in run) == units
    assert {tier for _, (tier,) in run} == {"unit"}


@pytest.mark.parametrize(
    ("arguments", "tiers"),
    [
        (("tests/pages",), {"unit", "browser"}),
        (("tests/pages", "-m", "browser"), {"browser"}),
        (("tests/fs", "-m", "unit"), {"unit"}),
    ],
)
def test_what_is_asked_for_runs(warm: Warm, arguments: tuple[str, ...], tiers: set[str]) -> None:
    run, _ = collected(warm, *arguments)
    assert {tier for _, own in run for tier in own} == tiers
