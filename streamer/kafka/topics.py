"""How the records lie on Kafka: topic names, wire format, publisher, reader, dead letters.

What enters and leaves: the structs of `records`. Windows travel as msgpack, everything else as
JSON; every record carries CloudEvents headers (binary mode). Delivery is at least once: a record
may come twice, with the same `ce_id`. Knows neither what a record means nor who scores it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import math
import ssl
import time
from collections import Counter, deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, cast, get_args, overload

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    for_code,
)

from streamer import metrics, records
from streamer.config import Config, KafkaConfig
from streamer.errors import BrokerError, BrokerGone, ConfigError, UnreadableRecord
from streamer.kafka.broker import is_embedded
from streamer.records import (
    SCHEMA_VERSION,
    Alert,
    DeadLetter,
    Record,
    Score,
    Sentiment,
    Session,
    SessionSentiment,
    Window,
)

log = logging.getLogger("streamer.topics")

Kind = Literal[
    "windows", "scores", "smoothed", "session_smoothed", "sessions", "alerts", "session_input"
]
Headers = Sequence[tuple[str, bytes]]
ReadableKind = Kind | Literal["dead_letter"]
R = TypeVar("R")
T = TypeVar("T")
Start = Literal["earliest", "latest"] | datetime

BUFFER_BYTES = 8 * 1024 * 1024
"""What a Publisher holds unacknowledged; when it is full, publishing waits."""
BUFFER_RECORDS = 1000
REVOKE_WAIT_S = 10.0
"""How long a rebalance waits for the records in hand to be committed."""
RETRY_S = 0.5
CLOSE_S = 10.0
"""How long closing a connection may take."""
STOP_POLL_S = 0.25
PRESENT_RECORDS = 500
FETCH_WAIT_MS = 50
"""Longest wait of one fetch; the embedded broker answers only at its end."""
LOG_PAUSE_S = 30.0
LEAD_S = 0.5
"""How long a group's leader waits for the others, on the embedded broker."""
FOLLOW_S = 2.0
"""How often a reader without a group looks for new partitions."""
ENVELOPE_BYTES = 4096
"""Room for key, headers and batch framing in a message."""
MAX_WINDOW_NS = 3600 * records.NS_PER_S


# --- names --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Topics:
    """Topic names under a prefix: `<prefix>.<name>.v1`."""

    prefix: str

    @property
    def windows(self) -> str:
        """Aligned windows, msgpack, from capture to inference."""
        return self._name("windows")

    @property
    def scores(self) -> str:
        """Model scores, from inference to smoothing."""
        return self._name("scores")

    @property
    def smoothed(self) -> str:
        """The published sentiment of each participant."""
        return self._name("smoothed")

    @property
    def session_smoothed(self) -> str:
        """The published sentiment of the meeting as a whole."""
        return self._name("session-smoothed")

    @property
    def sessions(self) -> str:
        """A session's start and end."""
        return self._name("sessions")

    @property
    def alerts(self) -> str:
        """Alerts raised and cleared."""
        return self._name("alerts")

    @property
    def session_input(self) -> str:
        """Internal: participants' sentiment keyed by session, so that one worker sees a meeting."""
        return self._name("session-input")

    @property
    def dead_letter(self) -> str:
        """What nobody could read, byte for byte, with reason and origin in headers."""
        return self._name("dead-letter")

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic of the system."""
        return (*(self.of(kind) for kind in get_args(Kind)), self.dead_letter)

    def of(self, kind: ReadableKind) -> str:
        """The topic that holds records of `kind`."""
        return self._name(kind.replace("_", "-"))

    def _name(self, name: str) -> str:
        return f"{self.prefix}.{name}.v1"


# --- wire format --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wire:
    """A record ready for a topic."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


_STRUCTS: Mapping[Kind, type[msgspec.Struct]] = {
    "windows": Window,
    "scores": Score,
    "smoothed": Sentiment,
    "session_smoothed": SessionSentiment,
    "sessions": Session,
    "alerts": Alert,
    "session_input": Sentiment,
}
_KIND_OF: Mapping[type[msgspec.Struct], Kind] = {
    Window: "windows",
    Score: "scores",
    Sentiment: "smoothed",
    SessionSentiment: "session_smoothed",
    Session: "sessions",
    Alert: "alerts",
}
_SOURCES: Mapping[Kind, str] = {
    "windows": "/streamer/capture",
    "sessions": "/streamer/capture",
    "scores": "/streamer/inference",
    "smoothed": "/streamer/smoothing",
    "session_smoothed": "/streamer/smoothing",
    "alerts": "/streamer/smoothing",
    "session_input": "/streamer/smoothing",
}


class _Versioned(msgspec.Struct):
    schema_version: int


_to_msgpack = msgspec.msgpack.Encoder()
_to_json = msgspec.json.Encoder(order="deterministic")
_decoders: Mapping[Kind, Callable[[bytes], Any]] = {
    kind: (
        msgspec.msgpack.Decoder(struct) if struct is Window else msgspec.json.Decoder(struct)
    ).decode
    for kind, struct in _STRUCTS.items()
}
_version_in_msgpack = msgspec.msgpack.Decoder(_Versioned).decode
_version_in_json = msgspec.json.Decoder(_Versioned).decode


def encode(record: Record, topics: Topics, kind: Kind | None = None) -> Wire:
    """Put a record into the form that it has on its topic; equal records give equal bytes.

    Args:
        record: what to send.
        topics: the names in use.
        kind: only where the type does not tell it: `session_input` for a Sentiment.

    Raises:
        UnreadableRecord: no reader would accept the record; it must not go out.
    """
    kind = kind or _KIND_OF[type(record)]
    in_msgpack = isinstance(record, Window)
    value = (_to_msgpack if in_msgpack else _to_json).encode(record)
    if decode(kind, value) != record:
        raise UnreadableRecord(f"not a record of {kind}: it holds what JSON cannot, as NaN")
    key = partition_key(record, kind)
    headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", event_id(record)),
        ("ce_source", _SOURCES[kind]),
        ("ce_type", f"streamer.{kind}.v{SCHEMA_VERSION}"),
        ("ce_time", _event_time(record).isoformat().replace("+00:00", "Z")),
        ("ce_subject", key),
        ("content-type", "application/msgpack" if in_msgpack else "application/json"),
    ]
    return Wire(
        topics.of(kind), key.encode(), value, [(name, text.encode()) for name, text in headers]
    )


def decode(kind: Kind, value: bytes | None) -> Any:
    """Read a record of `kind`; None for a tombstone, which means nothing and is skipped.

    Raises:
        UnreadableRecord: not the format, an unknown schema version, a wrong type or an absurd
            value; `reason` says which, without the payload.
    """
    if value is None:
        return None
    _check_version(kind, value)
    try:
        record = _decoders[kind](value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UnreadableRecord(f"not a record of {kind}: {error}") from None
    if absurdity := _absurdity(record):
        raise UnreadableRecord(f"not a record of {kind}: {absurdity}")
    return record


def decode_dead_letter(
    headers: Mapping[str, bytes], key: bytes | None, value: bytes | None
) -> DeadLetter:
    """Read what `Publisher.dead_letter` wrote.

    Raises:
        UnreadableRecord: the headers that tell reason and origin are missing or no numbers.
    """
    try:
        return DeadLetter(
            reason=headers["reason"].decode(),
            topic=headers["original_topic"].decode(),
            partition=int(headers["original_partition"]),
            offset=int(headers["original_offset"]),
            timestamp_ms=int(headers["original_timestamp_ms"]),
            key=key,
            value=value,
        )
    except (KeyError, ValueError) as error:
        raise UnreadableRecord(f"not a dead letter: its headers lack {error}") from None


def decode_window(value: bytes | None) -> Window | None:
    """Read a window; see `decode`."""
    return cast(Window | None, decode("windows", value))


def decode_score(value: bytes | None) -> Score | None:
    """Read a score; see `decode`."""
    return cast(Score | None, decode("scores", value))


def decode_sentiment(value: bytes | None) -> Sentiment | None:
    """Read a published sentiment; see `decode`."""
    return cast(Sentiment | None, decode("smoothed", value))


def partition_key(record: Record, kind: Kind) -> str:
    """Kafka key: the participant, or the session where a whole session must stay in order."""
    participant_id = getattr(record, "participant_id", None)
    if kind == "session_input" or participant_id is None:
        return record.session_id
    return f"{record.session_id}/{participant_id}"


def event_id(record: Record) -> str:
    """What a duplicate is recognised by: the same event has the same id in every replay."""
    match record:
        case Session():
            return f"{record.session_id}/{record.state}"
        case Alert():
            return f"{record.alert_id}/{record.state}"
        case _:
            return f"{record.window_id}/{record.revision}"


def _event_time(record: Record) -> datetime:
    match record:
        case Window():
            return records.wall_clock(record.session_start_unix_ns, record.end_ns)
        case Score():
            start_ns = round(record.session_start.timestamp() * 1e6) * 1000
            return records.wall_clock(start_ns, record.end_ms * records.NS_PER_MS)
        case Session():
            return record.started_at.astimezone(UTC)
        case _:
            return record.event_time.astimezone(UTC)


def _check_version(kind: Kind, value: bytes) -> None:
    read = _version_in_msgpack if kind == "windows" else _version_in_json
    try:
        version = read(value).schema_version
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UnreadableRecord(f"not a record of {kind}: {error}") from None
    if version != SCHEMA_VERSION:
        raise UnreadableRecord(
            f"schema version {version} is unknown; this reader knows {SCHEMA_VERSION}"
        )


def _absurdity(record: Record) -> str:
    """What no sound record can hold although the types fit; empty when there is nothing."""
    match record:
        case Window():
            return _absurd_window(record)
        case Session() | Alert():
            return ""
    if not 0 <= record.start_ms < record.end_ms < 2**53:
        return f"[{record.start_ms}, {record.end_ms}) ms is no span of time"
    participant = "*" if isinstance(record, SessionSentiment) else record.participant_id
    named = records.window_id(record.session_id, participant, record.window_index)
    if record.window_id != named:
        return f"window_id is not {named}"
    probabilities = getattr(record, "class_probabilities", None)
    if probabilities and not math.isclose(sum(probabilities), 1.0, abs_tol=1e-2):
        return "class_probabilities do not add up to 1"
    return ""


def _absurd_window(window: Window) -> str:
    if not 0 < window.end_ns - window.start_ns <= MAX_WINDOW_NS:
        return f"[{window.start_ns}, {window.end_ns}) ns is no span of at most an hour"
    if window.session_start_unix_ns + window.end_ns > 4_000_000_000 * records.NS_PER_S:
        return "it lies after the year 2096"
    if window.sample_rate_hz != records.SAMPLE_RATE_HZ:
        return f"sample_rate_hz is {window.sample_rate_hz}, not {records.SAMPLE_RATE_HZ}"
    if any(not word.start_ns <= word.end_ns <= 2**62 for word in window.words):
        return "a word ends before it starts"
    if any(not window.start_ns <= face.event_time_ns < window.end_ns for face in window.faces):
        return "a face lies outside the window"
    return ""


# --- schemas ------------------------------------------------------------------------------------

SCHEMA_FILES: Mapping[str, type[msgspec.Struct]] = {
    "score.v1.json": Score,
    "sentiment.v1.json": Sentiment,
    "session-sentiment.v1.json": SessionSentiment,
    "alert.v1.json": Alert,
    "session.v1.json": Session,
}


def schema(struct: type[msgspec.Struct]) -> str:
    """JSON Schema (2020-12) of a record as text; `schema_version` is pinned to ours."""
    tree = msgspec.json.schema(struct, ref_template="#/$defs/{name}")
    own = tree["$defs"][struct.__name__]
    own["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    own["required"] = sorted({*own["required"], "schema_version"})
    for part in tree["$defs"].values():
        part["description"] = inspect.cleandoc(part["description"])
    tree = {"$schema": "https://json-schema.org/draft/2020-12/schema", **tree}
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def write_schemas(directory: Path) -> list[Path]:
    """Write the JSON Schema of every JSON record; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, struct in SCHEMA_FILES.items():
        path = directory / name
        path.write_text(schema(struct), "utf-8")
        written.append(path)
    return written


# --- the way to the broker ----------------------------------------------------------------------


def client_settings(kafka: KafkaConfig) -> dict[str, Any]:
    """Settings of address, TLS and SASL for any aiokafka client.

    Raises:
        ConfigError: there is no broker's address, or a certificate cannot be read.
    """
    if kafka.broker == "embedded":
        raise ConfigError(
            "kafka.broker is `embedded`, which has no address of its own; start one with "
            "`streamer broker` and give its host:port."
        )
    security = kafka.security
    settings: dict[str, Any] = {
        "bootstrap_servers": [part.strip() for part in kafka.broker.split(",")],
        "security_protocol": security.protocol,
        "client_id": "streamer",
        "retry_backoff_ms": int(RETRY_S * 1000),
    }
    if "SSL" in security.protocol.split("_"):
        settings["ssl_context"] = tls_context(kafka)
    if security.protocol.startswith("SASL"):
        settings |= {
            "sasl_mechanism": security.sasl_mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password.get_secret_value(),
        }
    return settings


def tls_context(kafka: KafkaConfig) -> ssl.SSLContext:
    """Trust and client certificate as configured; the system's trust where no CA is named.

    Raises:
        ConfigError: a file is missing or is no certificate or key.
    """
    security = kafka.security
    try:
        context = ssl.create_default_context(cafile=security.ca_file or None)
        if security.certificate_file:
            context.load_cert_chain(security.certificate_file, security.key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(
            name
            for name in (security.ca_file, security.certificate_file, security.key_file)
            if name
        )
        raise ConfigError(f"The TLS files of kafka.security ({files}) do not load: {error}.") from (
            error
        )
    return context


async def on_embedded(config: Config) -> bool:
    """Whether the configured broker is an embedded one; secured brokers never are.

    Raises:
        BrokerError: nothing answers there.
    """
    kafka = config.kafka
    if kafka.security.protocol != "PLAINTEXT":
        return False
    if kafka.broker == "embedded":
        return True
    return await asyncio.to_thread(is_embedded, kafka.broker, kafka.connect_timeout_s)


async def ensure_topics(config: Config) -> None:
    """Create the topics that are missing, with the configured partitions and retention.

    Existing topics are left as they are. The embedded broker makes them on first use.

    Raises:
        BrokerError: the broker does not answer, or refuses a topic.
    """
    kafka, topics = config.kafka, Topics(config.kafka.topic_prefix)
    if await on_embedded(config):
        settings = client_settings(kafka)
        async with _connected(lambda: AIOKafkaProducer(**settings), kafka) as producer:
            for topic in topics.all:
                await producer.partitions_for(topic)
        return
    settings = client_settings(kafka)
    async with _connected(lambda: AIOKafkaAdminClient(**settings), kafka) as admin:
        present = set(await admin.list_topics())
        missing = [_new_topic(topic, config) for topic in topics.all if topic not in present]
        if not missing:
            return
        response = await admin.create_topics(missing)
        for topic, code, *message in response.topic_errors:
            error = for_code(code)
            if error.errno not in (0, _ALREADY_EXISTS):
                why = next((text for text in message if text), error.__name__)
                raise BrokerError(f"The broker does not create the topic {topic}: {why}")


_ALREADY_EXISTS = 36


def _new_topic(topic: str, config: Config) -> Any:
    kafka = config.kafka
    media = topic == Topics(kafka.topic_prefix).windows
    return NewTopic(
        name=topic,
        num_partitions=kafka.partitions,
        replication_factor=kafka.replication,
        topic_configs={
            "retention.ms": str(kafka.windows_retention_ms if media else kafka.retention_ms),
            "max.message.bytes": str(kafka.max_message_bytes + ENVELOPE_BYTES),
            "message.timestamp.type": "CreateTime",
        },
    )


@asynccontextmanager
async def _connected(make: Callable[[], Any], kafka: KafkaConfig) -> AsyncIterator[Any]:
    """A started aiokafka client, tried for `connect_timeout_s`, closed at the end."""
    client = await _start(make, kafka)
    try:
        yield client
    finally:
        await close(client)


async def _start(make: Callable[[], Any], kafka: KafkaConfig) -> Any:
    deadline = time.monotonic() + kafka.connect_timeout_s
    while True:
        client = make()
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), RETRY_S)):
                await client.start()
            unhurried(_connections(client))
            return client
        except (KafkaError, OSError, TimeoutError) as error:
            await close(client)
            if time.monotonic() + RETRY_S >= deadline:
                raise _unreachable(kafka, error) from error
        except BaseException:
            await close(client)
            raise
        await asyncio.sleep(RETRY_S)


def unhurried(client: Any) -> None:
    """Make an aiokafka client wait RETRY_S after a failed update of its metadata.

    By itself it tries again at once while a broker is away, and takes a whole core for it.
    """
    update = client._metadata_update

    async def patient(*arguments: Any) -> Any:
        updated = await update(*arguments)
        if not updated:
            await asyncio.sleep(RETRY_S)
        return updated

    client._metadata_update = patient


async def close(client: Any) -> None:
    """Close an aiokafka client; one that cannot flush or say farewell in CLOSE_S is cut off."""
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task is not None else 0
    try:
        async with asyncio.timeout(CLOSE_S):
            await (client.close() if hasattr(client, "close") else client.stop())
    except asyncio.CancelledError:
        # aiokafka passes on that it cancelled its own fetches, when the broker is gone.
        if task is not None and task.cancelling() > cancelled_before:
            raise
    except (KafkaError, OSError, TimeoutError):
        with suppress(Exception):
            await client._sender.close()
    finally:  # aiokafka leaves connections open when closing fails or is cancelled
        with suppress(Exception):
            await _connections(client).close()


def _connections(client: Any) -> Any:
    """The part of an aiokafka client that has the connections."""
    return client._client if hasattr(client, "_client") else client.client


async def patiently(
    work: Coroutine[Any, Any, T], stopped: Callable[[], bool], kafka: KafkaConfig, loss: str
) -> T:
    """Wait for the broker as long as it takes; after a stop no longer than `connect_timeout_s`.

    Args:
        work: what waits; cancelled when the time is over.
        stopped: whether the stop has come; asked every STOP_POLL_S.
        kafka: the settings of the broker.
        loss: end of the error's sentence: what becomes of the work.

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
                f"Nothing got through to {kafka.broker} for {kafka.connect_timeout_s:g} s after "
                f"the stop; {loss}."
            )
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Calm(logging.Filter):
    """Says once, in a line, what aiokafka says several times a second while a broker is away.

    What repeats within LOG_PAUSE_S of its last time is left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_s: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        text = record.getMessage()
        away = any(sign in text for sign in _AWAY)
        what = "away" if away else record.msg
        now_s = time.monotonic()
        tell = now_s - self._last_s.get(what, -math.inf) > LOG_PAUSE_S
        self._last_s[what] = now_s
        if tell and away:
            record.msg, record.args = "A broker does not answer and is waited for: %s", (text,)
        return tell


_AWAY = ("NodeNotReady", "Unable connect", "Unable to update metadata", "ConnectionError")
_calm = _Calm()
for _part in (
    *("", ".cluster", ".conn", ".producer.sender", ".consumer.fetcher"),
    ".consumer.group_coordinator",
):
    logging.getLogger(f"aiokafka{_part}").addFilter(_calm)


def _unreachable(kafka: KafkaConfig, error: BaseException) -> BrokerError:
    why = f" ({error})" if str(error) else ""
    return BrokerError(
        f"No Kafka broker answers at {kafka.broker} within {kafka.connect_timeout_s:g} s{why}; "
        "start one with `streamer broker`, or set kafka.broker and kafka.security."
    )


# --- writing ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies on Kafka."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Raw:
    """A message as it lay on its topic, whatever is in it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received(Raw, Generic[R]):
    """A message with the record that was read from it."""

    record: R = field(kw_only=True)


@dataclass(eq=False, slots=True)
class _Unsent:
    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp_ms: int | None
    acknowledged: asyncio.Future[Place]

    @property
    def size(self) -> int:
        headers = sum(len(name) + len(value) + 4 for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


class Publisher:
    """Sends records in order and tells when the broker has them; `async with`, one event loop.

    Everything unacknowledged is kept, up to BUFFER_BYTES and BUFFER_RECORDS. While the broker is
    away publishing waits, for as long as it takes, and the callers' own bounded queues say what
    happens then; when it is back, all that is unacknowledged goes out again in the same order.
    Idempotence keeps a retry from appearing twice, except after such a reconnection. Leaving the
    `async with` waits up to `kafka.connect_timeout_s` for the last acknowledgements.

    Attributes:
        kafka: the settings of the broker.
        counters: `published`, `dead_lettered`, `refused` (too large or not allowed),
            `reconnected`.
    """

    def __init__(self, config: Config) -> None:
        """Keep the settings; entering the context connects."""
        self.counters: Counter[str] = Counter()
        self.topics = Topics(config.kafka.topic_prefix)
        metrics.watch("publisher", self.counters)
        self.kafka = config.kafka
        self._settings = client_settings(config.kafka)
        self._unsent: deque[_Unsent] = deque()
        self._in_flight: dict[_Unsent, None] = {}
        self._bytes = 0
        self._freed = asyncio.Event()
        self._wake = asyncio.Event()
        self._broken: BaseException | None = None
        self._producer: Any = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect; raises BrokerError when no broker answers within `connect_timeout_s`."""
        self._producer = await _start(self._make_producer, self.kafka)
        self._task = asyncio.create_task(self._pump(), name="publisher")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the last acknowledgements and close.

        Raises:
            BrokerError: records could not be delivered in time (not when an error is under way).
        """
        patience_s = 0 if isinstance(error, BrokerGone) else self.kafka.connect_timeout_s
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._room(lambda: not self._in_flight and not self._unsent)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        left = [*self._in_flight, *self._unsent]
        for unsent in left:
            unsent.acknowledged.cancel()
        await close(self._producer)
        if left and error is None:
            raise BrokerError(
                f"{len(left)} records could not be delivered to {self.kafka.broker} because it "
                f"did not answer for {self.kafka.connect_timeout_s:g} s; they are lost."
            )

    async def publish(
        self,
        record: Record,
        extra_headers: Headers = (),
        timestamp_ms: int | None = None,
        kind: Kind | None = None,
    ) -> Place:
        """Send a record and wait until the broker has it; arguments as `publish_soon`."""
        return await (await self.publish_soon(record, extra_headers, timestamp_ms, kind))

    async def publish_soon(
        self,
        record: Record,
        extra_headers: Headers = (),
        timestamp_ms: int | None = None,
        kind: Kind | None = None,
    ) -> asyncio.Future[Place]:
        """Send a record after all those before it; waits only while the buffer is full.

        Args:
            record: what to send.
            extra_headers: added to the CloudEvents headers.
            timestamp_ms: Kafka's timestamp, Unix milliseconds; by default the time of sending,
                because retention goes by it. The event time is in the record and in `ce_time`.
            kind: as for `encode`.

        Returns:
            A future of the record's place, done when the broker has acknowledged it. It fails
            with BrokerError when the broker refuses this record for good.

        Raises:
            UnreadableRecord: no reader would accept the record.
            BrokerError: the record is larger than `kafka.max_message_bytes`.
        """
        wire = encode(record, self.topics, kind)
        headers = [*wire.headers, *extra_headers]
        metrics.sent(record, kind or _KIND_OF[type(record)])
        return await self._put(wire.topic, wire.key, wire.value, headers, timestamp_ms)

    async def dead_letter(self, raw: Raw, reason: str) -> None:
        """Keep a message that could not be used, byte for byte, and wait until it is safe.

        Headers: `reason`, `original_topic`, `original_partition`, `original_offset`,
        `original_timestamp_ms`, the original headers under `original_header_…`, CloudEvents. A
        value that leaves no room for them is cut, and `original_bytes` tells its length.
        """
        origin = f"{raw.topic}/{raw.partition}/{raw.offset}"
        texts = {
            "ce_specversion": "1.0",
            "ce_id": origin,
            "ce_source": "/streamer/dead-letter",
            "ce_type": f"streamer.dead_letter.v{SCHEMA_VERSION}",
            "ce_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "content-type": "application/octet-stream",
            "reason": reason[:500],
            "original_topic": raw.topic,
            "original_partition": str(raw.partition),
            "original_offset": str(raw.offset),
            "original_timestamp_ms": str(raw.timestamp_ms),
        }
        headers = [(name, text.encode()) for name, text in texts.items()]
        headers += [
            (f"original_header_{name}", bytes(value or b"")[:200])
            for name, value in list(raw.headers.items())[:16]
        ]
        value, limit = raw.value or b"", self.kafka.max_message_bytes - 2 * ENVELOPE_BYTES
        if len(value) > limit:
            headers.append(("original_bytes", str(len(value)).encode()))
        key = None if raw.key is None else raw.key[:ENVELOPE_BYTES]
        await (await self._put(self.topics.dead_letter, key, value[:limit], headers, None))
        self.counters["dead_lettered"] += 1
        log.warning("Dead letter: %s: %s.", origin, reason)

    async def send_again(self, raw: Raw) -> Place:
        """Put a message on its topic once more, byte for byte, and wait until it is safe there.

        `raw.partition` and `raw.offset` are ignored: the key decides, as it did the first time.
        """
        headers = list(raw.headers.items())
        return await (await self._put(raw.topic, raw.key, raw.value, headers, None))

    async def _put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        timestamp_ms: int | None,
    ) -> asyncio.Future[Place]:
        if self._task is None:
            raise RuntimeError("a Publisher works inside `async with`")
        acknowledged: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        unsent = _Unsent(topic, key, value, headers, timestamp_ms, acknowledged)
        limit = self.kafka.max_message_bytes
        if unsent.size > limit:
            raise BrokerError(
                f"A record of {unsent.size:,} bytes for {topic} exceeds "
                f"kafka.max_message_bytes = {limit:,}; shorten windows.length_s or lower "
                "faces.rate_hz, or raise the limit here and on the broker."
            )
        await self._room(lambda: self._fits(unsent.size))
        self._bytes += unsent.size
        self._unsent.append(unsent)
        self._wake.set()
        return acknowledged

    async def _room(self, there_is: Callable[[], bool]) -> None:
        while not there_is():
            self._freed.clear()
            await self._freed.wait()

    def _fits(self, size: int) -> bool:
        """Whether there is room; a lone record always fits."""
        records_held = len(self._unsent) + len(self._in_flight)
        return not records_held or (
            records_held < BUFFER_RECORDS and self._bytes + size <= BUFFER_BYTES
        )

    def _make_producer(self) -> Any:
        compression = self.kafka.compression
        return AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            compression_type=None if compression == "none" else compression,
            max_request_size=self.kafka.max_message_bytes + ENVELOPE_BYTES,
            **self._settings,
        )

    async def _pump(self) -> None:
        """Send what is put, in order, until cancelled; begin again where the broker failed."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._broken is not None:
                await self._reconnect()
            while self._unsent and self._broken is None:
                await self._send(self._unsent.popleft())

    async def _send(self, unsent: _Unsent) -> None:
        self._in_flight[unsent] = None
        try:
            delivery = await self._producer.send(
                unsent.topic,
                value=unsent.value,
                key=unsent.key,
                headers=unsent.headers,
                timestamp_ms=unsent.timestamp_ms,
            )
        except (KafkaError, OSError) as error:
            self._fail(unsent, error)
        else:
            delivery.add_done_callback(lambda done: self._delivered(unsent, done))

    def _delivered(self, unsent: _Unsent, delivery: asyncio.Future[Any]) -> None:
        if delivery.cancelled():
            return
        if error := delivery.exception():
            self._fail(unsent, error)
        elif unsent in self._in_flight:
            metadata = delivery.result()
            place = Place(metadata.topic, metadata.partition, metadata.offset)
            self.counters["published"] += 1
            self._done(unsent)
            if not unsent.acknowledged.done():
                unsent.acknowledged.set_result(place)

    def _fail(self, unsent: _Unsent, error: BaseException) -> None:
        if unsent not in self._in_flight:
            return
        if isinstance(error, _REFUSALS):
            self.counters["refused"] += 1
            self._done(unsent)
            if not unsent.acknowledged.done():
                why = f"{type(error).__name__} {error}".strip()
                unsent.acknowledged.set_exception(
                    BrokerError(f"The broker refuses a record for {unsent.topic}: {why}.")
                )
        elif self._broken is None:
            self._broken = error
            self._wake.set()

    def _done(self, unsent: _Unsent) -> None:
        del self._in_flight[unsent]
        self._bytes -= unsent.size
        self._freed.set()

    async def _reconnect(self) -> None:
        """A new producer, tried until it connects; what is unacknowledged goes first again."""
        held = len(self._in_flight) + len(self._unsent)
        log.warning(
            "The broker at %s failed (%r); %d records wait for it.",
            self.kafka.broker,
            self._broken,
            held,
        )
        await close(self._producer)
        while True:
            with suppress(BrokerError):
                self._producer = await _start(self._make_producer, self.kafka)
                break
        self._unsent.extendleft(reversed(self._in_flight))
        self._in_flight.clear()
        self._broken = None
        self._wake.set()
        self.counters["reconnected"] += 1
        log.warning("The broker at %s is back.", self.kafka.broker)


_REFUSALS = (MessageSizeTooLargeError, TopicAuthorizationFailedError)

_FINAL = (TopicAuthorizationFailedError, GroupAuthorizationFailedError)
"""Refusals of reading that no patience mends."""


# --- reading ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Progress:
    """How far one partition has been used: offsets given out, in order, and which are done."""

    given: deque[int] = field(default_factory=deque)
    done: set[int] = field(default_factory=set)
    next_offset: int | None = None

    def give(self, offset: int, *, done: bool) -> None:
        self.given.append(offset)
        if done:
            self.done.add(offset)
            self.advance()

    def finish(self, up_to: int) -> None:
        self.done.update(offset for offset in self.given if offset <= up_to)
        self.advance()

    def advance(self) -> None:
        while self.given and self.given[0] in self.done:
            offset = self.given.popleft()
            self.done.discard(offset)
            self.next_offset = offset + 1


def lead_patiently(coordinator: Any) -> None:
    """Have a group's leader hand out partitions only after the other members have asked.

    The embedded broker refuses a member that asks after its leader has answered, and aiokafka's
    coordinator then is dead: without this two members can push each other out for ever.
    """
    assign = coordinator._perform_assignment

    async def perform(response: Any) -> Any:
        if len(response.members) > 1:
            await asyncio.sleep(LEAD_S)
        return await assign(response)

    coordinator._perform_assignment = perform


class Reader(Generic[R]):
    """Reads records of one kind; `async with`, one event loop, one caller at a time.

    In a consumer group the partitions are shared, progress is committed only by `commit`, and a
    rebalance waits up to REVOKE_WAIT_S until the records in hand are committed; what is not is
    read again by its new owner. Without a group all partitions are read, nothing is committed and
    the place is kept in memory. A broker that goes away is waited for; reading goes on where it
    was.

    An unreadable message is counted and, in a group, dead-lettered; a tombstone is counted;
    neither is given out and neither stops progress.

    Attributes:
        counters: `read`, `unreadable`, `tombstones`, `rebalances`, `rejoined`, `commits_lost` (the
            partition had gone to another reader meanwhile).
    """

    @overload
    def __init__(
        self: Reader[Window],
        config: Config,
        kind: Literal["windows"],
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None: ...
    @overload
    def __init__(
        self: Reader[Score],
        config: Config,
        kind: Literal["scores"],
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None: ...
    @overload
    def __init__(
        self: Reader[Sentiment],
        config: Config,
        kind: Literal["smoothed", "session_input"],
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None: ...
    @overload
    def __init__(
        self: Reader[SessionSentiment],
        config: Config,
        kind: Literal["session_smoothed"],
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None: ...
    @overload
    def __init__(
        self: Reader[Session],
        config: Config,
        kind: Literal["sessions"],
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None: ...
    @overload
    def __init__(
        self: Reader[Alert],
        config: Config,
        kind: Literal["alerts"],
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None: ...
    @overload
    def __init__(
        self: Reader[DeadLetter],
        config: Config,
        kind: Literal["dead_letter"],
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None: ...
    @overload
    def __init__(
        self,
        config: Config,
        kind: ReadableKind,
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None: ...
    def __init__(
        self,
        config: Config,
        kind: ReadableKind,
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None:
        """Keep the settings; entering the context connects.

        Args:
            config: where the broker is and how topics are named.
            kind: which topic.
            group: consumer group, or None for every partition and no commits.
            start: where to begin when the group has committed nothing, or there is no group; a
                datetime is compared with Kafka's timestamp, the time of publication.
        """
        if isinstance(start, datetime) and start.tzinfo is None:
            raise ConfigError(f"The start {start} must have a time zone, as in 2026-01-31T09:00Z.")
        self.counters: Counter[str] = Counter()
        self.topic = Topics(config.kafka.topic_prefix).of(kind)
        metrics.watch(f"reader {kind}", self.counters)
        metrics.watch_lag(kind, self.lag)
        self._config = config
        self._kind: ReadableKind = kind
        self._group = group
        self._start = start
        self._start_ms = round(start.timestamp() * 1000) if isinstance(start, datetime) else 0
        self._embedded = False
        self._started_by_time: set[Any] = set()
        self._progress: dict[TopicPartition, _Progress] = {}
        self._rebalancing = False
        self._settled = asyncio.Event()
        self._followed_s = -math.inf
        self._consumer: Any = None
        self._dead_letters: Publisher | None = None

    async def __aenter__(self) -> Self:
        """Connect and join the group; raises BrokerError when no broker answers in time."""
        kafka = self._config.kafka
        if self._start_ms or self._group is not None:
            self._embedded = await on_embedded(self._config)
        self._consumer = await _start(self._make_consumer, kafka)
        if self._group is None:
            try:
                await self._follow(self._start)
            except (KafkaError, OSError) as error:
                await close(self._consumer)
                raise _unreachable(kafka, error) from error
        else:
            self._subscribe()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the group at once; what was not committed will be read again."""
        await close(self._consumer)
        if self._dead_letters is not None:
            await self._dead_letters.__aexit__(None, None, None)

    async def batch(self, max_records: int, max_wait_ms: int) -> list[Received[R]]:
        """What is there now, at most `max_records`; when nothing is, what comes in `max_wait_ms`.

        Returns an empty list when nothing came. Order is kept within a partition.
        """
        if self._group is None and time.monotonic() - self._followed_s > FOLLOW_S:
            with suppress(KafkaError, OSError):
                await self._follow("earliest")
        try:
            if not await self._joined(max_wait_ms / 1000):
                return []
            fetched = await self._consumer.getmany(timeout_ms=max_wait_ms, max_records=max_records)
        except (KafkaError, OSError) as error:
            await self._rejoin(error)
            return []
        received = [
            record
            for partition, messages in fetched.items()
            for record in await self._take(partition, messages)
        ]
        if not received and fetched and self._group is not None:
            await self._commit_progress()
        self.counters["read"] += len(received)
        return received

    async def present(self) -> AsyncGenerator[Received[R], None]:
        """What lies on the topic now, from the start on, then an end; only without a group."""
        consumer = self._consumer
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(at) < end for at, end in ends.items()]):
            for received in await self.batch(PRESENT_RECORDS, FETCH_WAIT_MS):
                if received.offset < ends.get(
                    TopicPartition(received.topic, received.partition), 0
                ):
                    yield received

    async def _joined(self, max_wait_s: float) -> bool:
        """Whether partitions are assigned within the time: `getmany` alone waits without end."""
        deadline = time.monotonic() + max_wait_s
        while self._rebalancing or not self._consumer.assignment():
            self._consumer._coordinator.check_errors()
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            await asyncio.sleep(min(left_s, FETCH_WAIT_MS / 1000))
        return True

    async def commit(self, received: Iterable[Raw] | None = None) -> None:
        """Say that everything up to `received` (None: all that was given out) has been used.

        Waits for the broker. A partition that went to another reader meanwhile is left alone.
        Without a group it only moves the place in memory.
        """
        if received is None:
            for progress in self._progress.values():
                if progress.given:
                    progress.finish(progress.given[-1])
        else:
            for raw in received:
                progress_of = self._progress.get(TopicPartition(raw.topic, raw.partition))
                if progress_of is not None:
                    progress_of.finish(raw.offset)
        if self._group is not None:
            await self._commit_progress()

    def lag(self) -> int:
        """Messages on the assigned partitions that have not been fetched, as last heard of."""
        behind = 0
        for partition in self._consumer.assignment():
            progress = self._progress.get(partition)
            end = self._consumer.highwater(partition)
            if progress is not None and progress.next_offset is not None and end is not None:
                behind += max(end - progress.next_offset, 0)
        return behind

    def _make_consumer(self) -> Any:
        kafka = self._config.kafka
        return AIOKafkaConsumer(
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="latest" if self._start == "latest" else "earliest",
            metadata_max_age_ms=int(FOLLOW_S * 1000),
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=kafka.max_message_bytes + ENVELOPE_BYTES,
            **client_settings(kafka),
        )

    async def _rejoin(self, error: BaseException) -> None:
        """Read on after an error; in a group with a new consumer, because aiokafka's is dead now.

        (The embedded broker gives one to a member that syncs while another one joins.) What is in
        hand and not committed will be read again.
        """
        if self._group is None or isinstance(error, _FINAL):
            raise BrokerError(f"{self.topic} cannot be read: {error!r}.") from error
        self.counters["rejoined"] += 1
        log.warning("Reading %s begins anew from the last commit: %r", self.topic, error)
        await close(self._consumer)
        self._progress.clear()
        self._settled.set()
        await asyncio.sleep(RETRY_S)
        while True:
            with suppress(BrokerError):
                self._consumer = await _start(self._make_consumer, self._config.kafka)
                break
        self._subscribe()

    def _subscribe(self) -> None:
        self._consumer.subscribe([self.topic], listener=_Listener(self))
        if self._embedded:
            lead_patiently(self._consumer._coordinator)

    async def _take(self, partition: Any, messages: Iterable[Any]) -> list[Received[R]]:
        progress = self._progress.setdefault(partition, _Progress())
        taken = []
        for message in messages:
            if message.timestamp < self._start_ms and partition in self._started_by_time:
                progress.give(message.offset, done=True)
                continue
            received = await self._read(message)
            progress.give(message.offset, done=received is None)
            if received is not None:
                taken.append(received)
        return taken

    async def _read(self, message: Any) -> Received[R] | None:
        headers = dict(message.headers)
        place = (message.topic, message.partition, message.offset, message.timestamp)
        try:
            record = self._decode(message, headers)
        except UnreadableRecord as error:
            self.counters["unreadable"] += 1
            if self._group is None or self._kind == "dead_letter":
                log.warning("Skipped %s/%s/%s: %s.", *place[:3], error.reason)
            else:
                raw = Raw(*place, message.key, message.value, headers)
                await self._dead_letter(raw, error.reason)
            return None
        if record is None:
            self.counters["tombstones"] += 1
            return None
        return Received(*place, message.key, message.value, headers, record=record)

    def _decode(self, message: Any, headers: Mapping[str, bytes]) -> Any:
        if self._kind == "dead_letter":
            return decode_dead_letter(headers, message.key, message.value)
        return decode(self._kind, message.value)

    async def _dead_letter(self, raw: Raw, reason: str) -> None:
        if self._dead_letters is None:
            self._dead_letters = await Publisher(self._config).__aenter__()
        await self._dead_letters.dead_letter(raw, reason)

    async def _commit_progress(self) -> None:
        places = {
            partition: progress.next_offset
            for partition, progress in self._progress.items()
            if progress.next_offset is not None
        }
        while places:
            places = {at: place for at, place in places.items() if at in self._progress}
            try:
                await self._consumer.commit(places)
                break
            except (CommitFailedError, IllegalStateError) as error:
                self.counters["commits_lost"] += 1
                log.info("A commit came after its partitions had left: %s", error)
                break
            except (KafkaError, OSError) as error:
                log.warning("A commit waits for the broker: %r", error)
                await asyncio.sleep(RETRY_S)
        self._settled.set()

    # --- a group's partitions come and go

    async def _revoked(self, partitions: Iterable[Any]) -> None:
        """Called before a rebalance, which waits: let the records in hand be committed."""
        self._rebalancing = True
        leaving = set(partitions)
        if leaving:
            self.counters["rebalances"] += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(REVOKE_WAIT_S):
                while any(self._progress[at].given for at in leaving & self._progress.keys()):
                    self._settled.clear()
                    await self._settled.wait()
        for partition in leaving:
            self._progress.pop(partition, None)

    async def _assigned(self, partitions: Iterable[Any]) -> None:
        self._progress = {partition: _Progress() for partition in partitions}
        try:
            if self._start_ms:
                fresh = [at for at in self._progress if await self._consumer.committed(at) is None]
                for partition, place in (await self._places(fresh, self._start)).items():
                    self._consumer.seek(partition, place)
        finally:
            self._rebalancing = False

    # --- without a group: every partition, and those that come later from their beginning

    async def _follow(self, start: Start) -> None:
        """Take in partitions that are not read yet, beginning at `start`."""
        self._followed_s = time.monotonic()
        consumer = self._consumer
        if consumer.partitions_for_topic(self.topic) is None:
            # Asking for all topics, and not for this one, creates none.
            if self.topic not in await consumer.topics():
                return
            await consumer._client.add_topic(self.topic)
        numbers = consumer.partitions_for_topic(self.topic) or set()
        known = consumer.assignment()
        new = sorted({TopicPartition(self.topic, number) for number in numbers} - known)
        if not new:
            return
        places = {at: await consumer.position(at) for at in known}
        places |= await self._places(new, start)
        consumer.assign(sorted(places))
        for partition, place in places.items():
            consumer.seek(partition, place)

    async def _places(self, partitions: Sequence[Any], start: Start) -> dict[Any, int]:
        """Offsets at which reading from `start` begins."""
        if start == "latest":
            ends: dict[Any, int] = await self._consumer.end_offsets(partitions)
            return ends
        if start != "earliest":
            self._started_by_time.update(partitions)
        places: dict[Any, int] = await self._consumer.beginning_offsets(partitions)
        if start == "earliest" or self._embedded:
            return places
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, self._start_ms))
        places = await self._consumer.end_offsets(partitions)
        return places | {at: spot.offset for at, spot in found.items() if spot is not None}


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells a Reader of a group's rebalances."""

    def __init__(self, reader: Reader[Any]) -> None:
        self._reader = reader

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        await self._reader._revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        await self._reader._assigned(assigned)


# --- what the stages have still to do -----------------------------------------------------------


def smoothing_group(config: Config) -> str:
    """The consumer group under which processing commits: its name where that has the prefix."""
    prefix, group = config.kafka.topic_prefix, config.smoothing.consumer_group
    return group if group.startswith(prefix) else f"{prefix}-{group}"


@dataclass(frozen=True, slots=True)
class Work:
    """A topic and the stage that takes from it, at one moment.

    Attributes:
        published: messages published since the topic began, over all partitions.
        waiting: messages behind what the stage has committed; None while it has committed
            nothing, as when it never ran.
    """

    published: int
    waiting: int | None


class Backlog:
    """What inference and processing have still to take, as their groups' commits tell it.

    A context manager over one client that joins no group and fetches no message. A stage commits
    once what it made of a message is published, processing every few seconds: a small number
    waiting is no backlog, a growing one is.
    """

    def __init__(self, config: Config) -> None:
        """Keep the settings; entering the context connects."""
        topics = Topics(config.kafka.topic_prefix)
        self._kafka = config.kafka
        self._stages = {
            "inference": (topics.windows, config.inference.consumer_group),
            "smoothing": (topics.scores, smoothing_group(config)),
        }
        self._consumers: dict[str, Any] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect; raises BrokerError when no broker answers in time."""
        settings = client_settings(self._kafka)
        try:
            for stage, (_, group) in self._stages.items():
                client = partial(
                    AIOKafkaConsumer, group_id=group, enable_auto_commit=False, **settings
                )
                self._consumers[stage] = await self._stack.enter_async_context(
                    _connected(client, self._kafka)
                )
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def read(self) -> dict[str, Work]:
        """The `inference` and `smoothing` stages' work; a topic that is not there is left out.

        Raises:
            BrokerError: the broker does not answer.
        """
        found = {}
        try:
            async with asyncio.timeout(self._kafka.connect_timeout_s):
                for stage, (topic, _) in self._stages.items():
                    work = await self._work(self._consumers[stage], topic)
                    if work is not None:
                        found[stage] = work
        except (KafkaError, OSError) as error:
            raise _unreachable(self._kafka, error) from error
        return found

    async def _work(self, consumer: Any, topic: str) -> Work | None:
        if not consumer.assignment():
            if topic not in await consumer.topics():
                return None
            await consumer._client.add_topic(topic)
            numbers = consumer.partitions_for_topic(topic) or set()
            consumer.assign([TopicPartition(topic, number) for number in numbers])
        partitions = list(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        places = {at: await consumer.committed(at) for at in partitions}
        published = sum(ends.values())
        if all(place is None for place in places.values()):
            return Work(published, 0 if published == 0 else None)
        behind = (ends[at] - max(places[at] or 0, begins[at]) for at in partitions)
        return Work(published, sum(max(one, 0) for one in behind))
