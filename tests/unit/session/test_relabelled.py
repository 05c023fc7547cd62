"""People's windows at one microphone, cut again when it is judged later who spoke."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from streamer.config import WindowsConfig
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk, Modality, Window, Word
from streamer.session.relabelled import REACH_WINDOWS, PeopleWindows
from streamer.smoothing.participant import RELABELLED_WINDOWS
from streamer.spans import SpeakerTurn
from streamer.windows import Windower

SETTINGS = WindowsConfig(length_s=3.0, hop_s=1.0, allowed_lateness_s=2.0)
FINE = 1000
"""Sound of second k has the value (k + 1) / FINE."""


def turn(speaker: str, start_s: float, end_s: float) -> SpeakerTurn:
    return SpeakerTurn(speaker, round(start_s * NS_PER_S), round(end_s * NS_PER_S))


def word(text: str, start_s: float, end_s: float) -> Word:
    return Word(text, round(start_s * NS_PER_S), round(end_s * NS_PER_S))


class Room:
    """A session whose sound, turns and words the test gives."""

    def __init__(
        self, *, revises: bool = True, modalities: Sequence[Modality] = ("audio", "text")
    ) -> None:
        def make(name: str) -> Windower:
            return Windower("s", name, 0, modalities, SETTINGS, 5, identified_by="diarization")

        self.people = PeopleWindows(make, SETTINGS, revises=revises)
        self._second = 0

    def decide(self, until_s: float, *turns: SpeakerTurn) -> list[Window]:
        """Let the sound go on to a time, up to which these turns are decided."""
        while self._second < until_s:
            samples = np.full(SAMPLE_RATE_HZ, (self._second + 1) / FINE, np.float32)
            self.people.push(AudioChunk(self._second * NS_PER_S, samples))
            self._second += 1
        self.people.decide(turns, round(until_s * NS_PER_S))
        return list(self.people.windows())

    def judge(self, *turns: SpeakerTurn) -> list[Window]:
        self.people.judge(turns)
        return list(self.people.windows())

    def hear(self, *words: Word, until_s: float) -> list[Window]:
        self.people.hear(words, (), round(until_s * NS_PER_S))
        return list(self.people.windows())

    def end(self) -> list[Window]:
        return list(self.people.windows(final=True))


def seconds(window: Window) -> list[int]:
    """Which second of the sound each second of a window has; 0 is silence."""
    assert window.audio is not None
    middles = np.frombuffer(window.audio, "<i2")[SAMPLE_RATE_HZ // 2 :: SAMPLE_RATE_HZ]
    return [round(float(value) / 32768 * FINE) for value in middles]


def ids(windows: Sequence[Window], speaker: str) -> list[tuple[int, int]]:
    """Index and revision of a person's windows."""
    return [(w.window_index, w.revision) for w in windows if w.participant_id == speaker]


def of(windows: Sequence[Window], speaker: str, index: int) -> Window:
    """The highest revision of a window."""
    own = [w for w in windows if (w.participant_id, w.window_index) == (speaker, index)]
    return max(own, key=lambda window: window.revision)


def carried(windows: Sequence[Window]) -> dict[str, list[str]]:
    """The words that each person's windows carry, each window in its highest revision."""
    keys = sorted({(w.participant_id, w.window_index) for w in windows})
    told: dict[str, list[str]] = {}
    for speaker, index in keys:
        spoken = of(windows, speaker, index).spoken
        told.setdefault(speaker, []).extend(w.text for w in (spoken.words if spoken else ()))
    return told


def test_each_person_has_the_sound_of_the_own_turns_from_the_first_one_on() -> None:
    out = Room().decide(6.5, turn("a", 0, 2), turn("b", 2, 4), turn("a", 4, 6.5))
    assert ids(out, "a") == [(k, 0) for k in range(6)]
    assert ids(out, "b") == [(k, 0) for k in range(2, 6)]
    assert [seconds(of(out, "a", k)) for k in (1, 3, 5)] == [[1, 2], [2, 0, 0], [0, 5, 6]]
    assert [seconds(of(out, "b", k)) for k in (2, 5)] == [[0, 0, 3], [4, 0, 0]]
    assert [w.skipped for w in out if w.participant_id == "b"] == [2, 0, 0, 0]
    assert {w.identified_by for w in out} == {"diarization"}


def test_what_is_judged_otherwise_moves_to_the_other_person_in_the_next_revision() -> None:
    room = Room()
    room.people.hear([word("mine", 3.2, 3.8)], (), 6 * NS_PER_S)
    out = room.decide(6.5, turn("a", 0, 4), turn("b", 4, 6.5))
    assert carried(out) == {"a": ["mine"], "b": []}
    assert of(out, "a", 3).text == "mine"

    again = room.judge(turn("a", 0, 3), turn("b", 3, 6.5))
    assert ids(again, "a") == [(3, 1), (4, 1), (5, 1)], "those from the change on, in order"
    assert ids(again, "b") == [(4, 1), (5, 1)], "and the other one's"
    assert seconds(of(again, "a", 3)) == [2, 3, 0]
    assert seconds(of(again, "b", 4)) == [0, 4, 5]
    assert (of(again, "a", 3).text, of(again, "b", 5).text) == ("", "mine")
    assert carried([*out, *again]) == {"a": [], "b": ["mine"]}
    assert room.judge(turn("a", 0, 3), turn("b", 3, 6.5)) == [], "nothing has changed"


def test_spoken_times_move_too() -> None:
    room = Room()
    out = room.decide(4.5, turn("a", 0, 4.5))
    out += room.judge(turn("a", 0, 1), turn("b", 1, 4.5))
    speech = [of(out, "a", k).spoken for k in range(4)]
    assert [[(s.start_ms, s.end_ms) for s in each.speech] for each in speech if each] == [
        [(0, 1000)], [], [], [],
    ]  # fmt: skip
    assert of(out, "a", 3).presence.audio == 0, "three seconds without a's voice"


def test_a_person_who_parts_from_another_begins_where_the_voice_did() -> None:
    room = Room()
    out = room.decide(6.5, turn("a", 0, 6.5))
    again = room.judge(turn("a", 0, 2.5), turn("b", 2.5, 6.5))
    assert ids(out, "b") == []
    assert ids(again, "b") == [(2, 0), (3, 0), (4, 0), (5, 0)]
    assert [w.skipped for w in again if w.participant_id == "b"] == [2, 0, 0, 0]
    assert room.people.begins_ns == {"a": 0, "b": 5 * NS_PER_S // 2}


def test_two_who_are_one_leave_a_silent_participant() -> None:
    room = Room()
    room.decide(4.5, turn("a", 0, 2), turn("b", 2, 4.5))
    again = room.judge(turn("a", 0, 4.5))
    assert seconds(of(again, "b", 3)) == [0, 0, 0]
    assert of(again, "b", 3).identity_confidence is None
    later = room.decide(5.5, turn("a", 4.5, 5.5))
    assert seconds(of(later, "b", 4)) == [0, 0, 0]
    assert seconds(of(later, "a", 4)) == [3, 4, 5]


def test_only_the_newest_windows_change() -> None:
    assert REACH_WINDOWS < RELABELLED_WINDOWS, "smoothing takes a revision of each of them"
    room = Room()
    for second in range(50):
        room.decide(second + 0.5, turn("a", max(0, second - 0.5), second + 0.5))
    since = 49 - REACH_WINDOWS
    assert room.people.since_ns == since * NS_PER_S
    again = room.judge(turn("b", 0, 49.5))
    assert ids(again, "a") == [(k, 1) for k in range(since, 49)]
    assert ids(again, "b") == [(k, 0) for k in range(since, 49)]
    assert seconds(of(again, "b", since)) == [0, 0, since + 1], "what was before stays a's"


def test_words_that_come_later_go_out_once_more_when_they_are_complete() -> None:
    room = Room()
    out = room.decide(2.5, turn("a", 0, 2.5))
    assert [w.text for w in out] == ["", ""]
    first = room.hear(word("one", 0.2, 0.6), until_s=0.9)
    assert first == [], "window 0 may still get words"
    out += room.decide(2.9, turn("a", 2.5, 2.9))
    out += room.hear(word("two", 0.7, 1.1), until_s=1.2)
    assert ids(out, "a") == [(0, 0), (1, 0), (0, 1)]
    out += room.hear(until_s=2.1)
    assert ids(out, "a")[3:] == [(1, 1)], "behind the one that changed"
    assert [of(out, "a", k).text for k in (0, 1)] == ["one two", "one two"]
    assert room.hear(until_s=2.2) == []
    assert carried(out) == {"a": ["one", "two"]}


def test_a_word_waits_until_it_is_decided_who_speaks_during_it() -> None:
    room = Room()
    room.people.hear([word("yes", 1.2, 1.8)], (), 2 * NS_PER_S)
    out = room.decide(1.5, turn("a", 0, 1.3))
    out += room.decide(3.5, turn("b", 1.3, 3.5))
    assert carried(out) == {"a": [], "b": ["yes"]}


def test_a_word_that_is_too_late_is_carried_by_the_first_window_that_may() -> None:
    room = Room()
    room.decide(5.5, turn("a", 0, 5.5))
    out = room.hear(word("late", 0.5, 0.9), until_s=5.1)
    assert ids(out, "a") == [(3, 1), (4, 1)]
    assert carried(out) == {"a": ["late"]}
    assert room.people.counters["late_words"] == 1


def test_a_word_near_nobody_is_counted_unless_somebody_is_found_later() -> None:
    room = Room()
    room.people.hear([word("hm", 3.2, 3.6), word("ha", 4.2, 4.4)], (), 6 * NS_PER_S)
    out = room.decide(6.5, turn("a", 0, 1))
    out += room.judge(turn("a", 0, 1), turn("b", 3, 3.7))
    out += room.end()
    assert carried(out) == {"a": [], "b": ["hm"]}
    assert room.people.counters["words_of_nobody"] == 1


def test_without_revisions_a_window_waits_for_its_words_and_is_not_judged_again() -> None:
    room = Room(revises=False)
    assert room.decide(1.5, turn("a", 0, 1.5)) == []
    out = room.hear(word("one", 0.2, 0.6), until_s=1.2)
    assert [(w.window_index, w.text) for w in out] == [(0, "one")]
    assert room.judge(turn("b", 0, 1.5)) == []
    out += room.decide(4.5, turn("a", 1.5, 4.5))
    assert ids(out, "a") == [(0, 0), (1, 0)], "lateness of 2 s has passed for two windows"
    assert ids([*out, *room.end()], "a") == [(k, 0) for k in range(5)]


def test_the_last_window_of_each_person_is_final() -> None:
    room = Room()
    out = room.decide(3.5, turn("a", 0, 3.5), turn("b", 1, 2))
    out += room.end()
    for speaker in "ab":
        own = [w for w in out if w.participant_id == speaker]
        assert [w.final for w in own] == [False] * (len(own) - 1) + [True]
        assert own[-1].end_ns == 3.5 * NS_PER_S


def test_overlapped_speech_is_less_certain() -> None:
    out = Room().decide(2.5, turn("a", 0, 2.5), turn("b", 1, 2))
    assert of(out, "a", 0).identity_confidence == 1
    assert of(out, "b", 1).identity_confidence == pytest.approx(0.5)
    assert of(out, "a", 1).identity_confidence == pytest.approx(0.75)


def test_what_is_kept_is_bounded() -> None:
    room = Room()
    for second in range(100):
        room.hear(word("so", second, second + 0.2), until_s=second)
        room.decide(second + 0.5, turn("a", max(0, second - 0.5), second + 0.5))
    assert len(room.people._said) <= REACH_WINDOWS + 4 + SETTINGS.context_words
    assert len(room.people._sound._chunks) <= REACH_WINDOWS + 5


def test_words_alone_are_windows_without_sound() -> None:
    room = Room(modalities=["text"])
    room.people.hear([word("yes", 0.2, 0.6)], (), 3 * NS_PER_S)
    [first, *_] = room.decide(2.5, turn("a", 0, 2.5))
    assert (first.audio, first.text, first.presence.text) == (None, "yes", 0.4)
    assert first.spoken and [s.end_ms for s in first.spoken.speech] == [600]
