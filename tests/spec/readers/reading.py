"""What the tests of readers share: folders with files, and what is read from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import videoprep as vp
from videoprep.spec.sample import Listing

VIDEOS = ("a.mp4", "b.mp4", "c.mp4")


def made(root: Path, files: Mapping[str, str | bytes] | None = None) -> Path:
    """Make a folder with three files that are named like videos, and further files."""
    for name, content in {**dict.fromkeys(VIDEOS, b"video"), **(files or {})}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def read(path: Path, **options: Any) -> Listing:
    """Read a dataset, and check that its counts add up."""
    listing = vp.DatasetSpec.from_path(path, **options).listing()
    numbers = {problem.number for problem in listing.problems}
    if None not in numbers:
        assert listing.total == len(listing.samples) + len(numbers)
    assert len(listing.identities) == len(listing.samples)
    return listing


def pairs(listing: Listing) -> dict[str, tuple[str, ...]]:
    """Return the captions of each video."""
    return {sample.name: sample.captions for sample in listing.samples}


def codes(listing: Listing) -> list[tuple[str, int | None]]:
    """Return code and number of each problem."""
    return [(problem.code.value, problem.number) for problem in listing.problems]


def remarks(listing: Listing) -> list[str]:
    """Return the codes of the remarks."""
    return [remark.code.value for remark in listing.remarks]
