"""What the logits of an emotion head tell of valence.

What enters: logits or shares of emotions. What leaves: valence, the odds of its sign, and the
columns that an encoder's features may end in. It depends on no encoder.

Legend for shapes: B batch, C classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from semi_iin.labels import NEGATIVE_EMOTIONS, POSITIVE_EMOTIONS

VALENCE_COLUMNS = 2
SCALE = 5.0
"""Of columns against states, which are about 1. All weights of Semi-IIN change at one rate, so what
it makes of a column is learned that many times as fast, in a training of some hundred steps."""


def emotion_valence(shares: Tensor, classes: Sequence[str]) -> Tensor:
    """Return valences (B,) in [-1, 1] of the shares (B, classes) of emotions.

    Valence is the share of happy less that of the negative emotions.
    """
    positive, negative = signed_classes(classes)
    return shares[:, positive].sum(dim=1) - shares[:, negative].sum(dim=1)


def sign_odds(logits: Tensor, classes: Sequence[str]) -> Tensor:
    """Return the log odds (B,) of a positive against a negative emotion, of logits (B, classes)."""
    positive, negative = signed_classes(classes)
    return logits[:, positive].logsumexp(dim=1) - logits[:, negative].logsumexp(dim=1)


def signed_classes(classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return which classes are positive, and which are negative. (classes,) bool each."""
    return (
        torch.tensor([name in POSITIVE_EMOTIONS for name in classes]),
        torch.tensor([name in NEGATIVE_EMOTIONS for name in classes]),
    )


def emotion_columns(logits: Tensor, classes: Sequence[str]) -> Tensor:
    """Return the columns (B, C + 2) float32 of logits (B, C).

    They are the classes' shares (less the mean share), the valence, both in units in which
    valence is in [-3, 3], and half the log odds of a positive against a negative emotion, at most
    5 in size; all are multiplied by `SCALE`. Without classes of either sign the last two are
    constant.
    """
    logits = logits.float()
    shares = logits.softmax(dim=-1)
    valence = emotion_valence(shares, classes)
    odds = (sign_odds(logits, classes) / 2).clamp(-5, 5).nan_to_num()
    columns = [3 * (shares - 1 / len(classes)), 3 * valence[:, None], odds[:, None]]
    return SCALE * torch.cat(columns, dim=-1)
