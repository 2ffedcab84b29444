"""What the gallery shows of single clips: a bounded number, in a bounded number of bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray

from videoprep.dataset_report.facts import STATES
from videoprep.dataset_report.rows import ReportRows
from videoprep.families.caption_places import FURTHER_CAPTIONS
from videoprep.text import escape_unprintable

MOST_CLIPS = 100_000
"""As many rows of a plan are in a page at most."""

# Bytes of all data, and of it of all paths and of all reasons; captions get what the rest leaves.
# With the reconstructions and what is above the gallery a page stays below 20 MB.
_BYTES, _PATH_BYTES, _REASON_BYTES = 17_500_000, 3_000_000, 1_000_000
_LIMITS = (2000, 1000, 600, 400, 300, 200, 150, 100, 70, 50, 40, 30, 20)  # characters

# Every page has up to this many failed or skipped samples: they are what users look for.
_FAILED = 20_000

# What could end the block that holds the data, or a line of it; JSON knows these as escapes.
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """The clips of the gallery.

    Attributes:
        rows: their rows in the plan, ascending, ``[clips]``.
        of: how many rows there are.
        caption_characters: captions are cut to so many; None: they are whole.
        data: what the page's script reads, as JSON values.
    """

    rows: NDArray[np.int64]
    of: int
    caption_characters: int | None
    data: Mapping[str, Any]


def choose_rows(rows: ReportRows, most: int = MOST_CLIPS) -> NDArray[np.int64]:
    """The rows that are shown: all, or what failed and an even choice of the rest. Ascending."""
    total = len(rows.state)
    if total <= most:
        return np.arange(total)
    troubled = np.isin(rows.state, [STATES.index("failed"), STATES.index("skipped")])
    failed = _evenly(np.flatnonzero(troubled), min(_FAILED, most // 2))
    others = _evenly(np.flatnonzero(~troubled), most - len(failed))
    return np.sort(np.concatenate([failed, others]))


def _evenly(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """So many of them at most, with even gaps."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def make_gallery(
    rows: ReportRows,
    chosen: NDArray[np.int64],
    thumbnails: Mapping[int, str],
    psnr: Mapping[int, float],
) -> Gallery:
    """What the page holds of the chosen rows, as columns: what clips share is written once.

    Args:
        rows: of the plan.
        chosen: those that are shown.
        thumbnails: base64 of a JPEG of the file's first frame, by the row.
        psnr: of clips that were decoded, in dB, by the row.
    """
    names = ["video", "caption", FURTHER_CAPTIONS, "line", "clip"]
    there = [name for name in names if name in rows.index.table.column_names]
    table = rows.index.table.select(there).take(chosen)
    videos = [escape_unprintable(text, keep="") for text in table["video"].to_pylist()]
    further = _further(table)
    first = table["caption"].to_pylist()
    whole = [escape_unprintable(text) for text in chain(first, *further.values())]
    shapes, shape = _distinct(_shapes(rows, chosen))
    codes, reasons, why = _reasons(rows, chosen)
    data: dict[str, Any] = {
        "states": STATES,
        "state": rows.state[chosen].tolist(),
        "row": chosen.tolist(),
        "video": _fitting(videos, _PATH_BYTES, _tail)[0],
        "line": table["line"].to_pylist(),
        "clip": [number or 0 for number in table["clip"].to_pylist()],
        "shapes": shapes,
        "shape": shape,
        "start": _whole(rows.columns["start"][chosen] * 100),
        "cut": _whole(rows.cut[chosen] * 1000),
        "passed": _whole(rows.passed[chosen] * 1000),
        "shortened": np.flatnonzero(rows.shortened[chosen]).tolist(),
        "codes": codes,
        "reasons": reasons,
        "why": why,
        "pictures": thumbnails,
        "psnr": {row: round(value, 2) for row, value in psnr.items()},
        # Without the texts, to see how much room there is for them.
        "further": {place: [""] * len(texts) for place, texts in further.items()},
    }
    rest = _BYTES - len(as_json(data).encode())
    shorter, characters = _fitting(whole, rest, _head)
    data["caption"], left = shorter[: len(first)], iter(shorter[len(first) :])
    data["further"] = {place: list(islice(left, len(texts))) for place, texts in further.items()}
    return Gallery(chosen, len(rows.state), characters, data)


def _further(table: pa.Table) -> dict[int, list[str]]:
    """The captions of clips after their first, by the place in the gallery."""
    if FURTHER_CAPTIONS not in table.column_names:
        return {}
    return {
        place: texts for place, texts in enumerate(table[FURTHER_CAPTIONS].to_pylist()) if texts
    }


def as_json(data: Mapping[str, Any]) -> Markup:
    """JSON that may stand in a ``script`` block: nothing in it ends the block or begins a comment.

    Text of strangers was escaped before; what is left that HTML knows is written as escapes.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPES))  # noqa: S704 - escaped in the line above


def _shapes(rows: ReportRows, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Float64 ``[clips, 14]``: all that clips of equal videos have in common; -1: not known."""
    names = (
        "frames", "height", "width", "source_width", "source_height", "source_frames",
        "source_fps", "fps", "crop_x", "crop_y", "crop_width", "crop_height", "fit_width",
        "fit_height",
    )  # fmt: skip
    columns = np.stack([rows.columns[name][chosen] for name in names], axis=1)
    planned = rows.is_planned[chosen]
    columns[~planned] = np.where(np.isnan(columns[~planned]), -1, columns[~planned])
    shapes: NDArray[np.float64] = np.nan_to_num(columns, nan=-1).round(3)
    return shapes


def _distinct(values: NDArray[np.float64]) -> tuple[list[list[float]], list[int]]:
    """The distinct rows, and which of them each row is."""
    kinds, which = np.unique(values, axis=0, return_inverse=True)
    written = [[int(v) if v == int(v) else v for v in kind] for kind in kinds.tolist()]
    return written, which.ravel().tolist()


def _reasons(
    rows: ReportRows, chosen: NDArray[np.int64]
) -> tuple[list[str], list[str], dict[int, list[int]]]:
    """Codes and reasons, and which of them hold for a clip, by its place in the gallery."""
    codes: dict[str, int] = {}
    reasons: dict[str, int] = {}
    why = {}
    for place, row in enumerate(chosen.tolist()):
        if row in rows.reasons:
            code, reason = rows.reasons[row]
            named = codes.setdefault(escape_unprintable(code), len(codes))
            why[place] = [named, reasons.setdefault(escape_unprintable(reason), len(reasons))]
    return list(codes), _fitting(list(reasons), _REASON_BYTES, _head)[0], why


def _whole(values: NDArray[np.float64]) -> list[int]:
    whole: list[int] = np.nan_to_num(values, nan=-1).round().astype(np.int64).tolist()
    return whole


def _fitting(
    texts: Sequence[str], budget: int, cut: Callable[[str, int], str]
) -> tuple[list[str], int | None]:
    """The texts, cut so that all of them fit; to how many characters that was, if it was."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    a_character = sum(map(_bytes, texts)) / max(1, int(lengths.sum()))
    for limit in _LIMITS:
        if np.minimum(lengths, limit).sum() * a_character > budget and limit > _LIMITS[-1]:
            continue
        shorter = [cut(text, limit) for text in texts]
        if limit == _LIMITS[-1] or sum(map(_bytes, shorter)) <= budget:
            break
    return shorter, limit if (lengths > limit).any() else None


def _bytes(text: str) -> int:
    """As it is written, with what is escaped."""
    if text.isascii():
        return len(text) + 5 * sum(map(text.count, "<>&")) + text.count('"') + text.count("\\") + 3
    return len(json.dumps(text, ensure_ascii=False).translate(_ESCAPES).encode()) + 1


def _head(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _tail(text: str, most: int) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"
