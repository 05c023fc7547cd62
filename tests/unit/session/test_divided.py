"""One sound is divided among the people who speak in it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.session.divided import DividedSound
from streamer.spans import SpeakerTurn

TENTH_NS = NS_PER_S // 10
SHORT = SAMPLE_RATE_HZ // 10


def chunk(first: int, tenths: int) -> AudioChunk:
    """Sound whose samples are their own tenth of a second, counted from 1."""
    samples = np.repeat(np.arange(first + 1, first + tenths + 1, dtype=np.float32), SHORT)
    return AudioChunk(first * TENTH_NS, samples)


def turn(name: str, first: int, end: int) -> SpeakerTurn:
    return SpeakerTurn(name, first * TENTH_NS, end * TENTH_NS)


def given_out(sound: DividedSound, turns: list[SpeakerTurn], until: int) -> dict[str, list[float]]:
    """What each person gets, a value for each tenth of a second."""
    parts: dict[str, list[float]] = {}
    for name, part in sound.decide(turns, until * TENTH_NS):
        parts.setdefault(name, []).extend(part.samples[::SHORT].tolist())
    return parts


def test_a_person_has_the_sound_of_the_own_turns_from_the_first_one_on() -> None:
    sound = DividedSound()
    sound.push(chunk(0, 10))
    turns = [turn("ana", 2, 5), turn("bo", 4, 7)]
    assert given_out(sound, turns, 10) == {
        "ana": [3, 4, 5, 0, 0, 0, 0, 0],
        "bo": [5, 6, 7, 0, 0, 0],
    }
    assert sound.begins_ns == {"ana": 2 * TENTH_NS, "bo": 4 * TENTH_NS}
    sound.push(chunk(10, 3))
    assert given_out(sound, [turn("ana", 11, 13)], 13) == {"ana": [0, 12, 13], "bo": [0, 0, 0]}


def test_times_are_the_persons_own() -> None:
    sound = DividedSound()
    sound.push(chunk(0, 10))
    sound.push(chunk(10, 10))
    [(_, first), (_, second)] = sound.decide([turn("ana", 3, 20)], 20 * TENTH_NS)
    assert (first.event_time_ns, first.end_ns) == (0, 7 * TENTH_NS)
    assert second.event_time_ns == first.end_ns


def test_sound_that_is_not_decided_yet_waits() -> None:
    sound = DividedSound()
    sound.push(chunk(0, 10))
    assert given_out(sound, [turn("ana", 0, 4)], 4) == {"ana": [1, 2, 3, 4]}
    assert given_out(sound, [], 4) == {}
    assert given_out(sound, [turn("ana", 6, 10)], 10) == {"ana": [0, 0, 7, 8, 9, 10]}


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=6),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_however_it_is_cut_and_decided_a_person_has_each_sample_once(
    lengths: list[int], decisions: list[int]
) -> None:
    sound, total = DividedSound(), sum(lengths)
    parts: list[float] = []
    for length, first in zip(lengths, np.cumsum([0, *lengths]), strict=False):
        sound.push(chunk(int(first), length))
    before = 0
    for until in sorted({*(d for d in decisions if d < total), total}):
        turns = [turn("ana", before, until)] if until > before else []
        parts += given_out(sound, turns, until).get("ana", [])
        before = until
    assert parts == list(range(1, total + 1))
