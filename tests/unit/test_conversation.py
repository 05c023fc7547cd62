"""Talk time, turns, interruptions and silences in drawn conversations: one character is 100 ms."""

import pytest

from streamer.conversation import (
    KEPT_WINDOWS,
    Conversation,
    SpeechTimes,
    Talk,
    conversation,
    silence_text,
)
from streamer.records import SpeechSpan, Spoken
from tests import made_records as made


def drawn(**people: str) -> Conversation:
    """Return the conversation of lines in which anything but a space is speech."""
    spans = {
        name: [(at * 100, at * 100 + 100) for at, mark in enumerate(line) if mark != " "]
        for name, line in people.items()
    }
    return conversation(spans, 100 * max(map(len, people.values())))


def test_short_pauses_belong_to_speech_and_longer_ones_to_the_turn() -> None:
    (ana,) = drawn(ana="███ ██      ████            ██").participants
    #                        0.1 s  0.6 s       1.2 s
    assert ana.talk_ms == 600 + 400 + 200
    assert ana.turns == 2
    assert ana.longest_turn_ms == 1600


def test_two_who_take_turns() -> None:
    ana, bo = drawn(
        ana="██████████                    ██████████",
        bo="              ████████████                ",
    ).participants
    assert (ana.turns, bo.turns) == (2, 1)
    assert (ana.interruptions, bo.interruptions) == (0, 0)
    assert ana.share == 2000 / 3200
    assert bo.longest_silence_ms == 1600


def test_a_word_within_the_others_turn_is_no_turn() -> None:
    ana, bo = drawn(
        ana="██████████████████████",
        bo="       ███            ",
    ).participants
    assert (bo.talk_ms, bo.turns, bo.interruptions) == (300, 0, 0)
    assert ana.turns == 1


def test_who_begins_while_another_speaks_and_goes_on_interrupts() -> None:
    ana, bo = drawn(
        ana="████████████               ",
        bo="         ██████████████    ",
    ).participants
    assert (ana.interruptions, bo.interruptions) == (0, 1)


def test_two_who_begin_at_once_both_have_a_turn_and_interrupt_nobody() -> None:
    ana, bo = drawn(ana="██████", bo="██████").participants
    assert (ana.turns, bo.turns) == (1, 1)
    assert (ana.interruptions, bo.interruptions) == (0, 0)


def test_a_silence_is_two_seconds_in_which_nobody_speaks() -> None:
    found = drawn(
        ana="█████                     ████                   ",
        bo="          ██                                     ",
    )
    #          0.5 s  1.4 s                1.9 s
    assert (found.silences, found.silence_ms) == (0, 0)
    found = drawn(ana="█████                      ███                     ")
    assert (found.silences, found.silence_ms) == (2, 2200 + 2100)


@pytest.mark.parametrize(
    ("ana", "text"),
    [
        ("                              ", "Nobody spoke."),
        ("████████    █████████          ", "There was no silence of 2 s or more."),
        ("█████                      ████", "Nobody spoke for 0:02, in 1 silence."),
        ("█                     █        " + 13 * " ", "Nobody spoke for 0:04, in 2 silences."),
    ],
)
def test_silences_in_words_without_a_count_of_nothing(ana: str, text: str) -> None:
    assert silence_text(drawn(ana=ana)) == text


def test_a_time_that_is_not_recorded_is_no_silence() -> None:
    found = conversation({"ana": [(0, 1_000), (9_000, 10_000)]}, 10_000, [(2_000, 6_000)])
    assert (found.silences, found.silence_ms) == (1, 3_000)
    assert found.participants[0].longest_silence_ms == 3_000


def test_records_without_speech_times_tell_nothing() -> None:
    """An older producer's, or those of a participant without audio and text."""
    assert SpeechTimes([made.sentiment(3)]).conversation().participants == ()


def test_who_never_speaks_is_counted_with_nothing() -> None:
    (ana,) = conversation({"ana": []}, 4_000).participants
    assert ana == Talk(
        participant_id="ana",
        talk_ms=0,
        share=None,
        turns=0,
        longest_turn_ms=0,
        interruptions=0,
        longest_silence_ms=4_000,
    )


def test_speech_that_a_revision_carries_again_counts_once() -> None:
    first = made.sentiment(3, spoken=Spoken((SpeechSpan(1_000, 2_000),)))
    again = made.sentiment(3, revision=1, spoken=Spoken((SpeechSpan(1_000, 2_600),)))
    following = made.sentiment(4, spoken=Spoken((SpeechSpan(2_600, 3_000),)))
    (ana,) = SpeechTimes([first, following, again, first]).conversation().participants
    assert (ana.talk_ms, ana.turns) == (2_000, 1)


def test_speech_that_a_revision_takes_back_does_not_count() -> None:
    first = made.sentiment(3, spoken=Spoken((SpeechSpan(1_000, 2_000),)))
    again = made.sentiment(3, revision=1, spoken=Spoken())
    later = [made.sentiment(k, spoken=Spoken()) for k in range(4, 4 + KEPT_WINDOWS)]
    for records in ([first, again, first], [first, again, *later], [first, *later[:-1], again]):
        (ana,) = SpeechTimes(records).conversation().participants
        assert (ana.talk_ms, ana.turns) == (0, 0)
