"""Sheet, movie and page: what they show, and what strangers' words do to them."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

import videoprep as vp
from tests.support.browser import HOSTILE, opening
from videoprep.demo.tiny_model import trained_model
from videoprep.previewing.html import page
from videoprep.previewing.lettering import font, lines_of
from videoprep.previewing.movie import movie
from videoprep.previewing.pictures import ClipFault, ClipPicture
from videoprep.previewing.run import Preview
from videoprep.previewing.sheet import sheet

STRANGE = (
    *HOSTILE,
    "مرحبا بالعالم، شخص يمشي في الشارع",
    "שלום עולם",
    "一个红球从左向右滚动",
    "a 🎬 clip 👩‍👩‍👧‍👦 of 🇪🇺",
    "word" * 500,
    "",
    "line\nbreak\tand \x00 and \x07",
)


@pytest.fixture(scope="module")
def seen(shown_store: Path) -> Preview:
    return vp.preview(shown_store, device="cpu")


@pytest.fixture(scope="module")
def picture(seen: Preview) -> ClipPicture:
    return seen.pictures[0]


def renamed(picture: ClipPicture, text: str) -> ClipPicture:
    """The same picture of a clip of which all words are a stranger's."""
    clip = replace(picture.measure.clip, video=text, caption=text)
    faults = (ClipFault("damaged", text),)
    return replace(picture, measure=replace(picture.measure, clip=clip, faults=faults))


def test_the_sheet_shows_the_pixels(seen: Preview) -> None:
    page_of = np.asarray(Image.open(io.BytesIO(seen.png())))
    for picture in seen.pictures:
        assert picture.source is not None
        assert picture.decoded is not None
        for frames in (picture.source, picture.decoded):
            times = 224 // max(frames.shape[1:3])
            for frame in frames:
                assert _has(page_of, np.kron(frame, np.ones((times, times, 1), np.uint8)))


def _has(whole: np.ndarray, part: np.ndarray) -> bool:  # type: ignore[type-arg]
    """Whether a picture is a part of another one, to the bit."""
    height, width = part.shape[:2]
    tops, lefts = np.nonzero((whole[: 1 - height, : 1 - width] == part[0, 0]).all(axis=2))
    return any(
        np.array_equal(whole[top : top + height, left : left + width], part)
        for top, left in zip(tops.tolist(), lefts.tolist(), strict=True)
    )


def test_the_movie_plays_both_sides(shown_store: Path, tmp_path: Path) -> None:
    seen = vp.preview(shown_store, output=tmp_path / "seen.mp4", clips=2, device="cpu")
    with av.open(str(tmp_path / "seen.mp4")) as container:
        (stream,) = container.streams.video
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 8
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    first, second = seen.pictures
    rounds = [-(-24 // picture.measure.clip.bucket.frames) for picture in (first, second)]
    lengths = [
        n * p.measure.clip.bucket.frames for n, p in zip(rounds, (first, second), strict=True)
    ]
    assert len(frames) == sum(lengths)
    for start, picture in ((0, first), (lengths[0], second)):
        assert picture.source is not None
        assert picture.decoded is not None
        for place, source, decoded in zip(
            picture.frames, picture.source, picture.decoded, strict=True
        ):
            shown = frames[start + place][68:].astype(np.float64)
            half = (shown.shape[1] - 8) // 2
            for left, frame in ((0, source), (half + 8, decoded)):
                height, width = frame.shape[:2]
                times = min(shown.shape[0] // height, half // width)
                part = shown[: times * height, left : left + times * width]
                small = part.reshape(height, times, width, times, 3).mean(axis=(1, 3))
                assert np.abs(small - frame).mean() < 6


@pytest.mark.parametrize("text", STRANGE)
def test_strange_words_in_a_sheet(picture: ClipPicture, text: str) -> None:
    drawn = Image.open(io.BytesIO(sheet(text, [text], [renamed(picture, text)])))
    assert drawn.width < 2000
    assert drawn.height < 1000


def test_lines_fit_and_steer_nothing() -> None:
    for text in STRANGE:
        lines = lines_of(text, 300, 13, 3)
        assert len(lines) <= 3
        assert all(font(13).getlength(line) <= 300 for line in lines)
        assert not any(char in line for line in lines for char in "\n\t\x1b\x00\x07\u202e")
    assert lines_of("a short caption", 300, 13) == ["a short caption"]
    assert lines_of("word " * 100, 300, 13)[-1].endswith("…")


def test_the_page_runs_nothing_and_loads_nothing(
    browser: Browser, seen: Preview, tmp_path: Path
) -> None:
    shown = [*seen.pictures, *(renamed(seen.pictures[0], text) for text in STRANGE)]
    file = tmp_path / "preview.html"
    file.write_text(page(HOSTILE[0], HOSTILE, shown), encoding="utf-8")
    with opening(browser) as open_page:
        opened = open_page(file).page
        assert opened.locator("script").count() == 0
        assert opened.locator("article").count() == len(shown)
        assert opened.locator("h1").inner_text() == HOSTILE[0]
        assert opened.locator("img").count() == 2 * len(shown)
        assert opened.evaluate("[...document.images].every(i => i.naturalWidth > 300)")
        text = opened.inner_text("body")
        assert "a red ball".casefold() in text.casefold()
        assert "\u202e" not in text
        assert "\x1b" not in text


def test_it_shows_itself_in_a_notebook(seen: Preview) -> None:
    assert Image.open(io.BytesIO(seen._repr_png_())).size[0] > 600
    assert str(trained_model()) in repr(seen)


def test_a_picture_without_anything_is_drawn_all_the_same(picture: ClipPicture) -> None:
    bare = dataclasses.replace(picture, source=None, decoded=None)
    assert "none" in page("title", [], [bare])
    assert Image.open(io.BytesIO(sheet("title", [], [bare]))).height > 100


def captioned(picture: ClipPicture, count: int) -> ClipPicture:
    """The same picture of a clip with so many captions."""
    texts = tuple(f"caption <{number}>" for number in range(1, count + 1))
    clip = replace(picture.measure.clip, caption=texts[0], further_captions=texts[1:])
    return replace(picture, measure=replace(picture.measure, clip=clip))


def test_all_captions_are_shown(picture: ClipPicture) -> None:
    text = page("", [], [captioned(picture, 3)])
    for number in (1, 2, 3):
        assert f"<bdi>{number} of 3: caption &lt;{number}&gt;</bdi>" in text
    assert "<bdi>caption &lt;1&gt;</bdi>" in page("", [], [captioned(picture, 1)])
    one, three = (
        Image.open(io.BytesIO(sheet("", [], [captioned(picture, count)]))) for count in (1, 3)
    )
    assert three.height - one.height == 2 * 22  # a line each
    told = captioned(picture, 2).measure.to_json()
    assert told["captions"] == ["caption <1>", "caption <2>"]
    assert "captions" not in captioned(picture, 1).measure.to_json()


@pytest.mark.parametrize(("count", "lines"), [(1, 2), (2, 2), (5, 5), (20, 8)])
def test_a_movie_has_room_for_all_captions(picture: ClipPicture, count: int, lines: int) -> None:
    def height(one: ClipPicture) -> int:
        file = io.BytesIO()
        movie([one.measure.clip], [one])(file)
        with av.open(io.BytesIO(file.getvalue())) as container:
            return container.streams.video[0].height

    assert height(captioned(picture, count)) == height(picture) + (lines - 2) * 20
