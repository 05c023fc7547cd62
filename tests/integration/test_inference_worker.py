"""Inference workers in one consumer group, on the embedded broker and on Kafka.

The one that is killed is a process; the others, which are stopped, are tasks of the test.
"""

import asyncio
import os
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streamer.config import Config, build
from streamer.inference import worker
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.producer import Producer
from streamer.kafka.topics import SCORES
from streamer.records import Presence, Score, Window
from tests.fake_model import FakeModel, few_at_once
from tests.made_records import session, window

ROOT = Path(__file__).parents[2]
PARTICIPANTS = tuple(f"p{n}" for n in range(8))
DEADLINE_S = 180.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def config(request: pytest.FixtureRequest) -> Config:
    """Settings for a fresh set of topics on each of the two brokers."""
    prefix = f"t{uuid.uuid4().hex[:12]}"
    address = request.getfixturevalue(f"{request.param}_broker")
    return build({"kafka": {"broker": address, "topic_prefix": prefix}})


@dataclass
class Running:
    """An inference worker in this process, over a fake model that bears the worker's name."""

    task: asyncio.Task[Counter[str]]
    ending: asyncio.Event

    async def stop(self) -> Counter[str]:
        """Ask it to stop, as a signal does; gives its counters."""
        self.ending.set()
        return await asyncio.wait_for(self.task, 60)


@asynccontextmanager
async def running(config: Config, name: str, delay_ms: int = 40) -> AsyncIterator[Running]:
    ending, model = asyncio.Event(), FakeModel(name, delay_s=delay_ms / 1000)
    task = asyncio.create_task(worker.run(few_at_once(config), ending, load=lambda _: model))
    try:
        yield Running(task, ending)
    finally:
        ending.set()
        await task


@asynccontextmanager
async def process_of(config: Config, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """An inference worker as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tests" / "fake_model.py"),
        *("--broker", config.kafka.broker),
        *("--prefix", config.kafka.topic_prefix),
        *("--name", name),
        *("--delay-ms", "100"),  # it must be killed before it has scored its share
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Scores:
    """Everything on the scores topic so far."""

    def __init__(self, reader: Consumer[Score]) -> None:
        self.by_window: defaultdict[str, list[Score]] = defaultdict(list)
        self.by_model: defaultdict[str, int] = defaultdict(int)
        self._reader = reader

    async def until(self, condition: Any, publish: Any = None) -> None:
        """Read (and call `publish` between reads) until `condition` holds."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"only {dict(self.by_model)}"
            if publish:
                await publish()
            for received in await self._reader.batch(500, 200):
                self.by_window[received.record.window_id].append(received.record)
                self.by_model[received.record.model] += 1


class Capture:
    """Sends windows of eight participants in turn, and knows which it has sent."""

    def __init__(self, publisher: Producer) -> None:
        self.sent: set[str] = set()
        self._publisher = publisher
        self._next = 0

    async def publish(self, count: int = 8) -> None:
        acknowledgements = []
        for _ in range(count):
            index, number = divmod(self._next, len(PARTICIPANTS))
            spoken = spoken_window(PARTICIPANTS[number], index)
            self._next += 1
            self.sent.add(spoken.window_id)
            acknowledgements.append(await self._publisher.publish_soon(spoken))
        await asyncio.gather(*acknowledgements)


def spoken_window(participant: str, index: int) -> Window:
    text = "good" if index % 2 else "bad"
    silent = {"audio": None, "faces": (), "presence": Presence(text=1.0)}
    return window(index, text, participant_id=participant, session_id="s", **silent)


@asynccontextmanager
async def both_ends(config: Config) -> AsyncIterator[tuple[Capture, Scores]]:
    await ensure_topics(config)
    async with (
        Producer(config) as publisher,
        Consumer(config, SCORES, group=None, start="earliest") as reader,
    ):
        await publisher.publish(session(session_id="s"))
        yield Capture(publisher), Scores(reader)


async def test_a_worker_killed_in_the_middle_loses_no_window(config: Config) -> None:
    async with (
        both_ends(config) as (capture, scores),
        process_of(config, "first") as first,
        running(config, "second", delay_ms=5) as second,
    ):

        async def publish_once_all_are_scored() -> None:
            if scores.by_window.keys() >= capture.sent:
                await capture.publish()

        await scores.until(
            lambda: scores.by_model["first"] and scores.by_model["second"],
            publish_once_all_are_scored,
        )
        await capture.publish(400)
        before = scores.by_model["first"]
        await scores.until(lambda: scores.by_model["first"] > before)
        first.kill()
        await first.wait()
        assert len(scores.by_window) < len(capture.sent)
        await scores.until(lambda: scores.by_window.keys() >= capture.sent)
        assert scores.by_window.keys() == capture.sent
        for same in scores.by_window.values():
            assert len({(score.valence, score.text, score.revision) for score in same}) == 1
        counters = await second.stop()
        assert counters["scored"] == scores.by_model["second"]
    async with both_ends(config) as (capture, scores), running(config, "third") as third:
        await capture.publish(8)
        known = capture.sent
        await scores.until(lambda: scores.by_model["third"] >= len(known))
        counters = await third.stop()
    assert counters["taken"] == 8, "what the second worker published was not all committed"


async def test_a_stop_leaves_the_rest_to_the_next_worker(config: Config) -> None:
    async with both_ends(config) as (capture, scores):
        await capture.publish(200)
        async with running(config, "first") as first:
            await scores.until(lambda: scores.by_model["first"] >= 8)
            counters = await first.stop()
        assert counters["scored"] < 200
        async with running(config, "second", delay_ms=0) as second:
            await scores.until(lambda: scores.by_window.keys() >= capture.sent)
            await second.stop()
    assert all(len(same) == 1 for same in scores.by_window.values())
