"""When one person of a shared recording speaks, and the sound of those times alone.

What enters: intervals of speech and audio chunks. What leaves: chunks that are silent elsewhere.
Pure; knows no transcript.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk


class Turns:
    """The intervals `[start_ns, end_ns)` in which a person speaks; use with chunks in order."""

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        """`intervals` in any order; they may overlap."""
        self._intervals = sorted(intervals)
        self._next = 0
        self._reach_ns = 0

    def only(self, chunk: AudioChunk) -> AudioChunk:
        """Return the chunk with silence wherever the person does not speak."""
        samples = np.zeros_like(chunk.samples)
        self._copy(chunk, samples, chunk.event_time_ns, self._reach_ns)
        spoken = self._intervals
        while self._next < len(spoken) and spoken[self._next][0] < chunk.end_ns:
            start_ns, end_ns = spoken[self._next]
            if end_ns > chunk.end_ns:
                self._reach_ns = max(self._reach_ns, end_ns)
            self._copy(chunk, samples, start_ns, end_ns)
            self._next += 1
        return replace(chunk, samples=samples)

    @staticmethod
    def _copy(
        chunk: AudioChunk, samples: np.ndarray[tuple[int], np.dtype[np.float32]], *span_ns: int
    ) -> None:
        first, last = (
            max(0, (time_ns - chunk.event_time_ns) * SAMPLE_RATE_HZ // NS_PER_S)
            for time_ns in span_ns
        )
        samples[first:last] = chunk.samples[first:last]
