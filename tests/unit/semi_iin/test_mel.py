"""Whisper's mel bands and spectrogram, against those of transformers."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor
from transformers.audio_utils import mel_filter_bank

from semi_iin.mel import LogMel, slaney_filters


@pytest.mark.parametrize(("mels", "window"), [(80, 400), (128, 400), (80, 512)])
def test_the_filters_equal_those_of_transformers(mels: int, window: int) -> None:
    theirs = mel_filter_bank(
        window // 2 + 1, mels, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney"
    )
    np.testing.assert_array_equal(slaney_filters(mels, window), theirs)


@pytest.mark.parametrize("count", [400, 16_000, 50_000])
def test_the_spectrogram_equals_that_of_transformers(count: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32)
    length = 32_000  # longer and shorter than the samples
    theirs = WhisperFeatureExtractor(feature_size=80)(
        samples, sampling_rate=16_000, padding="max_length", max_length=length, truncation=True,
        return_tensors="np",
    ).input_features[0]  # fmt: skip
    ours = LogMel(80)(samples, length)
    assert ours.shape == (80, 200)
    np.testing.assert_array_equal(ours, theirs)


def test_silence_has_the_lowest_energy() -> None:
    assert LogMel(80)(np.zeros(0, np.float32), 3200).max() == -1.5
