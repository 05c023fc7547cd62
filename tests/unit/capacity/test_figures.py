"""The figures of a load in lines and in a sentence."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from streamer.capacity.figures import Figures, advice, by_stage, lines, percentiles, stages_of

GOOD = Figures(
    participants=2,
    talk="turns",
    windows=50,
    expected=50,
    windows_per_s=2.0,
    first_ms={"p50": 200, "p95": 240, "p99": 260},
    last_ms={"p50": 210, "p95": 900, "p99": 990},
    cpu_per_participant={"capture": 0.15, "inference": 0.04, "processing": 0.01, "all": 0.2},
    memory_mb={"capture": 1052, "inference": 750, "processing": 90},
    losses=[],
    source_cpu=0.004,
    stages_ms={"inference": {"p50": 60, "p95": 150, "latest": 181.6}},
)


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([]) == {}
    assert percentiles([3.0]) == {"p50": 3, "p95": 3, "p99": 3}
    assert percentiles([float(ms) for ms in range(100)]) == {"p50": 50, "p95": 95, "p99": 99}


def test_the_stages_of_the_latest_records_explain_the_95th_percentile() -> None:
    records = [{"capture": 10.0, "inference": 50.0 + k, "delivery": 20.0} for k in range(90)]
    records += [{"capture": 10.0, "inference": 60.0, "delivery": 500.0 + k} for k in range(10)]
    stages = by_stage(records)
    assert stages["capture"] == {"p50": 10, "p95": 10, "p99": 10, "latest": 10.0}
    assert stages["delivery"] == {"p50": 20, "p95": 505, "p99": 509, "latest": 507.0}
    latest = sum(spent["latest"] for spent in stages.values())
    assert latest == mean(sorted(sum(each.values()) for each in records)[-5:])
    assert by_stage([]) == {}


def test_a_stage_that_a_record_does_not_have_took_no_time() -> None:
    stages = by_stage([stages_of({"capture": 5.0, "total": 5.0}, 9.0), stages_of({}, 3.0)])
    assert stages["capture"] == {"p50": 5, "p95": 5, "p99": 5, "latest": 5.0}
    assert stages["delivery"]["latest"] == 4.0


def test_the_lines_have_every_figure() -> None:
    text = "\n".join(lines(GOOD))
    for part in ("50 of 50", "p50 200 ms, p95 240 ms", "p95 900 ms", "capture 0.150", "1,052 MB"):
        assert part in text
    assert "its stream, besides     0.004 cores" in text
    assert "  inference               p50 60 ms, p95 150 ms, 182 ms in the latest 5%" in text


def test_a_machine_without_proc_gets_lines_and_advice_too() -> None:
    blind = replace(GOOD, cpu_per_participant={}, memory_mb={})
    assert "Linux" in "\n".join(lines(blind))
    assert advice(blind, 2, 3000) == (
        "This machine takes 2 participants; raise --participants until it falls behind."
    )


def test_a_machine_that_keeps_up_is_told_how_many_it_takes() -> None:
    sentence = advice(GOOD, 4, 3000)
    assert "about 14 participants" in sentence and "70% of its 4 cores" in sentence
    assert sentence.endswith("most of it by capture.")


def test_a_machine_near_its_limit_has_no_reserve() -> None:
    assert "without reserve" in advice(replace(GOOD, participants=9), 2, 3000)


def test_missing_windows_losses_and_lateness_are_told_from_each_other() -> None:
    assert "falls behind with 2 participants" in advice(replace(GOOD, windows=44), 8, 3000)
    lost = replace(GOOD, losses=["Losses: dropped windows 3."])
    assert "falls behind" in advice(lost, 8, 3000)
    assert lost.losses[0] in lines(lost)
    assert "come late, 240 ms" in advice(GOOD, 8, 200)
    late = replace(GOOD, losses=["Losses: late words 3."])
    assert "about" in advice(late, 8, 3000) and late.losses[0] in lines(late)
    nothing = replace(GOOD, windows=0, first_ms={}, last_ms={})
    assert "falls behind" in advice(nothing, 8, 3000)
    assert "no record came" in "\n".join(lines(nothing))


def test_one_participant_is_not_plural() -> None:
    alone = replace(GOOD, participants=1, windows=5)
    assert "with 1 participant:" in advice(alone, 1, 3000)
