"""Faust's app and its Kafka clients, with the repairs that the two stages need.

Faust loses messages in rebalances, goes on after a pause in which its partitions went to others,
and does not end when its broker is gone; the subclasses here end the app instead, and the worker
builds a new one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import faust
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Transport
from mode.services import WaitResults
from mode.threads import WorkerThread

from streamer.errors import BrokerError, StreamerError
from streamer.kafka.connection import close, delay_assignment, pause_between_updates
from streamer.kafka.consumer import HURRIED_WAIT_MS
from streamer.kafka.topic_ids import topic_states
from streamer.processing.begun import Begun
from streamer.processing.inputs import Start, commit_metadata, find_starts
from streamer.processing.lease import RENEW_S, Lease
from streamer.processing.takeover import LOOK_S, PATIENCE_S, Takeover

log = logging.getLogger(__name__)

STOP_S = 15.0
"""How long stopping the app may take before it is cut short."""


class Evicted(KafkaError):  # type: ignore[misc]
    """The partitions may be another worker's by now, so nothing may be written."""


class _Thread(WorkerThread):  # type: ignore[misc]
    """A daemon thread: it does not keep the process alive when stopping was cut short."""

    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True


class _ConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer, repaired in six places.

    Faust lets a fetch wait up to 1.5 s for data, and the embedded broker, unlike a real one, does
    not end the wait when data come. And after an error while joining the group aiokafka waits for
    a new subscription, which Faust never makes, so that the worker would stand still for ever: it
    tries again instead, or ends the app where the broker forbids the group. The others are
    `pause_between_updates`, `close` and, on the embedded broker, `delay_assignment`.

    At the end of a rebalance Faust drops the messages that it has fetched and seeks to the commits.
    A partition without a commit kept its position behind the dropped messages, which were lost. So
    every input partition is sought, to its commit or to its beginning. A commit names its topic by
    id: the commits that a worker makes while its topic is made again are of the old one.
    """

    Worker = _Thread
    logger = logging.getLogger("faust.transport")

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = HURRIED_WAIT_MS
        commit = consumer.commit

        async def commit_with_id(offsets: Mapping[Any, OffsetAndMetadata]) -> None:
            ids = self.app.topic_ids
            await commit(
                {
                    at: OffsetAndMetadata(each.offset, commit_metadata(ids.get(at.topic, "")))
                    for at, each in offsets.items()
                }
            )

        consumer.commit = commit_with_id
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        pause_between_updates(self._consumer._client)
        self._consumer._coordinator._push_error_to_user = self._join_again
        if self.app.embedded:
            delay_assignment(self._consumer._coordinator)

    async def starts(self) -> dict[Any, Start]:
        """Return where each assigned partition of an input is to be read from."""
        starts: dict[Any, Start] = await self.call_thread(self._find_starts)
        return starts

    async def seek_to_committed(self) -> dict[Any, int | None]:
        """Seek every assigned partition of an input to its start."""
        offsets: dict[Any, int | None] = await self.call_thread(self._seek_to_starts)
        return offsets

    async def _find_starts(self) -> dict[Any, Start]:
        consumer, changelogs = self._consumer, self.app.tables.changelog_topics
        partitions = [at for at in consumer.assignment() if at.topic not in changelogs]
        if not self.app.embedded:  # its topics have no ids and are never made again
            states = await topic_states(consumer._client, {at.topic for at in partitions})
            self.app.topic_ids |= {name: now.id for name, now in states.items() if now is not None}
            partitions = [at for at in partitions if states.get(at.topic) is not None]
        return await find_starts(consumer, partitions, self.app.topic_ids)

    async def _seek_to_starts(self) -> dict[Any, int | None]:
        consumer = self._consumer
        starts = await self._find_starts()
        offsets: dict[Any, int | None] = dict.fromkeys(consumer.assignment())
        for at, start in starts.items():
            if at in offsets:
                consumer.seek(at, start.offset)
                offsets[at] = start.offset
        return offsets

    async def on_thread_stop(self) -> None:
        await super(AIOKafkaConsumerThread, self).on_thread_stop()  # past its `consumer.stop()`
        if self._consumer is not None:
            await close(self._consumer)

    async def _join_again(self, error: BaseException) -> None:
        if isinstance(error, (GroupAuthorizationFailedError, TopicAuthorizationFailedError)):
            why = BrokerError(
                f"The broker does not allow the consumer group {self.app.conf.id} ({error}); "
                "grant it to this user, or set smoothing.consumer_group."
            )
            self.app.loop.call_soon_threadsafe(self.app.give_up, why)
            await asyncio.sleep(STOP_S)
        log.warning("Joining the consumer group failed (%r); trying again.", error)
        await asyncio.sleep(1.0)
        self._consumer._coordinator.request_rejoin()


class _Consumer(Transport.Consumer):  # type: ignore[misc]
    logger = logging.getLogger("faust.transport")

    async def wait_first(self, *waits: Any, **options: Any) -> Any:
        """Wait for the first; a message that is handed over without waiting needs no tasks.

        Faust hands over each message and waits for that or for the flow to be suspended, with four
        tasks for each.
        """
        if not options and len(waits) == 2 and all(map(asyncio.iscoroutine, waits)):
            handing, suspended = waits
            begun = Begun(handing)
            if begun.is_done:
                suspended.close()
                return WaitResults([handing], [None], False)
            waits = begun.rest(), suspended
        return await super().wait_first(*waits, **options)

    async def starts(self) -> dict[Any, Start]:
        """Return where each assigned partition of an input is to be read from."""
        starts: dict[Any, Start] = await self._thread.starts()
        return starts

    def _new_consumer_thread(self) -> Any:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _Producer(Transport.Producer):  # type: ignore[misc]
    logger = logging.getLogger("faust.transport")

    async def on_start(self) -> None:
        await super().on_start()
        pause_between_updates(self._producer.client)
        fence(self._producer.client, self.app)


def fence(client: Any, app: App) -> None:
    """Let a producer's client send nothing while the app may not write.

    What it has queued is asked for directly before it is sent: a process that goes on after a
    pause sends its queue before anything else of it runs.
    """
    send = client.send

    async def send_if_allowed(node_id: int, request: Any, **options: Any) -> Any:
        if isinstance(request, ProduceRequest):
            app.check_may_write()
        return await send(node_id, request, **options)

    client.send = send_if_allowed


class _Transport(Transport):  # type: ignore[misc]
    Consumer = _Consumer
    Producer = _Producer


class App(faust.App):  # type: ignore[misc]
    """Faust's app with our transport, and no data folder where the tables are in memory.

    Attributes:
        ended: done when the app must not go on: fails with an error for good, or holds why it
            must start over.
        embedded: the broker is an embedded one.
        known_gaps: gaps in the offsets of an input that are the log's own.
        lease: whether this process has been running without a pause.
        topic_ids: of the input topics that the app reads; from its consumer's thread.
    """

    logger = logging.getLogger("faust.app")

    def __init__(
        self,
        app_id: str,
        known_gaps: set[tuple[Any, int]] | None = None,
        *,
        embedded: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(app_id, **settings)
        self.embedded = embedded
        self.topic_ids: dict[str, str] = {}
        self.ended: asyncio.Future[str] = asyncio.Future()
        self.known_gaps: set[tuple[Any, int]] = set() if known_gaps is None else known_gaps
        conf = self.conf
        self.lease = Lease(conf.broker_session_timeout - conf.broker_heartbeat_interval - RENEW_S)

    def start_over(self, why: str) -> None:
        """End this app so that the worker builds a new one."""
        if not self.ended.done():
            self.ended.set_result(why)

    def may_write(self) -> bool:
        """Return whether the assigned partitions are this worker's still; if not, start over."""
        if not self.lease.is_held():
            self.start_over(f"the process stood still for {self.lease.gap_s:.0f} s")
        elif self._is_out_of_group():
            self.start_over("the consumer group went on without this worker")
        return not self.ended.done()

    def check_may_write(self) -> None:
        """Raise Evicted if the app may not write."""
        if not self.may_write():
            raise Evicted

    async def keep_lease(self) -> None:
        """Renew the lease until it is lost."""
        held = True
        while held:
            await asyncio.sleep(RENEW_S)
            held = self.lease.renew()
        self.may_write()

    async def watch_takeover(self) -> None:
        """Start over when taking over partitions stands still."""
        takeover, stands_still = Takeover(), False
        while not stands_still:
            await asyncio.sleep(LOOK_S)
            stands_still = takeover.stands_still(self.takeover_place())
        self.start_over(f"taking over partitions made no progress for {PATIENCE_S:.0f} s")

    def takeover_place(self) -> Any:
        """Return how far the changelogs are read after a rebalance; None when that is done."""
        if not self.rebalancing:
            return None
        offsets = dict(self.tables.recovery.active_offsets)
        return self.rebalancing_count, self.consumer_generation_id, offsets

    def _is_out_of_group(self) -> bool:
        """Whether the broker has refused this worker's membership since it last joined."""
        consumer = getattr(self.consumer._thread, "_consumer", None)
        coordinator = getattr(consumer, "_coordinator", None)
        return coordinator is not None and coordinator.generation < 0

    def give_up(self, error: StreamerError) -> None:
        """End this app and the worker with an error."""
        if not self.ended.done():
            self.ended.set_exception(error)

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        """Create the data folder of RocksDB; no other store needs one."""
        if str(self.conf.store).startswith("rocksdb"):
            self.conf.datadir.parent.mkdir(parents=True, exist_ok=True)
            await super().on_first_start()
