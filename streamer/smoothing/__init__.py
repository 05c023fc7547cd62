"""(state, Score) → (state, Sentiment and Alert); (state, Sentiment) → (state, SessionSentiment).

What enters: scores of one participant in any order within lateness, and smoothed sentiment of the
participants of one session. What leaves: the published records, one per window, in order. States
are small frozen structs (a few kB however long the session) that msgpack carries without loss.
Every result follows from state and record alone, so the same score on the same state always gives
the same sentiment. What this deliberately does not know: clocks, Kafka, Faust, models.

Valence is an exponentially weighted mean over event time: a score of age `a` counts with
`weight · exp(−a / time_constant)`, weight = the model's confidence (its highest class probability)
times the sum over the evidence of `weight_<modality>` · presence. Steps may be irregular. Class
probabilities are smoothed with the same weights.

Uncertainty is the standard deviation of that mean as an estimate of the valence now:

    variance = noise · (SHARED + (1 − SHARED) · Σ aᵢ²) + drift² · mean age of the evidence

`aᵢ` are the normalised weights. `noise` is the weighted mean of what the model itself expects of
its squared error: its class probabilities' second moment about its valence. Errors on one
speaker's overlapping windows are correlated, by SHARED, so averaging removes only the rest. The
last term is a random walk of `drift_per_sqrt_min` since the evidence, an upper bound to it. Where
evidence is missing only age grows, so a gap widens the uncertainty. It ends at NO_KNOWLEDGE, a
uniform guess over the scale; a value that is no better is forgotten. Until then it waits in the
state, and evidence after the gap meets it with what its weight has decayed to.

Trend is the slope of a line through the smoothed values, exponentially weighted with
`trend_window`; it is published once the line spans TREND_FROM of that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.records import (
    CLASS_LABELS,
    Alert,
    Score,
    Sentiment,
    SessionSentiment,
    class_index,
    polarity_of,
    window_id,
)

SHARED = 0.5
"""Correlation between the errors of two windows of one speaker, and of two speakers' valence."""
NO_KNOWLEDGE = math.sqrt(3.0)
"""Standard deviation of a uniform guess over [-3, 3]: the largest uncertainty there is."""
CLASS_CENTRES = (-2.75, -2.0, -1.0, 0.0, 1.0, 2.0, 2.75)
TREND_FROM = 1 / 6
"""Share of the trend window that the evidence must span before a trend is published."""
HELD_LIMIT = 256
"""Most scores (and most windows of a session) held back; beyond it the oldest goes out."""
SESSION_PATIENCE_MS = 20_000
"""How much longer than lateness a session waits for a participant: partitions are read unevenly."""

Probabilities = tuple[float, float, float, float, float, float, float]
Outputs = list[Sentiment | Alert]
SessionOutputs = list[SessionSentiment | Alert]
AlertKind = Literal["sustained_negative", "sharp_drop"]


# --- states -------------------------------------------------------------------------------------


class Level(msgspec.Struct, frozen=True):
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


class Line(msgspec.Struct, frozen=True):
    """An exponentially weighted regression of values on time: weight, means, centred sums."""

    since_ms: int
    at_ms: int
    weight: float
    mean_s: float
    mean: float
    spread_s2: float = 0.0
    product_s: float = 0.0


class Drop(msgspec.Struct, frozen=True):
    """A sharp drop that has been raised and not cleared: from `peak` to the lowest since."""

    raised_ms: int
    peak: float
    low: float


class Watch(msgspec.Struct, frozen=True):
    """What the alerts must remember.

    Attributes:
        last_ms: event time of the last valence.
        last_valence: that valence.
        negative_since_ms: since when valence has been below the threshold, if it is.
        negative: whether `sustained_negative` stands.
        peaks: (time, valence) that a fall may still start from: ever later, ever lower.
        drop: the sharp drop that stands.
    """

    last_ms: int = 0
    last_valence: float = 0.0
    negative_since_ms: int | None = None
    negative: bool = False
    peaks: tuple[tuple[int, float], ...] = ()
    drop: Drop | None = None


class ParticipantState(msgspec.Struct, frozen=True):
    """All that is kept of one participant.

    Attributes:
        next_index: the window that is to go out next; lower ones are out.
        newest_ms: the latest event time seen.
        held: scores that wait for a missing one before them, by window.
        level: None before evidence, and when it has been forgotten.
    """

    next_index: int = 0
    newest_ms: int = 0
    held: tuple[Score, ...] = ()
    level: Level | None = None
    line: Line | None = None
    watch: Watch = Watch()


class Member(msgspec.Struct, frozen=True):
    """How far one participant of a session has reported."""

    next_index: int = 0
    newest_ms: int = 0
    ended: bool = False


class Report(msgspec.Struct, frozen=True):
    """One participant's part in one window of the session; `valence` None without evidence."""

    valence: float | None
    uncertainty: float | None
    model: str


class Meeting(msgspec.Struct, frozen=True):
    """One window of the session while its participants' reports come in."""

    start_ms: int
    end_ms: int
    event_time: datetime
    reports: dict[str, Report]


class SessionState(msgspec.Struct, frozen=True):
    """All that is kept of one session.

    Attributes:
        next_index: lower windows are out.
        first_ms: event time of the first report seen; None before it.
        newest_ms: the latest event time seen.
        expected: how many participants the session says it has; 0 when it does not say.
        members: the participants seen, by id.
        pending: windows that wait for participants, by window index.
        stances: the last valence of everyone of whom something is known.
    """

    session_id: str
    next_index: int = 0
    first_ms: int | None = None
    newest_ms: int = 0
    expected: int = 0
    members: dict[str, Member] = {}
    pending: dict[int, Meeting] = {}
    stances: dict[str, float] = {}
    line: Line | None = None
    watch: Watch = Watch()


# --- a participant ------------------------------------------------------------------------------


def step(
    state: ParticipantState | None,
    score: Score,
    config: SmoothingConfig,
    alerts: AlertsConfig,
) -> tuple[ParticipantState, Outputs]:
    """Take one score.

    The expected window (or one that says by `skipped` that those before it were dropped) goes out
    at once, with those that waited for it. Another is held until the gap before it fills or
    `lateness_s` of event time passes. A window that is out, or held in the same revision, changes
    nothing. The final score ends the waiting: a partition keeps its order, so what is missing
    before it was lost.

    Args:
        state: None at first.
        score: of the one participant whose state this is.
        config: smoothing settings.
        alerts: alert settings.

    Returns:
        The new state, and what to publish, in order. `latency_ms` is the score's own.
    """
    state = state or ParticipantState()
    if score.window_index < state.next_index or any(
        held.window_index == score.window_index and held.revision >= score.revision
        for held in state.held
    ):
        return state, []
    others = [held for held in state.held if held.window_index != score.window_index]
    state = msgspec.structs.replace(
        state,
        held=tuple(sorted([*others, score], key=lambda held: held.window_index)),
        newest_ms=max(state.newest_ms, score.end_ms),
    )
    return _release(state, config, alerts, everything=score.final)


def flush(
    state: ParticipantState, config: SmoothingConfig, alerts: AlertsConfig
) -> tuple[ParticipantState, Outputs]:
    """Give out what is held for a missing window; a score may still follow."""
    return _release(state, config, alerts, everything=True)


def _release(
    state: ParticipantState, config: SmoothingConfig, alerts: AlertsConfig, *, everything: bool
) -> tuple[ParticipantState, Outputs]:
    outputs: Outputs = []
    while state.held and (everything or _is_due(state, config)):
        score = state.held[0]
        state = msgspec.structs.replace(
            state, held=state.held[1:], next_index=score.window_index + 1
        )
        state, published = _publish(state, score, config, alerts)
        outputs += published
    return state, outputs


def _is_due(state: ParticipantState, config: SmoothingConfig) -> bool:
    first = state.held[0]
    return (
        first.window_index - first.skipped <= state.next_index
        or state.newest_ms - first.end_ms >= _lateness_ms(config)
        or len(state.held) > HELD_LIMIT
    )


def _publish(
    state: ParticipantState, score: Score, config: SmoothingConfig, alerts: AlertsConfig
) -> tuple[ParticipantState, Outputs]:
    level, line, valence = state.level, state.line, None
    weight = _weight(score, config)
    if score.valence is not None and weight > 0:
        level = _observe(level, score, score.valence, weight, config)
        line = _draw(line, score.end_ms, level.valence, weight, config)
        valence = level.valence
    uncertainty = _uncertainty(level, score.end_ms, config) if level is not None else None
    forgotten = valence is None and uncertainty == NO_KNOWLEDGE
    if forgotten:
        level = line = uncertainty = None
    event_time = score.session_start + timedelta(milliseconds=score.end_ms)
    watch, signals = _observe_alerts(
        state.watch, score.end_ms, valence, alerts, stand_down=forgotten or score.final
    )
    sentiment = Sentiment(
        session_id=score.session_id,
        participant_id=score.participant_id,
        window_id=score.window_id,
        window_index=score.window_index,
        revision=score.revision,
        event_time=event_time,
        start_ms=score.start_ms,
        end_ms=score.end_ms,
        valence=valence,
        valence_raw=score.valence,
        uncertainty=uncertainty,
        label=None if valence is None else CLASS_LABELS[class_index(valence)],
        polarity=None if valence is None else polarity_of(valence),
        class_probabilities=(
            None if level is None or valence is None else level.class_probabilities
        ),
        trend_per_min=None if valence is None else _slope_per_min(line, config),
        gate=score.gate,
        presence=score.presence,
        evidence=score.evidence,
        text=score.text,
        latency_ms=score.latency_ms,
        model=score.model,
        final=score.final,
        session_participants=score.session_participants,
    )
    state = msgspec.structs.replace(state, level=level, line=line, watch=watch)
    return state, [
        sentiment,
        *_alerts(signals, score.session_id, score.participant_id, event_time, score.end_ms),
    ]


# --- the weighted mean, its uncertainty and trend -----------------------------------------------


def _weight(score: Score, config: SmoothingConfig) -> float:
    """Confidence times the presence of what counted; 0 when nothing did."""
    presence = score.presence
    present = {
        "audio": config.weight_audio * presence.audio,
        "text": config.weight_text * presence.text,
        "vision": config.weight_vision * presence.vision,
    }
    return max(_probabilities(score)) * sum(present[name] for name in sorted(set(score.evidence)))


def _probabilities(score: Score) -> Probabilities:
    """The score's class probabilities, summing to 1; uniform where it has none."""
    given = score.class_probabilities
    total = sum(given) if given is not None else 0.0
    if given is None or total <= 0:
        return (1 / 7,) * 7
    return tuple(p / total for p in given)  # type: ignore[return-value]


def _expected_error(probabilities: Probabilities, valence: float) -> float:
    """Variance about `valence` if the classes are as probable as the model says."""
    squares = (
        p * (centre - valence) ** 2 for p, centre in zip(probabilities, CLASS_CENTRES, strict=True)
    )
    return sum(squares) + 1 / 12


def _observe(
    level: Level | None, score: Score, valence: float, weight: float, config: SmoothingConfig
) -> Level:
    probabilities = _probabilities(score)
    noise = _expected_error(probabilities, valence)
    if level is None:
        return Level(valence, probabilities, weight, noise, 1.0, 0.0, score.end_ms)
    elapsed_s = max(0, score.end_ms - level.at_ms) / 1000
    kept = level.weight * math.exp(-elapsed_s / config.time_constant_s)
    gain = weight / (kept + weight)
    return Level(
        valence=_towards(level.valence, valence, gain),
        class_probabilities=tuple(  # type: ignore[arg-type]
            _towards(old, new, gain)
            for old, new in zip(level.class_probabilities, probabilities, strict=True)
        ),
        weight=kept + weight,
        noise=_towards(level.noise, noise, gain),
        concentration=(1 - gain) ** 2 * level.concentration + gain**2,
        age_s=(1 - gain) * (level.age_s + elapsed_s),
        at_ms=max(level.at_ms, score.end_ms),
    )


def _towards(old: float, new: float, gain: float) -> float:
    """`old + gain · (new − old)`, never outside the two through rounding."""
    return min(max(old + gain * (new - old), min(old, new)), max(old, new))


def _uncertainty(level: Level, at_ms: int, config: SmoothingConfig) -> float:
    """Standard deviation of the level's valence at `at_ms`, at most NO_KNOWLEDGE."""
    error = level.noise * (SHARED + (1 - SHARED) * level.concentration)
    age_min = (level.age_s + max(0, at_ms - level.at_ms) / 1000) / 60
    return min(NO_KNOWLEDGE, math.sqrt(error + config.drift_per_sqrt_min**2 * age_min))


def _draw(
    line: Line | None, at_ms: int, value: float, weight: float, config: SmoothingConfig
) -> Line:
    """The line with one more point."""
    at_s = at_ms / 1000
    if line is None:
        return Line(at_ms, at_ms, weight, at_s, value)
    decay = math.exp(-max(0, at_ms - line.at_ms) / 1000 / config.trend_window_s)
    kept = line.weight * decay
    gain = weight / (kept + weight)
    ahead_s, above = at_s - line.mean_s, value - line.mean
    return Line(
        since_ms=line.since_ms,
        at_ms=max(line.at_ms, at_ms),
        weight=kept + weight,
        mean_s=line.mean_s + gain * ahead_s,
        mean=line.mean + gain * above,
        spread_s2=line.spread_s2 * decay + weight * (1 - gain) * ahead_s**2,
        product_s=line.product_s * decay + weight * (1 - gain) * ahead_s * above,
    )


def _slope_per_min(line: Line | None, config: SmoothingConfig) -> float | None:
    if line is None or line.at_ms - line.since_ms < TREND_FROM * config.trend_window_s * 1000:
        return None
    return 60 * line.product_s / line.spread_s2 if line.spread_s2 > 0 else None


def _lateness_ms(config: SmoothingConfig) -> int:
    return round(config.lateness_s * 1000)


# --- alerts -------------------------------------------------------------------------------------


class _Signal(msgspec.Struct, frozen=True):
    kind: AlertKind
    state: Literal["raised", "cleared"]
    valence: float
    threshold: float
    message: str


def _observe_alerts(
    watch: Watch, at_ms: int, valence: float | None, config: AlertsConfig, *, stand_down: bool
) -> tuple[Watch, list[_Signal]]:
    """Take one smoothed valence (None: no evidence); `stand_down` clears what stands."""
    if not config.enabled:
        return watch, []
    signals: list[_Signal] = []
    if valence is not None:
        watch = _watch_negative(watch, at_ms, valence, config, signals)
        watch = _watch_drop(watch, at_ms, valence, config, signals)
        watch = msgspec.structs.replace(watch, last_ms=at_ms, last_valence=valence)
    if watch.drop is not None and at_ms - watch.drop.raised_ms >= config.drop_clear_s * 1000:
        watch = _clear_drop(watch, at_ms, config, "has stayed down, and the drop is over", signals)
    if stand_down:
        watch = _stand_down(watch, at_ms, config, signals)
    return watch, signals


def _watch_negative(
    watch: Watch, at_ms: int, valence: float, config: AlertsConfig, signals: list[_Signal]
) -> Watch:
    """Below the threshold for long enough; a silence of that length starts the count anew."""
    if watch.negative:
        if valence <= config.negative_clear_above:
            return watch
        signals.append(_negative_cleared(valence, config, "is no longer negative"))
        return msgspec.structs.replace(watch, negative=False, negative_since_ms=None)
    if valence >= config.negative_below:
        return msgspec.structs.replace(watch, negative_since_ms=None)
    since_ms, needed_ms = watch.negative_since_ms, config.negative_for_s * 1000
    if since_ms is None or at_ms - watch.last_ms > needed_ms:
        since_ms = at_ms
    raised = at_ms - since_ms >= needed_ms
    if raised:
        signals.append(
            _Signal(
                "sustained_negative",
                "raised",
                valence,
                config.negative_below,
                f"has been below {config.negative_below:g} for {config.negative_for_s:g} s",
            )
        )
    return msgspec.structs.replace(watch, negative_since_ms=since_ms, negative=raised)


def _watch_drop(
    watch: Watch, at_ms: int, valence: float, config: AlertsConfig, signals: list[_Signal]
) -> Watch:
    """A fall from the highest value within the time allowed; one drop at a time."""
    if watch.drop is not None:
        drop = msgspec.structs.replace(watch.drop, low=min(watch.drop.low, valence))
        watch = msgspec.structs.replace(watch, drop=drop, last_valence=valence)
        if valence >= (drop.peak + drop.low) / 2:
            return _clear_drop(watch, at_ms, config, "has made up half of the drop", signals)
        return watch
    peaks = _peaks(watch.peaks, at_ms, valence, round(config.drop_within_s * 1000))
    peak = peaks[0][1]
    if peak - valence < config.drop_by:
        return msgspec.structs.replace(watch, peaks=peaks)
    signals.append(
        _Signal(
            "sharp_drop",
            "raised",
            valence,
            config.drop_by,
            f"fell by {peak - valence:.2f} within {config.drop_within_s:g} s",
        )
    )
    return msgspec.structs.replace(watch, peaks=(), drop=Drop(at_ms, peak, valence))


def _peaks(
    peaks: Sequence[tuple[int, float]], at_ms: int, valence: float, within_ms: int
) -> tuple[tuple[int, float], ...]:
    """Where a fall may start: values of the last `within_ms` with no higher one after them.

    At most about 32: a value closer than within/32 to the one kept before it is left out.
    """
    kept = [(when, value) for when, value in peaks if at_ms - when <= within_ms and value > valence]
    if not kept or at_ms - kept[-1][0] >= within_ms / 32:
        kept.append((at_ms, valence))
    return tuple(kept)


def _clear_drop(
    watch: Watch, at_ms: int, config: AlertsConfig, why: str, signals: list[_Signal]
) -> Watch:
    signals.append(_Signal("sharp_drop", "cleared", watch.last_valence, config.drop_by, why))
    return msgspec.structs.replace(watch, drop=None, peaks=((at_ms, watch.last_valence),))


def _negative_cleared(valence: float, config: AlertsConfig, why: str) -> _Signal:
    return _Signal("sustained_negative", "cleared", valence, config.negative_clear_above, why)


def _stand_down(watch: Watch, at_ms: int, config: AlertsConfig, signals: list[_Signal]) -> Watch:
    """Clear what stands, for nothing more is known."""
    why = "is no longer heard of"
    if watch.negative:
        signals.append(_negative_cleared(watch.last_valence, config, why))
    if watch.drop is not None:
        _clear_drop(watch, at_ms, config, why, signals)
    return Watch()


def _alerts(
    signals: Sequence[_Signal],
    session_id: str,
    participant_id: str | None,
    event_time: datetime,
    end_ms: int,
) -> list[Alert]:
    who = participant_id or "The session"
    return [
        Alert(
            alert_id=f"{session_id}/{participant_id or '*'}/{signal.kind}/{signal.state}/{end_ms}",
            session_id=session_id,
            participant_id=participant_id,
            kind=signal.kind,
            state=signal.state,
            event_time=event_time,
            end_ms=end_ms,
            valence=signal.valence,
            threshold=signal.threshold,
            message=f"{who} {signal.message}; valence is {signal.valence:+z.2f}.",
        )
        for signal in signals
    ]


# --- the session --------------------------------------------------------------------------------


def session_step(
    state: SessionState | None,
    sentiment: Sentiment,
    config: SmoothingConfig,
    alerts: AlertsConfig,
) -> tuple[SessionState, SessionOutputs]:
    """Take one participant's sentiment; each participant's come in order.

    A window goes out once every active participant has reported it or a later one. A participant
    is active until its final record, or until it is more than lateness and SESSION_PATIENCE_MS of
    event time behind the furthest one. At the start, where not all participants may have been
    seen yet, nothing goes out until all that the session announces (`session_participants`) have
    been, or that time has passed; when it announces none, until `lateness_s` has. So the result
    does not depend on the order in which participants' records arrive within that time. What
    comes for a window that is out changes nothing.

    Args:
        state: None at first.
        sentiment: of any participant of the one session whose state this is.
        config: smoothing settings.
        alerts: alert settings.

    Returns:
        The new state, and what to publish, in order.
    """
    state = _admit(state or SessionState(sentiment.session_id), sentiment)
    return _session_release(state, config, alerts, everything=False)


def session_flush(
    state: SessionState, config: SmoothingConfig, alerts: AlertsConfig
) -> tuple[SessionState, SessionOutputs]:
    """Give out what waits for participants; records may still follow."""
    return _session_release(state, config, alerts, everything=True)


def _admit(state: SessionState, sentiment: Sentiment) -> SessionState:
    name, index, end_ms = sentiment.participant_id, sentiment.window_index, sentiment.end_ms
    member = state.members.get(name, Member())
    member = Member(
        next_index=max(member.next_index, index + 1),
        newest_ms=max(member.newest_ms, end_ms),
        ended=member.ended or sentiment.final,
    )
    pending = state.pending
    meeting = pending.get(index) or Meeting(sentiment.start_ms, end_ms, sentiment.event_time, {})
    if index >= state.next_index and name not in meeting.reports:
        report = Report(sentiment.valence, sentiment.uncertainty, sentiment.model)
        pending = {
            **pending,
            index: Meeting(
                start_ms=min(meeting.start_ms, sentiment.start_ms),
                end_ms=max(meeting.end_ms, end_ms),
                event_time=max(meeting.event_time, sentiment.event_time),
                reports=dict(sorted({**meeting.reports, name: report}.items())),
            ),
        }
    return msgspec.structs.replace(
        state,
        first_ms=end_ms if state.first_ms is None else min(state.first_ms, end_ms),
        newest_ms=max(state.newest_ms, end_ms),
        expected=max(state.expected, sentiment.session_participants),
        members=dict(sorted({**state.members, name: member}.items())),
        pending=dict(sorted(pending.items())),
    )


def _session_release(
    state: SessionState, config: SmoothingConfig, alerts: AlertsConfig, *, everything: bool
) -> tuple[SessionState, SessionOutputs]:
    outputs: SessionOutputs = []
    while state.pending and (everything or _session_is_due(state, config)):
        index, meeting = next(iter(state.pending.items()))
        pending = {later: held for later, held in state.pending.items() if later != index}
        state = msgspec.structs.replace(state, next_index=index + 1, pending=pending)
        state, published = _session_publish(state, index, meeting, config, alerts)
        outputs += published
    return state, outputs


def _session_is_due(state: SessionState, config: SmoothingConfig) -> bool:
    if len(state.pending) > HELD_LIMIT:
        return True
    index, patience_ms = next(iter(state.pending)), _lateness_ms(config) + SESSION_PATIENCE_MS
    if not 0 < state.expected <= len(state.members):
        wait_ms = patience_ms if state.expected else _lateness_ms(config)
        if state.newest_ms - (state.first_ms or 0) < wait_ms:
            return False
    return all(
        member.ended
        or member.next_index > index
        or state.newest_ms - member.newest_ms > patience_ms
        for member in state.members.values()
    )


def _session_publish(
    state: SessionState,
    index: int,
    meeting: Meeting,
    config: SmoothingConfig,
    alerts: AlertsConfig,
) -> tuple[SessionState, SessionOutputs]:
    stances = _stances(state.stances, meeting.reports)
    parts = [
        (stances[name], max(report.uncertainty, 1e-3))
        for name, report in meeting.reports.items()
        if name in stances and report.uncertainty is not None
    ]
    spoken = any(report.valence is not None for report in meeting.reports.values())
    line, valence, uncertainty = state.line, None, None
    if spoken and len(parts) >= config.session_min_participants:
        valence, uncertainty = _mean_over_people(parts)
        line = _draw(line, meeting.end_ms, valence, 1.0, config)
    final = (
        not state.pending
        and len(state.members) >= state.expected
        and all(member.ended for member in state.members.values())
    )
    watch, signals = _observe_alerts(state.watch, meeting.end_ms, valence, alerts, stand_down=final)
    record = SessionSentiment(
        session_id=state.session_id,
        window_id=window_id(state.session_id, "*", index),
        window_index=index,
        event_time=meeting.event_time,
        start_ms=meeting.start_ms,
        end_ms=meeting.end_ms,
        valence=valence,
        uncertainty=uncertainty,
        spread=None if valence is None else _spread(parts, config),
        label=None if valence is None else CLASS_LABELS[class_index(valence)],
        polarity=None if valence is None else polarity_of(valence),
        trend_per_min=None if valence is None else _slope_per_min(line, config),
        participants=len(parts) if spoken else 0,
        model=", ".join(sorted({report.model for report in meeting.reports.values()})),
        final=final,
    )
    state = msgspec.structs.replace(state, line=line, watch=watch, stances=stances)
    return state, [
        record,
        *_alerts(signals, state.session_id, None, meeting.event_time, meeting.end_ms),
    ]


def _stances(before: Mapping[str, float], reports: Mapping[str, Report]) -> dict[str, float]:
    """Everyone's last valence: who listens in silence still is in the meeting.

    With it goes the uncertainty that their report gives now, which has grown since; once that is
    None too, they have been silent for so long that nothing is known of them any more.
    """
    said = {name: report.valence for name, report in reports.items() if report.valence is not None}
    unknown = {name for name, report in reports.items() if report.uncertainty is None}
    return {
        name: valence for name, valence in sorted({**before, **said}.items()) if name not in unknown
    }


def _mean_over_people(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean of (valence, uncertainty) weighted by 1/uncertainty², and its standard deviation."""
    weights = [1 / deviation**2 for _, deviation in parts]
    shares = [weight / sum(weights) for weight in weights]
    mean = sum(share * valence for share, (valence, _) in zip(shares, parts, strict=True))
    low, high = min(valence for valence, _ in parts), max(valence for valence, _ in parts)
    errors = [share * deviation for share, (_, deviation) in zip(shares, parts, strict=True)]
    variance = SHARED * sum(errors) ** 2 + (1 - SHARED) * sum(error**2 for error in errors)
    return min(max(mean, low), high), math.sqrt(variance)


def _spread(parts: Sequence[tuple[float, float]], config: SmoothingConfig) -> float | None:
    """Standard deviation between people; with two of them, mean and spread would give both away."""
    if len(parts) < (3 if config.publish == "session" else 2):
        return None
    mean = sum(valence for valence, _ in parts) / len(parts)
    return math.sqrt(sum((valence - mean) ** 2 for valence, _ in parts) / len(parts))
