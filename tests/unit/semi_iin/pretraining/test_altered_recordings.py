"""Augmentation of voices."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from semi_iin.pretraining import recordings
from semi_iin.pretraining.recordings import Audio, altered_audio
from tests.unit.semi_iin.generated import noise, tones


def level_db(audio: Audio) -> float:
    return float(10 * np.log10(np.mean(np.square(audio)) + 1e-20))


def band_db(audio: Audio, low_hz: float, high_hz: float) -> float:
    power = np.square(np.abs(np.fft.rfft(audio)))
    frequencies = np.fft.rfftfreq(len(audio), 1 / 16_000)
    return float(10 * np.log10(power[(frequencies >= low_hz) & (frequencies < high_hz)].mean()))


def test_altered_audio_is_in_range_and_of_varied_length() -> None:
    random = np.random.default_rng(0)
    audio = tones(1, 0)[0][1]
    altered = [altered_audio(audio, random) for _ in range(40)]
    assert all(recording.dtype == np.float32 for recording in altered)
    assert all(np.abs(recording).max() <= 1 for recording in altered)
    assert len({len(recording) for recording in altered}) > 20
    assert min(len(recording) for recording in altered) > 0.5 * len(audio)


@pytest.mark.parametrize("change", [change for change, _ in recordings.CHANGES])
@pytest.mark.parametrize("audio", [noise(0.5), np.zeros(8000, np.float32), noise(0.5)[:3]])
def test_every_change_keeps_the_length(
    change: Callable[[Audio, Generator], Audio], audio: Audio
) -> None:
    changed = change(audio, np.random.default_rng(1))
    assert changed.shape == audio.shape and changed.dtype == np.float32
    assert np.isfinite(changed).all() and np.abs(changed).max() <= 1


def test_a_room_goes_on_after_the_voice() -> None:
    voice = np.concatenate([noise(0.3), np.zeros(4000, np.float32)])
    echoing = recordings.in_a_room(voice, np.random.default_rng(0))
    assert level_db(voice[-3900:-3000]) < -150
    assert level_db(echoing[-3900:-3000]) > -60
    assert level_db(echoing) == pytest.approx(level_db(voice), abs=1)


def test_noise_is_below_the_voice() -> None:
    voice = noise(0.5)
    added = [
        level_db(recordings.in_noise(voice, np.random.default_rng(seed)) - voice)
        for seed in range(20)
    ]
    assert -41 < min(added) - level_db(voice) < max(added) - level_db(voice) < -4


def test_a_telephone_has_a_narrow_band() -> None:
    voice = noise(1.0)
    changed = recordings.by_telephone(voice, np.random.default_rng(0))
    inside = band_db(changed, 500, 3000)
    assert inside == pytest.approx(band_db(voice, 500, 3000), abs=1)
    assert band_db(changed, 4000, 7000) < inside - 15


def test_a_codec_is_heard_and_does_not_shift_the_voice() -> None:
    voice = tones(1, 0)[0][1]
    changed = recordings.through_a_codec(voice, np.random.default_rng(0))
    assert 0.9 < np.corrcoef(voice, changed)[0, 1] < 1
