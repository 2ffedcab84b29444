"""Dataset configs of other trainers, written and read; and files as trainers see them."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.support.assets import write_video
from videoprep.errors import Problem, SpecError
from videoprep.families.profile import DEFAULT
from videoprep.families.wan import FAMILY as WAN
from videoprep.spec.configs.contract import Footage, Forecast
from videoprep.spec.dataset_group import DatasetGroup, GroupedDataset
from videoprep.spec.sample import Listing

WAN_RULES = WAN.profile
ANY_RULES = DEFAULT


def footage(
    width: int, height: int, frames: int = 1, rate: int | None = None, **facts: Any
) -> Footage:
    """A file; without a rate a still image."""
    announced = facts.pop("announced", frames)
    return Footage(
        width, height, frames, announced, None if rate is None else Fraction(rate), **facts
    )


def write_media(folder: Path, *names: str, frames: int = 9, caption: str = ".txt") -> Path:
    """Write tiny videos, each with its name as the caption beside it."""
    for name in names:
        path = folder / name
        write_video(path, frames=frames, fps=16)
        Path(os.path.splitext(path)[0] + caption).write_text(path.stem)
    return folder


def group_of(path: Path, text: str, **options: Any) -> DatasetGroup:
    """The datasets of a config that is written there."""
    path.write_text(text, encoding="utf-8")
    return DatasetGroup.from_path(path, **options)


def refused(path: Path, text: str | bytes) -> SpecError:
    """The error of a config that is written there."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as caught:
        DatasetGroup.from_path(path).members()
    return caught.value


def notes(group: DatasetGroup) -> list[tuple[int | None, str | None, str]]:
    """Line, severity and message of what is said about keys."""
    return [(one.line, one.severity, one.message) for one in group.config_notes]


def note_of(group: DatasetGroup, words: str) -> Problem:
    """The only note that says so."""
    (found,) = [one for one in group.config_notes if words in one.message]
    return found


def listing(one: GroupedDataset) -> Listing:
    """What a dataset's folder holds."""
    return one.spec.listing()


def captions(one: GroupedDataset) -> dict[str, tuple[str, ...]]:
    """The captions of each file of a dataset."""
    return {sample.name: sample.captions for sample in listing(one).samples}


def shapes(forecast: Forecast) -> list[tuple[str, int, int]]:
    """Bucket, first and last frame of each clip."""
    return [(one.bucket, one.source[0], one.source[-1]) for one in forecast.clips]
