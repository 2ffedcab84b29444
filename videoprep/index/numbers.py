"""Series of whole numbers as short text: frame numbers and ticks of millions of clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def to_text(numbers: NDArray[np.integer]) -> str:
    """``start:stop:step`` where the numbers are evenly spaced, else ``n,n,n``.

    As in Python, ``stop`` is not reached, and ``:1`` is left out.
    """
    if len(numbers) > 1:
        first, last = int(numbers[0]), int(numbers[-1])
        step, rest = divmod(last - first, len(numbers) - 1)
        if step > 0 and not rest and bool((np.diff(numbers) == step).all()):
            return f"{first}:{last + 1}" + (f":{step}" if step != 1 else "")
    return ",".join(map(str, numbers.tolist()))


def from_text(text: str) -> Sequence[int]:
    """The inverse of `to_text`.

    Raises:
        ValueError: the text is of neither form.
    """
    if ":" in text:
        return range(*(int(part) for part in text.split(":")))
    return [int(part) for part in text.split(",")]
