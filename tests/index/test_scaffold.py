"""`scaffold`: what it finds in folders that nobody has prepared, and what it writes reads back."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.assets import write_video
from videoprep.errors import SpecError
from videoprep.index.proposals import VIDEOS_OPENED, glance
from videoprep.index.scaffold import scaffold
from videoprep.spec.commented import Comments, Proposal, commented_text
from videoprep.spec.dataset import DatasetSpec

CAPTIONS = {"one.mp4": "A dog, running", "two.mp4": 'He says: "no # yes"', "zwölf.mp4": "Zwölf"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Path:
    """Three videos in a folder, and no list."""
    (tmp_path / "data/videos").mkdir(parents=True)
    for name in CAPTIONS:
        shutil.copy(clip, tmp_path / "data/videos" / name)
    return tmp_path / "data"


def _read_back(folder: Path) -> dict[str, str]:
    listing = DatasetSpec.from_path(folder).listing()
    assert not listing.problems
    return {Path(sample.name).name: sample.caption for sample in listing.samples}


def _table(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def _line_files(folder: Path) -> None:
    (folder / "b.txt").write_text("\n".join(CAPTIONS.values()))
    (folder / "a.txt").write_text("\n".join(f"videos/{name}" for name in CAPTIONS))
    (folder / "readme.txt").write_text("not a list")


def _usual(folder: Path) -> None:
    (folder / "prompt.txt").write_text("\n".join(CAPTIONS.values()))
    (folder / "videos.txt").write_text("\n".join(f"videos/{name}" for name in CAPTIONS))
    _table(folder / "other.csv", ["video", "caption"], [["gone.mp4", "gone"]])


def _odd_columns(folder: Path) -> None:
    rows = [["7", name, text, "first.png"] for name, text in CAPTIONS.items()]
    _table(folder / "liste.csv", ["id", "Pfad: zum # Film", "Was man sieht", "image"], rows)


def _json_lines(folder: Path) -> None:
    lines = [
        json.dumps({"file_name": f"videos/{name}", "text": text, "more": {"a": [1]}})
        for name, text in CAPTIONS.items()
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def _parquet(folder: Path) -> None:
    names, texts = [f"videos/{name}" for name in CAPTIONS], list(CAPTIONS.values())
    table = pa.table({"path": names, "cap": texts, "vector": [[1.0]] * 3})
    pq.write_table(table, folder / "train.parquet")


def _sidecars(folder: Path) -> None:
    for name, text in CAPTIONS.items():
        (folder / "videos" / name).with_suffix(".txt").write_text(f"{text}\n", encoding="utf-8")


@pytest.mark.parametrize(
    "make", [_usual, _line_files, _odd_columns, _json_lines, _parquet, _sidecars]
)
def test_what_is_found_reads_back(make, folder: Path) -> None:
    make(folder)
    made = scaffold(folder)
    made.write()
    assert _read_back(folder) == CAPTIONS
    saved = yaml.safe_load((folder / "videoprep.yaml").read_text(encoding="utf-8"))
    assert saved == made.fields
    written = sorted(path.name for path in folder.iterdir() if path.name.startswith("videoprep"))
    assert written == ["videoprep.yaml"]


def test_every_option_is_there_with_its_meaning(folder: Path) -> None:
    _usual(folder)
    text = scaffold(folder).text
    for name, field in DatasetSpec.model_fields.items():
        assert field.description, name
        if name != "allow_outside_root":  # which the file cannot set
            assert f"\n{name}: " in text or f"\n# {name}: " in text, name


def test_the_defaults_shown_are_the_defaults(folder: Path) -> None:
    _usual(folder)
    made = scaffold(folder)
    fields = DatasetSpec.model_fields
    shown = [line[2:] for line in made.text.splitlines() if line.startswith("# ")]
    told = [line for line in shown if line.split(":")[0] in fields and ": " in line]
    values = yaml.safe_load("\n".join(told))
    expected = DatasetSpec(data_root=Path()).model_dump(mode="json")
    for name, value in values.items():
        assert value == expected[name] or name in made.proposed, name
    assert len(values) + len(made.fields) == len(fields) - 1


def test_nothing_is_set_unasked_and_all_of_it_when_accepted(folder: Path) -> None:
    for name in CAPTIONS:
        write_video(folder / "videos" / name, width=80, height=48, frames=11)
    _sidecars(folder)
    made = scaffold(folder)
    assert made.proposed["profile"].value == "cogvideox"
    assert made.proposed["reshape"].value == "center-crop"
    assert "3 of 3 videos looked at are 80×48 (3), not divisible by 32" in made.text.replace(
        "\n## ", " "
    )
    assert not {"profile", "reshape"} & set(made.fields)
    scaffold(folder, accept=True).write()
    spec = DatasetSpec.from_path(folder)
    assert (spec.profile, spec.reshape) == ("cogvideox", "center-crop")


def test_a_broken_video_is_named_and_stops_nothing(folder: Path) -> None:
    _sidecars(folder)
    (folder / "videos/one.mp4").write_bytes(b"no video at all")
    assert "one.mp4" in scaffold(folder).text


def test_few_videos_are_opened_and_little_is_read(folder: Path, clip: Path) -> None:
    names = [f"{number}.mp4" for number in range(100)]
    for name in names:
        os.link(clip, folder / name)
    assert glance(folder, names).looked_at == VIDEOS_OPENED
    lines = 200_000
    (folder / "prompt.txt").write_text("a dog\n" * lines)
    (folder / "videos.txt").write_text("0.mp4\n" * lines)
    assert len(scaffold(folder).found.names) == 1000


def test_captions_beside_videos_are_read_live(folder: Path) -> None:
    _sidecars(folder)
    scaffold(folder).write()
    (folder / "videos/one.txt").write_text("another caption")
    assert _read_back(folder)["one.mp4"] == "another caption"


def _nothing(folder: Path) -> None:
    shutil.rmtree(folder / "videos")


def _no_captions(folder: Path) -> None:
    del folder


def _unequal(folder: Path) -> None:
    _line_files(folder)
    (folder / "b.txt").write_text("one caption only\n")


def _pipes(folder: Path) -> None:
    for name in ("prompt.txt", "videos.txt", "table.csv", "lines.jsonl", "videos/one.txt"):
        os.mkfifo(folder / name)


def _latin(folder: Path) -> None:
    (folder / "table.csv").write_bytes("video,légende\none.mp4,un café\n".encode("latin-1"))


def _no_rows(folder: Path) -> None:
    (folder / "table.csv").write_text("")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_nothing, "the folder is empty\n  → name the folder of the dataset"),
        (_no_captions, "videos, such as videos/one.mp4, and no captions"),
        (_unequal, "a.txt names videos in 3 lines, and no other text file has as many"),
        (_pipes, "videos.txt: is not a regular file"),
        (_latin, "iconv -f CP1252 -t UTF-8 "),
        (_no_rows, "the file has no header row"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_remedy(make, says: str, folder: Path) -> None:
    make(folder)
    with pytest.raises(SpecError) as refused:
        scaffold(folder).write()
    assert says in str(refused.value)
    assert refused.value.remedy
    assert not (folder / "videoprep.yaml").exists()


def test_of_several_tables_one_is_taken_and_the_others_are_named(folder: Path) -> None:
    _odd_columns(folder)
    _table(folder / "second.csv", ["video", "caption"], [["videos/two.mp4", "two"]])
    made = scaffold(folder)
    assert made.fields["dataset_file"] == "second.csv"  # its columns have the usual names
    assert "liste.csv" in " ".join(made.found.notes)
    scaffold(folder / "liste.csv").write()
    assert _read_back(folder) == CAPTIONS


def test_a_list_that_leads_elsewhere_is_not_followed(folder: Path, clip: Path) -> None:
    _table(folder / "table.csv", ["video", "caption"], [[str(clip), "a"], ["../x.mp4", "b"]])
    made = scaffold(folder)
    assert made.seen == ()
    assert "`allow_outside_root`" in " ".join(made.found.notes)


def test_a_list_is_found_among_very_many_files(folder: Path) -> None:
    for number in range(21_000):
        (folder / f"{number}.png").touch()
    _odd_columns(folder)
    assert scaffold(folder).fields["dataset_file"] == "liste.csv"


def test_control_and_masks_are_used(folder: Path) -> None:
    for name in ("depth", "masks"):
        (folder / name).mkdir()
        write_video(folder / name / "clip.mp4", frames=9, height=48)
    write_video(folder / "clip.mp4", frames=9, height=48)
    row = {"video": "clip.mp4", "caption": "A dog.", "mask": "masks/clip.mp4"}
    row["control_depth"] = "depth/clip.mp4"
    (folder / "list.jsonl").write_text(json.dumps(row))
    made = scaffold(folder)
    assert made.found.fields["roles"] == {"mask": "mask", "control:depth": "control_depth"}
    assert made.unused == (
        "Videos that the list does not name: videos/one.mp4, videos/two.mp4, videos/zwölf.mp4",
    )


def test_what_was_not_taken_is_named(folder: Path) -> None:
    _sidecars(folder)
    (folder / "notes.csv").write_text("day,done\nMonday,yes\n")
    notes = " ".join(scaffold(folder).found.notes)
    assert notes == "Also here, and not read: notes.csv"


HOSTILE = st.text(min_size=1, max_size=30) | st.sampled_from(
    [
        "a: b",
        "# no",
        "- x",
        "x\n# profile: wan\nreshape: pad",
        "\x1b[2J",
        "'\"",
        "&a *a !!str",
        "---",
        "\x85",
        "a\u2028# b",
    ]
)


@given(HOSTILE, HOSTILE, HOSTILE)
@settings(max_examples=100, deadline=None)
def test_hostile_names_stay_values_and_comments_stay_comments(
    name: str, column: str, note: str
) -> None:
    fields = {"dataset_file": name, "caption_column": column}
    comments = Comments((note,), {"profile": Proposal(note, note)})
    text = commented_text(fields, comments)
    assert yaml.safe_load(text.encode()) == fields
    assert "\x1b" not in text


# A list's reader takes a line end in a video's name for a quote that is not closed, and says so.
NAMES = st.text(
    st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name == name.strip() and not name.startswith("."))


@given(st.lists(NAMES, min_size=5, max_size=15, unique_by=str.casefold), st.data())
@settings(max_examples=8, deadline=None)
def test_videos_of_any_name_are_found_again(
    tmp_path_factory: pytest.TempPathFactory, clip: Path, names: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("named")
    expected = {}
    for name in names:
        caption = data.draw(st.text(st.characters(categories=["L", "P", "N"]), min_size=1))
        os.link(clip, folder / f"{name}.mp4")
        (folder / f"{name}.txt").write_text(caption, encoding="utf-8")
        expected[f"{name}.mp4"] = " ".join(caption.split())
    scaffold(folder).write()
    assert _read_back(folder) == expected


@pytest.mark.parametrize(("rates", "proposed"), [((24, 30, 60), 8), ((24, 30), 8), ((5, 60), 5)])
def test_rates_that_differ(rates: tuple[int, ...], proposed: int, folder: Path) -> None:
    """A profile's rate is a whole number, which had no ``is_integer`` before Python 3.12."""
    for name, rate in zip(CAPTIONS, (*rates, rates[-1]), strict=False):
        write_video(folder / "videos" / name, height=48, fps=rate)
    _sidecars(folder)
    made = scaffold(folder).proposed["target_fps"]
    assert made.value == proposed
    assert f"from {rates[0]} to {rates[-1]}" in made.why


def test_roles_of_the_file_that_is_there_count(folder: Path, clip: Path) -> None:
    """Their columns are used, and so are the videos that these name; in the file's header, too."""
    (folder / "depth").mkdir()
    for name in CAPTIONS:
        shutil.copy(clip, folder / "depth" / name)
    rows = [[f"videos/{name}", text, f"depth/{name}"] for name, text in CAPTIONS.items()]
    _table(folder / "list.csv", ["video", "caption", "depth"], rows)
    made = scaffold(folder)
    assert made.unused[0] == "Columns that are not used: depth"
    (folder / "videoprep.yaml").write_text(made.text + "roles:\n  control:depth: depth\n")
    again = scaffold(folder)
    assert again.unused == ()
    assert "not used: depth" not in again.text
    assert "does not name" not in again.text
    (folder / "videoprep.yaml").write_text(made.text + "roles:\n  control:depth: gone\n")
    assert scaffold(folder).unused[0] == "Columns that are not used: depth"


def test_a_folder_of_controls_for_some_is_told(folder: Path, clip: Path) -> None:
    for name, text in CAPTIONS.items():
        (folder / "videos" / name).with_suffix(".txt").write_text(text)
    (folder / "control").mkdir()
    shutil.copy(clip, folder / "control/one.mp4")
    told = "control/ has files for 1 of 3 samples: the others are used without control."
    made = scaffold(folder)
    assert told in " ".join(f"{one}." for one in made.unused)
    assert told in " ".join(made.text.replace("\n## ", " ").split())
    (folder / "videoprep.yaml").write_text("roles:\n  control: ''\n")
    assert "has files for" not in scaffold(folder).text
