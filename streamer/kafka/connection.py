"""Starting and closing aiokafka clients, waiting for a broker, and what aiokafka logs meanwhile.

aiokafka retries without pause while a broker is away, logs each attempt, and can leave connections
open or block when it closes; this module corrects that. It knows no topic and no record.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from streamer.config import KafkaConfig
from streamer.errors import BrokerError, BrokerGone
from streamer.kafka.probe import failures
from streamer.kafka.security import RETRY_S

T = TypeVar("T")

ADVERTISED_S = 2.0
"""Time after which a start that waits looks whether the broker's own addresses can be reached."""
CLOSE_S = 10.0
"""Longest time that closing a client may take."""
STOP_POLL_S = 0.25
LOG_PAUSE_S = 30.0
LEAD_S = 0.5
"""Time for which a group's leader waits for the others, on the embedded broker."""


@asynccontextmanager
async def connected(make: Callable[[], Any], kafka: KafkaConfig) -> AsyncIterator[Any]:
    """Give a started aiokafka client and close it at the end; see `start`.

    Raises:
        BrokerError: as `start`, and where the broker fails in the block.
    """
    client = await start(make, kafka)
    try:
        yield client
    except (KafkaError, OSError) as error:
        raise unreachable(kafka, error) from error
    finally:
        await close(client)


async def start(make: Callable[[], Any], kafka: KafkaConfig) -> Any:
    """Return a started aiokafka client, trying for `kafka.connect_timeout_s`.

    Raises:
        BrokerError: no broker answers in that time, or the broker answers and the addresses that
            it gives to its clients cannot be reached.
    """
    deadline = time.monotonic() + kafka.connect_timeout_s
    while True:
        client = make()
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), RETRY_S)):
                await _start(client, kafka)
            pause_between_updates(_connections(client))
            return client
        except (KafkaError, OSError, TimeoutError) as error:
            await close(client)
            if time.monotonic() + RETRY_S >= deadline:
                raise unreachable(kafka, error) from error
        except BaseException:
            await close(client)
            raise
        await asyncio.sleep(RETRY_S)


async def _start(client: Any, kafka: KafkaConfig) -> None:
    starting = asyncio.create_task(client.start())
    try:
        await asyncio.wait({starting}, timeout=ADVERTISED_S)
        if not starting.done() or starting.exception() is None:
            await _check_advertised(client, kafka)
        await starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def _check_advertised(client: Any, kafka: KafkaConfig) -> None:
    """Raise BrokerError if the broker has answered, and no address that it gave can be reached."""
    brokers = _connections(client).cluster.brokers()
    addresses = {f"{broker.host}:{broker.port}" for broker in brokers}
    known = {address.strip() for address in kafka.broker.split(",")}
    if not addresses or addresses & known:
        return
    reasons = await failures(sorted(addresses))
    if reasons.keys() == addresses:
        address, reason = next(iter(reasons.items()))
        raise BrokerError(
            f"The Kafka broker at {kafka.broker} answers and sends its clients to {address} "
            f"(its advertised.listeners), which {reason}; set advertised.listeners on the broker "
            f"to an address that this machine reaches, for example {kafka.security.protocol}://"
            f"{kafka.broker.split(',')[0]}, or make its name known here."
        )


async def restart(make: Callable[[], Any], kafka: KafkaConfig) -> Any:
    """Return a started aiokafka client, trying without end."""
    while True:
        with suppress(BrokerError):
            return await start(make, kafka)


def pause_between_updates(client: Any) -> None:
    """Make an aiokafka client wait RETRY_S after a failed update of its metadata.

    Otherwise it retries at once while a broker is away, which occupies a whole core.
    """
    update = client._metadata_update

    async def update_or_pause(*arguments: Any) -> Any:
        updated = await update(*arguments)
        if not updated:
            await asyncio.sleep(RETRY_S)
        return updated

    client._metadata_update = update_or_pause


def delay_assignment(coordinator: Any) -> None:
    """Make a group's leader assign partitions only after the other members have asked.

    The embedded broker refuses a member that asks after the leader has answered, which stops
    aiokafka's coordinator: without the delay two members can push each other out without end.
    """
    assign = coordinator._perform_assignment

    async def assign_later(response: Any) -> Any:
        if len(response.members) > 1:
            await asyncio.sleep(LEAD_S)
        return await assign(response)

    coordinator._perform_assignment = assign_later


async def close(client: Any) -> None:
    """Close an aiokafka client; cut it off if it cannot flush and leave within CLOSE_S."""
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task is not None else 0
    try:
        async with asyncio.timeout(CLOSE_S):
            await (client.close() if hasattr(client, "close") else client.stop())
    except asyncio.CancelledError:
        # aiokafka re-raises the cancellation of its own fetches when the broker is gone.
        if task is not None and task.cancelling() > cancelled_before:
            raise
    except (KafkaError, OSError, TimeoutError):
        with suppress(Exception):
            await client._sender.close()
    finally:  # aiokafka leaves connections open when closing fails or is cancelled
        with suppress(Exception):
            await _connections(client).close()


def _connections(client: Any) -> Any:
    """Return the part of an aiokafka client that holds the connections."""
    return client._client if hasattr(client, "_client") else client.client


async def wait_for_broker(
    work: Coroutine[Any, Any, T], stopped: Callable[[], bool], kafka: KafkaConfig, loss: str
) -> T:
    """Await `work` without limit; after a stop for at most `kafka.connect_timeout_s`.

    Args:
        work: waits for the broker; cancelled when the time is over.
        stopped: returns whether a stop was requested; called every STOP_POLL_S.
        kafka: the settings of the broker.
        loss: the end of the error's sentence, which says what happens to the work.

    Raises:
        BrokerGone: the time is over.
    """
    task = asyncio.create_task(work)
    deadline = math.inf
    try:
        while not task.done() and time.monotonic() < deadline:
            await asyncio.wait([task], timeout=STOP_POLL_S)
            if deadline == math.inf and stopped():
                deadline = time.monotonic() + kafka.connect_timeout_s
        if not task.done():
            raise BrokerGone(
                f"{kafka.broker} did not answer for {kafka.connect_timeout_s:g} s after "
                f"the stop; {loss}."
            )
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def unreachable(kafka: KafkaConfig, error: BaseException) -> BrokerError:
    """Return the error for a broker that does not answer."""
    reason = f" ({error})" if str(error) else ""
    return BrokerError(
        f"No Kafka broker answers at {kafka.broker} within {kafka.connect_timeout_s:g} s{reason}; "
        "start one with `streamer broker`, or set kafka.broker and kafka.security."
    )


class RepeatFilter(logging.Filter):
    """Passes one line about a broker that is away instead of aiokafka's several per second.

    A warning that repeats within LOG_PAUSE_S of its last occurrence is dropped.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_s: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record; reword it if it says that a broker is away."""
        if record.levelno < logging.WARNING:
            return True
        text = record.getMessage()
        away = any(sign in text for sign in _AWAY)
        subject = "away" if away else record.msg
        now_s = time.monotonic()
        passes = now_s - self._last_s.get(subject, -math.inf) > LOG_PAUSE_S
        self._last_s[subject] = now_s
        if passes and away:
            record.msg, record.args = "The broker does not answer; waiting for it: %s", (text,)
        return passes


_AWAY = ("NodeNotReady", "Unable connect", "Unable to update metadata", "ConnectionError")
_filter = RepeatFilter()
for _part in (
    *("", ".cluster", ".conn", ".producer.sender", ".consumer.fetcher"),
    ".consumer.group_coordinator",
):
    logging.getLogger(f"aiokafka{_part}").addFilter(_filter)
