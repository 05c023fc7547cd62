"""Numbers for Prometheus, and whether a stage is alive and ready, over HTTP.

What enters: the stages' own counters, the records that they publish, their readers' lag. What
leaves, on one port per stage (PORTS): `/metrics`, `/healthz` (200 while the event loop turns),
`/readyz` (200 once the stage does its work and a broker answers). Labels never hold a session's
or a person's name. The server has threads of its own, so that a loop that hangs can be told.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import socket
import threading
import time
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamer.config import Config
from streamer.errors import ConfigError
from streamer.records import Score, Sentiment

__all__ = ["PORTS", "REGISTRY", "ready", "sent", "watch", "watch_lag", "watched"]

log = logging.getLogger("streamer.metrics")

T = TypeVar("T")
StageName = Literal["capture", "inference", "processing", "recording"]

PORTS: dict[StageName, int] = {
    "capture": 9101,
    "inference": 9102,
    "processing": 9103,
    "recording": 9104,
}
BEAT_S = 1.0
DEAD_S = 30.0
"""A loop that has not turned for so long is dead: loading a model takes less."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
LATENCY = Histogram(
    "streamer_latency_seconds",
    "Time spent per stage of the data path: capture, queue, inference, smoothing, total.",
    ["stage"],
    buckets=BUCKETS,
    registry=REGISTRY,
)
EVIDENCE = Histogram(
    "streamer_evidence_modalities",
    "How many modalities counted in a published window.",
    buckets=(0, 1, 2, 3),
    registry=REGISTRY,
)
READY = Gauge("streamer_ready", "1 while the stage does its work.", registry=REGISTRY)
BUILD = Info("streamer_build", "Version of the package, and the stage.", registry=REGISTRY)


class _Watched(Collector):
    """Counters and lags of other components, read when Prometheus scrapes."""

    def __init__(self) -> None:
        self.counters: list[tuple[str, weakref.ref[Counter[str]]]] = []
        self.lags: list[tuple[str, weakref.WeakMethod[Callable[[], int]]]] = []

    def collect(self) -> Iterable[Metric]:
        events = CounterMetricFamily(
            "streamer_events", "Events that a component counted.", labels=["component", "event"]
        )
        totals: defaultdict[tuple[str, str], int] = defaultdict(int)
        for component, reference in list(self.counters):
            counter = reference()
            for name, count in dict(counter or {}).items():
                totals[component, name] += count
        for labels, total in sorted(totals.items()):
            events.add_metric(labels, total)
        yield events
        lag = GaugeMetricFamily(
            "streamer_lag_records", "Records published and not yet processed.", labels=["kind"]
        )
        behind: defaultdict[str, int] = defaultdict(int)
        for kind, method in list(self.lags):
            measure = method()
            if measure is not None:
                behind[kind] += _quietly(measure)
        for kind, count in sorted(behind.items()):
            lag.add_metric([kind], count)
        yield lag


_watched = _Watched()
REGISTRY.register(_watched)


def watch(component: str, counters: Counter[str]) -> None:
    """Export these counters as events of `component`, as long as the counter lives."""
    _watched.counters[:] = [one for one in _watched.counters if one[1]() is not None]
    _watched.counters.append((component, weakref.ref(counters)))


def watch_lag(kind: str, lag: Callable[[], int]) -> None:
    """Export the lag that this bound method returns for `kind`, as long as its object lives."""
    _watched.lags[:] = [one for one in _watched.lags if one[1]() is not None]
    _watched.lags.append((kind, weakref.WeakMethod(lag)))


def sent(record: object, kind: str) -> None:
    """Note the latencies of a record on its way to its topic; each stage's once."""
    if isinstance(record, Score):
        for stage, spent_ms in record.latency_ms.items():
            LATENCY.labels(stage).observe(spent_ms / 1000)
    elif isinstance(record, Sentiment) and kind == "smoothed":
        EVIDENCE.observe(len(record.evidence))
        for stage in ("smoothing", "total"):
            if stage in record.latency_ms:
                LATENCY.labels(stage).observe(record.latency_ms[stage] / 1000)


def ready(yes: bool = True) -> None:
    """Say that this process's stage does its work now (or no longer)."""
    READY.set(yes)


async def watched(
    config: Config,
    stage: StageName,
    work: Coroutine[Any, Any, T],
    broker_answers: Callable[[str], bool],
) -> T:
    """Do `work` and answer over HTTP meanwhile, unless `metrics.enabled` is false.

    Args:
        config: where to listen, and the broker's address.
        stage: the name of this process's stage.
        work: what the stage does.
        broker_answers: whether a broker at an address accepts connections; called on a thread.

    Raises:
        ConfigError: `metrics.port` is set and taken. A stage's default port that is taken, as by
            a second worker on the same machine, is a warning.
    """
    settings = config.metrics
    BUILD.info({"version": importlib.metadata.version("streamer"), "stage": stage})
    ready(False)
    if not settings.enabled:
        return await work
    heart = _Heart(config.kafka.broker, broker_answers)
    port = settings.port or PORTS[stage]
    try:
        server = _Server((settings.host, port), heart)
    except OSError as error:
        told = (
            f"The metrics of {stage} cannot be served on {settings.host}:{port}: {error.strerror}"
        )
        if settings.port:
            work.close()
            raise ConfigError(f"{told}; set metrics.host and metrics.port.") from None
        log.warning("%s; it goes on without them (metrics.port names another port).", told)
        return await work
    log.info("Metrics on http://%s:%d/metrics.", settings.host, server.server_port)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    beating = asyncio.create_task(heart.beat())
    try:
        return await work
    finally:
        ready(False)
        beating.cancel()
        server.shutdown()
        thread.join()
        server.server_close()


class _Heart:
    """Whether the event loop turns and a broker answers."""

    def __init__(self, broker: str, broker_answers: Callable[[str], bool]) -> None:
        self._broker = broker
        self._broker_answers = broker_answers
        self._beat_s = time.monotonic()

    async def beat(self) -> None:
        while True:
            self._beat_s = time.monotonic()
            await asyncio.sleep(BEAT_S)

    def alive(self) -> str:
        """Return an empty text, or the problem."""
        silent_s = time.monotonic() - self._beat_s
        return f"the event loop hangs since {silent_s:.0f} s" if silent_s > DEAD_S else ""

    def ready(self) -> str:
        """Return an empty text, or the problem."""
        if not REGISTRY.get_sample_value("streamer_ready"):
            return "starting or stopping"
        if wrong := self.alive():
            return wrong
        return "" if self._broker_answers(self._broker) else f"no broker answers at {self._broker}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], heart: _Heart) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.heart = heart
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(200, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
            case "/healthz":
                self._tell(self.server.heart.alive())
            case "/readyz":
                self._tell(self.server.heart.ready())
            case _:
                self._answer(404, b"/metrics, /healthz or /readyz\n")

    def _tell(self, wrong: str) -> None:
        self._answer(503 if wrong else 200, (wrong or "ok").encode() + b"\n")

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: a probe comes every few seconds."""


def _quietly(measure: Callable[[], int]) -> int:
    """A lag, or 0 while its reader joins or leaves."""
    try:
        return measure()
    except Exception:
        log.debug("A lag cannot be told now.", exc_info=True)
        return 0
