"""People from voices: the same whatever the voices' numbers, and never more than are allowed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.speakers.clustering import Stretch, people
from streamer.speakers.online import OnlineSpeakers

FRAMES, STEP, VOICES, WIDTH = 20, 5, 3, 8

Script = list[tuple[int | None, int | None]]
"""Who speaks during each STEP of frames: up to two different people of five."""
scripts = st.lists(
    st.tuples(st.none() | st.integers(0, 4), st.none() | st.integers(0, 4)), min_size=1, max_size=12
)


def stretches_of(script: Script) -> list[Stretch]:
    """The stretches of a conversation whose people have voices at right angles to each other."""
    speaks = np.zeros((len(script) * STEP, 5), bool)
    for n, pair in enumerate(script):
        for person in pair:
            if person is not None:
                speaks[n * STEP : (n + 1) * STEP, person] = True
    return [stretch_of(speaks, end - FRAMES) for end in range(STEP, len(speaks) + 1, STEP)]


def stretch_of(speaks: NDArray[np.bool_], first: int) -> Stretch:
    heard = np.zeros((FRAMES, 5), bool)
    heard[max(0, -first) :] = speaks[max(0, first) : first + FRAMES]
    persons = np.argsort(-heard.sum(axis=0), kind="stable")[:VOICES]
    active = heard[:, persons]
    alone = active[active.sum(axis=1) == 1]
    vectors = np.eye(5, WIDTH, dtype=np.float32)[persons] * np.expand_dims(active.any(axis=0), 1)
    return Stretch(first, active, vectors, alone.sum(axis=0).astype(float))


@given(
    st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=12), st.permutations(range(VOICES))
)
def test_the_numbers_of_voices_in_a_stretch_change_nothing(
    speakers: list[int | None], order: list[int]
) -> None:
    stretches = stretches_of([(person, None) for person in speakers])
    permuted = [
        replace(s, active=s.active[:, order], vectors=s.vectors[order], alone_s=s.alone_s[order])
        for s in stretches
    ]
    assert people(permuted, 5) == people(stretches, 5)


@given(scripts, st.integers(1, 4))
def test_there_are_never_more_people_than_allowed(script: Script, most: int) -> None:
    turns = people(stretches_of(script), most)
    assert len({person for person, _, _ in turns}) <= most


@given(scripts)
def test_turns_are_ordered_and_numbered_by_first_speech(script: Script) -> None:
    turns = people(stretches_of(script), 5)
    assert [turn[1:] for turn in turns] == sorted(turn[1:] for turn in turns)
    firsts = list(dict.fromkeys(person for person, _, _ in turns))
    assert firsts == list(range(len(firsts)))
    for person in firsts:
        own = [turn for turn in turns if turn[0] == person]
        assert all(0 <= first < end for _, first, end in own)
        assert all(a[2] < b[1] for a, b in pairwise(own))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=8))
def test_people_who_speak_one_after_the_other_have_their_own_turns(order: list[int]) -> None:
    script: Script = [(person, None) for person in order for _ in range(4)]
    turns = people(stretches_of(script), 5)
    found = np.full(len(script) * STEP, -1)
    for person, first, end in turns:
        found[first:end] = person
    truth = np.repeat([person for person, _ in script], STEP)
    numbers = {person: n for n, person in enumerate(dict.fromkeys(truth.tolist()))}
    assert found.tolist() == [numbers[person] for person in truth.tolist()]


@given(scripts, st.integers(1, 4), st.integers(1, 5))
def test_live_turns_follow_each_other_and_are_of_no_more_people_than_allowed(
    script: Script, most: int, again_steps: int
) -> None:
    speakers, decided = OnlineSpeakers(most, again_steps=again_steps), 0
    found: set[int] = set()
    for turns in [*map(speakers.add, stretches_of(script)), speakers.finish()]:
        assert all(decided <= first < end <= len(script) * STEP for _, first, end in turns)
        found |= {person for person, _, _ in turns}
        decided = max((end for _, _, end in turns), default=decided)
    assert found <= set(range(most))
    assert {person for person, _, _ in speakers.again()} <= set(range(most))


def test_nothing_and_silence_have_nobody() -> None:
    assert people([], 5) == []
    assert people(stretches_of([(None, None)] * 6), 5) == []
