"""Alert rules of one's own: a published number beyond a threshold for long enough.

What enters: the states of the rules, and a record. What leaves: the next states, and the alerts
raised or cleared. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streamer.config.alerts import RuleConfig
from streamer.records import Sentiment, SessionSentiment
from streamer.smoothing.signals import Signal

PATIENCE_MS = 10_000
"""A number may be missing for so long, or for the rule's own time, before the count starts anew."""
MISSING_MS = 60_000
"""An alert is cleared when its number has been missing for so long."""


class RuleState(msgspec.Struct, frozen=True):
    """The state of one rule between two records.

    Attributes:
        last_ms: event time of the number's last value.
        value: that value.
        since_ms: since when it has been beyond the threshold; None while it is not.
        raised: whether the alert stands.
        number: which number that is, for the end of a rule that is no longer in the settings.
        threshold: likewise.
    """

    last_ms: int = 0
    value: float = 0.0
    since_ms: int | None = None
    raised: bool = False
    number: str = ""
    threshold: float = 0.0


States = Mapping[str, RuleState]


def update_rules(
    states: States,
    record: Sentiment | SessionSentiment,
    rules: Sequence[RuleConfig],
    *,
    revision: bool = False,
    final: bool = False,
) -> tuple[dict[str, RuleState], list[Signal]]:
    """Take one record.

    Args:
        states: by the names of the rules.
        record: of one participant, or of the meeting.
        rules: all rules of the settings; those for others are left out.
        revision: the record's window was out before: it raises nothing.
        final: clear what stands.
    """
    who = record.participant_id if isinstance(record, Sentiment) else None
    mine = {rule.name: rule for rule in rules if rule.concerns(who)}
    after: dict[str, RuleState] = {}
    signals: list[Signal] = []
    for name, rule in mine.items():
        state = states.get(name, RuleState())
        if not revision:
            state = _judge(state, rule, record, signals)
        if final and state.raised:
            signals.append(_cleared(name, state, record, "it lasted to the end"))
            state = RuleState()
        after[name] = state
    for name in states.keys() - mine.keys():
        if states[name].raised:
            signals.append(_cleared(name, states[name], record, "the rule was taken out"))
    return after, signals


def number_in(record: Sentiment | SessionSentiment, name: str) -> float | None:
    """Return a number of a record by its dotted name; None where the record has none."""
    value: Any = record
    for part in name.split("."):
        if value is None:
            return None
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, tuple):
            value = value[int(part)]
        else:
            value = getattr(value, part)
    return None if value is None else float(value)


def _judge(
    state: RuleState,
    rule: RuleConfig,
    record: Sentiment | SessionSentiment,
    signals: list[Signal],
) -> RuleState:
    """Read the number: raise the alert, clear it, or go on counting."""
    value, at_ms = number_in(record, rule.number), record.end_ms
    if value is None:
        if not state.raised or at_ms - state.last_ms < MISSING_MS:
            return state
        missing = f"{rule.number} has been missing for {MISSING_MS // 1000} s"
        signals.append(_cleared(rule.name, state, record, missing))
        return RuleState()
    needed_ms = rule.for_s * 1000
    if not rule.is_beyond(value, raised=state.raised):
        state = RuleState(at_ms, value, None, state.raised, rule.number, rule.threshold)
        if state.raised:
            now = f"over, {rule.number} is {value:.3g}"
            signals.append(_cleared(rule.name, state, record, now))
        return msgspec.structs.replace(state, raised=False)
    since_ms = state.since_ms
    if since_ms is None or at_ms - state.last_ms > max(needed_ms, PATIENCE_MS):
        since_ms = at_ms
    raised = state.raised or at_ms - since_ms >= needed_ms
    after = RuleState(at_ms, value, since_ms, raised, rule.number, rule.threshold)
    if raised and not state.raised:
        signals.append(_raised(rule, after, record))
    return after


def _raised(rule: RuleConfig, state: RuleState, record: Sentiment | SessionSentiment) -> Signal:
    side = "above" if rule.above is not None else "below"
    return Signal(
        "rule",
        "raised",
        record.valence,
        rule.threshold,
        f"{rule.number} has been {side} {rule.threshold:g} for {rule.for_s:g} s and is "
        f"{state.value:.3g}",
        rule.name,
        rule.number,
        state.value,
    )


def _cleared(name: str, state: RuleState, record: Sentiment | SessionSentiment, why: str) -> Signal:
    return Signal(
        "rule",
        "cleared",
        record.valence,
        state.threshold,
        why,
        name,
        state.number,
        state.value,
    )
