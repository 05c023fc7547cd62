"""All stages in one go: broker, workers, capture, and the published records for the caller.

What enters: a source and settings. What leaves: every published record of the session through
`on_record`. The stages are the same processes that `streamer infer` and `streamer process` start on
other machines; this module starts and stops them. A live session runs until `stop`; a replay ends
when every window is published or dead-lettered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from streamer.config import Config
from streamer.counted import counted
from streamer.kafka.admin import ensure_topics, on_embedded
from streamer.kafka.consumer import Consumer
from streamer.kafka.embedded import EmbeddedBroker
from streamer.kafka.producer import Producer
from streamer.kafka.topics import SESSIONS
from streamer.local import workers
from streamer.local.follower import Follower, Published
from streamer.notices import PROCESS, Notices
from streamer.session.sending import InFlight
from streamer.stopping import Stop

EMBEDDED_NOTICE = (
    "Embedded broker: in memory, for trying out and for tests; it keeps 5 MB per partition and "
    "forgets everything at the end (for real use: `streamer broker --kafka`, then --broker)."
)


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
    """A source of windows: `session.running.Capture` or `session.rescore.Rescoring`."""

    counters: Counter[str]
    published: Counter[str]

    async def run(self) -> None:
        """Send every window; return when the broker has them all."""
        ...

    def stop(self) -> None:
        """End early."""
        ...


async def run_stages(
    session_ids: tuple[str, ...],
    source: Callable[[Producer, InFlight], Source],
    config: Config,
    *,
    on_record: Callable[[Published], None],
    stage_arguments: Sequence[str],
    start_stages: bool = True,
    stop: Stop,
    log_dir: Path | None = None,
) -> Outcome:
    """Take the windows of a source through the stages to the published sentiment.

    Args:
        session_ids: the sessions under which the source sends.
        source: makes the source.
        config: with a running broker's address.
        on_record: called on the event loop for each published record of these sessions.
        stage_arguments: options that make a worker read the same settings.
        start_stages: False when inference and processing already run elsewhere.
        stop: set to end capture early; what is captured is still flushed and published. It is
            given what the end waits for.
        log_dir: where the workers' logs go.

    Raises:
        StreamerError: a source, the broker or a stage failed.
    """
    verbs = {"inference": "infer", "processing": "process"} if start_stages else {}
    commands = {
        name: [verb, *stage_arguments, *_metrics_port(config, number)]
        for number, (name, verb) in enumerate(verbs.items(), start=1)
    }
    in_flight = InFlight(await _in_flight_bytes(config))
    for session_id in session_ids:
        await tell_of_used_id(config, session_id)
    async with (
        Producer(config) as publisher,
        Follower(config, session_ids, in_flight, on_record) as follower,
        workers.running(commands, log_dir) as started,
    ):
        capture = source(publisher, in_flight)

        async def to_the_end() -> None:
            stop.wait_for("the sources and the recogniser to end")
            await capture.run()
            stop.waits_for = lambda: (
                f"{counted(in_flight.open_windows, 'window')} to be scored and published"
            )
            await follower.drain()

        async def until_stopped() -> None:
            await stop.wait()
            capture.stop()
            follower.hurry()
            await asyncio.Event().wait()

        try:
            await _first_of(
                to_the_end(), until_stopped(), follower.run(), *(w.died() for w in started)
            )
        finally:
            capture.stop()
            stop.wait_for("the stages to end")
    return Outcome(capture.published, follower.sentiments, in_flight.dead_letters, capture.counters)


async def capture_only(
    session_id: str,
    source: Callable[[Producer, InFlight], Source],
    config: Config,
    stop: Stop,
) -> Source:
    """Send the windows of a source; the other stages run elsewhere.

    Args:
        session_id: the session under which the source sends.
        source: makes the source.
        config: with a running broker's address.
        stop: set to end capture early; captured windows are still sent.

    Returns:
        The source, when the broker has all of its windows.

    Raises:
        StreamerError: a source or the broker failed.
    """
    limit = await _in_flight_bytes(config)
    await tell_of_used_id(config, session_id)
    in_flight = InFlight(limit)
    async with Producer(config) as publisher, contextlib.AsyncExitStack() as stack:
        if limit is not None:
            follower = Follower(config, (session_id,), in_flight, lambda record: None)
            await stack.enter_async_context(follower)
            reading = asyncio.create_task(follower.run())
            stack.callback(reading.cancel)
        capture = source(publisher, in_flight)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda task: capture.stop())
        stack.callback(stopping.cancel)
        stop.wait_for("the sources and the recogniser to end, and the last windows to be sent")
        await capture.run()
        return capture


async def tell_of_used_id(config: Config, session_id: str, notices: Notices = PROCESS) -> None:
    """Give a notice if the broker has a session of this id, as only `--session-id` can cause.

    Raises:
        BrokerError: the broker cannot be reached.
    """
    async with Consumer(config, SESSIONS, start="earliest") as sessions:
        known = [received.record.session_id async for received in sessions.snapshot()]
    if session_id in known:
        notices.give(
            f"The broker already has a session {session_id}: windows that were published before "
            "are taken for duplicates. Choose another --session-id, unless this one is resumed."
        )


async def _in_flight_bytes(config: Config) -> int | None:
    """Return how many bytes may be in flight: bounded on the embedded broker, which drops more."""
    return config.capture.in_flight_bytes if await on_embedded(config) else None


async def _first_of(*work: Coroutine[Any, Any, None]) -> None:
    """Run all; when the first ends (or fails), cancel the others and pass its failure on."""
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _metrics_port(config: Config, number: int) -> list[str]:
    """Options that give the stage `number` a port of its own, after capture's."""
    port = config.metrics.port
    return ["--set", f"metrics.port={port + number}"] if port else []
