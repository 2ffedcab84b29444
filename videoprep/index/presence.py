"""Which components each clip lacks: clips with sound and clips without it in one dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videoprep.families.component import Component, ordered

_MOST = 16


@dataclass(frozen=True, slots=True, eq=False)
class ComponentPresence:
    """Which of the components that a clip may lack each item lacks.

    For example, if only the second of three clips has no sound, ``kinds`` is ``((), ("SOUND",))``,
    with the component's name for SOUND, and ``codes`` is ``[0, 1, 0]``.
    """

    kinds: tuple[tuple[Component, ...], ...]
    """What items lack: those of each kind the same components."""
    codes: NDArray[np.int32]
    """Int32 ``[items]``: the kind of each item, as its position in ``kinds``."""

    @classmethod
    def of(cls, there: Mapping[Component, NDArray[np.bool_]]) -> ComponentPresence | None:
        """Return what items lack; None if all of them lack the same components, or none.

        Args:
            there: whether each item has a component, bool ``[items]``, by component.
        """
        names = ordered(there)
        if not names or not any(0 < int(there[name].sum()) < len(there[name]) for name in names):
            return None
        assert len(names) <= _MOST  # noqa: S101 (a family has a handful)
        lacks = sum((~there[name]).astype(np.int32) << n for n, name in enumerate(names))
        there_are = np.bincount(lacks) > 0  # much faster than sorting millions
        kinds = [
            tuple(name for n, name in enumerate(names) if number >> n & 1)
            for number in np.flatnonzero(there_are).tolist()
        ]
        return cls(tuple(kinds), (np.cumsum(there_are, dtype=np.int32) - 1)[lacks])

    def parts(
        self, items: NDArray[np.int32]
    ) -> Iterator[tuple[tuple[Component, ...], NDArray[np.int32]]]:
        """Yield what items lack, and those that lack the same.

        Args:
            items: int32 ``[items]``: their numbers.
        """
        codes = self.codes[items]
        for code, lacks in enumerate(self.kinds):
            some = items[codes == code]
            if len(some):
                yield lacks, some
