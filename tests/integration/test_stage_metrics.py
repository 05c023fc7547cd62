"""Each stage as a process of its own answers on its port while it works."""

import asyncio
import math
import os
import signal
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streamer.config import Config, build
from streamer.kafka.admin import ensure_topics
from streamer.kafka.producer import Producer
from streamer.records import Presence
from tests.made_records import score, sentiment, session, window
from tests.unit.test_metrics import free_port, samples

ROOT = Path(__file__).parents[2]
PATIENCE = 300

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def config(request: pytest.FixtureRequest) -> Config:
    """Settings for a fresh set of topics on each of the two brokers."""
    address = request.getfixturevalue(f"{request.param}_broker")
    chosen = build(
        {
            "kafka": {"broker": address, "topic_prefix": f"t{uuid.uuid4().hex[:12]}"},
            "metrics": {"port": free_port()},
        }
    )
    await ensure_topics(chosen)
    return chosen


@asynccontextmanager
async def stage(config: Config, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamer", *command, "--broker", config.kafka.broker),
        *("--set", f"kafka.topic_prefix={config.kafka.topic_prefix}"),
        *("--set", f"metrics.port={config.metrics.port}"),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def answer(config: Config, path: str) -> str | None:
    """The body of a 200; None for anything else, a refused connection included."""

    def fetch() -> str | None:
        url = f"http://127.0.0.1:{config.metrics.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                body: bytes = response.read()
                return body.decode()
        except urllib.error.HTTPError as error:
            error.close()
            return None
        except OSError:
            return None

    return await asyncio.to_thread(fetch)


async def until(
    config: Config, name: tuple[str, ...], at_least: float, at_most: float = math.inf
) -> dict[tuple[str, ...], float]:
    """The samples, once one of them is there and between the bounds."""
    metrics: dict[tuple[str, ...], float] = {}
    for _ in range(PATIENCE):
        metrics = samples(await answer(config, "/metrics") or "")
        if at_least <= metrics.get(name, -math.inf) <= at_most:
            return metrics
        await asyncio.sleep(0.3)
    raise AssertionError(f"{name} is {metrics.get(name)}; there are {sorted(metrics)}")


async def test_capture_tells_how_many_windows_it_published(
    config: Config, short: dict[str, Path]
) -> None:
    """The recording goes on for ten seconds behind the fourth window, so that it can be seen."""
    ana = short["ana"]
    async with stage(
        config, "capture", "--participant", f"ana={ana}", "--set", "asr.engine=none"
    ) as process:
        metrics = await until(config, ("streamer_events_total", "publisher", "published"), 4)
        assert metrics["streamer_ready",] == 1
        assert metrics.get(("streamer_events_total", "publisher", "dead_lettered"), 0) == 0
        await asyncio.wait_for(process.wait(), 60)


async def test_inference_tells_what_it_scored_and_what_waits(config: Config) -> None:
    async with stage(config, "infer"), Producer(config) as publisher:
        await until(config, ("streamer_ready",), 1)
        assert await answer(config, "/readyz") == "ok\n"
        await publisher.publish(session())
        for index in range(3):
            said = window(index, audio=None, faces=(), presence=Presence(text=1.0))
            await publisher.publish(said)
        metrics = await until(config, ("streamer_events_total", "inference", "scored"), 3)
        assert metrics["streamer_events_total", "inference", "taken"] == 3
        assert metrics["streamer_latency_seconds_count", "inference"] == 3
        await until(config, ("streamer_lag_records", "windows"), 0, 0)


async def test_the_processor_tells_rates_latencies_and_lag(config: Config) -> None:
    async with stage(config, "process"), Producer(config) as publisher:
        await until(config, ("streamer_ready",), 1)
        assert await answer(config, "/readyz") == "ok\n"
        await publisher.publish(session())
        for index in range(20):
            await publisher.publish(score(index, session_participants=1))
        metrics = await until(config, ("streamer_latency_seconds_count", "total"), 20)
        assert metrics["streamer_events_total", "smoothing scores", "records"] == 20
        assert metrics["streamer_latency_seconds_sum", "total"] >= 20 * 0.022
        await until(config, ("streamer_events_total", "publisher", "published"), 40)
        await until(config, ("streamer_lag_records", "scores"), 0, 0)


async def test_the_recorder_tells_what_it_took(config: Config, tmp_path: Path) -> None:
    async with (
        stage(config, "record", "--dir", str(tmp_path)),
        Producer(config) as publisher,
    ):
        await until(config, ("streamer_ready",), 1)
        for record in (session(), sentiment(0), sentiment(1)):
            await publisher.publish(record)
        await until(config, ("streamer_events_total", "recording", "taken"), 3)
        metrics = await until(config, ("streamer_events_total", "recording", "flushes"), 1)
        assert metrics["streamer_events_total", "reader smoothed", "read"] == 2
        assert await answer(config, "/healthz") == "ok\n"
