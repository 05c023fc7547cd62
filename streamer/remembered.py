"""Numbers by name, for as many names as a long session has: 24 bytes each.

A name is known by its 64-bit hash: among a million names, two are mistaken for each other with a
probability of 1 in 30 million.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

NEW = 4096
"""Names that are kept in a mapping before they join the others."""


class Remembered:
    """A mapping from names to 64-bit integers, which discards the names that were set first."""

    def __init__(self, limit: int | None = None) -> None:
        """Remember the latest `limit` names, and up to NEW more; all of them without a limit."""
        self._limit = limit
        self._new: dict[int, int] = {}
        self._keys: NDArray[np.int64] = np.empty(0, np.int64)
        self._numbers: NDArray[np.int64] = np.empty(0, np.int64)
        self._ages: NDArray[np.int64] = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._keys) + int((~np.isin(_array(self._new), self._keys)).sum())

    def get(self, name: Hashable) -> int | None:
        """Return the number of a name; None for one that is not known."""
        key = hash(name)
        if key in self._new:
            return self._new[key]
        place = int(self._keys.searchsorted(key))
        known = place < len(self._keys) and self._keys[place] == key
        return int(self._numbers[place]) if known else None

    def put(self, name: Hashable, number: int) -> None:
        """Set the number of a name, which is the latest one then."""
        key = hash(name)
        self._new.pop(key, None)
        self._new[key] = number
        if len(self._new) >= NEW:
            self._merge()

    def _merge(self) -> None:
        keys, numbers = _array(self._new), _array(self._new.values())
        kept = ~np.isin(self._keys, keys, assume_unique=True)
        first = int(self._ages.max(initial=-1)) + 1
        ages = np.append(self._ages[kept], np.arange(first, first + len(keys)))
        keys, numbers = np.append(self._keys[kept], keys), np.append(self._numbers[kept], numbers)
        order = np.argsort(keys)
        if self._limit is not None and len(keys) > self._limit:
            order = order[ages[order] >= np.sort(ages)[len(keys) - self._limit]]
        self._keys, self._numbers, self._ages = keys[order], numbers[order], ages[order]
        self._new = {}


def _array(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(numbers, np.int64)
