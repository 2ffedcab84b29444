"""VP139: a sound track of which nothing decodes."""

from __future__ import annotations

from dataclasses import replace

from tests.support.rules import file, rule_test, with_sound
from videoprep.validators.rules.undecodable_sound import UndecodableSound

WHY = "no sample of it can be decoded"

test_undecodable_sound = rule_test(
    UndecodableSound,
    breaks=[with_sound(file(), error=WHY)],
    clean=[
        replace(file(), _beside={}),
        with_sound(file()),
        with_sound(file(), error=WHY, rate=None),
    ],
)
