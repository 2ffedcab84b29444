"""One browser, and one page of the demo's store, for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import videoprep as vp
from tests.support.browser import OpenPage, opening


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
