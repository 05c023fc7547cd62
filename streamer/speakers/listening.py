"""Listening: a recording's sound → `Stretch`es, and from them who speaks when.

Input: audio chunks in order. Output: intervals of speech by speaker, in nanoseconds from the
recording's start. Runs the two networks in the caller's thread, on the processor. Of the sound,
only one stretch is kept; of its voices, all vectors, until the speakers are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from semi_iin import weights
from streamer.errors import ModelError
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.spans import SpeakerTurn
from streamer.speakers import segmentation, voices
from streamer.speakers.clustering import Stretch, people_and_voices
from streamer.speakers.enrolment import NO_VOICES, Vector, recognised
from streamer.speakers.segmentation import FRAME_FIELD, FRAME_STEP, VOICES
from streamer.speech.activity import one_thread

NAME = "speakers"
"""Of the published weights."""
LENGTH = 5 * SAMPLE_RATE_HZ
STEP = SAMPLE_RATE_HZ
"""Samples of a stretch, and between the ends of two of them."""
FRAME_S = FRAME_STEP / SAMPLE_RATE_HZ
LEAST_SPOKEN_S, ENOUGH_ALONE_S = 0.25, 0.4
"""A voice has a vector from this much speech on; of speech alone, if there is so much of it."""
LEAST_MEL_FRAMES = 20
MOST_ENROLLED = 8
"""People who are told apart in a recording that is to be of one."""


class Ear(Protocol):
    """Tells the voices of a stretch apart."""

    def stretch(self, samples: NDArray[np.float32], first_sample: int) -> Stretch:
        """Return the voices in samples (LENGTH,), the first of which is that of the recording."""


class Networks:
    """An `Ear`: the two published networks."""

    def __init__(self, folder: Path) -> None:
        """Load them.

        Raises:
            ModelError: a file is missing or is not of its network.
        """
        self._segmentation = segmentation.load(folder / "segmentation.safetensors")
        self._voices = voices.load(folder / "voices.safetensors")

    def stretch(self, samples: NDArray[np.float32], first_sample: int) -> Stretch:
        """Return the voices in samples (LENGTH,)."""
        with torch.inference_mode(), one_thread():
            active = self._segmentation.active(torch.from_numpy(samples)[None])[0].numpy()
            alone = active & (active.sum(axis=1, keepdims=True) == 1)
            vectors = np.zeros((VOICES, voices.WIDTH), np.float32)
            energies = voices.log_mel(samples[max(0, -first_sample) :])
            skipped = max(0, -first_sample) // voices.HOP
            for voice in np.flatnonzero(active.sum(axis=0) * FRAME_S >= LEAST_SPOKEN_S):
                enough = alone[:, voice].sum() * FRAME_S >= ENOUGH_ALONE_S
                spoken = (alone if enough else active)[_frames_of(len(energies), skipped), voice]
                if spoken.sum() >= LEAST_MEL_FRAMES:
                    chosen = torch.from_numpy(energies[spoken])
                    vectors[voice] = self._voices(chosen[None])[0].numpy()
        first_frame = round(first_sample / FRAME_STEP)
        return Stretch(first_frame, active, vectors, alone.sum(axis=0) * FRAME_S)


def _frames_of(count: int, skipped: int) -> NDArray[np.intp]:
    """The segmentation's frame at the middle of each log-mel frame."""
    middles = (np.arange(count) + skipped) * voices.HOP + voices.FRAME / 2
    frames = np.round((middles - FRAME_FIELD / 2) / FRAME_STEP).astype(np.intp)
    last = (LENGTH - FRAME_FIELD) // FRAME_STEP
    clipped: NDArray[np.intp] = frames.clip(0, last)
    return clipped


def networks() -> Networks:
    """Load the published networks.

    Raises:
        ModelError: they are not on disk, or cannot be loaded.
    """
    folder = weights.find(NAME)
    if folder is None:
        raise ModelError(
            "The networks that tell speakers apart are not on this disk; run "
            f"`streamer models get {NAME}`."
        )
    return Networks(folder)


def speakers_of(
    chunks: Iterable[AudioChunk], ear: Ear, most: int, known: Mapping[str, Vector] = NO_VOICES
) -> list[SpeakerTurn]:
    """Return who speaks when, at most `most` people; by start.

    The first to speak is `speaker-1`; whose voice is `known` has that name.
    """
    turns, vectors = people_and_voices(list(stretches_of(chunks, ear)), most)
    names = recognised(vectors, known)
    return [
        SpeakerTurn(names.get(n, f"speaker-{n + 1}"), time_ns(first), time_ns(end))
        for n, first, end in turns
    ]


class Heard(NamedTuple):
    """The people in a recording: their vectors, (people, width), and how long each one speaks."""

    vectors: NDArray[np.float32]
    spoken_s: list[float]


def voices_in(chunks: Iterable[AudioChunk], ear: Ear) -> Heard:
    """Return the voices of the people who speak in a recording."""
    turns, vectors = people_and_voices(list(stretches_of(chunks, ear)), MOST_ENROLLED)
    spoken = np.zeros(len(vectors))
    for person, first, end in turns:
        spoken[person] += (end - first) * FRAME_S
    return Heard(vectors, spoken.tolist())


def stretches_of(chunks: Iterable[AudioChunk], ear: Ear) -> Iterator[Stretch]:
    """Yield a stretch of sound at every STEP and at the end."""
    for samples, first in _cut(chunks):
        yield ear.stretch(samples, first)


def time_ns(frame: int) -> int:
    """The time between a frame and the one before it."""
    samples = frame * FRAME_STEP + (FRAME_FIELD - FRAME_STEP) / 2
    return max(0, round(samples * NS_PER_S / SAMPLE_RATE_HZ))


def _cut(chunks: Iterable[AudioChunk]) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield the last LENGTH samples at every STEP and at the end, and the number of their first.

    What lies before the recording, or in a hole between chunks, is silence.
    """
    latest = np.zeros(LENGTH, np.float32)
    heard = 0
    for chunk in chunks:
        begin = chunk.event_time_ns * SAMPLE_RATE_HZ // NS_PER_S
        samples = np.nan_to_num(np.asarray(chunk.samples, np.float32), posinf=0.0, neginf=0.0)
        samples = np.concatenate([np.zeros(max(0, begin - heard), np.float32), samples])
        while len(samples):
            room = STEP - heard % STEP
            latest = np.concatenate([latest, samples[:room]])[-LENGTH:]
            heard += len(samples[:room])
            samples = samples[room:]
            if heard % STEP == 0:
                yield latest, heard - LENGTH
    if heard % STEP:
        yield latest, heard - LENGTH
