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
"""What the embedded broker keeps per partition; older records are dropped silently."""
EMBEDDED_PARTITIONS = 4
_EMBEDDED_CLUSTER = "mockCluster"


class EmbeddedBroker:
    """A broker on loopback inside this process: librdkafka's own, for trials and tests.

    Topics appear on first use with EMBEDDED_PARTITIONS partitions. Everything is in memory, is
    gone with the process, and is bounded by EMBEDDED_PARTITION_BYTES per partition. Runs on
    librdkafka's threads; never blocks the caller after the start.
    """

    def __init__(self) -> None:
        """Start it; `address` is valid from here to `close`.

        Raises:
            BrokerError: the broker cannot open a port on loopback.
        """
        self._holder: Producer | None = Producer(
            {"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "log_level": 0}
        )
        try:
            (node,) = self._holder.list_topics(timeout=10).brokers.values()
        except KafkaException as error:
            raise BrokerError(f"The embedded broker does not start: {error}.") from error
        self.address = f"{node.host}:{node.port}"

    def close(self) -> None:
        """End the broker and everything on it."""
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
    """Whether the broker at `address` is an EmbeddedBroker, of this process or another.

    Blocks for up to `timeout_s`. Asks without credentials: an embedded broker has none.

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
