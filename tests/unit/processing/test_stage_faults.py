"""What a stage does when it was paused, and when a participant was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from faust.types import TP

from streamer.config import Config
from streamer.kafka.topics import SESSION_INPUT
from streamer.processing import spec
from streamer.processing.faust_app import Evicted
from streamer.processing.stored import changes_in
from streamer.records import Score, Sentiment
from streamer.smoothing import participant
from tests.stage_bench import Bench, eventually, score, wire


async def test_a_worker_that_stood_still_writes_nothing_and_acknowledges_nothing() -> None:
    bench = Bench()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0)))
    bench.journal.clear()
    await bench.table.recovered()
    await bench.feed(*map(bench.event, wire(1)))
    bench.app.evict()
    with pytest.raises(Evicted):
        await bench.stage.commit_loop()
    await bench.feed(*map(bench.event, wire(2)))
    await bench.app.closing[0](bench.app, {TP("sentiment.scores.v1", 0)})  # waits for nothing
    assert bench.journal.of("changelog") == bench.journal.of("committable") == []
    assert bench.stage._decode(bench.table.rows[b"s/ana"]).state.next_index == 1


async def test_a_worker_that_stood_still_flushes_nothing_and_buries_no_score() -> None:
    bench = Bench()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 2)))
    bench.journal.clear()
    bench.app.evict()
    with pytest.raises(Evicted):
        await bench.stage._flush(b"s/ana")
    assert bench.journal == []
    assert bench.producer.dead_letters == []


async def test_every_change_of_a_key_counts() -> None:
    bench = Bench()
    async with bench.working(maintained=True):
        await bench.feed(*map(bench.event, wire(0, 2)))
        await eventually(lambda: bench.stage.counters["flushed"] == 2)
        await eventually(lambda: not bench.stage._decode(bench.table.rows[b"s/ana"]).outbox)
    changes = [changes_in(value) for _, value in bench.journal.of("changelog")]
    assert changes == sorted(set(changes))
    assert changes[-1] == 4, "two scores, the flush, and that it is sent"


async def test_a_participant_after_a_long_silence_revises_the_meeting() -> None:
    """ana's path goes on, bo's pauses for longer than a flush waits, and comes in the end."""
    bench = Bench(spec.session_spec)
    scores = {
        name: [
            score(k, 1.0, participant_id=name, session_participants=2, final=k == 2)
            for k in range(3)
        ]
        for name in ("ana", "bo")
    }
    reports = {
        name: [SESSION_INPUT.encode(each).value for each in sentiments(row, bench.config)]
        for name, row in scores.items()
    }
    async with bench.working():
        await bench.feed(*map(bench.event, reports["ana"]))
        bench.clock.now_s += 10.0
        assert bench.stage._silent() == [], "bo may still come"
        bench.clock.now_s += 25.1
        [key] = bench.stage._silent()
        await bench.stage._flush(key)
        await bench.feed(*map(bench.event, reports["bo"]))
    sent = [record for kind, record in bench.journal.of("acknowledged")]
    assert [(each.window_index, each.revision, each.participants) for each in sent] == [
        *((k, 0, 1) for k in range(3)),
        *((k, 1, 2) for k in range(3)),
    ]
    assert [each.final for each in sent] == [False] * 5 + [True]


def sentiments(scores: Sequence[Score], config: Config) -> list[Sentiment]:
    state, outputs = None, list[Any]()
    for each in scores:
        state, published = participant.step(state, each, config.smoothing, config.alerts)
        outputs += published
    return [each for each in outputs if isinstance(each, Sentiment)]
