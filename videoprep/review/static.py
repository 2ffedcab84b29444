"""The review as a file: the page holds its clips' words, and their videos lie beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import xxhash

from videoprep.errors import VideoprepError
from videoprep.fs.atomic import write_bytes
from videoprep.fs.fingerprint import fingerprint_of
from videoprep.pages.replacing import require_replaceable
from videoprep.review.items import ClipFilter
from videoprep.review.page import PAGE_BEGIN, is_static_page, static_page
from videoprep.review.review import Review
from videoprep.spec.caption_journal import digest


@dataclass(frozen=True, slots=True)
class StaticReview:
    """A review that was written as a file."""

    path: Path
    """The page."""
    folder: Path
    """The folder of its videos."""
    clips: int
    """How many clips it has."""
    left_out: int
    """How many more clips are undecided."""
    without_video: int
    """How many of its clips could not be decoded."""
    bytes: int
    """What page and videos take."""


# A video is named by the fingerprint of its contents: so an earlier page keeps its videos until
# another one takes its place, and each file shows whether it was written here.
_VIDEO = re.compile(r"[0-9a-f]{32}\.mp4")


def write_static(
    review: Review,
    path: str | os.PathLike[str],
    limit: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> StaticReview:
    """Write a review of clips about which nothing is decided, the first ones of the dataset.

    An earlier page of that name is replaced, and its videos are removed.

    Args:
        review: the review.
        path: the page to write; its videos go to a folder beside it.
        limit: how many clips it has at most.
        on_progress: called with how many clips are written, and how many there are.

    Raises:
        VideoprepError: see `require_page`.
    """
    page = Path(path)
    require_page(page)
    folder = page.with_name(f"{page.stem}_files")
    chosen = list(islice(review.items.search(ClipFilter("undecided")).after(), limit))
    items, without, videos = [], 0, dict[str, int]()
    for at, position in enumerate(chosen):
        address = ""
        plan = review.plan(position)
        plan["parts"] = plan["parts"][:1]
        try:
            video = review.video(position, 0)
        except VideoprepError as error:
            plan, without = {"parts": [], "note": error.message}, without + 1
        else:
            name = f"{xxhash.xxh3_128_hexdigest(video)}.mp4"
            if name not in videos:
                write_bytes(folder / name, video)
            videos[name] = len(video)
            address = f"{quote(os.fsencode(folder.name))}/{name}"
        items.append({**review.item(position), "at": at, "plan": plan, "video": address})
        if on_progress is not None:
            on_progress(at + 1, len(chosen))
    data = {
        # What a browser has kept about the page counts for exactly these clips and captions.
        "id": digest(review.title, [item["seen"] for item in items]),
        "dataset": review.title,
        "limit": review.items.rules.limit,
        "caption_codes": sorted(review.items.rules.codes),
        "items": items,
    }
    html = static_page(review.title, data).encode()
    write_bytes(page, html)
    _remove_videos(folder, videos)
    left_out = review.items.counts["undecided"] - len(chosen)
    size = sum(videos.values()) + len(html)
    return StaticReview(page, folder, len(chosen), left_out, without, size)


def require_page(page: Path) -> None:
    """Check that a page may be written, which replaces nothing but an earlier one.

    Raises:
        VideoprepError: its name does not end in ``.html``, or something else has that name.
    """
    if page.suffix != ".html":
        raise VideoprepError(
            "the name of a page ends in .html", where=str(page), remedy="name it so"
        )
    require_replaceable(page, of="a review", is_one=is_static_page, begin=PAGE_BEGIN)


def _remove_videos(folder: Path, kept: Collection[str]) -> None:
    """Remove the videos of earlier pages from a folder, and nothing else."""
    if not folder.is_dir():
        return
    for file in sorted(folder.iterdir()):
        if _VIDEO.fullmatch(file.name) and file.name not in kept and _is_own(file):
            file.unlink(missing_ok=True)
    if not kept:
        with suppress(OSError):  # something else is in it
            folder.rmdir()


def _is_own(file: Path) -> bool:
    """Return whether a file was written here: its name says what is in it."""
    try:
        return fingerprint_of(file) == file.stem
    except OSError:
        return False
