"""A disk that is full or fails: a clear error, nothing torn; with room the rerun ends it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.support.small_store import Small, visible

_FILES = {
    "store.json": "store.json",
    "/.claims/": ".claims/",
    "/prompt_embeds/": "prompt_embeds/",
    "/5x64x96-": "/5x64x96-",
    "/index.parquet": "index.parquet",
    "/catalogue.parquet": "catalogue.parquet",
    "/failures.jsonl": "failures.jsonl",
}
"""A text in the path of each kind of file, and what an error has to say of it."""


@pytest.mark.parametrize(
    ("text", "nth"),
    [*((text, 1) for text in _FILES), ("/.claims/", 2), ("/prompt_embeds/", 2), ("/5x64x96-", 2)],
)
def test_no_space_left(small: Small, text: str, nth: int) -> None:
    """The second time, of a unit's files, is the receipt; others are written once."""
    place = "file.begun" if nth == 1 else "file.written"
    full = small.run(VIDEOPREP_FAILPOINTS=f"{place}=enospc*{nth}@{text}")
    assert full.returncode == 2
    assert "No space left on device" in full.stderr
    assert _FILES[text] in full.stderr.replace("\n", "")
    assert ".tmp" not in full.stderr
    assert "Traceback" not in full.stderr
    small.require_sound()
    small.finish()


@pytest.mark.parametrize("place", ["file.synced", "file.placed"])
@pytest.mark.parametrize("text", ["/prompt_embeds/", "/catalogue.parquet"])
def test_a_failing_disk(small: Small, text: str, place: str) -> None:
    failed = small.run(VIDEOPREP_FAILPOINTS=f"{place}=eio*1@{text}")
    assert failed.returncode == 2
    assert "Input/output error" in failed.stderr
    assert _FILES[text] in failed.stderr.replace("\n", "")
    small.require_sound()
    small.finish()


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("text", ["store.json", "/text-", "/1x64x96-"])
def test_what_is_there_cannot_be_read(small: Small, text: str, nth: int) -> None:
    """That is no damage: nothing is removed or made anew."""
    small.copy_whole()
    before = visible(small.store)
    failed = small.run(VIDEOPREP_FAILPOINTS=f"file.read=eio*{nth}@{text}")
    assert failed.returncode == 2
    assert "Input/output error" in failed.stderr.replace("\n", " ") or "cannot be read" in (
        failed.stderr
    )
    assert text.strip("/") in failed.stderr.replace("\n", "")
    assert visible(small.store) == before
    assert small.finish()["encoded"] == 0


def test_a_failing_disk_under_ranks(small: Small) -> None:
    failed = small.run(ranks=2, VIDEOPREP_FAILPOINTS="file.written=enospc@/5x96x64-")
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    small.require_sound()
    small.finish()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of so many KiB; asked again, it is made larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def resize(kib: int) -> Path:
        nonlocal mounted
        options = f"size={kib}k" + (",remount" if mounted else "")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "videoprep-test", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            need(f"a tmpfs: {done.stderr}")
        mounted = True
        return folder

    yield resize
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    "kib",
    [16, *(pytest.param(kib, marks=pytest.mark.slow) for kib in (64, 160)), 240],
)
def test_a_disk_that_is_really_full(
    small: Small, small_disk: Callable[[int], Path], kib: int
) -> None:
    small = small.at(small_disk(kib) / "store")
    full = small.run()
    assert full.returncode == 2, full.stderr
    assert "No space left on device" in full.stderr
    assert f"error: {small.store}/" in full.stderr.replace("\n", "")
    assert "Traceback" not in full.stderr
    small.require_sound()
    assert small.run().returncode == 2
    small_disk(1 << 16)
    small.finish()


def test_a_read_only_store(small: Small, small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(1 << 16)
    small = small.at(disk / "store")
    small.run(VIDEOPREP_FAILPOINTS="unit.committed=kill*4")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refused = small.run()
    assert refused.returncode == 2
    assert "Read-only file system" in refused.stderr
    assert "Traceback" not in refused.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    small.finish()


def test_the_commit_thread_ends_with_the_first_error(small: Small) -> None:
    """Nothing is committed after a unit that could not be."""
    failed = small.run(VIDEOPREP_FAILPOINTS="file.written=enospc*1@/5x64x96-")
    assert failed.returncode == 2
    before = visible(small.store)
    killed = small.start()
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert before.keys() <= visible(small.store).keys()
    small.finish()
