"""The sentiment of a session from those of its participants."""

from __future__ import annotations

import math
from datetime import timedelta

import msgspec
import pytest

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.policy import Policy
from streamer.records import (
    MODALITIES,
    Alert,
    SessionSentiment,
)
from streamer.smoothing.participant import HELD_LIMIT
from streamer.smoothing.session import (
    SESSION_PATIENCE_MS,
    session_flush,
    session_step,
)
from streamer.testing import ALL_ALLOWED
from tests.made_records import START
from tests.smoothing_runs import (
    QUIET,
    meet,
    sentiment,
    session_sentiments,
    silent,
)


def test_a_session_is_the_mean_over_its_people() -> None:
    _, [record] = meet([sentiment("ana", 0, 1.0), sentiment("bo", 0, -2.0)])
    assert isinstance(record, SessionSentiment)

    assert record.window_id == "standup/*/0"
    assert record.valence == pytest.approx(-0.5)
    assert record.spread == pytest.approx(1.5)
    assert record.uncertainty == pytest.approx(0.5 * math.sqrt(0.5 + 0.5 / 2))
    assert (record.participants, record.label, record.polarity) == (2, "neutral", "neutral")
    assert record.event_time == START + timedelta(seconds=1)


def test_a_more_certain_participant_counts_more() -> None:
    _, [record] = meet(
        [sentiment("ana", 0, 1.0, uncertainty=0.5), sentiment("bo", 0, -2.0, uncertainty=1.0)]
    )

    assert record.valence == pytest.approx((4 * 1.0 + 1 * -2.0) / 5)


def test_participants_without_evidence_do_not_count() -> None:
    _, [record] = meet([sentiment("ana", 0, None), sentiment("bo", 0, -2.0)])
    assert isinstance(record, SessionSentiment)

    assert (record.valence, record.participants, record.spread) == (-2.0, 1, None)


def test_a_participant_who_stops_speaking_counts_ever_less() -> None:
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
    assert (
        session_sentiments(records)[1].valence,
        session_sentiments(records)[1].participants,
    ) == (None, 0)


def test_too_few_participants_are_not_published() -> None:
    crowd = Policy("session", 2, MODALITIES)
    reports = [("ana", 0, None), ("bo", 0, -2.0), ("ana", 1, 1.0), ("bo", 1, -2.0)]
    _, outputs = meet([sentiment(*report) for report in reports], policy=crowd)

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


def test_a_participant_who_sends_no_more_is_waited_for_once() -> None:
    patience = 10 + SESSION_PATIENCE_MS // 1000
    both = [sentiment("ana", 0, 1.0), sentiment("bo", 0, 0.0)]
    state, outputs = meet([*both, *(sentiment("ana", k, 1.0) for k in range(1, patience + 1))])
    assert [out.window_index for out in session_sentiments(outputs)] == [0]

    state, outputs = meet([sentiment("ana", patience + 1, 1.0)], state=state)
    assert [out.window_index for out in session_sentiments(outputs)] == list(range(1, patience + 2))
    _, [record] = meet([sentiment("ana", patience + 2, 1.0)], state=state)
    assert session_sentiments([record])[0].participants == 1


def test_a_participant_who_has_ended_is_not_waited_for_and_the_last_window_is_final() -> None:
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
        assert session_step(state, again, SmoothingConfig(), QUIET, ALL_ALLOWED) == (state, [])


def test_session_flush_publishes_the_waiting_windows() -> None:
    state, _ = meet([sentiment("ana", 0, 1.0), sentiment("ana", 1, 1.0)])
    state, outputs = session_flush(state, SmoothingConfig(), QUIET, ALL_ALLOWED)

    assert [(out.window_index, out.final) for out in session_sentiments(outputs)] == [
        (0, False),
        (1, False),
    ]
    assert session_flush(state, SmoothingConfig(), QUIET, ALL_ALLOWED) == (state, [])


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

    assert session_sentiments([record])[0].model == "large, tiny"


def test_the_waiting_windows_of_a_session_are_bounded() -> None:
    patient = SmoothingConfig(lateness_s=1e6)
    state, outputs = meet([sentiment("ana", k, 1.0) for k in range(HELD_LIMIT + 2)], patient)

    assert [out.window_index for out in session_sentiments(outputs)] == [0, 1]
    assert len(state.pending) == HELD_LIMIT


def test_no_window_is_final_while_an_announced_participant_may_still_come() -> None:
    state, _ = meet([sentiment("ana", 0, 1.0, final=True)])

    assert [
        out.final
        for out in session_sentiments(
            session_flush(state, SmoothingConfig(), QUIET, ALL_ALLOWED)[1]
        )
    ] == [False]


def test_the_mean_of_equal_certain_values_is_that_value() -> None:
    # three thirds of 2.9 are not 2.9 in floats, and no uncertainty at all divides by nothing
    names = ("ana", "bo", "cy")
    _, [record] = meet([sentiment(name, 0, 2.9, uncertainty=0.0, of=3) for name in names])

    assert record.valence == 2.9
