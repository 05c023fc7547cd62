"""How a record becomes the bytes of a Kafka message, and how bytes become a record again.

Equal records give equal bytes. Decoding refuses anything that is not exactly the record's format;
encoding refuses a record that decoding would refuse. This module knows no topic and no broker.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from streamer.errors import UnreadableRecord
from streamer.kafka.messages import ENVELOPE_BYTES, EncodedRecord, HeaderValues, RawMessage
from streamer.records import SCHEMA_VERSION, DeadLetter

ORIGINAL_HEADER = "original_header_"
"""Prefix of the original message's headers in a dead letter's."""
FULL_BYTES = "original_bytes"
"""Header of a dead letter whose value was cut: the length of the original value."""
_AS_THEY_ARE = (bytes, datetime)


class Codec(Protocol):
    """One format of message values."""

    @property
    def content_type(self) -> str:
        """The MIME type, for the `content-type` header."""

    def encode(self, record: Any) -> bytes:
        """Return the record's bytes; raise UnreadableRecord if no reader would accept them."""

    def decode(
        self, struct: type[Any], key: bytes | None, value: bytes, headers: HeaderValues
    ) -> Any:
        """Return the record in a message; raise UnreadableRecord if there is none."""


class _Versioned(msgspec.Struct):
    schema_version: int


@dataclass(frozen=True)
class StructCodec:
    """A record as one msgspec value, for example a JSON object.

    Attributes:
        content_type: the MIME type.
        encoder: turns any struct into bytes.
        make_decoder: makes the decoder of a type of struct.
        reads_back: whether records are so small that encoding may read its own bytes.
    """

    content_type: str
    encoder: Callable[[Any], bytes]
    make_decoder: Callable[[type[Any]], Any]
    reads_back: bool = False
    _decoders: dict[type[Any], Any] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def encode(self, record: Any) -> bytes:
        """Return the record's bytes; raise UnreadableRecord if no reader would accept them.

        With `reads_back` the bytes are read, which is faster than to check each field: if they
        give the same record, every reader accepts them.
        """
        if self.reads_back:
            _check_version(record.schema_version)
            with suppress(msgspec.MsgspecError, TypeError, ValueError, OverflowError):
                value = self.encoder(record)
                if self._decoder(type(record)).decode(value) == record:
                    return value
        _check_fields(record)
        return self.encoder(record)

    def decode(
        self,
        struct: type[Any],
        key: bytes | None,
        value: bytes,
        headers: HeaderValues,
    ) -> Any:
        """Return the record in `value`; `key` and `headers` are not used."""
        try:
            record = self._decoder(struct).decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self._check_version_in(value)
            raise UnreadableRecord(str(error)) from None
        _check_version(record.schema_version)
        return record

    def _check_version_in(self, value: bytes) -> None:
        """Raise UnreadableRecord if a value that cannot be read is of another schema version."""
        with suppress(msgspec.DecodeError, UnicodeError, RecursionError):
            _check_version(self._decoder(_Versioned).decode(value).schema_version)

    def _decoder(self, struct: type[Any]) -> Any:
        if struct not in self._decoders:
            self._decoders[struct] = self.make_decoder(struct)
        return self._decoders[struct]


class DeadLetterCodec:
    """A dead letter: the value is the original message's, the fields are in headers.

    `encode_dead_letter` writes one, because it needs the whole message and not a record.
    """

    content_type = "application/octet-stream"

    def encode(self, record: Any) -> bytes:
        """Raise TypeError."""
        raise TypeError("Producer.dead_letter publishes dead letters")

    def decode(
        self, struct: type[Any], key: bytes | None, value: bytes, headers: HeaderValues
    ) -> DeadLetter:
        """Return the dead letter; its reason and origin are read from `headers`."""
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
            raise UnreadableRecord(f"its headers lack {error}") from None


def encode_dead_letter(message: RawMessage, reason: str, limit_bytes: int) -> EncodedRecord:
    """Return the message that carries an unusable message.

    Headers: `reason`, `original_topic`, `original_partition`, `original_offset`,
    `original_timestamp_ms`, the original headers under ORIGINAL_HEADER, CloudEvents. A value of
    more than `limit_bytes` is cut, and `original_bytes` contains its full length.
    """
    texts = {
        "ce_specversion": "1.0",
        "ce_id": message.id,
        "ce_source": "/streamer/dead-letter",
        "ce_type": f"streamer.dead_letter.v{SCHEMA_VERSION}",
        "ce_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "content-type": DeadLetterCodec.content_type,
        "reason": reason[:500],
        "original_topic": message.topic,
        "original_partition": str(message.partition),
        "original_offset": str(message.offset),
        "original_timestamp_ms": str(message.timestamp_ms),
    }
    headers = [(name, text.encode()) for name, text in texts.items()]
    headers += [
        (f"{ORIGINAL_HEADER}{name}", bytes(value or b"")[:200])
        for name, value in list(message.headers.items())[:16]
    ]
    value = message.value or b""
    if len(value) > limit_bytes:
        headers.append((FULL_BYTES, str(len(value)).encode()))
    key = None if message.key is None else message.key[:ENVELOPE_BYTES]
    return EncodedRecord(key, value[:limit_bytes], headers)


MSGPACK = StructCodec(
    "application/msgpack", msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder
)
JSON = StructCodec(
    "application/json",
    msgspec.json.Encoder(order="deterministic").encode,
    msgspec.json.Decoder,
    reads_back=True,
)
DEAD_LETTER = DeadLetterCodec()


def _check_version(version: int) -> None:
    if version != SCHEMA_VERSION:
        raise UnreadableRecord(
            f"schema version {version} is unknown; the known one is {SCHEMA_VERSION}"
        )


def _check_fields(record: Any) -> None:
    """Raise UnreadableRecord unless all fields have their types and every number is finite.

    Media (`bytes`) are neither copied nor read: a window has about 100 kB of them.
    """
    _check_version(record.schema_version)
    fields = msgspec.to_builtins(record, builtin_types=_AS_THEY_ARE)
    if not _finite(fields):
        raise UnreadableRecord("it contains NaN or an infinite number")
    try:
        msgspec.convert(fields, type(record), builtin_types=_AS_THEY_ARE)
    except msgspec.ValidationError as error:
        raise UnreadableRecord(str(error)) from None


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return True
