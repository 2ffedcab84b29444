"""The page of a review: served, or as a file that holds its clips' words itself."""

from __future__ import annotations

import json
import re
from typing import Any

from markupsafe import Markup

from videoprep.pages.builder import load_template

_SERVED = Markup("media-src 'self'; connect-src 'self'; ")
_STATIC = Markup("media-src 'self' file:; ")

PAGE_BEGIN = 1 << 18
"""How much of a page tells what it is; its style and its words take a tenth of that."""

# How the data of a page begins that is a file.
_DATA = '<script type="application/json" id="data">{"static":true,'

_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')


def served_page(title: str) -> tuple[str, str]:
    """Return the page that asks a server for what it shows, and the policy for its header."""
    footer = "decisions are written to the caption journal at once"
    html = _page(title, {"static": False}, _SERVED, footer)
    found = _POLICY.search(html)
    assert found is not None  # noqa: S101 (every page has one)
    return html, f"{found[1].replace('&#39;', chr(39))}; frame-ancestors 'none'"


def static_page(title: str, data: dict[str, Any]) -> str:
    """Return the page that holds what it shows, but for the videos, which lie beside it.

    Args:
        title: the dataset's name.
        data: see `videoprep.review.static`.
    """
    footer = "decisions stay in this page until you export them"
    return _page(title, {"static": True, **data}, _STATIC, footer)


def is_static_page(begin: str) -> bool:
    """Return whether a file is such a page.

    Args:
        begin: of its text, `PAGE_BEGIN` characters or all.
    """
    return _DATA in begin


def _page(title: str, data: dict[str, Any], policy: Markup, footer: str) -> str:
    template = load_template("videoprep.review", "page.html.j2")
    return template.render(title=title, data=_as_json(data), policy=policy, footer=footer)


def _as_json(data: dict[str, Any]) -> Markup:
    """JSON that ends no tag, whatever strangers wrote."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704 - escaped in the lines above
