"""Names of speakers by the cues of a transcript."""

from __future__ import annotations

from streamer.spans import SpeakerTurn
from streamer.speakers.naming import named

TURNS = [
    SpeakerTurn("speaker-1", 0, 10),
    SpeakerTurn("speaker-2", 8, 20),
    SpeakerTurn("speaker-1", 22, 30),
]


def test_without_names_speakers_keep_their_numbers() -> None:
    assert named(TURNS, []) == TURNS


def test_coarse_cues_name_the_speakers_and_the_turns_keep_their_times() -> None:
    cues = [SpeakerTurn("Bo", 5, 22), SpeakerTurn("Ana", 0, 7), SpeakerTurn("Ana", 22, 40)]
    assert named(TURNS, cues) == [
        SpeakerTurn("Ana", 0, 10),
        SpeakerTurn("Bo", 8, 20),
        SpeakerTurn("Ana", 22, 30),
    ]


def test_a_speaker_without_a_cue_keeps_the_number() -> None:
    assert [turn.speaker for turn in named(TURNS, [SpeakerTurn("Bo", 10, 20)])] == [
        "speaker-1",
        "Bo",
        "speaker-1",
    ]


def test_a_name_that_no_speaker_has_speaks_when_its_cues_say() -> None:
    cues = [SpeakerTurn("Ana", 0, 10), SpeakerTurn("Bo", 10, 20), SpeakerTurn("Cy", 1, 3)]
    assert SpeakerTurn("Cy", 1, 3) in named(TURNS, cues)
    assert {turn.speaker for turn in named(TURNS, cues)} == {"Ana", "Bo", "Cy"}
