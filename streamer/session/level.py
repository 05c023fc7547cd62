"""Whether a participant's sound is loud enough to be recognised.

What enters: audio chunks, in order. What leaves: one sentence, once, when the sound was too quiet
for QUIET_AFTER_S, or silent from the start of a live source. Pure; knows no source.
"""

from __future__ import annotations

import math

import numpy as np

from streamer.records import SAMPLE_RATE_HZ, AudioChunk

QUIET_AFTER_S = 15.0
"""Sound that is never louder for so long, from its first one on, is too quiet."""
SHORTEST_S = 3.0
"""A recording shorter than QUIET_AFTER_S is judged at its end, if it is as long as this."""
QUIET_PEAK_DB = -36.0
"""Peak against full scale below which speech is rarely recognised."""
SILENT_PEAK_DB = -75.0
"""Peak below which there is no sound at all: a microphone that is muted."""


class LevelWatch:
    """Judges the level of one participant once; use from one thread."""

    def __init__(self, *, live: bool) -> None:
        """`live`: silence from the start is worth a notice, as it may not be in a recording."""
        self._live = live
        self._judged = False
        self._peak = 0.0
        self._samples = 0

    def push(self, chunk: AudioChunk) -> str:
        """Take a chunk; return the sentence when there is one to give, else an empty text."""
        if self._judged or not len(chunk.samples):
            return ""
        self._peak = max(self._peak, float(np.abs(chunk.samples).max()))
        silent = _decibels(self._peak) < SILENT_PEAK_DB
        if not silent or self._live:
            self._samples += len(chunk.samples)
        if self._samples < QUIET_AFTER_S * SAMPLE_RATE_HZ:
            self._judged = _decibels(self._peak) >= QUIET_PEAK_DB
            return ""
        return self._judge()

    def finish(self) -> str:
        """The sound has ended; return as `push`."""
        if self._judged or self._samples < SHORTEST_S * SAMPLE_RATE_HZ:
            return ""
        return self._judge()

    def _judge(self) -> str:
        self._judged = True
        peak_db = _decibels(self._peak)
        length_s = self._samples / SAMPLE_RATE_HZ
        if peak_db < SILENT_PEAK_DB:
            return (
                f"no sound for {length_s:.0f} s; look whether the microphone is muted, or whether "
                "another one is meant (`streamer devices`)."
            )
        if peak_db < QUIET_PEAK_DB:
            return (
                f"the sound is very quiet (peak {peak_db:.0f} dB of full scale in "
                f"{length_s:.0f} s), and words may be missed; raise the microphone's input level, "
                "or move closer."
            )
        return ""


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, 1e-9))
