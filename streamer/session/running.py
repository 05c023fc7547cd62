"""Capturing a session: one thread per participant, one event loop that publishes.

What enters: a plan. What leaves: `Window` records, and one `Session` record at the start and one at
the end, through a producer.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from streamer import metrics
from streamer.capture.pace import Pace
from streamer.config import Config
from streamer.kafka.producer import Producer
from streamer.plain_text import public_address
from streamer.policy import own_policy
from streamer.records import (
    NS_PER_MS,
    Participant,
    Session,
    Window,
    wall_clock,
)
from streamer.session.participant import Pipeline
from streamer.session.plan import Plan
from streamer.session.sending import InFlight, SendQueue, deliver, wait_for_delivery


@dataclass
class Capture:
    """Runs a plan: `await run()` returns when every window has been acknowledged by the broker.

    `published` holds, per participant, how many windows went out. A broker that is away is waited
    for, after `stop` no longer than `kafka.connect_timeout_s`.
    """

    plan: Plan
    config: Config
    publisher: Producer
    in_flight: InFlight
    pace: Pace | None = None
    counters: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Ask every source to end; what is captured is flushed. Callable from any thread."""
        self._stop.set()

    async def run(self) -> None:
        """Capture every participant to the end of its sources or until `stop`.

        Raises:
            SourceError: a source cannot be read.
            BrokerError: the broker refuses a window, or did not take the last after a `stop`.
        """
        pace = self.pace or Pace(self.plan.speed)
        pipelines = [
            await asyncio.to_thread(Pipeline, self.plan, spec, self.config, pace)
            for spec in self.plan.participants
        ]
        await self._patiently(self.publisher.publish(self._record("started", pipelines)))
        metrics.ready()
        pool = ThreadPoolExecutor(len(pipelines), thread_name_prefix="capture")
        try:
            async with asyncio.TaskGroup() as tasks:
                for pipeline in pipelines:
                    tasks.create_task(self._participant(pipeline, pool))
        except* Exception as group:
            raise group.exceptions[0] from None
        finally:
            self._stop.set()
            pool.shutdown(wait=False)
        for pipeline in pipelines:
            self.counters.update(pipeline.counters)
        await self._patiently(self.publisher.publish(self._record("ended", pipelines)))

    async def _participant(self, pipeline: Pipeline, pool: ThreadPoolExecutor) -> None:
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
                self._stop.set()
            sender.cancel()
            await send_queue.abandon()
            await asyncio.gather(sender, reader, return_exceptions=True)
        self.counters["dropped_windows"] += send_queue.dropped

    def _fill(
        self, pipeline: Pipeline, send_queue: SendQueue, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Put a participant's windows into its send queue; runs in the participant's thread."""
        try:
            for window in pipeline.windows(self._stop):
                self._wait(asyncio.run_coroutine_threadsafe(send_queue.put(window), loop))
        finally:
            asyncio.run_coroutine_threadsafe(send_queue.close(), loop)

    def _wait(self, handed_over: Future[None]) -> None:
        try:
            handed_over.result()
        except CancelledError:
            self._stop.set()

    async def _send(self, send_queue: SendQueue) -> None:
        async for window in send_queue:
            headers = functools.partial(self._headers, window)
            await deliver(window, self.publisher, self.in_flight, self._stop, headers)
            self.published[window.participant_id] += 1

    async def _patiently(self, work: Coroutine[Any, Any, object]) -> None:
        await wait_for_delivery(work, self.publisher, self._stop)

    def _headers(self, window: Window) -> Sequence[tuple[str, bytes]]:
        """How late a live window is behind its own end; a replay has no such delay."""
        if not self.plan.live:
            return ()
        late_ms = (time.time_ns() - window.session_start_unix_ns - window.end_ns) / NS_PER_MS
        return (("capture_latency_ms", f"{late_ms:.1f}".encode()),)

    def _record(self, state: str, pipelines: Sequence[Pipeline]) -> Session:
        ended = state == "ended"
        policy = own_policy(self.config)
        return Session(
            session_id=self.plan.session_id,
            state="ended" if ended else "started",
            started_at=wall_clock(self.plan.start_unix_ns, 0),
            live=self.plan.live,
            consent=self.config.session.consent or None,
            modalities=policy.modalities,
            publish=policy.publish,
            min_participants=policy.min_participants,
            participants=tuple(
                Participant(
                    spec.participant_id,
                    tuple(map(public_address, spec.sources)),
                    self.published[spec.participant_id] if ended else None,
                    self.plan.begins_ns.get(spec.participant_id, 0) // NS_PER_MS,
                    spec.identified_by,
                )
                for spec in self.plan.participants
            ),
            asr=", ".join(sorted({pipeline.asr_name for pipeline in pipelines})),
            counters={k: v for k, v in sorted(self.counters.items()) if v >= 0} if ended else {},
            name=self.plan.name,
        )
