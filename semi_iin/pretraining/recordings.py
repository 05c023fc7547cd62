"""Recordings as other rooms, microphones and lines would have made them: augmentation of voices.

What enters: audio (n,) float32 at 16 kHz in [-1, 1], and a generator. What leaves: the same,
altered; only `altered_audio` changes its length.
"""

import io
from collections.abc import Callable

import av
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from semi_iin.clips import SAMPLE_RATE_HZ

Audio = NDArray[np.float32]


def altered_audio(audio: Audio, random: Generator) -> Audio:
    """Return a recording at another speed and pitch, often cut, and as other means record it."""
    speed = random.uniform(0.88, 1.12)
    count = max(1, round(len(audio) / speed))
    places = np.linspace(0, len(audio) - 1, count)
    altered = np.interp(places, np.arange(len(audio)), audio).astype(np.float32)
    if random.random() < 0.5:
        length = round(count * random.uniform(0.6, 1.0))
        first = int(random.integers(0, count - length + 1))
        altered = altered[first : first + length]
    for change, share in CHANGES:
        if random.random() < share:
            altered = change(altered, random)
    return altered


def in_a_room(audio: Audio, random: Generator) -> Audio:
    """Add the decaying echoes of a room: 0.1 to 0.7 s to -60 dB, 0 to 15 dB below the direct sound.

    The level stays the same.
    """
    decay_s = random.uniform(0.1, 0.7)
    time = np.arange(1, int(decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    echoes = random.normal(0, 1, len(time)) * np.exp(-6.9 * time / decay_s)
    ratio = 10 ** (-random.uniform(0, 15) / 20)
    response = np.concatenate([[1.0], echoes * ratio / np.sqrt(np.square(echoes).sum())])
    size = _fast_size(len(audio) + len(response))
    spectrum = np.fft.rfft(audio, size) * np.fft.rfft(response, size)
    echoing = np.fft.irfft(spectrum, size)[: len(audio)]
    return _in_range(echoing * (_level(audio) / max(_level(echoing), 1e-12)))


def at_another_level(audio: Audio, random: Generator) -> Audio:
    """Amplify by -30 to 20 dB relative to full scale's tenth; loud samples are clipped."""
    gain = 10 ** (random.uniform(-30, 20) / 20)
    return _in_range(audio * (0.1 * gain / max(_level(audio), 1e-6)))


def in_noise(audio: Audio, random: Generator) -> Audio:
    """Add noise 5 to 40 dB below the recording; its spectrum falls by 0 to 6 dB an octave."""
    size = _fast_size(len(audio))
    frequencies = np.arange(1, size // 2 + 2)
    spectrum = random.normal(size=len(frequencies)) + 1j * random.normal(size=len(frequencies))
    noise = np.fft.irfft(spectrum * frequencies ** -random.uniform(0, 1), size)[: len(audio)]
    ratio = 10 ** (-random.uniform(5, 40) / 20)
    noise = noise * (_level(audio) * ratio / max(_level(noise), 1e-12))
    return _in_range(audio + noise)


def by_telephone(audio: Audio, random: Generator) -> Audio:
    """Keep 300 to 3,400 Hz, with 8-bit samples on the logarithmic scale of mu-law."""
    size = _fast_size(len(audio))
    spectrum = np.fft.rfft(audio, size)
    frequencies_hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    spectrum[(frequencies_hz < 300) | (frequencies_hz > 3400)] = 0
    band = np.clip(np.fft.irfft(spectrum, size)[: len(audio)], -1, 1)
    codes = np.round(127 * np.sign(band) * np.log1p(255 * np.abs(band)) / np.log(256)) / 127
    return _in_range(np.sign(codes) * np.expm1(np.abs(codes) * np.log(256)) / 255)


def through_a_codec(audio: Audio, random: Generator) -> Audio:
    """Encode as Opus with 6 to 24 kbit/s, and decode."""
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream(
            "libopus", rate=SAMPLE_RATE_HZ, options={"compression_level": "1"}
        )
        stream.bit_rate = int(random.integers(6_000, 24_001))
        stream.layout = "mono"
        samples = (np.clip(audio, -1, 1) * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    file.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(file) as container:
        parts = [
            part.to_ndarray().reshape(-1)
            for frame in (*container.decode(audio=0), None)
            for part in resampler.resample(frame)
        ]
    decoded = np.concatenate(parts)[: len(audio)]
    return _in_range(np.pad(decoded, (0, len(audio) - len(decoded))))


CHANGES: tuple[tuple[Callable[[Audio, Generator], Audio], float], ...] = (
    (in_a_room, 0.3),
    (in_noise, 0.5),
    (at_another_level, 0.5),
    (by_telephone, 0.1),
    (through_a_codec, 0.1),
)
"""The changes in their order, each with the share of recordings that it alters."""


def _fast_size(length: int) -> int:
    """Return the next power of two, for which the Fourier transform is fast."""
    return 1 << (length - 1).bit_length()


def _level(audio: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(audio))))


def _in_range(audio: NDArray[np.floating]) -> Audio:
    """Return samples in [-1, 1]; those beyond are clipped."""
    clipped: Audio = np.clip(audio, -1, 1).astype(np.float32)
    return clipped
