"""The page: one file with all pictures in it, which loads nothing and runs nothing.

Captions, paths and messages are strangers': all of them go through the template's escaping and
`escape`, and the page's own policy lets a browser run no script at all.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from jinja2 import PackageLoader, Template
from markupsafe import Markup
from PIL import Image

import videoprep
from videoprep.pages.builder import page_environment
from videoprep.previewing.panels import panels
from videoprep.previewing.pictures import ClipPicture, Frames, Reconstruction
from videoprep.previewing.words import figures, is_of
from videoprep.text import escape_unprintable

# A frame in a page is no larger, in pixels a side.
_SIDE = 224
_QUALITY = 88
_GAP = 4
_CHARACTERS = 2000


def page(
    title: str,
    lines: Sequence[str],
    pictures: Sequence[ClipPicture],
    worst: Reconstruction | None = None,
) -> str:
    """A page of all pictures; arguments as those of `sheet`."""
    return _template().render(
        title=title,
        lines=lines,
        pictures=[_shown(one, is_worst=is_of(one, worst)) for one in pictures],
        version=videoprep.__version__,
    )


def strip(frames: Frames) -> Markup:
    """Frames side by side as the data URL of a JPEG.

    Args:
        frames: uint8 ``[F, H, W, 3]``.
    """
    images = [_small(Image.fromarray(np.ascontiguousarray(frame))) for frame in frames]
    width = sum(image.width + _GAP for image in images) - _GAP
    row = Image.new("RGB", (width, images[0].height), "grey")
    for number, image in enumerate(images):
        row.paste(image, (number * (image.width + _GAP), 0))
    file = io.BytesIO()
    row.save(file, "JPEG", quality=_QUALITY)
    data = base64.b64encode(file.getvalue()).decode()
    return Markup("data:image/jpeg;base64,{}").format(data)


def _small(image: Image.Image) -> Image.Image:
    side = max(image.size)
    if side > _SIDE:
        scale = _SIDE / side
        return image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))),
            Image.Resampling.LANCZOS,
        )
    times = max(1, _SIDE // side)
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def _shown(picture: ClipPicture, *, is_worst: bool) -> dict[str, Any]:
    measure = picture.measure
    rows = [
        (panel.label, None if panel.frames is None else strip(panel.frames))
        for panel in panels(picture)
    ]
    return {
        "name": measure.name,
        "caption": measure.clip.caption,
        "figures": figures(picture),
        "is_worst": is_worst,
        "faults": measure.faults,
        "rows": rows,
    }


@cache
def _template() -> Template:
    environment = page_environment(PackageLoader("videoprep.previewing", ""), _plain)
    return environment.get_template("page.html.j2")


def _plain(value: Any) -> Any:
    if isinstance(value, Markup):
        return value  # the template's own, or made in this file
    text = str(value)
    return escape_unprintable(text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]} …")
