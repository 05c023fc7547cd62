"""Voices that are known: which person of a recording each of them is.

What enters: the vectors of a recording's people and of known voices. What leaves: names. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

KNOWN_VOICE = 0.6
"""Least cosine of a person's vector and a known voice's for the person to get its name.

Chosen on ten actors of CREMA-D, of whom no result is reported (`benchmarks/known_voices.py`).
"""

Vector = NDArray[np.float32]
NO_VOICES: Mapping[str, Vector] = {}


def recognised(people: Vector, known: Mapping[str, Vector]) -> dict[int, str]:
    """Return the names of people whose voices are known, by the people's numbers.

    Each voice is of one person at most, and each person has one voice at most, so that the cosines
    add up to most; a pair below KNOWN_VOICE is none.

    Args:
        people: (people, width), of length 1.
        known: (width,) by name, of length 1.
    """
    if not len(people) or not known:
        return {}
    names = list(known)
    cosines = people @ np.stack([known[name] for name in names]).T
    likely = np.where(cosines >= KNOWN_VOICE, cosines, 0.0)
    pairs = zip(*linear_sum_assignment(-likely), strict=True)
    return {int(n): names[at] for n, at in pairs if likely[n, at] > 0}
