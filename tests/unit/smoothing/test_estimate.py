"""The weighted mean, its uncertainty and its trend, from hand-made scores."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import pytest

from streamer.config import SmoothingConfig
from streamer.records import (
    Presence,
)
from streamer.smoothing.estimate import NO_KNOWLEDGE
from tests.smoothing_runs import (
    score,
    smooth,
)


def test_uncertainty_of_one_window_is_the_error_that_the_model_expects() -> None:
    # 0.7 in the class around 1, 0.05 in each other: Σ p (centre − 1.0)² + 1/12
    [first] = smooth([score(0, 1.0)])
    others = [-2.75, -2.0, -1.0, 0.0, 2.0, 2.75]

    assert first.uncertainty == pytest.approx(
        math.sqrt(sum(0.05 * (centre - 1) ** 2 for centre in others) + 1 / 12)
    )


def test_the_mean_forgets_with_the_time_constant() -> None:
    # 0 for a long time, then 1 from window 100 on: after τ = 5 s, 1 − 1/e of the way
    values = [score(k, 0.0) for k in range(100)] + [score(k, 1.0) for k in range(100, 105)]
    out = smooth(values, SmoothingConfig(time_constant_s=5.0))

    assert out[99].valence == 0.0
    assert out[104].valence == pytest.approx(1 - math.exp(-1), abs=1e-6)


def test_steps_may_be_irregular() -> None:
    # 0 at 1 s and 1 at 1 s + τ·ln 2: the old score counts half
    config = SmoothingConfig(time_constant_s=10.0, lateness_s=0.0)
    later = 1000 + round(10_000 * math.log(2))
    out = smooth([score(0, 0.0), score(1, 1.0, end_ms=later)], config)

    assert out[1].valence == pytest.approx(2 / 3, abs=1e-4)


def test_confidence_and_modalities_weigh() -> None:
    base, config = score(0, 0.0), SmoothingConfig(time_constant_s=1e9)
    sure = smooth([base, score(1, 1.0, confidence=0.7)], config)[1].valence
    unsure = smooth([base, score(1, 1.0, confidence=0.35)], config)[1].valence
    voice = smooth([base, score(1, 1.0, evidence=("audio",))], config)[1].valence

    assert sure == pytest.approx(1 / 2)
    assert unsure == pytest.approx(1 / 3)
    assert voice == pytest.approx(0.7 / (2.2 + 0.7))


def test_presence_without_evidence_does_not_weigh() -> None:
    config = SmoothingConfig(time_constant_s=1e9)
    odd = msgspec.structs.replace(
        score(1, 1.0, evidence=("text",)), presence=Presence(audio=1.0, text=1.0, vision=1.0)
    )

    assert smooth([score(0, 0.0), odd], config)[1].valence == pytest.approx(1 / 3.2)


def test_a_modality_of_weight_zero_is_no_evidence() -> None:
    [first] = smooth([score(0, 1.0, evidence=("audio",))], SmoothingConfig(weight_audio=0.0))

    assert (first.valence, first.valence_raw, first.label) == (None, 1.0, None)


def test_a_score_without_classes_counts_as_unsure() -> None:
    bare = msgspec.structs.replace(score(0, 1.0), class_probabilities=None)
    [first] = smooth([bare])

    assert first.valence == 1.0
    assert first.uncertainty == NO_KNOWLEDGE
    assert first.class_probabilities == pytest.approx([1 / 7] * 7)


def test_agreeing_windows_are_less_uncertain_than_one_but_never_certain() -> None:
    out = smooth([score(k, 1.0) for k in range(100)])
    assert out[0].uncertainty is not None
    assert out[99].uncertainty is not None

    assert out[99].uncertainty < out[0].uncertainty
    assert out[99].uncertainty > math.sqrt(0.5) * out[0].uncertainty


def test_rounding_never_leaves_the_range_of_the_input() -> None:
    # old + 1.0 · (new − old) is not new for these two floats
    config = SmoothingConfig(time_constant_s=0.001, lateness_s=0.0)
    old, new = 1.3292401940446954, -1.6274266723772841
    assert old + (new - old) < new

    assert smooth([score(0, old), score(1, new)], config)[1].valence == new


def test_old_evidence_is_less_certain_evidence() -> None:
    # two equal scores 12 s apart, weighted alike: on average 6 s old, 0.1 min
    config = SmoothingConfig(time_constant_s=1e9, drift_per_sqrt_min=2.0, lateness_s=0.0)
    first, second = smooth([score(0, 1.0), score(1, 1.0, end_ms=13_000)], config)
    assert first.uncertainty is not None

    assert second.uncertainty == pytest.approx(
        math.sqrt(first.uncertainty**2 * (0.5 + 0.5 * 0.5) + 2.0**2 * 0.1)
    )


def test_the_trend_is_the_slope_per_minute() -> None:
    # rising by 0.02 a second = 1.2 a minute; a lagging mean of a ramp has the ramp's slope
    out = smooth([score(k, -1.0 + 0.02 * k) for k in range(100)])

    assert [s.trend_per_min for s in out[:10]] == [None] * 10
    assert out[10].trend_per_min is not None
    assert out[99].trend_per_min == pytest.approx(1.2, rel=0.02)
    assert smooth([score(k, 1.0) for k in range(100)])[99].trend_per_min == 0.0


def test_a_gap_widens_the_uncertainty_and_ends_without_an_estimate() -> None:
    # drift 0.5 per √min: variance grows by 0.25 a minute until it reaches that of a guess, 3
    out = smooth([score(0, 1.0)] + [score(k, None) for k in range(1, 1_000)])
    known = [s.uncertainty for s in out if s.uncertainty is not None]
    assert {s.valence for s in out[1:]} == {None}

    assert all(later > earlier for earlier, later in pairwise(known))
    assert known[60] ** 2 - known[0] ** 2 == pytest.approx(0.25)
    assert len(known) == math.ceil((3 - known[0] ** 2) / 0.25 * 60)
    assert out[999].uncertainty is None, "discarded"


def test_evidence_after_a_gap_is_combined_with_the_decayed_estimate() -> None:
    config = SmoothingConfig(time_constant_s=5.0)
    gap = [score(0, 0.0)] + [score(k, None) for k in range(1, 10)]
    [*_, back] = smooth([*gap, score(10, 1.0)], config)
    [_, beside] = smooth([score(0, 0.0), score(1, 1.0)], config)
    assert back.uncertainty is not None
    assert beside.uncertainty is not None

    assert back.valence == pytest.approx(1 / (1 + math.exp(-2)))
    assert back.uncertainty > beside.uncertainty


def test_evidence_after_the_estimate_is_discarded_starts_anew() -> None:
    out = smooth([score(0, -2.0), *(score(k, None) for k in range(1, 1_000)), score(1_000, 1.5)])

    assert out[-1].valence == 1.5
    assert out[-1].uncertainty == smooth([score(0, 1.5)])[0].uncertainty
