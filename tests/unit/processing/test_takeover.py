"""A worker that waits for ever while it takes over partitions starts over."""

from __future__ import annotations

from faust.types import TP

from streamer.config import build
from streamer.processing import app
from streamer.processing.takeover import PATIENCE_S, Takeover
from streamer.testing import FakePolicies, FakeProducer


class Time:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def looks(takeover: Takeover, time: Time, places: list[object], every_s: float) -> list[bool]:
    """What the watch says of each of these places, one after the other."""
    answers = []
    for place in places:
        answers.append(takeover.stands_still(place))
        time.now_s += every_s
    return answers


def test_a_worker_that_takes_nothing_over_may_stand_still() -> None:
    time = Time()
    assert not any(looks(Takeover(time), time, [None] * 10, PATIENCE_S))


def test_reading_a_long_changelog_is_progress() -> None:
    time = Time()
    places: list[object] = [(1, {"changelog": offset}) for offset in range(20)]
    assert not any(looks(Takeover(time), time, places, PATIENCE_S - 1))


def test_the_same_place_for_too_long_is_a_standstill() -> None:
    time = Time()
    takeover = Takeover(time)
    stuck = (2, {"changelog": 7})
    assert looks(takeover, time, [None, stuck, stuck], PATIENCE_S / 2) == [False] * 3
    assert takeover.stands_still(stuck)


def test_after_a_takeover_the_next_has_its_own_time() -> None:
    time = Time()
    stuck = (2, {"changelog": 7})
    places: list[object] = [stuck, None, stuck, None, stuck]
    assert not any(looks(Takeover(time), time, places, PATIENCE_S - 1))


async def test_the_place_of_an_app_is_how_far_its_changelogs_are_read() -> None:
    counts = {"sentiment.scores.v1": 1, "sentiment.session-input.v1": 1}
    config = build({"kafka": {"broker": "a:1"}})
    built = app.build_app(config, FakeProducer(), FakePolicies(), counts, embedded=False).app  # type: ignore[arg-type]
    assert built.takeover_place() is None
    built.on_rebalance_start()
    begun = built.takeover_place()
    assert built.takeover_place() == begun
    built.tables.recovery.active_offsets[TP("changelog", 0)] = 7
    further = built.takeover_place()
    assert further != begun
    built.tables.recovery.active_offsets[TP("changelog", 0)] = 8
    assert built.takeover_place() != further
    built.on_rebalance_end()
    assert built.takeover_place() is None
