"""Input topics that change from outside: cut beyond the commits, made again, widened, deleted."""

from collections.abc import Mapping

import pytest
from faust.types import TP

from streamer.errors import TopicChanged
from streamer.processing.inputs import Inputs, starting_offsets

TOPIC = "sentiment.scores.v1"


class FakeConsumer:
    """As much of Faust's consumer as is asked; partition number to offset."""

    def __init__(
        self, commits: Mapping[int, int], first: Mapping[int, int], ends: Mapping[int, int]
    ) -> None:
        self.commits = {TP(TOPIC, number): offset for number, offset in commits.items()}
        self._first, self._ends = first, ends
        self.committed: dict[TP, int] = {}
        self.sought: dict[TP, int] = {}

    async def seek_to_committed(self) -> dict[TP, int]:
        return self.commits | {TP("another", 0): 7}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self._first[tp.partition] for tp in partitions}

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self._ends[tp.partition] for tp in partitions}

    async def seek_wait(self, offsets: Mapping[TP, int]) -> None:
        self.sought.update(offsets)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        self.committed.update(offsets)
        return True


class FakeApp:
    """Keeps why it must start over."""

    def __init__(self, consumer: FakeConsumer) -> None:
        self.consumer = consumer
        self.made_again: set[str] = set()
        self.why = ""

    def start_over(self, why: str) -> None:
        self.why = why


async def test_a_log_cut_beyond_the_commits_is_one_start_for_all_partitions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    #  partition     0    1 ... 8       9
    #  commit       10   10 ... 10     10
    #  log           0    50 ... 50    10
    first = {0: 0, **dict.fromkeys(range(1, 9), 50), 9: 10}
    consumer = FakeConsumer(dict.fromkeys(range(10), 10), first, dict.fromkeys(range(10), 60))
    expected = {0: 10, **dict.fromkeys(range(1, 9), 50), 9: 10}
    app = FakeApp(consumer)
    assert await starting_offsets(app, TOPIC) == expected
    assert "320 messages of sentiment.scores.v1 were deleted" in caplog.text
    assert not consumer.committed and not app.why


async def test_a_topic_made_again_is_read_from_its_beginning_after_one_start_over() -> None:
    """Also in those partitions whose new end is beyond the old commit."""
    consumer = FakeConsumer({0: 5000, 1: 3}, {0: 0, 1: 0}, {0: 12, 1: 4})
    app = FakeApp(consumer)
    await starting_offsets(app, TOPIC)
    assert "was made again" in app.why and not consumer.committed
    app.why = ""
    assert await starting_offsets(app, TOPIC) == {0: 0, 1: 0}
    assert consumer.sought == consumer.committed == {TP(TOPIC, 0): 0, TP(TOPIC, 1): 0}
    assert not app.why and not app.made_again


def test_other_partitions_end_the_stage() -> None:
    inputs = Inputs({TOPIC: 2})
    assert inputs.look(TOPIC, {0: 5, 1: 5}) == ""
    with pytest.raises(TopicChanged, match="has 3 partitions now and had 2"):
        inputs.look(TOPIC, {0: 5, 1: 5, 2: 0})


def test_a_topic_made_again_starts_the_stage_over() -> None:
    inputs = Inputs({TOPIC: 1})
    assert inputs.look(TOPIC, {0: 5}) == inputs.look(TOPIC, {0: 6}) == ""
    assert inputs.look(TOPIC, {0: 1}) == f"the topic {TOPIC} was made again"
    assert inputs.look(TOPIC, {0: 2}) == ""
    inputs.forget([TOPIC])
    assert inputs.look(TOPIC, {0: 1}) == ""


def test_a_missing_topic_is_said_once_and_starts_the_stage_over_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inputs = Inputs({TOPIC: 1})
    assert [inputs.look(TOPIC, {}) for _ in range(3)] == [""] * 3
    assert caplog.text.count("does not exist any more") == 1
    assert inputs.look(TOPIC, {0: 0}) == f"the topic {TOPIC} was made again"
