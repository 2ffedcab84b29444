"""The page, as a browser shows it: real videos, real Chromium, opened from a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import videoprep as vp
from tests.support.assets import write_lists, write_video
from tests.support.browser import HOSTILE, Opened, opening
from videoprep.pages.validation import as_html
from videoprep.spec.sample import Location, Sample
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import Finding, Severity
from videoprep.validators.registry import built_in
from videoprep.validators.report import Report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_TWO_FRAMES = "() => new Promise(d => requestAnimationFrame(() => requestAnimationFrame(d)))"
"""Until what was asked for has been drawn."""


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens a report's page; at the end nothing was loaded, complained of or run."""
    with opening(browser) as open_page:

        def opened(report: Report, fragment: str = "", **context: object) -> Opened:
            file = tmp_path / "report.html"
            file.write_text("".join(as_html(report)), encoding="utf-8")
            return open_page(file, fragment, **context)

        yield opened


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Five samples: one clean, one of an odd size, two that are no videos, one that is missing."""
    folder = tmp_path_factory.mktemp("mixed")
    write_video(folder / "videos/good.mp4", width=96, height=64, frames=9)
    write_video(folder / "videos/odd.mp4", width=90, height=64, frames=10)
    (folder / "videos/bad.mp4").write_bytes(b"no video")
    (folder / "videos/worse.mp4").write_bytes(b"no video either")
    names = [f"videos/{name}.mp4" for name in ("good", "odd", "bad", "worse", "none")]
    captions = [f"A grey clip that is called {number}." for number in ("one", "two", "three")]
    write_lists(folder, [*captions, "a clip of a lighthouse", "<b>bold</b> words"], names)
    return vp.validate(folder)


def made(findings: list[Finding], samples: list[Sample], root: Path) -> Report:
    """A report of findings made by hand."""
    overview = Overview("list", len(samples), samples, np.zeros((len(samples), 2), np.uint64))
    for sample in samples:
        overview.add(sample, None, None)
    rules = {code: rule() for code, rule in built_in().items()}
    total, dirty = max(len(samples), 1), len({f.line for f in findings})
    clean = max(total - dirty, 0)
    return Report(
        str(root),
        "default",
        "none",
        "error",
        total,
        clean,
        0,
        tuple(findings),
        rules,
        overview=overview,
    )


def sample_of(root: Path, name: str, caption: str, line: int = 1) -> Sample:
    place = Location(str(root / "videos.txt"), line)
    return Sample(name, caption, root, place, "prompt.txt", number=line)


def finding_of(code: str, message: str, line: int, video: str) -> Finding:
    severity = Severity.NOTE if code == "VP117" else Severity.ERROR
    return Finding(code, severity, message, "mend it", "list", line, video, number=line)


def test_it_opens_from_a_file(open_report: Callable[..., Opened], mixed: Report) -> None:
    opened = open_report(mixed)
    assert opened.page.inner_text("#verdict") == "Not clean"
    assert opened.rows().count() == opened.counter() == len(mixed.findings)


def test_counts_add_up(open_report: Callable[..., Opened], mixed: Report) -> None:
    opened = open_report(mixed)
    total, clean, found, unusable = opened.numbers("#sum b")
    assert total == clean + found + unusable == 5
    assert clean == 1
    assert sum(opened.numbers("#rules td.number")) == len(mixed.findings)


def test_pictures_are_shown(open_report: Callable[..., Opened], mixed: Report) -> None:
    opened = open_report(mixed)
    widths = opened.page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
    assert widths == [90, 96]  # the two that are no videos and the one that is missing give none
    assert opened.page.get_by_text("no picture").count() == 3
    card = opened.page.locator(".clip", has=opened.page.locator("img"))
    assert "videos/odd.mp4" in card.first.inner_text()  # its finding is an error


def test_filters(open_report: Callable[..., Opened], mixed: Report) -> None:
    opened = open_report(mixed)
    page = opened.page
    warnings = mixed.count(Severity.WARNING) + mixed.count(Severity.NOTE)
    assert warnings  # else this shows nothing
    for severity in page.locator("input[type=checkbox]").all():
        severity.set_checked(severity.get_attribute("value") == "error")
    assert opened.rows().count() == opened.counter() == mixed.count(Severity.ERROR)
    assert page.locator(".finding.warning:visible, .finding.note:visible").count() == 0

    page.select_option("select", "VP103")
    assert opened.rows().count() == opened.counter() == mixed.by_code["VP103"] == 2
    page.fill("input[type=search]", "LIGHTHOUSE  no")
    assert opened.rows().count() == opened.counter() == 1
    assert "worse.mp4" in page.inner_text(".clip:visible")
    page.fill("input[type=search]", "no such words")
    assert opened.rows().count() == opened.counter() == 0
    assert page.is_visible("#nothing")

    page.click("button[type=reset]")
    page.wait_for_function("!location.hash.slice(1)")
    assert opened.rows().count() == opened.counter() == len(mixed.findings)


def test_the_address_keeps_the_filters(open_report: Callable[..., Opened], mixed: Report) -> None:
    opened = open_report(mixed, "#rule=VP103&text=worse&severity=error")
    assert opened.rows().count() == opened.counter() == 1
    opened.page.fill("input[type=search]", "a & b")
    assert "text=a+%26+b" in opened.page.evaluate("location.hash")
    opened.page.fill("input[type=search]", "")
    opened.page.click("#rules a:has-text('VP101')")
    assert opened.page.input_value("select") == "VP101"
    assert opened.rows().count() == opened.counter() == 1
    opened = open_report(mixed, "#rule=%3Cimg%3E&severity=%E0%A4%A&text")
    assert opened.page.input_value("select") == ""


def test_it_reads_without_scripts(open_report: Callable[..., Opened], mixed: Report) -> None:
    opened = open_report(mixed, java_script_enabled=False)
    assert opened.rows().count() == opened.counter() == len(mixed.findings)
    assert not opened.page.is_visible("#filters")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(open_report: Callable[..., Opened], mixed: Report, scheme: str) -> None:
    opened = open_report(mixed, color_scheme=scheme)
    opened.page.set_viewport_size({"width": 360, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 360


def test_charts(open_report: Callable[..., Opened], mixed: Report) -> None:
    opened = open_report(mixed)
    titles = opened.page.locator(".chart h3").all_inner_texts()
    assert titles[:4] == ["Picture size", "Duration", "Frames a second", "Frames"]
    bars = opened.page.locator(".chart g title").all_text_contents()
    assert "90×64: 1 of 2 clips" in bars
    assert "96×64: 1 of 2 clips" in bars
    assert "8: 2 of 2 clips" in bars
    assert "10 frames: 1 of 2 clips" in bars
    assert "7 words: 3 of 4 captions" in bars


def test_charts_of_many(open_report: Callable[..., Opened], tmp_path: Path) -> None:
    report = made([], [], tmp_path)
    assert report.overview is not None
    figures, random = report.overview.figures, np.random.default_rng(0)
    for tokens in random.integers(5, 200, 1000).tolist():
        figures.words.append(tokens // 2)
        figures.tokens.append(tokens)
        figures.widths.append(8 * tokens)
        figures.heights.append(480)
        figures.seconds.append(tokens / 30)
        figures.fps.append(29.97)
        figures.frames.append(tokens)
    figures.seconds[0] = 7200.0  # one film does not push all clips into one bar
    opened = open_report(report)
    for chart in opened.page.locator(".chart").all():
        titles = chart.locator("g title").all_text_contents()
        counts = [re.search(r": ([\d,]+) of 1,000 ", title) for title in titles]
        assert sum(int(count[1].replace(",", "")) for count in counts if count) == 1000
        assert len(titles) == 1 or len(titles) >= 8
    assert opened.page.get_by_text("tokens, median").is_visible()
    assert not opened.page.get_by_text("words, median").is_visible()


def test_strangers_words_stay_words(open_report: Callable[..., Opened], tmp_path: Path) -> None:
    samples, findings = [], []
    for line, words in enumerate(HOSTILE, 1):
        name = f"videos/{words}.mp4"
        samples.append(sample_of(tmp_path, name, f"caption {words}", line))
        findings += [
            replace(finding_of("VP101", f"message {words}", line, name), remedy=words, file=words),
            Finding(f"X{words}", Severity.NOTE, words, f"remedy {words}", words, None, None),
        ]
    report = made(findings, samples, Path(f"/data/{HOSTILE[0]}"))
    opened = open_report(report)
    opened.page.fill("input[type=search]", "alert")
    opened.page.fill("input[type=search]", "")
    opened.page.select_option("select", index=2)
    opened.page.select_option("select", index=0)
    opened.page.evaluate(_TWO_FRAMES)
    assert opened.page.locator("script").count() == 1
    assert opened.page.locator("img, [onerror], [onload]").count() == 0
    assert opened.page.locator("svg:not(.chart svg):not(.share):not(.mark svg)").count() == 0
    shown = opened.page.inner_text("main")
    for words in HOSTILE[:4]:
        for kind in ("videos/", "caption ", "message ", "remedy "):
            assert kind + words in shown
    assert r"\u202egnp.exe\u2066 \x1b[31m \u2028 \ud800 \u003c" in shown
    assert not set("\u202e\u2066\x1b\u2028") & set("".join(as_html(report)))


def test_every_caption_of_a_sample(tmp_path: Path) -> None:
    sample = replace(sample_of(tmp_path, "a.mp4", "A cat."), further=("A <b>dog</b>.",))
    page = "".join(as_html(made([finding_of("VP101", "odd", 1, "a.mp4")], [sample], tmp_path)))
    assert "<bdi>1 of 2: A cat.</bdi>" in page
    assert "<bdi>2 of 2: A &lt;b&gt;dog&lt;/b&gt;.</bdi>" in page


def test_only_samples_are_opened(open_report: Callable[..., Opened], tmp_path: Path) -> None:
    outside = write_video(tmp_path / "outside.mp4")
    inside = write_video(tmp_path / "root/a.mp4")
    name = "../outside.mp4"
    findings = [
        finding_of("VP006", "outside", 1, name),
        finding_of("VP101", "a caption's", 2, "a.mp4"),
        finding_of("VP105", "took long", 3, "a.mp4"),
    ]
    samples = [sample_of(inside.parent, "a.mp4", "words", line) for line in (2, 3)]
    opened = open_report(made(findings, samples, inside.parent))
    assert outside.exists()
    assert opened.page.locator("img").count() == 1
    assert opened.page.get_by_text("no picture").count() == 2


def test_thousands_of_findings(open_report: Callable[..., Opened], tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    samples = [sample_of(tmp_path, "a.mp4", f"caption {n}", n) for n in range(1, 5001)]
    findings = [finding_of("VP101", f"finding {n}", n, "a.mp4") for n in range(1, 4991)]
    findings += [finding_of("VP117", f"rare {n}", n, "a.mp4") for n in range(1, 11)]
    report = made(findings, samples, tmp_path)
    opened = open_report(report)
    assert opened.counter() == opened.rows().count() == 2000
    assert "of 5,000 findings" in opened.page.inner_text(".shown")
    assert opened.page.inner_text("#left-out").startswith("3,000 are not in this page")
    assert sum(opened.numbers("#rules td.number")) == 5000
    assert opened.page.locator("img").count() == 200
    opened.page.select_option("select", "VP117")
    assert opened.counter() == opened.rows().count() == 10
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_nothing_was_found(open_report: Callable[..., Opened], dataset: Path) -> None:
    report = vp.validate(dataset, rules=[])
    assert not report.findings
    opened = open_report(report)
    assert opened.page.inner_text("#verdict") == "Clean"
    assert opened.page.get_by_text("Nothing was found.").is_visible()
    assert opened.page.locator(".finding, #filters, #rules").count() == 0


def test_a_hopeless_dataset(open_report: Callable[..., Opened], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    report = vp.validate(tmp_path / "empty")
    assert report.overview is None
    opened = open_report(report)
    assert opened.rows().count() == 1
    assert opened.numbers("#sum b") == [0, 0, 0, 0]
    assert opened.page.get_by_text("no sample could be read").is_visible()
