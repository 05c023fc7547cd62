"""What smoothing publishes for hand-made scores, and why."""

import math
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.records import (
    Alert,
    Gate,
    Modality,
    Presence,
    Score,
    Sentiment,
    SessionSentiment,
)
from streamer.smoothing.estimate import NO_KNOWLEDGE
from streamer.smoothing.participant import HELD_LIMIT, ParticipantState, flush, step
from streamer.smoothing.session import (
    SESSION_PATIENCE_MS,
    SessionState,
    session_flush,
    session_step,
)
from tests import made_records
from tests.made_records import START, class_probabilities

QUIET = AlertsConfig(enabled=False)


def score(
    index: int,
    valence: float | None,
    *,
    confidence: float = 0.7,
    evidence: tuple[Modality, ...] = ("audio", "text", "vision"),
    participant: str = "ana",
    **fields: Any,
) -> Score:
    if valence is not None:
        fields = {
            "class_probabilities": class_probabilities(valence, confidence),
            "presence": Presence(**dict.fromkeys(evidence, 1.0)),
            "evidence": evidence,
        } | fields
    return made_records.score(index, valence, participant_id=participant, **fields)


def run(
    scores: list[Score],
    config: SmoothingConfig | None = None,
    alerts: AlertsConfig = QUIET,
    state: ParticipantState | None = None,
) -> tuple[ParticipantState, list[Sentiment | Alert]]:
    outputs: list[Sentiment | Alert] = []
    state = state or ParticipantState()
    for one in scores:
        state, published = step(state, one, config or SmoothingConfig(), alerts)
        outputs += published
    return state, outputs


def smooth(scores: list[Score], config: SmoothingConfig | None = None) -> list[Sentiment]:
    return [out for out in run(scores, config)[1] if isinstance(out, Sentiment)]


def sentiments(outputs: Sequence[Sentiment | Alert]) -> list[Sentiment]:
    """`outputs`, which must hold no alert."""
    chosen = [out for out in outputs if isinstance(out, Sentiment)]
    assert len(chosen) == len(outputs)
    return chosen


def session_sentiments(outputs: Sequence[SessionSentiment | Alert]) -> list[SessionSentiment]:
    """`outputs`, which must hold no alert."""
    chosen = [out for out in outputs if isinstance(out, SessionSentiment)]
    assert len(chosen) == len(outputs)
    return chosen


def alerts_of(
    values: Sequence[float | None], config: AlertsConfig | None = None, *, final: bool = False
) -> list[tuple[str, str, int]]:
    quick = SmoothingConfig(time_constant_s=0.01)
    scores = [score(k, value) for k, value in enumerate(values)]
    if final:
        scores[-1] = msgspec.structs.replace(scores[-1], final=True)
    outputs = run(scores, quick, config or AlertsConfig())[1]
    return [(a.kind, a.state, a.end_ms // 1000) for a in outputs if isinstance(a, Alert)]


# --- one window ---------------------------------------------------------------------------------


def test_the_first_window_is_published_as_the_model_gave_it() -> None:
    [first] = smooth([score(0, 1.2, skipped=0, revision=0, session_participants=3)])

    assert first.valence == first.valence_raw == 1.2
    assert (first.label, first.polarity) == ("weakly positive", "positive")
    assert first.class_probabilities == pytest.approx(class_probabilities(1.2))
    assert first.gate == Gate(val=0.625, cls=0.5)
    assert first.event_time == START + timedelta(seconds=1)
    assert first.window_id == "standup/ana/0"
    assert first.latency_ms == made_records.score(0).latency_ms
    assert first.text == "the words of window 0"
    assert first.trend_per_min is None, "one point has no slope"
    assert first.session_participants == 3


def test_uncertainty_of_one_window_is_what_the_model_expects_of_itself() -> None:
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


# --- gaps ---------------------------------------------------------------------------------------


def test_no_evidence_is_published_as_none_never_as_neutral() -> None:
    [first] = smooth([score(0, None)])

    assert (first.valence, first.valence_raw, first.uncertainty) == (None, None, None)
    assert (first.label, first.polarity, first.class_probabilities) == (None, None, None)
    assert (first.trend_per_min, first.gate, first.evidence) == (None, None, ())


def test_a_gap_widens_the_uncertainty_and_ends_in_oblivion() -> None:
    # drift 0.5 per √min: variance grows by 0.25 a minute until it reaches that of a guess, 3
    out = smooth([score(0, 1.0)] + [score(k, None) for k in range(1, 1_000)])
    known = [s.uncertainty for s in out if s.uncertainty is not None]
    assert {s.valence for s in out[1:]} == {None}

    assert all(later > earlier for earlier, later in pairwise(known))
    assert known[60] ** 2 - known[0] ** 2 == pytest.approx(0.25)
    assert len(known) == math.ceil((3 - known[0] ** 2) / 0.25 * 60)
    assert out[999].uncertainty is None, "forgotten"


def test_evidence_after_a_gap_meets_what_is_left_of_the_old() -> None:
    config = SmoothingConfig(time_constant_s=5.0)
    gap = [score(0, 0.0)] + [score(k, None) for k in range(1, 10)]
    [*_, back] = smooth([*gap, score(10, 1.0)], config)
    [_, beside] = smooth([score(0, 0.0), score(1, 1.0)], config)
    assert back.uncertainty is not None
    assert beside.uncertainty is not None

    assert back.valence == pytest.approx(1 / (1 + math.exp(-2)))
    assert back.uncertainty > beside.uncertainty


def test_evidence_after_oblivion_starts_afresh() -> None:
    out = smooth([score(0, -2.0), *(score(k, None) for k in range(1, 1_000)), score(1_000, 1.5)])

    assert out[-1].valence == 1.5
    assert out[-1].uncertainty == smooth([score(0, 1.5)])[0].uncertainty


# --- order --------------------------------------------------------------------------------------


def test_a_duplicate_changes_nothing() -> None:
    state, _ = run([score(0, 1.0), score(1, -1.0), score(3, 0.5)])

    for again in (score(0, 1.0), score(1, 2.0), score(3, 0.5), score(3, 2.0)):
        assert step(state, again, SmoothingConfig(), QUIET) == (state, [])


def test_a_missing_window_is_waited_for() -> None:
    # arrives   0 2 3 1        out at once 0, then with 1 also 2 and 3
    state, outputs = run([score(0, 1.0), score(2, 1.0), score(3, 1.0)])
    assert [out.window_index for out in sentiments(outputs)] == [0]
    assert [held.window_index for held in state.held] == [2, 3]

    state, outputs = run([score(1, 1.0)], state=state)
    assert [out.window_index for out in sentiments(outputs)] == [1, 2, 3]
    assert state.held == ()


def test_a_missing_window_is_given_up_after_lateness() -> None:
    # 1 is missing; 2 ends at 3 s and goes out when 5 s have been seen, with what follows it
    config = SmoothingConfig(lateness_s=2.0)
    state, outputs = run([score(0, 1.0), score(2, 1.0), score(3, 1.0)], config)
    assert [out.window_index for out in sentiments(outputs)] == [0]

    state, outputs = run([score(4, 1.0)], config, state=state)
    assert [out.window_index for out in sentiments(outputs)] == [2, 3, 4]
    assert step(state, score(1, 1.0), config, QUIET) == (state, [])


def test_dropped_windows_are_not_waited_for() -> None:
    _, outputs = run([score(0, 1.0), score(4, 1.0, skipped=3)])

    assert [out.window_index for out in sentiments(outputs)] == [0, 4]


def test_the_final_score_ends_the_waiting() -> None:
    state, outputs = run([score(0, 1.0), score(2, 1.0), score(5, 1.0, final=True)])

    assert [(out.window_index, out.final) for out in sentiments(outputs)] == [
        (0, False),
        (2, False),
        (5, True),
    ]
    assert state.held == ()


def test_flush_gives_out_what_waits() -> None:
    state, _ = run([score(2, 1.0), score(4, 1.0)])
    state, outputs = flush(state, SmoothingConfig(), QUIET)

    assert [out.window_index for out in sentiments(outputs)] == [2, 4]
    assert flush(state, SmoothingConfig(), QUIET) == (state, [])


def test_a_newer_revision_replaces_a_held_score() -> None:
    _, outputs = run(
        [score(1, 1.0), score(1, 2.0, revision=1), score(1, 3.0, revision=0), score(0, 0.0)]
    )

    assert [(out.window_index, out.revision, out.valence_raw) for out in sentiments(outputs)] == [
        (0, 0, 0.0),
        (1, 1, 2.0),
    ]


def test_what_is_held_is_bounded() -> None:
    patient = SmoothingConfig(lateness_s=1e6)
    state, outputs = run([score(k, 1.0) for k in range(1, 2 + HELD_LIMIT)], patient)

    assert [out.window_index for out in sentiments(outputs)] == list(range(1, 2 + HELD_LIMIT))
    assert state.held == ()


# --- alerts -------------------------------------------------------------------------------------


def test_sustained_negative_has_hysteresis() -> None:
    # below -1 for 10 s raises; -0.7 is not below -1 yet not above -0.5 either: stays
    values = [0.0, *[-2.0] * 11, -0.7, -2.0, -0.7, -0.4, -0.7]

    assert alerts_of(values, AlertsConfig(drop_by=9.0)) == [
        ("sustained_negative", "raised", 12),
        ("sustained_negative", "cleared", 16),
    ]


def test_an_interrupted_negative_is_not_sustained() -> None:
    assert alerts_of([*[-2.0] * 9, -0.9, *[-2.0] * 9], AlertsConfig(drop_by=9.0)) == []


def test_a_short_silence_does_not_interrupt_and_a_long_one_does() -> None:
    config = AlertsConfig(drop_by=9.0)

    assert alerts_of([*[-2.0] * 5, *[None] * 4, *[-2.0] * 3], config) == [
        ("sustained_negative", "raised", 11)
    ]
    assert alerts_of([*[-2.0] * 5, *[None] * 15, *[-2.0] * 3], config) == []


def test_a_sharp_drop_is_raised_once_and_cleared_when_half_is_made_up() -> None:
    # peak 1.5, down to -0.5, deeper to -1; half of 2.5 is made up at 0.25
    values = [0.0, 1.5, 1.0, -0.5, -1.0, 0.0, 0.3, 0.3]

    assert alerts_of(values, AlertsConfig(negative_for_s=99)) == [
        ("sharp_drop", "raised", 4),
        ("sharp_drop", "cleared", 7),
    ]


def test_a_new_drop_starts_where_the_last_one_was_cleared() -> None:
    # back at 0.6 the first is cleared; from there down to -1.0 is another
    assert alerts_of([1.0, -0.6, 0.6, -1.0], AlertsConfig(negative_for_s=99)) == [
        ("sharp_drop", "raised", 2),
        ("sharp_drop", "cleared", 3),
        ("sharp_drop", "raised", 4),
    ]


def test_a_sharp_drop_is_cleared_after_a_time_even_in_silence() -> None:
    assert alerts_of([2.0, -0.2, *[None] * 40]) == [
        ("sharp_drop", "raised", 2),
        ("sharp_drop", "cleared", 32),
    ]


def test_a_slow_fall_is_no_sharp_drop() -> None:
    assert alerts_of([1.5 - 0.09 * k for k in range(20)]) == []


def test_the_end_of_the_session_clears_what_stands() -> None:
    assert alerts_of([2.0, *[-2.0] * 12], final=True) == [
        ("sharp_drop", "raised", 2),
        ("sustained_negative", "raised", 12),
        ("sustained_negative", "cleared", 13),
        ("sharp_drop", "cleared", 13),
    ]


def test_oblivion_clears_what_stands() -> None:
    kinds = alerts_of([*[-2.0] * 11, *[None] * 1_000], AlertsConfig(drop_by=9.0))

    assert [state for _, state, _ in kinds] == ["raised", "cleared"]


def test_alerts_can_be_switched_off() -> None:
    assert alerts_of([2.0, *[-2.0] * 12], AlertsConfig(enabled=False)) == []


def test_an_alert_says_who_what_and_when() -> None:
    _, outputs = run(
        [score(0, 2.0), score(1, -1.0)], SmoothingConfig(time_constant_s=0.01), AlertsConfig()
    )
    [alert] = [out for out in outputs if isinstance(out, Alert)]

    assert alert.alert_id == "standup/ana/sharp_drop/raised/2000"
    assert alert.event_time == START + timedelta(seconds=2)
    assert (alert.valence, alert.threshold) == (-1.0, 1.5)
    assert alert.message == "ana fell by 3.00 within 15 s; valence is -1.00."


# --- the session --------------------------------------------------------------------------------


def sentiment(
    participant: str,
    index: int,
    valence: float | None,
    *,
    uncertainty: float = 0.5,
    of: int = 2,
    final: bool = False,
) -> Sentiment:
    [record] = smooth([score(index, valence, participant=participant, skipped=index, final=final)])
    return msgspec.structs.replace(
        record, uncertainty=None if valence is None else uncertainty, session_participants=of
    )


def meet(
    sentiments: list[Sentiment],
    config: SmoothingConfig | None = None,
    alerts: AlertsConfig = QUIET,
    state: SessionState | None = None,
) -> tuple[SessionState, list[SessionSentiment | Alert]]:
    outputs: list[SessionSentiment | Alert] = []
    for one in sentiments:
        state, published = session_step(state, one, config or SmoothingConfig(), alerts)
        outputs += published
    assert state is not None
    return state, outputs


def test_a_session_is_the_mean_over_its_people() -> None:
    _, [record] = meet([sentiment("ana", 0, 1.0), sentiment("bo", 0, -2.0)])
    assert isinstance(record, SessionSentiment)

    assert record.window_id == "standup/*/0"
    assert record.valence == pytest.approx(-0.5)
    assert record.spread == pytest.approx(1.5)
    assert record.uncertainty == pytest.approx(0.5 * math.sqrt(0.5 + 0.5 / 2))
    assert (record.participants, record.label, record.polarity) == (2, "neutral", "neutral")
    assert record.event_time == START + timedelta(seconds=1)


def test_who_is_more_certain_counts_more() -> None:
    _, [record] = meet(
        [sentiment("ana", 0, 1.0, uncertainty=0.5), sentiment("bo", 0, -2.0, uncertainty=1.0)]
    )

    assert record.valence == pytest.approx((4 * 1.0 + 1 * -2.0) / 5)


def test_the_silent_do_not_count() -> None:
    _, [record] = meet([sentiment("ana", 0, None), sentiment("bo", 0, -2.0)])
    assert isinstance(record, SessionSentiment)

    assert (record.valence, record.participants, record.spread) == (-2.0, 1, None)


def silent(participant: str, index: int, uncertainty: float | None) -> Sentiment:
    return msgspec.structs.replace(sentiment(participant, index, None), uncertainty=uncertainty)


def test_who_listens_in_silence_keeps_counting_ever_less() -> None:
    """bo speaks once and then listens: the meeting does not jump to what ana alone says.

    ana  +2   +2   +2   +2
    bo   -2    ·    ·   (forgotten)
    """
    _, records = meet(
        [
            *(sentiment("ana", 0, 2.0), sentiment("bo", 0, -2.0, uncertainty=0.5)),
            *(sentiment("ana", 1, 2.0), silent("bo", 1, 0.5)),
            *(sentiment("ana", 2, 2.0), silent("bo", 2, 1.0)),
            *(sentiment("ana", 3, 2.0), silent("bo", 3, None)),
        ]
    )
    assert [r.valence for r in records] == pytest.approx([0.0, 0.0, 1.2, 2.0])
    assert [r.participants for r in session_sentiments(records)] == [2, 2, 2, 1]


def test_a_window_in_which_nobody_gives_evidence_has_no_valence() -> None:
    _, records = meet(
        [
            *(sentiment("ana", 0, 2.0), sentiment("bo", 0, -2.0)),
            *(silent("ana", 1, 0.6), silent("bo", 1, 0.6)),
        ]
    )
    second = session_sentiments(records)[1]
    assert (second.valence, second.participants) == (None, 0)


def test_too_few_participants_are_not_published() -> None:
    crowd = SmoothingConfig(publish="session", session_min_participants=2)
    reports = [("ana", 0, None), ("bo", 0, -2.0), ("ana", 1, 1.0), ("bo", 1, -2.0)]
    _, outputs = meet([sentiment(*report) for report in reports], crowd)

    assert [(out.valence, out.participants) for out in session_sentiments(outputs)] == [
        (None, 1),
        (-0.5, 2),
    ]
    assert session_sentiments(outputs)[1].spread is None, (
        "mean and spread of two would give both away"
    )


def test_a_session_waits_for_all_it_announces() -> None:
    # ana   0 1 2          bo has not been seen: nothing goes out
    # bo          0 1      each window once both have it
    state, outputs = meet([sentiment("ana", k, 1.0) for k in range(3)])
    assert outputs == []
    state, outputs = meet([sentiment("bo", 0, 0.0), sentiment("bo", 1, 0.0)], state=state)

    assert [(out.window_index, out.participants) for out in session_sentiments(outputs)] == [
        (0, 2),
        (1, 2),
    ]
    assert list(state.pending) == [2]


def test_a_session_that_announces_nobody_waits_for_lateness_at_the_start() -> None:
    config = SmoothingConfig(lateness_s=3.0)
    _, outputs = meet([sentiment("ana", k, 1.0, of=0) for k in range(5)], config)

    assert [out.window_index for out in session_sentiments(outputs)] == [0, 1, 2, 3, 4]
    assert meet([sentiment("ana", k, 1.0, of=0) for k in range(3)], config)[1] == []


def test_who_falls_silent_for_good_is_waited_for_once() -> None:
    patience = 10 + SESSION_PATIENCE_MS // 1000
    both = [sentiment("ana", 0, 1.0), sentiment("bo", 0, 0.0)]
    state, outputs = meet([*both, *(sentiment("ana", k, 1.0) for k in range(1, patience + 1))])
    assert [out.window_index for out in session_sentiments(outputs)] == [0]

    state, outputs = meet([sentiment("ana", patience + 1, 1.0)], state=state)
    assert [out.window_index for out in session_sentiments(outputs)] == list(range(1, patience + 2))
    _, [record] = meet([sentiment("ana", patience + 2, 1.0)], state=state)
    assert isinstance(record, SessionSentiment)
    assert record.participants == 1


def test_who_has_ended_is_not_waited_for_and_the_last_window_is_final() -> None:
    state, outputs = meet(
        [
            sentiment("ana", 0, 1.0, final=True),
            sentiment("bo", 0, 0.0),
            sentiment("bo", 1, 0.0),
            sentiment("bo", 2, 0.0, final=True),
        ]
    )

    assert [
        (out.window_index, out.participants, out.final) for out in session_sentiments(outputs)
    ] == [
        (0, 2, False),
        (1, 1, False),
        (2, 1, True),
    ]
    assert not state.pending


def test_a_repeated_report_changes_nothing() -> None:
    state, _ = meet([sentiment("ana", 0, 1.0), sentiment("bo", 0, 0.0), sentiment("bo", 1, 0.0)])

    for again in (sentiment("ana", 0, 1.0), sentiment("bo", 1, 2.0)):
        assert session_step(state, again, SmoothingConfig(), QUIET) == (state, [])


def test_session_flush_gives_out_what_waits() -> None:
    state, _ = meet([sentiment("ana", 0, 1.0), sentiment("ana", 1, 1.0)])
    state, outputs = session_flush(state, SmoothingConfig(), QUIET)

    assert [(out.window_index, out.final) for out in session_sentiments(outputs)] == [
        (0, False),
        (1, False),
    ]
    assert session_flush(state, SmoothingConfig(), QUIET) == (state, [])


def test_the_session_raises_alerts_of_its_own() -> None:
    falling = [(k, name) for k in range(2) for name in ("ana", "bo")]
    _, outputs = meet(
        [sentiment(name, k, 1.0 - 2 * k) for k, name in falling], alerts=AlertsConfig()
    )
    [alert] = [out for out in outputs if isinstance(out, Alert)]

    assert alert.participant_id is None
    assert alert.alert_id == "standup/*/sharp_drop/raised/2000"
    assert alert.message == "The session fell by 2.00 within 15 s; valence is -1.00."


def test_the_session_has_a_trend() -> None:
    _, outputs = meet([sentiment("ana", k, 0.02 * k, of=1) for k in range(60)])

    assert session_sentiments(outputs)[59].trend_per_min == pytest.approx(1.2)


def test_the_models_of_a_window_are_named_once() -> None:
    other = msgspec.structs.replace(sentiment("bo", 0, 0.0), model="large")
    _, [record] = meet([sentiment("ana", 0, 1.0), other])

    assert isinstance(record, SessionSentiment)
    assert record.model == "large, tiny"


def test_a_session_bounds_what_waits() -> None:
    patient = SmoothingConfig(lateness_s=1e6)
    state, outputs = meet([sentiment("ana", k, 1.0) for k in range(HELD_LIMIT + 2)], patient)

    assert [out.window_index for out in session_sentiments(outputs)] == [0, 1]
    assert len(state.pending) == HELD_LIMIT


def test_no_window_is_final_while_somebody_announced_may_still_come() -> None:
    state, _ = meet([sentiment("ana", 0, 1.0, final=True)])

    _, outputs = session_flush(state, SmoothingConfig(), QUIET)
    assert [out.final for out in session_sentiments(outputs)] == [False]


def test_people_who_agree_and_are_certain_are_taken_at_their_word() -> None:
    # three thirds of 2.9 are not 2.9 in floats, and no uncertainty at all divides by nothing
    names = ("ana", "bo", "cy")
    _, [record] = meet([sentiment(name, 0, 2.9, uncertainty=0.0, of=3) for name in names])

    assert record.valence == 2.9


def test_what_alerts_remember_is_bounded() -> None:
    slow = SmoothingConfig(time_constant_s=0.001, lateness_s=1e6)
    falling = [score(k, 1.0 - k / 5_000, end_ms=100 + 10 * k) for k in range(2_000)]
    state, _ = run(falling, slow, AlertsConfig())

    assert len(state.watch.peaks) <= 34
