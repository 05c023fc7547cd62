"""Who speaks when, by the voices of many stretches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamer.speakers import clustering
from streamer.speakers.clustering import Stretch, people

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
