"""One participant's windows on their way from the pipeline's thread to the broker.

What enters: pipelines. What leaves: their windows, sent and counted, and the `Session` record that
says who is in the session. This module does not know when people come and go. `Capturing` is what
every capture of a session has in common.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from streamer.config import Config
from streamer.kafka.producer import Producer
from streamer.policy import own_policy
from streamer.records import (
    NS_PER_MS,
    Participant,
    RecordedTime,
    Session,
    Window,
    wall_clock,
)
from streamer.session.plan import Plan
from streamer.session.sending import InFlight, SendQueue, deliver, wait_for_delivery

State = Literal["started", "ended"]
"""Whether a session goes on."""


@dataclass(frozen=True)
class Facts:
    """What a session's record says that changes while it goes on.

    Attributes:
        people: who is or was in it.
        asr: the names of the recognisers.
        names: that people see, by participant, where capture knows them.
        recorded_times: what is recorded; None where the host does not start and stop it.
    """

    people: Sequence[Participant]
    asr: Collection[str]
    names: Mapping[str, str] = field(default_factory=dict)
    recorded_times: tuple[RecordedTime, ...] | None = None


class Pipeline(Protocol):
    """Gives one participant's windows."""

    def windows(self, stop: threading.Event) -> Iterator[Window]:
        """Yield the windows until they end or `stop` is set; then what is left."""


@dataclass
class Delivery:
    """Sends the windows of a session's pipelines; `stop` asks every source to end.

    `published` holds, per participant, how many windows went out. A broker that is away is waited
    for, after `stop` no longer than `kafka.connect_timeout_s`.
    """

    plan: Plan
    config: Config
    publisher: Producer
    in_flight: InFlight
    stop: threading.Event = field(default_factory=threading.Event)
    counters: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    _announcing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _holds: int = 0
    _free: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Let windows pass."""
        self._free.set()

    async def participant(self, pipeline: Pipeline, pool: Executor) -> None:
        """Send a participant's windows until the sources end; the reader runs in `pool`.

        Raises:
            SourceError: a source cannot be read.
            BrokerError: the broker refuses a window, or did not take the last after a stop.
        """
        loop = asyncio.get_running_loop()
        send_queue = SendQueue(self.config.capture.queue_windows, drop_oldest=self.plan.live)
        sender = asyncio.create_task(self._send(send_queue))
        reader = loop.run_in_executor(pool, self._fill, pipeline, send_queue, loop)
        try:
            done, _ = await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            if not reader.done():
                self.stop.set()
            sender.cancel()
            await send_queue.abandon()
            await asyncio.gather(sender, reader, return_exceptions=True)
        self.counters["dropped_windows"] += send_queue.dropped
        if send_queue.dropped_revisions:
            self.counters["dropped_revisions"] += send_queue.dropped_revisions

    def _fill(
        self, pipeline: Pipeline, send_queue: SendQueue, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Put a participant's windows into its send queue; runs in the participant's thread."""
        try:
            for window in pipeline.windows(self.stop):
                self._wait(asyncio.run_coroutine_threadsafe(send_queue.put(window), loop))
        finally:
            asyncio.run_coroutine_threadsafe(send_queue.close(), loop)

    def _wait(self, handed_over: Future[None]) -> None:
        try:
            handed_over.result()
        except CancelledError:
            self.stop.set()

    async def _send(self, send_queue: SendQueue) -> None:
        async for window in send_queue:
            await self._free.wait()
            headers = functools.partial(self._headers, window)
            await deliver(window, self.publisher, self.in_flight, self.stop, headers)
            self.published[window.participant_id] += window.revision == 0

    async def _patiently(self, work: Coroutine[Any, Any, object]) -> None:
        await wait_for_delivery(work, self.publisher, self.stop)

    def _headers(self, window: Window) -> Sequence[tuple[str, bytes]]:
        """How late a live window is behind its own end; a replay has no such delay."""
        if not self.plan.live:
            return ()
        late_ms = (time.time_ns() - window.session_start_unix_ns - window.end_ns) / NS_PER_MS
        return (("capture_latency_ms", f"{late_ms:.1f}".encode()),)

    def hold(self) -> None:
        """Send no window before the broker has a record of the session that is made after this."""
        self._holds += 1
        self._free.clear()

    async def announce(self, state: State, facts: Callable[[], Facts]) -> None:
        """Publish the session's record and wait until the broker has it.

        One at a time, so that a later record never tells less.

        Args:
            state: whether the session goes on.
            facts: what is known when it is this record's turn.
        """
        async with self._announcing:
            holds, record = self._holds, self._record(state, facts())
            await self._patiently(self.publisher.publish(record))
            if holds == self._holds:
                self._free.set()

    def _record(self, state: State, facts: Facts) -> Session:
        policy = own_policy(self.config)
        counters = self.counters if state == "ended" else Counter[str]()
        return Session(
            session_id=self.plan.session_id,
            state=state,
            started_at=wall_clock(self.plan.start_unix_ns, 0),
            live=self.plan.live,
            consent=self.config.session.consent or None,
            modalities=policy.modalities,
            publish=policy.publish,
            min_participants=policy.min_participants,
            participants=tuple(facts.people),
            asr=", ".join(sorted(set(facts.asr))),
            counters={k: v for k, v in sorted(counters.items()) if v >= 0},
            name=self.plan.name,
            names=dict(facts.names),
            recorded_times=facts.recorded_times,
        )


@dataclass
class Capturing(ABC):
    """A source of a session's windows, which captures until `stop`."""

    plan: Plan
    config: Config
    publisher: Producer
    in_flight: InFlight

    def __post_init__(self) -> None:
        """Prepare the way to the broker."""
        self._delivery = self._way()

    @property
    def counters(self) -> Counter[str]:
        """What was dropped, late, lost or damaged; of each participant once they have ended."""
        return self._delivery.counters

    @property
    def published(self) -> Counter[str]:
        """How many windows of each participant went out."""
        return self._delivery.published

    def stop(self) -> None:
        """Ask every source to end; what is captured is flushed. Callable from any thread."""
        self._delivery.stop.set()

    def _way(self) -> Delivery:
        return Delivery(self.plan, self.config, self.publisher, self.in_flight)

    async def _announce(self, state: State) -> None:
        """Publish the session's record as things are now."""
        await self._delivery.announce(state, lambda: self._facts(ended=state == "ended"))

    @abstractmethod
    def _facts(self, *, ended: bool) -> Facts:
        """Return what is known of the session; at its end with what was published."""
