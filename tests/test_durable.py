"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from videoprep.durable import create_bytes, write_bytes, write_file


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
