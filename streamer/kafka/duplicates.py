"""Recognises records that were read before: delivery is at least once."""

from collections import OrderedDict

REMEMBERED = 65_536
"""How many identities are remembered; the oldest are discarded."""


class Duplicates:
    """Remembers the latest event ids of what a reader has read."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        """Remember up to `limit` identities."""
        self._limit = limit
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ids)

    def is_new(self, event_id: str) -> bool:
        """Return whether the identity has not been seen, and remember it."""
        if event_id in self._ids:
            return False
        self._ids[event_id] = None
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)
        return True
