"""Caption files beside videos: every video and every other file is accounted for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import videoprep as vp
from tests.spec.readers.reading import codes, made, pairs, read, remarks
from videoprep.errors import SpecError, listed
from videoprep.spec.entries import Entries, Reading
from videoprep.spec.readers.base import ReadRequest
from videoprep.spec.readers.caption_files import READER


def _passed(listing: vp.spec.sample.Listing) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {over.kind: (over.count, over.examples) for over in listing.reading.passed_over}


def test_names_of_caption_files(tmp_path: Path) -> None:
    made(
        tmp_path,
        {
            "a.TXT": "one", "b.mp4.txt": "two", "c.Caption": "three", "D.MP4": "v", "D.txt": "four",
            "e.gif": "v", "e.json": '{"Prompt": "five", "seed": 1}',
        },
    )  # fmt: skip
    assert pairs(read(tmp_path)) == {
        "D.MP4": ("four",), "a.mp4": ("one",), "b.mp4": ("two",), "c.mp4": ("three",),
        "e.gif": ("five",),
    }  # fmt: skip


def test_of_several_caption_files_the_first_is_read_and_the_others_are_named(
    tmp_path: Path,
) -> None:
    made(
        tmp_path,
        {
            "a.txt": "one", "a.TXT": "other", "a.mp4.txt": "other", "a.caption": "other",
            "a.json": '{"caption": "other"}', "b.json": "[1]", "b.txt": "two", "c.json": "{}",
        },
    )  # fmt: skip
    listing = read(tmp_path)
    assert pairs(listing) == {"a.mp4": ("one",), "b.mp4": ("two",)}
    assert _passed(listing) == {
        "further caption files of a video": (3, ("a.mp4.txt", "a.caption", "a.TXT")),
        "other files": (3, ("a.json", "b.json", "c.json")),
    }


def test_lines_are_captions_or_lines_of_one(tmp_path: Path) -> None:
    made(tmp_path, {"a.txt": "one\r\nfirst\n\n", "b.txt": " \n\n", "c.txt": "three"})
    listing = read(tmp_path)
    assert pairs(listing) == {"a.mp4": ("one", "first"), "c.mp4": ("three",)}
    assert codes(listing) == [("VP201", 2)]
    assert pairs(read(tmp_path, caption_lines="one"))["a.mp4"] == ("one\nfirst",)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(tmp_path: Path, codec: str) -> None:
    made(tmp_path, {"a.txt": "zwölf\r\n".encode(codec), "b.json": '{"text": "é"}'.encode(codec)})
    listing = read(tmp_path)
    assert pairs(listing) == {"a.mp4": ("zwölf",), "b.mp4": ("é",)}
    assert remarks(listing) == ([] if codec == "utf-8-sig" else ["VP004", "VP004"])


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("café".encode("cp1252"), "VP004", "CP1252"),
        ("a dog runs".encode("utf-16-le"), "VP004", "UTF-16LE"),
        (b"a\0b", "VP004", "not UTF-8"),
        (b"x" * 50_000_000, "VP018", "50,000,000 bytes"),
        (b"", "VP201", "is empty"),
    ],
)
def test_a_bad_file_costs_one_sample(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    listing = read(made(tmp_path, {"a.txt": "one", "b.txt": content, "c.txt": "three"}))
    assert list(pairs(listing)) == ["a.mp4", "c.mp4"]
    assert codes(listing) == [(code, 2)]
    assert words in listing.problems[0].message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "VP008"),
        ('{"caption": ' + "[" * 20_000, "VP008"),
        ('{"caption": ' + "9" * 5000 + "}", "VP008"),
        ('{"caption": "x", "caption": "y"}', "VP008"),
        ('{"caption": {"a": "x"}}', "VP018"),
        ('{"caption": "\\ud800"}', "VP018"),
        ('{"caption": null}', "VP201"),
    ],
)
def test_a_bad_object_costs_one_sample(tmp_path: Path, content: str, code: str) -> None:
    listing = read(made(tmp_path, {"a.txt": "one", "b.json": content, "c.txt": "three"}))
    assert list(pairs(listing)) == ["a.mp4", "c.mp4"]
    assert codes(listing) == [(code, 2)]


def test_a_link_to_a_caption_stays_inside(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    root = made(tmp_path / "set", {"texts/b.txt": "two"})
    (root / "a.txt").symlink_to(secret)
    (root / "b.txt").symlink_to("texts/b.txt")
    listing = read(root)
    assert pairs(listing) == {"b.mp4": ("two",)}
    assert codes(listing) == [("VP006", 1), ("VP201", 3)]
    assert pairs(read(root, allow_outside_root=True))["a.mp4"] == ("a secret",)


def test_what_is_not_a_file_is_never_opened(tmp_path: Path) -> None:
    made(tmp_path, {"c.txt": "three"})
    for name in ("a.txt", "pipe.mp4", "list.csv", "list.json", "list.parquet"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "b.txt").symlink_to("gone")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    (tmp_path / "folder.mp4").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.mp4"))
        listing = read(tmp_path)
    assert pairs(listing) == {"c.mp4": ("three",)}
    assert codes(listing) == [("VP201", 1), ("VP201", 2)]
    found = _passed(listing)
    assert found["files that are not regular"][0] == 6
    assert found["broken links"][0] == 3


def test_links_are_followed_inside_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    root = made(tmp_path / "set", {"a.txt": "one", "b.txt": "two", "c.txt": "3", "sub/x.mp4": "v"})
    (root / "sub/x.txt").write_text("four")
    (root / "sub/up").symlink_to("..")
    (root / "again").symlink_to("sub")
    (root / "out").symlink_to(tmp_path / "outside")
    listing = read(root)
    assert list(pairs(listing)) == ["a.mp4", "b.mp4", "c.mp4", "sub/x.mp4"]
    assert _passed(listing) == {
        "linked folders that lead outside the data root": (1, ("out",)),
        "linked folders that were read already": (2, ("again", "sub/up")),
    }


def test_names_of_any_bytes(tmp_path: Path) -> None:
    made(tmp_path, {name: name[0] for name in ("a.txt", "b.txt", "c.txt")})
    for name in (b" a.mp4", b"x\ny.mp4", b"q'\".mp4", b"caf\xe9.mp4", b"d\xe9/x.mp4"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        for file in (path, path[:-4] + b".txt"):
            with open(file, "wb") as handle:
                handle.write(b"text")
    with open(os.path.join(os.fsencode(tmp_path), b"\xff.txt"), "wb"):
        pass
    listing = read(tmp_path)
    assert {" a.mp4", "x\ny.mp4", "q'\".mp4"} < set(pairs(listing))
    assert [code for code, _ in codes(listing)] == ["VP004", "VP004"]
    for remark in listing.remarks:
        remark.message.encode()


def test_files_that_are_passed_over_are_counted_by_kind(tmp_path: Path) -> None:
    names = ("p.png", "q.JPG", "orphan.txt", "readme.md", ".hidden", "p.txt")
    listing = read(made(tmp_path, {"a.txt": "one", **dict.fromkeys(names, "x")}))
    assert _passed(listing) == {
        "still images": (2, ("p.png", "q.JPG")),
        "caption files without a video": (1, ("orphan.txt",)),
        "other files": (1, ("readme.md",)),
        "hidden files and folders": (1, (".hidden",)),
    }
    assert set(remarks(listing)) == {"VP019"}


def test_the_same_name_in_two_folders(tmp_path: Path) -> None:
    made(tmp_path, {f"{d}/clip.{end}": d for d in ("one", "two") for end in ("mp4", "txt")})
    assert pairs(read(tmp_path)) == {"one/clip.mp4": ("one",), "two/clip.mp4": ("two",)}


def test_a_fallback_stands_in_and_is_noted(tmp_path: Path) -> None:
    made(tmp_path, {"a.txt": "one"})
    listing = read(tmp_path, caption_fallback="a clip")
    assert pairs(listing)["c.mp4"] == ("a clip",)
    assert remarks(listing) == ["VP201", "VP201"]
    listing = read(tmp_path, caption_fallback="", id_token="TOK")
    assert [sample.caption for sample in listing.samples] == ["TOK one", "TOK", "TOK"]
    with pytest.raises(SpecError, match="needs an id token"):
        read(tmp_path, caption_fallback="")


def test_files_that_change_after_they_were_listed(tmp_path: Path) -> None:
    """A caption that is taken away, or becomes a pipe, costs its own sample."""
    made(tmp_path, {"a.txt": "one", "b.txt": "two", "c.txt": "three", "sub/z.mp4": "v"})
    levels = READER.read(ReadRequest(tmp_path))
    assert isinstance(levels, Entries)
    (tmp_path / "a.txt").unlink()
    os.mkfifo(tmp_path / "a.txt")
    from videoprep.spec.readers.caption_files import read_caption

    assert "not a regular file" in read_caption(tmp_path / "a.txt", "several", tmp_path).message
    (tmp_path / "a.txt").unlink()
    assert "No such file" in read_caption(tmp_path / "a.txt", "several", tmp_path).message


def test_an_edited_caption_and_an_added_clip_are_seen(tmp_path: Path) -> None:
    made(tmp_path, {"a.txt": "one", "b.txt": "two", "c.txt": "three"})
    spec = vp.DatasetSpec.from_path(tmp_path)
    spec.listing()
    (tmp_path / "a.txt").write_text("edited")
    (tmp_path / "new.mp4").write_text("v")
    (tmp_path / "new.txt").write_text("added")
    found = pairs(spec.listing())
    assert (found["a.mp4"], found["new.mp4"]) == (("edited",), ("added",))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    made(tmp_path, {"a.txt": "one", "closed/x.mp4": "v"})
    (tmp_path / "closed").chmod(0)
    try:
        assert any(kind.startswith("folders that cannot") for kind in _passed(read(tmp_path)))
    finally:
        (tmp_path / "closed").chmod(0o700)


_TEXT = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=25, deadline=None)
@given(captions=st.lists(_TEXT.map(str.strip).filter(bool), min_size=1, max_size=4))
def test_captions_come_back(tmp_path_factory: pytest.TempPathFactory, captions: list[str]) -> None:
    root = made(tmp_path_factory.mktemp("set"))
    (root / "a.txt").write_bytes("\n".join(captions).encode("utf-8-sig"))
    assert pairs(read(root)) == {"a.mp4": tuple(captions)}


def test_a_video_without_a_caption_file_is_told_without_a_line(tmp_path: Path) -> None:
    """A video has no lines; its caption may be the fallback, or in the journal."""
    made(tmp_path, {"a.txt": "one"})
    listing = read(tmp_path, caption_fallback="a film")
    places = [f"{tmp_path}/{name}" for name in ("a.txt:1", "b.mp4", "c.mp4")]
    assert [str(sample.source) for sample in listing.samples] == places
    assert listed("b.mp4", f"{tmp_path}/b.mp4", 1, "clip 2") == "b.mp4 (clip 2)"
    assert listed("b.mp4", f"{tmp_path}/b.mp4", None) == "b.mp4"
    assert listed("a.mp4", f"{tmp_path}/a.txt", 1) == "a.mp4 (a.txt:1)"


_TEXTS = ("a.txt", "b.txt", "c.txt")


@pytest.mark.parametrize(
    ("files", "journal", "said"),
    [
        (dict.fromkeys(_TEXTS, "one"), False, ["reading videos with a caption file beside each"]),
        ({"a.txt": "one"}, False, ["reading videos, 1 of 3 with a caption file beside it"]),
        (
            {},
            True,
            [
                "reading videos without caption files",
                "captions by models and reviewers from videoprep-captions",
            ],
        ),
    ],
)
def test_what_was_read_is_what_is_there(
    tmp_path: Path, files: dict[str, str], journal: bool, said: list[str]
) -> None:
    made(tmp_path, files)
    if journal:
        (tmp_path / "videoprep-captions").mkdir()
    reading = read(tmp_path).reading
    assert list(reading.sentences())[: len(said)] == said
    assert Reading.from_json(reading.to_json()) == reading
    older = {name: value for name, value in reading.to_json().items() if name != "journal"}
    assert Reading.from_json(older).journal is None
