"""Closing aiokafka clients, waiting for a broker, and what is logged meanwhile."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from streamer.config import build
from streamer.errors import BrokerGone
from streamer.kafka.connection import STOP_POLL_S, RepeatFilter, close, wait_for_broker


@pytest.mark.slow
async def test_waiting_has_no_limit_before_a_stop_and_has_one_after_it() -> None:
    kafka = build({"kafka": {"broker": "fake:1", "connect_timeout_s": 0.1}}).kafka
    stop, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(wait_for_broker(work(), stop.is_set, kafka, "it is lost"))
    done, _ = await asyncio.wait([task], timeout=4 * STOP_POLL_S)
    assert not done
    stop.set()
    with pytest.raises(BrokerGone, match=r"for 0\.1 s after the stop; it is lost\."):
        await task
    assert ended.is_set()


async def test_waiting_passes_on_the_result_and_the_error_of_the_work() -> None:
    kafka = build({"kafka": {"broker": "fake:1"}}).kafka

    async def divided(by: int) -> float:
        return 1 / by

    assert await wait_for_broker(divided(2), lambda: True, kafka, "") == 0.5
    with pytest.raises(ZeroDivisionError):
        await wait_for_broker(divided(0), lambda: True, kafka, "")


class Connections:
    """The part of an aiokafka client that has the connections."""

    def __init__(self) -> None:
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


def client_ending(ending: BaseException | None) -> tuple[Any, Connections]:
    """Return a client whose `stop` raises `ending`, or never ends if it is None."""

    async def stop() -> None:
        if ending is not None:
            raise ending
        await asyncio.Event().wait()

    connections = Connections()
    return SimpleNamespace(stop=stop, client=connections), connections


@pytest.mark.parametrize("ending", [asyncio.CancelledError(), KafkaConnectionError(), OSError()])
async def test_a_client_that_fails_to_close_leaves_no_connection(ending: Any) -> None:
    client, connections = client_ending(ending)
    await close(client)
    assert connections.closed == 1


async def test_closing_can_be_cancelled_and_leaves_no_connection() -> None:
    client, connections = client_ending(None)
    task = asyncio.create_task(close(client))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connections.closed == 1


def test_a_broker_that_is_away_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    repeat_filter = RepeatFilter()
    log = logging.getLogger("test.aiokafka")
    log.addFilter(repeat_filter)
    with caplog.at_level(logging.INFO, "test.aiokafka"):
        for attempt in range(20):
            log.error("Unable connect to node with id %s: %s", 1, f"refused {attempt}")
            log.warning("Got error produce response: NodeNotReadyError: %s", attempt)
            log.error("Topic %s not found in cluster metadata", "t")
            log.info("Joined group")
    log.removeFilter(repeat_filter)
    warned = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert warned == [
        "The broker does not answer; waiting for it: Unable connect to node with id 1: refused 0",
        "Topic t not found in cluster metadata",
    ]
    assert len(caplog.records) == 22
