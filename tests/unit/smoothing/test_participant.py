"""What is published for a participant: its fields, its order, duplicates and gaps."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.records import (
    Alert,
    Gate,
    IdentifiedBy,
    Score,
)
from streamer.session.relabelled import REACH_WINDOWS
from streamer.smoothing.alerts import AlertState
from streamer.smoothing.estimate import Estimate, Trend
from streamer.smoothing.participant import (
    HELD_LIMIT,
    RECENT_WINDOWS,
    RELABELLED_WINDOWS,
    ParticipantState,
    flush,
    step,
)
from streamer.windows import MAX_UNSETTLED
from tests import made_records
from tests.made_records import START, class_probabilities
from tests.smoothing_runs import (
    QUIET,
    run,
    score,
    sentiments,
    smooth,
)


def test_no_evidence_is_published_as_none_never_as_neutral() -> None:
    [first] = smooth([score(0, None)])

    assert (first.valence, first.valence_raw, first.uncertainty) == (None, None, None)
    assert (first.label, first.polarity, first.class_probabilities) == (None, None, None)
    assert (first.trend_per_min, first.gate, first.evidence) == (None, None, ())


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


def test_a_sentiment_says_how_its_participant_is_known() -> None:
    [first] = smooth([score(0, 1.2, identified_by="diarization", identity_confidence=0.75)])

    assert (first.identified_by, first.identity_confidence) == ("diarization", 0.75)


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


def test_flush_publishes_the_held_scores() -> None:
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


def test_held_scores_are_bounded() -> None:
    patient = SmoothingConfig(lateness_s=1e6)
    state, outputs = run([score(k, 1.0) for k in range(1, 2 + HELD_LIMIT)], patient)

    assert [out.window_index for out in sentiments(outputs)] == list(range(1, 2 + HELD_LIMIT))
    assert state.held == ()


def test_the_stored_state_keeps_its_names_in_the_changelog() -> None:
    state, _ = run([score(0, 1.0)])
    assert list(msgspec.to_builtins(state)) == [
        "next_index",
        "newest_ms",
        "held",
        "level",
        "line",
        "watch",
        "recent",
        "before",
    ]
    encoded = msgspec.msgpack.encode(state)
    assert msgspec.msgpack.decode(encoded, type=ParticipantState) == state


# --- revisions ----------------------------------------------------------------------------------


def test_a_newer_revision_of_a_window_that_is_out_is_published_again_and_counts() -> None:
    late = score(1, 2.0, revision=1)
    _, outputs = run([score(0, 1.0), score(1, -1.0), late, score(2, 0.5)])
    out = sentiments(outputs)

    assert [(s.window_index, s.revision) for s in out] == [(0, 0), (1, 0), (1, 1), (2, 0)]
    assert [out[0], *out[2:]] == smooth([score(0, 1.0), late, score(2, 0.5)])


def test_a_revision_corrects_what_later_windows_start_from() -> None:
    # out 0 1 2, then again 0 1 2: as if the second values had been the only ones
    first = [score(k, -1.0) for k in range(3)]
    again = [score(k, 1.0 + k / 2, revision=1) for k in range(3)]
    state, outputs = run([*first, *again])

    assert sentiments(outputs)[3:] == smooth(again)
    assert state.estimate == run(again)[0].estimate


def test_a_revision_without_evidence_takes_the_value_back() -> None:
    _, outputs = run([score(0, 2.0), score(0, None, revision=1)])
    assert sentiments(outputs)[1].valence is None
    assert sentiments(outputs)[1] == smooth([score(0, None, revision=1)])[0]


def test_a_lower_or_equal_revision_changes_nothing() -> None:
    state, _ = run([score(0, 1.0), score(0, 2.0, revision=2)])
    for again in (score(0, 3.0), score(0, 3.0, revision=1), score(0, 3.0, revision=2)):
        assert step(state, again, SmoothingConfig(), QUIET) == (state, [])


@pytest.mark.parametrize(
    ("identified_by", "revisable", "capture_revises"),
    [
        ("source", RECENT_WINDOWS, MAX_UNSETTLED),
        ("diarization", RELABELLED_WINDOWS, REACH_WINDOWS),
    ],
)
def test_a_bounded_number_of_windows_may_be_revised(
    identified_by: IdentifiedBy, revisable: int, capture_revises: int
) -> None:
    def one(index: int, value: float, revision: int = 0) -> Score:
        made = score(index, value, revision=revision)
        return msgspec.structs.replace(made, identified_by=identified_by)

    state, _ = run([one(k, 1.0) for k in range(50)])
    oldest = 50 - revisable
    assert len(state.recent) == revisable > capture_revises, "capture revises no older one"
    assert step(state, one(oldest - 1, 3.0, 1), SmoothingConfig(), QUIET) == (state, [])
    _, outputs = step(state, one(oldest, 3.0, 1), SmoothingConfig(), QUIET)
    assert [(s.window_index, s.revision) for s in sentiments(outputs)] == [(oldest, 1)]


def test_a_revision_raises_no_alert_and_repeats_none() -> None:
    quick, alerts = SmoothingConfig(time_constant_s=0.01), AlertsConfig(negative_for_s=99)
    state, outputs = run([score(0, 1.0), score(1, -1.0)], quick, alerts)
    assert [out.kind for out in outputs if isinstance(out, Alert)] == ["sharp_drop"]

    for value in (-3.0, 1.0):
        revised, outputs = step(state, score(1, value, revision=1), quick, alerts)
        assert [s.valence for s in sentiments(outputs)] == [value]
        assert revised.alert_state == state.alert_state


class _Before(
    msgspec.Struct,
    frozen=True,
    rename={"estimate": "level", "trend": "line", "alert_state": "watch"},
):
    """The state of the version that took no revisions."""

    next_index: int = 0
    newest_ms: int = 0
    estimate: Estimate | None = None
    trend: Trend | None = None
    alert_state: AlertState = AlertState()


def test_states_pass_between_this_version_and_the_one_before() -> None:
    state, _ = run([score(k, 1.0) for k in range(3)])
    before = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=_Before)
    assert (before.next_index, before.estimate) == (3, state.estimate)

    old = msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=ParticipantState)
    assert step(old, score(2, 2.0, revision=1), SmoothingConfig(), QUIET) == (old, [])
    state, outputs = run([score(3, -1.0), score(3, 2.0, revision=1)], state=old)
    assert (
        sentiments(outputs)[1]
        == smooth([*(score(k, 1.0) for k in range(3)), score(3, 2.0, revision=1)])[3]
    )
