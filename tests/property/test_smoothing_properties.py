"""What smoothing keeps whatever the scores are."""

from collections import deque
from collections.abc import Collection, Iterable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.policy import Policy
from streamer.records import (
    MODALITIES,
    Alert,
    Gate,
    Presence,
    Score,
    Sentiment,
    SessionSentiment,
)
from streamer.smoothing.estimate import NO_KNOWLEDGE
from streamer.smoothing.participant import ParticipantState, flush, step
from streamer.smoothing.session import SessionState, session_flush, session_step
from streamer.testing import ALL_ALLOWED
from streamer.windows import MAX_UNSETTLED
from tests import made_records

ALERTS = AlertsConfig(negative_for_s=2.0, drop_by=0.5)
calm = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine is no failure
unit = st.floats(0, 1)
valences = st.floats(-3, 3)
configs = st.builds(
    SmoothingConfig,
    time_constant_s=st.floats(0.1, 60),
    lateness_s=st.floats(0, 20),
    drift_per_sqrt_min=st.floats(0, 3),
    weight_audio=unit,
    weight_vision=unit,
)


def make_score(index: int, **fields: Any) -> Score:
    fields = {"valence": None, "start_ms": index * 1000} | fields
    return made_records.score(index, session_id="s", **fields)


@st.composite
def spoken(draw: st.DrawFn) -> dict[str, object]:
    raw = draw(st.lists(st.floats(0.01, 1), min_size=7, max_size=7))
    return {
        "valence": draw(valences),
        "class_probabilities": tuple(p / sum(raw) for p in raw),
        "gate": Gate(val=draw(unit), cls=draw(unit)),
        "presence": Presence(audio=draw(unit), text=draw(unit), vision=draw(unit)),
        "evidence": tuple(draw(st.sets(st.sampled_from(MODALITIES), min_size=1))),
    }


@st.composite
def sequences(draw: st.DrawFn, max_size: int = 30) -> list[Score]:
    """Scores of one participant in order; some without evidence, the steps a little uneven."""
    count = draw(st.integers(1, max_size))
    scores = []
    for index in range(count):
        fields = draw(st.one_of(st.just({}), spoken(), spoken()))
        jitter = draw(st.integers(0, 400))
        scores.append(make_score(index, end_ms=(index + 1) * 1000 + jitter, **fields))
    return scores


def run(
    scores: list[Score], config: SmoothingConfig, state: ParticipantState | None = None
) -> tuple[ParticipantState, list[Sentiment | Alert]]:
    """Every state on the way survives msgpack."""
    outputs: list[Sentiment | Alert] = []
    for score in scores:
        state, published = step(state, score, config, ALERTS)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=ParticipantState) == state
        outputs += published
    return state or ParticipantState(), outputs


def sentiments(outputs: list[Sentiment | Alert]) -> list[Sentiment]:
    return [output for output in outputs if isinstance(output, Sentiment)]


def assert_alerts_end(outputs: Iterable[object]) -> None:
    """Each alert has an id of its own, and each raised one of a kind is cleared before the next."""
    alerts = [output for output in outputs if isinstance(output, Alert)]
    assert len({alert.alert_id for alert in alerts}) == len(alerts)
    for kind in ("sustained_negative", "sharp_drop"):
        states = [alert.state for alert in alerts if alert.kind == kind]
        assert states == ["raised", "cleared"] * (len(states) // 2)


@calm
@given(sequences(), configs)
def test_every_window_is_published_once_in_order_within_its_inputs_range(
    scores: list[Score], config: SmoothingConfig
) -> None:
    _, outputs = run(scores, config)
    assert [s.window_index for s in sentiments(outputs)] == [s.window_index for s in scores]

    low, high = 3.0, -3.0
    for sentiment in sentiments(outputs):
        if sentiment.valence is None:
            assert (sentiment.label, sentiment.polarity, sentiment.trend_per_min) == (None,) * 3
            continue
        assert sentiment.valence_raw is not None
        low, high = min(low, sentiment.valence_raw), max(high, sentiment.valence_raw)
        assert low <= sentiment.valence <= high
        assert sentiment.uncertainty is not None
        assert 0 < sentiment.uncertainty <= NO_KNOWLEDGE
        assert sentiment.class_probabilities is not None
        assert all(0 <= p <= 1 for p in sentiment.class_probabilities)
        assert sum(sentiment.class_probabilities) == pytest.approx(1)


@calm
@given(sequences(), configs, st.data())
def test_a_replayed_score_changes_nothing(
    scores: list[Score], config: SmoothingConfig, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.integers(0, len(scores) - 1), max_size=10))
    with_replays = []
    for index, score in enumerate(scores):
        earlier = [scores[k] for k in again if k <= index]
        with_replays += [score, *earlier]

    assert run(with_replays, config) == run(scores, config)


@calm
@given(sequences(), configs, st.data())
def test_out_of_order_within_lateness_equals_in_order(
    scores: list[Score], config: SmoothingConfig, data: st.DataObject
) -> None:
    lateness_ms = round(config.lateness_s * 1000)
    delays = [data.draw(st.integers(0, max(0, lateness_ms - 1))) for _ in scores]
    arrival = sorted(
        range(len(scores)), key=lambda k: (scores[k].end_ms + delays[k], scores[k].end_ms)
    )
    state, outputs = run([scores[k] for k in arrival], config)
    assert state.held == ()

    assert (state, outputs) == run(scores, config)


@calm
@given(sequences(), st.data())
def test_nothing_is_lost_at_the_end_of_stream(scores: list[Score], data: st.DataObject) -> None:
    # any of them, in any order, none too late
    config = SmoothingConfig(lateness_s=60)
    arriving = data.draw(st.lists(st.sampled_from(scores), unique_by=lambda s: s.window_index))
    state, outputs = run(arriving, config)
    state, rest = flush(state, config, ALERTS)

    assert state.held == ()
    assert [s.window_index for s in sentiments(outputs + rest)] == sorted(
        s.window_index for s in arriving
    )


@calm
@given(sequences(), st.integers(1, 300), configs)
def test_a_longer_gap_is_never_less_uncertain(
    scores: list[Score], gap: int, config: SmoothingConfig
) -> None:
    state, _ = run(scores, config)
    silence = [make_score(len(scores) + k) for k in range(gap)]
    _, outputs = run(silence, config, state)
    uncertainties = [s.uncertainty for s in sentiments(outputs)]
    known = [u for u in uncertainties if u is not None]

    assert {s.valence for s in sentiments(outputs)} == {None}
    assert uncertainties == known + [None] * (gap - len(known)), "unknown is for good"
    assert known == sorted(known)


@calm
@given(spoken(), st.integers(1, 60), st.integers(0, 600), st.integers(1, 600))
def test_evidence_after_a_longer_gap_is_never_more_certain(
    fields: dict[str, object], before: int, gap: int, longer: int
) -> None:
    # The same score over and over, default settings. The tolerance: after a long gap the mean is
    # younger, by a few seconds of drift.
    config = SmoothingConfig()
    same = [make_score(k, **fields) for k in range(before)]
    state, outputs = run(same, config)
    assume(sentiments(outputs)[-1].valence is not None)

    def after(silence: int) -> float:
        back = make_score(before + silence, skipped=silence, **fields)
        [sentiment] = sentiments(run([back], config, state)[1])
        assert sentiment.uncertainty is not None
        return sentiment.uncertainty

    assert after(gap + longer) >= after(gap) - 1e-3


@calm
@given(sequences(), configs)
def test_alerts_are_raised_and_cleared_in_turn(
    scores: list[Score], config: SmoothingConfig
) -> None:
    scores[-1] = msgspec.structs.replace(scores[-1], final=True)
    _, outputs = run(scores, config)
    alerts = [output for output in outputs if isinstance(output, Alert)]

    assert len({alert.alert_id for alert in alerts}) == len(alerts)
    for kind in ("sustained_negative", "sharp_drop"):
        states = [alert.state for alert in alerts if alert.kind == kind]
        assert states == ["raised", "cleared"] * (len(states) // 2)


@pytest.mark.parametrize("talk", [0.0, 0.3, 1.0])
def test_the_state_stays_small_over_four_hours(talk: float) -> None:
    random, state = Random(7), None
    for index in range(4 * 3_600):
        fields: dict[str, object] = {}
        if random.random() < talk:
            raw = [random.random() for _ in range(7)]
            fields = {
                "valence": random.uniform(-3, 3),
                "class_probabilities": tuple(p / sum(raw) for p in raw),
                "presence": Presence(text=random.random()),
                "evidence": ("text",),
            }
        state, _ = step(state, make_score(index, **fields), SmoothingConfig(), ALERTS)

    assert len(msgspec.msgpack.encode(state)) < 3_000


# --- revisions ----------------------------------------------------------------------------------


@st.composite
def revised(draw: st.DrawFn, scores: list[Score]) -> list[Score]:
    """The scores in the order in which capture revises their windows; some get another value.

    Those that went out between a window and its revision are revised behind it (`windows.py`).
    """
    arriving: list[Score] = []
    unsettled, again_before = deque[Score](), 0
    for score in scores:
        everything = score is scores[-1]
        while unsettled and (everything or len(unsettled) > MAX_UNSETTLED or draw(st.booleans())):
            sent = unsettled.popleft()
            changes = draw(st.one_of(st.none(), spoken()))
            if changes is not None:
                again_before = score.window_index
            if sent.window_index < again_before:
                arriving.append(msgspec.structs.replace(sent, revision=1, **(changes or {})))
        arriving.append(score)
        unsettled.append(score)
    return arriving


def last_scores(scores: list[Score]) -> list[Score]:
    return [score for _, score in sorted({s.window_index: s for s in scores}.items())]


def last_sentiments(outputs: list[Sentiment | Alert]) -> list[Sentiment]:
    return [s for _, s in sorted({s.window_index: s for s in sentiments(outputs)}.items())]


@calm
@given(sequences(), configs, st.data())
def test_the_highest_revisions_are_what_the_last_scores_give(
    scores: list[Score], config: SmoothingConfig, data: st.DataObject
) -> None:
    scores[-1] = msgspec.structs.replace(scores[-1], final=True)
    arriving = data.draw(revised(scores))
    state, outputs = run(arriving, config)
    expected, once = run(last_scores(arriving), config)

    assert len(sentiments(outputs)) == len(arriving)
    assert (state.estimate, state.trend) == (expected.estimate, expected.trend)
    assert last_sentiments(outputs) == sentiments(once)
    assert_alerts_end(outputs)


@calm
@given(sequences(), configs, st.data())
def test_a_replayed_revision_changes_nothing(
    scores: list[Score], config: SmoothingConfig, data: st.DataObject
) -> None:
    arriving = data.draw(revised(scores))
    again = data.draw(st.lists(st.integers(0, len(arriving) - 1), max_size=10))
    with_replays = []
    for index, score in enumerate(arriving):
        with_replays += [score, *(arriving[k] for k in again if k <= index)]

    assert run(with_replays, config) == run(arriving, config)


@calm
@given(sequences(max_size=12), st.integers(1, 3), st.booleans(), st.data())
def test_the_meeting_ends_in_what_the_last_reports_give(
    scores: list[Score], count: int, known: bool, data: st.DataObject
) -> None:
    config, everyone = SmoothingConfig(), []
    for name in ["ana", "bo", "cy"][:count]:
        own = [
            msgspec.structs.replace(
                score,
                participant_id=name,
                window_id=f"s/{name}/{score.window_index}",
                end_ms=(score.window_index + 1) * 1000,
                session_participants=count if known else 0,
                final=score is scores[-1],
            )
            for score in scores
        ]
        everyone.append(sentiments(run(data.draw(revised(own)), config)[1]))
    arriving = shuffled(data, everyone)
    flushes = data.draw(st.sets(st.integers(0, len(arriving) - 1)))
    last = [s for reports in everyone for s in last_sentiments([*reports])]

    outputs = meet(arriving, config, flushes)
    assert highest(outputs) == highest(meet(sorted(last, key=lambda s: s.end_ms), config))
    assert meet(arriving, config, flushes) == outputs
    alerts = [output for output in outputs if isinstance(output, Alert)]
    assert len({alert.alert_id for alert in alerts}) == len(alerts)


# --- the session --------------------------------------------------------------------------------


@st.composite
def meetings(draw: st.DrawFn) -> list[list[Sentiment]]:
    """One list of sentiment per participant, of differing lengths, each ending with `final`."""
    everyone = []
    names = ["ana", "bo", "cy"][: draw(st.integers(1, 3))]
    for name in names:
        scores = draw(sequences(max_size=12))
        scores = [
            msgspec.structs.replace(
                score,
                participant_id=name,
                end_ms=(score.window_index + 1) * 1000,
                session_participants=len(names),
                final=score is scores[-1],
            )
            for score in scores
        ]
        everyone.append(sentiments(run(scores, SmoothingConfig())[1]))
    return everyone


def meet(
    arriving: list[Sentiment],
    config: SmoothingConfig,
    flushes: Collection[int] = (),
    policy: Policy = ALL_ALLOWED,
) -> list[SessionSentiment | Alert]:
    """Every state on the way survives msgpack; what is left is flushed, as after `flushes`."""
    state: SessionState | None = None
    outputs: list[SessionSentiment | Alert] = []
    for number, sentiment in enumerate(arriving):
        state, published = session_step(state, sentiment, config, ALERTS, policy)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=SessionState) == state
        outputs += published
        if number in flushes:
            state, published = session_flush(state, config, ALERTS, policy)
            outputs += published
    assert state is not None
    return outputs + session_flush(state, config, ALERTS, policy)[1]


def highest(outputs: list[SessionSentiment | Alert]) -> list[SessionSentiment]:
    """Each window's record as it stands in the end, without its revision."""
    records = [output for output in outputs if isinstance(output, SessionSentiment)]
    newest: dict[int, SessionSentiment] = {}
    for record in sorted(records, key=lambda record: record.revision):
        before = newest.get(record.window_index)
        assert before is None or before.revision == record.revision - 1, "each revision once"
        newest[record.window_index] = record
    return [msgspec.structs.replace(record, revision=0) for _, record in sorted(newest.items())]


def shuffled(data: st.DataObject, everyone: list[list[Sentiment]]) -> list[Sentiment]:
    """Each participant's in order, participants in any order."""
    turns = data.draw(st.permutations([k for k, reports in enumerate(everyone) for _ in reports]))
    queues = [iter(reports) for reports in everyone]
    return [next(queues[turn]) for turn in turns]


@calm
@given(meetings(), configs, st.booleans(), st.data())
def test_the_order_of_participants_changes_nothing(
    everyone: list[list[Sentiment]], config: SmoothingConfig, known: bool, data: st.DataObject
) -> None:
    if not known:  # then only lateness tells who may still come
        config = config.model_copy(update={"lateness_s": 20.0})
        everyone = [
            [msgspec.structs.replace(s, session_participants=0) for s in reports]
            for reports in everyone
        ]
    longest = max(len(reports) for reports in everyone)
    outputs = meet(shuffled(data, everyone), config)

    assert outputs == meet([s for reports in everyone for s in reports], config)
    records = [output for output in outputs if isinstance(output, SessionSentiment)]
    assert [record.window_index for record in records] == list(range(longest))
    assert [record.final for record in records] == [False] * (longest - 1) + [True]


@calm
@given(meetings(), configs, st.booleans(), st.data())
def test_any_delay_and_any_flush_end_in_the_undisturbed_records(
    everyone: list[list[Sentiment]], config: SmoothingConfig, known: bool, data: st.DataObject
) -> None:
    if not known:
        everyone = [
            [msgspec.structs.replace(s, session_participants=0) for s in reports]
            for reports in everyone
        ]
    arriving = shuffled(data, everyone)
    flushes = data.draw(st.sets(st.integers(0, len(arriving) - 1)))
    outputs = meet(arriving, config, flushes)
    undisturbed = sorted((s for reports in everyone for s in reports), key=lambda s: s.end_ms)

    assert highest(outputs) == highest(meet(undisturbed, config))
    assert highest(outputs)[-1].final
    assert_alerts_end(outputs)


@calm
@given(meetings(), st.data())
def test_no_window_has_two_values_where_no_person_may_be_published(
    everyone: list[list[Sentiment]], data: st.DataObject
) -> None:
    arriving = shuffled(data, everyone)
    flushes = data.draw(st.sets(st.integers(0, len(arriving) - 1)))
    policy = Policy("session", 2, MODALITIES)
    counted: dict[int, set[int]] = {}
    for output in meet(arriving, SmoothingConfig(), flushes, policy):
        if isinstance(output, SessionSentiment) and output.valence is not None:
            counted.setdefault(output.window_index, set()).add(output.participants)
    assert all(len(each) == 1 for each in counted.values())


@calm
@given(meetings(), st.data())
def test_the_session_lies_between_its_people(
    everyone: list[list[Sentiment]], data: st.DataObject
) -> None:
    """Between the last valences of all who report and of whom something is known."""
    outputs = meet(shuffled(data, everyone), SmoothingConfig())
    for record in outputs:
        if isinstance(record, Alert):
            continue
        said = [
            [s for s in reports if s.window_index <= record.window_index]
            for reports in everyone
            if reports[-1].window_index >= record.window_index
        ]
        parts = [last_valence(reports) for reports in said if reports[-1].uncertainty is not None]
        spoken = any(reports[-1].valence is not None for reports in said)
        assert (record.valence is None) == (not spoken)
        assert record.participants == (len(parts) if spoken else 0)
        if record.valence is not None:
            assert min(parts) <= record.valence <= max(parts)


def last_valence(reports: list[Sentiment]) -> float:
    return next(s.valence for s in reversed(reports) if s.valence is not None)


@calm
@given(meetings(), st.data())
def test_repeated_reports_change_nothing(
    everyone: list[list[Sentiment]], data: st.DataObject
) -> None:
    arriving = shuffled(data, everyone)
    again = data.draw(st.lists(st.integers(0, len(arriving) - 1), max_size=5))
    repeated = []
    for index, sentiment in enumerate(arriving):
        repeated += [sentiment, *(arriving[k] for k in again if k <= index)]
    config = SmoothingConfig()

    assert meet(repeated, config) == meet(arriving, config)
