"""Keeps the model libraries quiet: their bars and reports would tear our own progress apart."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from videoprep.gc_pause import gc_paused

# It says for each batch that it casts to float16, which is what it was asked for.
_BITSANDBYTES = logging.getLogger("bitsandbytes")

MODEL_LIBRARIES = ("diffusers", "transformers")


def import_libraries(names: Sequence[str] = MODEL_LIBRARIES) -> None:
    """Imports the model libraries, which takes seconds."""
    with gc_paused():
        for library in names:
            importlib.import_module(f"{library}.utils.logging")


@contextmanager
def quiet_libraries(names: Sequence[str] = MODEL_LIBRARIES) -> Iterator[None]:
    """Diffusers and transformers show only errors, and no bars, while the block runs.

    Args:
        names: those of them that are meant; they are imported.
    """
    import_libraries(names)
    import transformers.utils.logging

    libraries = [importlib.import_module(f"{name}.utils.logging") for name in names]
    verbosities = [library.get_verbosity() for library in libraries]
    bars = transformers.utils.logging.is_progress_bar_enabled()
    level = _BITSANDBYTES.level
    for library in libraries:
        library.disable_progress_bar()
        library.set_verbosity(logging.ERROR)
    _BITSANDBYTES.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for library, verbosity in zip(libraries, verbosities, strict=True):
            library.set_verbosity(verbosity)
            if bars:
                library.enable_progress_bar()
        _BITSANDBYTES.setLevel(level)
