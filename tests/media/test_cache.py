"""Probe results are kept, and never kept wrongly."""

from __future__ import annotations

import os
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
