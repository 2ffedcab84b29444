"""One browser, and one page of the demo's store, for all tests of the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

import videoprep as vp
from tests.conftest import need
from tests.dataset_report.pages import OpenPage, opening


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        need("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    with opening(browser) as open_page:
        yield open_page


@pytest.fixture(scope="package")
def demo_page(
    tmp_path_factory: pytest.TempPathFactory, demo_dataset: Path, demo_store: Path
) -> Path:
    """The page of the demo's dataset and its store, with two reconstructions."""
    page = tmp_path_factory.mktemp("page") / "report.html"
    vp.report(demo_dataset, page, store=demo_store, previews=2)
    return page
