"""Who speaks when, by the voices of many stretches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.speakers import clustering
from streamer.speakers.clustering import (
    LEAST_DISTANCE,
    MOST_DISTANCE,
    PAIR_FRAMES,
    SAME_PERSON,
    Brief,
    Stretch,
    brief_distance,
    own_distances,
    people,
    people_and_voices,
    precedes,
    same_person,
)

ANA, BO = np.eye(2, 4, dtype=np.float32)


def stretch(first: int, *voices: tuple[NDArray[np.float32], str]) -> Stretch:
    """Voices with a character per frame: `#` where one speaks."""
    active = np.array([[mark == "#" for mark in marks] for _, marks in voices]).T
    alone = active & (active.sum(axis=1, keepdims=True) == 1)
    return Stretch(first, active, np.stack([v for v, _ in voices]), alone.sum(axis=0).astype(float))


def test_overlapped_speech_is_of_both() -> None:
    both = stretch(0, (ANA, "######...."), (BO, "....######"))
    assert people([both], 8) == [(0, 0, 6), (1, 4, 10)]


def test_stretches_decide_together_about_a_moment() -> None:
    sure = stretch(0, (ANA, "####......"), (BO, ".....#####"))
    unsure = stretch(0, (ANA, "####..####"), (BO, ".........."))
    assert people([sure, sure, unsure], 8)[-1] == (1, 5, 10)


def test_a_stretch_before_the_recording_counts_from_its_beginning() -> None:
    assert people([stretch(-4, (ANA, "....######"))], 8) == [(0, 0, 6)]


def test_a_voice_that_speaks_hardly_is_of_the_nearest_person() -> None:
    near_ana = np.array([0.7, 0.1, 0.7, 0.0], np.float32)
    long = [stretch(n, (ANA, "##########")) for n in range(0, 100, 10)]
    turns = people([*long, stretch(100, (near_ana, "##........"))], 8)
    assert turns == [(0, 0, 102)]


def only_with_ana(frames: int) -> Stretch:
    """Somebody speaks at the end of Ana's speech, with a vector of both."""
    mixed = np.array([0.9, 0.0, 0.4, 0.0], np.float32)
    marks = "#" * 100, "." * (100 - frames) + "#" * frames
    return stretch(0, (ANA, marks[0]), (mixed, marks[1]))


def test_who_only_speaks_while_another_does_is_somebody() -> None:
    turns, vectors = people_and_voices([only_with_ana(70)], 8)
    assert turns == [(0, 0, 100), (1, 30, 100)]
    assert np.abs(vectors - np.stack([ANA, np.zeros_like(ANA)])).max() < 1e-3


def test_for_less_than_a_second_it_is_nobody_and_neither_beyond_the_most_people() -> None:
    assert people([only_with_ana(clustering.ANOTHER_FRAMES - 1)], 8) == [(0, 0, 100)]
    assert people([only_with_ana(70)], 1) == [(0, 0, 100)]


def test_of_more_voices_than_are_clustered_evenly_chosen_ones_are() -> None:
    assert clustering._evenly(3).tolist() == [0, 1, 2]
    chosen = clustering._evenly(10 * clustering.MOST_VOICES)
    assert len(chosen) == clustering.MOST_VOICES
    assert (chosen[0], chosen[-1]) == (0, 10 * clustering.MOST_VOICES - 1)
    assert set(np.diff(chosen)) <= {10, 11}


def test_before_its_described_part_a_stretch_tells_only_how_many_speak() -> None:
    late = replace(stretch(0, (BO, "##########")), described_from=5)
    assert people([late], 8) == [(0, 5, 10)]
    early = stretch(0, (ANA, "#####"))
    assert people([early, late], 8) == [(0, 0, 5), (1, 5, 10)]
    silent = replace(stretch(0, (ANA, "..........")), described_from=10)
    assert people([early, silent, silent], 8) == []


def test_a_second_voice_counts_from_a_quarter_of_the_probability_on() -> None:
    both = stretch(0, (ANA, "##########"), (BO, "##########"))
    for second, turns in ((0.2, [(0, 0, 10)]), (0.3, [(0, 0, 10), (1, 0, 10)])):
        at_once = np.tile(np.array([0.9, second], np.float32), (10, 1))
        probable = np.tile(np.array([0.9, second], np.float32), (10, 1))
        assert people([replace(both, at_once=at_once, probable=probable)], 8) == turns


def test_the_more_probable_voice_is_the_one_that_speaks() -> None:
    both = stretch(0, (ANA, "##########"), (BO, "##########"))
    probable = np.array([[0.6, 0.3]] * 5 + [[0.3, 0.6]] * 5, np.float32)
    alone = np.tile(np.array([0.9, 0.1], np.float32), (10, 1))
    assert people([replace(both, probable=probable, at_once=alone)], 8) == [(0, 0, 5), (1, 5, 10)]


def vector(spread: float, other: float) -> NDArray[np.float32]:
    """A voice `other` degrees beside ANA's, of which `spread` degrees are this moment's."""
    own, person = np.deg2rad(spread), np.deg2rad(other)
    parts = [np.cos(own) * np.cos(person), np.sin(own), np.cos(own) * np.sin(person), 0]
    return np.array(parts, np.float32)


def conversation(spread: float, other: float, *, times: int = 1) -> list[Stretch]:
    """One person alone for forty frames and then another, each heard twice, again and again.

    A person's vectors are `spread` degrees apart, the two people `other` degrees.
    """
    whole = []
    for first, person in zip(range(0, 80 * times, 40), [0, other] * times, strict=True):
        before = stretch(first, (vector(0, person), 20 * "#"))
        later = replace(stretch(first, (vector(spread, person), 40 * "#")), described_from=20)
        whole += [replace(each, alone_s=np.ones(1)) for each in (before, later)]
    return whole


def test_the_vectors_of_one_voice_at_two_times_are_compared() -> None:
    before, later = conversation(spread=30, other=90)[:2]
    assert precedes(before, later) and not precedes(later, before)
    assert own_distances(before, later) == [pytest.approx(1 - np.cos(np.deg2rad(30)))]
    short = replace(before, alone_s=np.full(1, 0.9))
    assert own_distances(short, later) == []


def test_a_voice_whose_frames_are_mostly_anothers_is_not_compared() -> None:
    before = replace(stretch(0, (ANA, "#####")), alone_s=np.ones(1))
    later = replace(stretch(0, (ANA, "##...#####")), described_from=5, alone_s=np.ones(1))
    assert own_distances(before, later) == []


def test_similar_voices_are_told_apart_where_each_persons_vectors_are_near_each_other() -> None:
    clean = conversation(spread=5, other=57, times=24)
    assert {person for person, _, _ in people(clean, 8)} == {0, 1}
    far = conversation(spread=53, other=57, times=24)
    assert {person for person, _, _ in people(far, 8)} == {0}


@given(st.lists(st.floats(0, 2)))
def test_the_distance_of_one_person_stays_in_its_bounds(distances: list[float]) -> None:
    assert LEAST_DISTANCE <= same_person(distances) <= MOST_DISTANCE


def test_a_few_distances_count_little() -> None:
    assert same_person([]) == SAME_PERSON
    assert SAME_PERSON > same_person([0.1]) > same_person([0.1] * 10) > same_person([0.1] * 100)


def briefs(vectors: list[NDArray[np.float32]], *, every: int, frames: int) -> tuple[Brief, ...]:
    """Pieces one after the other, the first one from frame 0 on."""
    return tuple(Brief(n * every, n * every + frames, v) for n, v in enumerate(vectors))


def test_the_distance_of_brief_pieces_is_the_low_one_of_neighbours() -> None:
    vectors = [vector(0, degrees) for degrees in (0, 20, 0, 20, 0, 60, 0)]
    pieces = briefs(vectors, every=20, frames=10)
    assert brief_distance(pieces) == pytest.approx(1 - np.cos(np.deg2rad(20)))
    assert brief_distance(pieces[3:]) == np.inf


def test_overlapping_or_distant_pieces_are_no_neighbours() -> None:
    vectors = [vector(0, degrees) for degrees in (0, 40, 0, 40, 0, 40, 0, 40, 0, 40)]
    assert brief_distance(briefs(vectors, every=6, frames=10)) == pytest.approx(0, abs=1e-6)
    assert brief_distance(briefs(vectors, every=10 + PAIR_FRAMES + 1, frames=10)) == np.inf


def mistaken(spread: float) -> list[Stretch]:
    """Ana and then Bo speak for a hundred frames each, and again; the second time as one voice.

    The pieces of one person are `spread` degrees apart.
    """
    ana, bo = vector(0, 0), vector(0, 90)
    told = stretch(0, (ana, "#" * 100 + "." * 100), (bo, "." * 100 + "#" * 100))
    mixed = stretch(200, (vector(0, 40), "#" * 200))
    moments = [0, spread]
    pieces = [vector(moments[n % 2], 90 * (n // 10 % 2)) for n in range(40)]
    return [replace(told, briefs=briefs(pieces, every=10, frames=10)), mixed]


def test_brief_pieces_tell_two_people_apart_in_what_was_taken_for_one_voice() -> None:
    assert people(mistaken(spread=10), 8)[2:] == [(0, 200, 300), (1, 300, 400)]


def test_brief_pieces_do_not_count_where_those_of_one_person_are_far_apart() -> None:
    assert people(mistaken(spread=75), 8)[2:] == [(0, 200, 400)]


def test_brief_pieces_make_nobody_a_person() -> None:
    cy = np.array([0, 0, 0, 1], np.float32)
    alone = replace(stretch(0, (ANA, "#" * 100)), briefs=briefs([cy] * 10, every=10, frames=10))
    assert people([alone], 8) == [(0, 0, 100)]


def test_brief_pieces_part_voices_that_are_taken_for_one_persons() -> None:
    ana, bo = vector(0, 0), vector(0, 52)
    whole = [stretch(first, (who, "#" * 50)) for first, who in ((0, ana), (50, bo)) * 2]
    assert {person for person, _, _ in people(whole, 8)} == {0}
    pieces = [vector(0, 90 * (n // 5)) for n in range(10)]
    whole[0] = replace(whole[0], briefs=briefs(pieces, every=10, frames=10))
    assert {person for person, _, _ in people(whole, 8)} == {0, 1}
