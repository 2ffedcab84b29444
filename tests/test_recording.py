"""The picture of a terminal in README: what draws it, and the one that is kept."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tests.conftest import REPOSITORY

PICTURE = REPOSITORY / "docs/images/terminal.svg"
NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def recording() -> ModuleType:
    path = REPOSITORY / "docs/make_recording.py"
    spec = importlib.util.spec_from_file_location("make_recording", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _lines(svg: str) -> list[str]:
    """What a picture says, line by line."""
    by_height: dict[float, str] = {}
    for text in ElementTree.fromstring(svg).iter(f"{{{NAMESPACE}}}text"):
        height = float(text.get("y", "0"))
        by_height[height] = by_height.get(height, "") + (text.text or "")
    return [by_height[height].replace("\u00a0", " ") for height in sorted(by_height)]


def _commands(svg: str) -> list[str]:
    return [line[2:].strip() for line in _lines(svg) if line.startswith("$ ")]


def test_what_is_drawn_was_really_run(
    recording: ModuleType, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "COMMANDS", recording.COMMANDS[:2])
    recording.main([str(dataset), "-o", str(tmp_path / "terminal.svg")])
    svg = (tmp_path / "terminal.svg").read_text(encoding="utf-8")
    assert _commands(svg) == list(recording.COMMANDS)
    text = "\n".join(_lines(svg))
    assert "clean · 3 samples = 3 clean + 0 with findings" in text
    assert "written: index.parquet" in text
    assert re.search(r"⋮ \d+ more lines", text)
    delays = [float(delay) for delay in re.findall(r"animation-delay:([\d.]+)s", svg)]
    assert delays == sorted(delays)
    assert delays[-1] > delays[0]


def test_a_command_that_fails_is_not_drawn(
    recording: ModuleType, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "COMMANDS", ("videoprep validate nowhere",))
    with pytest.raises(SystemExit, match="no such file or folder"):
        recording.main([str(dataset), "-o", str(tmp_path / "terminal.svg")])


def test_the_picture_that_is_kept(recording: ModuleType) -> None:
    """It is of the commands that the script runs now, small, and asks for nothing else."""
    svg = PICTURE.read_text(encoding="utf-8")
    assert _commands(svg) == list(recording.COMMANDS)
    assert PICTURE.stat().st_size < 200_000
    assert set(re.findall(r"https?://[^\"')\s]+", svg)) == {NAMESPACE}
    assert "@font-face" not in svg
    assert "/tmp/" not in svg
