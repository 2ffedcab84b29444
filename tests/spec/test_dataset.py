"""DatasetSpec: which dataset is meant, and every mistake in its lists."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

import videoprep as vp
from tests.support.assets import write_lists, write_video
from videoprep.errors import Code, ListError, SpecError


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not looked into")


def _problems(spec: vp.DatasetSpec) -> list[tuple[Code, str, int | None]]:
    return [(p.code, Path(p.file).name, p.line) for p in spec.listing().problems]


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_dev, status.st_ino]


def test_two_line_files_are_paired_by_number(tmp_path: Path) -> None:
    _touch(tmp_path, "v/a.mp4", "v/b.mp4")
    write_lists(tmp_path, ["first", "second"], ["v/a.mp4", "v/b.mp4"])
    samples = list(vp.DatasetSpec.from_path(tmp_path).samples())
    assert [(s.caption, s.video) for s in samples] == [
        ("first", tmp_path / "v/a.mp4"),
        ("second", tmp_path / "v/b.mp4"),
    ]
    assert str(samples[1].source) == f"{tmp_path / 'videos.txt'}:2"
    assert str(samples[1].caption_source) == f"{tmp_path / 'prompt.txt'}:2"


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    outside = tmp_path / "outside.mp4"
    root = tmp_path / "data"
    _touch(root, "a.mp4")
    _touch(tmp_path, "outside.mp4")
    (root / "folder.mp4").mkdir()
    os.mkfifo(root / "pipe.mp4")
    (root / "link.mp4").symlink_to(outside)
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    videos = [
        "a.mp4",
        "missing.mp4",
        "../outside.mp4",
        str(outside),
        "link.mp4",
        "folder.mp4",
        "pipe.mp4",
        "loop.mp4",
        "nul\0.mp4",
        "",
    ]
    write_lists(root, ["c"] * len(videos), videos)
    listing = vp.DatasetSpec.from_path(root).listing()
    assert [s.name for s in listing.samples] == ["a.mp4"]
    assert listing.total == len(videos)
    assert [(p.line, p.code) for p in listing.problems] == [
        (9, Code.NUL_BYTE),
        (10, Code.BLANK_LINE),
        (2, Code.MISSING_VIDEO),
        (3, Code.OUTSIDE_ROOT),
        (4, Code.OUTSIDE_ROOT),
        (5, Code.OUTSIDE_ROOT),
        (6, Code.NOT_A_FILE),
        (7, Code.NOT_A_FILE),
        (8, Code.NOT_A_FILE),
    ]
    assert [s.source.line for s in listing.unusable] == [2, 3, 4, 5, 6, 7, 8]
    assert listing.identities.tolist() == [_identity(root / "a.mp4")]
    with pytest.raises(ListError) as raised:
        list(vp.DatasetSpec.from_path(root).samples())
    assert len(raised.value.problems) == 9


def test_a_blank_line_is_an_error_and_not_a_shift(tmp_path: Path) -> None:
    _touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    write_lists(tmp_path, ["one", "", "three"], ["a.mp4", "b.mp4", "c.mp4"])
    listing = vp.DatasetSpec.from_path(tmp_path).listing()
    assert [(s.caption, s.name) for s in listing.samples] == [("one", "a.mp4"), ("three", "c.mp4")]
    assert [(p.code, p.line) for p in listing.problems] == [(Code.BLANK_LINE, 2)]


@pytest.mark.parametrize(
    ("captions", "videos", "remedies"),
    [
        (["one", ""], ["a.mp4"], {"delete the blank line 2 at the end of prompt.txt",
                                  "delete this line: the other file has none for it"}),
        (["one"], ["a.mp4", "", ""], {"delete the 2 blank lines at the end of videos.txt",
                                      "delete this line: the other file has none for it"}),
        (["one", ""], ["a.mp4", ""],
         {"delete this line, which is blank in both files, or write the missing entries"}),
        (["one", ""], ["a.mp4", "b.mp4"],
         {"write the missing entry, or delete this line here and its partner in the other file"}),
        (["one", "", "x"], ["a.mp4"], {
            "line n of one file belongs to line n of the other: "
            "find the line that is missing or too many",
            "delete this line: the other file has none for it"}),
    ],
)  # fmt: skip
def test_the_remedy_for_a_blank_line(
    tmp_path: Path, captions: list[str], videos: list[str], remedies: set[str]
) -> None:
    _touch(tmp_path, "a.mp4", "b.mp4")
    write_lists(tmp_path, captions, videos)
    for fallback in (None, "a clip") if "b.mp4" not in videos else (None,):
        spec = vp.DatasetSpec.from_path(tmp_path, caption_fallback=fallback)
        assert {p.remedy for p in spec.listing().problems} == remedies


def test_unequal_counts_pair_nothing(tmp_path: Path) -> None:
    _touch(tmp_path, "a.mp4", "b.mp4")
    write_lists(tmp_path, ["one"], ["a.mp4", "b.mp4"])
    listing = vp.DatasetSpec.from_path(tmp_path).listing()
    assert not listing.samples
    assert listing.total == 2
    assert _problems(vp.DatasetSpec.from_path(tmp_path)) == [(Code.UNEQUAL_COUNTS, "videos.txt", 2)]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "ending"])
def test_line_ends(tmp_path: Path, ending: str, last: str) -> None:
    _touch(tmp_path, "a.mp4", "b.mp4")
    tail = ending if last else ""
    (tmp_path / "prompt.txt").write_bytes(f"\ufeffone{ending}two{tail}".encode())
    (tmp_path / "videos.txt").write_bytes(f"a.mp4{ending}b.mp4{tail}".encode())
    samples = list(vp.DatasetSpec.from_path(tmp_path).samples())
    assert [s.caption for s in samples] == ["one", "two"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1c"])
def test_only_the_newline_ends_a_line(tmp_path: Path, separator: str) -> None:
    _touch(tmp_path, "a.mp4", "b.mp4")
    write_lists(tmp_path, [f"left{separator}right", "second"], ["a.mp4", "b.mp4"])
    spec = vp.DatasetSpec.from_path(tmp_path)
    assert [s.caption for s in spec.samples()] == [f"left{separator}right", "second"]
    assert [(r.code, r.line) for r in spec.listing().remarks] == [(Code.UNUSUAL_SEPARATOR, 1)]


def test_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    _touch(tmp_path, "a.mp4", "b.mp4")
    write_lists(tmp_path, ["", ""], ["a.mp4", "b.mp4"])
    (tmp_path / "prompt.txt").write_bytes("plain\ncafé\n".encode("latin-1"))
    assert _problems(vp.DatasetSpec.from_path(tmp_path)) == [(Code.NOT_UTF8, "prompt.txt", 2)]


def test_outside_root_is_allowed_on_request(tmp_path: Path) -> None:
    _touch(tmp_path, "elsewhere/a.mp4")
    root = tmp_path / "data"
    write_lists(root, ["c"], [str(tmp_path / "elsewhere/a.mp4")])
    spec = vp.DatasetSpec.from_path(root, allow_outside_root=True)
    assert next(spec.samples()).video == tmp_path / "elsewhere/a.mp4"


@pytest.mark.parametrize("token", ["sks", " sks "])
def test_id_token_comes_before_each_caption(tmp_path: Path, token: str) -> None:
    _touch(tmp_path, "a.mp4")
    write_lists(tmp_path, ["a dog"], ["a.mp4"])
    spec = vp.DatasetSpec.from_path(tmp_path, id_token=token)
    assert next(spec.samples()).caption == "sks a dog"


def test_other_file_names(tmp_path: Path) -> None:
    _touch(tmp_path, "a.mp4")
    (tmp_path / "captions.txt").write_text("hello\n")
    (tmp_path / "files.txt").write_text("a.mp4\n")
    spec = vp.DatasetSpec.from_path(
        tmp_path, caption_column="captions.txt", video_column="files.txt"
    )
    assert next(spec.samples()).caption == "hello"


def test_line_files_go_before_a_table(real_clips: Path) -> None:
    assert vp.DatasetSpec.from_path(real_clips).dataset_file is None
    by_table = vp.DatasetSpec.from_path(real_clips / "metadata.csv")
    by_lines = vp.DatasetSpec.from_path(real_clips)
    captions = [s.caption for s in by_lines.samples()]
    assert [s.caption for s in by_table.samples()] == captions
    assert len(captions) == 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "nowhere", "no such file or folder"),
        (lambda p: p, "no dataset here: prompt.txt and videos.txt not found"),
        (lambda p: write_video(p / "a.mp4"), "this kind of file cannot be read as a dataset"),
    ],
)
def test_no_dataset(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        vp.DatasetSpec.from_path(make(tmp_path))
    assert raised.value.where
    assert raised.value.remedy


def test_half_a_dataset_names_the_missing_half(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("x\n")
    with pytest.raises(SpecError, match=r"no dataset here: videos.txt not found") as raised:
        vp.DatasetSpec.from_path(tmp_path)
    assert raised.value.code is Code.MISSING_LIST
    spec = vp.DatasetSpec(data_root=tmp_path)
    with pytest.raises(SpecError, match=r"does not exist\n.*prompt\.txt") as raised:
        spec.listing()
    assert raised.value.code is Code.MISSING_LIST


def test_an_empty_dataset_is_an_error(tmp_path: Path) -> None:
    write_lists(tmp_path, [], [])
    (tmp_path / "videos.txt").write_text("")
    with pytest.raises(SpecError, match="empty"):
        vp.DatasetSpec.from_path(tmp_path).samples()


def test_several_tables_must_be_told_apart(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("video,caption\n")
    with pytest.raises(SpecError, match=r"a\.csv, b\.csv"):
        vp.DatasetSpec.from_path(tmp_path)


def test_unknown_fields_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="reshap"):
        vp.DatasetSpec(data_root=tmp_path, reshap="none")


def test_null_unsets_an_option(tmp_path: Path) -> None:
    """Also one whose default is a value, such as the commented-out lines of `init` show it."""
    text = "buckets: null\nroles: null\nreshape: null\nnum_buckets: null\nprofile: wan\n"
    (tmp_path / "videoprep.yaml").write_text(text)
    (tmp_path / "prompt.txt").write_text("a\n")
    (tmp_path / "videos.txt").write_text("a.mp4\n")
    spec = vp.DatasetSpec.from_path(tmp_path, height_buckets=64, width_buckets=96)
    assert (spec.buckets, spec.roles, spec.reshape, spec.num_buckets) == ((), {}, None, None)
    assert (spec.profile, spec.height_buckets) == ("wan", (64,))
