"""Training of the voice encoders."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.encoders.audio import LogMelEncoder
from semi_iin.encoders.whisper import WhisperEncoder
from semi_iin.loop import fit
from semi_iin.pretraining.voice import VoiceTask
from semi_iin.settings import Training
from tests.unit.semi_iin.generated import recordings, tones


@pytest.mark.slow
def test_the_log_mel_encoder_learns_emotions(tmp_path: Path) -> None:
    from semi_iin.data.formats import read

    recordings(tmp_path / "voices", tones(24, 0), 1)
    recordings(tmp_path / "voices", tones(10, 1), 17)
    samples = read(tmp_path / "voices", "ravdess")
    torch.manual_seed(0)
    encoder = LogMelEncoder({"width": 16, "channels": [4, 8, 8, 8], "emotions": ["happy", "sad"]})
    task = VoiceTask(
        encoder,
        [sample for sample in samples if sample.split == "train"],
        [sample for sample in samples if sample.split == "valid"],
        batch_size=8,
    )
    metrics = fit(task, Training(epochs=8, learning_rate=5e-3, average=0.8), tmp_path / "run")
    assert metrics["accuracy"] >= 0.8 and metrics["sign_accuracy"] >= 0.8


def rated(count: int, seed: int) -> list[Sample]:
    """High tones, in which three of four people hear happiness, and low ones, heard as sad."""
    votes = {
        "happy": {"happy": 0.75, "neutral": 0.25, "sad": 0.0},
        "sad": {"happy": 0.0, "neutral": 0.25, "sad": 0.75},
    }
    return [
        Spoken(
            f"{seed}-{index}",
            emotion=emotion,
            votes=votes[emotion],
            label=2.25 if emotion == "happy" else -2.25,
            samples=audio,
        )
        for index, (emotion, audio) in enumerate(tones(count, seed))
    ]


@dataclass(frozen=True, kw_only=True)
class Spoken(Sample):
    """A recording in memory."""

    samples: NDArray[np.float32]

    def clip(self) -> Clip:
        """Return the recording."""
        return Clip(audio=self.samples)


HEARD = ["happy", "neutral", "sad"]


@pytest.mark.slow
def test_the_whisper_encoder_learns_what_people_hear(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = WhisperEncoder(
        {"states": 16, "mels": 20, "layers": 1, "width": 16, "emotions": HEARD}
    )
    task = VoiceTask(encoder, rated(32, 0), rated(10, 1), batch_size=8)
    metrics = fit(task, Training(epochs=8, learning_rate=5e-3, average=0.8), tmp_path / "run")
    assert metrics["corr"] > 0.8 and metrics["sign_auc"] > 0.9
    assert metrics["score"] == pytest.approx(1 - metrics["corr"])


def test_votes_are_targets_and_an_emotion_without_votes_is_one() -> None:
    played = Spoken("played", emotion="sad", samples=tones(1, 0)[0][1])
    task = VoiceTask(
        LogMelEncoder({"emotions": HEARD}), [*rated(1, 0), played], rated(2, 1), batch_size=2
    )
    torch.testing.assert_close(task.targets[0], torch.tensor([0.0, 0.25, 0.75]))
    assert task.targets[1].argmax() == 2 and task.targets[1].sum() == pytest.approx(1)
    assert task.rated.tolist() == [True, False]
