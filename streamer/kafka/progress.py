"""How far one partition has been used, and what is logged where its topic changes from outside."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field

from streamer.kafka.connection import RepeatFilter

log = logging.getLogger(__name__)
log.addFilter(RepeatFilter())


@dataclass(slots=True)
class Progress:
    """How far one partition has been used.

    Attributes:
        expected: the offset of the next message; None if it is not known.
        pending: offsets of the messages that were read and not yet committed past, in order.
        done: those of `pending` that are used.
        next_offset: the offset to commit; None before the first message is used.
    """

    expected: int | None = None
    pending: deque[int] = field(default_factory=deque)
    done: set[int] = field(default_factory=set)
    next_offset: int | None = None

    def jump(self, offset: int) -> int:
        """Return how many messages are missing before the one that was fetched next.

        It is negative if the log has begun again; what was in use is then forgotten, because its
        offsets are those of the old log.
        """
        missing = 0 if self.expected is None else offset - self.expected
        if missing < 0:
            self.pending.clear()
            self.done.clear()
            self.next_offset = None
        return missing

    def read(self, offset: int, *, done: bool) -> None:
        """Take note of a message; `done` if nobody uses it."""
        self.expected = offset + 1
        self.pending.append(offset)
        if done:
            self.done.add(offset)
            self._advance()

    def finish(self, up_to: int) -> None:
        """All messages up to this offset are used."""
        self.done.update(offset for offset in self.pending if offset <= up_to)
        self._advance()

    def finish_all(self) -> None:
        """All messages that were read are used."""
        if self.pending:
            self.finish(self.pending[-1])

    def _advance(self) -> None:
        while self.pending and self.pending[0] in self.done:
            offset = self.pending.popleft()
            self.done.discard(offset)
            self.next_offset = offset + 1


class TopicChanges:
    """Logs and counts what happens to a topic: `deleted` messages, partitions `made_again`."""

    def __init__(self, topic: str, counters: Counter[str]) -> None:
        """Begin without knowing whether the topic exists."""
        self._topic = topic
        self._counters = counters
        self._is_there: bool | None = None

    def look(self, partitions: Collection[int] | None) -> None:
        """Log that the topic does not exist any more, and that it is back."""
        if partitions:
            if self._is_there is False:
                log.warning("The topic %s was made again; reading its beginning.", self._topic)
            self._is_there = True
        elif self._is_there:
            log.error("The topic %s does not exist any more; waiting for it.", self._topic)
            self._is_there = False

    def jump(self, partition: int, missing: int) -> None:
        """Log how many messages are missing before the next one (`Progress.jump`)."""
        if missing > 0:
            self._counters["deleted"] += missing
            log.warning(
                f"%d messages of {self._topic} in partition %d were deleted before they were read.",
                missing,
                partition,
            )
        elif missing < 0:
            self._counters["made_again"] += 1
            log.warning(f"The topic {self._topic} was made again; reading its beginning.")
