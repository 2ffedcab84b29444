"""Datasets behind a URL are checked and planned as those in a folder, and fetched once."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import videoprep as vp
from tests.media.sounds import noise, write_wav
from tests.support.assets import CLIPS, write_lists, write_video
from tests.support.s3_server import S3Server
from videoprep.cli.options import _place
from videoprep.errors import ListError, PlanError, SourceError, SpecError
from videoprep.fs.mirror import local_path, mirrors, remote_of, shown
from videoprep.fs.remote_files import RemoteFile, RemoteFiles
from videoprep.fs.staging import Staging
from videoprep.media.source import SourceGuard
from videoprep.spec.dataset import DatasetSpec

SMALL = {"profile": "cogvideox", "reshape": "center-crop", "frame_buckets": [5, 9]}
VIDEOS = [f"videos/{clip[0]}.mp4" for clip in CLIPS]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def mirrors_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDEOPREP_MIRRORS", str(tmp_path / "mirrors"))
    return tmp_path / "mirrors"


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.heavy)])
def url(request: pytest.FixtureRequest) -> str:
    """An empty remote folder."""
    if request.param == "memory":
        return f"memory://{secrets.token_hex(8)}/dataset"
    return f"{request.getfixturevalue('s3')}/some/dataset"


in_memory = pytest.mark.parametrize("url", ["memory"], indirect=True)


def put(folder: Path, url: str) -> RemoteFiles:
    """Uploads a folder."""
    files = RemoteFiles(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".videoprep" not in path.parts:
            files.write_bytes(path.relative_to(folder).as_posix(), path.read_bytes())
    return files


@pytest.fixture
def remote(dataset: Path, url: str) -> RemoteFiles:
    """The small dataset of each test, behind a URL."""
    return put(dataset, url)


@pytest.fixture
def on_s3(dataset: Path, s3: str) -> RemoteFiles:
    """It in an S3 bucket."""
    return put(dataset, f"{s3}/dataset")


def codes(report: vp.Report) -> list[str]:
    return sorted(finding.code for finding in report.findings if finding.severity == "error")


def test_an_index_is_the_same_but_for_its_root(dataset: Path, remote: RemoteFiles) -> None:
    here = vp.BucketIndex.build(dataset, **SMALL)
    there = vp.BucketIndex.build(remote.location, **SMALL)
    assert there.table.drop_columns(["file"]) == here.table.drop_columns(["file"])
    assert set(there.table["file"].to_pylist()) == {f"{remote.location}/videos.txt"}
    assert there.policy == here.policy
    assert there.digest == here.digest
    assert shown(there.data_root) == remote.location


def test_sound_files_lie_behind_the_url_too(dataset: Path, url: str) -> None:
    (dataset / "s").mkdir()
    write_wav(dataset / "s/a.wav", noise(2, 16_000), 16_000)
    pairs = zip(VIDEOS, ("s/a.wav", "s/b.wav", ""), strict=True)
    rows = "".join(f"{v},a caption,{s}\n" for v, s in pairs)
    (dataset / "list.csv").write_text(f"video,caption,audio\n{rows}")
    place = put(dataset, url).location
    here = vp.BucketIndex.build(dataset / "list.csv", **SMALL)
    there = vp.BucketIndex.build(f"{place}/list.csv", **SMALL)
    assert [one.code for one in there.left_out] == ["VP022"]
    assert there.table.drop_columns(["file"]) == here.table.drop_columns(["file"])
    assert there.check_sources().table == there.table
    sound = next(there.clips()).sound()
    with Staging.of(there.data_root).here(sound.path):
        assert sound.path.read_bytes() == (dataset / "s/a.wav").read_bytes()


def test_sound_beside_videos_is_found_behind_the_url(dataset: Path, url: str) -> None:
    first, second = (Path(name).with_suffix(".wav") for name in VIDEOS[:2])
    write_wav(dataset / first, noise(2, 16_000), 16_000)
    write_wav(dataset / second, noise(2, 16_000, seed=1), 16_000)
    (dataset / second).with_suffix(".flac").write_bytes(b"another")
    here = vp.BucketIndex.build(dataset, **SMALL)
    there = vp.BucketIndex.build(put(dataset, url).location, **SMALL)
    assert [one.code for one in there.left_out] == ["VP024"]
    assert there.table["audio_path"].drop_null().to_pylist() == [str(first)]
    assert there.table.drop_columns(["file"]) == here.table.drop_columns(["file"])
    assert there.policy == here.policy


def test_a_report_is_the_same_but_for_its_places(dataset: Path, remote: RemoteFiles) -> None:
    here = vp.validate(dataset, select=("all",))
    there = vp.validate(remote.location, select=("all",))
    assert [(f.code, f.message, f.line, f.video) for f in there.findings] == [
        (f.code, f.message, f.line, f.video) for f in here.findings
    ]
    assert there.root == remote.location
    assert {f.file for f in there.findings} <= {
        f"{remote.location}/{name}" for name in ("videos.txt", "prompt.txt")
    }


def test_a_second_run_downloads_nothing(on_s3: RemoteFiles, s3_server: S3Server) -> None:
    s3_server.requests()
    first = vp.BucketIndex.build(on_s3.location, **SMALL)
    assert len(s3_server.downloads()) == len(CLIPS)
    again = vp.BucketIndex.build(on_s3.location, **SMALL)
    seen = s3_server.requests()
    assert not [request for request in seen if ".mp4" in request]
    # The spec file, the folder, and what lies beside the videos: a listing each.
    assert sum(request.startswith("GET") and "list-type" in request for request in seen) <= 4, seen
    assert again.table == first.table


def test_what_is_known_needs_no_copy_here(
    on_s3: RemoteFiles, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOPREP_STAGING_GIB", "0")
    first = vp.BucketIndex.build(on_s3.location, **SMALL)
    for path in first.data_root.rglob("*.mp4"):
        path.unlink()
    s3_server.requests()
    assert vp.BucketIndex.build(on_s3.location, **SMALL).table == first.table
    assert s3_server.downloads() == []


@in_memory
def test_lists_are_read_anew(remote: RemoteFiles, tmp_path: Path) -> None:
    spec = DatasetSpec.from_path(remote.location)
    assert len(list(spec.samples())) == 3
    write_lists(tmp_path / "new", ["one", "two"], VIDEOS[:2])
    put(tmp_path / "new", remote.location)
    assert [sample.caption for sample in spec.samples()] == ["one", "two"]
    remote.delete("prompt.txt")
    with pytest.raises(SpecError, match=r"prompt\.txt"):
        DatasetSpec.from_path(remote.location)
    with pytest.raises(SpecError, match=remote.location):
        spec.listing()


def test_a_video_that_is_missing(remote: RemoteFiles, url: str) -> None:
    remote.delete(VIDEOS[1])
    report = vp.validate(url)
    assert "VP005" in codes(report)
    [finding] = [f for f in report.findings if f.code == "VP005"]
    assert (finding.file, finding.line) == (f"{url}/videos.txt", 2)
    assert url in finding.remedy
    index = vp.BucketIndex.build(url, on_missing="skip", **SMALL)
    assert [(one.video, one.code) for one in index.left_out] == [(VIDEOS[1], "VP005")]


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("../x.mp4", "VP006"),
        ("videos/../../x.mp4", "VP006"),
        ("..", "VP006"),
        ("/etc/passwd", "VP006"),
        ("s3://other/x.mp4", "VP006"),
        ("http://127.0.0.1:9/x.mp4", "VP006"),
        ("file:///etc/passwd", "VP006"),
        ("memory://x/y.mp4", "VP006"),
        ("videos/../videos/a.mp4", "VP005"),
        ("videos", "VP005"),
        ("videos/a.mp4/", "VP005"),
        (".", "VP005"),
        ("Videos/A.mp4", "VP005"),
        ("videos/" + "x" * 3000, "VP005"),
    ],
)
def test_hostile_entries(entry: str, code: str, dataset: Path, tmp_path: Path) -> None:
    write_lists(dataset, ["a", "b"], [VIDEOS[0], entry])
    files = put(dataset, f"memory://{secrets.token_hex(8)}")
    with pytest.raises(ListError) as raised:
        list(DatasetSpec.from_path(files.location).samples())
    assert [problem.code.value for problem in raised.value.problems] == [code]
    assert not list((tmp_path / "mirrors").rglob("*.mp4"))


def test_a_guess_names_what_is_there(dataset: Path) -> None:
    write_lists(dataset, ["a"], ["Videos/A.mp4"])
    files = put(dataset, f"memory://{secrets.token_hex(8)}")
    [problem] = DatasetSpec.from_path(files.location).listing().problems
    assert "is it videos/a.mp4?" in problem.remedy


@pytest.mark.parametrize("name", ["mirror.json", ".videoprep/facts.sqlite", "../mirror.json"])
def test_a_dataset_cannot_write_over_what_is_known_of_it(name: str, dataset: Path) -> None:
    write_lists(dataset, ["a"], [name])
    files = put(dataset, f"memory://{secrets.token_hex(8)}")
    if not name.startswith(".."):
        files.write_bytes(name, b"evil")
    spec = DatasetSpec.from_path(files.location)
    known = remote_of(spec.data_root)
    assert known is not None
    with pytest.raises((ListError, PlanError)):
        vp.BucketIndex.build(spec, **SMALL).require_clips()
    assert json.loads((known.top / "mirror.json").read_text())["url"] == files.location
    facts = [path for path in known.top.rglob("facts*.sqlite") if path.read_bytes() != b"evil"]
    assert all(path.parent == known.top / ".videoprep" for path in facts)


@in_memory
def test_the_same_video_twice_is_known(remote: RemoteFiles, dataset: Path, url: str) -> None:
    write_lists(dataset, ["a", "b"], ["videos/a.mp4", "./videos//a.mp4"])
    put(dataset, url)
    listing = DatasetSpec.from_path(url).listing()
    assert (listing.identities[0] == listing.identities[1]).all()
    index = vp.BucketIndex.build(url, **SMALL)
    assert len(set(index.table["fingerprint"].to_pylist())) == 1


def test_an_etag_that_changes(on_s3: RemoteFiles, s3_server: S3Server, tmp_path: Path) -> None:
    before = vp.BucketIndex.build(on_s3.location, **SMALL)
    assert before.check_sources() is before
    other = write_video(tmp_path / "other.mp4", frames=9, lift=7)
    on_s3.write_bytes(VIDEOS[0], other.read_bytes())
    s3_server.requests()
    with pytest.raises(PlanError, match=r"videos/a\.mp4: its contents changed"):
        before.check_sources()
    assert len(s3_server.downloads()) == 1
    skipped = before.check_sources("skip")
    assert [one.code for one in skipped.left_out] == ["VP403"]
    after = vp.BucketIndex.build(on_s3.location, **SMALL)
    assert [change.video for change in after.diff(before).changes] == [VIDEOS[0]]


def test_a_saved_index_finds_its_videos(remote: RemoteFiles, tmp_path: Path, url: str) -> None:
    index = vp.BucketIndex.build(url, **SMALL)
    index.save(tmp_path / "index.parquet")
    assert str(mirrors()).encode() not in (tmp_path / "index.parquet").read_bytes()
    loaded = vp.BucketIndex.load(tmp_path / "index.parquet")
    assert loaded.data_root == index.data_root
    assert loaded.check_sources().table == index.table
    remote.write_bytes("index.parquet", (tmp_path / "index.parquet").read_bytes())
    assert vp.BucketIndex.load(f"{url}/index.parquet").table == index.table
    with pytest.raises(PlanError, match="no such index") as raised:
        vp.BucketIndex.load(f"{url}/gone.parquet")
    assert raised.value.where == f"{url}/gone.parquet"


@in_memory
def test_another_machine_maps_the_url_to_its_own_mirror(
    remote: RemoteFiles, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = vp.BucketIndex.build(url, **SMALL)
    index.save(tmp_path / "index.parquet")
    monkeypatch.setenv("VIDEOPREP_MIRRORS", str(tmp_path / "elsewhere"))
    loaded = vp.BucketIndex.load(tmp_path / "index.parquet")
    assert loaded.data_root.is_relative_to(tmp_path / "elsewhere")
    assert loaded.check_sources() is loaded


@in_memory
def test_indices_of_one_remote_folder_are_joined(
    remote: RemoteFiles, dataset: Path, url: str
) -> None:
    remote.write_bytes("more/videos.txt", b"x.mp4\n")
    remote.write_bytes("more/prompt.txt", b"one more\n")
    remote.write_bytes("more/x.mp4", (dataset / VIDEOS[0]).read_bytes())
    whole = vp.BucketIndex.build(url, **SMALL)
    part = vp.BucketIndex.build(DatasetSpec.from_path(local_path(url) / "more"), **SMALL)
    joined = vp.BucketIndex.concat([whole, part])
    assert shown(joined.data_root) == url
    assert joined.table["video"].to_pylist() == [*VIDEOS, "more/x.mp4"]
    assert joined.check_sources() is joined
    with pytest.raises(PlanError, match="cannot be joined"):
        vp.BucketIndex.concat([whole, vp.BucketIndex.build(dataset, **SMALL)])


@in_memory
def test_a_moved_dataset_is_found(dataset: Path, remote: RemoteFiles, tmp_path: Path) -> None:
    """Planned here, uploaded, and read from there."""
    index = vp.BucketIndex.build(dataset, **SMALL)
    index.save(tmp_path / "index.parquet")
    loaded = vp.BucketIndex.load(tmp_path / "index.parquet", data_root=remote.location)
    assert shown(loaded.data_root) == remote.location
    assert loaded.check_sources().table == index.table


@in_memory
def test_local_lists_of_remote_videos(dataset: Path, remote: RemoteFiles, url: str) -> None:
    for video in VIDEOS:
        (dataset / video).unlink()
    here = DatasetSpec.from_path(dataset, data_root=url)
    assert [sample.name for sample in here.samples()] == VIDEOS
    assert len(vp.BucketIndex.build(here, **SMALL)) == 3
    (dataset / "list.csv").write_text("video,caption\nvideos/a.mp4,one\n")
    there = DatasetSpec(data_root=url, dataset_file=dataset / "list.csv")  # type: ignore[arg-type]
    assert [
        sample.caption
        for sample in DatasetSpec.from_path(dataset / "list.csv", data_root=url).samples()
    ] == ["one"]
    assert there.data_root == here.data_root


@in_memory
def test_a_table_by_its_url(remote: RemoteFiles, url: str) -> None:
    remote.write_bytes("list.csv", b"video,caption\nvideos/b.mp4,from the table\n")
    spec = DatasetSpec.from_path(f"{url}/list.csv")
    assert [sample.caption for sample in spec.samples()] == ["from the table"]
    [sample] = spec.samples()
    assert str(sample.source) == f"{url}/list.csv:2"
    by_name = DatasetSpec.from_path(url, dataset_file="list.csv")
    assert [sample.caption for sample in by_name.samples()] == ["from the table"]
    with pytest.raises(SpecError) as raised:
        DatasetSpec.from_path(f"{url}/gone.csv")
    assert raised.value.where == f"{url}/gone.csv"


@in_memory
def test_a_saved_spec_is_found(remote: RemoteFiles, dataset: Path, url: str) -> None:
    remote.write_bytes("lists/c.txt", b"one\ntwo\n")
    remote.write_bytes("lists/v.txt", b"a.mp4\nb.mp4\n")
    remote.write_bytes(
        "videoprep.yaml",
        b"data_root: videos\ncaption_column: lists/c.txt\nvideo_column: lists/v.txt\n",
    )
    spec = DatasetSpec.from_path(url)
    assert [(s.name, s.caption) for s in spec.samples()] == [("a.mp4", "one"), ("b.mp4", "two")]
    index = vp.BucketIndex.build(spec, **SMALL)
    assert shown(index.data_root) == f"{url}/videos"
    here = vp.BucketIndex.build(dataset, **SMALL)
    assert index.table["fingerprint"].to_pylist() == here.table["fingerprint"].to_pylist()[:2]


@in_memory
def test_a_saved_spec_of_a_stranger_leads_to_no_other_url(remote: RemoteFiles, url: str) -> None:
    remote.write_bytes("videoprep.yaml", b"data_root: s3://other/bucket\n")
    with pytest.raises(ListError, match=f"{url}/s3:/other/bucket"):
        list(DatasetSpec.from_path(url).samples())
    remote.write_bytes("videoprep.yaml", b"dataset_file: ../../mirror.json\n")
    with pytest.raises(SpecError, match="leads out"):
        DatasetSpec.from_path(url)


def test_nothing_there(url: str) -> None:
    with pytest.raises(SpecError, match="no dataset here") as raised:
        DatasetSpec.from_path(url)
    assert raised.value.where == url
    assert "mirrors" not in str(raised.value)


def test_no_bucket(s3: str, dataset: Path) -> None:
    for video in VIDEOS:
        (dataset / video).unlink()
    with pytest.raises((SpecError, OSError), match="bucket does not exist"):
        list(DatasetSpec.from_path(dataset, data_root=f"{s3}-gone").samples())
    with pytest.raises(OSError, match="bucket does not exist"):
        DatasetSpec.from_path(f"{s3}-gone/dataset")


def test_urls_stay_what_they_are() -> None:
    path = local_path("memory://a/b/")
    assert path == local_path("memory://a/b")
    assert path != local_path("memory://a/c")
    assert shown(path) == "memory://a/b"
    assert shown(path / "x/y.mp4") == "memory://a/b/x/y.mp4"
    assert shown("/no/mirror") == "/no/mirror"
    assert remote_of("/no/mirror") is None
    assert remote_of(mirrors()) is None
    assert local_path("file:///x/y") == Path("/x/y")
    assert _place("dataset") == Path("dataset")
    with pytest.raises(SpecError, match=r"\.\."):
        local_path("memory://a/../b")


# Staging


@pytest.fixture
def root(remote: RemoteFiles) -> Path:
    """What stands for the remote folder."""
    return local_path(remote.location)


def test_an_ordinary_folder_needs_no_staging(dataset: Path) -> None:
    staging = Staging.of(dataset)
    staging.fetch(dataset / "nothing")
    staging.done(dataset / "nothing")
    assert not staging.is_remote


def test_fetched_as_long_as_it_is_needed(root: Path, dataset: Path) -> None:
    staging = Staging.of(root)
    assert staging.is_remote
    with staging.here(root / VIDEOS[0]):
        assert (root / VIDEOS[0]).read_bytes() == (dataset / VIDEOS[0]).read_bytes()
    assert staging.version(root / VIDEOS[0]) is None
    staging.fetch(dataset / "elsewhere")  # no business of a mirror


@in_memory
def test_the_guard_compares_what_was_fetched(root: Path, dataset: Path) -> None:
    index = vp.BucketIndex.build(shown(root), **SMALL)
    clip = next(index.clips())
    path = root / clip.video
    with Staging.of(root).here(path):
        SourceGuard().require(path, index.table["fingerprint"][0].as_py())
        with pytest.raises(SourceError) as raised:
            SourceGuard().require(path, "other")
    assert raised.value.where == f"{shown(root)}/{clip.video}"


def test_many_threads_download_once(on_s3: RemoteFiles, s3_server: S3Server) -> None:
    root = local_path(on_s3.location)
    staging = Staging.of(root)
    s3_server.requests()
    paths = [root / VIDEOS[number % 3] for number in range(24)]
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(staging.fetch, paths))
    assert len(s3_server.downloads()) == 3
    for path in paths:
        staging.done(path)


def test_least_recently_used_go_first_and_what_is_in_use_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOPREP_STAGING_GIB", "0")
    staging = Staging.of(root)
    first, second, third = (root / video for video in VIDEOS)
    staging.fetch(first)
    with staging.here(second):
        assert first.exists()
    with staging.here(third):
        assert first.exists()
        assert not second.exists()
    staging.done(first)
    with staging.here(second):
        assert not first.exists()


def test_another_process_keeps_what_it_uses(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOPREP_STAGING_GIB", "0")
    staging = Staging.of(root)
    with staging.here(root / VIDEOS[0]):
        pass
    with (root / VIDEOS[0]).open("rb") as used:
        fcntl.flock(used, fcntl.LOCK_SH)
        with staging.here(root / VIDEOS[1]):
            assert (root / VIDEOS[0]).exists()
    with staging.here(root / VIDEOS[2]):
        assert not (root / VIDEOS[0]).exists()


def test_without_locks_files_are_fetched_and_stay(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setenv("VIDEOPREP_STAGING_GIB", "0")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    staging = Staging.of(root)
    for video in VIDEOS:
        with staging.here(root / video):
            assert (root / video).exists()
    assert all((root / video).exists() for video in VIDEOS), "nobody knows whether they are in use"


def test_a_fork_does_not_let_go_of_what_its_parent_holds(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOPREP_STAGING_GIB", "0")
    staging, path = Staging.of(root), root / VIDEOS[0]
    staging.fetch(path)
    child = os.fork()
    if child == 0:
        staging.done(path)
        os._exit(0)
    os.waitpid(child, 0)
    with staging.here(root / VIDEOS[1]):
        assert path.exists()
    staging.done(path)


def test_a_changed_file_is_fetched_anew(root: Path, remote: RemoteFiles) -> None:
    staging, path = Staging.of(root), root / VIDEOS[0]
    with staging.here(path):
        size = path.stat().st_size
    remote.write_bytes(VIDEOS[0], b"x" * size)
    with staging.here(path):
        assert path.read_bytes() == b"x" * size


def test_a_torn_download_is_never_taken_for_a_whole(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(files: RemoteFiles, name: str, found: RemoteFile, file: BinaryIO) -> None:
        file.write(files.read_range(name, 0, 1000))
        raise OSError(5, "the line is dead", files.where(name))

    staging, path = Staging.of(root), root / VIDEOS[0]
    monkeypatch.setattr(RemoteFiles, "download", torn)
    with pytest.raises(SourceError, match="the line is dead") as raised:
        staging.fetch(path)
    assert raised.value.where == f"{shown(root)}/{VIDEOS[0]}"
    assert not path.exists()
    assert list(path.parent.iterdir()) == []
    monkeypatch.undo()


def test_a_file_that_is_written_while_it_is_downloaded(
    root: Path, remote: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = RemoteFiles.download

    def overtaken(files: RemoteFiles, name: str, found: RemoteFile, file: BinaryIO) -> None:
        whole(files, name, found, file)
        remote.write_bytes(name, b"x" * found.size)

    monkeypatch.setattr(RemoteFiles, "download", overtaken)
    with pytest.raises(SourceError, match="while it was downloaded"):
        Staging.of(root).fetch(root / VIDEOS[0])
    monkeypatch.undo()
    assert not (root / VIDEOS[0]).exists()


def test_killed_while_downloading(on_s3: RemoteFiles, mirrors_folder: Path) -> None:
    script = (
        "import os, signal; from pathlib import Path\n"
        "from videoprep.fs.mirror import local_path; from videoprep.fs.staging import Staging\n"
        "from videoprep.fs.remote_files import RemoteFiles\n"
        "def dying(files, name, found, file):\n"
        "    file.write(files.read_range(name, 0, 1000)); file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "RemoteFiles.download = dying\n"
        f"root = local_path({on_s3.location!r})\n"
        f"Staging.of(root).fetch(root / {VIDEOS[0]!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=300, check=False)
    assert done.returncode == -9
    root = local_path(on_s3.location)
    assert not (root / VIDEOS[0]).exists()
    with Staging.of(root).here(root / VIDEOS[0]):
        assert (root / VIDEOS[0]).read_bytes() == on_s3.read(VIDEOS[0])


def test_a_video_that_is_gone_when_it_is_fetched(root: Path, remote: RemoteFiles) -> None:
    remote.delete(VIDEOS[0])
    with pytest.raises(SourceError, match="gone") as raised:
        Staging.of(root).fetch(root / VIDEOS[0])
    assert raised.value.where == f"{remote.location}/{VIDEOS[0]}"


@in_memory
def test_a_video_that_vanishes_costs_itself_only(
    remote: RemoteFiles, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = DatasetSpec.listing

    def then_gone(spec: DatasetSpec) -> object:
        found = listing(spec)
        remote.delete(VIDEOS[1])
        return found

    monkeypatch.setattr(DatasetSpec, "listing", then_gone)
    index = vp.BucketIndex.build(url, **SMALL)
    assert [(one.video, one.code) for one in index.left_out] == [(VIDEOS[1], "VP103")]
    assert len(index) == 2


def test_a_server_that_is_gone_stops_the_run(
    on_s3: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its videos are not broken: nothing may be skipped for it."""
    listing = DatasetSpec.listing

    def then_dead(spec: DatasetSpec) -> object:
        found = listing(spec)
        monkeypatch.setattr(RemoteFiles, "stat", dead)
        return found

    def dead(files: RemoteFiles, name: str) -> object:
        raise ConnectionRefusedError(111, "no answer", files.where(name))

    monkeypatch.setattr(DatasetSpec, "listing", then_dead)
    with pytest.raises(SourceError, match="no answer"):
        vp.BucketIndex.build(on_s3.location, **SMALL)
    assert threading.active_count() < 20


# The command line


def test_commands_take_urls(on_s3: RemoteFiles, run_cli: Run, tmp_path: Path) -> None:
    url = on_s3.location
    shape = ["--profile", "cogvideox", "--reshape", "center-crop", "--frame-buckets", "5,9"]
    checked = run_cli("validate", url, *shape, "--output-format", "json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["root"] == url
    planned = run_cli("index", "--data-root", url, *shape, "-o", tmp_path / "i.parquet")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "3 clips" in planned.stdout
    assert shown(vp.BucketIndex.load(tmp_path / "i.parquet").data_root) == url


def test_commands_say_what_is_wrong(s3: str, run_cli: Run) -> None:
    done = run_cli("validate", f"{s3}-gone/dataset")
    assert done.returncode == 2
    assert f"{s3}-gone/dataset" in done.stderr
    assert "bucket does not exist" in done.stderr
    done = run_cli("index", "gs://bucket/dataset")
    assert done.returncode == 2
    assert "pip install 'gcsfs'" in done.stderr
    done = run_cli("validate", f"{s3}/nothing")
    assert f"{s3}/nothing" in done.stdout + done.stderr


def test_nothing_is_written_into_a_remote_dataset(
    dataset: Path, s3: str, s3_server: S3Server, run_cli: Run, tmp_path: Path
) -> None:
    write_lists(dataset, ["a", "b"], [VIDEOS[0], "gone.mp4"])
    files = put(dataset, f"{s3}/dataset")
    s3_server.requests()
    done = run_cli("validate", files.location, "--fix")
    assert done.returncode == 2
    assert "remote" in done.stderr
    done = run_cli(
        "validate",
        files.location,
        "--write-clean",
        tmp_path / "clean.csv",
        "--profile",
        "cogvideox",
        "--reshape",
        "center-crop",
        "--frame-buckets",
        "9",
    )
    assert f"--data-root {files.location}" in done.stderr
    assert not [request for request in s3_server.requests() if request.startswith(("PUT", "POST"))]


def _uploaded(url: str, files: dict[str, bytes]) -> str:
    remote = RemoteFiles(url)
    for name, content in files.items():
        remote.write_bytes(name, content)
    return url


STRAY = {
    "weights.parquet": b"",
    "log.json": b'[{"step": 1}' + b', {"step": 2}' * 20_000 + b"]",
    "scores.csv": b"name,score\n" + b"a,1\n" * 60_000,
    "config.json": b'{"model_type": "t5"}',
    "other/readme.txt": b"x" * 300_000,
}
"""Files that are not part of the dataset, each too large to be brought here unnoticed.

The Parquet file is written below.
"""


def _stray(tmp_path: Path) -> dict[str, bytes]:
    numbers = pa.table({"loss": pa.array(range(40_000), pa.int64())})
    pq.write_table(numbers, tmp_path / "stray.parquet", compression="none")
    return {**STRAY, "weights.parquet": (tmp_path / "stray.parquet").read_bytes()}


REMOTE = {
    "caption files": {"d/a.mp4": b"v", "d/a.txt": b"one\nfirst", "b.mp4": b"v", "b.json": b"[]"},
    "folder pairs": {"videos/a.mp4": b"v", "metas/a.txt": b"one\nfirst"},
    "json": {"a.mp4": b"v", "list.json": b'[{"video": "a.mp4", "caption": ["one", "first"]}]'},
    "json lines": {"a.mp4": b"v", "l.jsonl": b'{"video": "a.mp4", "caption": ["one", "first"]}'},
    "csv": {"a.mp4": b"v", "list.csv": b'video,caption\na.mp4,"[""one"", ""first""]"\n'},
    "hf folders": {
        "train/a.mp4": b"v",
        "train/metadata.csv": b'file_name,caption\na.mp4,"[""one"", ""first""]"\n',
    },
}


@pytest.mark.parametrize("name", REMOTE)
def test_every_format_is_read_and_other_files_are_not_downloaded(
    name: str, s3: str, s3_server: S3Server, tmp_path: Path, mirrors_folder: Path
) -> None:
    url = _uploaded(f"{s3}/{secrets.token_hex(4)}", {**_stray(tmp_path), **REMOTE[name]})
    s3_server.requests()
    listing = DatasetSpec.from_path(url).listing()
    assert [sample.captions for sample in listing.samples] == [("one", "first")]
    assert listing.total == len(listing.samples) + len({p.number for p in listing.problems})
    here = {path.name for path in mirrors_folder.rglob("*") if path.is_file()}
    assert not here & set(STRAY), "only the lists are brought here"
    assert sum(p.stat().st_size for p in mirrors_folder.rglob("*") if p.is_file()) < 200_000
    seen = s3_server.requests()
    assert len(seen) < 60
    assert not any(".mp4" in request for request in seen if request.startswith("GET"))


def test_a_remote_parquet_table(s3: str, tmp_path: Path, mirrors_folder: Path) -> None:
    pq.write_table(pa.table({"video": ["a.mp4"], "caption": ["one"]}), tmp_path / "list.parquet")
    files = {"a.mp4": b"v", "list.parquet": (tmp_path / "list.parquet").read_bytes()}
    url = _uploaded(f"{s3}/{secrets.token_hex(4)}", {**_stray(tmp_path), **files})
    listing = DatasetSpec.from_path(url).listing()
    assert [sample.caption for sample in listing.samples] == ["one"]
    assert not list(mirrors_folder.rglob("weights.parquet"))


@in_memory
def test_several_remote_tables_are_not_chosen_from(url: str) -> None:
    table = b"video,caption\na.mp4,one\n"
    _uploaded(url, {"a.mp4": b"v", "one.csv": table, "two.csv": table})
    with pytest.raises(SpecError, match=r"several tables could be the dataset: one\.csv, two\.csv"):
        DatasetSpec.from_path(url)
    _uploaded(url, {"two.csv": b"name,score\na,1\n"})
    assert len(DatasetSpec.from_path(url).listing().samples) == 1


@in_memory
def test_a_remote_table_that_is_not_a_dataset_says_what_it_lacks(url: str) -> None:
    _uploaded(url, {"a.mp4": b"v", "scores.csv": b"name,score\na,1\n"})
    with pytest.raises(SpecError, match="the columns are: name, score"):
        DatasetSpec.from_path(url)


@in_memory
def test_remote_captions_that_change_are_seen(url: str) -> None:
    _uploaded(url, {"a.mp4": b"v", "a.txt": b"one"})
    spec = DatasetSpec.from_path(url)
    _uploaded(url, {"a.txt": b"edited", "b.mp4": b"v", "b.txt": b"two"})
    assert [sample.caption for sample in spec.listing().samples] == ["edited", "two"]
    RemoteFiles(url).delete("a.txt")
    listing = spec.listing()
    assert [problem.code.value for problem in listing.problems] == ["VP201"]


@in_memory
@pytest.mark.parametrize("roles", [None, {"control:depth": "d"}])
def test_remote_folders_of_control_media(url: str, roles: dict[str, str] | None) -> None:
    """They are found by their names, or named, as those on disk are; nothing of them is brought."""
    folder = "control_depth" if roles is None else "d"
    files = {"videos/a.mp4": b"v", "videos/b.mp4": b"v", "metas/a.txt": b"one", "metas/b.txt": b"x"}
    _uploaded(url, {**files, f"{folder}/a.mkv": b"v"})
    listing = DatasetSpec.from_path(url, roles=roles).listing()
    assert [[(one.role, one.name) for one in s.beside] for s in listing.samples] == [
        [("control:depth", f"{folder}/a.mkv")]
    ]
    assert [problem.code.value for problem in listing.problems] == ["VP022"]


@in_memory
def test_a_remote_control_is_encoded_as_one_on_disk(url: str, tmp_path: Path) -> None:
    write_video(tmp_path / "data/a.mp4", frames=9, lift=40)
    write_video(tmp_path / "data/c.mp4", frames=9, lift=80)
    (tmp_path / "data/list.csv").write_text("video,caption,control\na.mp4,one,c.mp4\n")
    put(tmp_path / "data", url)
    here, there = (vp.BucketIndex.build(one, profile="wan") for one in (tmp_path / "data", url))
    assert here.table.select(["video_key", "control_key"]) == there.table.select(
        ["video_key", "control_key"]
    )
    there.check_sources()
