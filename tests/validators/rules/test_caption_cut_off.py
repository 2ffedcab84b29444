"""VP216: captions that end in the middle of a sentence."""

from __future__ import annotations

from tests.support.rules import check, rule_test
from videoprep.validators.protocol import Severity
from videoprep.validators.rules.caption_cut_off import CaptionCutOff

LONG = "A woman in a red coat walks slowly along a wet street at night. " * 3

test_caption_cut_off = rule_test(
    CaptionCutOff,
    breaks=[
        "A man walks his dog along the",
        "A man in a long coat and",
        "A man walks his dog. The dog runs towards",
        "A man walks his dog. He stops, looks at it,",
        "A man walks his dog. It is made of",
        LONG + "She stops at a crossing and looks at the passing tram",
    ],
    clean=[
        "A cat",
        "cat, dog, bird",
        "cat, dog, bird,",
        "A plane takes off",
        "A man looks at her",
        "people walk by",
        "A boy has a new ball to play with",
        "vitamin A",
        "Plan A and plan B",
        "A man walks. A dog runs",
        "THE END OF THE ROAD AND THE",
        "A man walks his dog along the beach.",
        "A man walks. A ball lies on the ground to play with.",
        LONG,
        "一只猫坐在垫子上",
        "...",
        "",
    ],
)


def test_a_missing_full_stop_is_a_note_only() -> None:
    (found,) = check(CaptionCutOff, LONG + "She stops at a crossing and looks at the passing tram")
    assert found.severity is Severity.NOTE
    (found,) = check(CaptionCutOff, "A man walks his dog along the")
    assert (found.severity, found.message) == (
        Severity.WARNING,
        "the caption ends in the middle of a sentence, at 'the'",
    )
