"""The last while of one sound of several people, and each one's part of it.

What enters: chunks, in order of time. What leaves: the sound of an interval, silent where a person
does not speak. Pure; does not know who speaks when.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.spans import Span
from streamer.speech.turns import Turns


class MixedSound:
    """Holds chunks until they are forgotten."""

    def __init__(self) -> None:
        """Begin without sound."""
        self._chunks: deque[AudioChunk] = deque()

    def push(self, chunk: AudioChunk) -> None:
        """Take the next chunk."""
        self._chunks.append(chunk)

    def only(self, spans: Iterable[Span], start_ns: int, end_ns: int) -> AudioChunk:
        """Return the sound of `[start_ns, end_ns)`, silent in gaps and outside of the spans."""
        first, last = _sample(start_ns), _sample(end_ns)
        samples = np.zeros(max(0, last - first), np.float32)
        for chunk in self._chunks:
            at = _sample(chunk.event_time_ns) - first
            low, high = max(0, -at), min(len(chunk.samples), len(samples) - at)
            if low < high:
                samples[at + low : at + high] = chunk.samples[low:high]
        return Turns(spans).only(AudioChunk(first * NS_PER_S // SAMPLE_RATE_HZ, samples))

    def forget(self, before_ns: int) -> None:
        """Let go of chunks that end by `before_ns`."""
        while self._chunks and self._chunks[0].end_ns <= before_ns:
            self._chunks.popleft()


def _sample(time_ns: int) -> int:
    """Index of the sample nearest to a time."""
    return (time_ns * SAMPLE_RATE_HZ * 2 + NS_PER_S) // (2 * NS_PER_S)
