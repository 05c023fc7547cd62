"""Windows: their spans, contents and closing times, drawn above the assertions."""

import msgspec
import numpy as np
import pytest

from streamer.config import WindowsConfig
from streamer.records import (
    AudioChunk,
    FaceCrop,
    Modality,
    Presence,
    SpeechSpan,
    Spoken,
    SpokenWord,
    StreamEnd,
    Window,
    Word,
)
from streamer.windows import MAX_UNSETTLED, Windower

S = 1_000_000_000
MS = 1_000_000
ALL: tuple[Modality, ...] = ("audio", "text", "vision")


def windower(
    *expected: Modality,
    length_s: float = 3.0,
    hop_s: float = 1.0,
    lateness_s: float = 2.0,
    stall_s: float = 3.0,
    context_words: int = 60,
    face_rate_hz: float = 5.0,
    revises: bool = False,
    patient: bool = False,
) -> Windower:
    settings = WindowsConfig(
        length_s=length_s,
        hop_s=hop_s,
        allowed_lateness_s=lateness_s,
        stall_timeout_s=stall_s,
        context_words=context_words,
    )
    start_ns = 1_700_000_000 * S
    return Windower(
        "standup",
        "ana",
        start_ns,
        expected,
        settings,
        face_rate_hz,
        revises=revises,
        patient=patient,
    )


def audio(start_s: float, end_s: float, value: int = 1) -> AudioChunk:
    count = round(end_s * 16_000) - round(start_s * 16_000)
    return AudioChunk(round(start_s * S), np.full(count, value / 32_768, dtype=np.float32))


def word(text: str, start_s: float, end_s: float) -> Word:
    return Word(text=text, start_ns=round(start_s * S), end_ns=round(end_s * S))


def face(time_s: float, jpeg: bytes = b"jpeg") -> FaceCrop:
    return FaceCrop(event_time_ns=round(time_s * S), jpeg=jpeg)


def see(windows: Windower, time_s: float) -> list[Window]:
    return windows.push_face(face(time_s), round(time_s * S))


def spans_s(windows: list[Window]) -> list[tuple[float, float]]:
    return [(window.start_ns / S, window.end_ns / S) for window in windows]


def samples(window: Window) -> list[int]:
    assert window.audio is not None
    samples: list[int] = np.frombuffer(window.audio, dtype="<i2").tolist()
    return samples


def test_a_stream_has_one_window_per_hop_and_the_last_is_cut_at_its_end() -> None:
    #            0    1    2    3    4    5 s
    # audio      ██████████████████████
    # window 0   [────)
    # window 1   [─────────)
    # window 2   [──────────────)
    # window 3        [──────────────)
    # window 4             [───────────)      cut at 4.5, final
    windows = windower("vision")
    out = [w for tick in range(10) for w in see(windows, tick * 0.5)]
    out += windows.end(StreamEnd("vision", round(4.5 * S))) + windows.finish()

    assert spans_s(out) == [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4.5)]
    assert [w.window_id for w in out] == [f"standup/ana/{k}" for k in range(5)]
    assert [w.final for w in out] == [False, False, False, False, True]
    assert {w.session_start_unix_ns for w in out} == {1_700_000_000 * S}


def test_a_stream_that_ends_on_a_hop_has_no_empty_last_window() -> None:
    #            0    1    2 s
    # frames     •    •    |            the stream ends at 2.0
    # window 0   [────)
    # window 1   [─────────)            held until the end is known, final
    windows = windower("vision")
    out = see(windows, 0.0) + see(windows, 1.0) + see(windows, 2.0)

    assert spans_s(out) == [(0, 1)]
    assert windows.end(StreamEnd("vision", 2 * S)) == []
    last = windows.finish()
    assert spans_s(last) == [(0, 2)]
    assert last[0].final
    assert windows.finish() == []


def test_a_window_says_how_many_participants_there_are_and_how_its_own_is_known() -> None:
    windows = Windower(
        "standup",
        "ana",
        0,
        ["vision"],
        WindowsConfig(),
        5.0,
        session_participants=3,
        identified_by="channel",
    )
    see(windows, 0.5)

    [window] = windows.finish()
    assert (window.session_participants, window.identified_by) == (3, "channel")


def test_an_empty_stream_has_no_windows() -> None:
    windows = windower(*ALL)
    windows.end(StreamEnd("audio", 0))

    assert windows.finish() == []
    assert windows.counters["windows"] == 0


def test_a_windower_without_expected_modalities_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one expected modality"):
        windower()


def test_samples_are_placed_by_their_time_and_gaps_are_silence() -> None:
    #            0      1      2      3 s
    # audio      111111        333333
    # window 0   [1111111)
    # window 1          [0000000)          length 1 s: no sample in it, no audio
    # window 2                 [3333333)
    windows = windower("audio", length_s=1.0, lateness_s=0.0)
    out = windows.push_audio(audio(0, 1, 1)) + windows.push_audio(audio(2, 3, 3))
    out += windows.finish()

    assert samples(out[0]) == [1] * 16_000
    assert out[1].audio is None
    assert samples(out[2]) == [3] * 16_000


def test_audio_for_half_a_window_is_padded_with_silence() -> None:
    windows = windower("audio", length_s=1.0, lateness_s=0.0)
    out = windows.push_audio(audio(0.5, 1.25, 7))

    assert samples(out[0]) == [0] * 8_000 + [7] * 8_000


def test_audio_is_rounded_to_the_nearest_sample_and_value() -> None:
    # a sample lasts 62,500 ns
    for event_time_ns, place in ((31_249, 0), (31_251, 1)):
        windows = windower("audio", length_s=1.0)
        windows.push_audio(AudioChunk(event_time_ns, np.full(4, 0.6 / 32_768, dtype=np.float32)))
        assert samples(windows.finish()[0])[: place + 1] == [0] * place + [1]


def test_audio_is_clipped_and_nan_becomes_silence() -> None:
    windows = windower("audio", length_s=1.0)
    values = np.array([2.0, -2.0, np.nan, np.inf, 0.5, -1.0], dtype=np.float32)
    windows.push_audio(AudioChunk(0, values))

    assert samples(windows.finish()[0]) == [32_767, -32_768, 0, 32_767, 16_384, -32_768]


def test_a_word_is_in_every_window_that_it_overlaps() -> None:
    #            0     1     2     3 s          length 1 s
    # words      [hi)  [well───)     [──) beyond the end
    #               [a)      (zero length: where it starts, 2.0)
    # window 0   [─────)  hi a
    # window 1         [─────)  a well
    # window 2               [───)  well, zero
    windows = windower("audio", "text", length_s=1.0)
    windows.push_audio(audio(0, 2.5))
    windows.push_words(
        [
            word("beyond", 2.6, 3.0),
            word("zero", 2.0, 2.0),
            word("well", 1.0, 2.1),
            word("a", 0.9, 1.1),
            word("hi", 0.0, 0.5),
        ],
        0,
    )
    out = windows.finish()

    assert [w.text for w in out] == ["hi a", "a well", "well zero"]
    assert windows.counters["words_past_end"] == 1
    assert windows.counters["late_words"] == 0


def test_a_window_contains_the_faces_of_its_half_open_interval() -> None:
    windows = windower("vision", length_s=1.0)
    out = [w for time_s in (0.0, 0.999, 1.0, 1.5, 2.5) for w in see(windows, time_s)]

    assert [[f.event_time_ns // MS for f in w.faces] for w in out] == [[0, 999], [1000, 1500]]


def test_the_context_is_the_words_that_ended_before_the_window() -> None:
    #            0     1     2     3     4 s       length 1 s
    # words      [a)[b)[c─────)  [d)
    # window 2               [─────)   context a b   (c overlaps it: not context)
    # window 3                     [─────)   context c d   (the newest two)
    windows = windower("audio", "text", length_s=1.0, context_words=2, lateness_s=9.0)
    windows.push_audio(audio(0, 4))
    windows.push_words(
        [word("c", 1.0, 2.2), word("a", 0, 0.4), word("b", 0.5, 0.9), word("d", 2.5, 2.8)], 0
    )
    out = windows.finish()

    assert [w.context for w in out] == ["", "a b", "a b", "c d"]


def test_a_late_word_is_sorted_into_the_context() -> None:
    #            0     1     2     3 s       length 1 s
    # words      [a)[late──)                 b arrives first; late ends where window 1 begins
    windows = windower("audio", "text", length_s=1.0, lateness_s=0.0)
    out = windows.push_words([word("b", 0.5, 0.9)], 0) + windows.push_audio(audio(0, 2.5))
    out += windows.push_words([word("a", 0.0, 0.4), word("late", 0.4, 1.0)], 0)
    out += windows.push_audio(audio(2.5, 3.5)) + windows.finish()

    assert [w.context for w in out] == ["", "b", "a late b", "a late b"]


def test_a_word_that_ends_at_the_start_of_a_window_is_context() -> None:
    windows = windower("audio", "text", length_s=1.0, lateness_s=9.0)
    windows.push_audio(audio(0, 2))
    windows.push_words([word("hi", 0.5, 1.0)], 0)

    assert [(w.text, w.context) for w in windows.finish()] == [("hi", ""), ("", "hi")]


def test_context_can_be_switched_off() -> None:
    windows = windower("audio", "text", length_s=1.0, context_words=0, lateness_s=9.0)
    windows.push_audio(audio(0, 3))
    windows.push_words([word("a", 0, 0.4)], 0)

    assert [w.context for w in windows.finish()] == ["", "", ""]


def test_the_slowest_stream_holds_the_window_back() -> None:
    # audio      ███████████████▏ 3
    # frames     •  •  ▏ 0.6               the watermark is 0.6: window 0 waits
    # frames     •  •  •  •  ▏ 1.0         the watermark is 1.0: it goes
    windows = windower("audio", "vision")
    windows.push_speech([], 10 * S)

    assert windows.push_audio(audio(0, 3)) == []
    assert see(windows, 0.6) == []
    assert windows.watermark_ns == round(0.6 * S)
    assert spans_s(see(windows, 1.0)) == [(0, 1)]


def test_a_window_waits_for_words_up_to_the_allowed_lateness() -> None:
    #            0    1    2    3 s       lateness 2 s
    # audio      ██████████████▏ 2.9      window 0 ends at 1: waits for words until 3
    # audio      ███████████████▏ 3.0     goes without
    windows = windower("audio", "text")
    windows.push_speech([], 10 * S)

    assert windows.push_audio(audio(0, 2.9)) == []
    assert spans_s(windows.push_audio(audio(2.9, 3.0))) == [(0, 1)]
    assert spans_s(windows.push_words([word("hi", 1.2, 1.4)], 2 * S)) == [(0, 2)]


def test_a_patient_window_waits_for_words_however_late_they_come() -> None:
    #            0    1    2    …   20 s      lateness 2 s
    # words        [one)  come when the audio is at 20 s
    windows = windower("audio", "text", patient=True)
    windows.push_speech([], 30 * S)

    assert [w for n in range(20) for w in windows.push_audio(audio(n, n + 1))] == []
    out = windows.push_words([word("one", 0.5, 1.2)], 20 * S)
    assert [w.text for w in out[:5]] == ["one", "one", "one", "one", ""]
    assert len(out) == 19 and windows.counters["late_words"] == 0


def test_a_window_waits_for_speech_spans_as_for_words() -> None:
    windows = windower("audio", "text")
    windows.push_audio(audio(0, 2))

    assert windows.push_words([word("hi", 0.0, 0.5)], 2 * S) == []
    out = windows.push_speech([(0, S // 2)], 2 * S)
    assert out[0].presence == Presence(audio=0.5, text=1.0)


def test_late_words_are_counted_and_go_into_later_windows() -> None:
    #            0    1    2    3 s
    # window 0   [────)   out
    # words        [late) arrives now: missed by window 0, in windows 1 and 2
    windows = windower("audio", "text", lateness_s=0.0)
    out = windows.push_audio(audio(0, 1.5))
    out += windows.push_words([word("late", 0.5, 0.9), word("fine", 1.0, 1.2)], 0)
    out += windows.push_audio(audio(1.5, 3)) + windows.finish()

    assert [w.text for w in out] == ["", "late fine", "late fine"]
    assert windows.counters["late_words"] == 1


def test_a_stalled_stream_holds_nothing_back_until_it_catches_up() -> None:
    #            0    1    2    3    4    5    6 s     stall after 3 s
    # frames     ••••                  ↯ ••••••        come back late, at 4
    # audio      ████████████████████████████████
    # window 0   [────)                                goes when audio is at 4.5
    windows = windower("audio", "vision", stall_s=3.0, lateness_s=0.0, length_s=1.0)
    see(windows, 0.5)
    assert windows.push_audio(audio(0, 3.5)) == []
    out = windows.push_audio(audio(3.5, 4.5))
    assert spans_s(out) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert [len(w.faces) for w in out] == [1, 0, 0, 0]
    assert [w.presence.vision for w in out] == [0.2, 0.0, 0.0, 0.0]
    assert windows.counters["stalled"] == 1

    assert see(windows, 3.9) == []
    assert windows.counters["late_faces"] == 1
    assert windows.watermark_ns == round(4.5 * S), "it never falls"
    assert windows.push_audio(audio(4.5, 5.5)) == [], "the caught-up stream holds it again"
    assert [len(w.faces) for w in see(windows, 5.2)] == [0]


def test_a_stream_without_any_data_stalls() -> None:
    windows = windower("audio", "vision", stall_s=3.0, lateness_s=0.0)
    out = windows.push_audio(audio(0, 3.5))

    assert spans_s(out) == [(0, 1), (0, 2), (0, 3)]
    assert {w.presence.vision for w in out} == {0.0}


def test_an_ended_stream_holds_nothing_back() -> None:
    windows = windower("audio", "text", "vision", stall_s=60.0, lateness_s=60.0)
    windows.end(StreamEnd("text", 0))
    windows.end(StreamEnd("audio", 0))

    assert spans_s(see(windows, 1.5)) == [(0, 1)]


def test_no_window_waits_for_speech_after_the_end_of_the_audio() -> None:
    windows = windower("audio", "vision", lateness_s=60.0)
    windows.push_audio(audio(0, 0.5))
    windows.push_speech([(0, S // 4)], S // 2)
    windows.end(StreamEnd("audio", S // 2))

    assert [w.presence.audio for w in see(windows, 1.5)] == [0.25]


def test_late_samples_are_counted_and_go_into_later_windows() -> None:
    windows = windower("audio", "vision", lateness_s=0.0, stall_s=1.0)
    assert spans_s(see(windows, 1.5)) == [(0, 1)]
    windows.push_audio(audio(0.75, 1.25, 5))
    out = windows.finish()

    assert windows.counters["late_audio_samples"] == 4_000
    assert samples(out[0])[11_999:12_001] == [0, 5]


def test_data_pushed_after_finish_is_late() -> None:
    windows = windower("audio", "text", "vision")
    windows.push_audio(audio(0, 1))
    windows.finish()

    assert windows.push_audio(audio(1, 2)) == []
    assert windows.push_words([word("late", 1, 2)], 9 * S) == []
    assert windows.push_speech([(S, 2 * S)], 9 * S) == []
    assert see(windows, 9.0) == []
    assert windows.finish() == []
    assert windows.counters["late_audio_samples"] == 16_000
    assert windows.counters["late_words"] == windows.counters["late_faces"] == 1


def test_a_text_only_stream_is_driven_by_advance() -> None:
    #            0    1    2    3 s       lateness 1 s
    # time       ────────────▏2.5
    # words      hi▏ 0.5                 window 0 ends at 1: waits for words until 2
    windows = windower("text", lateness_s=1.0)
    windows.push_words([word("hi", 0.0, 0.4)], S // 2)
    windows.push_speech([(0, 8 * S // 10)], 2 * S)

    assert windows.advance(round(1.9 * S)) == []
    out = windows.advance(2 * S)
    assert spans_s(out) == [(0, 1)]
    assert (out[0].audio, out[0].presence) == (None, Presence(text=0.5))
    assert windows.advance(round(2.5 * S)) == []
    assert spans_s(windows.push_words([], 2 * S)) == [(0, 2)]
    assert spans_s(windows.finish()) == [(0, 2.5)]


def test_words_ahead_of_time_close_no_windows() -> None:
    windows = windower("text")

    assert windows.push_words([word("hi", 0.2, 0.5)], 2**63) == []
    assert windows.end(StreamEnd("text", 2**63)) == []
    out = windows.end(StreamEnd("audio", 2 * S)) + windows.finish()
    assert [w.text for w in out] == ["hi", "hi"]


def test_an_unexpected_modality_is_ignored() -> None:
    windows = windower("vision", length_s=1.0)
    windows.push_audio(audio(0, 60))
    windows.push_words([word("hi", 0, 1)], 60 * S)
    out = see(windows, 0.5) + see(windows, 1.5) + windows.finish()

    assert spans_s(out) == [(0, 1), (1, 1.5)]
    assert [(w.audio, w.words) for w in out] == [(None, ()), (None, ())]


def test_presence_is_the_share_of_speech_of_words_in_speech_and_of_expected_faces() -> None:
    #            0         1 s
    # audio      ███████████
    # speech       ███ ██          0.2 to 0.4, 0.4 to 0.6 (touching), 0.5 to 0.7 (overlapping)
    # words        ██              0.2 to 0.3, 0.25 to 0.45
    # faces      •   •   •         3 of 5
    windows = windower("audio", "text", "vision")
    windows.push_audio(audio(0, 1))
    windows.push_speech([(200 * MS, 400 * MS), (400 * MS, 600 * MS), (500 * MS, 700 * MS)], S)
    windows.push_words([word("oh", 0.2, 0.3), word("no", 0.25, 0.45)], S)
    for time_s in (0.0, 0.2, 0.4):
        see(windows, time_s)
    windows.push_face(None, round(0.6 * S))

    assert windows.finish()[0].presence == Presence(audio=0.5, text=0.5, vision=0.6)


def test_words_without_audio_have_full_presence() -> None:
    windows = windower("text", "vision")
    windows.push_words([word("hi", 0.2, 0.3)], S)
    windows.end(StreamEnd("vision", S))

    assert windows.finish()[0].presence == Presence(text=1.0)


def test_a_tiny_share_of_evidence_is_not_rounded_to_absent() -> None:
    windows = windower("audio", "text")
    windows.push_audio(audio(0, 1))
    windows.push_speech([(0, S)], S)
    windows.push_words([word("zero", 0.5, 0.5)], S)

    assert windows.finish()[0].presence.text == 0.0001


def test_silence_is_audio_without_evidence() -> None:
    windows = windower("audio", "text", "vision")
    windows.push_audio(audio(0, 1, value=0))
    windows.push_speech([], S)
    windows.push_face(None, S // 2)
    window = windows.finish()[0]

    assert window.audio is not None
    assert not window.presence.any


def test_a_jump_in_time_allocates_no_silence() -> None:
    windows = windower("audio", lateness_s=0.0, length_s=1.0)
    windows.push_audio(audio(0, 1))
    out = windows.push_audio(audio(7_200, 7_200.1)) + windows.finish()

    assert len(out) == 7_201
    assert sum(w.audio is not None for w in out) == 2


def test_words_that_the_model_does_not_read_are_shown_and_no_evidence() -> None:
    """danke [1, 2) is unread; thanks [4, 5) is read; windows of 3 s.

    window     0   1   2   3   4   5
    unread         x   x   x
    text           0   0   0   1   1
    """
    windows = windower("text")
    windows.push_words([word("thanks", 4, 5)], 0, unread=[word("danke", 1, 2)])
    closed = [*windows.advance(6 * S), *windows.finish()]
    assert [window.text for window in closed] == [
        "", "danke", "danke", "danke", "thanks", "thanks",
    ]  # fmt: skip
    assert [window.presence.text for window in closed] == [0, 0, 0, 0, 1, 1]
    assert closed[-1].context == ""


def test_windows_carry_each_word_and_each_moment_of_speech_once() -> None:
    #            0    1    2    3 s
    # speech       ████████
    # words        one    two
    # window 0   [────)              speech to 1.0, one
    # window 1   [─────────)         speech from 1.0, two
    # window 2   [──────────────)    nothing new
    windows = windower("audio", "text")
    windows.push_speech([(round(0.4 * S), 2 * S)], 3 * S)
    windows.push_words([word("one", 0.4, 0.7), word("two", 1.5, 2.0)], 3 * S)
    out = windows.push_audio(audio(0, 3)) + windows.finish()

    assert [w.spoken for w in out] == [
        Spoken((SpeechSpan(400, 1000),), (SpokenWord("one", 400, 700),)),
        Spoken((SpeechSpan(1000, 2000),), (SpokenWord("two", 1500, 2000),)),
        Spoken(),
    ]


def test_what_becomes_known_late_is_in_the_next_window() -> None:
    windows = windower("audio", "text", lateness_s=0)
    out = windows.push_audio(audio(0, 1.5))
    windows.push_words([word("late", 0.2, 0.6)], 0)
    windows.push_speech([(round(0.2 * S), round(0.6 * S))], 0)
    out += windows.push_audio(audio(1.5, 2.5)) + windows.finish()

    assert [w.spoken for w in out] == [
        Spoken(),
        Spoken((SpeechSpan(200, 600),), (SpokenWord("late", 200, 600),)),
        Spoken(),
    ]


def test_without_audio_words_are_the_speech() -> None:
    windows = windower("text")
    windows.push_words([word("one", 0.25, 0.5), word("two", 0.5, 0.75)], S)
    windows.push_speech([(0, S)], S)
    (only,) = windows.advance(S) + windows.finish()
    assert only.spoken is not None
    assert only.spoken.speech == (SpeechSpan(250, 750),)


def test_without_audio_and_text_nothing_is_known_of_speech() -> None:
    windows = windower("vision")
    (only,) = see(windows, 0.5) + windows.finish()
    assert only.spoken is None


def test_who_joins_late_has_windows_from_then_on_and_the_first_tells_how_many_are_missing() -> None:
    #   joins at 7.4 s     7   8   9 s
    #   window 7           ──·─)           4 s to 8 s, of which 7.4 s to 8 s have sound
    #   window 8           ──────)
    windows = windower("audio", length_s=4.0, lateness_s=0.0)
    assert windows.join(round(7.4 * S)) == []
    closed = [*windows.push_audio(audio(7.4, 8.5)), *windows.finish()]
    assert [(w.window_index, w.skipped, w.start_ns, w.final) for w in closed] == [
        (7, 7, 4 * S, False),
        (8, 0, 5 * S, True),
    ]
    assert closed[0].audio is not None
    samples = np.frombuffer(closed[0].audio, "<i2")
    assert not samples[: round(3.4 * 16_000)].any()
    assert samples[round(3.4 * 16_000) :].all()


# --- revisions ----------------------------------------------------------------------------------


def numbers(windows: list[Window]) -> list[tuple[int, int]]:
    return [(window.window_index, window.revision) for window in windows]


def test_a_window_that_may_be_revised_goes_out_at_its_close_and_again_with_late_words() -> None:
    #            0    1    2    3 s
    # frames     •      •
    # words       ───            arrives when the frames are at 1.5
    # out               0        0 again
    windows = windower("vision", "text", revises=True)
    [first] = see(windows, 0.0) + see(windows, 1.5)
    [again] = windows.push_words([word("hello", 0.2, 0.6)], round(1.5 * S))

    assert (first.revision, first.text, first.presence.text) == (0, "", 0.0)
    assert (again.revision, again.text, again.presence.text) == (1, "hello", 1.0)
    assert (again.window_id, again.faces, again.audio) == (first.window_id, first.faces, None)
    assert windows.counters["windows"] == 1
    assert windows.counters["late_words"] == 0


def test_a_window_whose_words_were_known_goes_out_once() -> None:
    windows = windower("vision", "text", revises=True)
    out = windows.push_words([word("hello", 0.2, 0.6)], round(0.7 * S))
    out += see(windows, 0.0) + see(windows, 1.5)
    out += windows.push_words([], round(1.5 * S)) + see(windows, 2.5) + windows.finish()

    assert numbers(out) == [(0, 0), (1, 0), (2, 0)]
    assert out[0].text == "hello"


def test_windows_that_went_out_before_a_revision_are_revised_behind_it() -> None:
    # 0 gets a word after 1 went out, so 1 follows, although it says the same; 2 need not
    windows = windower("vision", "text", length_s=1.0, context_words=0, revises=True)
    out = see(windows, 0.0) + see(windows, 1.5) + see(windows, 2.5)
    out += windows.push_words([word("hello", 0.2, 0.6)], 1 * S)
    out += see(windows, 3.5) + windows.push_words([], round(3.5 * S))

    assert numbers(out) == [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1)]
    assert msgspec.structs.replace(out[4], revision=0) == out[1]


def test_the_words_of_a_window_are_waited_for_no_longer_than_the_lateness() -> None:
    windows = windower("vision", "text", length_s=1.0, lateness_s=2.0, revises=True)
    out = see(windows, 0.0) + see(windows, 1.5) + see(windows, 3.5)
    assert windows.push_words([word("late", 0.2, 0.6), word("not", 1.2, 1.6)], 0) == []
    assert windows.counters["late_words"] == 1
    out += windows.finish()

    assert numbers(out) == [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (3, 0)]
    assert [w.text for w in out] == ["", "", "", "not", "", ""]
    assert out[3].context == "late", "a word too late for its own window"


def test_the_end_of_the_stream_revises_what_is_out_before_the_last_window() -> None:
    windows = windower("vision", "text", revises=True)
    out = see(windows, 0.0) + see(windows, 1.5)
    windows.push_words([word("hello", 0.2, 0.6)], 0)
    out += windows.finish()

    assert numbers(out) == [(0, 0), (0, 1), (1, 0)]
    assert [w.final for w in out] == [False, False, True]


def test_a_bounded_number_of_windows_may_be_revised() -> None:
    windows = windower("vision", "text", length_s=30.0, lateness_s=1e6, revises=True)
    out = [w for tick in range(20) for w in see(windows, tick + 0.5)]
    assert numbers(out) == [(k, 0) for k in range(19)]
    windows.push_words([word("late", 0.2, 0.6)], 0)

    revised = [(k, 1) for k in range(19 - MAX_UNSETTLED, 19)]
    assert numbers(windows.finish()) == [*revised, (19, 0)]


def test_late_speech_revises_a_window_only_if_it_makes_the_voice_count() -> None:
    windows = windower("audio", "text", length_s=1.0, revises=True)
    windows.push_audio(audio(0.0, 2.5))
    out = windows.push_speech([(0, 2 * S)], round(2.5 * S))
    out += windows.push_words([], round(2.5 * S))

    assert numbers(out) == [(0, 1), (1, 1)]
    windows = windower("audio", "text", length_s=1.0, revises=True)
    windows.push_speech([(0, round(0.5 * S))], 0)
    [first] = windows.push_audio(audio(0.0, 1.5))
    assert first.presence.audio == 0.5
    windows.push_speech([(0, 1 * S)], round(1.5 * S))
    assert windows.push_words([], round(1.5 * S)) == []


def test_a_revision_carries_again_what_its_window_carried() -> None:
    """Each word is in one window of the highest revisions, and speech counts once."""
    windows = windower("audio", "text", revises=True)
    windows.push_speech([(0, round(0.9 * S))], round(0.9 * S))
    windows.push_words([word("good", 0.1, 0.3)], round(0.3 * S))
    [first] = windows.push_audio(audio(0.0, 1.5))
    windows.push_speech([(round(0.9 * S), round(1.4 * S))], round(1.5 * S))
    [again] = windows.push_words([word("day", 0.5, 0.9)], round(1.5 * S))
    [last] = windows.finish()

    assert first.spoken == Spoken((SpeechSpan(0, 900),), (SpokenWord("good", 100, 300),))
    both = (SpokenWord("good", 100, 300), SpokenWord("day", 500, 900))
    assert again.spoken == Spoken((SpeechSpan(0, 1000),), both)
    assert last.spoken == Spoken((SpeechSpan(1000, 1400),), ())


def test_without_words_to_expect_nothing_is_revised() -> None:
    windows = windower("audio", revises=True)
    assert windows.push_audio(audio(0.0, 1.5)) == []
    assert numbers(windows.push_speech([(0, 1 * S)], round(1.4 * S))) == [(0, 0)]


def test_a_stream_that_is_withheld_is_not_waited_for_until_it_is_given_again() -> None:
    #            0    1    2    3    4    5    6 s
    # audio      ██████████          ██████████
    # withheld             ░░░░░░░░░░
    # faces      · · · · · · · · · · · ·
    windows = windower("audio", "vision", length_s=1.0)
    out = [*windows.push_speech([(0, 6 * S)], 6 * S), *windows.push_audio(audio(0, 2))]
    out += [w for tick in range(9) for w in see(windows, tick * 0.5)]
    assert [w.end_ns // S for w in out] == [1, 2]
    out = [*windows.withhold("audio", 3 * S), *windows.withhold("audio", 4 * S)]
    assert [(w.end_ns // S, w.audio is None, w.presence.audio) for w in out] == [
        (3, True, 0.0),
    ]
    windows.resume("audio")
    out = [*see(windows, 5.0), *see(windows, 5.5)]
    assert [(w.end_ns // S, w.presence.audio) for w in out] == [(4, 0.0)]
    out = [*windows.push_audio(audio(4, 6)), *windows.finish()]
    assert [(w.end_ns // S, w.presence.audio) for w in out] == [(5, 1.0), (6, 1.0)]


def test_speech_counts_for_the_sound_only_while_the_sound_is_shared() -> None:
    windows = windower("audio", "text", length_s=2.0)
    out = windows.push_speech([(0, 2 * S)], 2 * S)
    out += windows.push_words([word("well", 0.0, 2.0)], 2 * S)
    out += windows.push_audio(audio(0, 1))
    out += windows.withhold("audio", round(2.5 * S))
    first, second, *_ = out + windows.finish()
    assert (first.presence.audio, second.presence.audio) == (1.0, 0.5)
    assert second.presence.text == 1.0
