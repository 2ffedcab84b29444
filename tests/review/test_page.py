"""The review's page in a real browser: keys, filters, undo, two tabs, and strangers' words."""

from __future__ import annotations

import json
import re
import resource
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from typer.testing import CliRunner

from tests.review.conftest import OpenReview
from tests.support.assets import write_lists, write_video
from tests.support.browser import HOSTILE, Opened
from tests.support.reviews import add_captions, address_of, decisions, served
from tests.support.warm import Warm
from videoprep import DatasetSpec
from videoprep.cli.app import app
from videoprep.review.decisions_file import apply_decisions
from videoprep.review.review import Review
from videoprep.review.static import write_static

MANY = 45

# Milliseconds in which a decoding process starts on a busy machine.
_WAIT = 60_000

expect.set_options(timeout=20_000)


def at(page: Page, video: str) -> None:
    """Waits until a clip is shown."""
    expect(page.locator("#name")).to_have_text(f"videos/{video}.mp4")


def playing(page: Page) -> None:
    """Waits until the clip is there."""
    expect(page.locator("#frame.loading")).to_have_count(0, timeout=_WAIT)
    expect(page.locator("#frame-number")).to_have_text(re.compile(r"\d+ / \d+"), timeout=_WAIT)


def save(page: Page, text: str) -> None:
    page.keyboard.press("e")
    page.fill("#text", text)
    page.keyboard.press("Control+Enter")


# --- Looking ---


def test_the_clip_plays_in_a_loop_beside_its_words(
    dataset: Path, tiny_model: Path, open_review: OpenReview
) -> None:
    add_captions(dataset, "The video shows a grey clip.", "A grey clip slowly brightens.")
    options = {"reshape": "center-crop", "buckets": "5x32x32"}
    with served(dataset, model=str(tiny_model), **options) as server:
        page = open_review(server.url)
        playing(page)
        video = page.locator("#video")
        assert video.evaluate("one => one.loop && !one.paused && one.muted")
        assert video.evaluate("one => [one.videoWidth, one.videoHeight]") == [96, 64]
        assert abs(video.evaluate("one => one.duration") - 5 / 8) < 0.01
        page.keyboard.press(" ")
        assert video.evaluate("one => one.paused")
        before = page.inner_text("#frame-number")
        page.keyboard.press(".")
        expect(page.locator("#frame-number")).not_to_have_text(before)
        crop, frame = (page.locator(id_).bounding_box() for id_ in ("#crop", "#frame"))
        assert crop is not None
        assert frame is not None
        assert abs(crop["width"] / frame["width"] - 2 / 3) < 0.01
        titles = ["Refinedtiny-refiner", "Described by the model", "In the dataset"]
        assert page.locator(".version h4").all_text_contents() == titles
        assert page.locator(".version p").all_text_contents() == [
            "A grey clip slowly brightens.",
            "The video shows a grey clip.",
            "A grey clip named a.",
        ]
        assert page.locator("mark").all_inner_texts() == ["slowly", "brightens."]
        assert re.match(r"\d+ of 226 tokens · 29 characters", page.inner_text("#meter"))
        page.select_option("#parts", "1")
        expect(page.locator("#frame-number")).to_have_text(re.compile(r"\d / 9"))
        assert not page.is_visible("#crop")


def test_all_captions_are_shown_and_the_first_is_edited(
    tmp_path: Path, open_review: OpenReview
) -> None:
    write_video(tmp_path / "a.mp4")
    (tmp_path / "a.txt").write_text(f"One.\n{HOSTILE[0]}\n")
    with served(tmp_path) as server:
        page = open_review(server.url)
        expect(page.locator("#name")).to_have_text("a.mp4")
        titles = page.locator(".version h4")
        assert titles.all_text_contents() == [
            "Caption 1 of 2: In the dataset", "Caption 2 of 2: In the dataset",
        ]  # fmt: skip
        assert "Only the first is edited here" in page.inner_text("#versions")
        save(page, "Edited.")
        expect(titles).to_have_text(
            [
                "Caption 1 of 2: Edited",
                "In the dataset",
                "Caption 2 of 2: In the dataset",
            ]
        )
        assert page.locator(".version.current p").first.inner_text() == "Edited."
    (sample,) = DatasetSpec.from_path(tmp_path).listing().samples
    assert sample.captions == ("Edited.", HOSTILE[0])


def test_a_clip_that_cannot_be_played_says_why(dataset: Path, open_review: OpenReview) -> None:
    (dataset / "videos/a.mp4").write_bytes(b"no video")
    with served(dataset) as server:
        page = open_review(server.url)
        expect(page.locator("#no-video")).to_contain_text("video")
        page.keyboard.press("n")
        at(page, "b")
        playing(page)


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (800, "dark"), (390, "dark")])
def test_it_fits_any_width_and_is_legible(
    dataset: Path, open_review: OpenReview, width: int, scheme: str
) -> None:
    add_captions(dataset, "The video shows a grey clip.", "A grey clip slowly brightens.")
    with served(dataset) as server:
        page = open_review(server.url, width=width, color_scheme=scheme)
        playing(page)
        if width > 390:  # where all that is legible is in sight
            contrast, words = Opened(page).least_contrast()
            assert contrast >= 4.5, words
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for button in page.locator("#actions button").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 44
            assert button.evaluate("one => one.scrollWidth <= one.clientWidth + 1")
        page.click("#actions .keep")
        expect(page.locator("#progress")).to_have_text("1 of 3 clips decided")


# --- Deciding ---


def test_keys(dataset: Path, open_review: OpenReview) -> None:
    with served(dataset) as server:
        page = open_review(server.url)
        at(page, "a")
        page.keyboard.press("k")
        at(page, "b")
        page.keyboard.press("d")
        at(page, "c")
        save(page, "A better caption.")
        expect(page.locator("#verdict")).to_contain_text("Edited")
        assert page.inner_text(".version.current p") == "A better caption."
        expect(page.locator("#progress")).to_have_text("3 of 3 clips decided")
        page.keyboard.press("ArrowLeft")
        at(page, "b")
        page.keyboard.press("p")
        at(page, "a")
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("d")  # means nothing there
        page.keyboard.press("Escape")
        expect(page.locator("#help")).to_be_hidden()
        page.keyboard.press("/")
        page.keyboard.type("kd")
        expect(page.locator("#nothing")).to_be_visible()
    found = [(one.verdict, one.caption) for one in decisions(dataset)]
    assert found == [("keep", ""), ("drop", ""), ("edit", "A better caption.")]


def test_undo_goes_back_several_steps(dataset: Path, open_review: OpenReview) -> None:
    with served(dataset) as server:
        page = open_review(server.url)
        at(page, "a")
        save(page, "First.")
        expect(page.locator("#verdict")).to_contain_text("Edited")
        page.keyboard.press("d")
        at(page, "b")
        page.keyboard.press("k")
        at(page, "c")
        page.reload()
        expect(page.locator("#progress")).to_have_text("2 of 3 clips decided")
        page.keyboard.press("u")
        at(page, "b")
        expect(page.locator("#verdict")).to_have_text("Undecided")
        page.keyboard.press("u")
        at(page, "a")
        expect(page.locator("#verdict")).to_contain_text("Edited")
        page.keyboard.press("u")
        expect(page.locator("#verdict")).to_have_text("Undecided")
        assert page.inner_text(".version.current p") == "A grey clip named a."
        page.keyboard.press("u")
        expect(page.locator("#message")).to_have_text("There is nothing to undo.")
    assert all(
        one.review.verdict is None for one in DatasetSpec.from_path(dataset).caption_states()
    )


def test_filters(tmp_path: Path, open_review: OpenReview) -> None:
    folder = tmp_path / "dataset"
    for number in range(MANY):
        write_video(folder / f"videos/{number:02}.mp4", frames=1, grey=number)
    captions = ["---" if number % 10 == 3 else f"Clip {number}." for number in range(MANY)]
    write_lists(folder, captions, [f"videos/{number:02}.mp4" for number in range(MANY)])
    with served(folder) as server:
        page = open_review(server.url)
        assert page.inner_text("#total") == f"{MANY} clips"
        assert page.locator("#rows li").count() == 40
        page.click("#more")
        expect(page.locator("#rows li")).to_have_count(MANY)
        page.select_option("[name=code]", "VP201")
        expect(page.locator("#rows li")).to_have_count(5)
        at(page, "03")
        save(page, "A caption.")
        expect(page.locator("[name=code] option:checked")).to_contain_text("(4)")
        page.keyboard.press("n")
        at(page, "13")
        page.select_option("[name=show]", "edited")
        expect(page.locator("#nothing")).to_be_visible()  # it breaks the rule no more
        page.select_option("[name=code]", "")
        at(page, "03")
        page.select_option("[name=show]", "all")
        page.fill("[name=text]", "CLIP 2")
        expect(page.locator("#rows li")).to_have_count(13)
        page.click("#rows li:nth-child(2) button")
        at(page, "12")


def test_an_edit_about_an_earlier_text_is_not_lost(dataset: Path, open_review: OpenReview) -> None:
    with served(dataset) as server:
        one, other = (open_review(server.url, fails=True) for _ in range(2))
        for page in (one, other):
            at(page, "a")
            page.keyboard.press("e")
        one.fill("#text", "Theirs.")
        one.keyboard.press("Control+Enter")
        expect(one.locator("#verdict")).to_contain_text("Edited")
        other.fill("#text", "Mine.")
        other.keyboard.press("Control+Enter")
        expect(other.locator("#message")).to_contain_text("changed since")
        assert other.inner_text(".version.current p") == "Theirs."
        assert other.input_value("#text") == "Mine."
        assert [one.caption for one in decisions(dataset)] == ["Theirs."]
        other.keyboard.press("Control+Enter")
        expect(other.locator(".version.current p")).to_have_text("Mine.")
        one.keyboard.press("u")
        expect(one.locator("#message")).to_contain_text("changed since")
    assert [one.caption for one in decisions(dataset)] == ["Theirs.", "Mine."]


def test_a_full_disk_leaves_the_text_in_the_editor(dataset: Path, open_review: OpenReview) -> None:
    with served(dataset) as server:
        page = open_review(server.url, fails=True)
        at(page, "a")
        page.keyboard.press("k")
        at(page, "b")
        playing(page)
        size = (dataset / "videoprep-captions/review.jsonl").stat().st_size
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
        try:
            save(page, "Hours of work.")
            expect(page.locator("#message")).to_contain_text("cannot be written")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert page.input_value("#text") == "Hours of work."
        page.keyboard.press("Control+Enter")
        expect(page.locator("#verdict")).to_contain_text("Edited")
    assert [one.caption for one in decisions(dataset)] == ["", "Hours of work."]


def test_a_text_that_is_not_saved_waits(dataset: Path, open_review: OpenReview) -> None:
    with served(dataset) as server:
        page = open_review(server.url)
        at(page, "a")
        page.keyboard.press("e")
        page.fill("#text", "Half a")
        page.click("#actions [data-do=keep]")
        expect(page.locator("#message")).to_contain_text("not saved")
        page.click("#actions [data-do=next]")
        at(page, "b")
        page.click("#actions [data-do=previous]")
        at(page, "a")
        expect(page.locator("#text")).to_have_value("Half a")
        page.keyboard.press("Escape")
        expect(page.locator("#editor")).to_be_hidden()
    assert decisions(dataset) == []


def test_a_killed_server_is_told(dataset: Path, warm: Warm, open_review: OpenReview) -> None:
    process = warm.start("review", dataset)
    page = open_review(address_of(process), fails=True)
    at(page, "a")
    save(page, "In time.")
    expect(page.locator("#verdict")).to_contain_text("Edited")
    process.kill()
    save(page, "Too late.")
    expect(page.locator("#message")).to_contain_text("is the command still running")
    assert page.input_value("#text") == "Too late."
    assert [one.caption for one in decisions(dataset)] == ["In time."]
    warm.end_all()


# --- Slow and lost answers ---


@dataclass
class Held:
    """Requests of a page that are on their way until they are let go."""

    page: Page
    pattern: str
    routes: list[Route] = field(default_factory=list)

    def __enter__(self) -> Held:
        self.page.route(self.pattern, self._hold)
        return self

    def _hold(self, route: Route) -> None:
        self.routes.append(route)

    def __exit__(self, *_: object) -> None:
        for route in self.routes:
            route.continue_()
        self.page.unroute(self.pattern)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """More clips than a list has at first."""
    folder = tmp_path / "dataset"
    for number in range(MANY):
        write_video(folder / f"videos/{number:02}.mp4", frames=1, grey=number)
    names = [f"videos/{number:02}.mp4" for number in range(MANY)]
    write_lists(folder, [f"Clip {number}." for number in range(MANY)], names)
    return folder


def test_a_longer_list_does_not_cost_the_clip(many: Path, open_review: OpenReview) -> None:
    with served(many) as server:
        page = open_review(server.url)
        playing(page)
        with Held(page, "**/api/plan*"):
            with page.expect_request("**/api/plan*"):
                page.keyboard.press("n")
            at(page, "01")
            page.click("#more")
            expect(page.locator("#rows li")).to_have_count(MANY)
        playing(page)


def test_an_undone_clip_does_not_hide_those_before_it(many: Path, open_review: OpenReview) -> None:
    with served(many) as server:
        server.decide(43, "drop")
        page = open_review(server.url)
        at(page, "00")
        page.keyboard.press("u")
        at(page, "43")
        page.click("#more")
        expect(page.locator("#rows li")).to_have_count(MANY)
        names = page.locator("#rows b").all_inner_texts()
        assert names == [f"videos/{number:02}.mp4" for number in range(MANY)]


def test_a_slow_decision_is_about_its_own_clip(dataset: Path, open_review: OpenReview) -> None:
    with served(dataset) as server:
        page = open_review(server.url)
        at(page, "a")
        with Held(page, "**/api/decide"):
            with page.expect_request("**/api/decide"):
                page.keyboard.press("k")
            page.click("#rows li:nth-child(2) button")
            at(page, "b")
        expect(page.locator("#progress")).to_have_text("1 of 3 clips decided")
        at(page, "b")
        with Held(page, "**/api/decide"):
            with page.expect_request("**/api/decide"):
                save(page, "About b.")
            page.click("#rows li:nth-child(3) button")
            at(page, "c")
            page.keyboard.press("e")
            page.fill("#text", "Half a caption of c")
        expect(page.locator("#progress")).to_have_text("2 of 3 clips decided")
        expect(page.locator("#text")).to_be_visible()
        assert page.input_value("#text") == "Half a caption of c"
    assert [(one.verdict, one.caption) for one in decisions(dataset)] == [
        ("keep", ""),
        ("edit", "About b."),
    ]


def test_undo_can_be_tried_again(dataset: Path, open_review: OpenReview) -> None:
    with served(dataset) as server:
        page = open_review(server.url, fails=True)
        at(page, "a")
        page.keyboard.press("k")
        at(page, "b")
        page.route("**/api/undo", lambda route: route.abort())
        page.keyboard.press("u")
        expect(page.locator("#message")).to_contain_text("is the command still running")
        page.unroute("**/api/undo")
        page.keyboard.press("u")
        at(page, "a")
        expect(page.locator("#verdict")).to_have_text("Undecided")


def test_a_video_that_the_browser_cannot_play(dataset: Path, open_review: OpenReview) -> None:
    with served(dataset) as server:
        page = open_review(server.url, fails=True)
        playing(page)
        broken = {"body": b"no video", "content_type": "video/mp4"}
        page.route("**/clip.mp4*", lambda route: route.fulfill(**broken))
        page.click("#rows li:nth-child(3) button")
        expect(page.locator("#no-video")).to_have_text("this browser cannot play it")


def test_an_answer_that_is_none_is_told(dataset: Path, open_review: OpenReview) -> None:
    with served(dataset) as server:
        page = open_review(server.url, fails=True)
        at(page, "a")
        page.route("**/api/decide", lambda route: route.fulfill(status=502, body="<html>"))
        page.keyboard.press("k")
        expect(page.locator("#message")).to_have_text("Not saved: the server answers 502")


def test_a_text_survives_a_search_that_finds_nothing(
    dataset: Path, open_review: OpenReview
) -> None:
    with served(dataset) as server:
        page = open_review(server.url)
        at(page, "a")
        page.keyboard.press("e")
        page.fill("#text", "Half a \U0001f600")
        expect(page.locator("#editor-meter")).to_contain_text("8 characters")
        page.fill("[name=text]", "nothing like it")
        expect(page.locator("#nothing")).to_be_visible()
        page.fill("[name=text]", "")
        expect(page.locator("#text")).to_have_value("Half a \U0001f600")
        page.keyboard.press("Escape")
    assert decisions(dataset) == []


def test_a_finding_lists_all_clips_that_have_it(dataset: Path, open_review: OpenReview) -> None:
    (dataset / "prompt.txt").write_text("---\n---\nA clip.\n")
    with served(dataset) as server:
        page = open_review(server.url)
        page.fill("[name=text]", "videos/b")
        expect(page.locator("#rows li")).to_have_count(1)
        page.click("#findings button:has-text('VP201')")
        expect(page.locator("#rows li")).to_have_count(2)


# --- Strangers' words ---


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A dataset of which all words are a stranger's."""
    folder = tmp_path / "<b>root"
    names = ["videos/<img src=x onerror=alert(6)>.mp4", "videos/\u202egpj.exe.mp4"]
    for number, video in enumerate(names):
        write_video(folder / video, frames=9, grey=40 * number)
    words = " ".join(HOSTILE).replace("\u2028", " ").replace("\ud800", " ")
    write_lists(folder, [words, "x" * 100_000], names)
    add_captions(folder, words + " described", words + " <b>refined</b> \x1b]0;title\x07")
    return folder


def _is_inert(page: Page) -> None:
    shown = page.inner_text("main")
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[2], "{{ 7*7 }}", r"\u202e", "<b>refined</b>"):
        assert text in shown
    assert r"\x1b]0;title\x07" in shown
    assert page.locator("main img, main [onerror], main b b, main script").count() == 0
    assert "<b>root" in page.inner_text("header")
    assert not set("\u202e\x1b\x07") & set(page.inner_text("body"))


def test_strangers_words_stay_words(hostile: Path, open_review: OpenReview) -> None:
    with served(hostile) as server:
        page = open_review(server.url, fails=True)
        playing(page)
        _is_inert(page)
        page.keyboard.press("e")
        expect(page.locator("#editor-meter")).to_contain_text(r"cannot be seen: \u202e")
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        expect(page.locator("#meter")).to_contain_text("100,000 characters")
        box = page.locator(".version.current p").bounding_box()
        assert box is not None
        assert box["height"] < 400
        save(page, "y" * 100_001)
        expect(page.locator("#message")).to_contain_text("more than 100,000")


# --- The page as a file ---


def test_a_page_as_a_file_exports_decisions(
    hostile: Path, dataset: Path, tmp_path: Path, open_review: OpenReview
) -> None:
    page_file = tmp_path / "out" / "review #1.html"
    review = Review(DatasetSpec.from_path(dataset))
    made = write_static(review, page_file, limit=100)
    review.videos.close()
    assert (made.clips, made.left_out, made.without_video) == (3, 0, 0)
    page = open_review(page_file.as_uri())
    playing(page)
    page.keyboard.press("k")
    at(page, "b")
    playing(page)
    page.keyboard.press("d")
    at(page, "c")
    save(page, "A better caption.")
    expect(page.locator("#export")).to_have_text("Export 3 decisions")
    page.keyboard.press("p")
    page.keyboard.press("u")
    expect(page.locator("#export")).to_have_text("Export 2 decisions")
    page.reload()
    expect(page.locator("#export")).to_have_text("Export 2 decisions")
    with page.expect_download() as download:
        page.click("#export")
    exported = tmp_path / "decisions.json"
    download.value.save_as(exported)
    spec = DatasetSpec.from_path(dataset)
    found = apply_decisions(spec, exported, "Ann")
    assert (found.applied, found.already, found.ok) == (2, 0, True)
    assert [one.verdict for one in decisions(dataset)] == ["keep", "drop"]
    assert apply_decisions(spec, exported).already == 2


def test_a_page_as_a_file_asks_about_what_is_not_exported(
    dataset: Path, tmp_path: Path, open_review: OpenReview
) -> None:
    review = Review(DatasetSpec.from_path(dataset))
    write_static(review, tmp_path / "page.html", limit=100)
    review.videos.close()
    page = open_review((tmp_path / "page.html").as_uri())
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.type))
    at(page, "a")
    page.keyboard.press("k")
    at(page, "b")
    with page.expect_download():
        page.click("#export")
    page.keyboard.press("p")
    at(page, "a")
    page.keyboard.press("d")  # the clip was decided before: there are no more decisions
    at(page, "b")
    page.reload()
    assert asked == ["beforeunload"]
    expect(page.locator("#export")).to_have_text("Export 1 decision")


def test_strangers_words_stay_words_in_a_file(
    hostile: Path, tmp_path: Path, open_review: OpenReview
) -> None:
    review = Review(DatasetSpec.from_path(hostile))
    write_static(review, tmp_path / "page.html", limit=100)
    review.videos.close()
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not set("\u202e\u2066\x1b\u2028") & set(text)
    page = open_review((tmp_path / "page.html").as_uri())
    playing(page)
    _is_inert(page)
    save(page, "<script>alert(9)</script> \u202e")
    expect(page.locator(".version.current p")).to_have_text(r"<script>alert(9)</script> \u202e")


def test_decisions_that_do_not_fit_are_told(dataset: Path, tmp_path: Path) -> None:
    states = DatasetSpec.from_path(dataset).caption_states()
    review = Review(DatasetSpec.from_path(dataset))
    seen = [review.item(number)["seen"] for number in range(3)]
    file = tmp_path / "decisions.json"

    def write(**changed: object) -> None:
        each = [
            {"clip": state.clip, "verdict": "drop", "seen": seen[number], "video": "\x1b[31m"}
            for number, state in enumerate(states)
        ]
        each[1]["seen"] = "0" * 32
        each[2]["clip"] = "f" * 32
        file.write_text(
            json.dumps(
                {"format": "videoprep-decisions", "version": 1, "decisions": each, **changed}
            )
        )

    write()
    done = CliRunner().invoke(app, ["review", str(dataset), "--apply", str(file)])
    assert done.exit_code == 1
    assert "1 clip decided, 0 already so" in done.output
    assert "1 clip changed since the page was written: decide again: videos/b.mp4" in done.output
    assert r"1 clip not in this dataset: \x1b[31m" in done.output
    assert [one.verdict for one in decisions(dataset)] == ["drop"]
    for wrong in ({"version": 2}, {"decisions": [{"clip": "../x"}]}, {"decisions": 1}, {"more": 1}):
        write(**wrong)
        done = CliRunner().invoke(app, ["review", str(dataset), "--apply", str(file)])
        assert "it is no file of decisions" in str(done.exception)
    edit = {"clip": states[1].clip, "verdict": "edit", "seen": seen[1], "caption": " "}
    write(decisions=[edit])
    done = CliRunner().invoke(app, ["review", str(dataset), "--apply", str(file)])
    assert "the caption is empty" in str(done.exception)
    both = ["review", str(dataset), "--apply", str(file), "--static", "x.html"]
    assert "either" in str(CliRunner().invoke(app, both).exception)
    assert len(decisions(dataset)) == 1
