"""Known voices give their names to the people of a recording."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.speakers.enrolment import KNOWN_VOICE, recognised

ANA, BO, CY, DI = np.eye(4, dtype=np.float32)
SEED = st.integers(0, 2**32 - 1)


def near(voice: NDArray[np.float32], cosine: float) -> NDArray[np.float32]:
    """A vector of length 1 at a cosine to `voice`, at right angles to the other people."""
    rest = np.sqrt(1 - cosine**2) * np.eye(1, 5, 4, dtype=np.float32)[0]
    vector = np.append(cosine * voice, 0) + rest
    return np.asarray(vector, np.float32)


def padded(*voices: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([np.append(voice, 0) for voice in voices]).astype(np.float32)


def test_a_near_voice_has_the_name_and_a_far_one_has_none() -> None:
    people = padded(ANA, BO)
    assert recognised(people, {"bo": near(BO, KNOWN_VOICE + 0.01)}) == {1: "bo"}
    assert recognised(people, {"bo": near(BO, KNOWN_VOICE - 0.01)}) == {}


def test_each_voice_is_of_one_person_and_each_person_has_one_voice() -> None:
    people = padded(ANA)
    both = {"ana": near(ANA, 0.9), "twin": near(ANA, 0.8)}
    assert recognised(people, both) == {0: "ana"}
    twins = np.stack([near(ANA, 0.8), near(ANA, 0.95)])
    assert recognised(twins, {"ana": padded(ANA)[0]}) == {1: "ana"}


def test_without_people_or_voices_nobody_has_a_name() -> None:
    assert recognised(np.zeros((0, 0), np.float32), {"ana": ANA}) == {}
    assert recognised(padded(ANA), {}) == {}


@given(SEED, st.integers(1, 5), st.integers(1, 5))
def test_no_name_is_given_twice_or_to_a_far_voice(seed: int, count: int, known: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count + known, 3))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    people, voices = vectors[:count], {f"v{n}": vectors[count + n] for n in range(known)}
    names = recognised(people, voices)
    assert len(set(names.values())) == len(names)
    assert all(float(people[n] @ voices[name]) >= KNOWN_VOICE for n, name in names.items())
