"""What holds of every page: strangers' words stay words, and a browser runs and loads nothing else.

A kind of page belongs in `PAGES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from playwright.sync_api import Browser

import videoprep as vp
from tests.support.assets import write_lists, write_video
from tests.support.browser import HOSTILE, OpenPage, opening
from videoprep.pages.builder import load_template, plain_text, shares
from videoprep.pages.validation import as_html


def _validation(dataset: Path, page: Path) -> None:
    page.write_text("".join(as_html(vp.validate(dataset))), encoding="utf-8")


def _report(dataset: Path, page: Path) -> None:
    vp.report(dataset, page)


def _preview(dataset: Path, page: Path) -> None:
    vp.preview(dataset, output=page)


PAGES = {"validation": _validation, "report": _report, "preview": _preview}
"""Writes a page of a dataset."""

NAMES = (
    "videos/<script>alert(6)</script>.mp4",
    'videos/"><img src=x onerror=alert(7)>.mp4',
    "videos/<!-- <script>.mp4",
    "videos/{{ 7*7 }}.mp4",
    "videos/\u202egpj.exe.mp4",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of which all words are a stranger's; of each clip something is found."""
    folder = tmp_path_factory.mktemp("hostile") / "<b>root"
    for name in NAMES:
        write_video(folder / name, frames=10)
    captions = [re.sub("[\u2028\ud800]", " ", words) for words in HOSTILE]
    write_lists(folder, captions, list(NAMES))
    (folder / "videoprep.yaml").write_text("reshape: center-crop\n")
    return folder


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """At the end nothing was loaded, complained of or run."""
    with opening(browser) as open_page:
        yield open_page


@pytest.mark.parametrize("write", PAGES.values(), ids=PAGES)
def test_strangers_words_stay_words(
    write: Callable[[Path, Path], None], hostile: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    write(hostile, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not set("\u202e\u2066\x1b\u2028") & set(text)
    page = open_page(tmp_path / "page.html").page
    assert page.locator("[onerror], [onload]").count() == 0
    sources = page.locator("img").evaluate_all("all => all.map(one => one.src.slice(0, 11))")
    assert set(sources) <= {"data:image/"}
    shown = page.inner_text("main")
    for words in (HOSTILE[0], HOSTILE[1], HOSTILE[2], "{{ 7*7 }}", r"\u202e", r"\x1b[31m"):
        assert words in shown
    for name in NAMES[:4]:
        assert name in shown
    assert "<b>root" in page.inner_text("header")


@pytest.mark.parametrize("write", PAGES.values(), ids=PAGES)
def test_the_policy_allows_the_pages_own_style_and_script_alone(
    write: Callable[[Path, Path], None], hostile: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    write(hostile, tmp_path / "page.html")
    page = open_page(tmp_path / "page.html").page
    policy = page.get_attribute("meta[http-equiv]", "content") or ""
    script = r" script-src 'sha256-[\w+/=]{44}';" * page.locator("script:not([type])").count()
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-[\w+/=]{44}';"
        + script
        + " base-uri 'none'; form-action 'none'",
        policy,
    )
    assert page.locator("style").count() == 1
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(244, 245, 247)", "the style applies"
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_text_is_made_visible_and_cut() -> None:
    assert plain_text("a\u202eb\x1b") == r"a\u202eb\x1b"
    assert plain_text("x" * 700) == "x" * 600 + " … and 100 more characters"
    assert plain_text("x" * 700, 2000) == "x" * 700


def test_a_name_that_is_missing_is_an_error() -> None:
    template = load_template("videoprep.pages", "validation.html.j2")
    with pytest.raises(UndefinedError):
        template.render()


def test_shares_fill_the_bar() -> None:
    assert shares([("a", 1), ("b", 0), ("c", 3)]) == [("a", 0, 25), ("b", 25, 0), ("c", 25, 75)]
    assert shares([("a", 0)]) == [("a", 0, 0)]
