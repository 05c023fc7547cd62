"""Who speaks when, as it is decided and as it is judged later."""

from __future__ import annotations

from streamer.records import NS_PER_S
from streamer.spans import SpeakerTurn
from streamer.speakers.labels import LEAST_CHANGE_NS, Labels


def turn(speaker: str, start_s: float, end_s: float) -> SpeakerTurn:
    return SpeakerTurn(speaker, round(start_s * NS_PER_S), round(end_s * NS_PER_S))


def labels(*turns: SpeakerTurn) -> Labels:
    made = Labels()
    made.decide(turns)
    return made


def test_turns_that_go_on_are_one() -> None:
    made = labels(turn("ana", 0, 2), turn("bo", 2, 3))
    made.decide([turn("bo", 3, 4)])
    assert made.turns == [turn("ana", 0, 2), turn("bo", 2, 4)]
    assert made.of("bo") == [turn("bo", 2, 4)[1:]]
    assert made.of("cy") == []


def test_what_is_judged_otherwise_changes_hands_and_says_from_when_on() -> None:
    made = labels(turn("ana", 0, 6), turn("bo", 6, 8))
    changed = made.change([turn("ana", 0, 3), turn("bo", 3, 8)], 0, 8 * NS_PER_S)
    assert changed == {"ana": 3 * NS_PER_S, "bo": 3 * NS_PER_S}
    assert made.turns == [turn("ana", 0, 3), turn("bo", 3, 8)]


def test_a_new_speaker_and_one_who_is_no_more() -> None:
    made = labels(turn("ana", 0, 4))
    assert made.change([turn("bo", 1, 4)], 0, 4 * NS_PER_S) == {"ana": 0, "bo": NS_PER_S}
    assert made.turns == [turn("bo", 1, 4)]


def test_nothing_changes_before_the_time_from_which_on_it_may() -> None:
    made = labels(turn("ana", 0, 6))
    changed = made.change([turn("bo", 0, 9)], 2 * NS_PER_S, 6 * NS_PER_S)
    assert changed == {"ana": 2 * NS_PER_S, "bo": 2 * NS_PER_S}
    assert made.turns == [turn("ana", 0, 2), turn("bo", 2, 6)]


def test_edges_that_move_a_little_stay_where_they_are() -> None:
    made, little_s = labels(turn("ana", 1, 3)), (LEAST_CHANGE_NS - 1) / NS_PER_S
    assert made.change([turn("ana", 1 - little_s, 3 - little_s)], 0, 4 * NS_PER_S) == {}
    assert made.turns == [turn("ana", 1, 3)]


def test_what_is_over_is_forgotten() -> None:
    made = labels(turn("ana", 0, 2), turn("bo", 2, 4))
    made.forget(2 * NS_PER_S)
    assert made.turns == [turn("bo", 2, 4)]
