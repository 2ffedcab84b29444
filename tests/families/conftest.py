"""Fixtures of families that only tests define."""

from __future__ import annotations

import pytest

from tests.support.tiny_sonic import Sonic
from videoprep.families.registry import registry


@pytest.fixture
def sonic(monkeypatch: pytest.MonkeyPatch) -> Sonic:
    """The family, as if a plugin had brought it."""
    family = Sonic()
    monkeypatch.setitem(registry().families, "sonic", family)
    return family
