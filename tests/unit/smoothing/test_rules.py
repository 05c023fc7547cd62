"""Alert rules of one's own: any published number, a threshold, for how long, for whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from streamer.config import AlertsConfig, RuleConfig, SmoothingConfig
from streamer.config.alerts import PERSON_NUMBERS, SESSION_NUMBERS
from streamer.records import Alert, Sentiment, SessionSentiment
from streamer.smoothing.rules import RuleState, number_in, update_rules
from tests import made_records as made
from tests.smoothing_runs import meet, run, score, sentiment

UNSURE = RuleConfig(name="unsure", number="uncertainty", above=1.0, for_s=3, clear_at=0.8)


def _judged(
    values: Sequence[float | None], rule: RuleConfig = UNSURE, **last: Any
) -> list[tuple[str, int]]:
    """Give the rule one uncertainty a second; return what is raised and cleared, and when."""
    states: dict[str, RuleState] = {}
    changes: list[tuple[str, int]] = []
    for index, value in enumerate(values):
        fields = last if index == len(values) - 1 else {}
        record = made.sentiment(index, uncertainty=value, **fields)
        states, signals = update_rules(states, record, [rule], final=record.final)
        changes += [(signal.state, index + 1) for signal in signals]
    return changes


def test_a_number_beyond_its_threshold_for_long_enough_is_raised_and_cleared_once() -> None:
    # above 1 from 2 s on raises at 5 s; 0.9 is not back at 0.8; 1.1 again is the same alert
    values = [0.5, *[1.2] * 4, 0.9, 1.1, 0.7, 0.7]

    assert _judged(values) == [("raised", 5), ("cleared", 8)]


def test_a_number_that_returns_in_time_raises_nothing() -> None:
    assert _judged([1.2, 1.2, 1.2, 0.95, 1.2, 1.2, 1.2]) == []


def test_a_rule_below_a_threshold_without_a_time_is_raised_at_once() -> None:
    rule = RuleConfig(name="sure", number="uncertainty", below=0.5, for_s=0)

    assert _judged([0.5, 0.4, 0.5, 0.3], rule) == [("raised", 2), ("cleared", 3), ("raised", 4)]


def test_a_time_shorter_than_the_hop_takes_two_values() -> None:
    rule = RuleConfig(name="sure", number="uncertainty", below=0.5, for_s=0.2)

    assert _judged([0.4, 0.4], rule) == [("raised", 2)]


def test_a_missing_number_counts_on_for_a_while_and_anew_after_long() -> None:
    assert _judged([1.2, None, None, 1.2]) == [("raised", 4)]
    assert _judged([1.2, *[None] * 11, 1.2, 1.2]) == []


def test_an_alert_ends_when_its_number_has_been_missing_for_a_minute() -> None:
    assert _judged([*[1.2] * 4, *[None] * 70]) == [("raised", 4), ("cleared", 64)]


def test_the_final_record_clears_what_stands() -> None:
    assert _judged([1.2] * 5, final=True) == [("raised", 4), ("cleared", 5)]


def test_a_rule_that_is_taken_out_of_the_settings_clears_its_alert() -> None:
    standing = {"old": RuleState(4_000, 1.2, 1_000, True, "uncertainty", 1.0)}
    states, [signal] = update_rules(standing, made.sentiment(9), [UNSURE])

    assert states.keys() == {"unsure"}
    assert (signal.state, signal.rule, signal.threshold) == ("cleared", "old", 1.0)


def test_a_revision_raises_nothing_and_clears_at_the_end_only() -> None:
    standing = {"torn": RuleState(4_000, 1.2, 1_000, True, "spread", 1.0)}
    rule = RuleConfig(name="torn", who="session", number="spread", above=1.0)
    calm = made.session_sentiment(9, spread=0.1)

    assert update_rules(standing, calm, [rule], revision=True) == (standing, [])
    _, [signal] = update_rules(standing, calm, [rule], revision=True, final=True)
    assert signal.state == "cleared"


@pytest.mark.parametrize(
    ("who", "people"),
    [("everyone", {"ana", "bo"}), (("bo",), {"bo"}), ("session", set[str]())],
)
def test_a_rule_watches_those_whom_it_names(who: str | tuple[str, ...], people: set[str]) -> None:
    rule = RuleConfig(name="low", who=who, number="valence", below=0.0, for_s=0)
    raised = {
        name
        for name in ("ana", "bo")
        if update_rules({}, made.sentiment(0, -1.0, participant_id=name), [rule])[1]
    }

    assert raised == people


def test_the_alert_of_a_person_names_rule_number_and_value() -> None:
    rule = RuleConfig(name="hardly speaks", number="presence.audio", below=0.2, for_s=2)
    quiet = [score(index, 0.5, evidence=("text",)) for index in range(4)]
    _, outputs = run(quiet, SmoothingConfig(), AlertsConfig(rules=(rule,)))
    [alert] = [output for output in outputs if isinstance(output, Alert)]

    assert alert.alert_id == "standup/ana/rule:hardly speaks/raised/3000"
    assert (alert.kind, alert.rule, alert.number) == ("rule", "hardly speaks", "presence.audio")
    assert (alert.threshold, alert.value) == (0.2, 0.0)
    assert alert.message == (
        "ana: hardly speaks; presence.audio has been below 0.2 for 2 s and is 0."
    )


def test_the_alert_of_the_meeting_needs_no_person() -> None:
    rule = RuleConfig(name="torn", who="session", number="spread", above=1.0, for_s=1)
    records = [
        sentiment(name, index, value)
        for index in range(4)
        for name, value in (("ana", 2.0), ("bo", -2.0))
    ]
    _, outputs = meet(records, SmoothingConfig(lateness_s=0), AlertsConfig(rules=(rule,)))
    alerts = [output for output in outputs if isinstance(output, Alert)]

    assert [(alert.participant_id, alert.rule) for alert in alerts] == [(None, "torn")]


def test_a_window_without_evidence_may_raise_an_alert_without_valence() -> None:
    rule = RuleConfig(name="away", number="presence.vision", below=0.1, for_s=0)
    _, outputs = run([score(0, None)], SmoothingConfig(), AlertsConfig(rules=(rule,)))
    [alert] = [output for output in outputs if isinstance(output, Alert)]

    assert alert.valence is None


def test_no_rule_is_judged_where_alerts_are_switched_off() -> None:
    rule = RuleConfig(name="low", number="valence", below=3.0, for_s=0)
    _, outputs = run([score(0, 1.0)], SmoothingConfig(), AlertsConfig(enabled=False, rules=(rule,)))

    assert not any(isinstance(output, Alert) for output in outputs)


def _numbers(struct: type[msgspec.Struct]) -> set[str]:
    """The names of the number fields of a record, those of its parts with a dot."""
    found = set()
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        for kind in kinds:
            if isinstance(kind, inspect.FloatType):
                found.add(field.name)
            elif isinstance(kind, inspect.TupleType):
                found |= {f"{field.name}.{place}" for place in range(len(kind.item_types))}
            elif isinstance(kind, inspect.StructType):
                found |= {f"{field.name}.{name}" for name in _numbers(kind.cls)}
    return found


@pytest.mark.parametrize(
    ("struct", "known", "more"),
    [
        (Sentiment, PERSON_NUMBERS, {f"latency_ms.{n}" for n in ("capture", "queue", "inference")}),
        (SessionSentiment, SESSION_NUMBERS, {"participants"}),
    ],
)
def test_every_published_number_can_be_watched(
    struct: type[msgspec.Struct], known: tuple[str, ...], more: set[str]
) -> None:
    assert set(known) == _numbers(struct) | more


def test_every_number_is_found_in_its_record() -> None:
    person = made.sentiment(0, identity_confidence=0.9)

    assert None not in [number_in(person, name) for name in PERSON_NUMBERS]
    assert None not in [number_in(made.session_sentiment(0), name) for name in SESSION_NUMBERS]
    assert number_in(made.sentiment(0, None), "gate.val") is None
    assert number_in(made.sentiment(0, latency_ms={}), "latency_ms.queue") is None
