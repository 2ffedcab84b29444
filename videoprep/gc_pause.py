"""Python's garbage collector, where it would only be in the way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Spares the collector from going through millions of new objects, none of them garbage.

    For making large lists, and for the imports of torch, diffusers and transformers, which take a
    fifth less time so.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
