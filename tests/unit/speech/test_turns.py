"""The sound of one person in a recording of several."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.records import AudioChunk
from streamer.speech.turns import Turns

NS_PER_SAMPLE = 62_500
INTERVALS = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 200)), max_size=6)


@given(intervals=INTERVALS, lengths=st.lists(st.integers(1, 150), min_size=1, max_size=8))
def test_whatever_the_chunks_the_sound_is_that_of_the_intervals(
    intervals: list[tuple[int, int]], lengths: list[int]
) -> None:
    spans = [(start, start + length) for start, length in intervals]
    turns = Turns((start * NS_PER_SAMPLE, end * NS_PER_SAMPLE) for start, end in spans)
    parts, at = [], 0
    for length in lengths:
        chunk = AudioChunk(at * NS_PER_SAMPLE, np.ones(length, np.float32))
        parts.append(turns.only(chunk).samples)
        assert chunk.samples.all(), "the chunk itself is not changed"
        at += length
    spoken = [any(start <= n < end for start, end in spans) for n in range(at)]
    assert np.concatenate(parts).tolist() == [float(says) for says in spoken]
