"""A real Apache Kafka for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamer.errors import BrokerError
from streamer.kafka.apache import KafkaBroker
from streamer.kafka.java import kafka_command

LOG_SHOWN = 8_000
"""Most characters of the log of a Kafka that did not start."""


def running(broker: KafkaBroker) -> Iterator[str]:
    """Run a Kafka; skip where Java or its jars are missing, fail with its log where it fails."""
    try:
        kafka_command("kafka.Kafka")
    except BrokerError as error:
        pytest.skip(str(error))
    try:
        broker.start()
    except BrokerError as error:
        log = broker.log_file.read_text("utf-8", "replace") if broker.log_file.exists() else ""
        pytest.fail(f"{error}\n{log[-LOG_SHOWN:]}", pytrace=False)
    with broker:
        yield broker.address
