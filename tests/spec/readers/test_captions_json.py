"""captions.json: what is read of it, each mistake with its place, and what strangers write."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import videoprep as vp
from videoprep.errors import Code, SpecError
from videoprep.spec.cells import as_captions
from videoprep.spec.discovery import discover
from videoprep.spec.path_hints import kind_of
from videoprep.spec.readers.captions_json import BROKEN_ENTRIES, NAME, TEXTS, UNPAIRED_ENTRIES

FINE = '"b.mp4": "fine"}'
Place = tuple[Code, str | None, int | None]


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not looked into")


def _write(root: Path, text: str | bytes) -> None:
    """Write the object into a folder with two videos."""
    _touch(root, "a.mp4", "b.mp4")
    (root / NAME).write_bytes(text.encode() if isinstance(text, str) else text)


def _read(root: Path, **options: Any) -> tuple[dict[str, tuple[str, ...]], list[Place]]:
    spec = vp.DatasetSpec.from_path(root, **options)
    assert spec.format == "captions-json"
    listing = spec.listing()
    samples = {one.name: (one.caption, *one.further) for one in listing.samples}
    failed = {problem.number for problem in listing.problems if problem.number is not None}
    assert len(samples) + len(failed) == listing.total
    return samples, [(one.code, one.video, one.line) for one in listing.problems]


def _passed_over(root: Path) -> dict[str, tuple[int, tuple[str, ...]]]:
    reading = vp.DatasetSpec.from_path(root).listing().reading
    return {one.kind: (one.count, one.examples) for one in reading.passed_over}


def test_a_text_or_a_list_of_texts_is_read(tmp_path: Path) -> None:
    _touch(tmp_path, "a.mp4", "sub/a.mp4")
    entries = '{"a.mp4": ["first", "second"],\n "./sub/a.mp4": "a caption"}'
    (tmp_path / NAME).write_text(entries)
    samples, problems = _read(tmp_path)
    assert samples == {"a.mp4": ("first", "second"), "sub/a.mp4": ("a caption",)}
    assert not problems
    sample = vp.DatasetSpec.from_path(tmp_path).listing().samples[1]
    assert str(sample.source) == f"{tmp_path / NAME}:2"


@settings(max_examples=50)
@given(captions=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_captions_come_back(tmp_path_factory: pytest.TempPathFactory, captions: list[str]) -> None:
    root = tmp_path_factory.mktemp("dataset")
    _write(root, json.dumps({"a.mp4": captions, "b.mp4": "fine"}, ensure_ascii=False))
    samples, _ = _read(root)
    assert samples.get("a.mp4", ()) == as_captions(captions)
    assert samples["b.mp4"] == ("fine",)


def test_the_file_itself_means_its_folder(tmp_path: Path) -> None:
    _write(tmp_path, '{"a.mp4": "one", ' + FINE)
    assert _read(tmp_path / NAME)[0] == {"a.mp4": ("one",), "b.mp4": ("fine",)}
    found = discover(tmp_path / NAME, {})
    assert (found.folder, found.fields) == (tmp_path, {"format": "captions-json"})


def test_the_file_is_not_a_table(tmp_path: Path) -> None:
    _write(tmp_path, '{"a.mp4": "one", ' + FINE)
    with pytest.raises(SpecError, match="a folder of the format captions-json") as caught:
        vp.DatasetSpec.from_path(tmp_path, dataset_file=Path(NAME))
    assert caught.value.code == Code.NOT_A_TABLE


def test_a_folder_whose_videos_lie_deeper_is_a_dataset(tmp_path: Path) -> None:
    _touch(tmp_path, "sub/a.mp4")
    (tmp_path / NAME).write_text('{"sub/a.mp4": "one"}')
    assert kind_of(tmp_path) == "dataset"


def test_a_video_without_an_entry_costs_itself(tmp_path: Path) -> None:
    _write(tmp_path, "{" + FINE)
    samples, problems = _read(tmp_path)
    assert samples == {"b.mp4": ("fine",)}
    assert problems == [(Code.EMPTY_CAPTION, "a.mp4", None)]
    samples, problems = _read(tmp_path, caption_fallback="a clip")
    assert samples == {"a.mp4": ("a clip",), "b.mp4": ("fine",)}
    assert not problems


def test_what_is_not_read_is_counted_and_named(tmp_path: Path) -> None:
    _touch(tmp_path, "still.png", "other.jpg", "a.txt", "notes.pdf")
    entries = '"still.png": "x", "gone.mp4": "x", "../b.mp4": "x", "": "x", "\\ud800.mp4": "x"'
    _write(tmp_path, '{"a.mp4": "one", ' + entries + ", " + FINE)
    read = {"a.mp4": ("one",), "b.mp4": ("fine",), "still.png": ("x",)}
    assert _read(tmp_path) == (read, [])
    assert _passed_over(tmp_path) == {
        UNPAIRED_ENTRIES: (4, ("gone.mp4", "../b.mp4", '""')),
        TEXTS: (1, ("a.txt",)),
        "still images without a caption": (1, ("other.jpg",)),
        "other files": (1, ("notes.pdf",)),
    }


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("{}", Code.BAD_VALUE),
        ("true", Code.BAD_VALUE),
        ('["x", {"b.mp4": "y"}]', Code.BAD_VALUE),
        ('"half \\ud83d"', Code.BAD_VALUE),
        (json.dumps(["x"] * 1001), Code.BAD_VALUE),
        (json.dumps("x" * (1 << 18)), Code.BAD_VALUE),
        ("null", Code.EMPTY_CAPTION),
        ('" "', Code.EMPTY_CAPTION),
        ("[]", Code.EMPTY_CAPTION),
        ('"one", "a.mp4": "two"', Code.MALFORMED_ROW),
        ('"one", "./a.mp4": "one"', Code.MALFORMED_ROW),
        ("tru", Code.MALFORMED_ROW),
        ('"he said "hi" there"', Code.MALFORMED_ROW),
        ("[" * 100_000 + "]" * 100_000, Code.MALFORMED_ROW),
        ('{"b.mp4":' * 20_000 + "1" + "}" * 20_000, Code.MALFORMED_ROW),
        ('["x' + '\\"[' * (3 << 20) + '"]', Code.MALFORMED_ROW),
        ("1" * 10_000, Code.MALFORMED_ROW),
        ('"x', Code.MALFORMED_ROW),
    ],
    ids=range(18),
)
def test_a_bad_entry_costs_its_own_sample(tmp_path: Path, value: str, code: Code) -> None:
    separator = "" if value == '"x' else ","
    _write(tmp_path, f'{{"c.mp4": "other",\n"a.mp4": {value}{separator}\n{FINE}')
    samples, problems = _read(tmp_path)
    assert problems[0] == (code, "a.mp4", 2)
    if separator:
        assert (samples, problems[1:]) == ({"b.mp4": ("fine",)}, [])


def test_a_comma_that_is_missing_costs_one_sample(tmp_path: Path) -> None:
    _write(tmp_path, f'{{"a.mp4": "one"\n{FINE}')
    assert _read(tmp_path) == ({"b.mp4": ("fine",)}, [(Code.MALFORMED_ROW, "a.mp4", 1)])


def test_bytes_that_are_not_utf8_cost_their_sample(tmp_path: Path) -> None:
    _write(tmp_path, '{"a.mp4": "größe", '.encode("latin-1") + FINE.encode())
    assert _read(tmp_path) == ({"b.mp4": ("fine",)}, [(Code.NOT_UTF8, "a.mp4", 1)])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_names_the_encoding(tmp_path: Path, encoding: str) -> None:
    _write(tmp_path, ('{"a.mp4": "größe", ' + FINE).encode(encoding))
    assert _read(tmp_path) == ({"a.mp4": ("größe",), "b.mp4": ("fine",)}, [])


@pytest.mark.parametrize("rest", ["", ",", ', "b.mp4": "cut o'])
def test_a_file_that_is_cut_off_says_so(tmp_path: Path, rest: str) -> None:
    _write(tmp_path, '{"a.mp4": "one"' + rest)
    samples, problems = _read(tmp_path)
    assert samples == {"a.mp4": ("one",)}
    assert Code.MALFORMED_ROW in [code for code, _, _ in problems]
    assert "b.mp4" in [video for _, video, _ in problems]


def test_text_behind_the_object_is_an_error(tmp_path: Path) -> None:
    _write(tmp_path, '{"a.mp4": "one", ' + FINE + '\n{"a.mp4": "two"}')
    assert _read(tmp_path)[1] == [(Code.MALFORMED_ROW, None, 2)]


def test_entries_that_name_nothing_are_not_all_kept(tmp_path: Path) -> None:
    _write(tmp_path, "{" + '"gone.mp4": tru,\n' * 300 + '"a.mp4": "one", ' + FINE)
    samples, problems = _read(tmp_path)
    assert len(samples) == 2
    assert problems == [(Code.MALFORMED_ROW, None, line) for line in range(1, 101)]
    assert _passed_over(tmp_path)[BROKEN_ENTRIES] == (200, ("line 101", "line 102", "line 103"))


@pytest.mark.parametrize(
    "text", ['[{"video": "a.mp4", "caption": "one"}]', '{"caption": "one"}', "{}", '{"a": "b"}']
)
def test_other_json_of_that_name_is_not_taken(tmp_path: Path, text: str) -> None:
    _write(tmp_path, text)
    (tmp_path / "a.txt").write_text("beside")
    spec = vp.DatasetSpec.from_path(tmp_path)
    assert spec.format == (None if text.startswith("[") else "caption-files")


def test_the_caption_file_of_a_video_is_not_taken(tmp_path: Path) -> None:
    _touch(tmp_path, "captions.mp4")
    (tmp_path / NAME).write_text('{"caption": "of captions.mp4"}')
    (sample,) = vp.DatasetSpec.from_path(tmp_path).listing().samples
    assert sample.caption == "of captions.mp4"


def test_config_json_is_not_taken(tmp_path: Path) -> None:
    _touch(tmp_path, "a.mp4")
    (tmp_path / "config.json").write_text('{"a.mp4": "one"}')
    with pytest.raises(SpecError, match="no captions"):
        vp.DatasetSpec.from_path(tmp_path)


def test_an_array_is_refused_where_the_format_is_named(tmp_path: Path) -> None:
    _write(tmp_path, '[{"a.mp4": "one"}]')
    with pytest.raises(SpecError, match="there is no JSON object in it") as caught:
        vp.DatasetSpec.from_path(tmp_path, format="captions-json").listing()
    assert caught.value.code == Code.NOT_A_TABLE


def test_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    _touch(root, "a.mp4", "b.mp4")
    (tmp_path / "secret.json").write_text('{"a.mp4": "secret", ' + FINE)
    (root / NAME).symlink_to(tmp_path / "secret.json")
    with pytest.raises(SpecError, match="outside the data root"):
        vp.DatasetSpec.from_path(root).listing()
    assert len(_read(root, allow_outside_root=True)[0]) == 2


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    _touch(tmp_path, "a.mp4")
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(SpecError, match="no captions"):
        vp.DatasetSpec.from_path(tmp_path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    _write(tmp_path, "")
    with (tmp_path / NAME).open("w") as file:
        file.write('{"a.mp4": "one", "gone.mp4": "')
        for _ in range(100):
            file.write("x" * (1 << 20))
        file.write('", ' + FINE)
    tracemalloc.start()
    try:
        samples, problems = _read(tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert samples == {"a.mp4": ("one",), "b.mp4": ("fine",)}
    assert [code for code, _, _ in problems] == [Code.MALFORMED_ROW]
    assert most < 50 << 20
