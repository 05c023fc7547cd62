"""The estimate of one participant's valence: a weighted mean, its uncertainty, and its trend.

Valence is an exponentially weighted mean over event time: a score of age `a` counts with
`weight · exp(−a / time_constant)`, weight = the model's confidence (its highest class probability)
times the sum over the evidence of `weight_<modality>` · presence. Steps may be irregular. Class
probabilities are smoothed with the same weights.

Uncertainty is the standard deviation of that mean as an estimate of the current valence:

    variance = noise · (SHARED + (1 − SHARED) · Σ aᵢ²) + drift² · mean age of the evidence

`aᵢ` are the normalised weights. `noise` is the weighted mean of the squared error that the model
expects of itself: the second moment of its class probabilities about its valence. Errors on one
speaker's overlapping windows are correlated, by SHARED, so averaging removes only the rest. The
last term is the upper bound of a random walk of `drift_per_sqrt_min` since the evidence. Without
evidence only the age grows, so a gap widens the uncertainty, up to NO_KNOWLEDGE, a uniform guess
over the scale; a value no better than that is discarded. Until then the state keeps it, and
evidence after the gap is combined with its decayed weight.

The trend is the slope of a line through the smoothed values, exponentially weighted with
`trend_window`; it is published once the line spans TREND_FROM of that.
"""

from __future__ import annotations

import math

import msgspec

from streamer.config import SmoothingConfig
from streamer.records import (
    Score,
)

SHARED = 0.5
"""Correlation between the errors of two windows of one speaker, and of two speakers' valence."""
NO_KNOWLEDGE = math.sqrt(3.0)
"""Standard deviation of a uniform guess over [-3, 3]: the largest uncertainty there is."""
CLASS_CENTRES = (-2.75, -2.0, -1.0, 0.0, 1.0, 2.0, 2.75)
TREND_FROM = 1 / 6
"""Share of the trend window that the evidence must span before a trend is published."""
Probabilities = tuple[float, float, float, float, float, float, float]


class Estimate(msgspec.Struct, frozen=True):
    """The weighted mean over the evidence so far, as it stood at the last evidence.

    Attributes:
        valence: in [-3, 3].
        class_probabilities: seven, summing to 1.
        weight: sum of the weights, decayed to `at_ms`.
        noise: mean variance that the model expects of its valence.
        concentration: sum of the squared normalised weights; 1 with a single score.
        age_s: mean age of the evidence.
        at_ms: event time of the last evidence.
    """

    valence: float
    class_probabilities: Probabilities
    weight: float
    noise: float
    concentration: float
    age_s: float
    at_ms: int


class Trend(msgspec.Struct, frozen=True):
    """An exponentially weighted regression of values on time: weight, means, centred sums."""

    since_ms: int
    at_ms: int
    weight: float
    mean_s: float
    mean: float
    spread_s2: float = 0.0
    product_s: float = 0.0


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """The part of a score that the estimate depends on; `valence` None where nothing counts."""

    end_ms: int
    valence: float | None
    weight: float
    class_probabilities: Probabilities


class Knowledge(msgspec.Struct, frozen=True, array_like=True):
    """What the evidence so far tells; both None before any, and after it has been discarded."""

    estimate: Estimate | None = None
    trend: Trend | None = None


def evidence_of(score: Score, config: SmoothingConfig) -> Evidence:
    """Return what a score adds."""
    probabilities = _probabilities(score)
    weight = max(probabilities) * _present(score, config)
    counts = score.valence is not None and weight > 0
    return Evidence(score.end_ms, score.valence if counts else None, weight, probabilities)


def learn(known: Knowledge, evidence: Evidence, config: SmoothingConfig) -> Knowledge:
    """Return what is known after one more window, which may be without evidence."""
    estimate = known.estimate
    if evidence.valence is not None:
        estimate = _add(estimate, evidence, evidence.valence, config)
        at_ms, value = evidence.end_ms, estimate.valence
        trend = extend_trend(known.trend, at_ms, value, evidence.weight, config)
        return Knowledge(estimate, trend)
    if estimate is not None and uncertainty_at(estimate, evidence.end_ms, config) == NO_KNOWLEDGE:
        return Knowledge()
    return known


def _present(score: Score, config: SmoothingConfig) -> float:
    """Return the weighted presence of what counted; 0 when nothing did."""
    presence, evidence, present = score.presence, score.evidence, 0.0
    if "audio" in evidence:
        present += config.weight_audio * presence.audio
    if "text" in evidence:
        present += config.weight_text * presence.text
    if "vision" in evidence:
        present += config.weight_vision * presence.vision
    return present


def _probabilities(score: Score) -> Probabilities:
    """The score's class probabilities, summing to 1; uniform where it has none."""
    given = score.class_probabilities
    total = sum(given) if given is not None else 0.0
    if given is None or total <= 0:
        return (1 / 7,) * 7
    return tuple([p / total for p in given])  # type: ignore[return-value]


def _expected_error(probabilities: Probabilities, valence: float) -> float:
    """Variance about `valence` if the classes are as probable as the model says."""
    squares = [
        p * (centre - valence) ** 2 for p, centre in zip(probabilities, CLASS_CENTRES, strict=True)
    ]
    return sum(squares) + 1 / 12


def _add(
    estimate: Estimate | None, evidence: Evidence, valence: float, config: SmoothingConfig
) -> Estimate:
    probabilities, weight = evidence.class_probabilities, evidence.weight
    noise = _expected_error(probabilities, valence)
    if estimate is None:
        return Estimate(valence, probabilities, weight, noise, 1.0, 0.0, evidence.end_ms)
    elapsed_s = max(0, evidence.end_ms - estimate.at_ms) / 1000
    decayed = estimate.weight * math.exp(-elapsed_s / config.time_constant_s)
    gain = weight / (decayed + weight)
    return Estimate(
        valence=_towards(estimate.valence, valence, gain),
        class_probabilities=tuple(  # type: ignore[arg-type]
            [
                _towards(old, new, gain)
                for old, new in zip(estimate.class_probabilities, probabilities, strict=True)
            ]
        ),
        weight=decayed + weight,
        noise=_towards(estimate.noise, noise, gain),
        concentration=(1 - gain) ** 2 * estimate.concentration + gain**2,
        age_s=(1 - gain) * (estimate.age_s + elapsed_s),
        at_ms=max(estimate.at_ms, evidence.end_ms),
    )


def _towards(old: float, new: float, gain: float) -> float:
    """`old + gain · (new − old)`, never outside the two through rounding."""
    value = old + gain * (new - old)
    low, high = (old, new) if old < new else (new, old)
    return low if value < low else high if value > high else value


def uncertainty_at(estimate: Estimate, at_ms: int, config: SmoothingConfig) -> float:
    """Standard deviation of the estimate at `at_ms`, at most NO_KNOWLEDGE."""
    error = estimate.noise * (SHARED + (1 - SHARED) * estimate.concentration)
    age_min = (estimate.age_s + max(0, at_ms - estimate.at_ms) / 1000) / 60
    return min(NO_KNOWLEDGE, math.sqrt(error + config.drift_per_sqrt_min**2 * age_min))


def extend_trend(
    trend: Trend | None, at_ms: int, value: float, weight: float, config: SmoothingConfig
) -> Trend:
    """Return the trend with one more point."""
    at_s = at_ms / 1000
    if trend is None:
        return Trend(at_ms, at_ms, weight, at_s, value)
    decay = math.exp(-max(0, at_ms - trend.at_ms) / 1000 / config.trend_window_s)
    decayed = trend.weight * decay
    gain = weight / (decayed + weight)
    ahead_s, above = at_s - trend.mean_s, value - trend.mean
    return Trend(
        since_ms=trend.since_ms,
        at_ms=max(trend.at_ms, at_ms),
        weight=decayed + weight,
        mean_s=trend.mean_s + gain * ahead_s,
        mean=trend.mean + gain * above,
        spread_s2=trend.spread_s2 * decay + weight * (1 - gain) * ahead_s**2,
        product_s=trend.product_s * decay + weight * (1 - gain) * ahead_s * above,
    )


def slope_per_min(trend: Trend | None, config: SmoothingConfig) -> float | None:
    """Return the trend, valence units per minute; None while it spans too little time."""
    if trend is None or trend.at_ms - trend.since_ms < TREND_FROM * config.trend_window_s * 1000:
        return None
    return 60 * trend.product_s / trend.spread_s2 if trend.spread_s2 > 0 else None
