"""VP213: claims about what is not there."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.caption_absence import CaptionAbsence

test_caption_absence = rule_test(
    CaptionAbsence,
    breaks=[
        "A street at night. There is no text.",
        "There are no people in the room.",
        "A room. No people are visible.",
        "A forest with no visible text or watermark.",
        "The camera stays still, without any movement.",
        "The clip does not contain any dialogue.",
        "His face is not visible.",
        "The absence of people makes it calm.",
        "A beach with no people.",
    ],
    clean=[
        "A man without a hat.",
        "A sign says “There is no exit”.",
        "No Country for Old Men, poster",
        "A no-parking sign on a wall",
        "A girl runs without hesitation.",
        "A dog that cannot reach its ball.",
        "A notary stamps a paper.",
        "A pianist with no shoes.",
        "",
    ],
)
