"""Alerts: when they are raised and cleared."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.records import (
    Alert,
)
from tests.made_records import START
from tests.smoothing_runs import (
    alerts_of,
    run,
    score,
)


def test_sustained_negative_has_hysteresis() -> None:
    # below -1 for 10 s raises; -0.7 is not below -1 yet not above -0.5 either: stays
    values = [0.0, *[-2.0] * 11, -0.7, -2.0, -0.7, -0.4, -0.7]

    assert alerts_of(values, AlertsConfig(drop_by=9.0)) == [
        ("sustained_negative", "raised", 12),
        ("sustained_negative", "cleared", 16),
    ]


def test_an_interrupted_negative_is_not_sustained() -> None:
    assert alerts_of([*[-2.0] * 9, -0.9, *[-2.0] * 9], AlertsConfig(drop_by=9.0)) == []


def test_a_short_silence_does_not_interrupt_and_a_long_one_does() -> None:
    config = AlertsConfig(drop_by=9.0)

    assert alerts_of([*[-2.0] * 5, *[None] * 4, *[-2.0] * 3], config) == [
        ("sustained_negative", "raised", 11)
    ]
    assert alerts_of([*[-2.0] * 5, *[None] * 15, *[-2.0] * 3], config) == []


def test_a_sharp_drop_is_raised_once_and_cleared_when_half_is_made_up() -> None:
    # peak 1.5, down to -0.5, deeper to -1; half of 2.5 is made up at 0.25
    values = [0.0, 1.5, 1.0, -0.5, -1.0, 0.0, 0.3, 0.3]

    assert alerts_of(values, AlertsConfig(negative_for_s=99)) == [
        ("sharp_drop", "raised", 4),
        ("sharp_drop", "cleared", 7),
    ]


def test_a_new_drop_starts_where_the_last_one_was_cleared() -> None:
    # back at 0.6 the first is cleared; from there down to -1.0 is another
    assert alerts_of([1.0, -0.6, 0.6, -1.0], AlertsConfig(negative_for_s=99)) == [
        ("sharp_drop", "raised", 2),
        ("sharp_drop", "cleared", 3),
        ("sharp_drop", "raised", 4),
    ]


def test_a_sharp_drop_is_cleared_after_a_time_even_in_silence() -> None:
    assert alerts_of([2.0, -0.2, *[None] * 40]) == [
        ("sharp_drop", "raised", 2),
        ("sharp_drop", "cleared", 32),
    ]


def test_a_slow_fall_is_no_sharp_drop() -> None:
    assert alerts_of([1.5 - 0.09 * k for k in range(20)]) == []


def test_the_final_window_clears_the_alerts_that_stand() -> None:
    assert alerts_of([2.0, *[-2.0] * 12], final=True) == [
        ("sharp_drop", "raised", 2),
        ("sustained_negative", "raised", 12),
        ("sustained_negative", "cleared", 13),
        ("sharp_drop", "cleared", 13),
    ]


def test_the_end_is_no_event_of_its_own() -> None:
    last = msgspec.structs.replace(score(12, -2.0), final=True)
    scores = [*(score(k, -2.0 if k else 2.0) for k in range(12)), last]
    _, outputs = run(scores, SmoothingConfig(time_constant_s=0.01), AlertsConfig())
    messages = [out.message for out in outputs if isinstance(out, Alert)]

    assert messages[-2].startswith("ana was negative to the end; valence is -")
    assert messages[-1].startswith("ana stayed down to the end; valence is -")


def test_a_discarded_estimate_clears_the_alerts_that_stand() -> None:
    kinds = alerts_of([*[-2.0] * 11, *[None] * 1_000], AlertsConfig(drop_by=9.0))

    assert [state for _, state, _ in kinds] == ["raised", "cleared"]


def test_alerts_can_be_switched_off() -> None:
    assert alerts_of([2.0, *[-2.0] * 12], AlertsConfig(enabled=False)) == []


def test_an_alert_names_the_participant_the_fall_and_the_time() -> None:
    _, outputs = run(
        [score(0, 2.0), score(1, -1.0)], SmoothingConfig(time_constant_s=0.01), AlertsConfig()
    )
    [alert] = [out for out in outputs if isinstance(out, Alert)]

    assert alert.alert_id == "standup/ana/sharp_drop/raised/2000"
    assert alert.event_time == START + timedelta(seconds=2)
    assert (alert.valence, alert.threshold) == (-1.0, 1.5)
    assert alert.message == "ana fell by 3.00 within 15 s; valence is -1.00."


def test_the_peaks_of_alerts_are_bounded() -> None:
    slow = SmoothingConfig(time_constant_s=0.001, lateness_s=1e6)
    falling = [score(k, 1.0 - k / 5_000, end_ms=100 + 10 * k) for k in range(2_000)]
    state, _ = run(falling, slow, AlertsConfig())

    assert len(state.alert_state.peaks) <= 34
