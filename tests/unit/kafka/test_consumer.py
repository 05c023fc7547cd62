"""The consumer's start, and how far it may commit."""

import asyncio
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config import build
from streamer.errors import ConfigError
from streamer.kafka.consumer import Consumer
from streamer.kafka.producer import Producer
from streamer.kafka.progress import Progress
from streamer.kafka.topics import SCORES
from streamer.records import Score
from tests.made_records import score


def test_a_start_without_a_time_zone_is_refused() -> None:
    naive = datetime(2026, 1, 31)  # noqa: DTZ001 - that is the fault
    with pytest.raises(ConfigError, match="time zone"):
        Consumer(build({}), SCORES, start=naive)


@pytest.mark.slow
async def test_a_topic_that_comes_after_the_start_is_read_from_its_beginning(
    embedded_broker: str,
) -> None:
    config = build({"kafka": {"broker": embedded_broker}})
    async with (
        asyncio.timeout(60),
        Consumer(config, SCORES, start="latest") as reader,
        Producer(config) as producer,
    ):
        await producer.publish(score(0))
        records: list[Score] = []
        while not records:
            records = [received.record for received in await reader.batch(10, 500)]
    assert records == [score(0)]


def test_progress_stops_at_the_first_message_in_use() -> None:
    #  offset   0  1  2  3  4
    #           .  x  .  .  x      x unreadable: done when it is read
    progress = Progress()
    for offset in range(5):
        progress.read(offset, done=offset in (1, 4))
    assert progress.next_offset is None
    progress.finish(0)
    assert progress.next_offset == 2
    progress.finish(3)
    assert progress.next_offset == 5


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.data())
def test_progress_reaches_the_end_once_every_message_is_used(
    unreadable: list[bool], data: st.DataObject
) -> None:
    progress = Progress()
    for offset, bad in enumerate(unreadable):
        progress.read(offset, done=bad)
    good = [offset for offset, bad in enumerate(unreadable) if not bad]
    for up_to in sorted(data.draw(st.sets(st.sampled_from(good)))) if good else []:
        progress.finish(up_to)
        assert all(offset > up_to for offset in progress.pending)
        assert progress.next_offset is not None and progress.next_offset > up_to
    if good:
        progress.finish(good[-1])
    assert progress.next_offset == len(unreadable)
    assert not progress.pending and not progress.done


def test_progress_knows_what_is_missing_and_begins_again_with_the_log() -> None:
    progress = Progress(expected=3)
    assert progress.jump(3) == 0
    progress.read(3, done=False)
    assert progress.jump(9) == 5  # 4 to 8 were deleted
    progress.read(9, done=False)
    assert progress.jump(0) == -10  # the topic was made again
    progress.read(0, done=True)
    assert progress.next_offset == 1 and not progress.pending
    assert Progress().jump(7) == 0  # nothing is known
