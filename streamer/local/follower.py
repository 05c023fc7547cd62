"""Follows sessions on the topics: which windows are scored and published, and which records.

What enters: ids of sessions and their windows in flight. What leaves: every published record
through `on_record`, in the order of publication, duplicates removed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from streamer.config import Config
from streamer.counted import counted
from streamer.errors import UnreadableRecord
from streamer.kafka.consumer import Consumer
from streamer.kafka.duplicates import Duplicates
from streamer.kafka.topics import (
    ALERTS,
    DEAD_LETTER,
    SCORES,
    SESSION_SMOOTHED,
    SESSIONS,
    SMOOTHED,
    WINDOWS,
    Topic,
    topic_of,
)
from streamer.policy import own_policy, refusal
from streamer.records import Alert, DeadLetter, Score, Sentiment, Session, SessionSentiment
from streamer.session.sending import InFlight, NoProgress
from streamer.smoothing import longest_silence_s

Published = Sentiment | SessionSentiment | Alert | Session
STALL_TIMEOUT_S = 120.0
STOPPED_TIMEOUT_S = 15.0
"""The same once the user asked for an end; enough for a stage that still loads its model."""
BATCH = 200
POLL_MS = 200
FOLLOWED: tuple[Topic[Any], ...] = (
    *(SCORES, SMOOTHED, SESSION_SMOOTHED, ALERTS, SESSIONS),
    DEAD_LETTER,
)
AFTERMATH_S = 0.5
"""How long session records and alerts are still read once the last sentiment is out."""


class Follower:
    """Reads sessions' scores and records, and updates their windows in flight; no consumer group.

    The readers stand at the topics' ends before the first window goes out, so that nothing of
    a session is missed. A record seen before (same window in this revision or a
    higher one) is dropped.
    """

    def __init__(
        self,
        config: Config,
        session_ids: tuple[str, ...],
        in_flight: InFlight,
        on_record: Callable[[Published], None],
    ) -> None:
        """Enter the context to connect."""
        self.sentiments = 0
        self._config = config
        self._session_ids = frozenset(session_ids)
        self._in_flight = in_flight
        self._on_record = on_record
        self._policy = own_policy(config)  # what capture writes into each record
        self._by_session = not self._policy.persons
        self._duplicates = {topic: Duplicates() for topic in FOLLOWED}
        self._whole: set[str] = set()
        self._news = asyncio.Event()
        self._stopped = False
        self._stack = contextlib.AsyncExitStack()
        self._readers: list[Consumer[Any]] = []
        self._windows_topic = WINDOWS.full_name(config.kafka.topic_prefix)
        self._results = {
            topic.full_name(config.kafka.topic_prefix): topic for topic in (SCORES, SMOOTHED)
        }

    async def __aenter__(self) -> Follower:
        for topic in FOLLOWED:
            reader = Consumer[Any](self._config, topic, start="latest")
            self._readers.append(await self._stack.enter_async_context(reader))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def run(self) -> None:
        """Read all topics until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reader in self._readers:
                tasks.create_task(self._read(reader))

    def hurry(self) -> None:
        """The user asked for an end: `drain` waits less for stages that are silent."""
        self._stopped = True
        self._news.set()

    async def drain(
        self, stall_s: float = STALL_TIMEOUT_S, stopped_s: float = STOPPED_TIMEOUT_S
    ) -> None:
        """Return when every captured window is published or dead-lettered.

        Raises:
            NoProgress: nothing came for `stall_s` although windows are open; for `stopped_s`
                after `hurry`.
        """
        while self._in_flight.open_windows:
            self._news.clear()
            patience_s = stopped_s if self._stopped else stall_s
            try:
                await asyncio.wait_for(self._news.wait(), patience_s)
            except TimeoutError:
                names = ", ".join(sorted(self._session_ids))
                raise NoProgress(
                    f"No answer came for {counted(self._in_flight.open_windows, 'window')} of "
                    f"{names} within {patience_s:g} s; look whether inference and processing "
                    "run against this broker, and whether --session-id was used before."
                ) from None
        self._news.set()
        while self._news.is_set():
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._aftermath_s())

    def _aftermath_s(self) -> float:
        """How long the last records are waited for: longer if they are not all there."""
        if self._whole == self._session_ids or not self._by_session:
            return AFTERMATH_S
        smoothing = self._config.smoothing
        patience_s = smoothing.idle_flush_s if self._stopped else longest_silence_s(smoothing)
        return AFTERMATH_S + patience_s

    async def _read(self, reader: Consumer[Any]) -> None:
        while True:
            for received in await reader.batch(BATCH, POLL_MS):
                await self._take(received.record)
            await reader.commit()

    async def _dead(self, letter: DeadLetter) -> None:
        if letter.topic == self._windows_topic:
            self._news.set()
            await self._in_flight.dead(letter.partition, letter.offset)
        elif letter.topic in self._results:
            with contextlib.suppress(UnreadableRecord):
                result = self._results[letter.topic].decode(letter.value)
                if result is not None and result.session_id in self._session_ids:
                    self._news.set()
                    await self._in_flight.refused((result.window_id, result.revision))

    async def _take(self, record: Score | Published | DeadLetter) -> None:
        if isinstance(record, DeadLetter):
            await self._dead(record)
            return
        if record.session_id not in self._session_ids:
            return
        self._news.set()
        topic = topic_of(record)
        if not self._duplicates[topic].is_new(*topic.identity(record)):
            return
        if isinstance(record, Score):
            await self._in_flight.scored((record.window_id, record.revision))
            if self._by_session:
                await self._in_flight.published((record.window_id, record.revision))
            return
        if isinstance(record, Sentiment):
            self.sentiments += record.revision == 0
            await self._in_flight.published((record.window_id, record.revision))
        if isinstance(record, SessionSentiment) and record.final:
            self._whole.add(record.session_id)
        if not refusal(self._policy, record):
            self._on_record(record)
