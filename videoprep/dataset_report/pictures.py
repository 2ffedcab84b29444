"""Which clips have a picture, and the pictures: of so many clips, in so many bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup
from numpy.typing import NDArray

from videoprep.dataset_report.rows import ReportRows
from videoprep.errors import Code, MediaError, VideoprepError
from videoprep.fs.mirror import remote_of, shown
from videoprep.media.inspect import inspect_all
from videoprep.pages.pictures import strip, thumbnails
from videoprep.text import numbered

if TYPE_CHECKING:
    import os

    from videoprep.previewing.pictures import ClipPicture
    from videoprep.previewing.run import Preview

MOST_PICTURES = 240
"""Clips that have a thumbnail."""

_BYTES, _STRIP_BYTES = 2_000_000, 1_500_000
_OF_A_KIND = 48

# What opening a video does that was skipped or failed for such a reason is known already.
_NOT_OPENED = {Code.TIME_LIMIT.value, Code.DECODER_CRASH.value, Code.MEMORY_LIMIT.value}

# Of a strip: pixels of a frame's longer side, and the JPEG's quality.
_SIDE, _QUALITY = 176, 82


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Pictures of the files' first frames.

    Attributes:
        of_rows: base64 of a JPEG, by the row of the plan.
        looked_for: how many clips one was looked for.
        gone: of those, whose video is not there or is another one now.
        why_none: why there are none at all; None: there may be some.
    """

    of_rows: dict[int, str]
    looked_for: int
    gone: int
    why_none: str | None = None


def pictured(rows: ReportRows, chosen: NDArray[np.int64], most: int = MOST_PICTURES) -> list[int]:
    """The rows that get a picture: the first, the worst of each kind, and an even choice.

    Equal plans give equal choices.
    """
    places = [chosen[:_OF_A_KIND]]
    for loss in (rows.cut[chosen], rows.passed[chosen]):
        order = np.argsort(-np.nan_to_num(loss), kind="stable")[:_OF_A_KIND]
        places.append(chosen[order])
    troubled = chosen[np.isin(chosen, list(rows.reasons))][:_OF_A_KIND]
    places.append(troubled)
    picked = list(dict.fromkeys(np.concatenate(places).tolist()))
    rest = chosen[~np.isin(chosen, picked)]
    left = max(0, most - len(picked))
    if len(rest) > left:
        rest = rest[np.linspace(0, len(rest) - 1, left).astype(np.int64)]
    return sorted([*picked[:most], *rest.tolist()])


def make_thumbnails(rows: ReportRows, wanted: list[int]) -> Thumbnails:
    """Pictures of the videos that are as they were planned. Videos are opened by worker processes.

    Args:
        rows: of the plan.
        wanted: of which rows.
    """
    root = rows.index.data_root
    if remote_of(root) is not None:
        return Thumbnails({}, 0, 0, "the videos are in a remote folder, and are not fetched for it")
    if not root.is_dir():
        return Thumbnails({}, 0, 0, f"the videos' folder is not there any more: {shown(root)}")
    harmless = [row for row in wanted if rows.reasons.get(row, ("",))[0] not in _NOT_OPENED]
    videos = _videos(rows, harmless)
    outside = bool(rows.index.policy.get("allow_outside_root"))
    fit, gone = _as_planned(root, videos, outside=outside)
    made = thumbnails(list(dict.fromkeys(fit.values())))
    found, size = {}, 0
    for row, path in fit.items():
        picture = made.get(path)
        if picture is None or size + len(picture) > _BYTES:
            continue
        found[row] = str(picture).partition(",")[2]
        size += len(picture)
    return Thumbnails(found, len(wanted), gone + len(wanted) - len(harmless))


def _videos(rows: ReportRows, wanted: list[int]) -> dict[int, tuple[str, str | None]]:
    """The video of each row, and the fingerprint it had."""
    table = rows.index.table.select(["video", "fingerprint"]).take(np.asarray(wanted, np.int64))
    pairs = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return dict(zip(wanted, pairs, strict=True))


def _as_planned(
    root: Path, videos: dict[int, tuple[str, str | None]], *, outside: bool
) -> tuple[dict[int, Path], int]:
    """Where the videos lie that are as they were planned, and how many clips have none."""
    paths = {row: root / video for row, (video, _) in videos.items()}
    inside = {row: path for row, path in paths.items() if outside or _is_inside(path, root)}
    there = {row: path for row, path in inside.items() if path.is_file()}
    prints = _fingerprints(root, there.values())
    fit = {
        row: path
        for row, path in there.items()
        if (now := prints[path]) is not None and videos[row][1] in (None, now)
    }
    return fit, len(videos) - len(fit)


def _is_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except OSError:  # a loop of links
        return False


def _fingerprints(root: Path, paths: Iterable[Path]) -> dict[Path, str | None]:
    """What the files hold now; None of one that is no video. Those seen before are not opened."""
    distinct = list(dict.fromkeys(paths))
    inspected = inspect_all(root, distinct)
    return {
        path: None if isinstance(found.media, MediaError) else found.media.fingerprint
        for path, found in zip(distinct, inspected, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Strip:
    """Frames of a clip, and what its latents decode to below them.

    Attributes:
        video: the clip's, and its number where that is not the first.
        captions: the clip's, with their numbers if there are several.
        psnr: in dB, of all frames.
        picture: a data URL.
    """

    video: str
    captions: tuple[str, ...]
    psnr: float | None
    picture: Markup


@dataclass(frozen=True, slots=True)
class Strips:
    """What latents decode to.

    Attributes:
        of_rows: by the row of the plan.
        note: what is to be said of all, or why there are none.
    """

    of_rows: dict[int, Strip]
    note: str


def make_strips(
    rows: ReportRows, store: str, wanted: int | Preview, model: str | os.PathLike[str] | None
) -> Strips:
    """Decodes some clips, spread over the buckets, by the VAE of the store's model.

    Args:
        rows: of the plan that the store follows.
        store: its location.
        wanted: of how many clips; or a preview that was made before.
        model: where the model is; None: where the store says.
    """
    from videoprep.previewing.run import preview

    try:
        seen = (
            preview(store, clips=wanted, model=model, data_root=rows.index.data_root)
            if isinstance(wanted, int)
            else wanted
        )
    except VideoprepError as error:
        return Strips({}, f"No reconstructions: {error.message}.")
    strips, size = {}, 0
    for row, picture in _rows_of(seen.pictures, rows).items():
        measure = picture.measure
        drawn = _strip(picture)
        if drawn is not None and size + len(drawn) <= _STRIP_BYTES:
            size += len(drawn)
            captions = tuple(numbered(measure.clip.captions))
            strips[row] = Strip(measure.name, captions, measure.psnr, drawn)
    lines = [*seen.lines, f"{len(strips)} are shown here"]
    return Strips(dict(sorted(strips.items())), "; ".join(lines) + ".")


def _rows_of(pictures: Iterable[ClipPicture], rows: ReportRows) -> dict[int, ClipPicture]:
    """The row of the plan that each picture is of; none where the plan has changed."""
    clips = {(p.measure.clip.sample, p.measure.clip.number): p for p in pictures}
    table = rows.index.table.select(["sample", "clip"])
    wanted = pa.array([sample for sample, _ in clips], pa.string())
    there = np.flatnonzero(pc.is_in(table["sample"], value_set=wanted).to_numpy())
    pairs = zip(*(column.to_pylist() for column in table.take(there).columns), strict=True)
    numbered = zip(there.tolist(), pairs, strict=True)
    return {row: clips[pair] for row, pair in numbered if pair in clips}


def _strip(picture: ClipPicture) -> Markup | None:
    """The frames in a row, what they decode to below; a data URL."""
    if picture.source is None or picture.decoded is None:
        return None
    return strip(picture.source, picture.decoded, side=_SIDE, quality=_QUALITY)
