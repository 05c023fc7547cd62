"""Numbers for Prometheus, and whether a stage is alive and ready, over HTTP.

What enters: the stages' own counters, the records that they publish, their readers' lag. What
leaves, on one port per stage (PORTS): `/metrics`, `/healthz` (200 while the event loop turns),
`/readyz` (200 once the stage does its work, a broker answers and no component has a problem).
Labels never hold a session's or a person's name. The server has threads of its own, so that they
report a loop that hangs.
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
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cache
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

__all__ = [
    "PORTS",
    "PROCESS",
    "Metrics",
    "problem",
    "ready",
    "sent",
    "watch",
    "watch_lag",
    "watched",
]

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


class _Components(Collector):
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

    def add_counters(self, component: str, counters: Counter[str]) -> None:
        self.counters[:] = [entry for entry in self.counters if entry[1]() is not None]
        self.counters.append((component, weakref.ref(counters)))

    def add_lag(self, kind: str, lag: Callable[[], int]) -> None:
        self.lags[:] = [entry for entry in self.lags if entry[1]() is not None]
        self.lags.append((kind, weakref.WeakMethod(lag)))


class Metrics:
    """What the stage of a process measures, on a registry of its own.

    The functions of this module are the methods of one instance, PROCESS: a process runs one stage
    and serves one page of metrics, and readers, producers and stages would otherwise pass the
    instance through every constructor without using it. A test makes an instance of its own.
    """

    def __init__(self, ports: Mapping[StageName, int] = PORTS, dead_s: float = DEAD_S) -> None:
        """Create the instruments; `ports` are the stages' default ports.

        A loop that has not turned for `dead_s` seconds is dead.
        """
        self.registry = CollectorRegistry()
        self._ports = ports
        self._dead_s = dead_s
        ProcessCollector(registry=self.registry)
        self._latency = Histogram(
            "streamer_latency_seconds",
            "Time spent per stage of the data path: capture, queue, inference, smoothing, total.",
            ["stage"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._latency_of = cache(self._latency.labels)
        self._evidence = Histogram(
            "streamer_evidence_modalities",
            "How many modalities counted in a published window.",
            buckets=(0, 1, 2, 3),
            registry=self.registry,
        )
        self._ready = Gauge(
            "streamer_ready", "1 while the stage does its work.", registry=self.registry
        )
        self._build = Info(
            "streamer_build", "Version of the package, and the stage.", registry=self.registry
        )
        self._problems: dict[str, str] = {}
        self._components = _Components()
        self.registry.register(self._components)

    def watch(self, component: str, counters: Counter[str]) -> None:
        """Export these counters as events of `component`, as long as the counter lives."""
        self._components.add_counters(component, counters)

    def watch_lag(self, kind: str, lag: Callable[[], int]) -> None:
        """Export the lag that this bound method returns for `kind`, as long as its object lives."""
        self._components.add_lag(kind, lag)

    def sent(self, record: object, kind: str) -> None:
        """Observe the latencies of a record on its way to its topic; each stage's once.

        A window's later revisions are left out: their latency is the wait for words.
        """
        if isinstance(record, Score | Sentiment) and record.revision > 0:
            return
        if isinstance(record, Score):
            for stage, spent_ms in record.latency_ms.items():
                self._latency_of(stage).observe(spent_ms / 1000)
        elif isinstance(record, Sentiment) and kind == "smoothed":
            self._evidence.observe(len(record.evidence))
            for stage in ("smoothing", "total"):
                if stage in record.latency_ms:
                    self._latency_of(stage).observe(record.latency_ms[stage] / 1000)

    def ready(self, yes: bool = True) -> None:
        """Set whether this process's stage does its work now."""
        self._ready.set(yes)

    def problem(self, component: str, text: str) -> None:
        """Set what keeps a component from its work, one sentence; an empty text for nothing.

        `/readyz` answers 503 with it, and the live page of this process shows it.
        """
        if text:
            self._problems[component] = text
        else:
            self._problems.pop(component, None)

    def problems(self) -> list[str]:
        """Return what keeps components of this process from their work, one sentence each."""
        return list(self._problems.values())

    def is_ready(self) -> bool:
        """Return whether this process's stage does its work now."""
        return bool(self.registry.get_sample_value("streamer_ready"))

    async def watched(
        self,
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
            ConfigError: `metrics.port` is set and taken. A stage's default port that is taken, as
                by a second worker on the same machine, is a warning.
        """
        self._build.info({"version": importlib.metadata.version("streamer"), "stage": stage})
        self.ready(False)
        if not config.metrics.enabled:
            return await work
        heart = _Heart(config.kafka.broker, broker_answers, self._dead_s)
        try:
            server = self._server(config, stage, heart)
        except ConfigError:
            work.close()
            raise
        if server is None:
            return await work
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        beating = asyncio.create_task(heart.beat())
        try:
            return await work
        finally:
            self.ready(False)
            beating.cancel()
            server.shutdown()
            thread.join()
            server.server_close()

    def _server(self, config: Config, stage: StageName, heart: _Heart) -> _Server | None:
        host, port = config.metrics.host, config.metrics.port or self._ports[stage]
        try:
            server = _Server((host, port), heart, self)
        except OSError as error:
            problem = f"The metrics of {stage} cannot be served on {host}:{port}: {error.strerror}"
            if config.metrics.port:
                raise ConfigError(f"{problem}; set metrics.host and metrics.port.") from None
            log.warning("%s; it goes on without them (metrics.port names another port).", problem)
            return None
        log.info("Metrics on http://%s:%d/metrics.", host, server.server_port)
        return server


PROCESS = Metrics()
watch = PROCESS.watch
watch_lag = PROCESS.watch_lag
sent = PROCESS.sent
ready = PROCESS.ready
problem = PROCESS.problem
watched = PROCESS.watched


class _Heart:
    """Whether the event loop turns and a broker answers."""

    def __init__(self, broker: str, broker_answers: Callable[[str], bool], dead_s: float) -> None:
        self._broker = broker
        self._broker_answers = broker_answers
        self._dead_s = dead_s
        self._beat_s = time.monotonic()

    async def beat(self) -> None:
        while True:
            self._beat_s = time.monotonic()
            await asyncio.sleep(BEAT_S)

    def hangs(self) -> str:
        """Return the problem of a loop that does not turn, or an empty text."""
        silent_s = time.monotonic() - self._beat_s
        return f"the event loop has not run for {silent_s:.0f} s" if silent_s > self._dead_s else ""

    def no_broker(self) -> str:
        """Return the problem of a broker that does not answer, or an empty text."""
        return "" if self._broker_answers(self._broker) else f"no broker answers at {self._broker}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], heart: _Heart, metrics: Metrics) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.metrics = metrics
        self.heart = heart
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(
                    200, generate_latest(self.server.metrics.registry), CONTENT_TYPE_LATEST
                )
            case "/healthz":
                self._answer_health(self.server.heart.hangs())
            case "/readyz":
                self._answer_health(self._obstacle())
            case _:
                self._answer(404, b"/metrics, /healthz or /readyz\n")

    def _obstacle(self) -> str:
        """Return why the stage is not ready, or an empty text."""
        heart = self.server.heart
        if not self.server.metrics.is_ready():
            return "starting or stopping"
        problems = self.server.metrics.problems()
        return heart.hangs() or heart.no_broker() or " ".join(problems)

    def _answer_health(self, problem: str) -> None:
        self._answer(503 if problem else 200, (problem or "ok").encode() + b"\n")

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing: a probe comes every few seconds."""


def _quietly(measure: Callable[[], int]) -> int:
    """A lag, or 0 while its reader joins or leaves."""
    try:
        return measure()
    except Exception:
        log.debug("A lag cannot be measured now.", exc_info=True)
        return 0
