"""The notices of one source: said in full a few times, then counted.

What enters: messages of the reader, and what its channels are. What leaves: Notices. Knows no
container.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from streamer.records import Notice
from streamer.stereo import Stereo

NOTICES_IN_FULL = 5
"""So many notices of a kind are given; the rest is counted."""
CANCELLED = (
    "its two channels cancel each other, as of a cable with one wire reversed; the louder channel "
    "is used alone"
)
DIFFER = (
    "its two channels have different speakers, whose voices are mixed; for a participant each, "
    "replay it with --split channels, or type --participant ana={name}#left --participant "
    "bo={name}#right"
)


class SourceNotices:
    """Repeats are dropped, and each kind is limited and then counted."""

    def __init__(self, name: str) -> None:
        """Start without any; `name` begins every notice."""
        self._name = name
        self._waiting: deque[Notice] = deque()
        self._counts: Counter[str] = Counter()
        self._last = ""
        self._once: set[str] = set()

    def add(self, kind: str, message: str) -> None:
        """Add a message of a kind, without its full stop."""
        if message == self._last:
            return
        self._last = message
        self._counts[kind] += 1
        if self._counts[kind] <= NOTICES_IN_FULL:
            self._waiting.append(Notice(f"{self._name}: {message}."))

    def note_channels(self, stereo: Stereo) -> None:
        """Add a message, once each, when two channels are something else than one stereo sound."""
        for applies, message in ((stereo.cancelled, CANCELLED), (stereo.differ, DIFFER)):
            if applies and message not in self._once:
                self._once.add(message)
                self.add("channels", message.format(name=self._name))

    def take(self) -> Iterator[Notice]:
        """Yield the notices that wait, oldest first."""
        while self._waiting:
            yield self._waiting.popleft()

    def close(self) -> Iterator[Notice]:
        """Yield what waits, and how many there were of each kind beyond its limit."""
        yield from self.take()
        for count in self._counts.values():
            if count > NOTICES_IN_FULL:
                more = count - NOTICES_IN_FULL
                yield Notice(f"{self._name}: {more} more notices of the same kind.")
