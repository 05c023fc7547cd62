"""What an alert tells of one moment, and the record that is made of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from streamer.records import Alert

AlertKind = Literal["sustained_negative", "sharp_drop", "rule"]


class Signal(msgspec.Struct, frozen=True):
    """An alert that is raised or cleared.

    Attributes:
        valence: the smoothed one at that time; None where there is no evidence.
        threshold: the setting that was crossed.
        message: what happened, after the name of whom it happened to.
        rule: the name of the rule, of kind `rule`.
        number: which number the rule watches.
        value: that number.
    """

    kind: AlertKind
    state: Literal["raised", "cleared"]
    valence: float | None
    threshold: float
    message: str
    rule: str | None = None
    number: str | None = None
    value: float | None = None


def alert_records(
    signals: Sequence[Signal],
    session_id: str,
    participant_id: str | None,
    event_time: datetime,
    end_ms: int,
) -> list[Alert]:
    """Return the records of alerts that were raised or cleared in one window."""
    whose = participant_id or "*"
    return [
        Alert(
            alert_id=f"{session_id}/{whose}/{_name(signal)}/{signal.state}/{end_ms}",
            session_id=session_id,
            participant_id=participant_id,
            kind=signal.kind,
            state=signal.state,
            event_time=event_time,
            end_ms=end_ms,
            valence=signal.valence,
            threshold=signal.threshold,
            message=_sentence(participant_id or "The session", signal),
            rule=signal.rule,
            number=signal.number,
            value=signal.value,
        )
        for signal in signals
    ]


def _name(signal: Signal) -> str:
    return signal.kind if signal.rule is None else f"{signal.kind}:{signal.rule}"


def _sentence(who: str, signal: Signal) -> str:
    if signal.rule is not None:
        return f"{who}: {signal.rule}; {signal.message}."
    return f"{who} {signal.message}; valence is {signal.valence or 0.0:+z.2f}."
