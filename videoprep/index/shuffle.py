"""Shuffling by hashes of counters: the same on every machine and with every version of numpy.

numpy does not promise that its generators give equal streams in all versions; ranks that differ in
it would then batch different clips. Whole numbers modulo 2⁶⁴ are the same everywhere.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)


def key_of(*parts: str | int) -> int:
    """64 bits that stand for the parts."""
    text = json.dumps(parts).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


def hashes(key: int, numbers: NDArray[np.integer]) -> NDArray[np.uint64]:
    """SplitMix64's outputs of these numbers, from the state ``key``: uint64 ``[numbers]``.

    For one key no two numbers have the same hash: each step below can be undone.
    """
    mixed = numbers.astype(np.uint64)
    mixed += np.uint64(1)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed += np.uint64(key)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def permutation(key: int, count: int) -> NDArray[np.intp]:
    """The numbers below ``count`` in the order of their hashes: intp ``[count]``."""
    # No two hashes are equal, so every way of sorting gives the same order: the fastest may do it.
    return np.argsort(hashes(key, np.arange(count, dtype=np.uint64)))


def whole_part_of_sum(
    factor: int, fractions: NDArray[np.uint64], phases: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """The floor of ``factor × fraction + phase``, exactly.

    Args:
        factor: below 2³².
        fractions: in units of 2⁻⁶⁴.
        phases: in units of 2⁻⁶⁴.

    Returns:
        int64, of the shape of both.
    """
    times = np.uint64(factor)
    low = (fractions & _LOW) * times
    high = (fractions >> _HALF) * times + (low >> _HALF)
    below_one = (high << _HALF) | (low & _LOW)
    overflows = below_one + phases < phases
    product: NDArray[np.int64] = ((high >> _HALF) + overflows).astype(np.int64)
    return product
