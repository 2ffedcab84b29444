"""What is looked for in captions is found as well where it is looked for quickly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processor_time import least_seconds
from videoprep.validators import phrases
from videoprep.validators.phrases import Phrases

LISTS = Path(__file__).parent / "captions"
CAPTIONS = LISTS.joinpath("english.txt").read_text(encoding="utf-8").splitlines()
FINDERS = (
    phrases.refusal,
    phrases.instructions,
    phrases.claim_of_absence,
    phrases.frame_reference,
    phrases.about_the_video,
)
KINDS = {name: value for name, value in vars(phrases).items() if isinstance(value, Phrases)}
CASES = [
    line.strip().strip('",').encode().decode("unicode_escape", "ignore")
    for file in sorted(Path(__file__).parent.glob("rules/test_caption_*.py"))
    for line in file.read_text(encoding="utf-8").splitlines()
    if line.startswith(8 * " ") and line.isascii()
]


@pytest.mark.parametrize("name", KINDS)
def test_every_phrase_has_a_hint(name: str) -> None:
    kind = KINDS[name]
    assert len(CASES) > 100
    found = [text for text in [*CAPTIONS, *CASES] if kind.pattern.search(text)]
    assert len(found) >= 1
    assert [text for text in found if not any(hint in text.lower() for hint in kind.hints)] == []


def test_captions_that_people_wrote_are_let_pass() -> None:
    """What is found in them is what they have in common with a model's answer."""
    found = {caption for caption in CAPTIONS for finder in FINDERS if finder(caption)}
    assert {caption.split()[0] for caption in found} == {"The", "This", "Caption:", '{"caption":'}
    assert len(found) == 4


@pytest.mark.parametrize("finder", FINDERS, ids=lambda finder: finder.__name__)
@pytest.mark.parametrize(
    "unit",
    [
        *("the ", "no ", "not ", "frame ", "the first ", "“", '"', "i'm sorry ", "it seems ", "a"),
        *(
            "without any ",
            "the video ",
            "in the ",
            "with no ",
            "1:00 ",
            "[1:0",
            "here is a ",
            "the user",
        ),
    ],
)
def test_long_captions_take_linear_time(finder: object, unit: str) -> None:
    assert callable(finder)
    check = finder

    def seconds(size: int) -> float:
        caption = "no frame of the video: " + (unit * size)[:size]
        return least_seconds(lambda: check(caption))

    assert seconds(200_000) < max(24 * seconds(25_000), 0.5)
