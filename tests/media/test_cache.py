"""Probe results are kept, and never kept wrongly."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from tests.assets import write_video
from videoprep.errors import MediaError
from videoprep.media import cache as module
from videoprep.media.cache import ProbeCache, cache_folder
from videoprep.media.probe import MediaInfo


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really opened, in order."""
    paths: list[Path] = []
    real = module.probe

    def probe(path: Path) -> MediaInfo:
        paths.append(path)
        return real(path)

    monkeypatch.setattr(module, "probe", probe)
    return paths


def _probe(root: Path, *paths: Path) -> list[MediaInfo | MediaError]:
    with ProbeCache(root) as cache:
        return list(cache.probe_all(paths))


def test_an_unchanged_file_is_opened_once(tmp_path: Path, opened: list[Path]) -> None:
    path = write_video(tmp_path / "a.mp4")
    first, second = _probe(tmp_path, path), _probe(tmp_path, path)
    assert opened == [path]
    assert isinstance(first[0], MediaInfo)
    assert isinstance(second[0], MediaInfo)
    assert first[0].to_json() == second[0].to_json()


def test_a_changed_file_is_opened_again(tmp_path: Path, opened: list[Path]) -> None:
    path = write_video(tmp_path / "a.mp4", frames=9)
    _probe(tmp_path, path)
    write_video(path, frames=5)
    (info,) = _probe(tmp_path, path)
    assert isinstance(info, MediaInfo)
    assert info.frames == 5
    assert len(opened) == 2


def test_a_new_time_alone_is_reason_enough(tmp_path: Path, opened: list[Path]) -> None:
    path = write_video(tmp_path / "a.mp4")
    _probe(tmp_path, path)
    os.utime(path, (1, 1))
    _probe(tmp_path, path)
    assert len(opened) == 2


def test_failures_are_not_kept_and_order_is(tmp_path: Path, opened: list[Path]) -> None:
    good = write_video(tmp_path / "good.mp4")
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    for _ in range(2):
        results = _probe(tmp_path, bad, good, tmp_path / "missing.mp4", good)
        assert [isinstance(r, MediaInfo) for r in results] == [False, True, False, True]
    assert opened.count(bad) == 2


def test_a_read_only_root_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "data"
    path = write_video(root / "a.mp4")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root.chmod(0o555)  # root could still write: the missing write bits are what counts
    try:
        _probe(root, path)
        assert cache_folder(root).is_relative_to(tmp_path / "cache")
        assert cache_folder(root).is_dir()
        assert not (root / ".videoprep").exists()
    finally:
        root.chmod(0o755)


def test_without_any_cache_it_works_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "a.mp4")
    (tmp_path / ".videoprep").write_text("in the way")
    (info,) = _probe(tmp_path, path)
    assert isinstance(info, MediaInfo)
    assert "probe results are not kept" in caplog.text


@pytest.mark.parametrize("damage", ["row", "table", "read-only", "no database"])
def test_a_damaged_cache_costs_time_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = write_video(tmp_path / "a.mp4")
    _probe(tmp_path, path)
    (file,) = cache_folder(tmp_path).glob("*.sqlite")
    if damage == "no database":
        file.write_bytes(b"not a database" * 100)
    else:
        with sqlite3.connect(file) as database:
            if damage == "row":
                database.execute("UPDATE probes SET info = '{}'")
            elif damage == "table":
                database.execute("DROP TABLE probes")
                database.execute("CREATE TABLE probes (something TEXT)")
            else:
                database.execute("DELETE FROM probes")
                database.execute(
                    "CREATE TRIGGER no BEFORE INSERT ON probes BEGIN "
                    "SELECT RAISE(FAIL, 'attempt to write a readonly database'); END"
                )
    (info,) = _probe(tmp_path, path)
    assert isinstance(info, MediaInfo)
    assert "probe results are not kept" in caplog.text


def test_a_link_in_the_dataset_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    path = write_video(root / "a.mp4")
    elsewhere.mkdir()
    (root / ".videoprep").symlink_to(elsewhere)
    _probe(root, path)
    assert list(elsewhere.iterdir()) == []
    assert cache_folder(root).is_relative_to(tmp_path / "cache")


def test_names_that_are_not_unicode(tmp_path: Path, opened: list[Path]) -> None:
    path = write_video(tmp_path / "plain.mp4")
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    path.rename(strange)
    for _ in range(2):
        (info,) = _probe(tmp_path, strange)
        assert isinstance(info, MediaInfo)
    assert len(opened) == 1
