"""A reader from elsewhere: a package that pip installs adds a format."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

Run = Callable[..., "subprocess.CompletedProcess[str]"]

PROJECT = """
[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"
[project]
name = "videoprep-bars"
version = "0.1.0"
[project.entry-points."videoprep.readers"]
bars = "videoprep_bars:READER"
broken = "videoprep_bars:no_such_thing"
taken = "videoprep_bars:TAKEN"
stranger = "videoprep_bars:PROJECT"
[tool.hatch.build.targets.wheel]
include = ["videoprep_bars.py"]
"""

MODULE = '''
"""Reads files of rows such as ``a.mp4|a caption``."""
from videoprep.spec.readers.base import Header, Row, TableReader

PROJECT = "not a reader"


class Bars(TableReader):
    name = "bars"
    summary = "rows with bars"
    suffixes = (".bars",)

    def sniff(self, path):
        return True

    def header(self, path):
        return Header(["video", "caption"], [])

    def rows(self, path, used, found):
        found.header = dict.fromkeys(["video", "caption"])
        at = [["video", "caption"].index(name) for name in used.values()]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            cells = line.split("|")
            yield Row(number, None, [cells[place] for place in at])


class Taken(Bars):
    name = "taken"
    suffixes = (".csv",)


READER, TAKEN = Bars(), Taken()
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package."""
    source = tmp_path_factory.mktemp("source")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "videoprep_bars.py").write_text(MODULE)
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return target


def test_its_format_is_found_and_flawed_readers_are_warned_of(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_text("v")
    (tmp_path / "list.bars").write_text("a.mp4|one\nb.mp4|two\n|three\n")
    code = (
        "import sys, json, videoprep as vp\n"
        "found = vp.DatasetSpec.from_path(sys.argv[1]).listing()\n"
        "codes = [p.code.value for p in found.problems]\n"
        "print(json.dumps([found.reading.format, len(found.samples), codes, found.total]))"
    )
    search = os.pathsep.join([str(installed), str(REPOSITORY)])
    environment = {**os.environ, "PYTHONPATH": search}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert json.loads(done.stdout) == ["bars", 1, ["VP009", "VP005"], 3]
    for flaw in ("no_such_thing", ".csv has a reader already", "expected an instance"):
        assert flaw in done.stderr
