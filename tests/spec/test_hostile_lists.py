"""Lists from strangers: for each class of mistakes the right code at the right place."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import videoprep as vp
from tests.support.hostile_lists import (
    ALL,
    ENCODED,
    FINE,
    HEAD,
    HINTS,
    P3,
    ROWS,
    V3,
    Hostile,
    prepare,
)
from videoprep.errors import ListError, SpecError

RULES = ["VP0", "VP201"]
HOSTILE = {hostile.name: hostile for hostile in ALL}


def _made(hostile: Hostile, root: Path) -> Path:
    hostile.make(prepare(root))
    return root


def test_the_names_differ() -> None:
    assert len(HOSTILE) == len(ALL)


@pytest.mark.parametrize("hostile", ALL, ids=HOSTILE)
def test_code_and_place(hostile: Hostile, tmp_path: Path) -> None:
    root = _made(hostile, tmp_path / "set")
    # Most lists leave some of the three videos out; that this is said is tested elsewhere.
    report = vp.validate(root, select=RULES, ignore=["VP019"])
    found = [(f.code, Path(f.file), f.line) for f in report.findings]
    wanted = [(code, root / name, line) for code, name, line in hostile.found]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert report.total == hostile.total
    assert report.total == report.clean + report.with_findings + report.unusable
    assert 0 <= report.clean <= len(hostile.pairs)
    assert report.unusable >= 0
    json.dumps(report.to_json())
    assert "<script" not in report._repr_html_()
    assert all(f.message.strip() and f.remedy and len(f.message) < 5000 for f in report.findings)


@pytest.mark.parametrize("hostile", ALL, ids=HOSTILE)
def test_what_is_accepted_is_paired_right(hostile: Hostile, tmp_path: Path) -> None:
    root = _made(hostile, tmp_path / "set")
    if not vp.validate(root, select=RULES, ignore=["VP019"]).overview:
        with pytest.raises(SpecError):
            vp.DatasetSpec.from_path(root).samples()
        assert not hostile.pairs
        return
    listing = vp.DatasetSpec.from_path(root).listing()
    assert [(s.name, s.caption) for s in listing.samples] == list(hostile.pairs)
    assert len(listing.identities) == len(listing.samples)
    for sample, identity in zip(listing.samples, listing.identities, strict=True):
        status = os.stat(sample.video)
        assert (status.st_dev, status.st_ino) == tuple(identity)
        assert sample.video.resolve().is_relative_to(root.resolve())
    if listing.problems:
        with pytest.raises(ListError):
            vp.DatasetSpec.from_path(root).samples()


@pytest.mark.parametrize("name", ENCODED)
def test_the_command_that_converts_works(name: str, tmp_path: Path) -> None:
    _, encoding, text = ENCODED[name]
    root = _made(HOSTILE[name], tmp_path / "set")
    listing = vp.DatasetSpec.from_path(root).listing()
    problem = (*listing.problems, *listing.remarks)[0]
    assert encoding in problem.message
    command = problem.remedy.partition("instance: ")[2]
    subprocess.run(["bash", "-c", command], cwd=root, check=True)
    assert (root / "new.txt").read_bytes() == text.encode()
    (root / "new.txt").replace(root / "prompt.txt")
    listing = vp.DatasetSpec.from_path(root).listing()
    assert not listing.problems
    assert [s.caption for s in listing.samples] == [line.strip() for line in text.splitlines()]


@pytest.mark.parametrize("name", ["torn-utf-8", "mark", "mixed-ends", "cr", "cr-inside", "crcrlf"])
@pytest.mark.parametrize("list_name", ["-a 'b' $(x).t`y`", "prompt.txt"])
def test_the_other_commands_work(name: str, list_name: str, tmp_path: Path) -> None:
    root = _made(HOSTILE[name], tmp_path / "set")
    (root / "prompt.txt").replace(root / list_name)
    listing = vp.DatasetSpec.from_path(root, caption_column=list_name).listing()
    problem = (*listing.problems, *listing.remarks)[0]
    command = problem.remedy.partition("instance: ")[2]
    subprocess.run(["bash", "-c", command], cwd=root, check=name != "torn-utf-8")
    new = next((path for path in root.iterdir() if path.name.startswith("new")), root / list_name)
    after = vp.DatasetSpec.from_path(root, caption_column=new.name).listing()
    assert {p.code.value for p in (*after.problems, *after.remarks)} <= {"VP002", "VP013"}


def test_semicolons_are_said_in_a_first_line(tmp_path: Path) -> None:
    root = _made(HOSTILE["semicolons"], tmp_path / "set")
    (root / "metadata.csv").replace(root / "-my list.csv")
    remedy = vp.validate(root, select=RULES, ignore=["VP019"]).findings[0].remedy
    command = remedy.partition("instance: ")[2]
    subprocess.run(["bash", "-c", command], cwd=root, check=True)
    spec = vp.DatasetSpec.from_path(root / "-my list.csv")
    assert [(s.name, s.caption) for s in spec.samples()] == [FINE[0]]


@pytest.mark.parametrize("name", HINTS)
def test_what_may_be_meant_is_proposed(name: str, tmp_path: Path) -> None:
    root = _made(HOSTILE[name], tmp_path / "set")
    (problem,) = vp.DatasetSpec.from_path(root).listing().problems
    assert problem.remedy.startswith(f"is it {HINTS[name][1]}? ")


def test_a_dangling_link_is_said_to_be_one(tmp_path: Path) -> None:
    root = _made(HOSTILE["dangling-link"], tmp_path / "set")
    (problem,) = vp.DatasetSpec.from_path(root).listing().problems
    assert problem.message.endswith("l.mp4 is a symbolic link to gone.mp4, which does not exist")


def test_a_file_outside_is_not_proposed(tmp_path: Path) -> None:
    root = prepare(tmp_path / "set")
    (root / "l").symlink_to("/etc")
    (root / "prompt.txt").write_text("one\ntwo\n")
    (root / "videos.txt").write_text("x/l/passwd\nL/passwd\n")
    problems = vp.DatasetSpec.from_path(root).listing().problems
    assert [p.code.value for p in problems] == ["VP005", "VP005"]
    assert not any("is it" in p.remedy for p in problems)


def test_devices_are_not_read_where_the_outside_is_allowed(tmp_path: Path) -> None:
    root = _made(HOSTILE["device"], tmp_path / "set")
    report = vp.validate(root, select=RULES, ignore=["VP019"], allow_outside_root=True)
    assert report.by_code == {"VP007": 1}
    root = _made(HOSTILE["list-device"], tmp_path / "other")
    report = vp.validate(root, select=RULES, ignore=["VP019"], allow_outside_root=True)
    assert report.by_code == {"VP001": 1}


def test_absolute_paths_inside_are_fine(tmp_path: Path) -> None:
    root = prepare(tmp_path / "set")
    (root / "prompt.txt").write_text("one\n")
    (root / "videos.txt").write_text(f"{root}/a.mp4\n")
    assert vp.validate(root, select=RULES, ignore=["VP019"]).ok


def test_no_escapes_reach_the_terminal(
    tmp_path: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    root = _made(HOSTILE["escapes"], tmp_path / "set")
    done = run_cli("validate", root, "--select", "VP0")
    assert done.returncode == 1
    assert "VP005" in done.stdout
    assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr)
    assert "Traceback" not in done.stderr


# videoprep.yaml, which comes with the dataset.

HOSTILE_SPECS = {
    "aliases": "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]\n",
    "object": "profile: !!python/object/apply:os.system ['touch owned']\n",
    "name": "profile: !!python/name:os.system\n",
    "absolute-table": "dataset_file: /etc/passwd\n",
    "absolute-captions": "caption_column: /etc/passwd\n",
    "up": "video_column: ../videos.txt\n",
    "root-up": "data_root: ..\n",
    "root-link": "data_root: all\n",
    "allow-outside": "allow_outside_root: true\n",
    "allow-outside-hyphens": "allow-outside-root: yes\n",
    "unknown": "reshap: none\n",
    "wrong-type": "height_buckets: {a: 1}\n",
    "many-wrong": "height_buckets: [" + "a," * 5000 + "]\n",
    "number-as-path": "dataset_file: 0\n",
    "list-as-path": "dataset_file: []\n",
    "no-root": "data_root:\n",
    "nul": 'caption_column: "a\\0b"\n',
    "surrogate": 'caption_column: "\\ud800"\n',
    "long-path": f"caption_column: {'x' * 5000}\n",
    "list": "- a\n- b\n",
    "text": "hello\n",
    "empty": "",
    "deep": "a: " + "[" * 5000 + "]" * 5000 + "\n",
    "large": "a: " + "x" * 2_000_000 + "\n",
    "empty-int": 'max_num_frames: !!int ""\n',
    "odd-bool": "a: !!bool x\n",
    "odd-time": "a: !!timestamp x\n",
    "unhashable": "? [a]\n: b\n",
    "not-utf-8": "a: caf\udce9\n",
    "control": "a: \x07\n",
    "names": "1: 2\nnull: 3\n",
    "infinite": "target_fps: .inf\n",
    "huge-number": "max_num_frames: " + "9" * 6000 + "\n",
}


@pytest.mark.parametrize("name", HOSTILE_SPECS)
def test_a_hostile_spec_is_refused(name: str, tmp_path: Path) -> None:
    root = prepare(tmp_path / "set")
    (root / "all").symlink_to("/")
    (root / "prompt.txt").write_text(P3)
    (root / "videos.txt").write_text(V3)
    (root / "videoprep.yaml").write_bytes(os.fsencode(HOSTILE_SPECS[name]))
    with pytest.raises(SpecError) as raised:
        vp.validate(root, select=RULES, ignore=["VP019"])
    assert len(str(raised.value)) < 3000
    assert not (root / "owned").exists()


LISTS = {
    "beside the videos": "dataset_file: x.csv\n",
    "found in the root": "",
    "absolute table": "dataset_file: {root}/x.csv\n",
    "absolute lines": "caption_column: {root}/prompt.txt\nvideo_column: {root}/videos.txt\n",
}


@pytest.mark.parametrize("lists", LISTS)
def test_absolute_paths_are_taken_from_a_file_that_the_user_names(
    lists: str, tmp_path: Path
) -> None:
    root = prepare(tmp_path / "set")
    if "line" in lists:
        (root / "prompt.txt").write_text(P3)
        (root / "videos.txt").write_text(V3)
    else:
        (root / "x.csv").write_text(HEAD + ROWS)
    (tmp_path / "mine").mkdir()
    spec = tmp_path / "mine/my.yaml"
    spec.write_text(f"data_root: {root}\n{LISTS[lists].format(root=root)}")
    assert len(list(vp.DatasetSpec.from_path(spec).samples())) == 3


def test_absolute_paths_are_refused_in_a_file_that_is_found(tmp_path: Path) -> None:
    root, spec = prepare(tmp_path / "set"), tmp_path / "mine/videoprep.yaml"
    (root / "x.csv").write_text(HEAD + ROWS)
    spec.parent.mkdir()
    spec.write_text(f"data_root: {root}\ndataset_file: x.csv\n")
    with pytest.raises(SpecError, match="data_root leads out of the folder"):
        vp.DatasetSpec.from_path(spec.parent)
    assert vp.DatasetSpec.from_path(spec).data_root == root


@pytest.mark.parametrize(
    "text",
    [
        "data_root: ../set\n",
        "data_root: {root}\ndataset_file: ../secret.csv\n",
        "data_root: {root}\ndataset_file: link.csv\n",
        "data_root: link\n",
    ],
)
def test_relative_paths_stay_inside_whoever_names_the_file(text: str, tmp_path: Path) -> None:
    root, mine = prepare(tmp_path / "set"), tmp_path / "mine"
    mine.mkdir()
    (tmp_path / "secret.csv").write_text(HEAD + ROWS)
    (root / "link.csv").symlink_to(tmp_path / "secret.csv")
    (mine / "link").symlink_to(root)
    (mine / "my.yaml").write_text(text.format(root=root))
    with pytest.raises(SpecError, match="leads out of the folder"):
        vp.DatasetSpec.from_path(mine / "my.yaml")


@pytest.mark.parametrize("lists", ["lines", "table"])
def test_a_spec_does_not_lead_to_lists_outside(lists: str, tmp_path: Path) -> None:
    root = prepare(tmp_path / "set")
    (root / "videos").mkdir()
    (root / "videoprep.yaml").write_text("data_root: videos\n")
    (tmp_path / "secret").write_text(HEAD + ROWS)
    if lists == "table":
        (root / "x.csv").symlink_to(tmp_path / "secret")
    else:
        (root / "prompt.txt").symlink_to(tmp_path / "secret")
        (root / "videos.txt").write_text(V3)
    report = vp.validate(root, select=RULES, ignore=["VP019"])
    assert report.by_code == {"VP006": 1}


def test_a_spec_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    root = prepare(tmp_path / "set")
    (tmp_path / "secret").write_text("secret: word\n")
    (root / "videoprep.yaml").symlink_to(tmp_path / "secret")
    report = vp.validate(root, select=RULES, ignore=["VP019"])
    assert report.by_code == {"VP006": 1}
    assert "word" not in str(report.findings)


def test_several_tables_are_not_chosen_from(tmp_path: Path) -> None:
    root = prepare(tmp_path / "set")
    for name in ("a.csv", "b.tsv"):
        (root / name).write_text(HEAD + ROWS)
    with pytest.raises(SpecError, match=r"several tables could be the dataset: a\.csv, b\.tsv"):
        vp.validate(root)


@pytest.mark.parametrize("path", ["x" * 5000, "nul\0", "\udcff"])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(SpecError):
        vp.DatasetSpec.from_path(path)


# Whatever a caption holds, it comes back as it is.

CAPTIONS = st.lists(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), min_size=1
    ).filter(str.strip),
    min_size=1,
    max_size=8,
)
THOROUGH = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@THOROUGH
@given(CAPTIONS)
def test_captions_of_line_files_come_back(tmp_path: Path, captions: list[str]) -> None:
    prepare(tmp_path)
    if captions[0].startswith("\ufeff"):
        captions = ["one", *captions]
    (tmp_path / "prompt.txt").write_text("".join(f"{c}\n" for c in captions), "utf-8", newline="")
    (tmp_path / "videos.txt").write_text("a.mp4\n" * len(captions))
    listing = vp.DatasetSpec.from_path(tmp_path).listing()
    assert not listing.problems
    assert [s.caption for s in listing.samples] == [c.strip() for c in captions]


@THOROUGH
@given(CAPTIONS, st.sampled_from(["list.csv", "list.tsv"]))
def test_captions_of_tables_come_back(tmp_path: Path, captions: list[str], name: str) -> None:
    prepare(tmp_path)
    with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if name.endswith("tsv") else ",")
        writer.writerows([("caption", "video"), *((caption, "a.mp4") for caption in captions)])
    listing = vp.DatasetSpec.from_path(tmp_path / name).listing()
    assert not listing.problems
    assert [s.caption for s in listing.samples] == [c.strip() for c in captions]
