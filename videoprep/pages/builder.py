"""How pages for people are written: one base template, escaping, a policy, pictures as data URLs.

A page is one file that asks for nothing else. Captions, paths and messages hold what strangers
wrote: all of it goes through the templates' escaping and `plain_text`, none of it through a script,
and the page's own policy lets a browser run nothing but the script written in its template.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache, partial
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

import videoprep
from videoprep.text import counted, escape_unprintable, file_size, written


@cache
def load_template(package: str, name: str, characters: int = 600) -> Template:
    """Load the template of a page. All that it shows is escaped, and cut; a missing name raises.

    Args:
        package: where its file lies. It may extend and include what lies in `videoprep.pages`.
        name: its file.
        characters: to which any text is cut.
    """
    loaders = [PackageLoader(where, "") for where in (package, "videoprep.pages")]
    shown = partial(plain_text, characters=characters)
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = videoprep.__version__
    environment.filters |= {
        "sha256": _sha256,
        "count": counted,
        "plain": shown,
        "size": file_size,
        "written": written,
    }
    return environment.get_template(name)


def plain_text(value: Any, characters: int = 600) -> Any:
    """Makes visible what could reorder or hide text, and cuts what would flood the page."""
    if isinstance(value, Markup):
        return value  # the template's own, or made in this package
    text = str(value)
    more = f" … and {len(text) - characters:,} more characters"
    shown = escape_unprintable(text[:characters])
    return shown + more if len(text) > characters else shown


def _sha256(block: str) -> str:
    """How a content security policy names a block of the page."""
    return base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()


def jpeg_url(data: bytes) -> Markup:
    """Return a JPEG as a data URL, the one kind of address that a page may load."""
    return Markup("data:image/jpeg;base64,{}").format(base64.b64encode(data).decode())


def shares(parts: Iterable[tuple[str, int]]) -> list[tuple[str, float, float]]:
    """Return the parts of one bar: name, start and width in percent."""
    parts = list(parts)
    whole, start, drawn = max(1, sum(number for _, number in parts)), 0.0, []
    for name, number in parts:
        width = 100 * number / whole
        drawn.append((name, round(start, 3), round(width, 3)))
        start += width
    return drawn
