"""Where the user's caches lie."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """Return the folder of all caches of the user: ``XDG_CACHE_HOME``, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def user_cache() -> Path:
    """Return videoprep's folder in the user's cache."""
    return cache_home() / "videoprep"
