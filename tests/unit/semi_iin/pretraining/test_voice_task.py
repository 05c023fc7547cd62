"""Training of the log-mel encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from semi_iin.encoders.audio import LogMelEncoder
from semi_iin.loop import fit
from semi_iin.pretraining.voice import VoiceTask, altered_audio
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


def test_altered_audio_is_finite_and_of_varied_length() -> None:
    random = np.random.default_rng(0)
    audio = tones(1, 0)[0][1]
    altered = [altered_audio(audio, random) for _ in range(20)]
    assert all(
        recording.dtype == np.float32 and np.abs(recording).max() <= 1 for recording in altered
    )
    assert len({len(recording) for recording in altered}) > 10
    assert min(len(recording) for recording in altered) > 0.5 * len(audio)
