"""How a record becomes the bytes of a Kafka message, and how bytes become a record again.

Equal records give equal bytes. Decoding refuses anything that is not exactly the record's format;
encoding refuses a record that decoding would refuse. This module knows no topic and no broker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec

from streamer.errors import UnreadableRecord
from streamer.records import SCHEMA_VERSION, DeadLetter

HeaderValues = Mapping[str, bytes]

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
    """

    content_type: str
    encoder: Callable[[Any], bytes]
    make_decoder: Callable[[type[Any]], Any]
    _decoders: dict[type[Any], Any] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def encode(self, record: Any) -> bytes:
        """Return the record's bytes; raise UnreadableRecord if no reader would accept them."""
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
            _check_version(self._decoder(_Versioned).decode(value).schema_version)
            return self._decoder(struct).decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise UnreadableRecord(str(error)) from None

    def _decoder(self, struct: type[Any]) -> Any:
        if struct not in self._decoders:
            self._decoders[struct] = self.make_decoder(struct)
        return self._decoders[struct]


class OriginalMessageCodec:
    """A dead letter: the value is the original message's, the fields are in headers."""

    content_type = "application/octet-stream"

    def encode(self, record: DeadLetter) -> bytes:
        """Return the original value, byte for byte."""
        return record.value or b""

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


MSGPACK = StructCodec(
    "application/msgpack", msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder
)
JSON = StructCodec(
    "application/json", msgspec.json.Encoder(order="deterministic").encode, msgspec.json.Decoder
)
ORIGINAL_MESSAGE = OriginalMessageCodec()


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
