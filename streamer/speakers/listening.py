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
from streamer.speakers.clustering import MOST_DISTANCE, Brief, Stretch, Turn, people_and_voices
from streamer.speakers.enrolment import NO_VOICES, Vector, recognised
from streamer.speakers.online import OnlineSpeakers
from streamer.speakers.segmentation import FRAME_FIELD, FRAME_STEP, VOICES
from streamer.speech.torch_threads import one_thread

NAME = "speakers"
"""Of the published weights."""
LENGTH = 10 * SAMPLE_RATE_HZ
STEP = SAMPLE_RATE_HZ
"""Samples of a stretch, and between the ends of two of them. The segmentation was trained on as
many: it scales each stretch by its own loudness, so in shorter ones it takes noise for speech."""
DESCRIBED = 5 * SAMPLE_RATE_HZ
DESCRIBED_FROM = round((LENGTH - DESCRIBED) / FRAME_STEP)
"""Samples at the end of a stretch whose voices have vectors, and the first of their frames. In a
longer time more people speak in turn, and similar voices are more often taken for one."""
FRAME_S = FRAME_STEP / SAMPLE_RATE_HZ
LEAST_SPOKEN_S, ENOUGH_ALONE_S = 0.25, 0.4
"""A voice has a vector from this much speech on; of speech alone, if there is so much of it."""
LEAST_MEL_FRAMES = 20
BRIEF = 3 * SAMPLE_RATE_HZ // 2
BRIEF_ALONE_S, BRIEF_OTHERS_S = 0.8, 0.3
"""Samples of a brief piece, the speech of one voice alone that it needs, and the speech of others
that it may have."""
MOST_ENROLLED = 8
"""People who are told apart in a recording that is to be of one."""


class Ear(Protocol):
    """Tells the voices of a stretch apart."""

    def stretch(
        self,
        samples: NDArray[np.float32],
        first_sample: int,
        end: int = LENGTH,
        brief_from: int | None = None,
    ) -> Stretch:
        """Return the voices in samples[:end]; samples are (LENGTH,).

        `first_sample` is the number of the first one in the recording. The last DESCRIBED before
        `end` describe the voices. Brief pieces end there and each STEP before, as far as they begin
        at `brief_from` or later; there are none without it.
        """


class Networks:
    """An `Ear`: the two published networks."""

    def __init__(self, folder: Path) -> None:
        """Load them.

        Raises:
            ModelError: a file is missing or is not of its network.
        """
        self._segmentation = segmentation.load(folder / "segmentation.safetensors")
        self._voices = voices.load(folder / "voices.safetensors")

    def stretch(
        self,
        samples: NDArray[np.float32],
        first_sample: int,
        end: int = LENGTH,
        brief_from: int | None = None,
    ) -> Stretch:
        """Return the voices in samples[:end]; samples are (LENGTH,)."""
        first_frame = _frame_at(first_sample)
        if not samples.any():
            return _silence(first_frame)
        begin = max(0, end - DESCRIBED, -first_sample)
        frames = slice(None if end == LENGTH else _frame_at(end))
        with torch.inference_mode(), one_thread():
            speech = self._segmentation.speech(torch.from_numpy(samples))
            active = speech.active[frames]
            vectors, alone_s = self._described(active, samples[begin:end], begin)
            least = end if brief_from is None else max(brief_from, -first_sample)
            begins = range(end - BRIEF, least - 1, -STEP)
            briefs = [self._brief(active, samples, at, first_frame) for at in reversed(begins)]
        return Stretch(
            first_frame,
            active,
            vectors,
            alone_s,
            _frame_at(max(0, end - DESCRIBED)),
            speech.probable[frames],
            speech.at_once[frames],
            tuple(brief for brief in briefs if brief is not None),
        )

    def _described(
        self, active: NDArray[np.bool_], samples: NDArray[np.float32], begin: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the vectors of the voices in the last samples, which begin at `begin`.

        With them, the seconds in which each of these voices speaks alone.
        """
        energies = voices.log_mel(samples)
        frames = _frames_of(len(energies), begin // voices.HOP, len(active))
        alone = active & (active.sum(axis=1, keepdims=True) == 1)
        described = slice(_frame_at(begin), None)
        active_s, alone_s = (x[described].sum(axis=0) * FRAME_S for x in (active, alone))
        vectors = np.zeros((VOICES, voices.WIDTH), np.float32)
        for voice in np.flatnonzero(active_s >= LEAST_SPOKEN_S):
            spoken = (alone if alone_s[voice] >= ENOUGH_ALONE_S else active)[frames, voice]
            if spoken.sum() >= LEAST_MEL_FRAMES:
                vectors[voice] = self._voices(torch.from_numpy(energies[spoken])).numpy()
        return vectors, alone_s

    def _brief(
        self, active: NDArray[np.bool_], samples: NDArray[np.float32], begin: int, first_frame: int
    ) -> Brief | None:
        """Describe BRIEF samples from `begin` on; None where they are not of one voice."""
        first, end = _frame_at(begin), _frame_at(begin + BRIEF)
        voice = one_voice(active[first:end])
        if voice is None:
            return None
        energies = voices.log_mel(samples[begin : begin + BRIEF])
        frames = _frames_of(len(energies), begin // voices.HOP, len(active))
        spoken = (active[frames].sum(axis=1) == 1) & active[frames, voice]
        vector = self._voices(torch.from_numpy(energies[spoken])).numpy()
        return Brief(first_frame + first, first_frame + end, vector)


def one_voice(active: NDArray[np.bool_]) -> int | None:
    """Return the voice of a brief piece, (frames, voices); None where it is not of one."""
    alone = active & (active.sum(axis=1, keepdims=True) == 1)
    alone_s = alone.sum(axis=0) * FRAME_S
    voice = int(alone_s.argmax())
    others_s = active.any(axis=1).sum() * FRAME_S - alone_s[voice]
    clear = alone_s[voice] >= BRIEF_ALONE_S and others_s <= BRIEF_OTHERS_S
    return voice if clear else None


def _silence(first_frame: int) -> Stretch:
    frames = (LENGTH - FRAME_FIELD) // FRAME_STEP + 1
    active, alone_s = np.zeros((frames, VOICES), bool), np.zeros(VOICES)
    vectors = np.zeros((VOICES, voices.WIDTH), np.float32)
    return Stretch(first_frame, active, vectors, alone_s, DESCRIBED_FROM)


def _frame_at(sample: int) -> int:
    return round(sample / FRAME_STEP)


def _frames_of(count: int, skipped: int, frames: int) -> NDArray[np.intp]:
    """The segmentation's frame, of so many, at the middle of each log-mel frame."""
    middles = (np.arange(count) + skipped) * voices.HOP + voices.FRAME / 2
    nearest = np.round((middles - FRAME_FIELD / 2) / FRAME_STEP).astype(np.intp)
    clipped: NDArray[np.intp] = nearest.clip(0, frames - 1)
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
        SpeakerTurn(names.get(n, _name(n)), time_ns(first), time_ns(end)) for n, first, end in turns
    ]


class Heard(NamedTuple):
    """The people in a recording: their vectors, (people, width), and how long each one speaks."""

    vectors: NDArray[np.float32]
    spoken_s: list[float]


def voices_in(chunks: Iterable[AudioChunk], ear: Ear) -> Heard:
    """Return the voices of the people who speak in a recording, which is taken to be of one."""
    stretches = list(stretches_of(chunks, ear))
    turns, vectors = people_and_voices(stretches, MOST_ENROLLED, MOST_DISTANCE)
    spoken = np.zeros(len(vectors))
    for person, first, end in turns:
        spoken[person] += (end - first) * FRAME_S
    return Heard(vectors, spoken.tolist())


def stretches_of(chunks: Iterable[AudioChunk], ear: Ear) -> Iterator[Stretch]:
    """Yield the stretches of a whole recording, which end at every STEP and at its end.

    The voices of its first LENGTH are told apart with all of these samples at hand. Brief pieces
    end at every STEP.
    """
    beginning: list[tuple[NDArray[np.float32], int]] = []
    for samples, first in _cut(chunks):
        if first < 0:
            beginning.append((samples, first))
            continue
        if beginning:
            yield from _first_stretches(beginning, samples, ear)
            beginning = []
        yield ear.stretch(samples, first, brief_from=LENGTH - BRIEF)
    if beginning:
        samples, first = beginning[-1]
        yield from _first_stretches(beginning, np.roll(samples, first), ear)


def _first_stretches(
    cuts: Iterable[tuple[NDArray[np.float32], int]], samples: NDArray[np.float32], ear: Ear
) -> Iterator[Stretch]:
    """Yield the stretches that begin with the recording, from samples (LENGTH,)."""
    ends = [first + LENGTH for _, first in cuts]
    whole = [end for end in ends if end >= DESCRIBED or end == ends[-1]]
    for end in whole:
        yield ear.stretch(samples, 0, end, brief_from=0 if end == whole[0] else end - BRIEF)


def stretches_as_they_come(chunks: Iterable[AudioChunk], ear: Ear) -> Iterator[Stretch]:
    """Yield a stretch of sound at every STEP and at the end; silence is before the first sound."""
    for samples, first in _cut(chunks):
        yield ear.stretch(samples, first)


def _cut(chunks: Iterable[AudioChunk]) -> Iterator[tuple[NDArray[np.float32], int]]:
    cutter = _Cutter()
    for chunk in chunks:
        yield from cutter.push(chunk)
    yield from cutter.finish()


class LiveListener:
    """Who speaks now: chunks in, turns out, 0.5 to 1.5 s behind the sound.

    Now and then all voices are compared again (`passes`), and `again` tells who spoke in the last
    while by what is known then.

    Attributes:
        decided_ns: the time up to which turns were given.
        names: of the people whose voices are known, by speaker; as of the last pass.
    """

    def __init__(self, ear: Ear, most: int, known: Mapping[str, Vector] = NO_VOICES) -> None:
        """Tell at most `most` people apart; some voices may be `known` by name."""
        self.decided_ns = 0
        self.names: dict[str, str] = {}
        self._ear = ear
        self._known = known
        self._cutter = _Cutter()
        self._people = OnlineSpeakers(most)

    @property
    def not_found(self) -> set[str]:
        """The known people whose voice nobody has, as of the last pass."""
        return self._known.keys() - set(self.names.values())

    @property
    def passes(self) -> int:
        """How often all voices were compared again."""
        return self._people.clusterings

    @property
    def merged(self) -> dict[str, str]:
        """Who turned out to be whom; the former does not speak any more."""
        return {_name(one): _name(other) for one, other in self._people.merged.items()}

    @property
    def parted(self) -> dict[str, str]:
        """For whom people were taken before they turned out to be two."""
        return {_name(one): _name(other) for one, other in self._people.parted.items()}

    def again(self, since_ns: int) -> list[SpeakerTurn]:
        """Return the turns between `since_ns` and `decided_ns` by what is known now, by start."""
        self._recognise()
        since = since_ns * SAMPLE_RATE_HZ // (NS_PER_S * FRAME_STEP)
        return [_turn(each) for each in self._people.again(since)]

    def push(self, chunk: AudioChunk) -> list[SpeakerTurn]:
        """Take the next sound; return the turns that it decides, by start."""
        stretches = (self._ear.stretch(*cut) for cut in self._cutter.push(chunk))
        return self._given([turn for each in stretches for turn in self._people.add(each)])

    def finish(self) -> list[SpeakerTurn]:
        """Return the turns up to the end of the sound."""
        stretches = (self._ear.stretch(*cut) for cut in self._cutter.finish())
        turns = [turn for each in stretches for turn in self._people.add(each)]
        named = self._given([*turns, *self._people.finish()])
        self.decided_ns = max(self.decided_ns, self._cutter.end_ns)
        return named

    def _given(self, turns: Iterable[Turn]) -> list[SpeakerTurn]:
        if self._people.decided:
            self.decided_ns = time_ns(self._people.decided)
        return [_turn(each) for each in turns]

    def _recognise(self) -> None:
        """Name those whose voices are known; a name stays until another one's voice is nearer."""
        voices = self._people.voices
        if not voices or not self._known:
            return
        found = recognised(np.stack(list(voices.values())), self._known)
        numbers = list(voices)
        now = {_name(numbers[at]): name for at, name in found.items()}
        kept = {
            speaker: name
            for speaker, name in self.names.items()
            if speaker not in self.merged and name not in now.values()
        }
        self.names = {**kept, **now}


def _name(person: int) -> str:
    return f"speaker-{person + 1}"


def _turn(turn: Turn) -> SpeakerTurn:
    person, first, end = turn
    return SpeakerTurn(_name(person), time_ns(first), time_ns(end))


def time_ns(frame: int) -> int:
    """The time between a frame and the one before it."""
    samples = frame * FRAME_STEP + (FRAME_FIELD - FRAME_STEP) / 2
    return max(0, round(samples * NS_PER_S / SAMPLE_RATE_HZ))


class _Cutter:
    """Gives the last LENGTH samples at every STEP and at the end, and the number of their first.

    What lies before the recording, or in a hole between chunks, is silence.
    """

    def __init__(self) -> None:
        self._latest = np.zeros(LENGTH, np.float32)
        self._heard = 0

    @property
    def end_ns(self) -> int:
        """The end of the sound."""
        return self._heard * NS_PER_S // SAMPLE_RATE_HZ

    def push(self, chunk: AudioChunk) -> Iterator[tuple[NDArray[np.float32], int]]:
        begin = chunk.event_time_ns * SAMPLE_RATE_HZ // NS_PER_S
        samples = np.nan_to_num(np.asarray(chunk.samples, np.float32), posinf=0.0, neginf=0.0)
        samples = np.concatenate([np.zeros(max(0, begin - self._heard), np.float32), samples])
        while len(samples):
            room = STEP - self._heard % STEP
            self._latest = np.concatenate([self._latest, samples[:room]])[-LENGTH:]
            self._heard += len(samples[:room])
            samples = samples[room:]
            if self._heard % STEP == 0:
                yield self._latest, self._heard - LENGTH

    def finish(self) -> Iterator[tuple[NDArray[np.float32], int]]:
        if self._heard % STEP:
            yield self._latest, self._heard - LENGTH
