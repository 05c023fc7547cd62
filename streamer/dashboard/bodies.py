"""A long list of encoded records in little memory: all but the newest are compressed.

What enters: records as lines of JSON. What leaves: the same lines, from any place on. It knows no
records. A reader that goes on from block to block decompresses each once.
"""

from __future__ import annotations

import zlib
from collections import deque

BLOCK = 1_000
"""Records that are compressed, and forgotten, at a time; as many of the newest never are."""
LEVEL = 1
"""Fast: a block of half a megabyte takes a few milliseconds."""


class Bodies:
    """Lines without a line break, in order; a place is counted from the oldest that is kept."""

    def __init__(self) -> None:
        """None."""
        self._blocks: deque[bytes] = deque()
        self._newest: list[bytes] = []
        self._forgotten = 0
        self._opened: tuple[int, list[bytes]] = -1, []

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK + len(self._newest)

    def append(self, body: bytes) -> None:
        """Add a line."""
        self._newest.append(body)
        if len(self._newest) >= 2 * BLOCK:
            self._blocks.append(zlib.compress(b"\n".join(self._newest[:BLOCK]), LEVEL))
            del self._newest[:BLOCK]

    def forget(self) -> None:
        """Drop the oldest BLOCK lines."""
        self._forgotten += 1
        if self._blocks:
            self._blocks.popleft()
        else:
            del self._newest[:BLOCK]

    def read(self, begin: int, count: int) -> list[bytes]:
        """Return at most `count` lines from a place on."""
        lines: list[bytes] = []
        for number in range(begin // BLOCK, len(self._blocks)):
            if len(lines) >= count:
                return lines[:count]
            lines += self._open(number)[max(0, begin - number * BLOCK) :]
        behind = max(0, begin - len(self._blocks) * BLOCK)
        return [*lines, *self._newest[behind : behind + count]][:count]

    def _open(self, number: int) -> list[bytes]:
        """Return the lines of a block, as of the last one without work."""
        which = self._forgotten + number
        if self._opened[0] != which:
            self._opened = which, zlib.decompress(self._blocks[number]).split(b"\n")
        return self._opened[1]
