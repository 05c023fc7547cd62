"""Former names of this folder, until every caller has moved; imports them from `topics`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from streamer.config import Config
from streamer.kafka.admin import ensure_topics, on_embedded
from streamer.kafka.backlog import Backlog, Work
from streamer.kafka.connection import (
    close,
)
from streamer.kafka.connection import (
    pause_between_updates as unhurried,
)
from streamer.kafka.connection import (
    wait_for_broker as patiently,
)
from streamer.kafka.consumer import FETCH_WAIT_MS, Start
from streamer.kafka.consumer import Consumer as Reader
from streamer.kafka.consumer import delay_assignment as lead_patiently
from streamer.kafka.documentation import schema, write_schemas
from streamer.kafka.groups import consumer_group
from streamer.kafka.messages import Headers, Received
from streamer.kafka.messages import Position as Place
from streamer.kafka.messages import RawMessage as Raw
from streamer.kafka.producer import BUFFER_BYTES, BUFFER_RECORDS
from streamer.kafka.producer import Producer as Publisher
from streamer.kafka.security import aiokafka_settings as client_settings
from streamer.kafka.security import tls_context
from streamer.kafka.topics import TOPICS, topic_named, topic_of

__all__ = [
    "BUFFER_BYTES",
    "BUFFER_RECORDS",
    "FETCH_WAIT_MS",
    "Backlog",
    "Headers",
    "Kind",
    "Place",
    "Publisher",
    "Raw",
    "Reader",
    "Received",
    "Start",
    "Topics",
    "Wire",
    "Work",
    "client_settings",
    "close",
    "decode",
    "encode",
    "ensure_topics",
    "event_id",
    "lead_patiently",
    "on_embedded",
    "patiently",
    "schema",
    "smoothing_group",
    "tls_context",
    "unhurried",
    "write_schemas",
]

Kind = Literal[
    "windows", "scores", "smoothed", "session_smoothed", "sessions", "alerts", "session_input"
]


@dataclass(frozen=True)
class Topics:
    """Topic names under a prefix."""

    prefix: str

    def of(self, kind: str) -> str:
        """Return the name of the topic of `kind`."""
        return topic_named(kind).full_name(self.prefix)

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic's name."""
        return tuple(topic.full_name(self.prefix) for topic in TOPICS)

    def __getattr__(self, kind: str) -> str:
        try:
            return self.of(kind)
        except KeyError:
            raise AttributeError(kind) from None


@dataclass(frozen=True, slots=True)
class Wire:
    """A record ready for a topic."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def encode(record: Any, topics: Topics, kind: str | None = None) -> Wire:
    """As `Topic.encode`."""
    topic = topic_named(kind) if kind else topic_of(record)
    message = topic.encode(record)
    return Wire(topics.of(topic.kind), message.key or b"", message.value, message.headers)


def decode(kind: str, value: bytes | None) -> Any:
    """As `Topic.decode`."""
    return topic_named(kind).decode(value)


def event_id(record: Any) -> str:
    """As `Topic.event_id`."""
    topic: Any = topic_of(record)
    name: str = topic.event_id(record)
    return name


def smoothing_group(config: Config) -> str:
    """As `consumer_group`."""
    return consumer_group(config, "smoothing")
