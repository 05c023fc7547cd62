"""How loud sound is against its background: automatic gain, and sound that stands out.

What enters: frames of samples, one after another. What leaves: the same frames amplified (`Gain`),
or whether each stands out (`Loudness`). The background is as loud as the softest tenth of the last
three seconds. Knows neither speech nor words.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from streamer.records import SAMPLE_RATE_HZ

FRAME_SAMPLES = 512
BACKGROUND_FRAMES, BACKGROUND_SHARE = 94, 0.1
"""The background is as loud as the softest tenth of so many frames (3 s)."""
PEAK, PEAK_HALVES_S = 0.3, 1.0
"""Peak to which sound is amplified, and how fast an earlier, louder one is forgotten."""
PEAK_KEPT = 0.5 ** (FRAME_SAMPLES / SAMPLE_RATE_HZ / PEAK_HALVES_S)
LARGEST_GAIN = 100.0
"""By how much sound is amplified at most."""
NOISE = 0.003
"""Root mean square to which the background is amplified at most (-50 dB of full scale)."""
LOUD, LEAST_LOUD = 10.0, 0.01
"""A frame stands out if it is so many times as loud as the background (20 dB), at this level or
more (-40 dB of full scale),"""
OF_LOUDEST = 1 / 18
"""and by so much at most below the loudest before (25 dB), which is forgotten as PEAK is."""
LASTING, LASTING_OF = 5, 8
"""A sound lasts if so many of the last frames stand out: 160 of 256 ms; a click does not."""


class Background:
    """The level of each frame, and of the background up to it."""

    def __init__(self) -> None:
        """Nothing heard yet."""
        self._levels: deque[float] = deque(maxlen=BACKGROUND_FRAMES)

    def levels(self, frame: NDArray[np.float32]) -> tuple[float, float]:
        """Return the root mean square of the next frame, (n,), and of the background."""
        level = float(np.sqrt(np.mean(np.square(frame), dtype=np.float64)))
        self._levels.append(level)
        return level, sorted(self._levels)[int(BACKGROUND_SHARE * len(self._levels))]


class Gain:
    """Automatic gain: amplifies soft sound, never its background alone, and attenuates none."""

    def __init__(self) -> None:
        """Nothing heard yet."""
        self._background = Background()
        self._peak = 0.0

    def apply(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the next frame, (n,), amplified by what it and the frames before allow."""
        _, background = self._background.levels(frame)
        self._peak = max(float(np.abs(frame).max()), self._peak * PEAK_KEPT)
        by_peak, by_noise = PEAK / max(self._peak, 1e-9), NOISE / max(background, 1e-9)
        return frame * np.float32(max(1.0, min(by_peak, by_noise, LARGEST_GAIN)))

    def forget(self) -> None:
        """Let what follows be amplified, however loud the sound was before."""
        self._peak = 0.0


class Loudness:
    """Which frames stand out from the background, as a shout does; steady sound does not."""

    def __init__(self) -> None:
        """Nothing heard yet."""
        self._background = Background()
        self._loudest = 0.0
        self._newest: deque[bool] = deque(maxlen=LASTING_OF)

    def stands_out(self, frame: NDArray[np.float32]) -> bool:
        """Return whether the next frame, (n,), stands out."""
        level, background = self._background.levels(frame)
        self._loudest = max(level, self._loudest * PEAK_KEPT)
        stands = level >= max(LEAST_LOUD, LOUD * background, OF_LOUDEST * self._loudest)
        self._newest.append(stands)
        return stands

    @property
    def lasts(self) -> bool:
        """Whether most of the last quarter of a second stands out."""
        return sum(self._newest) >= LASTING
