"""Former name of `embedded` and `apache`, until every caller has moved."""

from streamer.kafka.apache import KafkaBroker
from streamer.kafka.embedded import EMBEDDED_PARTITION_BYTES, EmbeddedBroker, is_embedded
from streamer.kafka.java import kafka_command

__all__ = [
    "EMBEDDED_PARTITION_BYTES",
    "EmbeddedBroker",
    "KafkaBroker",
    "is_embedded",
    "kafka_command",
]
