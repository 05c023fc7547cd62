"""Voices that are known: whose consent is needed, what enrols one, and what is kept of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.config import load
from streamer.errors import ConfigError, SourceError
from streamer.records import SAMPLE_RATE_HZ
from streamer.session.enrolled import Voices, known_voices
from streamer.speakers.clustering import Stretch
from streamer.speakers.listening import LENGTH
from streamer.speakers.segmentation import FRAME_FIELD, FRAME_STEP
from streamer.speakers.voices import WIDTH
from tests import media

CONFIG = load(None, [], environment={})
AGREED = "Ana and Bo agreed, 3 May"


class LoudnessEar:
    """Takes sound louder than 0.5 for one person, and softer sound for another."""

    def stretch(
        self,
        samples: NDArray[np.float32],
        first_sample: int,
        end: int = LENGTH,
        brief_from: int | None = None,
    ) -> Stretch:
        frames = np.arange((end - FRAME_FIELD) // FRAME_STEP + 1)
        level = np.abs(samples[frames[:, None] * FRAME_STEP + np.arange(FRAME_FIELD)]).max(axis=1)
        active = np.stack([level > 0.5, (level > 0.1) & (level <= 0.5)], axis=1)
        vectors = np.eye(2, WIDTH, dtype=np.float32) * np.expand_dims(active.any(axis=0), 1)
        alone_s = active.sum(axis=0) * FRAME_STEP / SAMPLE_RATE_HZ
        return Stretch(round(first_sample / FRAME_STEP), active, vectors, alone_s)


def tone(path: Path, *, seconds: float = 5.0, level: float = 0.9) -> Path:
    return media.write(path, media.Audio(seconds=seconds, wave=media.tone(level=level)))


def learned(*texts: str, consent: str = AGREED, file: Path | None = None) -> Voices:
    return known_voices(texts, consent, file, CONFIG, ear=LoudnessEar)


def test_a_recording_of_one_person_gives_the_voice_and_the_consent(tmp_path: Path) -> None:
    ana = tone(tmp_path / "ana.wav")
    voices = learned(f"ana={ana}")
    assert voices.consents == (AGREED,)
    [(name, vector)] = voices.vectors.items()
    assert name == "ana" and vector.shape == (WIDTH,)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert [path.name for path in tmp_path.iterdir()] == ["ana.wav"], "nothing is written"
    assert "0." not in repr(voices), "a vector appears in no log"


@pytest.mark.parametrize(
    ("names", "consent", "reason"),
    [
        (["ana"], " ", "needs that person's consent"),
        (["ana", "bo"], "Ana agreed", "does not name bo"),
        (["an"], AGREED, "does not name an"),
        (["speaker-2"], "speaker-2 agreed", "voices without a name"),
        (["ana", "ana"], AGREED, "names a person twice"),
        (["a/b"], AGREED, "must not contain '/'"),
    ],
)
def test_without_consent_by_name_nothing_is_listened_to(
    names: list[str], consent: str, reason: str, tmp_path: Path
) -> None:
    texts = [f"{name}={tmp_path / 'missing.wav'}" for name in names]
    with pytest.raises(ConfigError, match=reason):
        learned(*texts, consent=consent)


def test_too_little_speech_and_several_people_are_refused(tmp_path: Path) -> None:
    short = tone(tmp_path / "short.wav", seconds=2.0)
    with pytest.raises(SourceError, match="less than 3 s of speech: name a longer recording"):
        learned(f"ana={short}")
    nobody = tone(tmp_path / "nobody.wav", level=0.0)
    with pytest.raises(SourceError, match="less than 3 s of speech"):
        learned(f"ana={nobody}")
    silent = media.write(tmp_path / "silent.mkv", media.Video(seconds=1.0))
    with pytest.raises(SourceError, match="has no sound"):
        learned(f"ana={silent}")


def test_a_recording_of_two_people_enrols_nobody(tmp_path: Path) -> None:
    def louder_first(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(seconds < 4, 3.0, 1.0) * media.tone(level=0.3)(seconds)

    both = media.write(tmp_path / "both.wav", media.Audio(seconds=8.0, wave=louder_first))
    with pytest.raises(SourceError, match=r"2 people speak in .*: name a recording of ana alone"):
        learned(f"ana={both}")


def test_voices_are_kept_where_it_is_stated_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "voices.json"
    learned(f"ana={tone(tmp_path / 'ana.wav')}", file=file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = learned(f"bo={tone(tmp_path / 'bo.wav', level=0.3)}", consent="Bo agreed", file=file)
    assert set(again.vectors) == {"ana", "bo"}
    assert again.consents == (AGREED, "Bo agreed")
    kept = learned(consent="", file=file)
    assert set(kept.vectors) == {"ana", "bo"} and kept.consents == again.consents
    np.testing.assert_allclose(kept.vectors["bo"], again.vectors["bo"])


def test_a_file_that_is_none_of_voices_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "voices.json"
    with pytest.raises(ConfigError, match="contains no voices: add --voice"):
        learned(file=file)
    for text in ("{", json.dumps({"voices": {"ana": {"vector": [1.0], "consent": "yes"}}})):
        file.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=r"voices\.json is no file of voices: .*\.$"):
            learned(file=file)
    with pytest.raises(ConfigError, match="cannot be read"):
        learned(file=tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be written: .*--keep-voices"):
        learned(f"ana={tone(tmp_path / 'ana.wav')}", file=tmp_path / "none" / "voices.json")
