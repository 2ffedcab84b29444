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
from videoprep.spec.columns import COLUMNS, OPTIONAL
from videoprep.spec.readers import reader_of
from videoprep.spec.readers.base import FolderReader
from videoprep.spec.roles import AUDIO, LISTED, ROLES, VIDEO, Role, distinct
from videoprep.spec.sample import Location, Sample
from videoprep.validators.fixes import clean_rows, write_rows


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


@pytest.mark.parametrize(
    "cell",
    ["yes", "0.5", "True", "birds in a wood", "1", "44.1kHz", "5.1ch", "https://x.org/a.wav", ""],
)
def test_a_column_that_holds_no_paths_is_pointed_out(tmp_path: Path, cell: str) -> None:
    root = made(tmp_path, {"list.csv": f"video,caption,sound\na.mp4,one,{cell}\n"})
    listing = read(root)
    assert listing.samples[0].beside == ()
    (remark,) = [one for one in listing.remarks if one.code.value == "VP020"]
    assert "'sound' looks like sound" in remark.message
    assert "audio_column" in remark.remedy


@pytest.mark.parametrize("empty", [None, "", " ", float("nan")])
def test_cells_without_a_path_do_not_hide_the_paths(tmp_path: Path, empty: Any) -> None:
    rows = [{**ROWS[0], "audio": empty}, ROWS[2]]
    root = made(tmp_path, {"list.json": json.dumps(rows), "s/y.flac": b"y"})
    listing = read(root)
    assert listing.problems == ()
    assert [[one.name for one in sample.beside] for sample in listing.samples] == [
        [], ["s/y.flac"],
    ]  # fmt: skip


def test_the_first_paths_tell_and_not_the_first_rows(tmp_path: Path) -> None:
    cells = [""] * 40 + ["x.wav"] * 20 + ["not sound"]
    rows = "".join(f"a.mp4,one,{cell}\n" for cell in cells)
    root = made(tmp_path, {"list.csv": f"video,caption,audio\n{rows}", "x.wav": "s"})
    listing = read(root)
    assert codes(listing) == [("VP022", 61)]
    assert sum(bool(sample.beside) for sample in listing.samples) == 20


def test_text_that_comes_late_costs_no_sample(tmp_path: Path) -> None:
    rows = "a.mp4,one,\n" * 200
    listing = read(made(tmp_path, {"list.csv": f"video,caption,audio\n{rows}b.mp4,two,birds\n"}))
    assert len(listing.samples) == 201
    assert [one.code.value for one in listing.remarks if one.severity == "warning"] == ["VP020"]


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
    listing = read(root, audio_column="audio")
    assert codes(listing) == [(code, n) for n, code in enumerate(cells.values(), 1) if code]
    assert [sample.name for sample in listing.samples] == ["a.mp4"]
    for problem in listing.problems:
        assert problem.message.startswith("its audio: ")
        assert list(cells)[(problem.number or 0) - 1] in problem.message
        assert problem.line == (problem.number or 0) + 1
        assert problem.video == "a.mp4"
    trusted = read(root, audio_column="audio", allow_outside_root=True)
    assert {code for code, _ in codes(trusted)} == {"VP022", "VP007", "VP006"}


def test_a_sample_may_lack_both_files(tmp_path: Path) -> None:
    root = made(tmp_path, {"list.csv": "video,caption,audio\nx.mp4,one,x.wav\na.mp4,two,\n"})
    listing = read(root)
    assert codes(listing) == [("VP005", 1), ("VP022", 1)]
    index = vp.BucketIndex.build(root)
    assert [one.code for one in index.left_out] == ["VP103", "VP005"]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("line-files", {"prompt.txt": "one\n", "videos.txt": "a.mp4\n"}),
        ("caption-files", {"a.txt": "one"}),
        ("captions-json", {"captions.json": '{"a.mp4": "one"}'}),
        ("folder-pairs", {"videos/a.mp4": "v", "labels/a.txt": "one"}),
    ],
)
def test_a_format_without_columns_refuses_their_names(
    tmp_path: Path, name: str, files: dict[str, str]
) -> None:
    made(tmp_path, files)
    for what in set(COLUMNS) - set(folder_reader(name).named):
        with pytest.raises(SpecError, match=f"{what}_column names a table's column") as raised:
            read(tmp_path, format=name, **{f"{what}_column": "audio"})
        assert "one CSV file" in str(raised.value)
    off = {f"{what}_column": "" for what in OPTIONAL}
    assert read(tmp_path, format=name, **off).reading.format == name


def folder_reader(name: str) -> FolderReader:
    reader = reader_of(name)
    assert isinstance(reader, FolderReader)
    return reader


def _clean(root: Path, target: Path) -> list[dict[str, str]]:
    """What a clean list of a dataset gives when it is read again, by sample."""
    spec = vp.DatasetSpec.from_path(root)
    write_rows(target, clean_rows(spec, spec.samples()))
    found = read(target, data_root=root)
    return [{role: one.name for role, one in sample.media.items()} for sample in found.samples]


def test_a_clean_list_keeps_the_sound_of_tables_in_folders(tmp_path: Path) -> None:
    root = tmp_path / "data"
    table = "file_name,text,split,audio\na.mp4,one,x,\nb.mp4,two,x,b.wav\n"
    made(root / "train", {"metadata.csv": table, "b.wav": "s"})
    assert _clean(root, tmp_path / "clean.csv") == [
        {"video": "train/a.mp4"}, {"video": "train/b.mp4", "audio": "train/b.wav"},
    ]  # fmt: skip
    made(root / "train", {"metadata.csv": table.replace("b.wav", "")})
    (root / "train/b.wav").unlink()
    spec = vp.DatasetSpec.from_path(root)
    assert next(clean_rows(spec, spec.samples())) == ["video", "caption", "split"]


def test_a_clean_list_keeps_paths_that_are_objects(tmp_path: Path) -> None:
    root = made(tmp_path / "data", {"x.wav": "s"})
    rows = [{"video": {"bytes": None, "path": "a.mp4"}, "caption": "c", "audio": {"path": "x.wav"}}]
    (root / "list.json").write_text(json.dumps(rows))
    assert _clean(root, tmp_path / "clean.csv") == [{"video": "a.mp4", "audio": "x.wav"}]


def test_a_video_that_is_only_named_for_its_sound_is_not_forgotten(tmp_path: Path) -> None:
    text = "video,caption,audio\na.mp4,one,b.mp4\nc.mp4,two,b.mp4\n"
    listing = read(made(tmp_path, {"list.csv": text}))
    assert listing.reading.passed_over == ()
