"""Pages of reviews in one browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page

OpenReview = Callable[..., Page]


@pytest.fixture
def open_review(browser: Browser) -> Iterator[OpenReview]:
    """Opens a page by its address; at the end nothing else was loaded, complained of or run."""
    contexts, origins = [], {"data:", "blob:"}
    requests: list[str] = []
    complaints: list[str] = []

    def answer(dialog: Dialog) -> None:
        if dialog.type != "beforeunload":  # which asks whether what is not saved may be lost
            complaints.append(dialog.message)
        dialog.accept()

    def told(said: ConsoleMessage) -> None:
        url = str(said.location.get("url"))
        if "clip.mp4" not in url:  # the next clip is made ready, maybe while the server ends
            complaints.append(f"{said.text} {url}")

    def opened(url: str, *, width: int = 1400, fails: bool = False, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        origins.add(url.rpartition("/")[0])
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", answer)
        if not fails:  # an answer that is no success is told on the console
            page.on("console", told)
        page.goto(url)
        page.wait_for_selector("#rows li", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [url for url in requests if not url.startswith(tuple(origins))] == []
    assert complaints == []
