"""Movements of mouths and turns → whose each face is."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pytest

from streamer.records import NS_PER_S
from streamer.spans import SpeakerTurn
from streamer.speakers.by_mouth import LEAST_PIECES, Mouth, pieces_alone, speakers_by_mouth

RATE_HZ = 5


def dialogue(turns: int, people: str = "ab", length_s: float = 2.5) -> list[SpeakerTurn]:
    """So many turns of each person, one after another, half a second apart."""
    starts = [n * (length_s + 0.5) for n in range(turns * len(people))]
    return [
        turn(people[n % len(people)], start_s, start_s + length_s)
        for n, start_s in enumerate(starts)
    ]


def turn(speaker: str, start_s: float, end_s: float) -> SpeakerTurn:
    return SpeakerTurn(speaker, round(start_s * NS_PER_S), round(end_s * NS_PER_S))


def mouth(
    turns: Sequence[SpeakerTurn],
    moves: Collection[str],
    seed: int = 0,
    in_view: Collection[str] = "abc",
) -> Mouth:
    """A mouth that moves while some people speak, in a face in view while some people speak."""
    times_ns = np.arange(0, turns[-1].end_ns, NS_PER_S // RATE_HZ)
    noise = np.random.default_rng(seed).normal(0, 0.3, len(times_ns))
    movement, seen = noise, np.zeros(len(times_ns), bool)
    for speaker, start_ns, end_ns in turns:
        inside = (times_ns >= start_ns) & (times_ns < end_ns)
        movement = movement + 0.5 * (inside & (speaker in moves))
        seen |= inside & (speaker in in_view)
    return Mouth(times_ns[seen], movement[seen])


def test_a_mouth_that_moves_with_one_voice_alone_is_that_speakers() -> None:
    turns = dialogue(8, "abc")
    mouths = [mouth(turns, who, seed) for seed, who in enumerate(("b", "", "a"))]
    assert speakers_by_mouth(mouths, turns) == {0: "b", 2: "a"}


@pytest.mark.parametrize("moves", ["", "ab"], ids=["rests", "moves with every voice"])
def test_a_mouth_that_tells_nothing_is_nobodys(moves: str) -> None:
    turns = dialogue(12)
    assert speakers_by_mouth([mouth(turns, moves)], turns) == {}


def test_movement_without_a_connection_to_speech_is_nobodys() -> None:
    turns = dialogue(12)
    times_ns = np.arange(0, turns[-1].end_ns, NS_PER_S // RATE_HZ)
    for seed in range(50):
        steps = np.random.default_rng(seed).normal(0, 1, len(times_ns))
        slow = np.convolve(steps, np.ones(8) / 8, "same")
        assert speakers_by_mouth([Mouth(times_ns, slow)], turns) == {}, seed


def test_too_few_turns_decide_nothing() -> None:
    assert speakers_by_mouth([mouth(dialogue(12), "a")], dialogue(LEAST_PIECES - 1)) == {}
    turns = [*dialogue(12, "a"), turn("b", 60, 62)]
    assert speakers_by_mouth([mouth(turns, "a")], turns) == {}


def test_two_faces_that_fit_one_speaker_are_both_nobodys() -> None:
    turns = dialogue(12)
    assert speakers_by_mouth([mouth(turns, "a", 1), mouth(turns, "a", 2)], turns) == {}


def test_a_face_that_is_in_view_while_one_person_speaks_alone_is_nobodys() -> None:
    turns = dialogue(12)
    assert speakers_by_mouth([mouth(turns, "a", in_view="a")], turns) == {}


def test_one_speaker_alone_is_not_told_from_anybody() -> None:
    turns = dialogue(12, "a")
    assert speakers_by_mouth([mouth(turns, "a")], turns) == {}
    assert speakers_by_mouth([], dialogue(12)) == {}


def test_pieces_are_of_one_person_alone_and_neither_short_nor_long() -> None:
    turns = [turn("a", 0, 10), turn("b", 8, 12), turn("a", 12, 12.9), turn("b", 12.9, 14)]
    rounded = [
        (who, round(start / NS_PER_S, 2), round(end / NS_PER_S, 2))
        for who, start, end in pieces_alone(turns)
    ]
    assert rounded == [("a", 0, 4), ("a", 4, 8), ("b", 10, 12), ("b", 12.9, 14)]
