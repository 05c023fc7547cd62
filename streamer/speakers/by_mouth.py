"""Whose a face is: movements of mouths, and who speaks when → a speaker for each face, or nobody.

What enters: for each face the movement of its mouth over time, and turns by speaker. What leaves:
the faces that are certain to be a speaker's. Pure; knows no picture, sound or network.

    Ana speaks   ▂▂▂▂      ▂▂▂▂      ▂▂▂▂
    Bo speaks         ▂▂▂▂      ▂▂▂▂      ▂▂▂▂
    one mouth    ▅▃▆▄  ▁   ▄▆▃▅  ▁   ▃▅▄▆  ▁    moves when Ana speaks, rests when Bo does: Ana's
    another      ▃▅▄▃ ▅▃▄▅ ▃▄▅▃ ▄▅▃▄ ▅▃▄▅ ▃▅▄    always moves: nobody's
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from streamer.records import NS_PER_S
from streamer.spans import SpeakerTurn

SHORTEST_NS, LONGEST_NS = 1 * NS_PER_S, 4 * NS_PER_S
"""Pieces of speech of one person alone, in each of which a mouth has one mean movement."""
LEAST_SAMPLES = 3
"""Movements of a piece; in one with fewer, the face counts as out of view."""
LEAST_PIECES = 5
"""Pieces of the person's own speech, and of other people's, in which the face is in view."""
LEAST_SHARE = 0.85
"""Of the pairs of an own piece and another one, how many must have more movement in the own."""
MOST_CHANCE = 0.005
"""How probable so large a share may be where movement has nothing to do with speech."""
MARGIN = 0.2
"""How much larger the share must be than the face's for any other speaker, and any other face's."""
UNKNOWN = 0.5
"""The share where there are too few pieces: that of chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Mouth:
    """How much a mouth moves, more than the rest of its face; in any unit.

    Attributes:
        times_ns: when it was measured, increasing, (n,).
        movement: (n,).
    """

    times_ns: NDArray[np.int64]
    movement: NDArray[np.float64]


def speakers_by_mouth(mouths: Sequence[Mouth], turns: Sequence[SpeakerTurn]) -> dict[int, str]:
    """Return the speaker of each face, by the number of its mouth, where that is certain."""
    pieces = list(pieces_alone(turns))
    speakers = sorted({piece.speaker for piece in pieces})
    if len(speakers) < 2 or not mouths:
        return {}
    pairs = [list(_shares(mouth, pieces, speakers)) for mouth in mouths]
    shares = np.array([[share for share, _ in row] for row in pairs])
    certain = np.array([[is_certain for _, is_certain in row] for row in pairs])
    found = {}
    for face, speaker in zip(*np.nonzero(certain & (shares >= LEAST_SHARE)), strict=True):
        others = np.concatenate(
            [np.delete(shares[face], speaker), np.delete(shares[:, speaker], face)]
        )
        if shares[face, speaker] - others.max() >= MARGIN:
            found[int(face)] = speakers[speaker]
    return found


def pieces_alone(turns: Sequence[SpeakerTurn]) -> Iterator[SpeakerTurn]:
    """Yield the pieces in which one person speaks alone, in order, neither too short nor long."""
    for speaker, start_ns, end_ns in _alone(turns):
        length_ns = end_ns - start_ns
        if length_ns < SHORTEST_NS:
            continue
        count = math.ceil(length_ns / LONGEST_NS)
        edges = [start_ns + length_ns * n // count for n in range(count + 1)]
        for first, end in pairwise(edges):
            yield SpeakerTurn(speaker, first, end)


def _alone(turns: Sequence[SpeakerTurn]) -> Iterator[SpeakerTurn]:
    """Yield the intervals in which one person speaks and nobody else does."""
    changes = [(turn.start_ns, 1, turn.speaker) for turn in turns]
    changes += [(turn.end_ns, -1, turn.speaker) for turn in turns]
    speaking: Counter[str] = Counter()
    since_ns = 0
    for at_ns, change, speaker in sorted(changes):
        if len(speaking) == 1 and at_ns > since_ns:
            yield SpeakerTurn(next(iter(speaking)), since_ns, at_ns)
        speaking[speaker] += change
        if not speaking[speaker]:
            del speaking[speaker]
        since_ns = at_ns


def _shares(
    mouth: Mouth, pieces: Sequence[SpeakerTurn], speakers: Sequence[str]
) -> Iterator[tuple[float, bool]]:
    """Yield, for each speaker, the share of LEAST_SHARE, and whether chance cannot explain it."""
    means = [(piece.speaker, _mean(mouth, piece)) for piece in pieces]
    for speaker in speakers:
        own = [mean for who, mean in means if mean is not None and who == speaker]
        others = [mean for who, mean in means if mean is not None and who != speaker]
        if min(len(own), len(others)) < LEAST_PIECES:
            yield UNKNOWN, False
            continue
        test = mannwhitneyu(own, others, alternative="greater")
        yield test.statistic / (len(own) * len(others)), bool(test.pvalue <= MOST_CHANCE)


def _mean(mouth: Mouth, piece: SpeakerTurn) -> float | None:
    first, end = np.searchsorted(mouth.times_ns, piece[1:])
    return float(mouth.movement[first:end].mean()) if end - first >= LEAST_SAMPLES else None
