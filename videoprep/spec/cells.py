"""What the cells of a table hold: text, several captions, a time range.

A CSV file has text in every cell. JSON and Parquet have numbers, lists and objects as well.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from decimal import Decimal
from typing import Any

MAX_TEXT = 1 << 17
"""Characters that one text may have; a longer one is not a caption."""

_MOST_CAPTIONS = 1000
_MOST_LITERAL = 1 << 16  # characters of a cell that may be a list written as text
_ADJACENT = re.compile(r"""['"]\s*['"]""")


class BadCellError(ValueError):
    """A cell does not hold what its column is for; the message says what it holds."""


def as_text(value: Any) -> str:
    """Return a cell as text; a missing value is empty.

    Raises:
        BadCellError: it holds something else than a text or a number, or half a character.
    """
    if isinstance(value, str):
        return _sound(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""  # pandas writes NaN for what is missing
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadCellError(f"holds {kind_of(value)}, not a text")
    return repr(value)


def as_path(value: Any) -> str:
    """Return the path that a cell of the video column holds.

    Raises:
        BadCellError: it holds something else, such as the video's bytes.
    """
    if isinstance(value, dict) and isinstance(value.get("path"), str) and not value.get("bytes"):
        value = value["path"]  # as the datasets library writes a video that lies elsewhere
    if isinstance(value, bytes) or (isinstance(value, dict) and value.get("bytes")):
        raise BadCellError("holds the video itself, not its path: write the videos as files")
    return as_text(value)


def as_paths(value: Any) -> tuple[str, ...]:
    """Return the paths that a cell holds: one, a list of them, or none.

    Raises:
        BadCellError: it holds something else.
    """
    if isinstance(value, str):  # as in each cell of a CSV file
        return (_sound(value),) if value.strip() else ()
    several = value if isinstance(value, list | tuple) else [value]
    return tuple(name for one in several if (name := as_path(one)).strip())


def as_captions(value: Any) -> tuple[str, ...]:
    """Return the captions that a cell holds, without those that are empty.

    A list holds several, also one that is written as text: ``["a dog", "a brown dog"]``.

    Raises:
        BadCellError: it holds something else than texts.
    """
    if isinstance(value, str) and value.strip() == "[]":
        return ()
    if isinstance(value, str) and (listed := _as_list(value)) is not None:
        value = listed if all(isinstance(one, str) for one in listed) else value
    if not isinstance(value, list | tuple):
        text = as_text(value).strip()
        return (text,) if text else ()
    if len(value) > _MOST_CAPTIONS:
        raise BadCellError(f"holds {len(value)} captions, more than {_MOST_CAPTIONS}")
    return tuple(text for one in value if (text := as_text(one).strip()))


def empty_among(value: Any) -> int:
    """Return how many of the captions of a cell are empty, if it holds several."""
    if isinstance(value, str):
        value = _as_list(value) or ()
        value = value if all(isinstance(one, str) for one in value) else ()
    if not isinstance(value, list | tuple) or len(value) < 2:
        return 0
    return sum(not as_text(one).strip() for one in value)


def as_range(value: Any) -> tuple[str, str] | None:
    """Return both ends of a time range as text; None if a cell does not hold two values.

    A range is a list of two, also one that is written as text: ``[1.5, 4]``.
    """
    if isinstance(value, str):
        value = _as_list(value)
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    try:
        return as_text(value[0]), as_text(value[1])
    except BadCellError:
        return None


def kind_of(value: Any) -> str:
    """Return what a value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a value of type {type(value).__name__}"


def _as_list(text: str) -> list[Any] | None:
    """A list that is written as text, as JSON and Python write it; None if it is something else."""
    bare = text.strip()
    if not (bare.startswith("[") and bare.endswith("]")) or len(bare) > _MOST_LITERAL:
        return None
    value = _parsed(bare)
    ok = isinstance(value, list) and value and all(isinstance(v, str | int | float) for v in value)
    return value if ok else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass  # it may be Python's
    # Python joins 'a' 'b', as numpy prints arrays, into one text.
    if _ADJACENT.search(text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of a backslash in a caption
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _sound(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise BadCellError(f"holds {len(text):,} characters, more than {MAX_TEXT:,}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadCellError("holds half a character (a lone surrogate)") from error
    return text
