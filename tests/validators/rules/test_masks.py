"""VP142 to VP144: masks that are empty, unclear or transparent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import videoprep as vp
from tests.index.test_placement import media
from tests.support.assets import write_video
from tests.support.masks import Pictures, squares, write_mask
from tests.support.rules import check, clip, rule_test, scanned
from videoprep.media.inspect import Inspection
from videoprep.spec.roles import Role
from videoprep.validators.protocol import Subject
from videoprep.validators.rules.masks import EmptyMask, TransparentMask, UnclearMask

MASK = Role("mask:face")


def masked(frames: int = 9, *, alpha: bool = False, **facts: object) -> Subject:
    """A clip of nine frames with a mask of so many, and what decoding that showed."""
    mask = Inspection(media(96, 64, frames, alpha=alpha), "f", scanned(frames, **facts).scan)
    return replace(clip(), _beside={MASK: mask, Role("control"): mask})


BLACK = {"brightness": 0, "contrast": 0}
WHITE = {"brightness": 255, "contrast": 0}
HALF = {"brightness": 127, "contrast": 127}

test_empty_mask = rule_test(
    EmptyMask,
    breaks=[
        masked(**BLACK),
        masked(1, **BLACK),
        masked(**WHITE),
        masked(20, brightness=[0] * 9 + [100] * 11, contrast=[0] * 9 + [120] * 11),
    ],
    clean=[
        masked(**HALF),
        masked(brightness=[0] * 8 + [1], contrast=[0] * 8 + [15]),
        masked(brightness=0, contrast=5),
        masked(**BLACK, alpha=True),
        clip_without := replace(clip(), _beside={}),
    ],
)

test_unclear_mask = rule_test(
    UnclearMask,
    breaks=[masked(brightness=128, contrast=0), masked(brightness=60, contrast=40)],
    clean=[
        masked(**HALF), masked(**BLACK), masked(**WHITE), masked(brightness=128, contrast=110),
        masked(1, brightness=4, contrast=0), clip_without,
    ],
)  # fmt: skip

test_transparent_mask = rule_test(
    TransparentMask, breaks=[masked(alpha=True)], clean=[masked(), clip_without]
)


def test_black_is_worse_than_white() -> None:
    (black,) = check(EmptyMask, masked(**BLACK))
    assert black.message == "its mask:face is black in all frames of 1 of 1 clips"
    assert black.severity.value == "warning"
    (white,) = check(EmptyMask, masked(**WHITE))
    assert white.severity.value == "note"


def colored(pictures: Pictures, color: tuple[int, int, int, int]) -> Pictures:
    """The white of pictures in another colour, RGBA."""
    return (pictures[..., None] // 255 * np.array(color, np.uint8)).astype(np.uint8)


@pytest.mark.parametrize(
    ("pictures", "codes"),
    [
        (squares(9, 96, 64), []),
        (squares(9, 96, 64) * 0, ["VP142"]),
        (squares(9, 96, 64, side=50) // 2, ["VP143"]),
        (colored(squares(9, 96, 64), (255, 255, 255, 255)), ["VP144"]),
    ],
)
def test_masks_of_files_are_looked_at(pictures: Pictures, codes: list[str], tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=9, width=96, height=64)
    write_mask(tmp_path / "m.mkv", pictures, 8)
    (tmp_path / "list.csv").write_text("video,caption,mask\na.mp4,one,m.mkv\n")
    found = vp.validate(
        tmp_path, select=["VP142", "VP143", "VP144"], profile="cogvideox", reshape="resize"
    )
    assert [one.code for one in found.findings] == codes
