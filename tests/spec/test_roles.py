"""Roles, and lists that name the media of further roles in columns of their own."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import videoprep as vp
from tests.spec.readers.reading import codes, made, read
from videoprep.errors import SpecError
from videoprep.spec.columns import OPTIONAL
from videoprep.spec.roles import AUDIO, LISTED, ROLES, VIDEO, Role, distinct
from videoprep.spec.sample import Location, Sample


@pytest.mark.parametrize("text", ["video", "audio", "control", "control:depth", "reference:0"])
def test_a_role_is_its_text(text: str) -> None:
    role = Role(text)
    assert (role, hash(role), str(role)) == (text, hash(text), text)
    assert role.kind is ROLES[text.partition(":")[0]]
    assert Role.from_words(role.words) == role
    assert pickle.loads(pickle.dumps(role)).kind is role.kind


def test_words_of_roles_are_parts_of_names() -> None:
    assert [Role(one).words for one in ("control:depth", "first_frame")] == [
        "control_depth", "first_frame",
    ]  # fmt: skip
    assert Role.from_words("reference_0") == "reference:0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contrl", "there is no role 'contrl'"),
        ("", "there is no role ''"),
        ("audio:left", "a sample has only one audio"),
        ("control:", "invalid suffix"),
        ("control:A b", "invalid suffix"),
    ],
)
def test_what_is_no_role_is_refused(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Role(text)


def test_roles_have_an_order_and_occur_once() -> None:
    assert distinct(["mask", "control:pose", "audio", "control:depth"]) == (
        "audio", "control:depth", "control:pose", "mask",
    )  # fmt: skip
    with pytest.raises(SpecError, match="the role 'audio' occurs 2 times"):
        distinct(["audio", "audio"])
    with pytest.raises(SpecError, match="control:depth"):
        distinct(["control", "control"])


def test_every_listed_role_has_its_option() -> None:
    assert {f"{role}_column" for role in (VIDEO, *LISTED)} <= vp.DatasetSpec.model_fields.keys()
    assert set(LISTED) <= set(OPTIONAL)
    for kind in ROLES.values():
        assert kind.columns
        assert kind.alignment in ("frames", "time", "free")


def test_a_sample_without_further_media_shares_nothing_made() -> None:
    one, other = (
        Sample(name, "a caption", Path("root"), Location("list.csv", 2), "list.csv")
        for name in ("a.mp4", "b.mp4")
    )
    assert one.beside is other.beside
    assert dict(one.media) == {VIDEO: (VIDEO, "a.mp4", Path("root"), Location("list.csv", 2))}
    assert one.media["video"].path == one.path
    assert hash(one) != hash(other)


CSV = "video,caption,audio\na.mp4,one,s/x.wav\nb.mp4,two,\nc.mp4,three,s/y.flac\n"
ROWS: list[dict[str, Any]] = [
    {"video": "a.mp4", "caption": "one", "audio": "s/x.wav"},
    {"video": "b.mp4", "caption": "two", "audio": None},
    {"video": "c.mp4", "caption": "three", "audio": "s/y.flac"},
]


def _lists(root: Path, name: str) -> Path:
    path = root / name
    if name.endswith(".csv"):
        path.write_text(CSV)
    elif name.endswith(".tsv"):
        path.write_text(CSV.replace(",", "\t"))
    elif name.endswith(".json"):
        path.write_text(json.dumps(ROWS))
    elif name.endswith(".jsonl"):
        path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize(
    "name", ["list.csv", "list.tsv", "list.json", "list.jsonl", "list.parquet"]
)
def test_every_table_names_sound(tmp_path: Path, name: str) -> None:
    root = made(tmp_path, {"s/x.wav": b"x", "s/y.flac": b"y"})
    listing = read(_lists(root, name))
    assert listing.problems == ()
    assert listing.reading.columns["audio"] == "audio"
    names = [{role: one.name for role, one in sample.media.items()} for sample in listing.samples]
    assert names == [
        {"video": "a.mp4", "audio": "s/x.wav"},
        {"video": "b.mp4"},
        {"video": "c.mp4", "audio": "s/y.flac"},
    ]
    media = listing.samples[0].media[AUDIO]
    assert media.source is listing.samples[0].source
    assert Path(media.path) == root / "s/x.wav"
    assert [one.kind for one in listing.reading.passed_over] == []


def test_tables_in_folders_name_sound_beside_them(tmp_path: Path) -> None:
    table = "file_name,text,audio_path\na.mp4,one,a.wav\n"
    files = {"train/metadata.csv": table, "train/a.mp4": b"v", "train/a.wav": b"s"}
    (tmp_path / "train").mkdir()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    (sample,) = read(tmp_path).samples
    assert sample.media["audio"].name == "train/a.wav"


def test_a_column_is_named_or_turned_off(tmp_path: Path) -> None:
    text = "video,caption,audio,noise\na.mp4,one,x.wav,y.wav\n"
    root = made(tmp_path, {"list.csv": text, "x.wav": b"x", "y.wav": b"y"})

    def names(**options: str) -> list[str]:
        (sample,) = read(root, **options).samples
        return [one.name for one in sample.beside]

    assert names() == ["x.wav"]
    assert names(audio_column="noise") == ["y.wav"]
    assert names(audio_column="") == []
    (root / "videoprep.yaml").write_text("dataset_file: list.csv\naudio_column: noise\n")
    assert names() == ["y.wav"]


@pytest.mark.parametrize("cell", ["yes", "0.5", "True", "birds in a wood", "1"])
def test_a_column_that_holds_no_paths_is_pointed_out(tmp_path: Path, cell: str) -> None:
    root = made(tmp_path, {"list.csv": f"video,caption,sound\na.mp4,one,{cell}\n"})
    listing = read(root)
    assert listing.samples[0].beside == ()
    (remark,) = [one for one in listing.remarks if one.code.value == "VP020"]
    assert "'sound' looks like sound" in remark.message
    assert "audio_column" in remark.remedy


def test_a_bad_cell_costs_one_sample(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "audio": {"bytes": "abc", "path": None}}, *ROWS[1:]]
    root = made(tmp_path, {"list.json": json.dumps(rows), "s/y.flac": b"y"})
    listing = read(root / "list.json", audio_column="audio")
    assert codes(listing) == [("VP018", 1)]
    assert [sample.name for sample in listing.samples] == ["b.mp4", "c.mp4"]


def test_what_is_wrong_with_a_path_costs_one_sample(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "outside.wav").write_bytes(b"x")
    root = tmp_path / "data"
    (root / "folder.wav").mkdir(parents=True)
    (root / "link.wav").symlink_to(tmp_path / "outside.wav")
    os.mkfifo(root / "pipe.wav")
    cells = {
        "gone.wav": "VP022", "../outside.wav": "VP006", "folder.wav": "VP007", "link.wav": "VP006",
        "pipe.wav": "VP007", "https://x.org/a.wav": "VP006", "x.wav": None,
    }  # fmt: skip
    rows = "".join(f"a.mp4,one,{cell}\n" for cell in cells)
    made(root, {"list.csv": f"video,caption,audio\n{rows}", "x.wav": b"x"})
    listing = read(root)
    assert codes(listing) == [(code, n) for n, code in enumerate(cells.values(), 1) if code]
    assert [sample.name for sample in listing.samples] == ["a.mp4"]
    for problem in listing.problems:
        assert problem.message.startswith("its audio: ")
        assert list(cells)[(problem.number or 0) - 1] in problem.message
        assert problem.line == (problem.number or 0) + 1
        assert problem.video == "a.mp4"
    trusted = read(root, allow_outside_root=True)
    assert {code for code, _ in codes(trusted)} == {"VP022", "VP007", "VP006"}


def test_a_sample_may_lack_both_files(tmp_path: Path) -> None:
    root = made(tmp_path, {"list.csv": "video,caption,audio\nx.mp4,one,x.wav\na.mp4,two,\n"})
    listing = read(root)
    assert codes(listing) == [("VP005", 1), ("VP022", 1)]
    index = vp.BucketIndex.build(root)
    assert [one.code for one in index.left_out] == ["VP103", "VP005"]


def test_line_files_have_no_columns(tmp_path: Path) -> None:
    made(tmp_path, {"prompt.txt": "one\n", "videos.txt": "a.mp4\n"})
    with pytest.raises(SpecError, match="audio_column names a table's column"):
        read(tmp_path, audio_column="audio")


def test_a_video_that_is_only_named_for_its_sound_is_not_forgotten(tmp_path: Path) -> None:
    text = "video,caption,audio\na.mp4,one,b.mp4\nc.mp4,two,b.mp4\n"
    listing = read(made(tmp_path, {"list.csv": text}))
    assert listing.reading.passed_over == ()
