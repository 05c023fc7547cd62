"""Recognises records that were read before: delivery is at least once."""

from collections import OrderedDict

REMEMBERED = 65_536
"""How many identities are remembered; the oldest are discarded."""


class Duplicates:
    """Remembers the latest identities of what a reader has read, and their highest revisions."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        """Remember up to `limit` identities."""
        self._limit = limit
        self._revisions: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._revisions)

    def is_new(self, identity: str, revision: int = 0) -> bool:
        """Return whether neither this revision nor a higher one was seen, and remember it."""
        if self._revisions.get(identity, -1) >= revision:
            return False
        self._revisions[identity] = revision
        self._revisions.move_to_end(identity)
        if len(self._revisions) > self._limit:
            self._revisions.popitem(last=False)
        return True
