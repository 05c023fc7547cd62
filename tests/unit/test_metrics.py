"""Metrics, health and readiness over real HTTP; dashboard file and docs name what exists."""

import asyncio
import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamer.config import Config, build
from streamer.errors import ConfigError
from streamer.kafka.probe import answers
from streamer.kafka.topics import TOPICS
from streamer.metrics import PORTS, Metrics
from tests.made_records import sentiment

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def settings(broker_port: int, **changes: object) -> Config:
    own = {"port": free_port(), **changes}
    return build({"kafka": {"broker": f"127.0.0.1:{broker_port}"}, "metrics": own})


@pytest.fixture
def broker() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def metrics() -> Metrics:
    """Metrics on a registry that no other test writes to."""
    return Metrics()


async def get(config: Config, path: str) -> tuple[int, str]:
    def fetch() -> tuple[int, str]:
        url = f"http://127.0.0.1:{config.metrics.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_counters_and_lags_of_components_are_exported(broker: int, metrics: Metrics) -> None:
    config = settings(broker)
    counters = Counter(scored=3)
    metrics.watch("a component of this test", counters)

    class Reading:
        def lag(self) -> int:
            return 7

    reading = Reading()
    metrics.watch_lag("a kind of this test", reading.lag)

    counters["scored"] += 1
    first = samples(await metrics.watched(config, "inference", fetch_metrics(config), answers))
    assert first["streamer_events_total", "a component of this test", "scored"] == 4
    assert first["streamer_lag_records", "a kind of this test"] == 7
    assert any(name[0] == "streamer_build_info" and "inference" in name for name in first)
    assert first["process_resident_memory_bytes",] > 0
    del counters, reading
    again = samples(await metrics.watched(config, "inference", fetch_metrics(config), answers))
    assert ("streamer_events_total", "a component of this test", "scored") not in again


async def fetch_metrics(config: Config) -> str:
    return (await get(config, "/metrics"))[1]


async def test_latencies_are_histograms_each_stage_once(broker: int, metrics: Metrics) -> None:
    config = settings(broker)

    def counts(text: str, stage: str) -> float:
        return samples(text).get(("streamer_latency_seconds_count", stage), 0.0)

    spoken = sentiment(0, latency_ms={"inference": 30.0, "smoothing": 4.0, "total": 2000.0})
    metrics.sent(spoken, "smoothed")
    metrics.sent(spoken, "session_input")
    metrics.sent(sentiment(1, None, latency_ms={}), "smoothed")
    again = sentiment(0, revision=1, latency_ms={"total": 4000.0})
    metrics.sent(again, "smoothed")  # its latency is the wait for words
    after = await metrics.watched(config, "processing", fetch_metrics(config), answers)
    assert counts(after, "total") == 1
    assert counts(after, "inference") == 0
    evidence = "streamer_evidence_modalities_count"
    assert samples(after)[evidence,] == 2


@pytest.mark.slow
async def test_ready_once_the_stage_says_so_and_a_broker_answers(
    broker: int, metrics: Metrics
) -> None:
    config = settings(broker)

    async def work() -> None:
        assert await get(config, "/healthz") == (200, "ok\n")
        assert await get(config, "/readyz") == (503, "starting or stopping\n")
        metrics.ready()
        assert await get(config, "/readyz") == (200, "ok\n")
        metrics.problem("recording", "The disk is full.")
        assert await get(config, "/readyz") == (503, "The disk is full.\n")
        metrics.problem("recording", "")
        assert await get(config, "/readyz") == (200, "ok\n")
        assert (await get(config, "/"))[0] == 404

    await metrics.watched(config, "inference", work(), answers)
    gone = settings(free_port())

    async def without_broker() -> None:
        metrics.ready()
        code, why = await get(gone, "/readyz")
        assert (code, why) == (503, f"no broker answers at {gone.kafka.broker}\n")
        assert (await get(gone, "/healthz"))[0] == 200

    await metrics.watched(gone, "inference", without_broker(), answers)
    with pytest.raises(urllib.error.URLError):
        await get(config, "/healthz")


async def test_a_loop_that_hangs_is_reported(broker: int) -> None:
    metrics = Metrics(dead_s=0.2)
    config = settings(broker)
    replies = []

    def ask() -> None:
        url = f"http://127.0.0.1:{config.metrics.port}/healthz"
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except urllib.error.HTTPError as error:
            with error:
                replies.append((error.code, error.read()))

    async def work() -> None:
        deadline = time.monotonic() + 30
        while not replies and time.monotonic() < deadline:
            ask()  # in the loop itself, which hangs for the whole of it

    await metrics.watched(config, "inference", work(), answers)
    ((code, why),) = replies
    assert code == 503
    assert why.startswith(b"the event loop has not run for")


async def test_a_taken_port_is_an_error_only_when_it_was_asked_for(
    broker: int, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(ports={"inference": broker})

    async def work() -> str:
        return "done"

    with pytest.raises(ConfigError, match=r"set metrics\.host and metrics\.port"):
        await metrics.watched(settings(broker, port=broker), "inference", work(), answers)
    assert await metrics.watched(settings(broker, port=0), "inference", work(), answers) == "done"
    assert "goes on without them" in caplog.text


async def test_nothing_listens_when_it_is_switched_off(broker: int, metrics: Metrics) -> None:
    config = settings(broker, enabled=False)

    async def work() -> bool:
        with pytest.raises(urllib.error.URLError):
            await get(config, "/metrics")
        return True

    assert await metrics.watched(config, "capture", work(), answers)


def names_there_are() -> set[str]:
    names = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    histograms = {"streamer_latency_seconds", "streamer_evidence_modalities"}
    names |= {f"{name}_{end}" for name in histograms for end in ("bucket", "count", "sum")}
    return names | {"streamer_events_total", "streamer_build_info", "streamer_lag_records", "up"}


def test_the_grafana_dashboard_asks_for_metrics_that_exist() -> None:
    board = json.loads((ROOT / "docs/grafana.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(asked) > 8
    for expression in asked:
        for name in re.findall(r"\b(?:streamer|process)_\w+", expression):
            assert name in names_there_are(), expression
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_scaling_follows_metrics_that_exist() -> None:
    text = (ROOT / "docs/scaling.md").read_text("utf-8")
    names = set(re.findall(r"`(?:sum\()?(streamer_\w+)", text))
    assert {"streamer_lag_records", "streamer_latency_seconds"} <= names
    for name in names:
        assert {name, f"{name}_bucket"} & names_there_are(), name
    assert set(re.findall(r'lag_records\{kind="(\w+)"', text)) <= {topic.kind for topic in TOPICS}


def test_operating_names_every_port_and_metric() -> None:
    text = (ROOT / "docs/operating.md").read_text("utf-8")
    for stage, port in PORTS.items():
        assert f"| {stage} | {port} |" in text
    for name in re.findall(r"`(streamer_\w+)`", text):
        assert {name, f"{name}_bucket"} & names_there_are(), name
    for family in Metrics().registry.collect():
        if family.name.startswith("streamer_"):
            assert f"`{family.name}" in text
