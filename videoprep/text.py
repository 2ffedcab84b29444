"""Text for people: numbers in words, and text of strangers made safe to show."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def counted(number: int, noun: str = "") -> str:
    """A number with its noun, in the plural where it is not one."""
    plural = "s" if noun and number != 1 else ""
    return f"{number:,} {noun}{plural}".rstrip()


def numbered(texts: Sequence[str]) -> list[str]:
    """Return texts, each with its number if there are several, such as ``2 of 3: A cat``."""
    if len(texts) < 2:
        return list(texts)
    return [f"{number} of {len(texts)}: {text}" for number, text in enumerate(texts, 1)]


def written(value: float, digits: int = 2) -> str:
    """A number without zeros at its end."""
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def rounded_parts(parts: Sequence[float], digits: int) -> list[float]:
    """Return the parts of a sum, rounded so that they add up to the sum as it is written.

    Each is rounded up or down; up those whose next digits are the highest.
    """
    unit = 10**digits
    whole = [math.floor(part * unit) for part in parts]
    missing = round(float(f"{sum(parts):.{digits}f}") * unit) - sum(whole)
    highest = sorted(range(len(parts)), key=lambda n: round(whole[n] - parts[n] * unit, 6))
    for n in highest[: max(missing, 0)]:
        whole[n] += 1
    return [count / unit for count in whole]


def short(count: int) -> str:
    """A count that fits on a narrow bar."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.{int(count < 10 * size)}f}{unit}"
    return str(count)


def duration(seconds: float | None, digits: int = 0) -> str:
    """A duration in its two largest units: ``45 s``, ``9 min 20 s``, ``2 h 05 min``, ``3 d 04 h``.

    Args:
        seconds: None, or not finite: not known.
        digits: of seconds below a minute.
    """
    if seconds is None or not math.isfinite(seconds):
        return "?"
    if round(seconds, digits) < 60:
        return f"{written(max(seconds, 0), digits)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, rest = divmod(round(seconds / 60), 60)
    if hours < 24:
        return f"{hours} h {rest:02d} min"
    days, rest = divmod(round(seconds / 3600), 24)
    return f"{days} d {rest:02d} h"


def file_size(count: float) -> str:
    """Bytes in the unit that leaves less than 1000."""
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:.0f} B" if units[0] == "B" else f"{count:.3g} {units[0]}"


def escape_unprintable(text: str, keep: str = "\n") -> str:
    """The text with characters of Unicode's control and format classes written as their codes.

    Escapes, overrides of the writing direction, and lone surrogates, which cannot be written to a
    file, are among them. Those in ``keep`` stay.
    """
    if text.isprintable():  # leaves out more than these classes, and is quick
        return text
    return "".join(
        char
        if char in keep or unicodedata.category(char) not in _UNSEEN
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
