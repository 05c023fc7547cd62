"""The vocabulary of labels: sentiment classes, polarities and emotions, and their signs.

Valence is a number in [-3, 3]; the seven classes cut it at -2.5, -1.5, ..., 2.5, each class closed
below, as in the Semi-IIN paper. The class names are those of the published records.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLASS_EDGES = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)
CLASS_NAMES = (
    "strongly negative",
    "negative",
    "weakly negative",
    "neutral",
    "weakly positive",
    "positive",
    "strongly positive",
)
POLARITIES = ("negative", "neutral", "positive")

_EMOTION_SPELLINGS = {
    "happy": ("happy", "happiness", "joy", "joyful", "hap"),
    "sad": ("sad", "sadness"),
    "angry": ("angry", "anger", "ang"),
    "fearful": ("fearful", "fear", "afraid", "scared", "fea"),
    "disgusted": ("disgusted", "disgust", "dis"),
    "surprised": ("surprised", "surprise", "sur"),
    "neutral": ("neutral", "neutrality", "neu"),
    "calm": ("calm", "calmness"),
    "contempt": ("contempt", "contemptuous"),
}
_EMOTIONS = {
    spelling: name for name, spellings in _EMOTION_SPELLINGS.items() for spelling in spellings
}
POSITIVE_EMOTIONS = frozenset({"happy"})
NEGATIVE_EMOTIONS = frozenset({"sad", "angry", "fearful", "disgusted"})


def valence_class(valence: ArrayLike) -> NDArray[np.int64]:
    """Return the sentiment class 0 (strongly negative) to 6 (strongly positive) of valences."""
    return np.searchsorted(CLASS_EDGES, np.asarray(valence, dtype=np.float64), side="right")


def valence_sign(valence: float) -> int:
    """Return -1, 0 or 1; 0 for a valence whose class is neutral."""
    return int(valence >= 0.5) - int(valence < -0.5)


def emotion_name(name: str) -> str:
    """Return the one spelling of an emotion: `anger` and `Angry` are `angry`; others lower case."""
    plain = str(name).strip().lower()
    return _EMOTIONS.get(plain, plain)


def emotion_sign(emotion: str) -> int | None:
    """Return -1, 0 or 1; None for emotions, such as surprise, whose valence may be either."""
    if emotion in POSITIVE_EMOTIONS or emotion in NEGATIVE_EMOTIONS:
        return 1 if emotion in POSITIVE_EMOTIONS else -1
    return 0 if emotion in ("neutral", "calm") else None
