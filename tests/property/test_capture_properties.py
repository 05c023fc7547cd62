"""Whatever a file says of its times, sound and event time never part and nothing comes twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streamer.capture.files import (
    BACKWARD_TOLERANCE_NS,
    CHUNK_SAMPLES,
    NS_PER_SAMPLE,
    SOUND_TOLERANCE_NS,
    SoundTrack,
    Timeline,
)
from streamer.capture.sources import ParticipantSpec, parse_participant
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


def played(track: SoundTrack, pieces: list[tuple[int, int]], rate_hz: int) -> list[AudioChunk]:
    """Push one run of ones after the other; the first number is the pause before it."""
    out: list[AudioChunk] = []
    at_ns = 0
    for pause_ms, length in pieces:
        at_ns = max(0, at_ns + pause_ms * NS_PER_MS)
        out += track.push_mono(np.ones(length, np.float32), rate_hz, at_ns)
        at_ns += length * NS_PER_S // rate_hz
    return [*out, *track.flush()]


@settings(deadline=None)
@given(runs, st.sampled_from([8_000, 16_000, 44_100, 48_000]))
def test_chunks_follow_each_other_without_a_gap(pieces, rate_hz):
    track = SoundTrack(0)
    chunks = played(track, pieces, rate_hz)
    samples = 0
    for chunk in chunks:
        assert chunk.event_time_ns == samples * NS_PER_SAMPLE
        assert 0 < len(chunk.samples) <= CHUNK_SAMPLES
        samples += len(chunk.samples)
    assert track.end_ns == samples * NS_PER_SAMPLE
    assert all(chunk.event_time_ns % (CHUNK_SAMPLES * NS_PER_SAMPLE) == 0 for chunk in chunks)


@settings(deadline=None)
@given(runs)
def test_every_sample_is_where_its_stamp_says_within_the_tolerance(pieces):
    """Sound lies inside the stamped spans, silence outside, but for seams within tolerance."""
    chunks = played(SoundTrack(0), pieces, SAMPLE_RATE_HZ)
    sound = np.concatenate([chunk.samples for chunk in chunks])
    stamped = np.zeros(len(sound) + 20 * SAMPLE_RATE_HZ, bool)
    at_ns = 0
    for pause_ms, length in pieces:
        at_ns = max(0, at_ns + pause_ms * NS_PER_MS)
        first = round(at_ns / NS_PER_SAMPLE)
        stamped[first : first + length] = True
        at_ns += length * NS_PER_S // SAMPLE_RATE_HZ
    slack = SOUND_TOLERANCE_NS // NS_PER_SAMPLE + len(pieces)
    near = np.convolve(stamped, np.ones(2 * slack + 1), "same")[: len(sound)] > 0
    assert not sound[~near].any()


@settings(deadline=None)
@given(
    st.lists(st.integers(min_value=1, max_value=9_999), min_size=1, max_size=20),
    st.sampled_from([16_000, 44_100, 48_000, 96_000]),
)
def test_how_sound_is_cut_up_changes_no_sample_count(cuts, rate_hz):
    total = sum(cuts)
    whole, parts = SoundTrack(0), SoundTrack(0)
    wave = np.sin(np.arange(total) / 9).astype(np.float32)
    once = [*whole.push_mono(wave, rate_hz, 0), *whole.flush()]
    many: list[AudioChunk] = []
    begin = 0
    for cut in cuts:
        piece = wave[begin : begin + cut]
        many += parts.push_mono(piece, rate_hz, begin * NS_PER_S // rate_hz)
        begin += cut
    many += parts.flush()
    nothing = np.zeros(0, np.float32)  # a few samples make none at 16 kHz
    one = np.concatenate([nothing, *(chunk.samples for chunk in once)])
    two = np.concatenate([nothing, *(chunk.samples for chunk in many)])
    assert one == pytest.approx(two, abs=1e-5)
    assert abs(len(one) - total * SAMPLE_RATE_HZ / rate_hz) < 2


@given(
    st.lists(st.integers(min_value=10, max_value=500), min_size=2, max_size=60),
    st.integers(min_value=0, max_value=10**15),
)
def test_a_steady_clock_is_believed(durations_ms, origin_ns):
    timeline = Timeline(origin_ns, 0, MAX_GAP_NS)
    stamp_ns = origin_ns
    for duration_ms in durations_ms:
        shift_ns = timeline.shift_for(0, stamp_ns, duration_ms * NS_PER_MS)
        assert shift_ns == -origin_ns
        stamp_ns += duration_ms * NS_PER_MS
    assert timeline.leaps == []


@given(
    st.lists(
        st.one_of(st.integers(MAX_GAP_NS + 1, 10**14), st.integers(-(10**14), -MAX_GAP_NS - 1)),
        min_size=1,
        max_size=6,
    ),
    st.integers(min_value=1, max_value=20),
)
def test_leaps_neither_stretch_time_nor_turn_it_back(leaps_ns, packets_between):
    """Two streams of 100 ms packets whose common clock leaps every `packets_between` packets."""
    timeline = Timeline(0, 0, MAX_GAP_NS)
    step_ns = 100 * NS_PER_MS
    stamp_ns, true_ns = 0, 0
    reached = [0, 0]
    for leap_ns in [0, *leaps_ns]:
        stamp_ns += leap_ns
        for _ in range(packets_between):
            for stream in (0, 1):
                time_ns = stamp_ns + timeline.shift_for(stream, stamp_ns, step_ns)
                assert time_ns >= reached[stream] - BACKWARD_TOLERANCE_NS
                reached[stream] = time_ns
            stamp_ns += step_ns
            true_ns += step_ns
    assert abs(max(reached) + step_ns - true_ns) <= len(leaps_ns) * (MAX_GAP_NS + step_ns)
    assert abs(reached[0] - reached[1]) <= step_ns


@given(st.text(min_size=1, max_size=30), st.lists(st.integers(0, 99), min_size=1, max_size=3))
def test_what_is_typed_comes_back(name, numbers):
    assume(name.strip() == name and "=" not in name and name != "*" and "/" not in name)
    assume(all(character.isprintable() for character in name))
    sources = tuple(f"mic:{number}" for number in numbers)
    assert parse_participant(f"{name}={','.join(sources)}") == ParticipantSpec(name, sources)
