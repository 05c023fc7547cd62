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
from streamer.kafka.security import RETRY_S

T = TypeVar("T")

CLOSE_S = 10.0
"""Longest time that closing a client may take."""
STOP_POLL_S = 0.25
LOG_PAUSE_S = 30.0


@asynccontextmanager
async def connected(make: Callable[[], Any], kafka: KafkaConfig) -> AsyncIterator[Any]:
    """Give a started aiokafka client and close it at the end; see `start`."""
    client = await start(make, kafka)
    try:
        yield client
    finally:
        await close(client)


async def start(make: Callable[[], Any], kafka: KafkaConfig) -> Any:
    """Return a started aiokafka client, trying for `kafka.connect_timeout_s`.

    Raises:
        BrokerError: no broker answers in that time.
    """
    deadline = time.monotonic() + kafka.connect_timeout_s
    while True:
        client = make()
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), RETRY_S)):
                await client.start()
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
