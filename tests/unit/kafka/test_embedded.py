"""The embedded broker: its address, its limits, and how it is recognised."""

import pytest
from confluent_kafka import Consumer, Producer

from streamer.errors import BrokerError
from streamer.kafka.embedded import EMBEDDED_PARTITION_BYTES, EmbeddedBroker, is_embedded


def test_an_embedded_broker_is_recognised_by_its_address() -> None:
    with EmbeddedBroker() as running:
        assert is_embedded(running.address)


def test_two_embedded_brokers_have_two_addresses() -> None:
    with EmbeddedBroker() as first, EmbeddedBroker() as second:
        assert first.address != second.address


def test_a_closed_embedded_broker_does_not_answer() -> None:
    with EmbeddedBroker() as running:
        pass
    with pytest.raises(BrokerError, match=f"No Kafka broker answers at {running.address}"):
        is_embedded(running.address, timeout_s=0.5)


def test_the_error_without_a_broker_names_the_command_that_starts_one() -> None:
    with pytest.raises(BrokerError, match="streamer broker"):
        is_embedded("127.0.0.1:1", timeout_s=0.5)


@pytest.mark.slow
def test_an_embedded_partition_drops_its_oldest_messages_beyond_five_megabytes(
    embedded_broker: str,
) -> None:
    """Capture's `in_flight_bytes` relies on this limit."""
    sent = EMBEDDED_PARTITION_BYTES // 100_000 * 2
    producer = Producer({"bootstrap.servers": embedded_broker})
    for k in range(sent):
        producer.produce("t", bytes(100_000), key=str(k), partition=0)
    producer.flush(10)
    consumer = Consumer(
        {"bootstrap.servers": embedded_broker, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["t"])
    keys: list[str] = []
    while not keys or keys[-1] != str(sent - 1):
        message = consumer.poll(10)
        assert message is not None and message.error() is None
        keys.append(message.key().decode())
    consumer.close()
    assert sent // 4 < len(keys) <= EMBEDDED_PARTITION_BYTES // 100_000
    assert keys == [str(k) for k in range(sent - len(keys), sent)]
