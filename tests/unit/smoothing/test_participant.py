"""What is published for a participant: its fields, its order, duplicates and gaps."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from streamer.config import SmoothingConfig
from streamer.records import (
    Gate,
)
from streamer.smoothing.participant import HELD_LIMIT, ParticipantState, flush, step
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
    ]
    encoded = msgspec.msgpack.encode(state)
    assert msgspec.msgpack.decode(encoded, type=ParticipantState) == state
