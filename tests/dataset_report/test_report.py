"""What the report tells of stores, plans and datasets in every state, and of strangers' words."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import videoprep as vp
from tests.support.assets import write_lists, write_video
from tests.support.browser import HOSTILE, OpenPage
from tests.support.films import Film, Take
from tests.support.pictures import write_picture
from videoprep.dataset_report.gallery import as_json, choose_rows
from videoprep.dataset_report.pictures import MOST_PICTURES, pictured
from videoprep.dataset_report.rows import rows_of
from videoprep.errors import VideoprepError
from videoprep.families.component import Component, source_of
from videoprep.index.schema import SCHEMA
from videoprep.index.summary import summarize
from videoprep.previewing.clips import open_clips
from videoprep.sources import name_of
from videoprep.store.layout import Store
from videoprep.store.receipt import Failure, Receipt


def test_a_still_has_no_length(open_page: OpenPage, tmp_path: Path) -> None:
    """It has no rate of which one could be computed."""
    write_video(tmp_path / "data/video.mp4", width=96, height=64, frames=17, fps=16)
    write_picture(tmp_path / "data/still.png", np.zeros((64, 96, 3), np.uint8))
    write_lists(tmp_path / "data", ["It moves.", "It does not."], ["video.mp4", "still.png"])
    vp.report(tmp_path / "data", tmp_path / "report.html", profile="wan", reshape="center-crop")
    page = open_page(tmp_path / "report.html", "#sort=longest").page
    moving, still = page.locator("#clips .plays").all_inner_texts()
    assert moving.endswith(" s")
    assert still == "still"
    page.locator("#clips button").last.click()
    about = page.inner_text("#about")
    assert "a still image" in about
    assert "-1" not in about


@pytest.fixture
def own_store(demo_store: Path, tmp_path: Path) -> Path:
    """A copy of the demo's store, to be changed."""
    return Path(shutil.copytree(demo_store, tmp_path / "store"))


def receipts(store: Path, component: str) -> list[Path]:
    """Those of a component, in order."""
    recipe = Store.open(store).read_info().recipes[component]  # type: ignore[index]
    return sorted((store / component / recipe.id).glob("*.json"))


def receipt_of(store: Path, component: Component, video: str) -> Path:
    """The one that tells of a video's clip."""
    rows = vp.BucketIndex.load(store / "index.parquet").table.to_pylist()
    key = next(
        row[source_of(component, {}).key_columns[0]] for row in rows if row["video"] == video
    )
    return next(
        file
        for file in receipts(store, component)
        if key in {tensor.key for tensor in Receipt.from_bytes(file.read_bytes()).tensors}
    )


def fail_one(store: Path, reason: str, video: str = "videos/00001.mp4") -> None:
    """Says in a receipt that a clip could not be made."""
    file = receipt_of(store, "video_latents", video)
    receipt = Receipt.from_bytes(file.read_bytes())
    lost, *kept = receipt.tensors
    failure = Failure(lost.key, "VP103", reason)
    file.write_bytes(replace(receipt, tensors=tuple(kept), failures=(failure,)).to_bytes())


def many(index: vp.BucketIndex, count: int, caption: str) -> vp.BucketIndex:
    """A plan of so many clips, made of one clip of another plan."""
    row = index.table.slice(0, 1)
    numbers = np.arange(count)
    columns = {name: row[name].take(np.zeros(count, np.int64)) for name in SCHEMA.names}
    columns["sample"] = pa.array([f"{n:032x}" for n in numbers.tolist()])
    columns["video"] = pa.array([f"videos/part-{n % 97}/clip-{n}.mp4" for n in numbers.tolist()])
    columns["caption"] = pa.array([f"{caption} number {n}" for n in numbers.tolist()])
    columns["line"] = pa.array(numbers)
    columns["crop_width"] = pa.array((64 + numbers % 32).astype(np.int32))
    columns["source_frames"] = pa.array((100_000 + numbers).astype(np.int32))  # none like another
    table = pa.table(columns).select(SCHEMA.names).cast(SCHEMA).unify_dictionaries()
    return vp.BucketIndex(table, index.data_root, index.policy)


def test_a_plan(demo_dataset: Path, tmp_path: Path) -> None:
    index = vp.BucketIndex.build(
        demo_dataset, reshape="center-crop", buckets=("9x64x64",), max_num_frames=9
    )
    index.save(tmp_path / "index.parquet")
    made = vp.report(tmp_path / "index.parquet", tmp_path / "report.html")
    assert made.facts.samples == {"planned": 12}
    asked = dict(made.facts.asked)
    assert asked["reshape"] == "center-crop"
    assert asked.keys() <= {"reshape", "bucket sizes", "max num frames", "frame counts"}
    assert made.in_gallery == made.pictures == 12
    plan = made.facts.plan
    assert plan is not None
    assert plan.most_cut[0].share == pytest.approx(1 / 3)
    rows, summary = rows_of(index, None), summarize(index)
    cut = sum(one.cut * one.clips for one in summary.buckets) / summary.clips
    assert rows.cut.mean() == pytest.approx(cut, abs=1e-5)
    available = rows.columns["available_frames"]
    passed = (rows.passed * available).sum() / available.sum()
    assert passed == pytest.approx(summary.frames.outside / summary.frames.available)
    assert 0 < passed < 1


def test_samples_that_end_in_every_place(
    own_store: Path, demo_dataset: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    dataset = Path(shutil.copytree(demo_dataset, tmp_path / "dataset"))
    (dataset / "videos/00005.mp4").unlink()
    fail_one(own_store, f"it broke {HOSTILE[1]}")
    receipt_of(own_store, "image_latents", "videos/00000.mp4").unlink()
    page = tmp_path / "report.html"
    made = vp.report(dataset, page, store=own_store, previews=0)
    samples = made.facts.samples
    assert set(samples) == {"encoded", "failed", "to do", "skipped"}
    assert made.facts.total == 12
    assert samples["skipped"] == samples["failed"] == 1
    assert not made.ok
    opened = open_page(page)
    total, *parts = opened.numbers("#sum b")
    assert total == sum(parts) == 12
    assert opened.page.inner_text("#verdict") == "not finished"
    fills = "all => all.map(one => getComputedStyle(one).fill)"
    colours = opened.page.locator(".totals .share rect").evaluate_all(fills)
    assert len(set(colours)) == len(samples)
    assert "rgb(0, 0, 0)" not in colours, "each state has a colour of its own"
    assert "VP103" in opened.page.inner_text("#failures")
    assert "it broke" in opened.page.inner_text("#failures")
    for state, count in samples.items():
        for box in opened.page.locator("input[name=state]").all():
            box.set_checked(box.get_attribute("value") == state)
        opened.wait_for_count(count)
    opened.cards().first.click()
    assert "skipped" in opened.page.inner_text("#about")
    assert "VP" in opened.page.inner_text("#about .why")


def test_a_store_that_is_half_finished(own_store: Path, demo_dataset: Path, tmp_path: Path) -> None:
    (own_store / "index.parquet").unlink()
    receipts(own_store, "video_latents")[0].unlink()
    alone = vp.report(own_store, tmp_path / "alone.html")
    assert alone.facts.no_plan is not None
    assert alone.facts.plan is None
    assert alone.facts.store is not None
    assert not alone.ok
    text = (tmp_path / "alone.html").read_text()
    assert "There is no plan to show" in text
    assert "--store" in text
    with_plan = vp.report(demo_dataset, tmp_path / "whole.html", store=own_store, previews=0)
    assert sum(with_plan.facts.samples.values()) == 12
    assert with_plan.facts.samples["to do"] > 0


def test_sources_that_have_gone(demo_dataset: Path, own_store: Path, tmp_path: Path) -> None:
    nowhere = vp.report(own_store, tmp_path / "a.html", data_root=tmp_path / "gone")
    assert nowhere.pictures == 0
    assert nowhere.in_gallery == 12
    assert any("not there any more" in note for note in nowhere.notes)
    moved = Path(shutil.copytree(demo_dataset, tmp_path / "moved"))
    (moved / "videos/00001.mp4").unlink()
    shutil.copy(moved / "videos/00002.mp4", moved / "videos/00003.mp4")
    some = vp.report(own_store, tmp_path / "b.html", data_root=moved, previews=0)
    assert some.pictures == 10
    assert any(note.startswith("2 of 12 clips have no picture") for note in some.notes)


def test_a_store_without_its_vae(own_store: Path, tmp_path: Path) -> None:
    made = vp.report(own_store, tmp_path / "a.html", model=tmp_path / "none", previews=1)
    assert any(note.startswith("No reconstructions: ") for note in made.notes)
    assert "No reconstructions: " in (tmp_path / "a.html").read_text()


def test_lists_with_mistakes(tmp_path: Path) -> None:
    write_video(tmp_path / "videos/a.mp4")
    write_lists(tmp_path, ["one", "two"], ["videos/a.mp4"])
    made = vp.report(tmp_path, tmp_path / "report.html")
    assert made.facts.plan is None
    assert made.facts.findings is not None
    assert not made.facts.findings.ok
    assert "There is no plan to show" in (tmp_path / "report.html").read_text()


def test_all_samples_are_left_out(tmp_path: Path, open_page: OpenPage) -> None:
    write_video(tmp_path / "videos/a.mp4", width=90)
    write_lists(tmp_path, ["one"], ["videos/a.mp4"])
    made = vp.report(tmp_path, tmp_path / "report.html")
    assert made.facts.samples == {"skipped": 1}
    opened = open_page(tmp_path / "report.html")
    assert opened.counter() == 1
    opened.cards().first.click()
    assert opened.page.locator(".why").is_visible()


def test_strangers_words_stay_words(tmp_path: Path, open_page: OpenPage) -> None:
    names = [
        "videos/<script>alert(6)</script>.mp4",
        'videos/"><img src=x onerror=alert(7)>.mp4',
        "videos/<!-- <script>.mp4",
        "videos/plain.mp4",
        "videos/\u202egpj.exe.mp4",
    ]
    for name in names:
        write_video(tmp_path / name)
    captions = [words.replace("\u2028", " ").replace("\ud800", " ") for words in HOSTILE]
    write_lists(tmp_path, captions, names)
    page = tmp_path / "report.html"
    vp.report(tmp_path, page)
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 2  # the data, and the page's own
    assert text.count("<img") == 0
    assert "\x1b" not in text
    assert "\u202e" not in text
    opened = open_page(page)
    assert opened.cards().count() == 5
    shown = opened.page.locator("#clips .words p:first-child").all_inner_texts()
    assert shown[:3] == captions[:3]
    assert "\\u202e" in shown[4]
    assert "\\x1b[31m" in shown[4]
    for place in range(5):
        opened.cards().nth(place).click()
        opened.page.keyboard.press("Escape")
    opened.page.fill("input[type=search]", "</script><script>")
    opened.wait_for_count(1)


def test_every_caption_of_a_clip(tmp_path: Path, open_page: OpenPage) -> None:
    """The card shows the first and how many there are; all are in the dialog and are searched."""
    write_video(tmp_path / "a.mp4")
    write_video(tmp_path / "b.mp4", lift=50)
    texts = ["A cat sits.", "<b>Dog</b>", "The third one of them."]
    rows = [{"video": "a.mp4", "caption": texts}, {"video": "b.mp4", "caption": "One."}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    page = tmp_path / "report.html"
    made = vp.report(tmp_path, page)
    assert made.facts.plan is not None
    lengths = {chart.title: chart for chart in made.facts.plan.clips}["Caption length"]
    assert "4 captions" in str(lengths)
    opened = open_page(page)
    shown = opened.page.locator("#clips .words p:first-child").all_inner_texts()
    assert shown == ["1 of 3: A cat sits.", "One."]
    opened.cards().first.click()
    captions = opened.page.locator("#about .caption").all_inner_texts()
    assert captions == [f"{number} of 3: {text}" for number, text in enumerate(texts, 1)]
    opened.page.keyboard.press("Escape")
    opened.page.fill("input[type=search]", "third")
    opened.wait_for_count(1)


def test_data_survives_its_block() -> None:
    values = [*HOSTILE[:4], r"\u003c", "\u2028\u2029", "\\", '"', "&lt;", "\U0001f600"]
    text = str(as_json({"values": values}))
    assert json.loads(text) == {"values": values}
    assert not set("<>&\u2028\u2029") & set(text)


@pytest.mark.slow
def test_a_hundred_thousand_clips(demo_dataset: Path, tmp_path: Path, open_page: OpenPage) -> None:
    index = many(vp.BucketIndex.build(demo_dataset), 100_500, "一段“视频” & more " + 60 * "words ")
    page = tmp_path / "report.html"
    made = vp.report(index, page)
    assert made.bytes == page.stat().st_size < 20_000_000
    assert made.in_gallery == 100_000
    assert made.facts.samples == {"planned": 100_500}
    assert any(note.startswith("100,000 of 100,500 are in this page") for note in made.notes)
    assert any(note.startswith("Captions are cut to ") for note in made.notes)
    opened = open_page(page)
    assert opened.counter() == 100_000
    assert opened.cards().count() == 60  # drawn: as many as one looks at
    opened.page.fill("input[type=search]", "clip-99999.mp4")
    opened.wait_for_count(1)
    opened.page.fill("input[type=search]", "")
    opened.wait_for_count(100_000)
    opened.page.select_option("select[name=sort]", "cut")
    opened.page.wait_for_function("() => location.hash.includes('sort=cut')")
    first = opened.cards().first.inner_text()
    assert "−33.3 %" in first
    opened.page.click("#more")
    assert opened.cards().count() == 120


def test_which_clips_are_shown(demo_dataset: Path) -> None:
    rows = rows_of(many(vp.BucketIndex.build(demo_dataset), 1000, "a clip"), None)
    state = rows.state.copy()
    state[::100] = 3
    rows = replace(rows, state=state, reasons=dict.fromkeys(range(0, 1000, 100), ("VP301", "why")))
    chosen = choose_rows(rows, most=300)
    assert len(chosen) == len(set(chosen.tolist())) == 300
    assert set(range(0, 1000, 100)) <= set(chosen.tolist())
    assert (np.diff(chosen) > 0).all()
    assert (chosen == choose_rows(rows, most=300)).all()
    looked_at = pictured(rows, chosen)
    assert len(looked_at) == MOST_PICTURES
    assert set(looked_at) <= set(chosen.tolist())
    assert set(range(0, 1000, 100)) <= set(looked_at)


def test_only_a_page_is_replaced(demo_store: Path, tmp_path: Path) -> None:
    target = tmp_path / "prompt.txt"
    target.write_text("a caption")
    own = tmp_path / "index.html"
    own.write_text("<!DOCTYPE html>\n<title>My own page</title>")
    for one in (target, own):
        before = one.read_bytes()
        with pytest.raises(VideoprepError, match="exists and is no page of videoprep") as error:
            vp.report(demo_store, one)
        assert error.value.option == "output"
        assert one.read_bytes() == before
    with pytest.raises(VideoprepError, match="is a folder"):
        vp.report(demo_store, tmp_path)
    vp.report(demo_store, tmp_path / "a.html", previews=0)
    vp.report(demo_store, tmp_path / "a.html", previews=0)


def test_a_dataset_is_called_by_its_own_folder(tmp_path: Path) -> None:
    """And not by that of its films."""
    (tmp_path / "ds/films").mkdir(parents=True)
    Film((Take(60),), seed=1).write(tmp_path / "ds/films/a.mp4")
    vp.split(tmp_path / "ds/films", output=tmp_path / "ds")
    options: Any = {"caption_fallback": "A film.", "reshape": "center-crop"}
    made = vp.report(tmp_path / "ds", tmp_path / "a.html", **options)
    assert made.facts.name == str(tmp_path / "ds")
    assert open_clips(tmp_path / "ds", **options).where == str(tmp_path / "ds")
    spec = vp.DatasetSpec.from_path(tmp_path / "ds", **options)
    assert open_clips(spec).where == name_of(spec) == str(tmp_path / "ds")


def test_a_finished_plan_takes_no_options(demo_store: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoprepError, match="has a finished plan, which `reshape` cannot"):
        vp.report(demo_store, tmp_path / "a.html", reshape="pad")


def test_in_a_notebook(demo_store: Path, tmp_path: Path, open_page: OpenPage) -> None:
    made = vp.report(demo_store, tmp_path / "a.html", previews=0)
    html = made._repr_html_()
    outer = tmp_path / "outer.html"
    outer.write_text(f"<!DOCTYPE html><meta charset=utf-8>{html}", encoding="utf-8")
    opened = open_page(outer)
    frame = opened.page.frame_locator("iframe")
    frame.locator("#clips .clip").first.wait_for()
    assert frame.locator("#clips .clip").count() == 12
    frame.locator("input[type=search]").fill("red")
    frame.locator("#clips .clip").nth(3).wait_for(state="detached")
    assert "12 encoded" in opened.page.inner_text("p")


def test_the_command(
    demo_store: Path,
    run_cli: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    done = run_cli("report", demo_store, "-o", "a.html", "--previews", 0)
    assert done.returncode == 0, done.stderr
    assert "12 samples = 12 encoded" in done.stdout
    done = run_cli("report", demo_store, "-o", "a.html", "--previews", 0, "--output-format", "json")
    told = json.loads(done.stdout)
    assert told["samples"] == {"total": 12, "encoded": 12}
    assert told["bytes"] == (tmp_path / "a.html").stat().st_size
    assert [one["name"] for one in told["store"]["components"]] == [
        "video_latents", "image_latents", "prompt_embeds"
    ]  # fmt: skip
