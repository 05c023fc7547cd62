"""Voice activity: Silero on synthetic speech, and on what is none."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streamer.records import SAMPLE_RATE_HZ
from streamer.speech.activity import FRAME_SAMPLES, Silero

Sound = NDArray[np.float32]


def silence(ms: int) -> Sound:
    return np.zeros(ms * 16, np.float32)


def read(path: Path) -> Sound:
    """Any sound file as 16 kHz mono."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.fixture(scope="module")
def speak(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Sound]:
    """A voice: text → 16 kHz sound between half seconds of silence."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed; scripts/setup installs it")

    def voice(text: str) -> Sound:
        path = tmp_path_factory.mktemp("speech") / "a.wav"
        subprocess.run([program, "-v", "en-us+f3", "-s", "150", "-w", path, text], check=True)
        return np.concatenate([silence(500), read(path), silence(500)])

    return voice


def test_silero_hears_speech_and_not_silence_nor_noise(speak: Callable[[str], Sound]) -> None:
    voice = Silero()

    def share(sound: Sound) -> float:
        frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
        voice.forget()
        return float(np.mean([p >= 0.5 for p in voice.probabilities(frames)]))

    noise = np.random.default_rng(0).normal(0, 0.05, 32_000).astype(np.float32)
    assert share(speak("we are talking about the weather again")[8000:-8000]) > 0.6
    assert share(silence(2000)) == 0.0
    assert share(noise) < 0.1


def test_the_silence_of_a_muted_person_is_not_asked_about_and_leaves_no_trace() -> None:
    muted, fresh = Silero(), Silero()
    noise = np.random.default_rng(0).normal(0, 0.1, (4, FRAME_SAMPLES)).astype(np.float32)
    dither = np.full((40, FRAME_SAMPLES), 10 / 32_768, np.float32)
    assert muted.probabilities(dither) == [0.0] * 40
    assert muted.probabilities(noise) == fresh.probabilities(noise)
    assert muted.probabilities(dither)[0] > 0.0, "a pause in speech goes to the model"
    assert muted.probabilities(dither)[-1] == 0.0


def test_people_who_join_at_once_each_get_a_model_and_no_warning() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as threads:
        models = list(threads.map(lambda _: Silero(), range(24)))
    assert len({id(model) for model in models}) == 24
    assert warnings.filters == before


def test_silero_leaves_torch_its_threads(speak: Callable[[str], Sound]) -> None:
    before = torch.get_num_threads()
    voice = Silero()
    voice.probabilities(speak("hello")[:5120].reshape(-1, FRAME_SAMPLES))
    assert torch.get_num_threads() == before


def test_soft_speech_is_found_as_loud_speech_is(speak: Callable[[str], Sound]) -> None:
    said = speak("we are talking about the weather again")
    loud = speech_frames(Silero(), said)
    assert speech_frames(Silero(), 0.005 * said) >= 0.9 * loud > 20


def speech_frames(voice: Silero, samples: Sound) -> int:
    """Return how many frames are speech."""
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return sum(probability > 0.5 for probability in voice.probabilities(frames))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hum", "chord", "noise", "sweep"])
def test_loud_background_does_not_make_soft_speech_inaudible(
    kind: str, speak: Callable[[str], Sound]
) -> None:
    time = np.arange(10 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    background = {
        "hum": 0.8 * np.sin(2 * np.pi * 120 * time),
        "chord": sum(0.25 * np.sin(2 * np.pi * hz * time) for hz in (261, 329, 392)),
        "noise": 0.3 * np.random.default_rng(0).normal(0, 1, len(time)),
        "sweep": 0.8 * np.sin(2 * np.pi * (200 * time + 150 * time**2)),
    }[kind]
    soft = 0.01 * speak("good morning everybody")
    alone = speech_frames(Silero(), soft)
    voice = Silero()
    assert speech_frames(voice, np.asarray(background, np.float32)) == 0
    voice.probabilities(silence(512).reshape(-1, FRAME_SAMPLES))
    assert speech_frames(voice, soft) >= 0.9 * alone > 10
