"""Which keys have been silent for long enough to be flushed.

Silence is measured in Kafka's time of the partition, so that a backlog is no silence, and in the
worker's time once no message of the partition arrives. This module knows no clock of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _PartitionTime:
    """Kafka's time of a partition's latest message, advancing while no message arrives."""

    stream_ms: float
    received_at_s: float

    def now_ms(self, monotonic_s: float, idle_s: float) -> float:
        silent_s = monotonic_s - self.received_at_s
        return self.stream_ms + (silent_s * 1000 if silent_s >= idle_s else 0.0)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A key that holds outputs back, and the time of its last message."""

    partition: int
    since_ms: float
    silence_s: float


class Silence:
    """The assigned partitions' times, and the keys that hold outputs back."""

    def __init__(self) -> None:
        """No partitions."""
        self._times: dict[int, _PartitionTime] = {}
        self._waiting: dict[bytes, _Waiting] = {}

    def begin(self, partitions: Iterable[int], now_ms: float, monotonic_s: float) -> None:
        """Begin with these partitions, whose latest message counts as of now."""
        self._times = {each: _PartitionTime(now_ms, monotonic_s) for each in partitions}
        self._waiting = {}

    def has(self, partition: int) -> bool:
        """Return whether a partition is assigned."""
        return partition in self._times

    def receive(self, partition: int, timestamp_ms: float, monotonic_s: float) -> None:
        """Take note of a partition's message, written at `timestamp_ms`."""
        self._times[partition] = _PartitionTime(timestamp_ms, monotonic_s)

    def wait(self, key: bytes, partition: int, since_ms: float, silence_s: float) -> None:
        """Flush a key after `silence_s` without a message later than `since_ms`."""
        self._waiting[key] = _Waiting(partition, since_ms, silence_s)

    def forget(self, key: bytes) -> None:
        """A key holds nothing back."""
        self._waiting.pop(key, None)

    def due(self, monotonic_s: float) -> list[bytes]:
        """Return the keys to be flushed."""
        return [
            key
            for key, each in self._waiting.items()
            if self._times[each.partition].now_ms(monotonic_s, each.silence_s) - each.since_ms
            >= each.silence_s * 1000
        ]
