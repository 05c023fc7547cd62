"""Records that a broker refuses for their own sake: which errors say so, and how one is kept.

aiokafka sends records of a partition in batches, and a broker refuses a whole batch; it then counts
the refused records as sent, so that a broker refuses the next batch for its number. This module
corrects the count, names errors that aiokafka does not know, and makes the dead letter of a refused
record. It sends nothing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streamer.config import KafkaConfig
from streamer.kafka.codec import FULL_BYTES, encode_dead_letter
from streamer.kafka.connection import connected
from streamer.kafka.messages import NO_PARTITION, EncodedRecord, RawMessage
from streamer.kafka.security import aiokafka_settings

SMALL_LETTER_BYTES = 64 * 1024
"""Most bytes of the value in a dead letter, after the broker has refused a larger one."""
_OF_THE_PRODUCER = (
    errors.BrokerNotAvailableError,
    errors.ReplicaNotAvailableError,
    errors.OutOfOrderSequenceNumber,
    errors.InvalidProducerEpoch,
    errors.InvalidProducerIdMapping,
    errors.UnknownProducerId,
    errors.InvalidTxnState,
    errors.SaslAuthenticationFailed,
    errors.SecurityDisabled,
)
"""Answers about the connection or the producer's state; a new producer solves them."""


class InvalidRecordError(errors.BrokerResponseError):  # type: ignore[misc]
    """Kafka's error 87, which aiokafka does not know: for example no key on a compacted topic."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker's checks of a record failed."


errors.kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)


def is_refusal(error: BaseException) -> bool:
    """Return whether a broker answered that it never stores this record, or this batch."""
    return (
        isinstance(error, errors.BrokerResponseError)
        and not error.retriable
        and not isinstance(error, _OF_THE_PRODUCER)
    )


def explain(error: BaseException) -> str:
    """Return an error as its name and what the protocol says of it."""
    description = " ".join(getattr(error, "description", "").split()).rstrip(".")
    name = type(error).__name__
    return f"{name}: {description}" if description else name


def recount_refused(client: Any) -> None:
    """Make an aiokafka producer count no refused record as sent.

    Otherwise the broker answers the partition's next batch with OutOfOrderSequenceNumber, and only
    a new producer can continue: one reconnection for each refused record.
    """
    sender = client._sender
    send_batches = sender._send_produce_req

    async def send_and_recount(node_id: int, batches: Any) -> None:
        await send_batches(node_id, batches)  # no other task runs between its end and the recount
        for partition, batch in batches.items():
            answer = batch.future
            if answer.done() and not answer.cancelled() and is_refusal(answer.exception()):
                numbers = sender._txn_manager._sequence_numbers
                numbers[partition] = (numbers[partition] - batch.record_count) % 2**31

    sender._send_produce_req = send_and_recount


def letter_of(
    topic: str, message: EncodedRecord, timestamp_ms: int, why: str, limit_bytes: int
) -> EncodedRecord:
    """Return the dead letter of a record that never came to be on its topic.

    It has no place there. Its partition is NO_PARTITION, and its offset is a number made of its
    identity, so that the same record has the same id however often it is refused.
    """
    headers = dict(message.headers)
    identity = headers.get("ce_id") or message.value
    number = int.from_bytes(blake2b(identity, digest_size=6).digest())
    original = RawMessage(
        topic, NO_PARTITION, number, timestamp_ms, message.key, message.value, headers
    )
    return encode_dead_letter(original, why, limit_bytes)


def cut_letter(letter: EncodedRecord) -> EncodedRecord:
    """Return a dead letter whose value is cut to SMALL_LETTER_BYTES."""
    headers = list(letter.headers)
    if FULL_BYTES not in dict(headers):
        headers.append((FULL_BYTES, str(len(letter.value)).encode()))
    return EncodedRecord(letter.key, letter.value[:SMALL_LETTER_BYTES], headers)


async def clock_sentence(kafka: KafkaConfig, topic: str) -> str:
    """Return how far this machine's clock is from the broker's at least, as one sentence.

    The protocol does not tell a broker's time, but the topic's settings tell how far a timestamp
    may be from it. They may be forbidden to read; the sentence then names the setting alone.
    """
    limits_ms = await _timestamp_limits_ms(kafka, topic)
    sides = [
        f"more than {limits_ms[name] / 1000:,.0f} s {side} the broker's ({name} of {topic})"
        for name, side in _SIDES.items()
        if limits_ms.get(name, _UNLIMITED_MS) < _UNLIMITED_MS
    ]
    difference = " or ".join(sides) or f"further from the broker's than {topic} allows"
    return f"This machine's clock is {difference}; set it, for example with NTP."


_SIDES = {"message.timestamp.after.max.ms": "ahead of", "message.timestamp.before.max.ms": "behind"}
_UNLIMITED_MS = 2**53


async def _timestamp_limits_ms(kafka: KafkaConfig, topic: str) -> dict[str, int]:
    try:
        async with connected(lambda: AIOKafkaAdminClient(**aiokafka_settings(kafka)), kafka) as it:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(_SIDES))
            (response,) = await it.describe_configs([resource])
    except Exception:  # the sentence is a help; its absence must not stop the records
        return {}
    entries = [entry for _, _, _, _, entries in response.resources for entry in entries]
    return {name: int(value) for name, value, *_ in entries if name in _SIDES and value}
