"""The review as a file: the page holds its clips' words, and their videos lie beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from videoprep.errors import VideoprepError
from videoprep.fs.atomic import write_bytes
from videoprep.review.items import ClipFilter
from videoprep.review.page import static_page
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


def write_static(
    review: Review,
    path: str | os.PathLike[str],
    limit: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> StaticReview:
    """Write a review of clips about which nothing is decided, the first ones of the dataset.

    Args:
        review: the review.
        path: the page to write; its videos go to a folder beside it.
        limit: how many clips it has at most.
        on_progress: called with how many clips are written, and how many there are.

    Raises:
        VideoprepError: the page would not end in ``.html``.
    """
    page = Path(path)
    if page.suffix.lower() not in (".html", ".htm"):
        raise VideoprepError(
            "the name of a page ends in .html", where=str(page), remedy="name it so"
        )
    folder = page.with_name(f"{page.stem}_files")
    wanted = ClipFilter("undecided")
    chosen = list(islice(review.items.matching(wanted), limit))
    items, without, total = [], 0, 0
    for at, position in enumerate(chosen):
        name = f"{at + 1:05}.mp4"
        plan = review.plan(position)
        plan["parts"] = plan["parts"][:1]
        try:
            video = review.video(position, 0)
        except VideoprepError as error:
            plan, without = {"parts": [], "note": error.message}, without + 1
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(folder / name, video)
            total += len(video)
        address = f"{quote(folder.name)}/{name}"
        items.append({**review.item(position), "at": at, "plan": plan, "video": address})
        if on_progress is not None:
            on_progress(at + 1, len(chosen))
    data = {
        "id": digest(review.title, [item["clip"] for item in items]),
        "dataset": review.title,
        "limit": review.items.rules.limit,
        "caption_codes": sorted(review.items.rules.codes),
        "items": items,
    }
    html = static_page(review.title, data).encode()
    page.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(page, html)
    left_out = review.items.counts["undecided"] - len(chosen)
    return StaticReview(page, folder, len(chosen), left_out, without, total + len(html))
