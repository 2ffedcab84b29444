"""Control media, references and masks: found by columns and folders, or named by ``roles``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import videoprep as vp
from tests.spec.readers.reading import codes, made, read, remarks
from videoprep.errors import SpecError
from videoprep.spec.roles import Role, role_called
from videoprep.spec.sample import Listing
from videoprep.validators.fixes import clean_rows, write_rows


def media(listing: Listing) -> dict[str, dict[str, str]]:
    """What samples have beside their videos: paths by role."""
    return {one.caption: {m.role: m.name for m in one.beside} for one in listing.samples}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("control_depth", "control:depth"), ("control_depth_path", "control:depth"),
        ("control_input_seg", "control:seg"), ("control_path_0", "control:0"),
        ("control_video_soft_edge", "control:soft_edge"), ("reference_1", "reference:1"),
        ("ref_face_path", "reference:face"), ("mask_object", "mask:object"),
        ("control", None), ("control_video", None), ("reference_audio", None),
        ("depth_path", None), ("first_frame_path", None), ("video_mask", None),
    ],
)  # fmt: skip
def test_a_name_tells_the_role(name: str, role: str | None) -> None:
    assert role_called(name) == role


@pytest.mark.parametrize(
    ("column", "role"),
    [
        ("control", "control"), ("Control Path", "control"), ("control_file_path", "control"),
        ("vace_video", "control"), ("controlDepth", "control:depth"),
        ("ref_media_path", "reference"),
        ("reference_image", "reference"), ("reference_0", "reference:0"), ("mask_path", "mask"),
        ("loss_mask_path", "mask"), ("mask_video", "mask"),
    ],
)  # fmt: skip
def test_columns_are_recognized_if_they_hold_paths(tmp_path: Path, column: str, role: str) -> None:
    made(tmp_path, {"list.csv": f"video,caption,{column}\na.mp4,one,b.mp4\nb.mp4,two,\n"})
    listing = read(tmp_path)
    assert media(listing) == {"one": {role: "b.mp4"}, "two": {}}
    assert listing.reading.columns[role] == column
    assert "VP020" not in remarks(listing)


@pytest.mark.parametrize(
    "cells",
    [["yes", "no"], [1, 0], [{"x": 1}, {"x": 2}], [0.5, 1.5], ["a hat", "a.b c d"], [[], []]],
)
def test_columns_without_paths_are_what_they_were(tmp_path: Path, cells: list[object]) -> None:
    """They are called like roles, and hold numbers, text or structs: nothing is read from them."""
    names = ("control", "mask", "reference_0", "control_depth")
    rows = [
        {"video": f"{name}.mp4", "caption": name, **dict.fromkeys(names, cell)}
        for name, cell in zip("ab", cells, strict=True)
    ]
    made(tmp_path, {"list.jsonl": "\n".join(map(json.dumps, rows))})
    listing = read(tmp_path)
    assert media(listing) == {"a": {}, "b": {}}
    assert codes(listing) == []
    assert remarks(listing).count("VP020") == len(names)


def test_any_column_may_be_named(tmp_path: Path) -> None:
    made(tmp_path, {"list.csv": "video,caption,d,control\na.mp4,one,b.mp4,c.mp4\n"})
    listing = read(tmp_path, roles={"control:depth": "d"})
    assert media(listing) == {"one": {"control": "c.mp4", "control:depth": "b.mp4"}}
    without = read(tmp_path, roles={"control:depth": "d", "control": ""})
    assert media(without) == {"one": {"control:depth": "b.mp4"}}
    assert "VP020" not in remarks(without)
    with pytest.raises(SpecError, match="there is no column 'x'") as raised:
        read(tmp_path, roles={"control:depth": "x"})
    assert "`roles={'control:depth': …}`" in str(raised.value.remedy)


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({"contrl": "d"}, "there is no role 'contrl'"),
        ({"audio": "d"}, "`audio_column`"),
        ({"video": "d"}, "`video_column`"),
        ({"control:A b": "d"}, "invalid suffix"),
        ("control", "expected a mapping of names to texts"),
    ],
)
def test_what_is_no_role_is_refused(tmp_path: Path, roles: object, words: str) -> None:
    made(tmp_path, {"list.csv": "video,caption,d\na.mp4,one,b.mp4\n"})
    with pytest.raises(SpecError, match=words):
        vp.DatasetSpec.from_path(tmp_path, roles=roles)  # type: ignore[arg-type]


def test_a_depth_column_is_pointed_out(tmp_path: Path) -> None:
    made(tmp_path, {"list.csv": "video,caption,depth_path\na.mp4,one,b.mp4\n"})
    (remark,) = (one for one in read(tmp_path).remarks if one.code.value == "VP020")
    assert "`roles={'control:depth': 'depth_path'}`" in remark.remedy


def test_a_missing_file_costs_its_own_sample(tmp_path: Path) -> None:
    rows = "a.mp4,one,b.mp4\nb.mp4,two,gone.mp4\nc.mp4,three,\na.mp4,four,../x.mp4\n"
    made(tmp_path, {"list.csv": f"video,caption,control\n{rows}"})
    listing = read(tmp_path)
    assert media(listing) == {"one": {"control": "b.mp4"}, "three": {}}
    assert codes(listing) == [("VP022", 2), ("VP006", 4)]


FOLDERS = {
    "videos/x.mp4": b"", "videos/sub/y.mp4": b"", "videos/z.mp4": b"",
    "metas/x.txt": "x", "metas/sub/y.txt": "y", "metas/z.txt": "z",
    "control_input_depth/x.mp4": b"", "control_input_depth/sub/y.mkv": b"",
    "masks/x.png": b"", "masks/sub/y.png": b"", "masks/z.png": b"", "masks/z.mp4": b"",
}  # fmt: skip


def test_a_folder_for_some_of_the_videos_costs_none_of_the_others(tmp_path: Path) -> None:
    """Fewer than half have a file: one warning says so. Half or more: what is missing is told."""
    files = {f"{name}.mp4": b"" for name in "abcde"} | {f"{name}.txt": name for name in "abcde"}
    made(tmp_path, {**files, "control/a.mp4": b"", "control/d.png": b"", "masks/a.png": b""})
    listing = read(tmp_path)
    assert media(listing) == {
        "a": {"control": "control/a.mp4", "mask": "masks/a.png"}, "b": {}, "c": {},
        "d": {"control": "control/d.png"}, "e": {},
    }  # fmt: skip
    assert codes(listing) == []
    told = [(one.message, one.severity) for one in listing.remarks if one.code.value == "VP022"]
    assert told == [
        ("control/ has files for 2 of 5 samples: the others are used without control", "warning"),
        ("masks/ has files for 1 of 5 samples: the others are used without mask", "warning"),
    ]
    made(tmp_path, {"control/b.mp4": b"", "masks/a.jpg": b""})
    listing = read(tmp_path)
    assert codes(listing) == [("VP024", 1), ("VP022", 3), ("VP022", 5)]
    remedy = listing.problems[-1].remedy
    assert "leave its cell for control empty" in remedy
    assert "`roles={'control': ''}`" in remedy


def test_folders_beside_the_videos_are_found(tmp_path: Path) -> None:
    """Under the videos' names: what is missing, and what is there twice, costs its own sample."""
    listing = read(made(tmp_path / "data", {**FOLDERS, **dict.fromkeys(("a.mp4",), b"")}))
    assert media(listing) == {
        "x": {"control:depth": "control_input_depth/x.mp4", "mask": "masks/x.png"},
        "y": {"control:depth": "control_input_depth/sub/y.mkv", "mask": "masks/sub/y.png"},
    }
    assert codes(listing) == [("VP022", 2), ("VP024", 2)]
    missing, several = listing.problems
    assert missing.message == "its control:depth: control_input_depth/ has no file called z"
    assert several.message == "its mask: masks/ has several files called z: z.mp4, z.png"
    assert listing.reading.columns["mask"] == "masks/"
    off = read(tmp_path / "data", roles={"mask": "", "control:depth": ""})
    assert media(off) == {"x": {}, "y": {}, "z": {}}


def test_folders_beside_captioned_videos(tmp_path: Path) -> None:
    """As musubi-tuner has it; what lies in the folder of controls is no sample."""
    names = {"videos/x.mp4": b"", "videos/x.txt": "x", "control/x.mp4": b"", "control/y.mp4": b""}
    root = tmp_path / "data"
    for name, content in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    listing = read(root)
    assert media(listing) == {"x": {"control": "control/x.mp4"}}
    assert listing.total == 1


def test_a_folder_of_samples_is_no_role(tmp_path: Path) -> None:
    """Its videos have captions, or none has the name of a video elsewhere."""
    names = {"treated/x.mp4": b"", "treated/x.txt": "x", "control/x.mp4": b"", "control/x.txt": "c"}
    for name, content in names.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert media(read(tmp_path)) == {"c": {}, "x": {}}
    (tmp_path / "control/x.txt").unlink()
    (tmp_path / "control/x.mp4").rename(tmp_path / "control/other.mp4")
    listing = read(tmp_path)
    assert media(listing) == {"x": {}}
    assert listing.total == 2


def test_a_folder_may_be_named_beside_a_table(tmp_path: Path) -> None:
    made(tmp_path, {"list.csv": "video,caption\nv/a.mp4,one\nv/b.mp4,two\n"})
    for name in ("v/a.mp4", "v/b.mp4", "depth/a.mp4", "depth/b.webp", "outside/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listing = read(tmp_path, roles={"control:depth": "depth"})
    assert media(listing) == {
        "one": {"control:depth": "depth/a.mp4"}, "two": {"control:depth": "depth/b.webp"},
    }  # fmt: skip
    (tmp_path / "v/link").symlink_to(tmp_path.parent)
    with pytest.raises(SpecError, match="leads outside the data root"):
        read(tmp_path, roles={"control": "v/link"})


def test_a_format_without_columns_needs_a_folder(tmp_path: Path) -> None:
    made(tmp_path, {"prompt.txt": "one\n", "videos.txt": "a.mp4\n"})
    with pytest.raises(SpecError, match="there is no folder 'depth' for the role 'control'"):
        read(tmp_path, roles={"control": "depth"})
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth/a.mkv").touch()
    assert media(read(tmp_path, roles={"control": "depth"})) == {"one": {"control": "depth/a.mkv"}}


def test_init_finds_roles(tmp_path: Path) -> None:
    import yaml

    from videoprep.index.scaffold import scaffold

    rows = "a.mp4,one,b.mp4\nb.mp4,two,c.mp4\n"
    table = made(tmp_path / "table", {"list.csv": f"video,caption,control_depth\n{rows}"})
    text = scaffold(table).text
    assert yaml.safe_load(text)["roles"] == {"control:depth": "control_depth"}
    (table / "videoprep.yaml").write_text(text)
    assert media(read(table))["one"] == {"control:depth": "b.mp4"}
    folders = made(tmp_path / "folders", FOLDERS)
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (folders / name).unlink()
    found = scaffold(folders)
    assert yaml.safe_load(found.text)["roles"] == {
        "control:depth": "control_input_depth", "mask": "masks",
    }  # fmt: skip
    assert (
        "Beside the videos, under their names: control:depth in control_input_depth/" in found.text
    )


def test_roles_may_come_from_the_command_line() -> None:
    from videoprep.cli.options import read as read_options

    given = read_options(vp.DatasetSpec, {"roles": ["control:depth=d", "mask="]})
    assert given == {"roles": {"control:depth": "d", "mask": ""}}
    assert Role("control:depth") in given["roles"]


def test_a_clean_list_keeps_roles(tmp_path: Path) -> None:
    """A list that is written of folders has a column for each role, which is recognized again."""
    folders = made(tmp_path / "folders", {**FOLDERS, "control_input_depth/z.mp4": b""})
    for name in ("a.mp4", "b.mp4", "c.mp4", "masks/z.mp4"):
        (folders / name).unlink()
    spec = vp.DatasetSpec.from_path(folders)
    samples = spec.listing().samples
    write_rows(tmp_path / "folders/clean.csv", clean_rows(spec, samples))
    table = vp.DatasetSpec.from_path(folders / "clean.csv")
    assert media(table.listing()) == media(spec.listing())
    assert len(samples) == 3


def test_a_list_of_paths_is_numbered(tmp_path: Path) -> None:
    rows = [
        {"video": "a.mp4", "caption": "one", "reference": ["b.mp4", "c.mp4"], "mask_a": ["b.mp4"]},
        {"video": "b.mp4", "caption": "two", "reference": [], "mask_a": None},
        {"video": "c.mp4", "caption": "three", "reference": "a.mp4", "mask_a": ["a.mp4", "b.mp4"]},
        {"video": "c.mp4", "caption": "four", "reference": ["a.mp4", 1], "mask_a": None},
    ]
    made(tmp_path, {"list.jsonl": "\n".join(map(json.dumps, rows))})
    listing = read(tmp_path, roles={"reference": "reference", "mask:a": "mask_a"})
    assert media(listing)["one"] == {
        "reference:0": "b.mp4", "reference:1": "c.mp4", "mask:a": "b.mp4",
    }  # fmt: skip
    assert media(listing)["two"] == {}
    assert codes(listing) == [("VP018", 3), ("VP022", 4)]
