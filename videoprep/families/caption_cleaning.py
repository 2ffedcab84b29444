"""What pipelines do to captions before they are cut into tokens."""

from __future__ import annotations

import html
import re


def clean_caption(caption: str) -> str:
    """Return a caption with its letters, HTML's signs and its spaces mended, as Wan does."""
    import ftfy

    plain = html.unescape(html.unescape(ftfy.fix_text(caption)))
    return re.sub(r"\s+", " ", plain.strip()).strip()
