"""A Kafka broker inside this process: the one that librdkafka has for tests.

It gives an address, `host:port`, that every Kafka client can use. It needs nothing installed,
stores 5 MB per partition in memory and drops the oldest messages beyond that. It knows no topic.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streamer.errors import BrokerError

EMBEDDED_PARTITION_BYTES = 5 * 1024 * 1024
"""Bytes that an embedded broker stores per partition; it drops older messages silently."""
EMBEDDED_PARTITIONS = 4
_EMBEDDED_CLUSTER = "mockCluster"


class EmbeddedBroker:
    """A broker on loopback inside this process, for trials and tests.

    A topic is created on first use, with EMBEDDED_PARTITIONS partitions. All data is in memory, is
    lost with the process, and is limited to EMBEDDED_PARTITION_BYTES per partition. The broker runs
    on librdkafka's threads; only the start blocks.
    """

    def __init__(self) -> None:
        """Start the broker; `address` is valid until `close`.

        Raises:
            BrokerError: the broker cannot open a port on loopback.
        """
        self._holder: Producer | None = Producer(
            {"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "log_level": 0}
        )
        try:
            (node,) = self._holder.list_topics(timeout=10).brokers.values()
        except KafkaException as error:
            raise BrokerError(f"The embedded broker cannot start: {error}.") from error
        self.address = f"{node.host}:{node.port}"

    def close(self) -> None:
        """Stop the broker and discard its data."""
        self._holder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def is_embedded(address: str, timeout_s: float = 10.0) -> bool:
    """Return whether the broker at `address` is an EmbeddedBroker, of this or another process.

    Blocks for up to `timeout_s`. It connects without credentials: an embedded broker needs none.

    Raises:
        BrokerError: nothing answers there.
    """
    client = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        cluster_id = client.list_topics(timeout=timeout_s).cluster_id
    except KafkaException as error:
        raise BrokerError(
            f"No Kafka broker answers at {address} within {timeout_s:g} s; start one with "
            "`streamer broker`, or set kafka.broker and kafka.security."
        ) from error
    return str(cluster_id).startswith(_EMBEDDED_CLUSTER)
