"""VP210: captions that repeat themselves."""

from __future__ import annotations

import random

import pytest

from tests.support.processor_time import least_seconds
from tests.support.rules import check, rule_test
from videoprep.validators.rules.caption_loop import CaptionLoop

STEADY = (
    "A woman in a red coat walks slowly along a wet street at night. She stops at a crossing. She "
    "looks left, she looks right, and she walks on. A tram passes, and the lights of the tram "
    "glide over the wet street."
)
SENTENCES = ["A red car drives on.", "It rains a lot on a street.", "A man waits for the bus."]
# Every sentence again and again, but in another order each time.
SHUFFLED = " ".join(random.Random(7).choices(SENTENCES, k=16))

test_caption_loop = rule_test(
    CaptionLoop,
    breaks=[
        "the man walks " * 3,
        "A cat sits on a mat. " * 3,
        "A dog, a dog, a dog, a dog",
        "very very very very very",
        "A man runs. The camera pans left and then right. " * 4 + "The camera",
        f"{STEADY} and the and the and the and the",
        "一只猫坐在垫子上" * 20,
        "ha" * 30,
        SHUFFLED,
    ],
    clean=[
        "A cat.",
        "very, very, very slowly",
        "knock knock knock knock",
        "row, row, row your boat",
        "a dog, a dog, a dog",
        "cat, dog, bird, " + ", ".join(f"tag {n}" for n in range(40)),
        "A man lifts a box, a man lifts a chair, a man lifts a table.",
        STEADY,
        "Noooooooooooo",
        "https://example.com/" + "abcdefghijklmnop" * 5,
        "",
    ],
)  # fmt: skip


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("the man walks " * 5, "the caption repeats 'the man walks' 5 times in a row"),
        ("A dog. " * 7, "the caption repeats 'a dog' 7 times in a row"),
        ("ha" * 30, "the caption repeats 'ha' 20 times or more"),
    ],
)
def test_it_names_the_phrase(caption: str, message: str) -> None:
    assert [finding.message for finding in check(CaptionLoop, caption)] == [message]


@pytest.mark.parametrize("unit", ["walks ", "a b ", "x", "ab", "one two three four five six "])
def test_long_captions_take_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        caption = (unit * size)[:size]
        assert check(CaptionLoop, caption)
        return least_seconds(lambda: check(CaptionLoop, caption))

    assert seconds(200_000) < max(24 * seconds(25_000), 1.0)


def test_a_long_caption_of_different_words_takes_linear_time() -> None:
    words = random.Random(0).choices([f"word{n}" for n in range(500)], k=40_000)
    assert not check(CaptionLoop, " ".join(words))
    assert least_seconds(lambda: check(CaptionLoop, " ".join(words))) < 2
