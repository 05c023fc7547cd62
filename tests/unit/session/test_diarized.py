"""A recording whose voices make its participants."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from semi_iin import weights
from streamer import audio
from streamer.capture.sources import ParticipantSpec
from streamer.config import load
from streamer.errors import ConfigError, ModelError, SourceError
from streamer.records import NS_PER_S, Window
from streamer.session.diarized import listening
from streamer.session.participant import Pipeline
from streamer.session.plan import make_plan
from streamer.session.recordings import Naming, people_of
from streamer.spans import SpeakerTurn
from tests import media

VOICES = Naming(split="speakers")
DIALOGUE = (
    SpeakerTurn("speaker-1", 0, NS_PER_S),
    SpeakerTurn("speaker-2", NS_PER_S, 3 * NS_PER_S),
    SpeakerTurn("speaker-1", 2 * NS_PER_S, 4 * NS_PER_S),
)


def dialogue(spec: ParticipantSpec) -> tuple[SpeakerTurn, ...]:
    assert spec.participant_id == "meeting"
    return DIALOGUE


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "meeting.mkv"
    media.write(path, media.Audio(seconds=5.0), media.Video(seconds=5.0, draw=media.face()))
    return path


def windows_of(path: Path, naming: Naming) -> dict[str, list[Window]]:
    settings = ["windows.length_s=1", "windows.audio_codec=pcm16", "asr.whisper_model=none/here"]
    config = load(None, settings, environment={})
    plan = make_plan(people_of([str(path)], naming, dialogue).specs, config, speed=0)
    return {
        spec.participant_id: list(Pipeline(plan, spec, config).windows(threading.Event()))
        for spec in plan.participants
    }


def loud_seconds(windows: list[Window]) -> list[int]:
    sounds = [audio.decode(w.audio, "pcm16") if w.audio is not None else [0.0] for w in windows]
    return [n for n, sound in enumerate(sounds) if np.abs(sound).max() > 0.1]


def test_each_voice_has_its_sound_and_no_face_and_overlap_counts_for_both(recording: Path) -> None:
    people = windows_of(recording, VOICES)
    assert list(people) == ["speaker-1", "speaker-2"]
    assert loud_seconds(people["speaker-1"]) == [0, 2, 3]
    assert loud_seconds(people["speaker-2"]) == [1, 2]
    assert not any(window.faces for windows in people.values() for window in windows)
    assert {w.identified_by for windows in people.values() for w in windows} == {"diarization"}
    sure = {name: [w.identity_confidence for w in windows] for name, windows in people.items()}
    assert sure == {
        "speaker-1": [1.0, None, 0.5, 1.0, None],
        "speaker-2": [None, 1.0, 0.5, None, None],
    }


def test_words_of_a_transcript_without_names_are_of_whom_they_overlap_most(recording: Path) -> None:
    cue = "00:00:0{}.100 --> 00:00:0{}.900\n{}\n\n"
    texts = ["Good morning", "hello", "and so on"]
    cues = "".join(cue.format(n, n, text) for n, text in zip((0, 1, 3), texts, strict=True))
    recording.with_suffix(".vtt").write_text(f"WEBVTT\n\n{cues}", "utf-8")
    people = windows_of(recording, VOICES)
    assert [w.text for w in people["speaker-1"]] == ["Good morning", "", "", "and so on", ""]
    assert [w.text for w in people["speaker-2"]] == ["", "hello", "", "", ""]


def test_coarse_cues_with_names_name_the_voices_which_keep_their_times(recording: Path) -> None:
    cues = "00:00:00.000 --> 00:00:01.500\n<v Bo Li>Hello\n\n"
    cues += "00:00:01.500 --> 00:00:03.000\n<v Ana>Good morning\n"
    recording.with_suffix(".vtt").write_text(f"WEBVTT\n\n{cues}", "utf-8")
    people = windows_of(recording, VOICES)
    assert list(people) == ["Bo Li", "Ana"]
    assert loud_seconds(people["Bo Li"]) == [0, 2, 3]
    assert "Good morning" in {window.text for window in people["Ana"]}


def test_people_are_told_who_speaks_and_how_it_is_without_a_face(recording: Path) -> None:
    [notice] = people_of([str(recording)], VOICES, dialogue).notices
    assert notice.startswith("2 people speak in meeting: speaker-1, speaker-2.")
    [notice] = people_of([str(recording)], VOICES, lambda spec: DIALOGUE[:1]).notices
    assert notice.startswith("One person speaks in meeting: the participant is speaker-1")


def test_a_recording_in_which_nobody_speaks_is_refused(recording: Path) -> None:
    with pytest.raises(SourceError, match="Nobody speaks in meeting"):
        people_of([str(recording)], VOICES, lambda spec: ())


def test_voices_are_of_one_recording(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one recording"):
        people_of([str(recording), str(recording)], VOICES, dialogue)
    with pytest.raises(ConfigError, match="has no transcript"):
        people_of([str(recording)], Naming(split="speakers", offset_ns=5), dialogue)


def test_missing_networks_and_missing_sound_are_one_sentence(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    listen = listening(load(None, [], environment={}), lambda seconds: None)
    with pytest.raises(ModelError, match="streamer models get speakers"):
        people_of([str(recording)], VOICES, listen)
    silent = media.write(tmp_path / "silent.mkv", media.Video(seconds=1.0))
    with pytest.raises(SourceError, match="silent has no sound"):
        people_of([str(silent)], VOICES, listen)


def test_a_tone_is_nobodys_voice(recording: Path) -> None:
    if weights.find("speakers") is None:
        pytest.skip("no speaker networks; run `streamer models get speakers`")
    done: list[float] = []
    listen = listening(load(None, [], environment={}), done.append)
    with pytest.raises(SourceError, match="Nobody speaks"):
        people_of([str(recording)], VOICES, listen)
    assert done[-1] == pytest.approx(5.0, abs=0.1)
