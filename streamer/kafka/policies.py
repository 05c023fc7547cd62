"""Reads what the sessions on a broker allow (`streamer.policy`), from their own records.

Capture waits for the broker to store a session's record before it sends the first window. So
whoever has a record of a session and then reads the sessions topic to its end has the session's
policy, or the session has none and nothing may be made of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol, Self

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streamer.config import Config
from streamer.errors import BrokerError
from streamer.kafka.consumer import FETCH_WAIT_MS, FINAL, Consumer
from streamer.kafka.security import RETRY_S
from streamer.kafka.topics import SESSIONS
from streamer.policy import Policy, policy_of, stricter
from streamer.records import Session

log = logging.getLogger(__name__)

LOOK_S = 0.2
"""How long a change of a known session's record may go unnoticed."""
BATCH = 500


class Policies(Protocol):
    """Gives what a session allows: `SessionPolicies`, or a fake."""

    async def policy(self, session_id: str) -> Policy | None:
        """Return what the session allows; None if its record is not on the topic."""
        ...

    async def renewed(self, session_id: str) -> Policy | None:
        """Return the same, by what the topic contains now."""
        ...


class SessionPolicies:
    """The policies of the sessions on a broker.

    Use it with `async with`, in one event loop, from any number of tasks. It connects when it is
    first asked, and waits for a broker that is away. A session whose record is published again
    keeps the stricter of both policies. It stores one policy per session on the topic.
    """

    def __init__(self, config: Config) -> None:
        """Store the settings.

        Args:
            config: where the broker is, and the settings for fields that a session's record lacks.
        """
        self._config = config
        self._policies: dict[str, Policy] = {}
        self._consumer: Consumer[Session] | None = None
        self._ends: dict[TopicPartition, int] = {}
        self._looked_at_s = -LOOK_S
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._disconnect()

    async def policy(self, session_id: str) -> Policy | None:
        """Return what the session allows; None if its record is not on the topic.

        A session that is not known yet is looked for up to the topic's present end.

        Raises:
            BrokerError: reading the sessions topic is not allowed.
        """
        if self._lock.locked() and session_id in self._policies:
            return self._policies[session_id]  # another task reads on, or waits for the broker
        return await self._looked_up(session_id, anew=False)

    async def renewed(self, session_id: str) -> Policy | None:
        """Return what the session allows by what the topic contains now.

        Raises:
            BrokerError: reading the sessions topic is not allowed.
        """
        return await self._looked_up(session_id, anew=True)

    async def _looked_up(self, session_id: str, *, anew: bool) -> Policy | None:
        async with self._lock:
            while True:
                try:
                    return await self._look_up(session_id, anew=anew)
                except (BrokerError, KafkaError, OSError) as error:
                    if isinstance(error, FINAL) or isinstance(error.__cause__, FINAL):
                        raise BrokerError(f"The sessions topic cannot be read: {error}") from error
                    log.warning("The sessions' records cannot be read, trying again: %s", error)
                await self._disconnect()
                await asyncio.sleep(RETRY_S)

    async def _look_up(self, session_id: str, *, anew: bool) -> Policy | None:
        if self._consumer is None:
            self._consumer = await Consumer(self._config, SESSIONS).__aenter__()
        if time.monotonic() - self._looked_at_s >= LOOK_S:
            await self._read(self._consumer, 0)
        if anew or session_id not in self._policies:
            await self._read_to_end(self._consumer)
        return self._policies.get(session_id)

    async def _read_to_end(self, consumer: Consumer[Session]) -> None:
        ends, before = await consumer.ends(), self._ends
        self._ends = dict(ends)
        if any(ends.get(at, 0) < end for at, end in before.items()):
            raise BrokerError("the topic was made again, so it is read from its beginning")
        while await consumer.is_before(ends):
            await self._read(consumer, FETCH_WAIT_MS)

    async def _read(self, consumer: Consumer[Session], max_wait_ms: int) -> None:
        for received in await consumer.batch(BATCH, max_wait_ms):
            self._take(received.record)
        await consumer.commit()
        self._looked_at_s = time.monotonic()

    def _take(self, session: Session) -> None:
        policy = policy_of(session, self._config)
        before = self._policies.get(session.session_id, policy)
        self._policies[session.session_id] = stricter(before, policy)

    async def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.__aexit__(None, None, None)
