"""People by their voices while the sound goes on, with made voices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.speakers.clustering import Stretch, Turn
from streamer.speakers.online import LATENCY_FRAMES, OnlineSpeakers

FRAMES, STEP, FRAME_S = 290, 58, 1.01 / 58
"""Of a stretch, and between two of them: about 5 s and 1 s."""
WIDTH = 16
VOICES = np.eye(6, WIDTH, dtype=np.float32)

Script = list[tuple[str, float]]
"""Letters of the people who speak at once, and for how many seconds."""


def stretches(script: Script, voices: NDArray[np.float32] = VOICES) -> list[Stretch]:
    """The stretches of a conversation, ending at every step; A has voice 0, B voice 1."""
    speaks = np.concatenate(
        [np.tile([p in who for p in "ABCDEF"], (round(s * STEP), 1)) for who, s in script]
    )
    return [_stretch(speaks, end, voices) for end in range(STEP, len(speaks) + 1, STEP)]


def _stretch(speaks: NDArray[np.bool_], end: int, voices: NDArray[np.float32]) -> Stretch:
    first = end - FRAMES
    heard = np.zeros((FRAMES, speaks.shape[1]), bool)
    heard[max(0, -first) :] = speaks[max(0, first) : end]
    people = np.argsort(-heard.sum(axis=0), kind="stable")[:3]
    active = heard[:, people]
    alone = active & (active.sum(axis=1, keepdims=True) == 1)
    enough = np.expand_dims(active.any(axis=0), 1)
    return Stretch(first, active, voices[people] * enough, alone.sum(axis=0) * FRAME_S)


def labels(turns: list[Turn], frames: int) -> str:
    """Who speaks in the middle of each second: a digit, `.` for nobody, `+` for several."""
    marks = ["."] * (frames // STEP)
    for person, first, end in turns:
        for second in range(len(marks)):
            if first <= second * STEP + STEP // 2 < end:
                marks[second] = str(person) if marks[second] == "." else "+"
    return "".join(marks)


def heard(script: Script, most: int = 8) -> str:
    speakers = OnlineSpeakers(most)
    given = stretches(script)
    turns = [turn for stretch in given for turn in speakers.add(stretch)]
    return labels([*turns, *speakers.finish()], len(given) * STEP)


def test_each_person_has_a_number_from_the_first_second_of_speech_on() -> None:
    #                    0123456789
    assert heard([("A", 4), ("", 1), ("B", 3), ("A", 3), ("C", 4)]) == "0000.1110002222"


def test_overlapped_speech_is_of_both() -> None:
    assert heard([("A", 3), ("B", 3), ("AB", 2), ("A", 2)]) == "000111++00"


def test_turns_go_on_where_the_last_ones_ended_half_a_second_behind() -> None:
    speakers = OnlineSpeakers(8)
    decided = 0
    for number, stretch in enumerate(stretches([("A", 3), ("B", 4), ("A", 3)]), start=1):
        turns = speakers.add(stretch)
        assert all(decided <= first < end <= speakers.decided for _, first, end in turns)
        decided = speakers.decided
        assert decided == number * STEP - LATENCY_FRAMES
    assert [turn[1:] for turn in speakers.finish()] == [(decided, decided + LATENCY_FRAMES)]
    assert speakers.finish() == []


def test_there_are_never_more_people_than_allowed() -> None:
    script: Script = [(who, 4) for who in "ABCDEF"]
    assert set(heard(script, most=2)) <= {"0", "1"}
    assert len(set(heard(script, most=8))) == 6


def test_a_short_unknown_voice_is_no_new_person() -> None:
    assert heard([("A", 6), ("B", 0.5), ("A", 5.5)]) == "0" * 12


def test_nobody_and_nothing() -> None:
    assert heard([("", 5)]) == "....."
    speakers = OnlineSpeakers(8)
    assert (speakers.finish(), speakers.again(), speakers.decided) == ([], [], 0)


def turned(degrees: float, towards: int) -> NDArray[np.float32]:
    """A's voice, turned towards another direction."""
    angle = np.deg2rad(degrees)
    vector = np.cos(angle) * np.eye(1, WIDTH)[0] + np.sin(angle) * np.eye(1, WIDTH, towards)[0]
    return np.asarray(vector, np.float32)


def test_two_numbers_of_one_person_become_one_when_all_voices_are_clustered_again() -> None:
    changing = np.stack([VOICES[0], turned(80, 8), turned(40, 8), *VOICES[3:]])
    given = stretches([("A", 6), ("B", 6), ("C", 12)], changing)
    speakers = OnlineSpeakers(8, again_steps=len(given))
    for stretch in given[:-1]:
        speakers.add(stretch)
    before = labels(speakers.again(), 23 * STEP)
    assert before[:12] == "0" * 6 + "1" * 6
    assert speakers.merged == {}
    speakers.add(given[-1])
    assert labels(speakers.again(), 23 * STEP) == "0" * 23
    assert labels(speakers.again(20 * STEP), 23 * STEP) == "." * 20 + "0" * 3
    assert (speakers.merged, speakers.parted) == ({1: 0}, {})
    assert list(speakers.voices) == [0]


def test_who_turned_out_to_be_somebody_else_makes_room_for_a_new_person() -> None:
    changing = np.stack([VOICES[0], turned(80, 8), turned(40, 8), *VOICES[3:]])
    given = stretches([("A", 6), ("B", 6), ("C", 12), ("", 5), ("D", 6)], changing)
    speakers = OnlineSpeakers(2, again_steps=24)
    turns = [turn for stretch in given for turn in speakers.add(stretch)]
    assert speakers.merged == {1: 0}
    assert labels([*turns, *speakers.finish()], len(given) * STEP)[-5:] == "22222"
    assert list(speakers.voices) == [0, 2]


def test_one_number_of_two_people_becomes_two_when_all_voices_are_clustered_again() -> None:
    moving = np.stack([turned(degrees, 8) for degrees in (0, 30, 70, 100, 0, 0)])
    pause: tuple[str, float] = ("", 5)  # no stretch has two of the voices
    script: Script = [("A", 2), pause, ("B", 2), pause, ("C", 6), pause, ("D", 6)]
    given = stretches(script, moving)
    speakers = OnlineSpeakers(8, again_steps=len(given))
    for stretch in given[:-1]:
        speakers.add(stretch)
    assert set(labels(speakers.again(), 30 * STEP)) == {"0", "."}
    speakers.add(given[-1])
    assert labels(speakers.again(), 30 * STEP) == "11.....11.....000000.....00000"
    assert (speakers.merged, speakers.parted) == ({}, {1: 0})


def test_numbers_stay_when_voices_are_clustered_again() -> None:
    turn_by_turn: Script = [("AB"[n % 2], 3.0) for n in range(20)]
    assert heard(turn_by_turn) == "000111" * 10


def test_a_new_person_who_has_spoken_little_outlasts_a_clustering() -> None:
    script: Script = [("A", 38), ("B", 2), ("A", 4), ("B", 6)]
    assert heard(script) == "0" * 38 + "11" + "0" * 4 + "1" * 6


def test_what_is_kept_is_bounded() -> None:
    speakers = OnlineSpeakers(8, most_kept=20)
    for stretch in stretches([("AB"[n % 2], 3.0) for n in range(20)]):
        speakers.add(stretch)
        assert len(speakers._voices) <= 20
    assert len(speakers._sums) == 2
