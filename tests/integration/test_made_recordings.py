"""Recordings of several people, made with the truth beside them: each person's talk time.

All are read as `streamer replay PATH` reads them, by the capture pipeline of each participant.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from semi_iin import weights
from streamer.config import Config, load
from streamer.conversation import conversation
from streamer.records import NS_PER_MS, IdentifiedBy, Window
from streamer.session.diarized import listening
from streamer.session.participant import Pipeline
from streamer.session.plan import make_plan
from streamer.session.recordings import Naming, Split, people_of
from tests import made_recordings, media
from tests.made_recordings import Made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

QUICK = ("windows.hop_s=5", "windows.audio_codec=pcm16", "asr.engine=none")
"""A fifth of the windows, and no words: what is spoken stays the same."""
TEXT_ONLY = ("windows.hop_s=5", 'session.modalities=["text"]')


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed; scripts/setup installs it")
    return made_recordings.make(tmp_path_factory.mktemp("made"))


def settings(*texts: str) -> Config:
    return load(None, list(texts), environment={})


def windows_of(path: Path, config: Config, split: Split = "transcript") -> dict[str, list[Window]]:
    """The windows of each participant of a replay."""
    listen = listening(config, lambda seconds: None)
    people = people_of([str(path)], Naming(split=split), listen)
    plan = make_plan(people.specs, config, name=people.session, speed=0)
    return {
        spec.participant_id: list(Pipeline(plan, spec, config).windows(threading.Event()))
        for spec in plan.participants
    }


def talk_s(windows: dict[str, list[Window]]) -> dict[str, float]:
    """Talk times as the summary has them."""
    spans = {
        name: [
            (span.start_ms, span.end_ms)
            for window in own
            if window.spoken is not None
            for span in window.spoken.speech
        ]
        for name, own in windows.items()
    }
    end_ms = max(own[-1].end_ns for own in windows.values()) // NS_PER_MS
    return {t.participant_id: t.talk_ms / 1000 for t in conversation(spans, end_ms).participants}


def identified_by(windows: dict[str, list[Window]]) -> set[IdentifiedBy]:
    return {window.identified_by for own in windows.values() for window in own}


def test_each_file_of_zooms_folder_has_its_persons_talk_time(made: dict[str, Made]) -> None:
    """Two people speak at once for a moment."""
    windows = windows_of(made["zoom"].path, settings(*QUICK))
    assert talk_s(windows) == pytest.approx(made["zoom"].talk_s, rel=0.05)
    assert identified_by(windows) == {"source"}


def test_a_transcripts_people_have_their_talk_times_and_nobodys_face(
    made: dict[str, Made],
) -> None:
    windows = windows_of(made["teams"].path, settings(*QUICK))
    assert list(windows) == list(made["teams"].talk_s)
    assert talk_s(windows) == pytest.approx(made["teams"].talk_s, rel=0.05)
    assert identified_by(windows) == {"transcript"}
    assert not any(window.faces for own in windows.values() for window in own)


def test_each_channel_of_a_call_has_its_talk_time(made: dict[str, Made]) -> None:
    windows = windows_of(made["call"].path, settings(*QUICK), "channels")
    assert list(windows) == ["call-left", "call-right"]
    truth = list(made["call"].talk_s.values())
    assert list(talk_s(windows).values()) == pytest.approx(truth, rel=0.05)
    assert identified_by(windows) == {"channel"}


def test_three_people_before_one_microphone_are_told_apart(made: dict[str, Made]) -> None:
    if weights.find("speakers") is None:
        pytest.skip("no speaker networks; run `streamer models get speakers`")
    windows = windows_of(made["room"].path, settings(*QUICK), "speakers")
    assert list(windows) == ["speaker-1", "speaker-2", "speaker-3"]
    truth = list(made["room"].talk_s.values())
    assert list(talk_s(windows).values()) == pytest.approx(truth, rel=0.1)
    assert identified_by(windows) == {"diarization"}


def test_text_only_with_a_transcripts_names_needs_no_sound(
    made: dict[str, Made], tmp_path: Path
) -> None:
    """With sound and without, the windows have the same words, speech and presence."""
    cloud, truth = made["cloud"], made["cloud"].talk_s
    mute = media.write(tmp_path / "mute.mp4", media.Video(seconds=cloud.turns[-1].end_s))
    [transcript] = cloud.path.parent.glob("*.transcript.vtt")
    shutil.copy(transcript, mute.with_suffix(".vtt"))
    config = settings(*TEXT_ONLY)
    with_sound, without = windows_of(cloud.path, config), windows_of(mute, config)
    assert list(without) == list(truth)
    assert talk_s(without) == pytest.approx(truth, rel=0.05)
    assert text_of(without) == text_of(with_sound)


def text_of(windows: dict[str, list[Window]]) -> dict[str, list[object]]:
    return {
        name: [(window.words, window.spoken, window.presence) for window in own]
        for name, own in windows.items()
    }
