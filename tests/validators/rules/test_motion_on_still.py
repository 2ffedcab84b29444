"""VP217: words for motion about a clip that stands still."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.rules import check, rule_test, scanned
from videoprep.spec.sample import Extras
from videoprep.validators.protocol import Subject
from videoprep.validators.rules.motion_on_still import MotionOnStill, motion_word

RUNS = "A dog runs along the beach."


def said(caption: str, change: int | list[int], extras: Extras | None = None) -> Subject:
    """A sample of 20 frames at 8 a second with a caption."""
    subject = scanned(20, change=change)
    return replace(
        subject,
        sample=replace(subject.sample, caption=caption, extras=extras or Extras()),
    )


test_motion_on_still = rule_test(
    MotionOnStill,
    breaks=[
        said(RUNS, 0),
        said(RUNS, [255] + [0] * 19),
        said(RUNS, [255] + [0] * 9 + [9] + [0] * 9),
        said(RUNS, [0] * 10 + [40] * 10, Extras(0, 10, "frames")),
    ],
    clean=[
        said(RUNS, 8),
        said(RUNS, [0] * 17 + [40] * 3),
        said("A dog on a beach.", 0),
        said("A photo of a running dog.", 0),
        said(RUNS, [40] * 10 + [0] * 10, Extras(0, 10, "frames")),
        said(RUNS, [0] * 10 + [40] * 10, Extras(10, 20, "frames")),
    ],
)


@pytest.mark.parametrize(
    ("caption", "word"),
    [
        ("Two men are walking.", "walking"),
        ("A bird flies away.", "flies"),
        ("A child spinning a top", "spinning"),
        ("She swims.", "swims"),
        ("Flags flutter, a horse is galloping.", "galloping"),
        ("A man stands motionless while others walk.", None),
        ("A statue of a running man", None),
        ("Running shoes on a table", None),
        ("A sign reads “Walking is good”", None),
        ("A cat sits.", None),
        ("Dance", None),
    ],
)
def test_words_for_motion(caption: str, word: str | None) -> None:
    assert motion_word(caption) == word


def test_seconds_are_counted_by_the_files_rate() -> None:
    still_first = [0] * 10 + [40] * 10
    rate = float(said(RUNS, 0).media.fps)
    assert check(MotionOnStill, said(RUNS, still_first, Extras(0, 10 / rate)))
    assert not check(MotionOnStill, said(RUNS, still_first, Extras(10 / rate, None)))


def test_it_says_the_word_and_the_frames() -> None:
    (found,) = check(MotionOnStill, said(RUNS, 0))
    assert found.message == "the caption says 'runs', but 19 of 19 frames do not move"
