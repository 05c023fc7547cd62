"""Alerts: sustained negative valence, sharp drops and rules of one's own, raised and cleared.

What enters: the alert state and a record. What leaves: the next state and the alerts raised or
cleared. The rules are in `rules`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamer.config import AlertsConfig
from streamer.records import Sentiment, SessionSentiment
from streamer.smoothing.rules import RuleState, update_rules
from streamer.smoothing.signals import Signal


class Drop(msgspec.Struct, frozen=True):
    """A sharp drop that has been raised and not cleared: from `peak` to the lowest since."""

    raised_ms: int
    peak: float
    low: float


class AlertState(msgspec.Struct, frozen=True):
    """The state of the alerts between two values.

    Attributes:
        last_ms: event time of the last valence.
        last_valence: that valence.
        negative_since_ms: since when valence has been below the threshold, if it is.
        negative: whether `sustained_negative` stands.
        peaks: (time, valence) that a fall may still start from: ever later, ever lower.
        drop: the sharp drop that stands.
        rules: of the rules, by name.
    """

    last_ms: int = 0
    last_valence: float = 0.0
    negative_since_ms: int | None = None
    negative: bool = False
    peaks: tuple[tuple[int, float], ...] = ()
    drop: Drop | None = None
    rules: dict[str, RuleState] = {}


def update_alerts(
    state: AlertState,
    record: Sentiment | SessionSentiment,
    config: AlertsConfig,
    *,
    forgotten: bool = False,
    revision: bool = False,
) -> tuple[AlertState, list[Signal]]:
    """Take one record; without a valence it gives no evidence.

    What stands is cleared when the estimate is `forgotten`, and by the final record, which is no
    event of its own: the message tells that it lasted until then. A `revision` only clears, and
    only when it is final.
    """
    if not config.enabled:
        return state, []
    at_ms, valence = record.end_ms, None if revision else record.valence
    rules, of_rules = update_rules(
        state.rules, record, config.rules, revision=revision, final=record.final
    )
    signals: list[Signal] = []
    if valence is not None:
        state = _update_negative(state, at_ms, valence, config, signals)
        state = _update_drop(state, at_ms, valence, config, signals)
        state = msgspec.structs.replace(state, last_ms=at_ms, last_valence=valence)
    if state.drop is not None and at_ms - state.drop.raised_ms >= config.drop_clear_s * 1000:
        state = _clear_drop(state, at_ms, config, "has stayed down, and the drop is over", signals)
    if forgotten or record.final:
        state = _stand_down(state, at_ms, config, signals, ended=record.final)
    return msgspec.structs.replace(state, rules=rules), [*signals, *of_rules]


def _update_negative(
    state: AlertState, at_ms: int, valence: float, config: AlertsConfig, signals: list[Signal]
) -> AlertState:
    """Below the threshold for long enough; a silence of that length starts the count anew."""
    if state.negative:
        if valence <= config.negative_clear_above:
            return state
        signals.append(_negative_cleared(valence, config, "is no longer negative"))
        return msgspec.structs.replace(state, negative=False, negative_since_ms=None)
    if valence >= config.negative_below:
        return msgspec.structs.replace(state, negative_since_ms=None)
    since_ms, needed_ms = state.negative_since_ms, config.negative_for_s * 1000
    if since_ms is None or at_ms - state.last_ms > needed_ms:
        since_ms = at_ms
    raised = at_ms - since_ms >= needed_ms
    if raised:
        signals.append(
            Signal(
                "sustained_negative",
                "raised",
                valence,
                config.negative_below,
                f"has been below {config.negative_below:g} for {config.negative_for_s:g} s",
            )
        )
    return msgspec.structs.replace(state, negative_since_ms=since_ms, negative=raised)


def _update_drop(
    state: AlertState, at_ms: int, valence: float, config: AlertsConfig, signals: list[Signal]
) -> AlertState:
    """A fall from the highest value within the time allowed; one drop at a time."""
    if state.drop is not None:
        drop = msgspec.structs.replace(state.drop, low=min(state.drop.low, valence))
        state = msgspec.structs.replace(state, drop=drop, last_valence=valence)
        if valence >= (drop.peak + drop.low) / 2:
            return _clear_drop(state, at_ms, config, "has made up half of the drop", signals)
        return state
    peaks = _peaks(state.peaks, at_ms, valence, round(config.drop_within_s * 1000))
    peak = peaks[0][1]
    if peak - valence < config.drop_by:
        return msgspec.structs.replace(state, peaks=peaks)
    signals.append(
        Signal(
            "sharp_drop",
            "raised",
            valence,
            config.drop_by,
            f"fell by {peak - valence:.2f} within {config.drop_within_s:g} s",
        )
    )
    return msgspec.structs.replace(state, peaks=(), drop=Drop(at_ms, peak, valence))


def _peaks(
    peaks: Sequence[tuple[int, float]], at_ms: int, valence: float, within_ms: int
) -> tuple[tuple[int, float], ...]:
    """Where a fall may start: values of the last `within_ms` with no higher one after them.

    At most about 32: a value closer than within/32 to the peak before it is left out.
    """
    higher = [
        (when, value) for when, value in peaks if at_ms - when <= within_ms and value > valence
    ]
    if not higher or at_ms - higher[-1][0] >= within_ms / 32:
        higher.append((at_ms, valence))
    return tuple(higher)


def _clear_drop(
    state: AlertState, at_ms: int, config: AlertsConfig, why: str, signals: list[Signal]
) -> AlertState:
    signals.append(Signal("sharp_drop", "cleared", state.last_valence, config.drop_by, why))
    return msgspec.structs.replace(state, drop=None, peaks=((at_ms, state.last_valence),))


def _negative_cleared(valence: float, config: AlertsConfig, why: str) -> Signal:
    return Signal("sustained_negative", "cleared", valence, config.negative_clear_above, why)


def _stand_down(
    state: AlertState, at_ms: int, config: AlertsConfig, signals: list[Signal], *, ended: bool
) -> AlertState:
    """Clear what stands: it is over, or nothing more is known."""
    unknown = "has given no evidence for long"
    if state.negative:
        why = "was negative to the end" if ended else unknown
        signals.append(_negative_cleared(state.last_valence, config, why))
    if state.drop is not None:
        why = "stayed down to the end" if ended else unknown
        _clear_drop(state, at_ms, config, why, signals)
    return AlertState()
