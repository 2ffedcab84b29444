"""Text in pictures: in a font that is there, without characters that steer or hide anything."""

from __future__ import annotations

from functools import cache

from PIL import ImageDraw, ImageFont

from videoprep.text import escape_unprintable

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Looked for by name in the system's folders; Pillow brings a small one of its own.
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
_MOST = 2000


@cache
def font(size: int) -> Font:
    """A font of that height in pixels. A letter that it lacks is drawn as an empty box."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def lines_of(text: str, width: int, size: int, most: int = 2) -> list[str]:
    """The text in lines that are no wider; what is too long ends in dots.

    Args:
        text: of a stranger; line breaks and control characters are spelt out.
        width: in pixels.
        size: of the font.
        most: lines.
    """
    words = escape_unprintable(text[:_MOST], keep="").split(" ")
    lines: list[str] = []
    while words and len(lines) < most:
        count = _fitting(words, width, size)
        if count:
            lines.append(" ".join(words[:count]))
            words = words[count:]
        else:  # one word is too wide: it is cut
            letters = max(1, _fitting(list(words[0]), width, size, ""))
            lines.append(words[0][:letters])
            words[0] = words[0][letters:]
    if words and lines:
        letters = _fitting(list(lines[-1]), width - _width("…", size), size, "")
        lines[-1] = f"{lines[-1][:letters].rstrip()}…"
    return lines


def _fitting(parts: list[str], width: float, size: int, between: str = " ") -> int:
    """How many of the parts fit into a line; found by halving."""
    low, high = 0, len(parts)
    while low < high:
        middle = (low + high + 1) // 2
        if _width(between.join(parts[:middle]), size) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def _width(text: str, size: int) -> float:
    return font(size).getlength(text)


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    color: tuple[int, int, int],
) -> int:
    """Draws a line of text with its upper left corner at a place; gives its width in pixels."""
    safe = escape_unprintable(text, keep="")
    draw.text(place, safe, color, font(size))
    return round(_width(safe, size))
