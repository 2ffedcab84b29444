"""VP202: captions in other languages."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.not_english import NotEnglish

test_not_english = rule_test(
    NotEnglish,
    breaks=[
        "Ein Hund läuft langsam am Strand entlang.",
        "一只猫在沙发上睡觉",
        "Кот спит на диване",
    ],
    clean=["A dog.", "sks dog", 'A sign that says "Bonjour le monde"', "Tokyo"],
)
