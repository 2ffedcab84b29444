"""How pages for people are written: escaping, policies, and what untrusted text made harmless."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from videoprep.text import counted, escape_unprintable, sized, written

_CHARACTERS = 600


def page_environment(loader: BaseLoader, shown: Callable[[Any], Any]) -> Environment:
    """Reads templates of pages: what they show is escaped, and a name that is missing is an error.

    Args:
        loader: finds them.
        shown: escapes untrusted text; all that a page shows goes through it.
    """
    environment = Environment(
        loader=loader,
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sha256"] = _sha256
    return environment


def load_template(name: str, package: str = "videoprep.pages") -> Template:
    """A page's template. All that it shows is escaped and cut to 600 characters.

    Args:
        name: its file.
        package: where that lies; it may include what lies in this package.
    """
    loaders = [PackageLoader(where, "") for where in (package, "videoprep.pages")]
    environment = page_environment(ChoiceLoader(loaders), plain_text)
    environment.filters["count"] = counted
    environment.filters["plain"] = plain_text
    environment.filters["size"] = sized
    environment.filters["written"] = written
    return environment.get_template(name)


def plain_text(value: Any) -> Any:
    """Makes visible what could reorder or hide text, and cuts what would flood the page."""
    if isinstance(value, Markup):
        return value  # the template's own, or made in this package
    text = str(value)
    more = f" … and {len(text) - _CHARACTERS:,} more characters"
    shown = escape_unprintable(text[:_CHARACTERS])
    return shown + more if len(text) > _CHARACTERS else shown


def _sha256(block: str) -> str:
    """How a content security policy names a block of the page."""
    return base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
