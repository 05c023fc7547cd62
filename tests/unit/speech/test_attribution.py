"""Who of several speakers says a word, and how sure that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.records import NS_PER_S, Word
from streamer.spans import SpeakerTurn
from streamer.speech.attribution import Everybody, part_of
from streamer.speech.transcripts import parse_text


def turn(speaker: str, start_s: float, end_s: float) -> SpeakerTurn:
    return SpeakerTurn(speaker, round(start_s * NS_PER_S), round(end_s * NS_PER_S))


ROOM = Everybody([turn("ana", 0, 4), turn("bo", 3, 6), turn("ana", 9, 10)])


@pytest.mark.parametrize(
    ("start_s", "end_s", "speaker"),
    [
        (0, 1, "ana"),
        (2.5, 3.2, "ana"),
        (3.5, 5, "bo"),
        (3.2, 3.6, "ana"),
        (6.2, 6.4, "bo"),
        (8.7, 8.9, "ana"),
        (7, 7.4, None),
        (10.6, 11, None),
    ],
    ids=["alone", "mostly", "more", "as long", "after", "before", "between", "far behind"],
)
def test_a_word_is_of_whom_it_overlaps_most_else_of_the_nearest(
    start_s: float, end_s: float, speaker: str | None
) -> None:
    assert ROOM.speaker_at(*turn("", start_s, end_s)[1:]) == speaker


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 90), st.integers(1, 30)), max_size=9),
    st.integers(0, 99),
    st.integers(1, 9),
)
def test_nobody_else_overlaps_a_word_longer(
    turns: list[tuple[str, int, int]], start: int, length: int
) -> None:
    room = [turn(speaker, first, first + many) for speaker, first, many in turns]
    start_ns, end_ns = start * NS_PER_S, (start + length) * NS_PER_S
    found = Everybody(room).speaker_at(start_ns, end_ns)
    common = {
        speaker: sum(
            max(0, min(end_ns, t.end_ns) - max(start_ns, t.start_ns))
            for t in room
            if t.speaker == speaker
        )
        for speaker in {t.speaker for t in room}
    }
    if any(common.values()):
        assert found is not None
        assert common[found] == max(common.values())


@pytest.mark.parametrize(
    ("start_s", "end_s", "sure"), [(0, 2, 1.0), (2, 4, 0.75), (3, 4, 0.5), (5, 6, None)]
)
def test_overlapped_speech_is_less_sure(start_s: float, end_s: float, sure: float | None) -> None:
    assert ROOM.certainty("ana", *turn("", start_s, end_s)[1:]) == sure


TRANSCRIPT = """WEBVTT

00:00:00.000 --> 00:00:02.000
first second third fourth

00:00:02.000 --> 00:00:04.000
<v bo>named anyway
"""


def test_cues_without_a_name_are_shared_out_by_word_and_named_ones_are_not() -> None:
    room = Everybody([turn("ana", 0, 1), turn("bo", 1, 2), turn("ana", 2, 4)])
    read = parse_text(TRANSCRIPT)
    assert texts(part_of(read, "ana", room).words) == ["first", "second"]
    bo = part_of(read, "bo", room)
    assert texts(bo.words) == ["third", "fourth", "named", "anyway"]
    assert [said.speaker for said in bo.utterances] == ["bo", "bo"]


def texts(words: tuple[Word, ...]) -> list[str]:
    return [word.text for word in words]
