"""VP127: files that are copies of each other."""

from __future__ import annotations

from tests.index.test_placement import media
from tests.support.rules import overview, rule_test, sample
from videoprep.validators.overview import Overview
from videoprep.validators.rules.same_content import SameContent


def _files(*fingerprints: str, identities: list[int] | None = None) -> Overview:
    over = overview(*fingerprints, identities=identities)
    bare = Overview(over.list_file, over.total, over.samples, over.identities)
    for fingerprint in fingerprints:
        bare.add(sample(), media(96, 64, 9, fingerprint=fingerprint * 32), None)
    return bare


test_same_content = rule_test(
    SameContent,
    breaks=[_files("a", "b", "a")],
    clean=[_files("a", "b"), _files("a", "a", identities=[5, 5])],  # one file, named twice
)
