"""How large the report's page is and how quick: of plans of many clips, in headless Chromium.

    python benchmarks/report.py [CLIPS ...]

The plans are synthetic: many clips like those of the rendered dataset, with captions of 30 words.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from playwright.sync_api import Page, sync_playwright

import videoprep as vp
from videoprep.demo.scenes import render_dataset
from videoprep.index.schema import SCHEMA

_CLIPS = (1_000, 100_000, 1_000_000)
_WORDS = ("a", "red", "fox", "walks", "along", "the", "shore", "of", "frozen", "lake", "in", "snow")

# What a user does, and how long it takes until the browser has drawn it.
_TYPED = """(text) => new Promise((done) => {
  const field = document.querySelector("input[type=search]");
  const begun = performance.now();
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  const seen = new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => {
    seen.disconnect();
    done(performance.now() - begun);
  })));
  seen.observe(document.getElementById("number"), { childList: true, subtree: true });
})"""


def plan_of(index: vp.BucketIndex, clips: int) -> vp.BucketIndex:
    """So many clips, each like one of another plan, with a video and a caption of its own."""
    rng = np.random.default_rng(0)
    rows = np.sort(rng.integers(0, len(index), clips))
    numbers = np.arange(clips).tolist()
    words = rng.integers(0, len(_WORDS), (clips, 30)).tolist()
    columns = {name: index.table[name].take(pa.array(rows)) for name in SCHEMA.names}
    columns["sample"] = pa.array([f"{n:032x}" for n in numbers])
    columns["video"] = pa.array([f"videos/{n % 100:02}/{n:08}.mp4" for n in numbers])
    columns["caption"] = pa.array([" ".join(_WORDS[w] for w in one) for one in words])
    columns["line"] = pa.array(numbers)
    table = pa.table(columns).select(SCHEMA.names).cast(SCHEMA).unify_dictionaries()
    return vp.BucketIndex(table, index.data_root, index.policy)


def measured(page: Page, file: Path) -> tuple[float, float, float]:
    """Seconds to load, and milliseconds until a search and a reset are drawn: medians of five."""
    begun = time.perf_counter()
    page.goto(f"file://{file}")
    page.wait_for_selector("#clips .clip")
    loaded = time.perf_counter() - begun
    found = [page.evaluate(_TYPED, text) for text in ("fox lake", "") * 5]
    return loaded, float(np.median(found[::2])), float(np.median(found[1::2]))


def main() -> None:
    """Prints a row for each number of clips."""
    counts = [int(text.replace(",", "")) for text in sys.argv[1:]] or _CLIPS
    chromium = shutil.which("chromium")
    print("clips, in gallery, page MB, written s, peak MB, loaded s, search ms, reset ms")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        dataset = Path(folder) / "dataset"
        render_dataset(dataset)
        index = vp.BucketIndex.build(dataset, reshape="center-crop", buckets="auto")
        for clips in counts:
            plan, file = plan_of(index, clips), Path(folder) / "report.html"
            begun = time.perf_counter()
            made = vp.report(plan, file)
            took = time.perf_counter() - begun
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            loaded, search, reset = measured(browser.new_page(), file)
            print(
                f"{clips:,}, {made.in_gallery:,}, {made.bytes / 1e6:.1f}, {took:.1f}, {peak:.0f}, "
                f"{loaded:.2f}, {search:.0f}, {reset:.0f}",
                flush=True,
            )
        browser.close()


if __name__ == "__main__":
    main()
