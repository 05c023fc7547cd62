"""Clustering: the voices of many stretches of sound → people, and when each of them speaks.

What enters: `Stretch`es, in which voices are numbered anew each time. What leaves: turns by person,
numbered in the order in which they first speak. Average linkage joins voices by their cosine
distance; then each stretch's voices are matched to the people, and all stretches that cover a
moment decide on it together. Pure; knows no sound, network or thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

SAME_PERSON, LEAST_DISTANCE, MOST_DISTANCE = 0.58, 0.4, 0.6
"""Cosine distance, on average, up to which voices are of one person: where little is known of a
recording, and the least and the most of it. The vectors of one person lie near each other where the
sound is clean, and far apart where it is far away or noisy."""
BEYOND_OWN = 0.2
"""What is added for it to the distance between two vectors of one voice, a low one of those that
the recording has (OWN_QUANTILE): higher ones may be of two people who were taken for one."""
OWN_QUANTILE, OWN_COUNT = 0.25, 10
"""SAME_PERSON counts as much as so many of these distances."""
OWN_ALONE_S, OWN_SHARE = 1.0, 0.8
"""What a voice needs for such a distance: speech alone at both times, and the share of its frames
in the earlier stretch in which the later one has it too."""
CLEAR_S = 0.8
"""Speech of one voice alone from which on its vector counts in the clustering."""
LEAST_S, LEAST_SHARE = 4.0, 0.5
"""A person has voices of this many seconds in all, counted in each stretch that has them, or this
share of the person who speaks most; other voices are of the nearest person."""
LEAST_WEIGHT_S = 0.01
"""A voice that is never alone, or of a brief piece, weighs as much as this."""
MOST_VOICES = 3000
"""Voices that are clustered; of more, evenly chosen ones are."""
MOST_AT_ONCE = 2
"""People who speak at the same moment, at most."""
LIKELY = (0.5, 0.25)
"""Mean probability above which one voice, and above which a second one speaks. A second one is
easily missed: what it adds below one half is more often right than wrong."""
ANOTHER_FRAMES = 60
"""Speech (1 s) of voices that are left in their stretches, when each person has one, from which on
they are another person's. Who only speaks while others do has no clear vector to be known by."""
FARTHER = 3.0
"""More than any distance: the cost of leaving a voice without a person."""

LOOK_BACK, GAP_FRAMES = 12, 8
"""Stretches among which the one before a described part is, and frames at its end that may be
missing: the last one ends a little before the sound does."""

BRIEF_VOTES = 2.0
"""Stretches as which a brief piece of one voice counts, in the frames that it describes."""
LEAST_PAIRS, PAIR_FRAMES = 4, 60
"""Distances between brief pieces that must be known for them to count, each between one and the
next that begins after its end, within so many frames."""

Turn = tuple[int, int, int]
"""A person's number, and the first frame and the end of the interval `[first, end)` of speech."""


class Brief(NamedTuple):
    """A second or two of one voice alone: more certainly of one person than a stretch's voice.

    Attributes:
        first_frame: of the recording.
        end_frame: the one behind its last.
        vector: of the voice, (width,), of length 1.
    """

    first_frame: int
    end_frame: int
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A few seconds of sound, in which each voice is told from the others but from no earlier one.

    Attributes:
        first_frame: of the recording; may be negative.
        active: which voices speak, (frames, voices) bool.
        vectors: of each voice, (voices, width), of length 1; zeros where too little was said.
        alone_s: seconds that describe each voice in which it speaks alone, (voices,).
        described_from: the frame of `active` from which on the vectors are of its voices; the
            frames before it tell only how many people speak.
        probable: how probable it is that each voice speaks, (frames, voices).
        at_once: how probable it is that one, and that a second voice speaks, (frames, 2). These two
            are certain, as `active` has them, where they are not given.
        briefs: its pieces of one voice that no earlier stretch has.
    """

    first_frame: int
    active: NDArray[np.bool_]
    vectors: NDArray[np.float32]
    alone_s: NDArray[np.float64]
    described_from: int = 0
    probable: NDArray[np.float32] | None = None
    at_once: NDArray[np.float32] | None = None
    briefs: tuple[Brief, ...] = ()

    @property
    def weights(self) -> NDArray[np.float64]:
        """How much each frame speaks for each voice, (frames, voices)."""
        return np.asarray(self.active if self.probable is None else self.probable, float)

    @property
    def counts(self) -> NDArray[np.float64]:
        """How probable it is that one, and that a second voice speaks, (frames, 2)."""
        if self.at_once is None:
            return np.asarray(self.active.sum(axis=1)[:, None] >= (1, 2), float)
        return np.asarray(self.at_once, float)

    @property
    def described(self) -> NDArray[np.intp]:
        """The numbers of the voices that have a vector."""
        return np.flatnonzero(self.vectors.any(axis=1))


def people(stretches: Sequence[Stretch], most: int) -> list[Turn]:
    """Return the turns of at most `most` people, by first frame."""
    return people_and_voices(stretches, most)[0]


def people_and_voices(
    stretches: Sequence[Stretch], most: int, distance: float | None = None
) -> tuple[list[Turn], NDArray[np.float32]]:
    """Return the turns of at most `most` people, by first frame, and each one's mean vector.

    Vectors are (people, width), of length 1; zeros of one whose voice is only in speech of several
    at once. Voices up to `distance` are of one person; None: as far as the stretches themselves
    tell.
    """
    if distance is None:
        distance = _same_person_in(stretches)
    briefs = [brief for stretch in stretches for brief in stretch.briefs]
    spread = brief_distance(briefs)
    clear = briefs if spread + BEYOND_OWN <= MOST_DISTANCE else []
    centres = _centres(stretches, clear, most, distance)
    if not len(centres):
        return [], centres
    if spread > distance:
        briefs = []
    if len(centres) < most:
        speaks = speaking_with_another(stretches, centres, briefs)
        centres = np.pad(centres, ((0, speaks.shape[1] - len(centres)), (0, 0)))
    else:
        speaks = speaking(stretches, centres, briefs)
    turns = turns_of(speaks)
    order = list(dict.fromkeys(person for person, _, _ in turns))
    numbers = {person: n for n, person in enumerate(order)}
    return [(numbers[person], first, end) for person, first, end in turns], centres[order]


def own_distances(earlier: Stretch, later: Stretch) -> list[float]:
    """Return the cosine distances between vectors of one voice at two times.

    The described part of the `earlier` stretch must be what the `later` one has before its own; so
    the segmentation tells which voice is which.
    """
    before, same = earlier.active[earlier.described_from :], later.active[: later.described_from]
    frames = min(len(before), len(same))
    common = before[:frames].T.astype(float) @ same[:frames].astype(float)
    return [
        float(1 - earlier.vectors[voice] @ later.vectors[found])
        for voice in earlier.described
        if (found := int(common[voice].argmax())) in later.described
        and min(earlier.alone_s[voice], later.alone_s[found]) >= OWN_ALONE_S
        and common[voice, found] > OWN_SHARE * before[:, voice].sum()
    ]


def precedes(earlier: Stretch, later: Stretch) -> bool:
    """Whether `earlier` ends where the described part of `later` begins."""
    begin = later.first_frame + later.described_from
    gap = begin - (earlier.first_frame + len(earlier.active))
    return later.described_from > 0 and 0 <= gap <= GAP_FRAMES


def same_person(distances: Sequence[float]) -> float:
    """Return the distance up to which voices are of one person, by `own_distances`."""
    if not len(distances):
        return SAME_PERSON
    own = np.quantile(np.asarray(distances), OWN_QUANTILE) + BEYOND_OWN
    found, count = np.clip(own, LEAST_DISTANCE, MOST_DISTANCE), len(distances)
    return float((count * found + OWN_COUNT * SAME_PERSON) / (count + OWN_COUNT))


def _same_person_in(stretches: Sequence[Stretch]) -> float:
    recent = deque[Stretch](maxlen=LOOK_BACK)
    distances: list[float] = []
    for later in stretches:
        for earlier in recent:
            if precedes(earlier, later):
                distances += own_distances(earlier, later)
        recent.append(later)
    return same_person(distances)


def brief_distance(briefs: Sequence[Brief]) -> float:
    """Return how far apart brief pieces of one person are, by cosine: the low ones of neighbours.

    It is infinite where too few are neighbours. Some neighbours are two people, but hardly those of
    the lower quartile.
    """
    distances = list(_between_neighbours(briefs))
    if len(distances) < LEAST_PAIRS:
        return np.inf
    return float(np.quantile(distances, OWN_QUANTILE))


def _between_neighbours(briefs: Sequence[Brief]) -> Iterator[float]:
    later = iter(briefs)
    after = next(later, None)
    for brief in briefs:
        while after is not None and after.first_frame < brief.end_frame:
            after = next(later, None)
        if after is not None and after.first_frame - brief.end_frame <= PAIR_FRAMES:
            yield float(1 - brief.vector @ after.vector)


def _centres(
    stretches: Sequence[Stretch], briefs: Sequence[Brief], most: int, distance: float
) -> NDArray[np.float32]:
    """Return the mean vector of each person, (people, width); those who speak most come first.

    The `briefs` tell people apart, but make nobody a person.
    """
    voices = [(s.vectors[v], s.alone_s[v]) for s in stretches for v in s.described]
    clear = [voice for voice in voices if voice[1] >= CLEAR_S]
    chosen = clear if len(clear) > 1 else voices
    if not chosen:
        return np.zeros((0, 0), np.float32)
    chosen = [*chosen, *((brief.vector, LEAST_WEIGHT_S) for brief in briefs)]
    chosen = [chosen[n] for n in _evenly(len(chosen))]
    vectors = np.stack([vector for vector, _ in chosen])
    seconds = np.array([max(alone_s, LEAST_WEIGHT_S) for _, alone_s in chosen])
    numbers = clustered(vectors, seconds, most, distance)
    persons = range(numbers.max() + 1)
    return np.stack([mean_vector(vectors[numbers == n], seconds[numbers == n]) for n in persons])


def clustered(
    vectors: NDArray[np.float32], seconds: NDArray[np.float64], most: int, distance: float
) -> NDArray[np.intp]:
    """Return whose each voice is: at most `most` people, numbered from 0, who speak most first.

    A voice of nobody who speaks enough has the number -1.

    Args:
        vectors: of at least one voice, (voices, width).
        seconds: of speech of each voice, (voices,).
        most: how many people there are at most.
        distance: up to which voices are of one person.
    """
    labels = np.ones(1, int)
    if len(vectors) > 1:
        tree = linkage(vectors, "average", metric="cosine")
        labels = fcluster(tree, distance, "distance")
    total_s = np.bincount(labels, seconds)
    order = np.argsort(-total_s, kind="stable")[:most]
    enough_s = min(LEAST_S, LEAST_SHARE * total_s.max())
    kept = [label for label in order if total_s[label] >= enough_s]
    numbers = np.full(len(total_s), -1)
    numbers[kept] = np.arange(len(kept))
    whose: NDArray[np.intp] = numbers[labels]
    return whose


def mean_vector(vectors: NDArray[np.float32], seconds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean of one person's vectors, weighted by seconds, of length 1."""
    total = (vectors * seconds[:, None]).sum(axis=0)
    mean: NDArray[np.float32] = (total / np.linalg.norm(total)).astype(np.float32)
    return mean


def _evenly(count: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, count - 1, min(count, MOST_VOICES)).astype(np.intp))


def speaking(
    stretches: Sequence[Stretch], centres: NDArray[np.float32], briefs: Sequence[Brief] = ()
) -> NDArray[np.bool_]:
    """Return who speaks in each frame from 0 on, (frames, people) bool.

    As many people speak as is LIKELY by the mean of the stretches: those for whom most speaks in
    the stretches that describe the voices of that moment, and in `briefs`.
    """
    return _most_voted(_votes(stretches, centres, briefs)[:, :-1], _at_once(stretches))


def speaking_with_another(
    stretches: Sequence[Stretch], centres: NDArray[np.float32], briefs: Sequence[Brief]
) -> NDArray[np.bool_]:
    """Return who speaks, as `speaking` does, and in a last column somebody who has no centre.

    It is there only if that person speaks long enough (ANOTHER_FRAMES).
    """
    votes, at_once = _votes(stretches, centres, briefs), _at_once(stretches)
    speaks = _most_voted(votes, at_once)
    if speaks[:, -1].sum() < ANOTHER_FRAMES:
        return _most_voted(votes[:, :-1], at_once)
    return speaks


def _votes(
    stretches: Sequence[Stretch], centres: NDArray[np.float32], briefs: Sequence[Brief]
) -> NDArray[np.float64]:
    """Return how much speaks for each person in each frame, (frames, people + 1).

    The last one has the voices of a stretch that are left when each person has one.
    """
    votes = np.zeros((_frames(stretches), len(centres) + 1))
    for stretch in stretches:
        first = max(stretch.described_from, -stretch.first_frame)
        weights = stretch.weights[first:]
        span = slice(stretch.first_frame + first, stretch.first_frame + first + len(weights))
        voices = stretch.described
        distances = 1 - stretch.vectors[voices] @ centres.T
        left = np.full((len(voices), len(voices)), FARTHER)
        for voice, person in zip(*linear_sum_assignment(np.hstack([distances, left])), strict=True):
            votes[span, min(person, len(centres))] += weights[:, voices[voice]]
    for brief in briefs:
        nearest = (centres @ brief.vector).argmax()
        votes[brief.first_frame : brief.end_frame, nearest] += BRIEF_VOTES
    return votes


def _at_once(stretches: Sequence[Stretch]) -> NDArray[np.intp]:
    """Return how many people are likely to speak in each frame, (frames,)."""
    counted = np.zeros((_frames(stretches), MOST_AT_ONCE))
    covering = np.zeros((len(counted), 1))
    for stretch in stretches:
        counts = stretch.counts[max(0, -stretch.first_frame) :]
        span = slice(max(0, stretch.first_frame), max(0, stretch.first_frame) + len(counts))
        covering[span] += 1
        counted[span] += counts
    likely = counted / np.maximum(covering, 1) > LIKELY
    at_once: NDArray[np.intp] = likely.cumprod(axis=1).sum(axis=1)
    return at_once


def _frames(stretches: Sequence[Stretch]) -> int:
    return max(stretch.first_frame + len(stretch.active) for stretch in stretches)


def _most_voted(votes: NDArray[np.float64], at_once: NDArray[np.intp]) -> NDArray[np.bool_]:
    ranks = np.argsort(np.argsort(-votes, axis=1, kind="stable"), axis=1)
    speaks: NDArray[np.bool_] = (ranks < at_once[:, None]) & (votes > 0)
    return speaks


def turns_of(speaks: NDArray[np.bool_]) -> list[Turn]:
    """Return the turns of people, by first frame, from who speaks in each frame."""
    turns = []
    for person in range(speaks.shape[1]):
        edges = np.flatnonzero(np.diff(speaks[:, person], prepend=False, append=False))
        turns += [(person, int(first), int(end)) for first, end in edges.reshape(-1, 2)]
    return sorted(turns, key=lambda turn: turn[1:])
