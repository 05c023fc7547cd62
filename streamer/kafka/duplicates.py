"""Recognises records that were read before: delivery is at least once."""

from streamer.remembered import Remembered

REMEMBERED = 65_536
"""How many identities are remembered at least; the oldest are discarded."""


class Duplicates:
    """Remembers the latest identities of what a reader has read, and their highest revisions."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        """Remember at least `limit` identities."""
        self._revisions = Remembered(limit)

    def __len__(self) -> int:
        return len(self._revisions)

    def is_new(self, identity: str, revision: int = 0) -> bool:
        """Return whether neither this revision nor a higher one was seen, and remember it."""
        known = self._revisions.get(identity)
        if known is not None and known >= revision:
            return False
        self._revisions.put(identity, revision)
        return True
