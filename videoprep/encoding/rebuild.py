"""Finds a lost unit again: which artifacts it had, from its name and what is known around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from videoprep.encoding.units import Items, Unit, plan_units, unit_of

_MOST_TRIES = 16


@dataclass(frozen=True, slots=True)
class Again:
    """A unit that is to be made anew.

    Attributes:
        unit: which one.
        attempts: for artifacts that had failed before it, how often they were.
    """

    unit: Unit
    attempts: Mapping[str, int]


@dataclass(frozen=True)
class Rebuilder:
    """Finds units of one component. A unit's name is a hash, and tells whether a guess is right.

    Attributes:
        items: all artifacts of the plan.
        tried: how often artifacts have failed, as far as anything that is left tells.
    """

    items: Items
    tried: Mapping[str, int] = field(default_factory=dict)

    def find(self, name: str, keys: Sequence[str]) -> Again | None:
        """The unit of a name.

        Args:
            name: the unit's.
            keys: artifacts that it had; there may have been more.

        Returns:
            None where the plan has changed so much that it cannot be found.
        """
        if name in self._fresh:
            return Again(self._fresh[name], {})
        for level in range(min(_MOST_TRIES, max(self.tried.values(), default=0)) + 1):
            attempts = {key: min(tries, level) for key, tries in self.tried.items() if level}
            for guess in self._guesses(keys):
                unit = unit_of(self.items, pa.array(guess, pa.string()), attempts)
                if unit is not None and unit.name == name:
                    return Again(unit, attempts)
        return None

    @cached_property
    def _fresh(self) -> Mapping[str, Unit]:
        """The units into which the plan is cut where nothing is there yet."""
        return {unit.name: unit for unit in plan_units(self.items, pa.array([], pa.string()), {})}

    def _guesses(self, keys: Sequence[str]) -> Iterator[Sequence[str]]:
        """The keys, and with them what else of a bucket ever failed."""
        yield keys
        for more in self._tried_by_bucket:
            yield [*keys, *more]

    @cached_property
    def _tried_by_bucket(self) -> Sequence[Sequence[str]]:
        keys = list(self.tried)
        places = pc.index_in(pa.array(keys, pa.string()), value_set=self.items.keys).to_pylist()
        buckets: dict[int, list[str]] = {}
        for key, place in zip(keys, places, strict=True):
            if place is not None:
                buckets.setdefault(int(self.items.groups[place]), []).append(key)
        return list(buckets.values())


def keys_of(items: Items, unit: Unit) -> list[str]:
    """The artifacts of a unit."""
    mine = pc.is_in(pa.array(items.rows), value_set=pa.array(unit.rows))
    keys: list[str] = items.keys.filter(mine).to_pylist()
    return keys
