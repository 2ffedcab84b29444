"""Probe results are kept, and never kept wrongly."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.assets import write_video
from tests.support.no_locks import is_possible
from videoprep.errors import Code, MediaError
from videoprep.fs import fact_cache
from videoprep.fs.atomic import temporary_of
from videoprep.fs.fact_cache import FactCache, cache_folder, key_of
from videoprep.fs.fingerprint import fingerprint_of
from videoprep.media import inspect
from videoprep.media.frame_scan import FrameScan
from videoprep.media.inspect import Inspection, inspect_all
from videoprep.media.probe import MediaInfo, probe
from videoprep.workers import pool as workers
from videoprep.workers.pool import Limits


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were handed to a worker to be opened, in order; hashing does not count."""
    paths: list[Path] = []
    real = workers.Worker.give

    def give(worker: workers.Worker, job: workers._Inspection) -> None:
        if set(job.request.do) & {"probe", "scan"}:
            paths.append(job.request.path)
        real(worker, job)

    monkeypatch.setattr(workers.Worker, "give", give)
    return paths


def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.sys, "executable", "/no/python")


def _inspect(root: Path, *paths: Path, **options: Any) -> list[Inspection]:
    return list(inspect_all(root, paths, **options))


def _probe(root: Path, *paths: Path) -> list[MediaInfo | MediaError]:
    return [found.media for found in _inspect(root, *paths)]


def test_an_unchanged_file_is_opened_once(
    tmp_path: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4")
    first = _inspect(tmp_path, path, scan=True)[0]
    assert opened == [path]
    _no_workers(monkeypatch)
    second = _inspect(tmp_path, path, scan=True)[0]
    assert isinstance(first.media, MediaInfo)
    assert isinstance(second.media, MediaInfo)
    assert first.media.to_json() == second.media.to_json()
    assert isinstance(first.scan, FrameScan)
    assert isinstance(second.scan, FrameScan)
    assert first.scan.to_json() == second.scan.to_json()


def test_a_scan_is_added_to_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4")
    _inspect(tmp_path, path)
    asked: list[tuple[str, ...]] = []
    real = workers.Worker.give

    def give(worker: workers.Worker, job: workers._Inspection) -> None:
        asked.append(job.request.do)
        real(worker, job)

    monkeypatch.setattr(workers.Worker, "give", give)
    assert _inspect(tmp_path, path, scan=True)[0].scan is not None
    assert _inspect(tmp_path, path)[0].scan is None
    assert asked == [("fingerprint", "scan")]


def test_a_changed_file_is_opened_again(tmp_path: Path, opened: list[Path]) -> None:
    path = write_video(tmp_path / "a.mp4", frames=9)
    _probe(tmp_path, path)
    write_video(path, frames=5)
    (info,) = _probe(tmp_path, path)
    assert isinstance(info, MediaInfo)
    assert info.frames == 5
    assert len(opened) == 2


@pytest.mark.parametrize("how", ["touched", "moved", "copied", "rewritten"])
def test_contents_are_recognised(tmp_path: Path, opened: list[Path], how: str) -> None:
    path = write_video(tmp_path / "a.mp4")
    (before,) = _probe(tmp_path, path)
    other = path
    if how == "touched":
        os.utime(path, (1, 1))
    elif how == "rewritten":
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    else:
        other = tmp_path / "deep" / "b.mp4"
        other.parent.mkdir()
        (shutil.move if how == "moved" else shutil.copy)(path, other)
    for _ in range(2):
        (after,) = _probe(tmp_path, other)
        assert isinstance(after, MediaInfo)
        assert isinstance(before, MediaInfo)
        assert after.to_json() == before.to_json()
    assert opened == [path]


def test_failures_that_last_are_remembered(
    tmp_path: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = write_video(tmp_path / "good.mp4")
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    half = tmp_path / "half.mp4"
    half.write_bytes(good.read_bytes()[:-400])
    codes = [Code.UNREADABLE, None, Code.TRUNCATED, None]
    for _ in range(2):
        results = _probe(tmp_path, bad, good, half, good)
        assert [getattr(result, "code", None) for result in results] == codes
        _no_workers(monkeypatch)
    assert len(opened) == 3, "the good one once"
    assert str(results[0]).startswith(str(bad))


def test_passing_failures_are_not_remembered(tmp_path: Path, opened: list[Path]) -> None:
    path = write_video(tmp_path / "a.mp4", width=2048, height=2048, frames=2, codec="mpeg4")
    missing = tmp_path / "missing.mp4"
    for _ in range(2):
        results = _inspect(tmp_path, path, missing, limits=Limits(60.0, 8))
        codes = [getattr(result.media, "code", None) for result in results]
        assert codes == [Code.MEMORY_LIMIT, Code.UNREADABLE]
    assert len(opened) == 4
    shutil.copy(path, missing)
    assert all(isinstance(found, MediaInfo) for found in _probe(tmp_path, path, missing))


def test_a_file_that_changes_while_it_is_read_is_not_known(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    key = key_of(path)
    write_video(path, frames=5)
    with FactCache(tmp_path) as cache:
        cache.put(key, "0" * 32, {"probe": "of the file as it was"})
        assert cache.get([key_of(path)]) == {}


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
                database.execute("UPDATE texts SET value = '{'")
            elif damage == "table":
                database.execute("DROP TABLE facts")
                database.execute("CREATE TABLE facts (something TEXT)")
            else:
                database.execute("DELETE FROM facts")
                database.execute(
                    "CREATE TRIGGER no BEFORE INSERT ON facts BEGIN "
                    "SELECT RAISE(FAIL, 'attempt to write a readonly database'); END"
                )
    (info,) = _probe(tmp_path, path)
    assert isinstance(info, MediaInfo)
    assert ("probe results are not kept" in caplog.text) == (damage != "row")


_LOOK = """
import logging, pathlib, sys
from videoprep.media.inspect import inspect_all
logging.basicConfig(level=logging.WARNING)
print([one.media.frames for one in inspect_all(pathlib.Path(sys.argv[1]), sys.argv[2:])])
"""


def _without_locks(error: str, root: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", _LOOK, str(root), *map(str, paths)]
    command = [sys.executable, "-m", "tests.support.no_locks", error, *program]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


@pytest.mark.skipif(not is_possible(), reason="needs a kernel that filters system calls")
@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP"])
def test_without_locks_results_are_kept_all_the_same(
    tmp_path: Path, opened: list[Path], error: str
) -> None:
    path, other = (write_video(tmp_path / f"{n}.mp4", frames=5 + 4 * n) for n in range(2))
    for files, shown in (([path], "[5]"), ([path, other], "[5, 9]")):
        ended = _without_locks(error, tmp_path, *files)
        assert (ended.stdout.strip(), ended.stderr) == (shown, "")
        (file,) = cache_folder(tmp_path).iterdir()
        assert file.suffix == ".sqlite"
        left = temporary_of(file)
        left.write_bytes(b"of a process that was killed")
        os.utime(left, (0, 0))
    left.unlink()
    _probe(tmp_path, path, other)
    assert opened == [], "all is known, with locks, too"


def test_a_cache_that_another_process_holds_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4")
    _probe(tmp_path)
    (file,) = cache_folder(tmp_path).iterdir()
    monkeypatch.setattr(fact_cache, "_WAIT_SECONDS", 0.1)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    (info,) = _probe(tmp_path, path)
    other.close()
    assert isinstance(info, MediaInfo)
    assert "wait until the other process that writes to it has ended" in caplog.text


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


def test_known_files_between_new_ones_keep_their_facts(tmp_path: Path) -> None:
    paths = [
        write_video(tmp_path / f"{n}.mp4", width=64 + 32 * n, frames=5 + 4 * n) for n in range(5)
    ]
    truth = [(probe(path).width, probe(path).frames) for path in paths]

    def look(chosen: list[int]) -> list[tuple[int, int]]:
        found = inspect_all(tmp_path, [paths[n] for n in chosen])
        return [(one.media.width, one.media.frames) for one in found]

    assert look([1, 3]) == [truth[1], truth[3]]
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 2, 0]):
        assert look(order) == [truth[n] for n in order]


@pytest.mark.parametrize(
    "value",
    ['{"value": {}}', "3", "null", "[]", "[" * 99_999, '{"value": {"fps": "1/0"}}', '{"error": 1}'],
)
def test_facts_that_make_no_sense_are_found_out_anew(tmp_path: Path, value: str) -> None:
    path = write_video(tmp_path / "a.mp4")
    (before,) = inspect_all(tmp_path, [path])
    (file,) = (tmp_path / ".videoprep").glob("*.sqlite")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE texts SET value = ?", (value,))
    database.close()
    (after,) = inspect_all(tmp_path, [path])
    assert after.media.to_json() == before.media.to_json()


def test_other_processes_can_write_between(tmp_path: Path) -> None:
    paths = [write_video(tmp_path / f"{n}.mp4", frames=5 + 4 * n) for n in range(2)]
    with FactCache(tmp_path) as one, FactCache(tmp_path) as other:
        for cache, path in ((one, paths[0]), (other, paths[1])):
            cache.put(key_of(path), "f" * 32, {"probe": "{}"})
            cache._write()
        assert key_of(paths[1]) in one.get([key_of(paths[1])])


def test_a_file_that_is_named_often_is_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    run = workers.WorkerPool.run

    def counting(pool: workers.WorkerPool, requests: list[workers.Request]) -> Any:
        requests = list(requests)
        asked.extend(request.path for request in requests)
        return run(pool, requests)

    monkeypatch.setattr(workers.WorkerPool, "run", counting)
    monkeypatch.setattr(inspect, "_WINDOW", 4)
    paths = [write_video(tmp_path / f"{n}.mp4", frames=5 + 4 * n) for n in range(2)]
    found = list(inspect_all(tmp_path, [paths[n % 2] for n in range(50)]))
    assert [one.media.frames for one in found] == [5, 9] * 25
    assert sorted(asked) == paths


def test_files_that_are_alike_share_what_is_kept(tmp_path: Path) -> None:
    paths = [write_video(tmp_path / f"{n}.mp4", lift=40 + n) for n in range(3)]
    for _ in range(2):
        found = _inspect(tmp_path, *paths)
        assert len({one.alike for one in found}) == 1
        assert len({id(one.shared) for one in found}) == 1
        assert len({one.fingerprint for one in found}) == 3
        for path, one in zip(paths, found, strict=True):
            assert isinstance(one.media, MediaInfo)
            assert one.media is one.media
            assert one.media.to_json() == probe(path).to_json()
    (file,) = cache_folder(tmp_path).glob("*.sqlite")
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT count(*) FROM texts").fetchone() == (1,)
    database.close()


def test_facts_of_a_copy_are_those_of_its_contents(tmp_path: Path, opened: list[Path]) -> None:
    path = write_video(tmp_path / "a.mp4")
    copy = Path(shutil.copy(path, tmp_path / "b.mp4"))
    _inspect(tmp_path, path)
    _inspect(tmp_path, copy, scan=True)
    before = len(opened)
    (found,) = _inspect(tmp_path, path, scan=True)
    assert found.scan is not None, "what decoding the copy showed"
    assert len(opened) == before


def test_a_key_is_that_of_the_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")
    detours = ["a.mp4", "./a.mp4", "x/../a.mp4", "x//../a.mp4", f"{tmp_path}/./a.mp4"]
    assert {key_of(detour) for detour in detours} == {key_of(path)}
    key = key_of(path)
    assert key is not None
    assert key[0] == os.fsencode(path)
    for nothing in ("", "gone.mp4", "nul\0.mp4", "\ud800.mp4", "a.mp4/"):
        assert key_of(nothing) is None


def test_paths_may_be_text(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    gone = f"{tmp_path}/gone.mp4"
    for _ in range(2):
        found, missing = inspect_all(tmp_path, [str(path), gone])
        assert found.media.fingerprint == probe(path).fingerprint
        assert str(missing.media).startswith(gone)


@pytest.mark.parametrize("damage", ["fingerprint = x'00'", "fingerprint = NULL"])
def test_a_strange_fingerprint_is_not_believed(tmp_path: Path, damage: str) -> None:
    path = write_video(tmp_path / "a.mp4")
    (before,) = _probe(tmp_path, path)
    (file,) = cache_folder(tmp_path).glob("*.sqlite")
    with sqlite3.connect(file) as database:
        database.execute(f"UPDATE contents SET {damage}")
    database.close()
    (after,) = _probe(tmp_path, path)
    assert after.to_json() == before.to_json()


def test_fingerprints_are_found_in_order_and_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list may have millions of files, none of which is known yet."""
    waiting, most = 0, 0

    class Counting(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **named: Any) -> Any:
            nonlocal waiting, most
            waiting += 1
            most = max(most, waiting)
            return super().submit(*arguments, **named)

    class Storing(FactCache):
        def put(self, *arguments: Any) -> None:
            nonlocal waiting
            waiting -= 1
            super().put(*arguments)

    monkeypatch.setattr(fact_cache, "ThreadPoolExecutor", Counting)
    monkeypatch.setattr(fact_cache, "FactCache", Storing)
    paths = [tmp_path / f"{number}.mp4" for number in range(300)]
    for number, path in enumerate(paths):
        path.write_bytes(b"%d" % number)
    paths[7].unlink()
    names = list(map(str, paths))
    found = fact_cache.fingerprints_of(tmp_path, names)
    assert most <= fact_cache._HASHED_AHEAD
    assert found == ["" if n == 7 else fingerprint_of(path) for n, path in enumerate(paths)]
    assert fact_cache.fingerprints_of(tmp_path, names[::-1]) == found[::-1]


def test_fingerprints_take_no_facts_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4")
    _probe(tmp_path, path)
    asked: list[object] = []
    real = fact_cache._select

    def select(database: sqlite3.Connection, query: str, values: list[bytes]) -> Any:
        asked.extend(values if query == fact_cache._FIND_TEXTS else [])
        return real(database, query, values)

    monkeypatch.setattr(fact_cache, "_select", select)
    assert fact_cache.fingerprints_of(tmp_path, [str(path)]) == [fingerprint_of(path)]
    assert asked == []
