"""A folder of files keeps the same promises wherever it lies."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import secrets
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from videoprep.errors import VideoprepError
from videoprep.fs import Files, LocalFiles, is_url, open_files
from videoprep.fs.remote_files import RemoteFiles

S3 = pytest.param("s3", marks=pytest.mark.heavy)
KINDS = ["local", "memory", S3, "plain"]
REMOTE = ["memory", S3, "plain"]


@pytest.fixture(params=KINDS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """An empty folder of each kind; ``plain`` is one that fsspec can only read and write."""
    kind = request.param
    if kind == "s3":
        return open_files(f"{request.getfixturevalue('s3')}/a folder/of files")
    if kind == "memory":
        return open_files(f"memory://{secrets.token_hex(8)}/files")
    if kind == "plain":
        return RemoteFiles(f"local://{tmp_path}/files")
    return open_files(tmp_path / "files")


remote = pytest.mark.parametrize("files", REMOTE, indirect=True)


def test_what_was_written_is_read(files: Files) -> None:
    files.write_bytes("a/b.bin", b"one")
    files.write_bytes("a/b.bin", b"two!")
    assert files.read("a/b.bin") == b"two!"
    assert files.size("a/b.bin") == 4
    assert files.names("a") == ["b.bin"]


def test_an_empty_file(files: Files) -> None:
    files.write_bytes("empty", b"")
    assert files.read("empty") == b""
    assert files.size("empty") == 0
    assert files.read_range("empty", 0, 10) == b""
    assert list(files.chunks("empty")) == []


def test_ranges(files: Files) -> None:
    files.write_bytes("f", bytes(range(100)))
    assert files.read_range("f", 0, 3) == b"\0\1\2"
    assert files.read_range("f", 95, 10) == bytes(range(95, 100))
    assert files.read_range("f", 100, 10) == b""
    assert files.read_range("f", 500, 10) == b""
    assert files.read_range("f", 7, 0) == b""


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_chunks_give_the_whole(files: Files, size: int) -> None:
    data = os.urandom(100)
    files.write_bytes("f", data)
    pieces = list(files.chunks("f", size))
    assert b"".join(pieces) == data
    assert all(len(piece) <= size for piece in pieces)


def test_a_large_file_goes_up_in_parts_and_comes_down_in_pieces(files: Files) -> None:
    block = os.urandom(1 << 20)

    def write(file: BinaryIO) -> None:
        for number in range(50):
            file.write(bytes([number]))
            file.write(block)

    files.write("large", write)
    assert files.size("large") == 50 * (len(block) + 1)
    assert files.read_range("large", 49 * (len(block) + 1), 1) == b"\x31"
    whole = b"".join(bytes([number]) + block for number in range(50))
    assert b"".join(files.chunks("large")) == whole


def test_hidden_names_are_listed_and_folders_apart(files: Files) -> None:
    for name in (".hidden", "b", "a", "folder/x", ".folder/y", "folder/deep/z"):
        files.write_bytes(name, b"x")
    assert files.names() == [".hidden", "a", "b"]
    assert files.folders() == [".folder", "folder"]
    assert files.names("folder") == ["x"]
    assert files.folders("folder") == ["deep"]


def test_names_are_taken_as_they_are(files: Files) -> None:
    for name in ("with space", "ü", "a+b=c&d", "100%", "#1"):
        files.write_bytes(name, name.encode())
        assert files.read(name) == name.encode()
        assert files.size(name) == len(name.encode())
    assert files.names() == sorted(["with space", "ü", "a+b=c&d", "100%", "#1"])


def test_what_is_not_there(files: Files) -> None:
    assert files.names() == files.folders() == files.names("nowhere/at all") == []
    files.write_bytes("here", b"x")
    assert files.size("gone") is None
    assert files.size("here/gone") is None
    assert files.names("gone") == []
    files.delete("gone")
    for read in (
        lambda: files.read("gone"),
        lambda: files.read_range("gone", 0, 1),
        lambda: files.read_range("gone", 0, 0),
        lambda: list(files.chunks("gone")),
    ):
        with pytest.raises(FileNotFoundError) as raised:
            read()
        assert raised.value.errno == errno.ENOENT
        assert raised.value.filename is not None
        assert os.fspath(raised.value.filename).endswith("gone")


def test_a_folder_is_no_file(files: Files) -> None:
    files.write_bytes("folder/x", b"x")
    if files.path("folder") is None:  # for a local folder this is the file system's business
        assert files.size("folder") is None
    with pytest.raises(OSError, match=r".") as raised:
        files.read("folder")
    assert raised.value.filename is not None


def test_deleted(files: Files) -> None:
    files.write_bytes("f", b"x")
    files.delete("f")
    assert files.size("f") is None
    assert files.names() == []


def test_others_are_seen_at_once(files: Files) -> None:
    other = pickle.loads(pickle.dumps(files))
    assert files.names("new") == []
    other.write_bytes("new/f", b"x")
    assert files.names("new") == ["f"]
    assert files.folders() == ["new"]
    assert files.size("new/f") == 1
    other.write_bytes("new/f", b"longer")
    assert files.size("new/f") == 6
    other.delete("new/f")
    assert files.size("new/f") is None
    assert files.names("new") == []


def test_a_writer_that_fails_leaves_what_was_there(files: Files) -> None:
    files.write_bytes("f", b"old")

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        files.write("f", fail)
    assert files.read("f") == b"old"
    assert files.names() == ["f"]


def test_created_only_once(files: Files) -> None:
    assert files.create("a/receipt", b"first")
    assert not files.create("a/receipt", b"second")
    assert files.read("a/receipt") == b"first"
    files.write_bytes("a/receipt", b"third")
    assert not files.create("a/receipt", b"fourth")
    files.delete("a/receipt")
    assert files.create("a/receipt", b"fifth")
    assert files.names("a") == ["receipt"]


def test_of_many_creators_one_wins(files: Files) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda n: files.create("receipt", b"%d" % n), range(16)))
    assert made.count(True) == 1
    assert files.read("receipt") == b"%d" % made.index(True)
    assert files.names() == ["receipt"]


def test_many_threads_at_once(files: Files) -> None:
    def work(number: int) -> bytes:
        files.write_bytes(f"f{number}", b"%d" % number * 1000)
        return b"".join(files.chunks(f"f{number}", 100))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(32))) == [b"%d" % n * 1000 for n in range(32)]
    assert len(files.names()) == 32


def _create(files: Files, number: int) -> bool:
    return files.create("receipt", b"%d" % number)


@pytest.mark.parametrize("files", ["local", S3], indirect=True)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes(files: Files, method: str) -> None:
    files.write_bytes("before", b"x")  # connections are open
    with multiprocessing.get_context(method).Pool(3) as pool:
        made = pool.starmap(_create, [(files, number) for number in range(6)])
    assert made.count(True) == 1
    assert files.read("receipt") == b"%d" % made.index(True)


def test_a_fork_uses_what_it_inherits(s3: str) -> None:
    """Not pickled: the very object, with the connections and threads of its parent."""
    files = open_files(s3)
    files.write_bytes("f", b"parent")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            files.write_bytes("g", files.read("f"))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert files.read("g") == b"parent"


def test_a_fork_ends_in_the_ordinary_way(s3: str) -> None:
    script = (
        "import os, sys; from videoprep.fs import open_files\n"
        f"files = open_files({s3!r}); files.write_bytes('f', b'x')\n"
        "child = os.fork()\n"
        "assert files.read('f') == b'x'\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run(
        # Python 3.12 and later warn of a fork beside the threads of s3fs, which is meant here.
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@remote
def test_nothing_lies_here(files: Files) -> None:
    assert files.path("f") is None
    assert files.where("a/f") == f"{files.location}/a/f"
    assert is_url(files.location)


@remote
def test_pickled_with_connections_open(files: Files) -> None:
    files.write_bytes("f", b"x")
    again = pickle.loads(pickle.dumps(files))
    assert again.location == files.location
    assert again.read("f") == b"x"


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("file.begun=enospc", "old"),
        ("file.written=enospc", "old"),
        ("file.synced=eio", "old"),
        ("file.placed=eio", "new"),
    ],
)
def test_failpoints(
    files: Files,
    rule: str,
    left: str,
    monkeypatch: pytest.MonkeyPatch,
    failpoints: Callable[[], None],
) -> None:
    files.write_bytes("f", b"old")
    monkeypatch.setenv("VIDEOPREP_FAILPOINTS", rule)
    failpoints()
    with pytest.raises(OSError, match=r"."):
        files.write_bytes("f", b"new")
    monkeypatch.delenv("VIDEOPREP_FAILPOINTS")
    failpoints()
    assert files.read("f") == left.encode()
    assert files.names() == ["f"]


@pytest.fixture
def failpoints() -> Callable[[], None]:
    """Makes this process read the failpoints anew."""
    from videoprep import failpoints as module

    return module._rules.cache_clear


def test_a_bucket_that_is_not_there(s3: str) -> None:
    files = open_files(f"{s3}-gone/folder")
    for use in (
        lambda: files.names(),
        lambda: files.size("f"),
        lambda: files.create("f", b""),
        lambda: files.write_bytes("f", b"x"),
    ):
        with pytest.raises(FileNotFoundError, match="bucket does not exist") as raised:
            use()
        assert str(raised.value.filename).startswith(f"{s3}-gone/folder")


def test_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(PermissionError, match="credentials") as raised:
        open_files(s3).read("f")
    assert raised.value.filename == f"{s3}/f"


def test_no_server(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(OSError, match="Could not connect") as raised:
        open_files(s3).read("f")
    assert raised.value.filename == f"{s3}/f"
    assert pickle.loads(pickle.dumps(raised.value)).filename == f"{s3}/f"


def test_a_backend_that_is_not_installed() -> None:
    with pytest.raises(VideoprepError, match="gcsfs") as raised:
        open_files("gs://bucket/folder")
    assert raised.value.remedy == "pip install 'gcsfs'"


@pytest.mark.parametrize("url", ["nonsense://bucket/folder", "s3://", "s3:///"])
def test_urls_that_lead_nowhere(url: str) -> None:
    with pytest.raises(VideoprepError) as raised:
        open_files(url)
    assert raised.value.where == url


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    files = open_files(f"file://{tmp_path}")
    assert isinstance(files, LocalFiles)
    assert files.root == tmp_path


def test_an_object_that_stands_for_its_folder(s3: str) -> None:
    """Some tools make one for an empty folder."""
    import fsspec

    fsspec.filesystem("s3").pipe_file(f"{s3}/folder/", b"")
    files = open_files(f"{s3}/folder")
    assert files.names() == files.folders() == []
    files.write_bytes("f", b"x")
    assert files.names() == ["f"]
    assert list(RemoteFiles(f"{s3}/folder").walk()) == ["f"]


@remote
def test_walk_tells_sizes_and_versions(files: RemoteFiles) -> None:
    files.write_bytes("a", b"1")
    files.write_bytes("deep/er/b", b"22")
    found = files.walk()
    assert {name: file.size for name, file in found.items()} == {"a": 1, "deep/er/b": 2}
    assert all(file.version for file in found.values())
    assert found["a"] == files.stat("a")
    files.write_bytes("a", b"3")
    assert files.walk()["a"] != found["a"]
    assert files.walk()["deep/er/b"] == found["deep/er/b"]


def test_a_server_without_conditions_is_asked_first(s3: str) -> None:
    """A condition that a server does not know must not let a second writer win."""
    files = open_files(s3)
    files.write_bytes("f", b"first")
    assert not files.create("f", b"second")
    assert files.read("f") == b"first"


def test_the_condition_reaches_the_server(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not there when it was looked up may be there when it is written."""
    files = open_files(s3)
    files.write_bytes("f", b"first")
    monkeypatch.setattr(RemoteFiles, "size", lambda *_: None)
    assert not files.create("f", b"second")
    assert files.read("f") == b"first"
