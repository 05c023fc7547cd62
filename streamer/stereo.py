"""What the two channels of a stream are to each other.

What enters: float32 samples of two channels, in order. What leaves: their mix, and whether they
cancel each other, and whether two people speak on them. Pure; knows no codec and no source.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MEMORY_S = 1.0
LEAST_S = 0.05
"""Sound over which channels are compared before anything is decided."""
CANCELS_FROM, CANCELS_UNTIL = 0.03, 0.2
"""Power of the mean against the louder channel below which channels cancel, and go on to."""

SEGMENT_S, BLOCK_S = 0.5, 0.02
AUDIBLE_POWER = 1e-5
"""Mean square of a segment in which somebody speaks, -50 dB."""
ALONE_RATIO, ALONE_S = 100.0, 1.0
"""How much louder than the other one a channel is that is alone, and for how long."""
APART_S = 2.0
"""How long both channels sound together before their loudness is compared."""
FLOOR_POWER = 1e-6
"""Mean square of a block below which its loudness does not count, -60 dB."""
SPEECH_DB = 4.0
"""Deviation of a block's loudness within its segment: syllables and pauses have more."""
APART_LOUDNESS, APART_SAMPLES = 0.3, 0.05
"""Correlation of loudness, and squared of samples, below which two voices are independent."""
SHARED_AT_MOST = 0.2
"""Share of the time in which both channels may have the same sound, where two people speak."""


class Stereo:
    """What the two channels of a stream are to each other, over its last second or so.

    Channels of opposite sign cancel in their mean; `mix` then gives the louder one.

    Attributes:
        cancelled: whether that was so at any time.
    """

    def __init__(self) -> None:
        """Start without having received anything."""
        self.cancelled = False
        self._cancels = False
        self._louder = 0
        self._energies = np.zeros(3)  # of the left and right channel and their mean
        self._heard_s = 0.0
        self._talkers = Talkers()

    @property
    def differ(self) -> bool:
        """Whether each channel has a speaker of its own, as of a call."""
        return self._talkers.two

    def mix(self, channels: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
        """Mix samples of shape (2, n) in [-1, 1] to mono, shape (n,)."""
        mean: NDArray[np.float32] = channels.mean(axis=0)
        length_s = channels.shape[1] / max(1, rate_hz)
        parts = (*channels, mean)
        new = np.array([np.square(part, dtype=np.float64).sum() for part in parts])
        self._energies = self._energies * math.exp(-length_s / MEMORY_S) + new
        self._heard_s += length_s
        left, right, mixed = self._energies
        loudest = max(left, right)
        if self._heard_s >= LEAST_S and loudest > 0:
            cancelled_before = self._cancels
            limit = CANCELS_UNTIL if self._cancels else CANCELS_FROM
            self._cancels = bool(mixed < limit * loudest)
            self.cancelled |= self._cancels
            if self._cancels and not cancelled_before:
                self._louder = int(right > left)
        self._talkers.push(channels, rate_hz)
        return channels[self._louder] if self._cancels else mean


class Talkers:
    """Judges whether two channels have a speaker each; the judgement, once given, stays.

    Two people speak in turn, so that each channel is alone at times, or at once, and then the
    loudness of one channel follows syllables that the other has not. One person in stereo, panned
    or not, is on both channels with the same syllables; music rarely rises and falls like speech.

    Attributes:
        two: whether they have.
    """

    def __init__(self) -> None:
        """Start without having received anything."""
        self.two = False
        self._rate_hz = 0
        self._waiting: list[NDArray[np.float32]] = []
        self._waiting_samples = 0
        self._alone_s = [0.0, 0.0]
        self._both_s = 0.0
        self._loudness = np.zeros(3)  # sums over segments: both variances and the covariance
        self._samples = np.zeros(3)  # both energies and the product

    def push(self, channels: NDArray[np.float32], rate_hz: int) -> None:
        """Take samples of shape (2, n); another rate starts a new segment."""
        if self.two:
            return
        if rate_hz != self._rate_hz:
            self._rate_hz, self._waiting, self._waiting_samples = rate_hz, [], 0
        self._waiting.append(channels)
        self._waiting_samples += channels.shape[1]
        block = max(1, round(BLOCK_S * rate_hz))
        size = round(SEGMENT_S / BLOCK_S) * block
        if self._waiting_samples < size:
            return
        waiting = np.concatenate(self._waiting, axis=1)
        whole = waiting.shape[1] - waiting.shape[1] % size
        for first in range(0, whole, size):
            self._judge(waiting[:, first : first + size].astype(np.float64), block)
        self._waiting, self._waiting_samples = [waiting[:, whole:]], waiting.shape[1] - whole

    def _judge(self, segment: NDArray[np.float64], block: int) -> None:
        powers = np.square(segment).reshape(2, -1, block).mean(axis=2)
        means = powers.mean(axis=1)
        if means.max() < AUDIBLE_POWER:
            return
        louder = int(means[1] > means[0])
        decibels = 10 * np.log10(np.maximum(powers, FLOOR_POWER))
        if means[louder] > ALONE_RATIO * means[1 - louder]:
            if decibels[louder].std() >= SPEECH_DB:
                self._alone_s[louder] += SEGMENT_S
        elif means.min() >= AUDIBLE_POWER:
            self._both_s += SEGMENT_S
            self._loudness += _moments(decibels - decibels.mean(axis=1, keepdims=True))
            self._samples += _moments(segment)
        self.two = self._are_two()

    def _are_two(self) -> bool:
        shared_s, apart_s = self._both_s, 0.0
        if self._both_s >= APART_S and self._independent():
            shared_s, apart_s = 0.0, self._both_s
        own_s = [alone_s + apart_s for alone_s in self._alone_s]
        return min(own_s) >= ALONE_S and shared_s <= SHARED_AT_MOST * sum(own_s)

    def _independent(self) -> bool:
        """Whether two voices speak at once, by all segments in which both channels sound."""
        blocks = self._both_s / BLOCK_S
        if min(self._loudness[:2]) < blocks * SPEECH_DB**2:
            return False
        return (
            _correlation(self._loudness) < APART_LOUDNESS
            and _correlation(self._samples) ** 2 < APART_SAMPLES
        )


def _moments(pair: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both sums of squares and that of the products; without BLAS, whose threads cost more."""
    first, second = pair
    return np.array([np.sum(first * first), np.sum(second * second), np.sum(first * second)])


def _correlation(moments: NDArray[np.float64]) -> float:
    return float(moments[2] / math.sqrt(moments[0] * moments[1]))
