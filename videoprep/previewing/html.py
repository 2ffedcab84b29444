"""The page: one file with all pictures in it, which loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from videoprep.pages.builder import load_template
from videoprep.pages.pictures import strip
from videoprep.previewing.panels import captions, figures, is_of, panels
from videoprep.previewing.pictures import ClipPicture, Reconstruction

# Of a strip: pixels of a frame's longer side, and the JPEG's quality.
_SIDE, _QUALITY = 224, 88
_WAVE = 1136  # pixels of a waveform's width, as five frames have them
_CHARACTERS = 2000


def page(
    title: str,
    lines: Sequence[str],
    pictures: Sequence[ClipPicture],
    worst: Reconstruction | None = None,
) -> str:
    """A page of all pictures; arguments as those of `sheet`."""
    return load_template("videoprep.previewing", "page.html.j2", _CHARACTERS).render(
        title=title,
        lines=lines,
        pictures=[_shown(one, is_worst=is_of(one, worst)) for one in pictures],
    )


def _shown(picture: ClipPicture, *, is_worst: bool) -> dict[str, Any]:
    measure = picture.measure
    rows = [
        (one.label, None if one.frames is None else strip(one.frames, side=_SIDE, quality=_QUALITY))
        for one in panels(picture)
    ]
    if picture.sound is not None:
        wave = picture.sound.draw(_WAVE, picture.moments)
        rows.append(("sound", strip(wave[None], side=_WAVE, quality=_QUALITY)))
    return {
        "name": measure.name,
        "captions": captions(measure.clip),
        "figures": figures(picture),
        "is_worst": is_worst,
        "faults": measure.faults,
        "rows": rows,
    }
