"""One sound of several people, and each one's part of it."""

from __future__ import annotations

import numpy as np

from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.session.mixed_sound import MixedSound

TENTH_NS = NS_PER_S // 10
SHORT = SAMPLE_RATE_HZ // 10


def chunk(first: int, tenths: int) -> AudioChunk:
    """Sound whose samples are their own tenth of a second, counted from 1."""
    samples = np.repeat(np.arange(first + 1, first + tenths + 1, dtype=np.float32), SHORT)
    return AudioChunk(first * TENTH_NS, samples)


def part(sound: MixedSound, spans: list[tuple[int, int]], start: int, end: int) -> list[float]:
    """A person's part, a value for each tenth of a second."""
    own = [(low * TENTH_NS, high * TENTH_NS) for low, high in spans]
    got = sound.only(own, start * TENTH_NS, end * TENTH_NS)
    assert got.event_time_ns == start * TENTH_NS
    return list(got.samples[::SHORT].tolist())


def test_a_person_has_the_sound_of_the_own_turns() -> None:
    sound = MixedSound()
    sound.push(chunk(0, 5))
    sound.push(chunk(5, 5))
    assert part(sound, [(2, 4), (6, 20)], 1, 9) == [0, 3, 4, 0, 0, 7, 8, 9]
    assert part(sound, [], 0, 3) == [0, 0, 0]


def test_a_hole_is_silent_and_so_is_what_is_not_there() -> None:
    sound = MixedSound()
    sound.push(chunk(1, 2))
    sound.push(chunk(4, 1))
    assert part(sound, [(0, 9)], 0, 7) == [0, 2, 3, 0, 5, 0, 0]


def test_whole_chunks_are_forgotten() -> None:
    sound = MixedSound()
    for first in (0, 2, 4):
        sound.push(chunk(first, 2))
    sound.forget(3 * TENTH_NS)
    assert part(sound, [(0, 9)], 0, 6) == [0, 0, 3, 4, 5, 6]
