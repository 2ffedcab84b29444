"""The contact sheet: a PNG with a band for each clip, its frames in a row above their like."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from videoprep.previewing.lettering import lines_of, write
from videoprep.previewing.panels import Panel, captions, figures, is_of, panels
from videoprep.previewing.pictures import ClipPicture, Reconstruction
from videoprep.previewing.waveform import Waveform

Color = tuple[int, int, int]

_PAGE, _INK, _SOFT, _BAD, _EMPTY = (
    (18, 21, 26),
    (230, 234, 239),
    (155, 166, 179),
    (255, 138, 128),
    (36, 42, 51),
)

# Pixels.
_CELL, _LABEL, _GAP, _MARGIN = 224, 84, 6, 20
_LARGE, _SMALL, _LINE = 17, 13, 22
_LEAST_WIDTH = 640


def sheet(
    title: str,
    lines: Sequence[str],
    pictures: Sequence[ClipPicture],
    worst: Reconstruction | None = None,
) -> bytes:
    """A PNG of all pictures, one below the other.

    Args:
        title: what they are of.
        lines: what is said of all of them.
        pictures: with as many frames each as fit in a row.
        worst: which of them is marked.
    """
    bands = [_band(one, is_worst=is_of(one, worst)) for one in pictures]
    width = max([_LEAST_WIDTH, *(band.width for band in bands)]) + 2 * _MARGIN
    head = _head(title, lines, width - 2 * _MARGIN)
    parts = [head, *bands]
    height = sum(part.height + _MARGIN for part in parts) + _MARGIN
    page = Image.new("RGB", (width, height), _PAGE)
    top = _MARGIN
    for part in parts:
        page.paste(part, (_MARGIN, top))
        top += part.height + _MARGIN
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _head(title: str, lines: Sequence[str], width: int) -> Image.Image:
    written = [(line, _LARGE, _INK) for line in lines_of(title, width, _LARGE)]
    for text in lines:
        written += [(line, _SMALL, _SOFT) for line in lines_of(text, width, _SMALL)]
    return _written(written, width)


def _band(picture: ClipPicture, *, is_worst: bool) -> Image.Image:
    """A clip: what it is, its frames, and their like."""
    both = [(panel.label, _cells(panel, picture)) for panel in panels(picture)]
    across = max(cell.width for _, cells in both for cell in cells)
    rows = [_row(label, cells, across) for label, cells in both]
    if picture.sound is not None:
        rows.append(_sound_row(picture.sound, picture.moments, rows[0].width))
    width = max(_LEAST_WIDTH, *(row.width for row in rows))
    measure = picture.measure
    name = f"{measure.name} · the worst" if is_worst else measure.name
    about = [(line, _LARGE, _INK) for line in lines_of(name, width, _LARGE, 1)]
    about += [(line, _SMALL, _SOFT) for line in lines_of(figures(picture), width, _SMALL)]
    for fault in measure.faults:
        text = f"{fault.kind}: {fault.what}"
        about += [(line, _SMALL, _BAD) for line in lines_of(text, width, _SMALL)]
    for text in captions(measure.clip):
        about += [(line, _SMALL, _INK) for line in lines_of(text, width, _SMALL)]
    head = _written(about, width)
    band = Image.new("RGB", (width, head.height + sum(row.height + _GAP for row in rows)), _PAGE)
    band.paste(head, (0, 0))
    top = head.height + _GAP
    for row in rows:
        band.paste(row, (0, top))
        top += row.height + _GAP
    return band


def _written(lines: Sequence[tuple[str, int, Color]], width: int) -> Image.Image:
    drawn = Image.new("RGB", (width, _LINE * max(1, len(lines))), _PAGE)
    draw = ImageDraw.Draw(drawn)
    for number, (text, size, color) in enumerate(lines):
        write(draw, (0, number * _LINE), text, size, color)
    return drawn


def _row(label: str, cells: Sequence[Image.Image], across: int) -> Image.Image:
    """A label, and frames beside it, each in a column of its own."""
    width = _LABEL + len(cells) * (across + _GAP) - _GAP
    row = Image.new("RGB", (width, max(cell.height for cell in cells)), _PAGE)
    write(ImageDraw.Draw(row), (0, 2), label, _SMALL, _SOFT)
    for number, cell in enumerate(cells):
        row.paste(cell, (_LABEL + number * (across + _GAP), 0))
    return row


def _sound_row(sound: Waveform, moments: Sequence[float], width: int) -> Image.Image:
    """The sound over the width of the frames, with a line where each of them is shown."""
    wave = Image.fromarray(sound.draw(width - _LABEL, moments))
    row = Image.new("RGB", (width, wave.height), _PAGE)
    write(ImageDraw.Draw(row), (0, 2), "sound", _SMALL, _SOFT)
    row.paste(wave, (_LABEL, 0))
    return row


def _cells(panel: Panel, picture: ClipPicture) -> list[Image.Image]:
    if panel.frames is not None:
        return [_cell(Image.fromarray(np.ascontiguousarray(frame))) for frame in panel.frames]
    bucket = picture.measure.clip.bucket
    empty = _cell(Image.new("RGB", (bucket.width, bucket.height), _EMPTY))
    write(ImageDraw.Draw(empty), (8, 8), "none", _SMALL, _SOFT)
    return [empty] * len(picture.frames)


def _cell(frame: Image.Image) -> Image.Image:
    """A frame as large as a cell: small ones grow by whole numbers, so that pixels stay seen."""
    side = max(frame.size)
    if side <= _CELL:
        times = _CELL // side
        return frame.resize((frame.width * times, frame.height * times), Image.Resampling.NEAREST)
    size = tuple(max(1, round(length * _CELL / side)) for length in frame.size)
    return frame.resize((size[0], size[1]), Image.Resampling.LANCZOS)
