"""(state, Sentiment) → (state, SessionSentiment and Alert) of one session.

What enters: the smoothed sentiment of the session's participants. What leaves: one record per
window, in order; again, in a higher revision, when a participant's reports come later than that, or
in a newer revision of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.policy import Policy
from streamer.records import Alert, Sentiment, SessionSentiment
from streamer.smoothing.alerts import AlertState, update_alerts
from streamer.smoothing.meeting import Carry, Meeting, Report, digest_of, evaluate, record_of
from streamer.smoothing.participant import HELD_LIMIT, RECENT_WINDOWS, lateness_ms
from streamer.smoothing.signals import alert_records

K = TypeVar("K", int, str)
V = TypeVar("V")

SESSION_PATIENCE_MS = 20_000
"""How much longer than lateness a session waits for a participant: partitions are read unevenly."""
REVISABLE_WINDOWS = 256
"""Windows that are out and may still be revised; what comes for an older one changes nothing."""
STATE_BUDGET_BYTES = 160_000
"""About how much the windows in a state may take; beyond it the oldest go out, or are final."""
SessionOutputs = list[SessionSentiment | Alert]


class Member(msgspec.Struct, frozen=True):
    """How far one participant of a session has reported.

    Attributes:
        next_index: lower windows are not reported any more.
        newest_ms: event time of the latest report.
        ended: the final record is there.
        late: the latest report was of a window that was out, so more of these may follow.
    """

    next_index: int = 0
    newest_ms: int = 0
    ended: bool = False
    late: bool = False


class SessionState(msgspec.Struct, frozen=True, rename={"alert_state": "watch"}):
    """The stored state of one session; `rename` keeps a name in the changelog.

    Attributes:
        windows: by index: those that wait for participants, and those that are out and may be
            revised.
        next_index: lower windows are out.
        first_ms: event time of the first report seen; None before it.
        newest_ms: the latest event time seen.
        expected: how many participants the session announces; 0 when it announces none.
        members: the participants seen, by id.
        floor: lower windows are not revised any more.
        before: what the windows below `floor` say of the next one.
        after: what the windows below `next_index` say of the next one.
        changed_from: the lowest window that is out and may have to be revised; None without one.
        final_index: the window that is out as `final`; None without one.
        unhurried: all that has changed are revised reports, and they wait for the next window.
    """

    session_id: str
    windows: dict[int, Meeting]
    next_index: int = 0
    first_ms: int | None = None
    newest_ms: int = 0
    expected: int = 0
    members: dict[str, Member] = {}
    floor: int = 0
    before: Carry = Carry()
    after: Carry = Carry()
    changed_from: int | None = None
    final_index: int | None = None
    alert_state: AlertState = AlertState()
    unhurried: bool = False


def session_step(
    state: SessionState | None,
    sentiment: Sentiment,
    config: SmoothingConfig,
    alerts: AlertsConfig,
    policy: Policy,
) -> tuple[SessionState, SessionOutputs]:
    """Take one participant's sentiment; each participant's come in order.

    A window goes out once every active participant has reported it or a later one. A participant
    is active until its final record, or until it is more than lateness and SESSION_PATIENCE_MS of
    event time behind the furthest one. At the start, where not all participants may have been
    seen yet, nothing goes out until all that the session announces (`session_participants`) have
    been, or that time has passed; when it announces none, until `lateness_s` has.

    A report of a window that is out revises it and those after it: each goes out again, in the
    next revision, if its content changes, once no participant who is late has still to report it.
    So in the end the highest revisions are the same in whatever order participants' records
    arrive, as far back as REVISABLE_WINDOWS and STATE_BUDGET_BYTES reach. What newer revisions of
    reports change goes out with the next window, many at once. Where no single person may be
    published, a window that is out with a value takes no further report: the difference of two
    revisions would be the value of whoever came late. Alerts are judged when a window goes out
    first; a revision raises none, and clears them only when it is the final one.

    Args:
        state: None at first.
        sentiment: of any participant of the one session whose state this is.
        config: smoothing settings.
        alerts: alert settings.
        policy: what the session allows.

    Returns:
        The new state, and what to publish, in order.
    """
    state = _admit(state or SessionState(sentiment.session_id, {}), sentiment, policy)
    return _publish(state, config, alerts, policy, everything=False)


def session_flush(
    state: SessionState, config: SmoothingConfig, alerts: AlertsConfig, policy: Policy
) -> tuple[SessionState, SessionOutputs]:
    """Publish what waits for participants; records may still follow, and then revise it."""
    return _publish(state, config, alerts, policy, everything=True)


def session_holds(state: SessionState) -> bool:
    """Whether a flush would publish anything."""
    return _last_index(state) >= state.next_index or state.changed_from is not None


def session_silence_s(state: SessionState, config: SmoothingConfig) -> float:
    """Return after how long without any record of the session a flush is due, in seconds.

    While participants are announced or have sent no final record, silence may be an outage.
    """
    return config.idle_flush_s if _everyone_ended(state) else longest_silence_s(config)


def longest_silence_s(config: SmoothingConfig) -> float:
    """Return after how long without any record every session is flushed, in seconds."""
    return config.idle_flush_s + (lateness_ms(config) + SESSION_PATIENCE_MS) / 1000


# --- what comes in ------------------------------------------------------------------------------


def _admit(state: SessionState, sentiment: Sentiment, policy: Policy) -> SessionState:
    name, index, end_ms = sentiment.participant_id, sentiment.window_index, sentiment.end_ms
    before = state.members.get(name, Member())
    member = Member(
        next_index=max(before.next_index, index + 1),
        newest_ms=max(before.newest_ms, end_ms),
        ended=before.ended or sentiment.final,
        late=index < state.next_index if index >= before.next_index else before.late,
    )
    state = msgspec.structs.replace(
        state,
        first_ms=end_ms if state.first_ms is None else min(state.first_ms, end_ms),
        newest_ms=max(state.newest_ms, end_ms),
        expected=max(state.expected, sentiment.session_participants),
        members=_with(state.members, name, member),
    )
    changed = _moved_final(state)
    unhurried = sentiment.revision > 0 and not changed
    meeting = state.windows.get(index)
    if index >= state.floor and (meeting is None or _is_news(meeting, sentiment, policy)):
        windows = _with(state.windows, index, _joined(meeting, sentiment))
        state = msgspec.structs.replace(state, windows=windows)
        changed.add(index)
    out = [each for each in changed if each is not None and each < state.next_index]
    if not out:
        return state
    if state.changed_from is not None:
        out.append(state.changed_from)
        unhurried = unhurried and state.unhurried
    return msgspec.structs.replace(state, changed_from=min(out), unhurried=unhurried)


def _is_news(meeting: Meeting, sentiment: Sentiment, policy: Policy) -> bool:
    """Whether a report changes its window; what is closed stays as it is."""
    if meeting.valued and not policy.persons:
        return False
    known = meeting.reports.get(sentiment.participant_id)
    return known is None or known.revision < sentiment.revision


def _joined(meeting: Meeting | None, sentiment: Sentiment) -> Meeting:
    if meeting is None:
        meeting = Meeting(sentiment.start_ms, sentiment.end_ms, sentiment.event_time)
    report = Report(sentiment.valence, sentiment.uncertainty, sentiment.revision)
    return msgspec.structs.replace(
        meeting,
        start_ms=min(meeting.start_ms, sentiment.start_ms),
        end_ms=max(meeting.end_ms, sentiment.end_ms),
        event_time=max(meeting.event_time, sentiment.event_time),
        models=meeting.models
        if sentiment.model in meeting.models
        else tuple(sorted({*meeting.models, sentiment.model})),
        reports=_with(meeting.reports, sentiment.participant_id, report),
    )


def _with(row: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    """Return a sorted mapping with one more or another value, sorted."""
    grown = {**row, key: value}
    return grown if key in row else dict(sorted(grown.items()))


def _last_index(state: SessionState) -> int:
    return max([member.next_index for member in state.members.values()], default=0) - 1


def _everyone_ended(state: SessionState) -> bool:
    return len(state.members) >= state.expected and all(
        member.ended for member in state.members.values()
    )


def _final_index(state: SessionState) -> int | None:
    """The session's last window, once it is known to be that."""
    return _last_index(state) if _everyone_ended(state) else None


def _moved_final(state: SessionState) -> set[int | None]:
    """The windows whose `final` has changed."""
    final_index = _final_index(state)
    return set() if final_index == state.final_index else {final_index, state.final_index}


# --- what goes out ------------------------------------------------------------------------------


def _publish(
    state: SessionState,
    config: SmoothingConfig,
    alerts: AlertsConfig,
    policy: Policy,
    *,
    everything: bool,
) -> tuple[SessionState, SessionOutputs]:
    revised: SessionOutputs = []
    if everything or not state.unhurried or _everyone_ended(state) or _next_is_due(state, config):
        state, revised = _revise(state, config, alerts, policy, everything=everything)
    state, released = _release(state, config, alerts, policy, everything=everything)
    return _prune(state, config, policy), [*revised, *released]


def _revise(
    state: SessionState,
    config: SmoothingConfig,
    alerts: AlertsConfig,
    policy: Policy,
    *,
    everything: bool,
) -> tuple[SessionState, SessionOutputs]:
    """Evaluate the windows that are out again, and publish those that changed."""
    first = state.changed_from
    if first is None:
        return state, []
    limit = state.next_index if everything else max(_caught_up_to(state), _floor(state))
    outputs: SessionOutputs = []
    windows, carry = dict(state.windows), state.before
    for index in [each for each in windows if each < state.next_index]:
        carry, value = evaluate(carry, windows[index], config, policy)
        if not first <= index < limit:
            continue
        final = index == _final_index(state)
        record = record_of(state.session_id, index, windows[index], value, final=final)
        if digest_of(record) == windows[index].digest:
            continue
        state, published = _out(state, record, alerts, first=False)
        windows[index] = state.windows[index]
        outputs += published
    changed_from = max(first, limit)
    return msgspec.structs.replace(
        state,
        after=carry,
        changed_from=changed_from if changed_from < state.next_index else None,
        unhurried=False,
    ), outputs


def _caught_up_to(state: SessionState) -> int:
    """Windows below this one are not reported any more by those who are late."""
    late = [each.next_index for each in state.members.values() if each.late and not each.ended]
    return min(late, default=state.next_index)


def _release(
    state: SessionState,
    config: SmoothingConfig,
    alerts: AlertsConfig,
    policy: Policy,
    *,
    everything: bool,
) -> tuple[SessionState, SessionOutputs]:
    """Publish the windows that wait for nobody any more."""
    outputs: SessionOutputs = []
    waiting = [index for index in state.windows if index >= state.next_index]
    for place, index in enumerate(waiting):
        if not everything and not _is_due(state, index, len(waiting) - place, config):
            break
        carry, value = evaluate(state.after, state.windows[index], config, policy)
        final = index == _final_index(state)
        record = record_of(state.session_id, index, state.windows[index], value, final=final)
        state = msgspec.structs.replace(state, next_index=index + 1, after=carry)
        state, published = _out(state, record, alerts, first=True)
        outputs += published
    return state, outputs


def _next_is_due(state: SessionState, config: SmoothingConfig) -> bool:
    waiting = [index for index in state.windows if index >= state.next_index]
    return bool(waiting) and _is_due(state, waiting[0], len(waiting), config)


def _is_due(state: SessionState, index: int, waiting: int, config: SmoothingConfig) -> bool:
    if waiting > HELD_LIMIT or _size_bytes(state, from_index=index) > STATE_BUDGET_BYTES:
        return True
    patience_ms = lateness_ms(config) + SESSION_PATIENCE_MS
    if not 0 < state.expected <= len(state.members):
        wait_ms = patience_ms if state.expected else lateness_ms(config)
        if state.newest_ms - (state.first_ms or 0) < wait_ms:
            return False
    return all(
        member.ended
        or member.next_index > index
        or state.newest_ms - member.newest_ms > patience_ms
        for member in state.members.values()
    )


def _out(
    state: SessionState, record: SessionSentiment, alerts: AlertsConfig, *, first: bool
) -> tuple[SessionState, SessionOutputs]:
    """Note that a record goes out, and judge the alerts; a revision only ends them."""
    index = record.window_index
    meeting = msgspec.structs.replace(
        state.windows[index],
        revision=record.revision,
        digest=digest_of(record),
        valued=state.windows[index].valued or record.valence is not None,
    )
    alert_state, published = state.alert_state, list[Alert]()
    if first or record.final:
        alert_state, signals = update_alerts(alert_state, record, alerts, revision=not first)
        published = alert_records(signals, state.session_id, None, record.event_time, record.end_ms)
    still_final = None if state.final_index == index else state.final_index
    state = msgspec.structs.replace(
        state,
        windows={**state.windows, index: meeting},
        final_index=index if record.final else still_final,
        alert_state=alert_state,
    )
    return state, [record, *published]


# --- what is forgotten --------------------------------------------------------------------------


def _prune(state: SessionState, config: SmoothingConfig, policy: Policy) -> SessionState:
    """Let go of windows that are out and that nobody reports any more, or that are too many."""
    floor, carry, windows = _floor(state), state.before, dict(state.windows)
    if state.changed_from is not None:
        floor = min(floor, state.changed_from)  # it goes out with the next report or flush
    for index in [each for each in windows if each < floor]:
        carry, _ = evaluate(carry, windows.pop(index), config, policy)
    if floor <= state.floor:
        return state
    return msgspec.structs.replace(state, floor=floor, before=carry, windows=windows)


def _floor(state: SessionState) -> int:
    """Windows below this one are not to be revised any more; the last one always may be.

    A window that everybody has reported may be for RECENT_WINDOWS: reports have revisions.
    """
    out = [index for index in state.windows if index < state.next_index]
    excess = len(out) - REVISABLE_WINDOWS
    floor = max(state.floor, out[excess - 1] + 1 if excess > 0 else 0)
    size_bytes = _size_bytes(state, from_index=floor)
    for index in out:
        if size_bytes <= STATE_BUDGET_BYTES:
            break
        if index >= floor:
            floor = index + 1
            size_bytes -= _weight(state.windows[index])
    if 0 < state.expected <= len(state.members):
        going_on = [each for each in state.members.values() if not each.ended]
        reported = [each.next_index - RECENT_WINDOWS for each in going_on]
        unchanged = state.next_index if state.changed_from is None else state.changed_from
        floor = max(floor, min([*reported, unchanged, _last_index(state)]))
    return floor


def _size_bytes(state: SessionState, *, from_index: int) -> int:
    return sum([_weight(each) for index, each in state.windows.items() if index >= from_index])


def _weight(meeting: Meeting) -> int:
    """About how many bytes a window takes in the stored state."""
    names = sum(map(len, meeting.reports)) + 24 * len(meeting.reports)
    return 64 + sum(map(len, meeting.models)) + names
