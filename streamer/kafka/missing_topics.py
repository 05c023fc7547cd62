"""Records whose topic does not exist wait here, so that no record of another topic waits for them.

What enters: records by topic. What leaves: the same records, once their topic exists or when the
wait is over. It does not know how a record is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from streamer.kafka.security import RETRY_S

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOKS = 20
"""How often the broker is asked for a topic, RETRY_S apart, before its records leave: 10 s."""


class MissingTopics(Generic[T]):
    """The records that wait, each topic on its own.

    After the wait, each further record of the topic makes the broker be asked once more: the record
    leaves soon while the topic is missing, and is sent once it exists. A request that the broker
    does not answer does not count. The caller bounds the number of records.
    """

    def __init__(
        self,
        look: Callable[[str], Awaitable[bool | None]],
        leave: Callable[[list[T], bool], None],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Store the functions; they are called in the event loop.

        Args:
            look: whether a topic exists; None if the broker does not answer.
            leave: gets the records of a topic, and whether it exists.
            sleep: waits for seconds.
        """
        self._look = look
        self._leave = leave
        self._sleep = sleep
        self._waiting: dict[str, list[T]] = {}
        self._in_vain: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, topic: str) -> bool:
        """Return whether records of this topic wait; later ones must wait behind them."""
        return topic in self._waiting

    def __len__(self) -> int:
        """Return how many records wait."""
        return sum(map(len, self._waiting.values()))

    def add(self, topic: str, record: T) -> None:
        """Let a record wait for its topic."""
        if topic not in self._waiting:
            self._waiting[topic] = []
            self._tasks[topic] = asyncio.create_task(self._wait(topic), name=f"waits for {topic}")
        self._waiting[topic].append(record)

    def records(self) -> list[T]:
        """Return all records that wait."""
        return [record for records in self._waiting.values() for record in records]

    def topics(self) -> list[str]:
        """Return the topics that are waited for."""
        return list(self._waiting)

    async def close(self) -> None:
        """Wait for no topic any more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _wait(self, topic: str) -> None:
        exists = await self._exists_in_time(topic)
        if exists and topic in self._in_vain:
            self._in_vain.discard(topic)
            log.warning("The topic %s exists now.", topic)
        elif not exists:
            self._in_vain.add(topic)
        del self._tasks[topic]
        self._leave(self._waiting.pop(topic), exists)

    async def _exists_in_time(self, topic: str) -> bool:
        left = 1 if topic in self._in_vain else LOOKS
        while not (exists := await self._look(topic)):
            left -= exists is False
            if left == LOOKS - 2 and exists is False:  # not yet if it is only just being made
                log.error(
                    "The topic %s does not exist; its records wait for %g s and are dead letters "
                    "then. `streamer topics create` makes it.",
                    topic,
                    LOOKS * RETRY_S,
                )
            if left == 0:
                return False
            await self._sleep(RETRY_S)
        return True
