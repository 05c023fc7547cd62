"""All stages in one go: broker, workers, capture, and what is published handed to the caller.

What enters: a source and settings. What leaves: every published record of the session through
`on_record`, in the order of publication, duplicates removed. The stages are the same processes
that `streamer infer` and `streamer process` start on other machines; this only starts and stops
them. Live it runs until `stop`; a replay ends when every window is published or dead-lettered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from streamer.config import Config
from streamer.errors import StreamerError
from streamer.kafka.admin import ensure_topics, on_embedded
from streamer.kafka.consumer import Consumer
from streamer.kafka.embedded import EmbeddedBroker
from streamer.kafka.producer import Producer
from streamer.kafka.topics import (
    ALERTS,
    DEAD_LETTER,
    SCORES,
    SESSION_SMOOTHED,
    SMOOTHED,
    WINDOWS,
    Topic,
    topic_of,
)
from streamer.local import workers
from streamer.records import Alert, DeadLetter, Score, Sentiment, SessionSentiment
from streamer.session import Ledger

log = logging.getLogger("streamer.run")

Published = Sentiment | SessionSentiment | Alert
STALL_TIMEOUT_S = 120.0
BATCH = 200
POLL_MS = 200
FOLLOWED: tuple[Topic[Any], ...] = (SCORES, SMOOTHED, SESSION_SMOOTHED, ALERTS, DEAD_LETTER)
AFTERMATH_S = 0.5
"""How long session records and alerts are still read once the last sentiment is out."""

EMBEDDED_NOTICE = (
    "Embedded broker: in memory, for trying out and for tests; it keeps 5 MB per partition and "
    "forgets everything at the end (for real use: `streamer broker --kafka`, then --broker)."
)


class NoProgress(StreamerError):
    """Windows went out and nothing came back for STALL_TIMEOUT_S."""

    exit_code = 7


@dataclass
class Outcome:
    """What a run did, for the caller's last words and exit code.

    Attributes:
        windows: published windows per participant.
        counters: what capture dropped, found late or damaged.
    """

    windows: Counter[str] = field(default_factory=Counter)
    sentiments: int = 0
    dead_letters: int = 0
    counters: Counter[str] = field(default_factory=Counter)


@contextlib.asynccontextmanager
async def reachable_broker(config: Config) -> AsyncIterator[Config]:
    """Settings that name a running broker: started here when `embedded`, checked otherwise.

    Raises:
        BrokerError: nothing answers at the address.
    """
    if config.kafka.broker != "embedded":
        await ensure_topics(config)
        yield config
        return
    with EmbeddedBroker() as broker:
        kafka = config.kafka.model_copy(update={"broker": broker.address})
        yield config.model_copy(update={"kafka": kafka})


class Source(Protocol):
    """Where windows come from: `session.Capture`, `rescore.Rescoring`."""

    counters: Counter[str]
    published: Counter[str]

    async def run(self) -> None:
        """Send every window; return when the broker has them all."""
        ...

    def stop(self) -> None:
        """End early."""
        ...


async def through(
    session_id: str,
    source: Callable[[Producer, Ledger], Source],
    config: Config,
    *,
    on_record: Callable[[Published], None],
    stage_arguments: Sequence[str],
    start_stages: bool = True,
    stop: asyncio.Event | None = None,
    log_dir: Path | None = None,
) -> Outcome:
    """Take the windows of a source through the stages to the published sentiment.

    Args:
        session_id: the session under which the source sends.
        source: makes the source.
        config: with a running broker's address.
        on_record: called on the event loop for each published record of this session.
        stage_arguments: options that make a worker read the same settings.
        start_stages: False when inference and processing already run elsewhere.
        stop: set to end capture early; what is captured is still flushed and published.
        log_dir: where the workers' logs go.

    Raises:
        StreamerError: a source, the broker or a stage failed.
    """
    verbs = {"inference": "infer", "processing": "process"} if start_stages else {}
    commands = {name: [verb, *stage_arguments] for name, verb in verbs.items()}
    embedded = await on_embedded(config)
    limit = config.capture.in_flight_bytes if embedded else None
    ledger = Ledger(limit)
    async with (
        Producer(config) as publisher,
        Follower(config, session_id, ledger, on_record) as follower,
        workers.running(commands, log_dir) as started,
    ):
        capture = source(publisher, ledger)

        async def to_the_end() -> None:
            await capture.run()
            await follower.drain()

        async def until_stopped() -> None:
            if stop is not None:
                await stop.wait()
                capture.stop()
            await asyncio.Event().wait()

        try:
            await _first_of(
                to_the_end(), until_stopped(), follower.run(), *(w.died() for w in started)
            )
        finally:
            capture.stop()
    return Outcome(capture.published, follower.sentiments, ledger.dead_letters, capture.counters)


async def _first_of(*work: Coroutine[Any, Any, None]) -> None:
    """Run all; when the first ends (or fails), cancel the others and pass its failure on."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class Follower:
    """Reads what becomes of one session on the topics and keeps its ledger; no consumer group.

    The readers stand at the topics' ends before the first window goes out, so that nothing of
    the session is missed. A record seen before (same window and revision) is dropped.
    """

    def __init__(
        self,
        config: Config,
        session_id: str,
        ledger: Ledger,
        on_record: Callable[[Published], None],
    ) -> None:
        """Enter the context to connect."""
        self.sentiments = 0
        self._config = config
        self._session_id = session_id
        self._ledger = ledger
        self._on_record = on_record
        self._by_session = config.smoothing.publish == "session"
        self._seen: set[tuple[type, str]] = set()
        self._news = asyncio.Event()
        self._stack = contextlib.AsyncExitStack()
        self._readers: list[Consumer[Any]] = []
        self._windows_topic = WINDOWS.full_name(config.kafka.topic_prefix)

    async def __aenter__(self) -> Follower:
        for topic in FOLLOWED:
            reader = Consumer[Any](self._config, topic, start="latest")
            self._readers.append(await self._stack.enter_async_context(reader))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def run(self) -> None:
        """Read all five topics until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reader in self._readers:
                tasks.create_task(self._read(reader))

    async def drain(self) -> None:
        """Return when nothing more is to come of what was captured.

        Raises:
            NoProgress: nothing came for STALL_TIMEOUT_S although windows are open.
        """
        while self._ledger.open_windows:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), STALL_TIMEOUT_S)
            except TimeoutError:
                raise NoProgress(
                    f"{self._ledger.open_windows} windows of session {self._session_id} were not "
                    f"answered for {STALL_TIMEOUT_S:g} s; look whether inference and processing "
                    "run against this broker, and whether the session name was used before."
                ) from None
        patience_s = AFTERMATH_S
        if self._by_session:
            patience_s += self._config.smoothing.idle_flush_s
        self._news.set()
        while self._news.is_set():
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), patience_s)

    async def _read(self, reader: Consumer[Any]) -> None:
        while True:
            for received in await reader.batch(BATCH, POLL_MS):
                await self._take(received.record)
            await reader.commit()

    async def _dead(self, letter: DeadLetter) -> None:
        if letter.topic == self._windows_topic:
            self._news.set()
            await self._ledger.dead(letter.partition, letter.offset)

    async def _take(self, record: Score | Published | DeadLetter) -> None:
        if isinstance(record, DeadLetter):
            await self._dead(record)
            return
        if record.session_id != self._session_id:
            return
        self._news.set()
        key = (type(record), topic_of(record).event_id(record))
        if key in self._seen:
            return
        self._seen.add(key)
        if isinstance(record, Score):
            await self._ledger.scored(record.window_id)
            if self._by_session:
                await self._ledger.published(record.window_id)
            return
        if isinstance(record, Sentiment):
            self.sentiments += 1
            await self._ledger.published(record.window_id)
        self._on_record(record)
