"""Former name of `documentation`, until every caller has moved."""

from streamer.kafka.documentation import document

__all__ = ["document"]
