"""For any timestamps, sample count and event time never part; parsing inverts typing."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.capture.sources import ParticipantSpec, parse_participant
from streamer.capture.timeline import BACKWARD_TOLERANCE_NS, Timeline
from streamer.capture.tracks import AUDIO_TOLERANCE_NS, CHUNK_SAMPLES, NS_PER_SAMPLE, AudioTrack
from streamer.records import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, AudioChunk

MAX_GAP_NS = 10 * NS_PER_S

runs = st.lists(
    st.tuples(
        st.integers(min_value=-400, max_value=3_000),  # ms between a run's end and the next start
        st.integers(min_value=1, max_value=12_000),  # samples
    ),
    min_size=1,
    max_size=12,
)


def play(track: AudioTrack, pieces: list[tuple[int, int]], rate_hz: int) -> list[AudioChunk]:
    """Push runs of ones; a run is the pause before it in ms and its number of samples."""
    out: list[AudioChunk] = []
    at_ns = 0
    for pause_ms, length in pieces:
        at_ns = max(0, at_ns + pause_ms * NS_PER_MS)
        out += track.push_channels(np.ones((1, length), np.float32), rate_hz, at_ns)
        at_ns += length * NS_PER_S // rate_hz
    return [*out, *track.flush()]


def samples_of(chunks: list[AudioChunk]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks])


@given(runs, st.sampled_from([8_000, 16_000, 44_100, 48_000]))
def test_audio_chunks_follow_each_other_without_a_gap(
    pieces: list[tuple[int, int]], rate_hz: int
) -> None:
    track = AudioTrack(0)
    chunks = play(track, pieces, rate_hz)
    samples = 0
    for chunk in chunks:
        assert chunk.event_time_ns == samples * NS_PER_SAMPLE
        assert 0 < len(chunk.samples) <= CHUNK_SAMPLES
        samples += len(chunk.samples)
    assert track.end_ns == samples * NS_PER_SAMPLE
    assert all(chunk.event_time_ns % (CHUNK_SAMPLES * NS_PER_SAMPLE) == 0 for chunk in chunks)


@given(runs)
def test_every_sample_is_at_its_timestamp_within_the_tolerance(
    pieces: list[tuple[int, int]],
) -> None:
    """Audio is inside the spans of its timestamps, silence outside, except within the tolerance."""
    chunks = play(AudioTrack(0), pieces, SAMPLE_RATE_HZ)
    samples = np.concatenate([chunk.samples for chunk in chunks])
    stamped = np.zeros(len(samples) + 20 * SAMPLE_RATE_HZ, bool)
    at_ns = 0
    for pause_ms, length in pieces:
        at_ns = max(0, at_ns + pause_ms * NS_PER_MS)
        first = round(at_ns / NS_PER_SAMPLE)
        stamped[first : first + length] = True
        at_ns += length * NS_PER_S // SAMPLE_RATE_HZ
    slack = AUDIO_TOLERANCE_NS // NS_PER_SAMPLE + len(pieces)
    count = np.concatenate([[0], np.cumsum(stamped)])  # of stamped samples before each index
    at = np.arange(len(samples))
    near = count[at + slack + 1] > count[np.maximum(at - slack, 0)]
    assert not samples[~near].any()


@given(
    st.lists(st.integers(min_value=1, max_value=9_999), min_size=1, max_size=20),
    st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]),
)
def test_resampled_audio_does_not_depend_on_how_it_is_split(
    lengths: list[int], rate_hz: int
) -> None:
    wave = np.sin(np.arange(sum(lengths)) / 9).astype(np.float32)
    whole, split = AudioTrack(0), AudioTrack(0)
    expected = samples_of([*whole.push_channels(wave[None], rate_hz, 0), *whole.flush()])
    chunks: list[AudioChunk] = []
    begin = 0
    for length in lengths:
        part = wave[begin : begin + length]
        chunks += split.push_channels(part[None], rate_hz, begin * NS_PER_S // rate_hz)
        begin += length
    samples = samples_of([*chunks, *split.flush()])
    np.testing.assert_allclose(samples, expected, rtol=0, atol=1e-5)
    assert len(samples) == -(-len(wave) * SAMPLE_RATE_HZ // rate_hz)


@given(
    st.lists(st.integers(min_value=10, max_value=500), min_size=2, max_size=60),
    st.integers(min_value=0, max_value=10**15),
)
def test_a_steady_clock_has_no_jumps(durations_ms: list[int], origin_ns: int) -> None:
    timeline = Timeline(origin_ns, 0, MAX_GAP_NS)
    stamp_ns = origin_ns
    for duration_ms in durations_ms:
        shift_ns = timeline.shift_for(0, stamp_ns, duration_ms * NS_PER_MS)
        assert shift_ns == -origin_ns
        stamp_ns += duration_ms * NS_PER_MS
    assert timeline.jumps == []


@given(
    st.lists(
        st.one_of(st.integers(MAX_GAP_NS + 1, 10**14), st.integers(-(10**14), -MAX_GAP_NS - 1)),
        min_size=1,
        max_size=6,
    ),
    st.integers(min_value=1, max_value=20),
)
def test_jumps_neither_stretch_time_nor_turn_it_back(
    jumps_ns: list[int], packets_between: int
) -> None:
    """Two streams of 100 ms packets whose common clock jumps every `packets_between` packets."""
    timeline = Timeline(0, 0, MAX_GAP_NS)
    step_ns = 100 * NS_PER_MS
    stamp_ns, true_ns = 0, 0
    reached = [0, 0]
    for jump_ns in [0, *jumps_ns]:
        stamp_ns += jump_ns
        for _ in range(packets_between):
            for stream in (0, 1):
                time_ns = stamp_ns + timeline.shift_for(stream, stamp_ns, step_ns)
                assert time_ns >= reached[stream] - BACKWARD_TOLERANCE_NS
                reached[stream] = time_ns
            stamp_ns += step_ns
            true_ns += step_ns
    assert abs(max(reached) + step_ns - true_ns) <= len(jumps_ns) * (MAX_GAP_NS + step_ns)
    assert abs(reached[0] - reached[1]) <= step_ns


words = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="=/*"), min_size=1)
names = st.lists(words, min_size=1, max_size=5).map(" ".join).map(lambda name: name[:200].strip())
urls = words.map(lambda path: "rtsp://camera/" + path.replace("\\", ""))
devices = st.integers(0, 99).map("mic:{}".format)


@given(names, st.lists(st.one_of(devices, urls), min_size=1, max_size=4))
def test_parsing_a_participant_gives_the_name_and_sources_that_were_typed(
    name: str, sources: Any
) -> None:
    typed = ",".join(source.replace(",", r"\,") for source in sources)
    assert parse_participant(f"{name}={typed}") == ParticipantSpec(name, tuple(sources))
