"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from videoprep.fs.atomic import (
    create_bytes,
    is_abandoned,
    is_locked,
    temporary_of,
    write_bytes,
    write_file,
)


def test_write_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_create_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert create_bytes(path, b"first")
    assert not create_bytes(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_file(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_without_hard_links_one_writer_wins_and_nothing_is_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "file"
    assert create_bytes(path, b"first")
    assert not create_bytes(path, b"second")
    assert path.read_bytes() == b"first"
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        create_bytes(tmp_path / "other", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_error_names_the_file_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file") as raised:
        write_bytes(tmp_path / "file" / "x", b"")
    assert ".tmp" not in str(raised.value)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_modes_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    old = os.umask(umask)
    try:
        write_bytes(tmp_path / "written", b"")
        create_bytes(tmp_path / "created", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "written").stat().st_mode & 0o777 == mode
    assert (tmp_path / "created").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(("name", "write"), [("replace", write_bytes), ("link", create_bytes)])
def test_a_file_is_locked_until_it_has_its_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    write: Callable[[Path, bytes], object],
) -> None:
    """Nobody sweeps it on a slow disk in the moment between."""
    place = getattr(os, name)
    locked = []

    def look(temporary: Path, path: Path) -> None:
        locked.append(is_locked(temporary))
        place(temporary, path)

    monkeypatch.setattr(os, name, look)
    write(tmp_path / "file", b"x")
    assert locked == [True]
    assert is_locked(tmp_path / "file") is False


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError])
def test_nothing_is_left_when_it_is_interrupted_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(error):
        write_bytes(tmp_path / "file", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_may_vanish_before_a_file_is_put_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, times = Path.mkdir, []

    def vanishing(folder: Path, *arguments: object, **options: bool) -> None:
        make(folder, *arguments, **options)
        times.append(folder)
        if len(times) < 4:
            folder.rmdir()

    monkeypatch.setattr(Path, "mkdir", vanishing)
    write_bytes(tmp_path / "folder" / "file", b"x")
    assert (tmp_path / "folder" / "file").read_bytes() == b"x"


def test_without_locks_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some network file systems: nothing is taken for locked for ever."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    write_bytes(tmp_path / "file", b"x")
    left = temporary_of(tmp_path / "file")
    left.write_bytes(b"half")
    assert is_locked(left) is None
    assert not is_abandoned(left)
    os.utime(left, (0, 0))
    assert is_abandoned(left)
