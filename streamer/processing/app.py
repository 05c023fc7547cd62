"""The app of the stream processor: topics, tables, agents and settings.

What enters: the settings. What leaves: a `Processor`, an app with its two stages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer.config import Config
from streamer.errors import ConfigError
from streamer.kafka.groups import consumer_group
from streamer.kafka.policies import Policies
from streamer.kafka.producer import Producer
from streamer.kafka.security import faust_settings
from streamer.processing.clock import Clock
from streamer.processing.faust_app import App
from streamer.processing.spec import participant_spec, session_spec
from streamer.processing.stage import Stage
from streamer.processing.stored import MonotonicTable
from streamer.processing.webhook import Announce

CHANGELOG_GATHER_S = 0.005
"""How long states are gathered for a request to the changelogs."""
EMBEDDED_FAILOVER_S = 6.0
"""`smoothing.failover_s` on the embedded broker, where every rebalance takes that less 1 s."""


@dataclass(frozen=True)
class Processor:
    """The Faust app and its two stages; `app.start()` after `producer` is entered."""

    app: Any
    stages: tuple[Stage[Any], ...]

    @property
    def counters(self) -> Counter[str]:
        """All counters, as `<input topic>.<counter>`."""
        return Counter(
            {
                f"{stage.kind}.{name}": count
                for stage in self.stages
                for name, count in stage.counters.items()
            }
        )


def build_app(
    config: Config,
    producer: Producer,
    policies: Policies,
    partitions: Mapping[str, int],
    *,
    embedded: bool,
    folder: Path | None = None,
    known_gaps: set[tuple[Any, int]] | None = None,
    announce: Announce = lambda _: None,
) -> Processor:
    """Put the app together; no I/O, inside a running event loop.

    Args:
        config: the settings; `kafka.broker` is an address.
        producer: where outputs go; must be entered before the app starts.
        policies: what sessions allow; likewise.
        partitions: how many the scores and session-input topics have.
        embedded: the broker creates topics on first use and knows no CreateTopics.
        folder: of this worker alone, for RocksDB.
        known_gaps: of an app before this one.
        announce: receives each published alert.
    """
    settings = _faust_settings(config, folder or Path(), embedded=embedded)
    group = consumer_group(config, "smoothing")
    app = App(group, known_gaps, embedded=embedded, **settings)
    stages: list[Stage[Any]] = []
    for table_name, spec in (
        ("participants", participant_spec(config)),
        ("sessions", session_spec(config)),
    ):
        topic_name = spec.topic.full_name(config.kafka.topic_prefix)
        table = app.tables.add(
            MonotonicTable(
                app,
                name=table_name,
                retention_ms=config.kafka.retention_ms,
                key_type=bytes,
                value_type=bytes,
                partitions=partitions[topic_name],
                beacon=app.tables.beacon,
                help=f"Smoothing state of the {table_name}.",
            )
        )
        stage: Stage[Any] = Stage(app, table, spec, producer, policies, config, Clock(), announce)
        source = app.topic(
            topic_name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            allow_empty=True,
        )
        app.agent(source, name=f"streamer.{table_name}")(stage.consume)
        stages.append(stage)
    return Processor(app, tuple(stages))


def _faust_settings(config: Config, folder: Path, *, embedded: bool) -> dict[str, Any]:
    kafka, compression = config.kafka, config.kafka.compression
    failover_s = EMBEDDED_FAILOVER_S if embedded else config.smoothing.failover_s
    return {
        **faust_settings(kafka),
        "broker_session_timeout": failover_s,
        "broker_heartbeat_interval": 1.5,
        "broker_request_timeout": 40.0,
        "broker_rebalance_timeout": 30.0,
        "broker_commit_interval": 1.0,
        "producer_linger": CHANGELOG_GATHER_S,
        "producer_compression_type": None if compression == "none" else compression,
        "producer_max_request_size": kafka.max_message_bytes,
        "consumer_auto_offset_reset": "earliest",
        "stream_wait_empty": True,
        "stream_recovery_delay": 0.0,
        "topic_allow_declare": False,  # `ensure_topics` makes the changelogs
        "topic_disable_leader": True,
        "topic_replication_factor": kafka.replication,
        "table_standby_replicas": 0,
        "store": _store(config),
        "datadir": folder,
        "web_enabled": False,
        "worker_redirect_stdouts": False,
    }


def _store(config: Config) -> str:
    if config.smoothing.store == "memory":
        return "memory://"
    try:
        import rocksdict  # noqa: F401
    except ImportError:
        raise ConfigError(
            'smoothing.store = "rocksdb" needs the rocksdb extra: '
            "install streamer[rocksdb], or set it to memory."
        ) from None
    return "rocksdb://?driver=rocksdict"
