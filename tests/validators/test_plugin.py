"""Plugins: the one in examples, installed by pip; broken and colliding ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.assets import write_lists

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def _install(source: Path, target: Path) -> Path:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return target


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the example."""
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(REPOSITORY / "examples/plugin", source)
    return _install(source, tmp_path_factory.mktemp("installed"))


def _validate(cold_cli: Run, path: Path, dataset: Path, *options: str) -> dict[str, object]:
    search = os.pathsep.join([str(path), str(REPOSITORY)])
    done = cold_cli("validate", dataset, "--output-format", "json", *options, PYTHONPATH=search)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def test_the_example_is_installed_and_applied(
    cold_cli: Run, installed: Path, dataset: Path
) -> None:
    write_lists(dataset, ["A beach with a watermark.", "A dog.", "A cat from Getty."])
    found = _validate(cold_cli, installed, dataset)
    assert found["by_code"]["ACME001"] == 1
    found = _validate(
        cold_cli, installed, dataset, "--select=ACME", "--rule-option=ACME001.words=dog,getty"
    )
    assert [f["line"] for f in found["findings"]] == [2, 3]
    assert found["findings"][0]["rule"] == "stock-footage"


def test_the_example_explains_itself(cold_cli: Run, installed: Path) -> None:
    done = cold_cli(
        "rules", "ACME001", PYTHONPATH=os.pathsep.join([str(installed), str(REPOSITORY)])
    )
    assert done.returncode == 0
    assert "The model learns to draw watermarks" in done.stdout
    assert "words" in done.stdout


PLUGIN = """
import videoprep as vp
from collections.abc import Iterator

class Base(vp.Validator):
    code = "ZZZ001"
    name = "zzz"
    summary = "Nothing."

    def check(self, subject) -> Iterator[vp.Finding]:
        yield self.finding(subject, "found")

class TakesCode(Base):
    code = "VP101"
    name = "other"

class TakesOwn(Base):
    code = "VP998"
    name = "own"

class TakesName(Base):
    code = "ZZZ002"
    name = "frame-count"

class Nameless(vp.Validator):
    code = "ZZZ003"
    summary = "Nothing."

    def check(self, subject):
        yield from ()

class Unfinished(vp.Validator):
    code = "ZZZ004"
    name = "unfinished"
    summary = "Nothing."

class Demanding(Base):
    code = "ZZZ005"
    name = "demanding"

    def __init__(self, options=None):
        raise RuntimeError("not today")

no_rule = 7
"""


def _plugin(folder: Path, points: dict[str, str]) -> Path:
    """What pip would leave of a distribution with these entry points."""
    info = folder / "bad_plugin-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 1\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[videoprep.validators]", *lines, ""]))
    (folder / "bad_plugin.py").write_text(PLUGIN)
    (folder / "leaving.py").write_text("raise SystemExit(0)")
    return folder


_BAD = {
    "no_such_module:Rule": ("VP901", "ModuleNotFoundError"),
    "bad_plugin:Missing": ("VP901", "AttributeError"),
    "bad_plugin:no_rule": ("VP901", "no subclass of videoprep.Validator"),
    "bad_plugin:Nameless": ("VP901", "Nameless.name is None"),
    "bad_plugin:Unfinished": ("VP901", "does not define check"),
    "bad_plugin:Demanding": ("VP901", "not today"),
    "leaving:Rule": ("VP901", "SystemExit"),
    "bad_plugin:TakesCode": ("VP902", "taken by SizeNotDivisible"),
    "bad_plugin:TakesOwn": ("VP902", "videoprep's own"),
    "bad_plugin:TakesName": ("VP902", "taken by VP102"),
}


def test_each_bad_plugin_is_a_finding(cold_cli: Run, tmp_path: Path, dataset: Path) -> None:
    points = {f"bad-{number}": value for number, value in enumerate(_BAD)}
    path = _plugin(tmp_path / "site", {**points, "good": "bad_plugin:Base"})
    found = _validate(cold_cli, path, dataset, "--select", "ZZZ,VP9")
    assert found["by_code"] == {"ZZZ001": 3, "VP901": 7, "VP902": 3}, "the others go on"
    said = [(f["code"], f["message"]) for f in found["findings"] if f["code"].startswith("VP9")]
    for code, words in _BAD.values():
        assert len([message for c, message in said if c == code and words in message]) == 1, words
    assert all("bad-plugin" in f["file"] for f in found["findings"] if f["code"] != "ZZZ001")


def test_of_two_plugins_with_one_code_the_first_is_used(
    cold_cli: Run, tmp_path: Path, dataset: Path
) -> None:
    path = _plugin(tmp_path / "site", {"a": "bad_plugin:Base", "b": "bad_plugin:Base"})
    found = _validate(cold_cli, path, dataset, "--select", "ZZZ,VP9")
    assert found["by_code"] == {"VP902": 1, "ZZZ001": 3}
