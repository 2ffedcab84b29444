"""JSON arrays: each element is a sample, and a broken one costs itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spec.readers.reading import codes, made, pairs, read
from tests.support.processor_time import least_seconds
from videoprep.errors import SpecError

ONE = '{"video": "a.mp4", "caption": "one"}'
TWO = '{"video": "b.mp4", "caption": "two"}'
THREE = '{"video": "c.mp4", "caption": "three"}'
OUTER = {"a.mp4": ("one",), "c.mp4": ("three",)}

BROKEN = {
    "no closing brace": '{"video": "b.mp4", "caption": "two"',
    "no comma": '{"video": "b.mp4" "caption": "two"}',
    "an open quote": '{"video": "b.mp4", "caption": "two}',
    "a quote inside": '{"video": "b.mp4", "caption": "he said "two""}',
    "a control character": '{"video": "b.mp4", "caption": "two\x00"}',
    "a number of many digits": '{"video": "b.mp4", "caption": ' + "9" * 5000 + "}",
    "deep nesting": '{"video": "b.mp4", "caption": ' + "[" * 10_000 + "]" * 10_000 + "}",
    "deep nesting elsewhere": '{"video": "b.mp4", "k": ' + '{"k":' * 10_000 + "1" + "}" * 10_001,
    "a key twice": '{"video": "b.mp4", "caption": "two", "caption": "three"}',
    "a list": '["b.mp4", "two"]',
    "a number": "12",
    "null": "null",
}


def _array(*items: str) -> str:
    return f"[{', '.join(items)}]"


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_object_costs_itself(tmp_path: Path, broken: str) -> None:
    listing = read(made(tmp_path, {"list.json": _array(ONE, broken, THREE)}))
    assert pairs(listing) == OUTER
    assert codes(listing) == [("VP008", 2)]
    made(tmp_path, {"list.json": _array(broken, ONE, THREE)})
    listing = read(tmp_path / "list.json")
    assert pairs(listing) == OUTER
    assert codes(listing) == [("VP008", 1)]


def test_broken_objects_after_each_other_are_all_counted(tmp_path: Path) -> None:
    items = [ONE, *[BROKEN["no comma"]] * 500, THREE]
    listing = read(made(tmp_path, {"list.json": _array(*items)}))
    assert codes(listing) == [("VP008", number) for number in range(2, 502)]
    assert pairs(listing) == OUTER


def test_parts_of_a_broken_object_are_no_samples_with_videos(tmp_path: Path) -> None:
    broken = '{"video": "b.mp4" "segments": [{"caption": "x"}, {"caption": "y"}]}'
    for items in ((broken, ONE, THREE), (ONE, broken, THREE)):
        listing = read(made(tmp_path, {"list.json": _array(*items)}))
        assert pairs(listing) == OUTER
        assert codes(listing)


def test_a_file_that_is_cut_off_loses_its_last_object(tmp_path: Path) -> None:
    listing = read(made(tmp_path, {"list.json": _array(ONE, TWO, THREE)[:-20]}))
    assert codes(listing) == [("VP008", 3)]
    listing = read(made(tmp_path, {"list.json": f"[{ONE},"}))
    assert codes(listing) == [("VP008", 2)]


def test_arrays_after_each_other_are_all_read(tmp_path: Path) -> None:
    listing = read(made(tmp_path, {"list.json": f"[{ONE}]\n[{TWO}]"}))
    assert list(pairs(listing)) == ["a.mp4", "b.mp4"]
    listing = read(made(tmp_path, {"list.json": f"[{ONE}] and more"}))
    assert codes(listing) == [("VP008", 2)]


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    text = _array(ONE, '{"video": "b.mp4", "caption": "café"}', THREE).encode("cp1252")
    listing = read(made(tmp_path, {"list.json": text}))
    assert pairs(listing) == OUTER
    (problem,) = listing.problems
    assert (problem.code.value, problem.number) == ("VP004", 2)
    assert "CP1252" in problem.message


def test_a_lone_surrogate_costs_one_sample(tmp_path: Path) -> None:
    broken = '{"video": "b.mp4", "caption": "\\ud800", "\\udfff": 1}'
    listing = read(made(tmp_path, {"list.json": _array(ONE, broken, THREE)}))
    assert codes(listing) == [("VP018", 2)]
    "\n".join(listing.reading.sentences()).encode()


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(tmp_path: Path, codec: str) -> None:
    text = _array(ONE, '{"video": "b.mp4", "caption": "zwölf"}').replace(", {", ",\r\n{")
    assert pairs(read(made(tmp_path, {"list.json": text.encode(codec)})))["b.mp4"] == ("zwölf",)


def test_values_that_are_no_caption(tmp_path: Path) -> None:
    values = ["true", "{}", '{"a": 1}', "[[1]]", "null", "NaN", '""', "[]"]
    items = [f'{{"video": "a.mp4", "caption": {value}}}' for value in values]
    listing = read(made(tmp_path, {"list.json": _array(*items, TWO)}))
    found = [code for code, _ in codes(listing)]
    assert found == ["VP018"] * 4 + ["VP201"] * 4


def test_what_looks_like_a_list_and_is_none_is_one_caption(tmp_path: Path) -> None:
    for text in ("['a' 'b']", "[1, 2]", "[close-up] a dog", "[a dog]"):
        made(tmp_path, {"list.json": json.dumps([{"video": "a.mp4", "caption": text}])})
        assert pairs(read(tmp_path)) == {"a.mp4": (text,)}


def test_a_key_that_comes_late_is_a_column(tmp_path: Path) -> None:
    late = '{"video": "c.mp4", "caption": "three", "start": 1, "end": 2}'
    listing = read(made(tmp_path, {"list.json": _array(*[ONE] * 10_000, late)}))
    assert listing.reading.columns["start"] == "start"
    assert (listing.samples[-1].extras.start, listing.samples[0].extras.start) == (1, None)


def test_thousands_of_keys_in_an_object(tmp_path: Path) -> None:
    wide = {f"key {number}": number for number in range(10_000)}
    items = [json.dumps({**wide, "video": "b.mp4", "caption": "two"})] * 20
    assert len(read(made(tmp_path, {"list.json": _array(ONE, *items)})).samples) == 21


def test_an_empty_array_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no array of objects"):
        read(made(tmp_path, {"list.json": "[]"}))


HOSTILE = {
    "empty-objects": lambda n: '},{"' * n,
    "no-value": lambda n: '{"a": },' * n,
    "nested-lists": lambda n: (',{"a":[' + "1," * 1000) * (n // 100),
    "never-closed": lambda n: '{"a":1,' * n,
    "same-key": lambda n: "{" + '"a":1,' * n + '"b":1}',
    "deep": lambda n: "[" * n,
    "white-space": lambda n: " " * (50 * n) + "{",
}
"""Texts that would take squared time if places were looked at again and again."""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_takes_time_as_its_size(tmp_path: Path, text: Callable[[int], str]) -> None:
    """Eight times as much takes less than 24 times the processor's time; squared, it were 64."""
    seconds = []
    for count in (6_000, 48_000):
        root = made(tmp_path, {"list.json": f"[{ONE}, {text(count)}, {THREE}]"})
        listing = read(root)
        seconds.append(least_seconds(partial(read, root)))
        assert listing.samples[0].name == "a.mp4"
        assert listing.problems
    floor = 0.05  # what any file takes
    assert seconds[1] < 24 * max(seconds[0], floor)


@pytest.mark.slow
def test_a_line_of_hundreds_of_megabytes_takes_little_memory(tmp_path: Path) -> None:
    path = made(tmp_path) / "list.json"
    with path.open("wb") as file:
        file.write(f'[{ONE}, {{"video": "b.mp4", "caption": "'.encode())
        file.seek(300 << 20, 1)  # NUL bytes that take no room on the disk
        file.write(f'"}}, {THREE}]'.encode())
    code = (
        "import re, resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))\n"
        "import videoprep as vp; found = vp.DatasetSpec.from_path(sys.argv[1]).listing()\n"
        "print([s.name for s in found.samples], found.total)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, peak = done.stdout.splitlines()
    assert found == "['a.mp4', 'c.mp4'] 3"
    assert int(peak) < 400_000


@settings(max_examples=25, deadline=None)
@given(captions=st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=1, max_size=4))
def test_captions_come_back(tmp_path_factory: pytest.TempPathFactory, captions: list[str]) -> None:
    root = made(tmp_path_factory.mktemp("set"))
    for ascii_only in (True, False):
        text = json.dumps([{"video": "a.mp4", "caption": captions}], ensure_ascii=ascii_only)
        (root / "list.json").write_bytes(text.encode())
        assert pairs(read(root)) == {"a.mp4": tuple(captions)}
