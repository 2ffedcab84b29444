"""Text in TOML."""

from __future__ import annotations

import json


def quoted(text: str) -> str:
    """A basic string: JSON's, but for one letter that TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
