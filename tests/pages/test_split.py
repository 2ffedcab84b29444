"""The page on cuts, as a browser shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.browser import HOSTILE, Opened, opening
from tests.support.films import Film, Take
from videoprep.pages.split import MOST_CUTS, CutList, as_html
from videoprep.scenes.ranges import FilmTimes
from videoprep.scenes.run import FailedFilm, SplitFilm, SplitResult, split
from videoprep.scenes.transitions import Transition

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_TAKES = (Take(30), Take(30), Take(30, join="dissolve", length=10))


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    with opening(browser) as open_file:

        def opened(cuts: CutList, result: SplitResult, **context: object) -> Opened:
            file = tmp_path / "cuts.html"
            file.write_text("".join(as_html(cuts, result)), encoding="utf-8")
            return open_file(file, **context)

        yield opened


def _film(number: int, cuts: int, score: float = 9.0) -> SplitFilm:
    frames = 10 * (cuts + 1)
    times = FilmTimes(np.arange(frames + 1) / 25)
    found = tuple(Transition("cut", 10 * n, 10 * n, score) for n in range(1, cuts + 1))
    return SplitFilm(f"{number}.mp4", Path(f"/none/{number}.mp4"), times, found, ())


def test_both_sides_of_each_cut_are_shown(open_page: Callable[..., Opened], tmp_path: Path) -> None:
    Film(_TAKES, seed=2).write(tmp_path / "film.mp4")
    cuts = CutList()
    result = split(tmp_path / "film.mp4", output=tmp_path / "ds", on_film=cuts.add, min_length=1)
    opened = open_page(cuts, result)
    page = opened.page
    captions = page.locator("figcaption").all_inner_texts()
    assert [caption.split()[0] for caption in captions] == ["cut", "dissolve"]
    assert "frames 29 | 30" in captions[0]
    assert " to " not in captions[0]
    times = re.search(r"(\d):(\d\d\.\d\d) to 0:(\d\d\.\d\d)\s*(\d\.\d\d) s", captions[1])
    assert times, "a dissolve begins and ends"
    assert float(times[3]) - float(times[2]) == pytest.approx(float(times[4]), abs=0.011)
    pictures = page.locator(".cut img")
    assert pictures.count() == 2 + 3
    widths = pictures.evaluate_all("all => all.map(one => one.naturalWidth)")
    assert widths == [192] * 5
    assert page.inner_text("#verdict") == "3 samples"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_it_is_readable_and_fits(open_page: Callable[..., Opened], width: int, scheme: str) -> None:
    cuts = CutList()
    for number in range(4):
        cuts.add(_film(number, 5))
    result = SplitResult(Path("ds"), films=4, samples=20, seconds=9.6, sample_seconds=9.0)
    result.left_over = {"short": 0.6}
    opened = open_page(cuts, result, width=width, color_scheme=scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.least_contrast()[0] >= 4.5


def test_of_very_many_the_least_certain_are_shown(open_page: Callable[..., Opened]) -> None:
    cuts = CutList()
    for number in range(30):
        cuts.add(_film(number, 50))
    cuts.add(_film(99, 3, score=2.5))
    assert len(cuts.kept) <= 2 * MOST_CUTS + 50
    opened = open_page(cuts, SplitResult(Path("ds"), films=31, samples=1500))
    assert opened.page.locator(".cut").count() == MOST_CUTS
    assert "1,503; the 300 least certain are shown" in opened.page.inner_text("#cuts")
    assert "99.mp4" in opened.page.inner_text("main")


def test_what_strangers_wrote_is_text(open_page: Callable[..., Opened]) -> None:
    cuts = CutList()
    result = SplitResult(Path("ds"))
    for number, words in enumerate(HOSTILE):
        film = _film(number, 1)
        cuts.add(SplitFilm(words, film.path, film.times, film.transitions, ()))
        result.failed.append(FailedFilm(words, "VP103", words))
    opened = open_page(cuts, result)
    assert "<script>alert(1)</script>" in opened.page.inner_text("main")
