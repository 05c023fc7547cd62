"""Alerts for people: the raised and the cleared record of one alert as one entry, in plain words.

What enters: `Alert` records, in any order. What leaves: an `Entry` for each raised one. The page
does the same in `alerts.js`; `tests/golden/alert_entries.json` holds both to the same words.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from streamer.records import Alert
from streamer.shown_names import shown

NO_NAMES: Mapping[str, str] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One alert from its beginning to its end.

    Attributes:
        participant_id: None for the session as a whole.
        begin_ms: session time at which it was raised.
        end_ms: session time at which it was cleared; None while it stands.
        text: what happened, a sentence without a full stop; of a rule, the name that it has.
        why: of a rule, what it watches, as "presence.audio below 0.1"; "" for other kinds.
    """

    participant_id: str | None
    begin_ms: int
    end_ms: int | None
    text: str
    why: str = ""


def alert_entries(alerts: Iterable[Alert], names: Mapping[str, str] = NO_NAMES) -> list[Entry]:
    """Return one entry for each raised alert, by time; `names` are those that people see.

    A cleared record ends the latest alert of its kind, participant and rule. One without a raised
    record has no entry.
    """
    raised: dict[tuple[str | None, str, str | None], Alert] = {}
    entries = []
    for alert in sorted(alerts, key=lambda alert: (alert.end_ms, alert.state == "raised")):
        key = alert.participant_id, alert.kind, alert.rule
        before = raised.pop(key, None)
        if before is not None:
            entries.append(_entry(before, alert.end_ms, names))
        if alert.state == "raised":
            raised[key] = alert
    entries += [_entry(alert, None, names) for alert in raised.values()]
    return sorted(entries, key=lambda entry: entry.begin_ms)


def alert_text(alert: Alert, names: Mapping[str, str]) -> str:
    """Return an alert's own sentence with the name that people see."""
    who = alert.participant_id
    if who is None or not alert.message.startswith((f"{who} ", f"{who}: ")):
        return alert.message
    return shown(names, who) + alert.message.removeprefix(who)


def length_text(milliseconds: int) -> str:
    """Return a length as `25 s` or `2 min 5 s`."""
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _entry(alert: Alert, end_ms: int | None, names: Mapping[str, str]) -> Entry:
    who = "The meeting" if alert.participant_id is None else shown(names, alert.participant_id)
    length = None if end_ms is None else length_text(end_ms - alert.end_ms)
    if alert.rule is not None:
        text = f"{who}: {alert.rule}" + (f", for {length}" if length else "")
    elif alert.kind == "sustained_negative":
        text = f"{who} stayed negative for {length}" if length else f"{who} is negative"
    else:
        text = f"{who} fell sharply" + (f", down for {length}" if length else "")
    return Entry(
        participant_id=alert.participant_id,
        begin_ms=alert.end_ms,
        end_ms=end_ms,
        text=text,
        why=_why(alert),
    )


def _why(alert: Alert) -> str:
    if alert.number is None or alert.value is None:
        return ""
    side = "above" if alert.value > alert.threshold else "below"
    return f"{alert.number} {side} {alert.threshold:g}"
