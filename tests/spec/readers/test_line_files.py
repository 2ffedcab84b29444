"""Line files beside what tests/spec/test_dataset.py and the hostile lists hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.readers.reading import codes, made, pairs, read, remarks

VIDEOS = "a.mp4\nb.mp4\nc.mp4\n"


def test_one_bad_line_costs_one_sample(tmp_path: Path) -> None:
    for bad, code in ((b"caf\xe9", "VP004"), (b"", "VP003"), (b"a\0b", "VP014")):
        made(tmp_path, {"prompt.txt": b"one\n" + bad + b"\nthree\n", "videos.txt": VIDEOS})
        listing = read(tmp_path)
        assert pairs(listing) == {"a.mp4": ("one",), "c.mp4": ("three",)}
        assert codes(listing) == [(code, 2)]


def test_a_fallback_stands_in_for_a_blank_line(tmp_path: Path) -> None:
    made(tmp_path, {"prompt.txt": "one\n\nthree\n", "videos.txt": VIDEOS})
    listing = read(tmp_path, caption_fallback="a clip")
    assert pairs(listing)["b.mp4"] == ("a clip",)
    assert remarks(listing) == ["VP201"]


def test_what_looks_like_a_list_is_one_caption(tmp_path: Path) -> None:
    made(tmp_path, {"prompt.txt": '["x", "y"]\n', "videos.txt": "a.mp4\n"})
    assert pairs(read(tmp_path)) == {"a.mp4": ('["x", "y"]',)}


@pytest.mark.parametrize(
    ("prompts", "code"), [("one\ntwo\n", "VP002"), ("one\rtwo\rthree\r", "VP011")]
)
def test_what_makes_the_pairing_uncertain_has_no_number(
    tmp_path: Path, prompts: str, code: str
) -> None:
    listing = read(made(tmp_path, {"prompt.txt": prompts, "videos.txt": VIDEOS}))
    assert (pairs(listing), codes(listing)) == ({}, [(code, None)])
    assert listing.total == 3
