"""Makes the picture of the report for README: ``python docs/make_images.py``.

The demo's dataset is encoded by the demo's model into buckets that cut some of it, and the page is
shown as headless Chromium shows it: wide and light, and narrow and dark.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import videoprep as vp
from videoprep.demo.scenes import render_dataset
from videoprep.demo.tiny_model import trained_model

IMAGES = Path(__file__).parent / "images"

_HEIGHT = 1500
_BACK = (221, 226, 233)
_COLORS = 256


def main() -> None:
    """Writes ``docs/images/report.png``."""
    IMAGES.mkdir(exist_ok=True)
    images = IMAGES.resolve()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.chdir(folder)  # the page shows paths as they are given
        page = make_report().resolve()
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        pictures = [
            picture(chromium, page, "body", 1120, "light"),
            picture(chromium, page, "#back", 1120, "light"),
            picture(chromium, page, "#gallery", 400, "dark"),
        ]
        chromium.close()
        os.chdir(images)
    beside(pictures).save(images / "report.png", optimize=True)


def make_report() -> Path:
    """The page of a small dataset of which something is cut off, in the working folder."""
    dataset, store, model = Path("dataset"), Path("latents"), Path("tiny-cogvideox")
    render_dataset(dataset)
    shutil.copytree(trained_model(), model)
    wishes = {"reshape": "center-crop", "buckets": ("9x64x64", "9x64x96", "17x64x96")}
    spec = vp.DatasetSpec.from_path(dataset, **wishes)
    index = vp.BucketIndex.build(spec)
    vp.encode(index, model=model, output=store, image_latents=True, device="cpu")
    return vp.report(spec, "report.html", store=store).path


def picture(chromium: Browser, page: Path, start: str, width: int, scheme: str) -> Image.Image:
    """What a window of that width shows from an element on."""
    context = chromium.new_context(
        viewport={"width": width, "height": _HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    window = context.new_page()
    window.goto(f"file://{page}")
    window.wait_for_selector("#clips .clip")
    window.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    # The last part may be lower than the window: room below it lets it come to the top.
    window.evaluate("document.querySelector('footer').style.minHeight = '1500px'")
    window.evaluate("start => document.querySelector(start).scrollIntoView()", start)
    data = window.screenshot()
    context.close()
    return Image.open(io.BytesIO(data)).convert("RGB")


def beside(pictures: list[Image.Image]) -> Image.Image:
    """All of them in a row, at half their size, in few enough colours for a small file."""
    gap = 24
    width = sum(one.width + gap for one in pictures) + gap
    row = Image.new("RGB", (width, _HEIGHT + 2 * gap), _BACK)
    left = gap
    for one in pictures:
        row.paste(one, (left, gap))
        left += one.width + gap
    half = row.resize((row.width // 2, row.height // 2), Image.Resampling.LANCZOS)
    return half.quantize(_COLORS)


if __name__ == "__main__":
    main()
