"""Choosing what gives a participant's words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from semi_iin import weights
from streamer.config import Config, build
from streamer.errors import ConfigError, ModelError, SourceError
from streamer.records import AudioChunk
from streamer.spans import SpeakerTurn
from streamer.speech.recognisers import choose


def silence(ms: int) -> NDArray[np.float32]:
    return np.zeros(ms * 16, np.float32)


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of fetched weights, and an empty cache of the hub."""
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


@dataclass(frozen=True)
class FakeSource:
    has_audio: bool = True
    subtitle_path: Path | None = None
    speaker: str | None = None
    transcript_offset_ns: int = 0
    subtitle_stream: int | None = None
    path: Path | None = None
    turns: tuple[SpeakerTurn, ...] = ()


def settings(**asr_settings: object) -> Config:
    return build({"asr": {"whisper_model": "nobody/has-this", **asr_settings}})


@pytest.fixture
def vtt(tmp_path: Path) -> Path:
    path = tmp_path / "talk.vtt"
    path.write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n\nx --> y\nlost\n")
    return path


def test_auto_takes_subtitles_when_there_and_says_so(
    vtt: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    name, chosen = choose(settings(), FakeSource(subtitle_path=vtt))
    assert (name, chosen.description) == ("subtitles", f"subtitles ({vtt})")
    assert f"words: subtitles ({vtt})" in caplog.messages
    assert "talk.vtt, line 6: the cue's times are not times." in caplog.messages
    assert [w.text for w in chosen.push(AudioChunk(0, silence(100))).words] == ["hello"]


def test_without_a_model_a_run_goes_on_without_words_and_names_the_command(
    no_weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name, chosen = choose(build({}), FakeSource())
    assert name == "none"
    assert "run `streamer models get whisper-tiny.en`" in chosen.description
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert chosen.push(AudioChunk(0, silence(640))).words == []


def test_auto_goes_on_without_subtitles_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = FakeSource(subtitle_path=tmp_path / "gone.vtt")
    name, chosen = choose(settings(), source)
    assert name == "none"
    assert "no readable subtitles" in chosen.description
    assert any("gone.vtt cannot be read" in message for message in caplog.messages)
    with pytest.raises(SourceError, match="cannot be read"):
        choose(settings(engine="subtitles"), source)


@pytest.mark.parametrize(
    ("config", "source", "description"),
    [
        (settings(engine="none"), FakeSource(), 'none (asr.engine is "none")'),
        (settings(), FakeSource(has_audio=False), "none (no subtitles, no audio)"),
        (settings(engine="whisper"), FakeSource(has_audio=False), "none (no audio)"),
        (
            build({"asr": {"whisper_model": "nobody/has-this", "language": "de"}}),
            FakeSource(),
            "none (no subtitles, no Whisper model on disk; set asr.whisper_model to a folder with "
            "its CTranslate2 files, or set asr.local_files_only to false to download it from "
            "the hub)",
        ),
        (
            build({"session": {"modalities": ["audio", "vision"]}}),
            FakeSource(),
            "none (text is not among the modalities)",
        ),
    ],
)
def test_when_there_are_no_words_it_says_why(
    config: Config, source: FakeSource, description: str
) -> None:
    name, chosen = choose(config, source)
    assert (name, chosen.description) == ("none", description)
    assert chosen.push(AudioChunk(0, silence(640))).words == []


@pytest.mark.parametrize(
    ("config", "error", "says"),
    [
        (settings(engine="subtitles"), ConfigError, "the source has none; put a .vtt or .srt"),
        (settings(engine="whisper"), ModelError, "nobody/has-this is not on this disk; set asr"),
    ],
)
def test_what_cannot_be_is_one_sentence(config: Config, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        choose(config, FakeSource())
