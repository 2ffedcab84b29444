"""What a page replaces where it is written: an earlier one, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from videoprep.errors import VideoprepError
from videoprep.fs.fingerprint import open_regular

# Every page says near its beginning what wrote it.
_BEGIN = 1 << 12
_WRITER = '<meta name="generator" content="videoprep '


def is_own_page(begin: str) -> bool:
    """Return whether a text begins as the pages do that are written here."""
    return _WRITER in begin


def require_replaceable(
    page: Path,
    option: str | None = None,
    *,
    of: str = "videoprep",
    is_one: Callable[[str], bool] = is_own_page,
    begin: int = _BEGIN,
) -> None:
    """Check that a page may be written: an option is easily given a video, or somebody's own page.

    Args:
        page: where it is written.
        option: the option that names it.
        of: whose page an earlier one is, for the message.
        is_one: tells an earlier one by its beginning.
        begin: how many bytes of it that takes.

    Raises:
        VideoprepError: Something else has that name.
    """
    if page.is_dir():
        raise VideoprepError(
            "is a folder", where=str(page), remedy="name a file in it", option=option
        )
    try:
        with open_regular(page) as file:
            text = file.read(begin).decode("utf-8", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
    else:
        if is_one(text):
            return
        why = f"exists and is no page of {of}"
    raise VideoprepError(why, where=str(page), remedy="name another file", option=option)
