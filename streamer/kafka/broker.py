"""Former name of `embedded` and `apache`, until every caller has moved."""

from streamer.kafka.apache import KafkaBroker, kafka_command
from streamer.kafka.embedded import EMBEDDED_PARTITION_BYTES, EmbeddedBroker, is_embedded

__all__ = [
    "EMBEDDED_PARTITION_BYTES",
    "EmbeddedBroker",
    "KafkaBroker",
    "is_embedded",
    "kafka_command",
]
