"""Timestamps of a container → session time, with jumps of its clock removed.

Input: timestamps and durations in nanoseconds of the packets of several streams. Output: the shift
that each packet needs. This module does not depend on packets, codecs or clocks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from streamer.records import NS_PER_MS

BACKWARD_TOLERANCE_NS = 500 * NS_PER_MS
"""A timestamp that falls back further than this is a jump of the clock."""
SHIFTS_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump of the container's clock: session time at which it happened, and its size."""

    at_ns: int
    size_ns: int


@dataclass
class _Stream:
    """One stream's present shift and the session time at which its next packet is expected."""

    shift_ns: int = 0
    expected_ns: int = 0


class Timeline:
    """Shifts the timestamps of a container's streams to session time.

    A timestamp is a jump when it lies more than `max_gap_ns` ahead of everything read so far, or
    falls back by more than BACKWARD_TOLERANCE_NS: the stream then continues where the furthest
    stream is. The other streams take the same jump when they reach it, so that audio and video
    stay together. A gap that another stream fills is real and stays. With `now`, for live
    streams, the first packet and whatever follows a jump begin at the time that it returns.
    A timestamp after `limit_ns`, where one is given, is a jump too.
    """

    def __init__(
        self,
        origin_ns: int | None,
        start_ns: int,
        max_gap_ns: int,
        now: Callable[[], int] | None = None,
        limit_ns: int | None = None,
    ) -> None:
        """Start `start_ns` into the session; `origin_ns` is the container's first timestamp."""
        self.jumps: list[Jump] = []
        self._limit_ns = sys.maxsize if limit_ns is None else limit_ns
        self._start_ns = start_ns
        self._max_gap_ns = max_gap_ns
        self._now = now
        self._shifts: list[int] = [] if origin_ns is None else [start_ns - origin_ns]
        self._streams: dict[int, _Stream] = {}
        self._furthest_ns = start_ns

    def shift_for(self, stream_index: int, timestamp_ns: int, duration_ns: int) -> int:
        """Return the nanoseconds to add to a packet's timestamps to get session time."""
        stream = self._streams.get(stream_index)
        if stream is None:
            stream = self._streams[stream_index] = self._new_stream(timestamp_ns)
        stream.shift_ns = self._fitting_shift(stream, timestamp_ns)
        end_ns = min(timestamp_ns + stream.shift_ns + duration_ns, self._limit_ns)
        stream.expected_ns = max(stream.expected_ns, end_ns)
        self._furthest_ns = max(self._furthest_ns, stream.expected_ns)
        return stream.shift_ns

    def _new_stream(self, timestamp_ns: int) -> _Stream:
        if not self._shifts:
            begin_ns = self._start_ns if self._now is None else self._now()
            self._shifts.append(begin_ns - timestamp_ns)
            self._furthest_ns = max(self._furthest_ns, begin_ns)
        expected_ns = self._furthest_ns if self.jumps else self._start_ns
        return _Stream(self._shifts[-1], expected_ns)

    def _fitting_shift(self, stream: _Stream, timestamp_ns: int) -> int:
        """The known shift that explains the timestamp best, or a new one after a jump."""
        known = [stream.shift_ns, *(s for s in reversed(self._shifts) if s != stream.shift_ns)]
        fitting = [shift for shift in known if self._fits(stream, timestamp_ns + shift)]
        if fitting:
            return min(fitting, key=lambda shift: abs(timestamp_ns + shift - stream.expected_ns))
        continue_ns = max(self._furthest_ns, self._now() if self._now else 0)
        shift = continue_ns - timestamp_ns
        self.jumps.append(Jump(continue_ns, timestamp_ns + stream.shift_ns - continue_ns))
        self._shifts = [*self._shifts[1 - SHIFTS_REMEMBERED :], shift]
        return shift

    def _fits(self, stream: _Stream, time_ns: int) -> bool:
        if time_ns < stream.expected_ns - BACKWARD_TOLERANCE_NS or time_ns > self._limit_ns:
            return False
        return time_ns <= max(stream.expected_ns, self._furthest_ns) + self._max_gap_ns
