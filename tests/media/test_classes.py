"""Each media class is reported with its own code, and never with another's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

import videoprep as vp
from tests.conftest import need
from tests.support.assets import write_lists
from tests.support.media_classes import CLASSES, make_all

# Sizes, captions and plans are not what these files are about.
_NOT_MEDIA = ["VP101", "VP102", "VP2", "VP3"]

ABOUT = frozenset().union(*(one.codes for one in CLASSES.values()))
"""The codes that the classes are about. A rule whose code none of them names has its own cases."""


@pytest.fixture(scope="session")
def media_classes(shared_folder: Path) -> Path:
    """One file of each class; do not change it."""
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    folder = shared_folder / "media-classes"
    with FileLock(f"{folder}.lock"):
        if not (folder / "missing.json").exists():
            missing = make_all(folder)
            names = [name for name in CLASSES if name not in missing]
            write_lists(folder, [f"A clip named {name}." for name in names], names)
            (folder / "missing.json").write_text(json.dumps(missing))
    return folder


Found = dict[str, dict[str, str]]
"""For each file the codes, and the messages."""


@pytest.fixture(scope="session")
def found(media_classes: Path) -> Found:
    return _found(media_classes, ["all"])


@pytest.fixture(scope="session")
def found_by_default(media_classes: Path) -> Found:
    return _found(media_classes, [])


def _found(folder: Path, select: list[str]) -> Found:
    # The folder is full of files of one name with other endings.
    report = vp.validate(folder, select=select, ignore=_NOT_MEDIA, target_fps=8, audio_column="")
    names = (folder / "videos.txt").read_text().splitlines()
    assert report.total == len(names)
    found: Found = {name: {} for name in names}
    for finding in report.findings:
        if finding.code in ABOUT:
            assert finding.line is not None, finding
            found[names[finding.line - 1]][finding.code] = finding.message
    return found


def _codes(name: str, folder: Path, found: Found) -> set[str]:
    missing = json.loads((folder / "missing.json").read_text())
    if name in missing:
        need(f"an ffmpeg that can make {name}: {missing[name][-200:]}")
    return set(found[name])


@pytest.mark.parametrize("name", CLASSES)
def test_exactly_these_codes(name: str, media_classes: Path, found: Found) -> None:
    assert _codes(name, media_classes, found) == CLASSES[name].codes, found[name]


@pytest.mark.parametrize("name", CLASSES)
def test_without_decoding_all_frames(
    name: str, media_classes: Path, found_by_default: Found
) -> None:
    of_frames = {f"VP{number}" for number in range(122, 127)}
    codes = _codes(name, media_classes, found_by_default)
    assert codes == CLASSES[name].codes - of_frames, found_by_default[name]


@pytest.mark.parametrize("name", CLASSES)
def test_the_quick_look_sees_what_the_careful_one_does(
    name: str, media_classes: Path, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    from videoprep.errors import MediaError
    from videoprep.media import probe as module

    def look() -> object:
        try:
            return module.probe(media_classes / name).to_json()
        except MediaError as error:
            return error.code, error.message

    _codes(name, media_classes, found)
    quick = look()
    monkeypatch.setattr(module, "_scan_quickly", lambda _path: None)
    assert quick == look()


def test_severities(media_classes: Path) -> None:
    report = vp.validate(media_classes, select=["VP117"])
    severities = {f.video: f.severity.value for f in report.findings if f.code == "VP117"}
    assert severities["untagged.mp4"] == "note"
    assert severities["untagged-hd.mp4"] == "warning"


def test_the_numbers_add_up(media_classes: Path) -> None:
    report = vp.validate(media_classes, select=["VP103"])
    assert report.total == report.clean + report.unusable + len(report.findings)


def test_real_clips_are_sound(real_clips: Path, tmp_path: Path) -> None:
    shutil.copytree(real_clips, tmp_path / "clips")
    codes = sorted(ABOUT - {"VP117"})
    report = vp.validate(tmp_path / "clips", select=codes)
    found = {(f.video or "").split("/")[-1] + " " + f.code for f in report.findings}
    assert found - {"nasa.mp4 VP124", "nasa.mp4 VP126"} == {"bunny.mp4 VP113"}  # pixels of 4:3
