"""VP208: text that was read in a wrong encoding."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.mojibake import Mojibake

test_mojibake = rule_test(
    Mojibake,
    breaks=["a clock in a caf\u00c3\u00a9", "\u00ff\u00feA dog runs", "a dog\ufffds bone"],
    clean=["a clock in a café", "A dog", "猫", "naïve – “quoted”"],
)
