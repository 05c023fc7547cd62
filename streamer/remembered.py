"""Numbers by name, for as many names as a long session has: 16 bytes each, 24 with a limit.

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
        self._put = 0

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
        """Insert the new names; to sort all of them would take their memory several times."""
        keys, numbers = _array(self._new), _array(self._new.values())
        order = np.argsort(keys)
        keys, numbers, ages = keys[order], numbers[order], self._put + order
        self._put += len(keys)
        places = self._keys.searchsorted(keys)
        known = self._keys.searchsorted(keys, "right") > places
        again, inserted = places[known], places[~known]
        self._numbers[again] = numbers[known]
        self._numbers = np.insert(self._numbers, inserted, numbers[~known])
        self._keys = np.insert(self._keys, inserted, keys[~known])
        if self._limit is not None:
            self._ages[again] = ages[known]
            self._ages = np.insert(self._ages, inserted, ages[~known])
            self._forget(len(self._keys) - self._limit)
        self._new = {}

    def _forget(self, count: int) -> None:
        """Discard the oldest `count` names."""
        if count > 0:
            kept = self._ages >= np.partition(self._ages, count)[count]
            self._keys, self._numbers = self._keys[kept], self._numbers[kept]
            self._ages = self._ages[kept]


def _array(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(numbers, np.int64)
