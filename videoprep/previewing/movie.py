"""The movie: one clip after the other, source on the left, reconstruction right of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from videoprep.exporters.media.video_file import writing_frames
from videoprep.fs.atomic import Writer
from videoprep.index.clip import Clip
from videoprep.previewing.lettering import lines_of, write
from videoprep.previewing.panels import Panel, captions, decibels, panels
from videoprep.previewing.pictures import ClipPicture

_PAGE, _INK, _SOFT, _BAD = (18, 21, 26), (230, 234, 239), (155, 166, 179), (255, 138, 128)

# Pixels: a cell is no larger, and a small clip grows to about this.
_CELL, _GAP, _LINE, _LARGE, _SMALL = 480, 8, 20, 15, 13
_HEAD = 3 * _LINE + 8  # a name and two lines of one caption; more if a clip has more captions
_MOST_CAPTIONS = 8
_WAVE = 72  # of the sound below the frames, if a clip has any

# A clip that is over in a moment is shown again, for so long at least.
_SECONDS = 3
_MOST_RATE = 60


def movie(clips: Sequence[Clip], pictures: Iterable[ClipPicture]) -> Writer:
    """Writes an MP4 of all frames of all pictures, each clip at its own pace.

    Args:
        clips: all of them, whose sizes and rates decide those of the movie.
        pictures: the same clips with all their frames; no two are in memory at a time.
    """
    cell = _cell_size(clips)
    rate = min(max(map(_pace, clips)), Fraction(_MOST_RATE))
    wave = _WAVE if any(clip.has_audio for clip in clips) else 0
    more = min(_MOST_CAPTIONS, max(len(clip.captions) for clip in clips)) - 2
    top = _HEAD + max(0, more) * _LINE
    size = top + cell[0] + wave, _width(_columns(clips), cell)
    frames = (frame for picture in pictures for frame in _frames(picture, cell, rate, size, top))
    height, width = size
    # H.264 halves the colours' sides.
    return writing_frames(frames, (height + height % 2, width + width % 2), rate)


def _pace(clip: Clip) -> Fraction:
    """Frames a second at which a clip is shown; a still image has none, and is shown as long."""
    return Fraction(1) if clip.is_still else clip.rate


def _columns(clips: Sequence[Clip]) -> int:
    """How many cells lie side by side: source, reconstruction, and what clips have beside."""
    return 2 + max(sum(one.pixels is not None for one in clip.beside) for clip in clips)


def _width(columns: int, cell: tuple[int, int]) -> int:
    return columns * (cell[1] + _GAP) - _GAP


def _cell_size(clips: Sequence[Clip]) -> tuple[int, int]:
    """Height and width of the room in which every clip fits."""
    sizes = [_scaled(clip.bucket.height, clip.bucket.width) for clip in clips]
    return max(height for height, _ in sizes), max(width for _, width in sizes)


def _scaled(height: int, width: int) -> tuple[int, int]:
    side = max(height, width)
    if side <= _CELL:
        times = _CELL // side
        return height * times, width * times
    return max(1, round(height * _CELL / side)), max(1, round(width * _CELL / side))


def _frames(
    picture: ClipPicture, cell: tuple[int, int], rate: Fraction, size: tuple[int, int], top: int
) -> Iterator[NDArray[np.uint8]]:
    clip = picture.measure.clip
    count = len(picture.frames)
    pace = _pace(clip)
    rounds = max(1, -(-int(_SECONDS * pace) // count))
    moments = max(1, round(rounds * count * rate / pace))
    head = _head(picture, size[1], top)
    sides = panels(picture)
    for moment in range(moments):
        place = int(moment * pace / rate) % count
        frame = _frame(head, sides, place, cell, size)
        room = size[0] - top - cell[0] - _GAP
        if picture.sound is not None and room > 0:
            drawn = Image.fromarray(picture.sound.draw(head.width, [place / count]))
            frame.paste(drawn.resize((head.width, room)), (0, top + cell[0] + _GAP))
        yield np.asarray(frame)


def _frame(
    head: Image.Image,
    sides: tuple[Panel, ...],
    place: int,
    cell: tuple[int, int],
    size: tuple[int, int],
) -> Image.Image:
    height, width = size
    page = Image.new("RGB", (width + width % 2, height + height % 2), _PAGE)
    page.paste(head, (0, 0))
    for number, panel in enumerate(sides):
        left = number * (cell[1] + _GAP)
        if panel.frames is None:
            write(
                ImageDraw.Draw(page),
                (left + 8, head.height + 8),
                f"no {panel.label}",
                _SMALL,
                _SOFT,
            )
            continue
        shown = Image.fromarray(np.ascontiguousarray(panel.frames[place]))
        page.paste(_fitted(shown, cell), (left, head.height))
    return page


def _fitted(frame: Image.Image, cell: tuple[int, int]) -> Image.Image:
    scale = min(cell[0] / frame.height, cell[1] / frame.width)
    size = max(1, int(frame.width * scale)), max(1, int(frame.height * scale))
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR
    return frame.resize(size, how)


def _head(picture: ClipPicture, width: int, height: int) -> Image.Image:
    measure = picture.measure
    head = Image.new("RGB", (width, height), _PAGE)
    draw = ImageDraw.Draw(head)
    said = f"{decibels(measure)} · " if measure.psnr is not None else ""
    faults = ", ".join(fault.kind for fault in measure.faults)
    first = [
        (line, _LARGE, _BAD if faults else _INK)
        for line in lines_of(
            f"{said}{faults + ' · ' if faults else ''}{measure.name}", width - 8, _LARGE, 1
        )
    ]
    rest = [(line, _SMALL, _SOFT) for line in _caption_lines(measure.clip, width - 8)]
    for number, (text, size, color) in enumerate([*first, *rest]):
        write(draw, (4, 4 + number * _LINE), text, size, color)
    return head


def _caption_lines(clip: Clip, width: int) -> list[str]:
    """Two lines of a caption, or one of each of several."""
    texts = captions(clip)
    if len(texts) == 1:
        return lines_of(texts[0], width, _SMALL)
    over = len(texts) - _MOST_CAPTIONS
    if over > 0:
        texts = [*texts[: _MOST_CAPTIONS - 1], f"and {over + 1} more captions"]
    return [line for text in texts for line in lines_of(text, width, _SMALL, 1)]
