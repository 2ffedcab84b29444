"""The page as a browser shows it: a real store, real Chromium, opened from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browser import OpenPage


def test_counts_add_up(open_page: OpenPage, demo_page: Path) -> None:
    opened = open_page(demo_page)
    total, *parts = opened.numbers("#sum b")
    assert total == sum(parts) == 12
    assert opened.page.inner_text("#verdict") == "all encoded"
    assert sum(opened.numbers("#buckets td:nth-child(4)")) == 12
    rows = opened.page.locator("#components tbody tr").all()
    assert len(rows) == 3
    for row in rows:
        planned, stored, aside, to_do = (
            int(text) for text in row.locator("td").all_inner_texts()[1:5]
        )
        assert planned == stored + aside + to_do


def test_all_sections_are_there(open_page: OpenPage, demo_page: Path) -> None:
    page = open_page(demo_page).page
    sections = ["asked", "findings", "plan", "losses", "encoded", "back", "gallery"]
    assert page.locator("h2[id]:not(#title)").evaluate_all("all => all.map(h => h.id)") == sections
    targets = page.locator("nav a").evaluate_all("all => all.map(a => a.hash.slice(1))")
    assert targets == sections
    unnamed = "all => all.filter(one => !one.alt).length"
    assert page.locator("img").evaluate_all(unnamed) == 0


def test_pictures_and_reconstructions(open_page: OpenPage, demo_page: Path) -> None:
    page = open_page(demo_page).page
    assert page.locator("#clips img").count() == 12
    page.wait_for_function("() => [...document.images].every(one => one.complete)")
    sizes = page.locator("#clips img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert set(sizes) == {64, 96}
    strips = page.locator(".back img").evaluate_all(
        "all => all.map(one => [one.naturalWidth, one.naturalHeight])"
    )
    assert len(strips) == 2
    assert all(width > height for width, height in strips)


def test_filters(open_page: OpenPage, demo_page: Path) -> None:
    opened = open_page(demo_page)
    page = opened.page
    assert opened.cards().count() == opened.counter() == 12
    page.fill("input[type=search]", "RED  noon")
    opened.wait_for_count(1)
    assert "red ball" in opened.cards().first.inner_text()
    page.fill("input[type=search]", "no such words")
    opened.wait_for_count(0)
    assert page.is_visible("#nothing")
    page.click("button[type=reset]")
    opened.wait_for_count(12)
    page.select_option("select[name=bucket]", "9×64×96")
    opened.wait_for_count(3)
    assert all("9×64×96" in text for text in opened.cards().all_inner_texts())


def test_sorting(open_page: OpenPage, demo_page: Path) -> None:
    opened = open_page(demo_page, "#sort=psnr")
    marks = opened.page.locator("#clips .marks").all_inner_texts()
    decibels = [float(text.split(" dB")[0].split()[-1]) for text in marks if "dB" in text]
    assert len(decibels) == 2
    assert decibels == sorted(decibels)
    assert "dB" in marks[0]
    assert "dB" in marks[1]
    opened.page.select_option("select[name=sort]", "longest")
    lengths = opened.page.locator("#clips .plays").all_inner_texts()
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == 2


def test_one_clip_large(open_page: OpenPage, demo_page: Path) -> None:
    opened = open_page(demo_page)
    page = opened.page
    page.click("#plan ~ .card a >> nth=0")  # a bucket's link filters the gallery
    opened.wait_for_count(3)
    opened.cards().first.click()
    assert page.locator("dialog").is_visible()
    first = page.inner_text("#title")
    assert "33.3 %" not in page.inner_text("#about")
    assert "nothing is cut off" in page.inner_text("#about")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#title") != first
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#title") == first
    assert "clip=" in page.evaluate("location.hash")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.hash.includes('clip=')")  # told once it has closed
    assert not page.locator("dialog").is_visible()


def test_the_address_opens_a_clip(open_page: OpenPage, demo_page: Path) -> None:
    opened = open_page(demo_page, "#text=ball&clip=3")
    assert "00003.mp4" in opened.page.inner_text("#title")
    assert 0 < opened.counter() < 12
    opened = open_page(demo_page, "#sort=%3Cimg%3E&clip=x&state=none&bucket=%E0%A4%A")
    assert opened.page.input_value("select[name=sort]") == "order"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_is_readable(
    open_page: OpenPage, demo_page: Path, scheme: str, width: int
) -> None:
    opened = open_page(demo_page, width=width, color_scheme=scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    contrast, where = opened.least_contrast()
    assert contrast >= 4.5, where
    background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(18, 21, 26)") is (scheme == "dark")


def test_it_reads_without_scripts(open_page: OpenPage, demo_page: Path) -> None:
    opened = open_page(demo_page, java_script_enabled=False)
    assert opened.numbers("#sum b")[0] == 12
    assert not opened.page.is_visible("#filters")
    assert opened.page.get_by_text("The gallery needs").is_visible()
