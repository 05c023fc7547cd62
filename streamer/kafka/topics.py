"""The table of topics: for each one its name, record type, format, key, identity and times.

Windows are MessagePack, dead letters are the original bytes, everything else is JSON. Every record
has CloudEvents headers (binary mode). Delivery is at least once: a record may arrive twice, with
the same `ce_id`. Producer, consumer, client, recorder, dashboard and the generated documentation
all read this table. It knows no broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from streamer import records
from streamer.errors import UnreadableRecord
from streamer.kafka import codec as codecs
from streamer.kafka.codec import Codec
from streamer.kafka.messages import EncodedRecord, HeaderValues
from streamer.kafka.plausibility import (
    implausible_alert,
    implausible_score,
    implausible_session,
    implausible_session_sentiment,
    implausible_window,
)
from streamer.records import (
    SCHEMA_VERSION,
    Alert,
    DeadLetter,
    Score,
    Sentiment,
    Session,
    SessionSentiment,
    Window,
)

R = TypeVar("R", bound=msgspec.Struct)
Published = Sentiment | SessionSentiment | Alert | Score | Session
"""A record on a public topic."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Topic(Generic[R]):
    """One topic and everything that is known about its records.

    Attributes:
        name: the middle part of the full name, for example `session-smoothed`.
        struct: the type of its records.
        codec: the format of message values.
        partition_key: from a record to its Kafka key; records with one key stay in order. Its
            docstring is the key's form, for the documentation.
        event_id: from a record to the id that duplicates share.
        event_time: from a record to its media time, UTC.
        source: the CloudEvents source.
        implausible: from a record to the reason why no reader accepts it; empty if one does.
        schema_file: file name of the JSON Schema in docs/schema; None if there is none.
    """

    name: str
    struct: type[R]
    codec: Codec
    partition_key: Callable[[R], str]
    event_id: Callable[[R], str]
    event_time: Callable[[R], datetime]
    source: str
    implausible: Callable[[R], str] = lambda _: ""
    schema_file: str | None = None

    def __repr__(self) -> str:
        return f"<Topic {self.name}>"

    @property
    def kind(self) -> str:
        """The name as an identifier, for example `session_smoothed`."""
        return self.name.replace("-", "_")

    def full_name(self, prefix: str) -> str:
        """Return the topic's name on the broker, `<prefix>.<name>.v1`."""
        return f"{prefix}.{self.name}.v{SCHEMA_VERSION}"

    def has_format_of(self, other: Topic[Any]) -> bool:
        """Return whether a record has the same bytes and checks on the other topic."""
        return (self.struct, self.codec, self.implausible) == (
            other.struct,
            other.codec,
            other.implausible,
        )

    def identity(self, record: R) -> tuple[str, int]:
        """Return the id that the revisions of a record share, and its revision."""
        if isinstance(record, Window | Score | Sentiment | SessionSentiment):
            return record.window_id, record.revision
        if isinstance(record, Session):
            return f"{record.session_id}/{record.edition}", record.revision
        return self.event_id(record), 0

    def encode(self, record: R, value: bytes | None = None) -> EncodedRecord:
        """Return the message of a record; equal records give equal bytes.

        Args:
            record: the record.
            value: its bytes, where another topic of the same struct and codec has made them.

        Raises:
            UnreadableRecord: no reader would accept the record, so it must not be sent.
        """
        if value is None:
            value = self._value(record)
        key = self.partition_key(record)
        time = self.event_time(record).isoformat().replace("+00:00", "Z")
        version, source, kind, content_type = self._headers_of_all
        return EncodedRecord(
            key.encode(),
            value,
            [
                version,
                ("ce_id", self.event_id(record).encode()),
                source,
                kind,
                ("ce_time", time.encode()),
                ("ce_subject", key.encode()),
                content_type,
            ],
        )

    @cached_property
    def _headers_of_all(self) -> list[tuple[str, bytes]]:
        """The headers that are the same in every message of the topic."""
        return [
            ("ce_specversion", b"1.0"),
            ("ce_source", self.source.encode()),
            ("ce_type", f"streamer.{self.kind}.v{SCHEMA_VERSION}".encode()),
            ("content-type", self.codec.content_type.encode()),
        ]

    def _value(self, record: R) -> bytes:
        try:
            value = self.codec.encode(record)
        except UnreadableRecord as error:
            raise self._refusal(error.reason) from None
        if reason := self.implausible(record):
            raise self._refusal(reason)
        return value

    def decode(
        self,
        value: bytes | None,
        headers: HeaderValues = {},  # noqa: B006 - never changed
        key: bytes | None = None,
    ) -> R | None:
        """Return the record in a message, or None for a tombstone (no value), which is skipped.

        Args:
            value: the message's value.
            headers: its headers; only dead letters need them.
            key: its key; only dead letters need it.

        Raises:
            UnreadableRecord: the format, schema version, a type or a value is wrong; `reason`
                says which, without the payload.
        """
        if value is None:
            return None
        try:
            record: R = self.codec.decode(self.struct, key, value, headers)
        except UnreadableRecord as error:
            raise self._refusal(error.reason) from None
        if reason := self.implausible(record):
            raise self._refusal(reason)
        return record

    def _refusal(self, reason: str) -> UnreadableRecord:
        return UnreadableRecord(f"not a record of {self.kind}: {reason}")


def encoded(topics: Iterable[Topic[R]], record: R) -> list[tuple[Topic[R], EncodedRecord]]:
    """Return the message of a record for each topic; those of one format share its bytes.

    Raises:
        UnreadableRecord: no reader would accept the record, so it must not be sent.
    """
    messages: list[tuple[Topic[R], EncodedRecord]] = []
    for topic in topics:
        made = (message.value for other, message in messages if other.has_format_of(topic))
        messages.append((topic, topic.encode(record, next(made, None))))
    return messages


# --- keys, identities and times -----------------------------------------------------------------


def _participant_key(record: Window | Score | Sentiment) -> str:
    """`session_id/participant_id`."""
    return f"{record.session_id}/{record.participant_id}"


def _session_key(record: Sentiment | SessionSentiment | Session) -> str:
    """`session_id`."""
    return record.session_id


def _alert_key(alert: Alert) -> str:
    """`session_id/participant_id`, or `session_id` for the session as a whole."""
    if alert.participant_id is None:
        return alert.session_id
    return f"{alert.session_id}/{alert.participant_id}"


def _window_event_id(record: Window | Score | Sentiment | SessionSentiment) -> str:
    return f"{record.window_id}/{record.revision}"


def _session_event_id(session: Session) -> str:
    revision = f"/{session.revision}" if session.revision else ""
    return f"{session.session_id}/{session.edition}{revision}"


def _score_time(score: Score) -> datetime:
    start_ns = round(score.session_start.timestamp() * 1e6) * 1000
    return records.wall_clock(start_ns, score.end_ms * records.NS_PER_MS)


def _event_time(record: Sentiment | SessionSentiment | Alert) -> datetime:
    return record.event_time.astimezone(UTC)


# --- the table ----------------------------------------------------------------------------------

WINDOWS: Topic[Window] = Topic(
    name="windows",
    struct=Window,
    codec=codecs.MSGPACK,
    partition_key=_participant_key,
    event_id=_window_event_id,
    event_time=lambda window: records.wall_clock(window.session_start_unix_ns, window.end_ns),
    source="/streamer/capture",
    implausible=implausible_window,
)
"""Windows of one participant, from capture to inference."""
SCORES: Topic[Score] = Topic(
    name="scores",
    struct=Score,
    codec=codecs.JSON,
    partition_key=_participant_key,
    event_id=_window_event_id,
    event_time=_score_time,
    source="/streamer/inference",
    implausible=implausible_score,
    schema_file="score.v1.json",
)
"""Model scores, from inference to smoothing."""
SMOOTHED: Topic[Sentiment] = Topic(
    name="smoothed",
    struct=Sentiment,
    codec=codecs.JSON,
    partition_key=_participant_key,
    event_id=_window_event_id,
    event_time=_event_time,
    source="/streamer/smoothing",
    implausible=implausible_score,
    schema_file="sentiment.v1.json",
)
"""The published sentiment of each participant."""
SESSION_SMOOTHED: Topic[SessionSentiment] = Topic(
    name="session-smoothed",
    struct=SessionSentiment,
    codec=codecs.JSON,
    partition_key=_session_key,
    event_id=_window_event_id,
    event_time=_event_time,
    source="/streamer/smoothing",
    implausible=implausible_session_sentiment,
    schema_file="session-sentiment.v1.json",
)
"""The published sentiment of the session as a whole."""
SESSIONS: Topic[Session] = Topic(
    name="sessions",
    struct=Session,
    codec=codecs.JSON,
    partition_key=_session_key,
    event_id=_session_event_id,
    event_time=lambda session: session.started_at.astimezone(UTC),
    source="/streamer/capture",
    implausible=implausible_session,
    schema_file="session.v1.json",
)
"""Start and end of each session, and names that its people get."""
ALERTS: Topic[Alert] = Topic(
    name="alerts",
    struct=Alert,
    codec=codecs.JSON,
    partition_key=_alert_key,
    event_id=lambda alert: f"{alert.alert_id}/{alert.state}",
    event_time=_event_time,
    source="/streamer/smoothing",
    implausible=implausible_alert,
    schema_file="alert.v1.json",
)
"""Alerts that were raised or cleared."""
SESSION_INPUT: Topic[Sentiment] = Topic(
    name="session-input",
    struct=Sentiment,
    codec=codecs.JSON,
    partition_key=_session_key,
    event_id=_window_event_id,
    event_time=_event_time,
    source="/streamer/smoothing",
    implausible=implausible_score,
)
"""Internal: participants' sentiment keyed by session, so that one worker gets a whole session."""
DEAD_LETTER: Topic[DeadLetter] = Topic(
    name="dead-letter",
    struct=DeadLetter,
    codec=codecs.DEAD_LETTER,
    partition_key=lambda letter: (letter.key or b"").decode("utf-8", "replace"),
    event_id=lambda letter: f"{letter.topic}/{letter.partition}/{letter.offset}",
    event_time=lambda letter: records.wall_clock(letter.timestamp_ms * records.NS_PER_MS, 0),
    source="/streamer/dead-letter",
)
"""Messages that no stage could read, byte for byte, with reason and origin in headers."""

TOPICS: tuple[Topic[Any], ...] = (
    WINDOWS,
    SCORES,
    SMOOTHED,
    SESSION_SMOOTHED,
    SESSIONS,
    ALERTS,
    SESSION_INPUT,
    DEAD_LETTER,
)
"""Every topic of the system."""
PUBLISHED: tuple[Topic[Any], ...] = (SMOOTHED, SESSION_SMOOTHED, ALERTS, SESSIONS, SCORES)
"""The public topics; their records are `Published`."""

_OF_KIND = {topic.kind: topic for topic in TOPICS}
_OF_STRUCT = {topic.struct: topic for topic in TOPICS if topic is not SESSION_INPUT}


def topic_of(record: R | type[R]) -> Topic[R]:
    """Return the topic on which records of this type are published by default."""
    return _OF_STRUCT[record if isinstance(record, type) else type(record)]


def topic_named(kind: str) -> Topic[Any]:
    """Return the topic of a `kind`; raise KeyError if there is none."""
    return _OF_KIND[kind]
