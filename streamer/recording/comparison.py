"""Two recordings of the same thing side by side: another model, or another setting.

What enters: two `Recording`s. What leaves: how far they agree, per participant and over all, and
where they differ most. Windows are matched by participant and index. Pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from streamer.errors import ConfigError
from streamer.recording.figures import mean_valence
from streamer.recording.recorded import Recording
from streamer.recording.transcript import window_text
from streamer.records import Sentiment

__all__ = ["Agreement", "Comparison", "Difference", "compare"]

DIFFERENCES = 5
APART_MS = 10_000
"""Least time between two shown differences of one person."""
EVERYBODY = "*"


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How far two recordings agree on one participant (`*`: on all of them).

    Attributes:
        windows: matched windows with evidence in both; the figures but the means are over these.
        only_a: windows with evidence in A alone (missing in B, or without evidence there).
        only_b: the same for B.
        mean_a: mean valence in A, over all its windows with evidence; of `*`, the meeting's own.
        mean_b: the same in B.
        mean_difference: mean of B minus A.
        mean_absolute: mean of |B - A|.
        correlation: Pearson's; null where it is not defined.
        same_label: share of windows with the same of the seven labels.
        same_polarity: share with the same of negative, neutral, positive.
    """

    participant_id: str
    windows: int
    only_a: int
    only_b: int
    mean_a: float | None = None
    mean_b: float | None = None
    mean_difference: float | None = None
    mean_absolute: float | None = None
    correlation: float | None = None
    same_label: float | None = None
    same_polarity: float | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A window on which the two differ much."""

    participant_id: str
    window_index: int
    end_ms: int
    valence_a: float
    valence_b: float
    text: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `agreement` by name, `*` last.

    Attributes:
        names: the names that people see, by participant, of those who have one.
    """

    session_a: str
    session_b: str
    models_a: tuple[str, ...]
    models_b: tuple[str, ...]
    agreement: tuple[Agreement, ...]
    differences: tuple[Difference, ...]
    names: dict[str, str] = {}


@dataclass(frozen=True)
class _Pair:
    a: Sentiment | None
    b: Sentiment | None


def compare(a: Recording, b: Recording) -> Comparison:
    """Match the windows of two recordings.

    Raises:
        ConfigError: they have no window in common.
    """
    of_a = {(s.participant_id, s.window_index): s for s in a.sentiments}
    of_b = {(s.participant_id, s.window_index): s for s in b.sentiments}
    if not of_a.keys() & of_b.keys():
        raise ConfigError(
            f"{a.summary.session_id!r} and {b.summary.session_id!r} have no participant and window "
            "in common: compare two recordings of the same source, with the same names and hop."
        )
    pairs = {key: _Pair(of_a.get(key), of_b.get(key)) for key in sorted(of_a | of_b)}
    names = sorted({name for name, _ in pairs})
    rows = [
        msgspec.structs.replace(
            _agreement(name, [pair for (who, _), pair in pairs.items() if who == name]),
            mean_a=mean_valence(a.of(name)),
            mean_b=mean_valence(b.of(name)),
        )
        for name in names
    ]
    everybody = _agreement(EVERYBODY, list(pairs.values()))
    rows.append(
        msgspec.structs.replace(
            everybody,
            mean_a=mean_valence(a.session_sentiments),
            mean_b=mean_valence(b.session_sentiments),
        )
    )
    return Comparison(
        session_a=a.summary.session_id,
        session_b=b.summary.session_id,
        models_a=a.summary.models,
        models_b=b.summary.models,
        agreement=tuple(rows),
        differences=_differences(list(pairs.values()), a),
        names={**b.names, **a.names},
    )


def _agreement(name: str, pairs: Sequence[_Pair]) -> Agreement:
    both = [(p.a, p.b) for p in pairs if p.a and p.b and _known(p.a) and _known(p.b)]
    only_a = sum(_known(p.a) and not _known(p.b) for p in pairs)
    only_b = sum(_known(p.b) and not _known(p.a) for p in pairs)
    if not both:
        return Agreement(participant_id=name, windows=0, only_a=only_a, only_b=only_b)
    of_a = [a.valence or 0.0 for a, _ in both]
    of_b = [b.valence or 0.0 for _, b in both]
    apart = [right - left for left, right in zip(of_a, of_b, strict=True)]
    return Agreement(
        participant_id=name,
        windows=len(both),
        only_a=only_a,
        only_b=only_b,
        mean_difference=statistics.fmean(apart),
        mean_absolute=statistics.fmean(map(abs, apart)),
        correlation=_correlation(of_a, of_b),
        same_label=sum(a.label == b.label for a, b in both) / len(both),
        same_polarity=sum(a.polarity == b.polarity for a, b in both) / len(both),
    )


def _differences(pairs: Sequence[_Pair], recording: Recording) -> tuple[Difference, ...]:
    """Return the largest differences; the words are those of `recording`, which is A."""
    apart = [
        (a, a.valence, b.valence)
        for a, b in ((pair.a, pair.b) for pair in pairs)
        if a and b and a.valence is not None and b.valence is not None
        if a.valence != b.valence
    ]
    chosen: list[Difference] = []
    for a, valence_a, valence_b in sorted(apart, key=lambda each: -abs(each[2] - each[1])):
        if any(
            other.participant_id == a.participant_id and abs(other.end_ms - a.end_ms) < APART_MS
            for other in chosen
        ):
            continue
        chosen.append(
            Difference(
                participant_id=a.participant_id,
                window_index=a.window_index,
                end_ms=a.end_ms,
                valence_a=valence_a,
                valence_b=valence_b,
                text=window_text(a, recording.sentiments),
            )
        )
        if len(chosen) == DIFFERENCES:
            break
    return tuple(chosen)


def _known(sentiment: Sentiment | None) -> bool:
    return sentiment is not None and sentiment.valence is not None


def _correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    try:
        return statistics.correlation(a, b)
    except statistics.StatisticsError:
        return None
