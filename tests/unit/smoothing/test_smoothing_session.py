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
    REVISABLE_WINDOWS,
    SESSION_PATIENCE_MS,
    STATE_BUDGET_BYTES,
    SessionState,
    session_flush,
    session_holds,
    session_silence_s,
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


def waiting(state: SessionState) -> list[int]:
    """Windows that are not out."""
    return [index for index in state.windows if index >= state.next_index]


def flush(state: SessionState) -> tuple[SessionState, list[SessionSentiment]]:
    state, outputs = session_flush(state, SmoothingConfig(), QUIET, ALL_ALLOWED)
    return state, session_sentiments(outputs)


def shown(records: list[SessionSentiment]) -> list[tuple[int, int, int, bool]]:
    return [(each.window_index, each.revision, each.participants, each.final) for each in records]


def test_a_session_is_the_mean_over_its_people() -> None:
    _, [record] = meet([sentiment("ana", 0, 1.0), sentiment("bo", 0, -2.0)])
    assert isinstance(record, SessionSentiment)

    assert record.window_id == "standup/*/0"
    assert record.valence == pytest.approx(-0.5)
    assert record.spread == pytest.approx(1.5)
    assert record.uncertainty == pytest.approx(0.5 * math.sqrt(0.5 + 0.5 / 2))
    assert (record.participants, record.label, record.polarity) == (2, "neutral", "neutral")
    assert record.divided
    assert record.mood == "divided"
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
    assert waiting(state) == [2]


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
    assert not waiting(state)


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
    assert len(waiting(state)) == HELD_LIMIT


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


# --- revisions ----------------------------------------------------------------------------------


def test_a_report_after_a_flush_publishes_the_window_again_with_everyone_in_it() -> None:
    """ana  0 1 2!  (flush)          ! = final
    bo                0 1 2!
    """
    ana = [sentiment("ana", k, 1.0, final=k == 2) for k in range(3)]
    bo = [sentiment("bo", k, -1.0, final=k == 2) for k in range(3)]
    state, first = flush(meet(ana)[0])
    assert shown(first) == [(0, 0, 1, False), (1, 0, 1, False), (2, 0, 1, False)]

    state, outputs = meet(bo, state=state)
    again = session_sentiments(outputs)
    assert shown(again) == [(0, 1, 2, False), (1, 1, 2, False), (2, 1, 2, True)]
    assert [each.valence for each in again] == [0.0, 0.0, 0.0]
    assert not session_holds(state)
    assert list(state.windows) == [2], "what nobody reports any more is let go"


def test_each_window_goes_out_again_once_for_a_participant_who_catches_up() -> None:
    state, _ = flush(meet([sentiment("ana", k, 0.02 * k) for k in range(60)])[0])
    state, outputs = meet([sentiment("bo", k, 0.5) for k in range(60)], state=state)

    assert [(each.window_index, each.revision) for each in session_sentiments(outputs)] == [
        (k, 1) for k in range(60)
    ]


def test_revisions_do_not_show_a_person_whom_the_session_may_not_publish() -> None:
    """Two revisions that differ by one person would give that person's value away."""
    crowd = Policy("session", 2, MODALITIES)
    ana, bo, cy = (sentiment(name, 0, k, of=3) for k, name in enumerate(("ana", "bo", "cy")))
    state, outputs = session_flush(meet([ana], policy=crowd)[0], SmoothingConfig(), QUIET, crowd)
    assert [each.valence for each in session_sentiments(outputs)] == [None]
    state, outputs = meet([bo], state=state, policy=crowd)
    assert [each.participants for each in session_sentiments(outputs)] == [2]
    assert meet([cy], state=state, policy=crowd)[1] == []
    last = sentiment("cy", 1, 2.0, of=3, final=True)
    ended = [sentiment(name, 1, 1.0, of=3, final=True) for name in ("ana", "bo")]
    [record] = session_sentiments(meet([cy, last, *ended], state=state, policy=crowd)[1])
    assert (record.window_index, record.participants, record.final) == (1, 3, True)


def test_a_late_report_that_adds_nothing_is_not_published() -> None:
    state, _ = flush(meet([sentiment("ana", 0, 1.0), sentiment("ana", 1, 1.0)])[0])
    assert meet([silent("bo", 0, None)], state=state)[1] == []


def test_a_window_that_only_the_late_one_has_goes_out_then() -> None:
    state, _ = flush(meet([sentiment("ana", 0, 1.0), sentiment("ana", 2, 1.0)])[0])
    _, outputs = meet([sentiment("bo", k, 1.0) for k in range(2)], state=state)

    assert [(each.window_index, each.revision) for each in session_sentiments(outputs)] == [
        (0, 1),
        (1, 0),
    ]


def test_a_newer_revision_of_a_report_counts_and_an_older_one_does_not() -> None:
    state, _ = meet([sentiment("ana", 0, 1.0, of=3), sentiment("bo", 0, 1.0, of=3)])
    newer = msgspec.structs.replace(sentiment("ana", 0, -1.0, of=3), revision=1)
    older = sentiment("ana", 0, 3.0, of=3)
    [record] = meet([newer, older, sentiment("cy", 0, 0.0, of=3)], state=state)[1]

    assert record.valence == pytest.approx(0.0)


def test_the_final_window_moves_when_someone_unannounced_stays_longer() -> None:
    state, first = flush(meet([sentiment("ana", 0, 1.0, of=0, final=True)])[0])
    state, revised = meet([sentiment("bo", 1, 1.0, of=0, final=True)], state=state)
    _, last = flush(state)

    assert shown(first) == [(0, 0, 1, True)]
    assert shown(session_sentiments(revised)) == [(0, 1, 1, False)]
    assert shown(last) == [(1, 0, 1, True)]


def test_revisions_raise_no_alert_and_the_final_one_clears_what_stands() -> None:
    falling = [sentiment("ana", k, 1.0 - 2 * k, final=k == 1) for k in range(2)]
    state, outputs = session_flush(meet(falling)[0], SmoothingConfig(), AlertsConfig(), ALL_ALLOWED)
    assert [each.state for each in outputs if isinstance(each, Alert)] == ["raised"]

    late = [sentiment("bo", k, 1.0 - 3 * k, final=k == 1) for k in range(2)]
    _, outputs = meet(late, alerts=AlertsConfig(), state=state)
    assert [each.state for each in outputs if isinstance(each, Alert)] == ["cleared"]


def test_what_may_be_revised_is_bounded_and_goes_out_before_it_is_let_go() -> None:
    """bo comes late and stops while ana goes on: changed windows wait for bo until they are old."""
    first = REVISABLE_WINDOWS + 40
    state, _ = flush(meet([sentiment("ana", k, 1.0, of=3) for k in range(first)])[0])
    assert len(state.windows) == REVISABLE_WINDOWS
    assert meet([sentiment("bo", 0, -1.0, of=3)], state=state)[1] == [], "too late"

    state, _ = meet([sentiment("bo", 45, -1.0, of=3)], state=state)
    assert session_holds(state), "the trend after it has changed"
    more = [sentiment("ana", k, 1.0, of=3) for k in range(first, first + 60)]
    _, outputs = meet(more, state=state)
    again = [each.window_index for each in session_sentiments(outputs) if each.revision > 0]
    assert again == list(range(46, again[-1] + 1))
    assert again[-1] == 58 + 40


@pytest.mark.slow
def test_the_state_of_a_large_meeting_stays_storable() -> None:
    names = [f"participant number {number}" for number in range(60)]
    state = None
    for index in range(200):
        state, _ = meet([sentiment(name, index, 1.0, of=61) for name in names], state=state)
    assert state is not None
    assert len(state.windows) < 100
    assert len(msgspec.msgpack.encode(state)) < 1.5 * STATE_BUDGET_BYTES


def test_silence_is_waited_for_longer_while_someone_is_missing() -> None:
    config = SmoothingConfig(idle_flush_s=5.0, lateness_s=10.0)
    state, _ = meet([sentiment("ana", 0, 1.0, final=True)])
    assert session_silence_s(state, config) == 35.0
    state, _ = meet([sentiment("bo", 0, 1.0)], state=state)
    assert session_silence_s(state, config) == 35.0
    state, _ = meet([sentiment("bo", 1, 1.0, final=True)], state=state)
    assert session_silence_s(state, config) == 5.0


def test_a_revised_report_goes_out_with_the_next_window_that_does() -> None:
    """ana  0    0'   1          ' = revised
    bo   0         1    2
    """
    state, _ = meet([sentiment("ana", 0, 1.0), sentiment("bo", 0, 0.0)])
    revised = msgspec.structs.replace(sentiment("ana", 0, 2.0), revision=1)
    state, outputs = meet([revised, sentiment("bo", 1, 0.0)], state=state)
    assert outputs == []
    assert session_holds(state)

    state, outputs = meet([sentiment("ana", 1, 1.0)], state=state)
    out = session_sentiments(outputs)
    assert [(each.window_index, each.revision) for each in out] == [(0, 1), (1, 0)]
    assert [each.valence for each in out] == [1.0, 0.5]
    assert not session_holds(state)


def test_a_revised_report_that_no_window_follows_goes_out_with_a_flush() -> None:
    state, _ = meet([sentiment("ana", 0, 1.0), sentiment("bo", 0, 0.0)])
    revised = msgspec.structs.replace(sentiment("ana", 0, 2.0), revision=1)
    state, outputs = flush(meet([revised], state=state)[0])
    assert [(each.window_index, each.revision, each.valence) for each in outputs] == [(0, 1, 1.0)]


def test_a_late_report_does_not_wait_behind_a_revised_one() -> None:
    state, _ = flush(meet([sentiment("ana", 0, 1.0)])[0])
    revised = msgspec.structs.replace(sentiment("ana", 0, 2.0), revision=1)
    state, outputs = meet([revised], state=state)
    assert outputs == []
    _, [record] = meet([sentiment("bo", 0, 0.0)], state=state)
    assert record.valence == 1.0


def test_a_revised_report_changes_nothing_of_a_meeting_that_hides_its_people() -> None:
    crowd = Policy("session", 2, MODALITIES)
    state, _ = meet([sentiment("ana", 0, 1.0), sentiment("bo", 0, 0.0)], policy=crowd)
    revised = msgspec.structs.replace(sentiment("ana", 0, 2.0), revision=1)
    _, outputs = meet([revised, *(sentiment(n, 1, 1.0) for n in ("ana", "bo"))],
                      state=state, policy=crowd)  # fmt: skip
    assert [(out.window_index, out.revision) for out in session_sentiments(outputs)] == [(1, 0)]
