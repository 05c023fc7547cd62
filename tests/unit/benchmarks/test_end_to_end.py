"""The rates of a replay, and recordings that are repeated."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from end_to_end import Arrival, Rates, later_half, rate, repeated, row

from tests.media import Audio, Video, write


def test_the_steady_rate_counts_from_the_first_record_to_the_last() -> None:
    arrivals = [Arrival(100.0 + k / 10, "ana", (k + 1) * 1000) for k in range(21)]
    assert math.isclose(rate(arrivals), 20 / 2.0)
    assert math.isclose(rate([*arrivals, Arrival(102.0, "bo", 1000)]), 10.0)
    both = [*arrivals, *(Arrival(each.at_s, "bo", each.end_ms) for each in arrivals)]
    assert math.isclose(rate(both), 20.0), "the seconds of both participants"


def test_the_second_half_leaves_out_what_was_ready_before() -> None:
    burst = [Arrival(5.0, "ana", (k + 1) * 1000) for k in range(10)]
    steady = [Arrival(5.0 + k / 4, "ana", (k + 10) * 1000) for k in range(11)]
    assert rate([*burst, *steady]) > 7
    assert math.isclose(rate(later_half([*burst, *steady])), 4.0)


def test_there_is_no_rate_without_time_between_records() -> None:
    assert math.isnan(rate([]))
    assert math.isnan(rate([Arrival(5.0, "ana", 1000)]))
    assert later_half([]) == []


def test_a_row_has_medians_and_compares_steady_rates() -> None:
    slow, fast = Rates(2.0, 4.0, 3.0, 0.5), Rates(4.0, 8.0, 6.0, 0.25)
    assert row("fast", [fast, fast, slow], [slow]) == {
        "variant": "fast",
        "whole": 4.0,
        "steady": 8.0,
        "second_half": 6.0,
        "cpu": 0.25,
        "ratio": 2.0,
    }


def test_a_recording_is_repeated_without_gap_until_it_is_long_enough(tmp_path: Path) -> None:
    recording, target = tmp_path / "talk.mkv", tmp_path / "long.mkv"
    write(recording, Audio(seconds=1.0), Video(seconds=1.0))
    repeated(recording, 2.5, target)
    with av.open(str(recording)) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    with av.open(str(target)) as container:
        times = [frame.time for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate or Fraction(25)
    assert len(times) == 3 * pictures
    steps = [after - before for before, after in pairwise(times)]
    assert max(steps) < 1.5 / rate
    with av.open(str(target)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples == 3 * 16_000
