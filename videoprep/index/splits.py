"""Which clips belong to training and which to validation. Pure functions of the contents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import PlanError

_SHOWN = 5
_DIGITS = 13  # of a fingerprint: 52 bits, which a float holds exactly


def assign_splits(
    contents: Sequence[str | None],
    written: Sequence[str | None],
    videos: Sequence[str],
    shares: Mapping[str, float],
) -> list[str | None]:
    """The split of each clip, by its file's contents: clips of one video, copies too, go together.

    Contents fall by their fingerprint alone: adding a video moves no other.

    Args:
        contents: fingerprint of each clip's file; None for a sample that is skipped.
        written: the split that the lists name; None where they name none.
        videos: names for messages.
        shares: of each split, together 1; empty: only those that are written.

    Raises:
        PlanError: the shares do not sum up to 1; or copies of one video, or clips of it, are
            written in different splits.
    """
    names, bounds = _bounds(shares)
    said = _written_by_contents(contents, written, videos)
    found: list[str | None] = []
    for fingerprint in contents:
        if fingerprint is None:
            found.append(None)
        elif fingerprint in said:
            found.append(said[fingerprint])
        elif names:
            at = int(fingerprint[:_DIGITS], 16) / 16**_DIGITS
            found.append(names[int(np.searchsorted(bounds, at, side="right"))])
        else:
            found.append(None)
    return found


def require_shares(shares: Mapping[str, float]) -> None:
    """Checks that shares are shares.

    Raises:
        PlanError: one is not above 0, or they do not sum up to 1.
    """
    example = "for instance: `split={'train': 0.95, 'val': 0.05}`"
    wrong = [f"{name}={share}" for name, share in shares.items() if not 0 < share <= 1]
    if wrong:
        raise PlanError(f"no share of a dataset: {', '.join(wrong)}", remedy=example)
    total = sum(shares.values())
    if shares and abs(total - 1) > 1e-9:
        raise PlanError(f"the shares of the splits sum up to {total:g}, not to 1", remedy=example)


def _bounds(shares: Mapping[str, float]) -> tuple[list[str], NDArray[np.float64]]:
    """The names in alphabetical order, whatever the order of writing, and where each ends."""
    require_shares(shares)
    names = sorted(shares)
    return names, np.cumsum([shares[name] for name in names])[:-1] if names else np.zeros(0)


def _written_by_contents(
    contents: Iterable[str | None], written: Iterable[str | None], videos: Iterable[str]
) -> dict[str, str]:
    """The split that is written of each video."""
    said: dict[str, tuple[str, str]] = {}
    leaks: list[str] = []
    for fingerprint, split, video in zip(contents, written, videos, strict=True):
        if split is None or fingerprint is None:
            continue
        before, first = said.setdefault(fingerprint, (split, video))
        if before != split:
            leaks.append(f"{first} in {before}, {video} in {split}")
    if leaks:
        raise conflicts(leaks, len(leaks))
    return {fingerprint: split for fingerprint, (split, _) in said.items()}


def conflicts(named: Sequence[str], count: int) -> PlanError:
    """Return the error for videos that are in several splits.

    Args:
        named: the first of them, or all: each with its splits.
        count: how many there are.
    """
    more = f"; and {count - _SHOWN} more" if count > _SHOWN else ""
    return PlanError(
        f"the same video is in several splits: {'; '.join(named[:_SHOWN])}{more}",
        remedy="write one split for all samples of a video and of its copies",
    )
