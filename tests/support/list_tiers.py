"""A plugin of pytest that prints which tests run and which are left, with their marks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest


def _show(what: str, items: Sequence[pytest.Item]) -> None:
    for item in items:
        print(what, item.nodeid.partition("::")[0], *(mark.name for mark in item.iter_markers()))


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    _show("LEFT", items)


def pytest_collection_finish(session: pytest.Session) -> None:
    _show("RUN", session.items)
