"""Who speaks now: the voices of stretches of sound → people, while the sound goes on.

What enters: a `Stretch` at every step, each ending where the sound has come to. What leaves: turns
by person that go on where the last ones ended, up to LATENCY_FRAMES before that end. A voice is the
person's whose voices were nearest so far; one that is near to nobody's is a new person. Now and
then all voices are clustered again, and each cluster keeps the number that most of its speech had;
so two people may turn out to be one, or one to be two.
Pure; knows no sound, network or thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from streamer.speakers.clustering import (
    CLEAR_S,
    LOOK_BACK,
    Stretch,
    Turn,
    clustered,
    mean_vector,
    own_distances,
    precedes,
    same_person,
    speaking,
    turns_of,
)

LATENCY_FRAMES = 30
"""Frames (0.5 s) at the end of a stretch that the next one decides."""
NEW_FROM_S, MOVED_FROM_S = 1.0, 0.5
"""Speech of one voice alone from which on it is a new person's, and changes what is known of a
person's voice."""
AGAIN_STEPS = 20
"""Steps after which all voices are clustered again."""
MOST_KEPT = 500
"""Voices that are kept for that; of more, every second one of the older half is forgotten."""
HELD = 600
"""Stretches that can be labelled again: ten minutes at a step of a second."""
NOBODY = -1

Vector = NDArray[np.float32]


@dataclass(slots=True)
class _Voice:
    """A voice that was clear, and whose it is taken for."""

    vector: Vector
    alone_s: float
    person: int


class OnlineSpeakers:
    """At most `most` people at a time, numbered from 0 as they are noticed.

    No number is used again; who turned out to be somebody else is not counted any more.

    Attributes:
        clusterings: how often all voices were clustered again.
        parted: whose the voice of a person was taken for, until they turned out to be two.
    """

    def __init__(
        self, most: int, *, again_steps: int = AGAIN_STEPS, most_kept: int = MOST_KEPT
    ) -> None:
        """Begin with nobody; the others are as AGAIN_STEPS and MOST_KEPT."""
        self._most = most
        self._again_steps = again_steps
        self._most_kept = most_kept
        self.clusterings = 0
        self.parted: dict[int, int] = {}
        self._merged: dict[int, int] = {}
        self._numbers = 0
        self._sums: dict[int, Vector] = {}
        self._voices: list[_Voice] = []
        self._held: deque[Stretch] = deque(maxlen=HELD)
        self._own_distances: deque[float] = deque(maxlen=most_kept)
        self._same_person = same_person(())
        self._steps = 0
        self._end = self._decided = 0

    @property
    def decided(self) -> int:
        """The frame up to which turns were given."""
        return self._decided

    @property
    def merged(self) -> dict[int, int]:
        """Who turned out to be whom, by the number that is not used any more."""
        return {person: self._remaining(person) for person in self._merged}

    @property
    def voices(self) -> Mapping[int, Vector]:
        """The mean vector of each person's voice, of length 1."""
        return {person: _normal(total) for person, total in self._sums.items()}

    def add(self, stretch: Stretch) -> list[Turn]:
        """Take the next stretch; return the turns that it decides, by first frame."""
        self._compare(stretch)
        self._learn(stretch)
        self._held.append(stretch)
        self._end = stretch.first_frame + len(stretch.active)
        self._steps += 1
        if self._steps % self._again_steps == 0:
            self._cluster_again()
        return self._decide(self._end - LATENCY_FRAMES)

    def finish(self) -> list[Turn]:
        """Return the turns up to the end of the sound, all voices clustered once more."""
        self._cluster_again()
        return self._decide(self._end)

    def again(self, since: int = 0) -> list[Turn]:
        """Return the turns from frame `since` on by what is known now, by first frame.

        They reach back HELD stretches at most.
        """
        held = [s for s in self._held if s.first_frame + len(s.active) > since]
        if not held:
            return []
        first = held[0].first_frame + held[0].described_from
        return self._turns(held, max(since, 0, first), self._decided)

    def _decide(self, until: int) -> list[Turn]:
        first, self._decided = self._decided, max(self._decided, until)
        if self._decided == first:
            return []
        recent = [s for s in self._held if s.first_frame + len(s.active) > first]
        return self._turns(recent, first, until)

    def _turns(self, stretches: Iterable[Stretch], first: int, until: int) -> list[Turn]:
        """Return who speaks in the frames `[first, until)`."""
        if not self._sums or until <= first:
            return []
        people = list(self._sums)
        centres = np.stack([_normal(self._sums[person]) for person in people])
        shifted = [replace(s, first_frame=s.first_frame - first) for s in stretches]
        found = turns_of(speaking(shifted, centres)[: until - first])
        return [(people[n], first + begin, first + end) for n, begin, end in found]

    # --- what is known of people's voices

    def _compare(self, later: Stretch) -> None:
        """Learn how far apart the vectors of one person are here."""
        for earlier in list(self._held)[-LOOK_BACK:]:
            if precedes(earlier, later):
                self._own_distances += own_distances(earlier, later)
        self._same_person = same_person(self._own_distances)

    def _learn(self, stretch: Stretch) -> None:
        voices = stretch.described
        whose = self._nearest(stretch.vectors[voices])
        for voice, person in zip(voices, whose, strict=True):
            vector, alone_s = stretch.vectors[voice], float(stretch.alone_s[voice])
            if person == NOBODY and alone_s >= NEW_FROM_S:
                person = self._new_person(len(self._sums))
            if person != NOBODY and alone_s >= MOVED_FROM_S:
                before, added = self._sums.get(person), vector * np.float32(alone_s)
                self._sums[person] = added if before is None else before + added
            if alone_s >= CLEAR_S:
                self._voices.append(_Voice(vector, alone_s, person))
        if len(self._voices) > self._most_kept:
            half = len(self._voices) // 2
            self._voices = self._voices[:half:2] + self._voices[half:]

    def _nearest(self, vectors: Vector) -> list[int]:
        """Return the person of each voice of a stretch, no person twice; NOBODY if none is near."""
        whose = [NOBODY] * len(vectors)
        if not self._sums or not len(vectors):
            return whose
        people = list(self._sums)
        centres = np.stack([_normal(self._sums[person]) for person in people])
        distances = 1 - vectors @ centres.T
        far = np.where(distances > self._same_person, 10.0, distances)
        for voice, at in zip(*linear_sum_assignment(far), strict=True):
            if distances[voice, at] <= self._same_person:
                whose[voice] = people[at]
        return whose

    def _new_person(self, known: int) -> int:
        """Return a new number, or NOBODY where as many as there may be are known."""
        if known >= self._most:
            return NOBODY
        self._numbers += 1
        return self._numbers - 1

    # --- clustering again

    def _cluster_again(self) -> None:
        """Cluster all voices; each cluster is the person's whose voices most of it were."""
        self.clusterings += 1
        if len(self._voices) < 2:
            return
        vectors = np.stack([voice.vector for voice in self._voices])
        seconds = np.array([voice.alone_s for voice in self._voices])
        clusters = clustered(vectors, seconds, self._most, self._same_person)
        whose = dict(self._kept_numbers(clusters, seconds))
        before = self._sums
        self._sums = {
            person: mean_vector(vectors[clusters == cluster], seconds[clusters == cluster])
            * np.float32(seconds[clusters == cluster].sum())
            for cluster, person in whose.items()
        }
        for person in before.keys() - self._sums.keys():
            into = self._absorber(person, clusters, seconds, whose)
            if into == NOBODY:
                self._sums[person] = before[person]
            else:
                self._merged[person] = into
        self._sums = dict(sorted(self._sums.items()))
        for voice, cluster in zip(self._voices, clusters, strict=True):
            voice.person = whose.get(cluster, self._still(voice.person))

    def _kept_numbers(
        self, clusters: NDArray[np.intp], seconds: NDArray[np.float64]
    ) -> Iterator[tuple[int, int]]:
        """Yield each cluster's person: with whom it has most speech in common, else a new one."""
        labels = np.array([voice.person for voice in self._voices])
        common = np.zeros((clusters.max() + 1, self._numbers))
        for cluster, person, spoken_s in zip(clusters, labels, seconds, strict=True):
            if NOBODY not in (cluster, person):
                common[cluster, person] += spoken_s
        pairs = dict(zip(*linear_sum_assignment(-common), strict=True))
        known = len(self._sums)
        for cluster in range(len(common)):
            person = pairs.get(cluster)
            if person is None or not common[cluster, person]:
                person = self._new_person(known)
                known += person != NOBODY
                if person != NOBODY and common[cluster].any():
                    self.parted[person] = int(common[cluster].argmax())
            if person != NOBODY:
                yield cluster, int(person)

    def _absorber(
        self,
        person: int,
        clusters: NDArray[np.intp],
        seconds: NDArray[np.float64],
        whose: Mapping[int, int],
    ) -> int:
        """Return who has most of a person's speech, if most of it is in others' clusters."""
        own = np.array([voice.person == person for voice in self._voices])
        elsewhere = seconds[own & (clusters == NOBODY)].sum()
        shares = {other: seconds[own & (clusters == n)].sum() for n, other in whose.items()}
        if sum(shares.values()) <= elsewhere:
            return NOBODY
        return max(shares, key=shares.__getitem__)

    def _remaining(self, person: int) -> int:
        while person in self._merged:
            person = self._merged[person]
        return person

    def _still(self, person: int) -> int:
        return person if person in self._sums else NOBODY


def _normal(vector: Vector) -> Vector:
    normal: Vector = vector / np.linalg.norm(vector)
    return normal
