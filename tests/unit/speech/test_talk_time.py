"""Talk times of synthetic speech of known length, from the sound to the numbers."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from streamer.config import AsrConfig, WindowsConfig
from streamer.conversation import conversation
from streamer.records import SAMPLE_RATE_HZ, AudioChunk, Modality, StreamEnd
from streamer.speech.activity import Silero
from streamer.speech.streaming import StreamingRecogniser
from streamer.windows import Windower
from tests.made_recordings import Sound, spoken

SENTENCES = (
    "We are talking about the weather again, because the summer was so long this year.",
    "Nobody in the whole office remembers where the blue folder with the contracts is.",
    "Tomorrow morning the new colleagues will arrive, and we should show them around.",
)
AUDIO: tuple[Modality, ...] = ("audio",)


@pytest.fixture(scope="module")
def sentences() -> list[Sound]:
    """Synthetic sentences at 16 kHz without the silence around them."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed; scripts/setup installs it")
    return [spoken("en-us+f3", text) for text in SENTENCES]


def speech_ms(sound: Sound) -> list[tuple[int, int]]:
    """Return the speech that all windows of a recording carry."""
    windower = Windower("s", "ana", 0, AUDIO, WindowsConfig(), 5.0)
    recogniser = StreamingRecogniser(Silero(), None, AsrConfig(), "none")
    windows = []
    for first in range(0, len(sound), SAMPLE_RATE_HZ // 10):
        chunk = AudioChunk(
            first * 1_000_000_000 // SAMPLE_RATE_HZ, sound[first : first + SAMPLE_RATE_HZ // 10]
        )
        known = recogniser.push(chunk)
        windows += windower.push_speech(known.speech, known.speech_watermark_ns)
        windows += windower.push_audio(chunk)
    known = recogniser.finish()
    windows += windower.push_speech(known.speech, known.speech_watermark_ns)
    windows += windower.end(StreamEnd("audio", windower.watermark_ns)) + windower.finish()
    spans = [span for w in windows if w.spoken is not None for span in w.spoken.speech]
    return [(span.start_ms, span.end_ms) for span in spans]


def test_talk_times_and_turns_are_those_of_the_speech(sentences: list[Sound]) -> None:
    quiet = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    sound = np.concatenate([part for sentence in sentences for part in (quiet, sentence)] + [quiet])
    truth_ms = sum(map(len, sentences)) / SAMPLE_RATE_HZ * 1000
    end_ms = len(sound) * 1000 // SAMPLE_RATE_HZ
    (ana,) = conversation({"ana": speech_ms(sound)}, end_ms).participants

    assert ana.talk_ms == pytest.approx(truth_ms, rel=0.05)
    assert ana.turns == len(sentences)
    assert ana.longest_silence_ms == pytest.approx(2000, abs=200)
