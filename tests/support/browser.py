"""Pages as a real Chromium shows them, and what must not happen on any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Locator, Page

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror="alert(2)">',
    "</script><script>alert(3)</script>",
    "'-alert(4)-' {{ 7*7 }} <!-- <svg onload=alert(5)> ]]>",
    "\u202egnp.exe\u2066 \x1b[31m \u2028 \ud800 \\u003c",
)
"""What strangers may write where a page shows their words."""

# Of each text that is seen: its contrast with what is behind it, as WCAG reckons it.
_CONTRASTS = """() => {
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const words = "p, h1, h2, h3, td:not(.none), th, dd, dt, a, label, b, span:not(.plays)";
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const one of document.querySelectorAll(words)) {
    const own = [...one.childNodes].filter((node) => node.nodeType === 3);
    if (!own.some((node) => node.textContent.trim()) || !one.checkVisibility()) continue;
    const a = light(parse(getComputedStyle(one).color).slice(0, 3)), b = light(behind(one));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([contrast, one.textContent.slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0]);
}"""


@dataclass
class Opened:
    """A page that was opened, and what must not have happened on it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def refuse(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def rows(self) -> Locator:
        return self.page.locator(".finding:visible")

    def cards(self) -> Locator:
        return self.page.locator("#clips .clip")

    def counter(self) -> int:
        return int(self.page.inner_text("#number").replace(",", ""))

    def numbers(self, place: str) -> list[int]:
        words = self.page.locator(place).all_inner_texts()
        return [int(word.replace(",", "")) for word in words]

    def wait_for_count(self, count: int) -> None:
        """Until so many clips fit the filters."""
        self.page.wait_for_function(
            "count => Number(document.getElementById('number').textContent.replaceAll(',', '')) "
            "=== count",
            arg=count,
        )

    def least_contrast(self) -> tuple[float, str]:
        """Of all texts: the lowest, and where."""
        found: list[tuple[float, str]] = self.page.evaluate(_CONTRASTS)
        assert len(found) > 20
        return found[0]


OpenPage = Callable[..., Opened]


@contextmanager
def opening(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages; at the end nothing was loaded, complained of or run."""
    all_opened: list[Opened] = []

    def opened(file: Path, fragment: str = "", width: int = 1280, **context: Any) -> Opened:
        made = browser.new_context(viewport={"width": width, "height": 900}, **context)
        new = Opened(made.new_page())
        page = new.page
        page.on("request", lambda request: new.requests.append(request.url[:200]))
        page.on("console", lambda message: new.complaints.append(message.text))
        page.on("pageerror", lambda error: new.complaints.append(str(error)))
        page.on("dialog", new.refuse)
        page.goto(f"file://{file}{fragment}")
        all_opened.append(new)
        return new

    yield opened
    for one in all_opened:
        others = [url for url in one.requests if not url.startswith(("file:///", "data:"))]
        assert not others, others
        assert sum(url.startswith("file:") for url in one.requests) == 1
        assert not one.complaints, one.complaints
        one.page.context.close()
