"""Waiting for a session's last records."""

import asyncio

import pytest

from streamer.config import load
from streamer.local.follower import Follower, Published
from streamer.session.sending import InFlight, NoProgress
from tests.made_records import score, sentiment


async def test_after_ctrl_c_silent_stages_are_not_waited_for_long() -> None:
    in_flight = InFlight(None)
    await in_flight.room(("standup/ana/0", 0), 1)
    follower = Follower(load(None, []), ("standup",), in_flight, lambda record: None)
    draining = asyncio.create_task(follower.drain(stall_s=3600, stopped_s=0.01))
    await asyncio.sleep(0)
    assert not draining.done()
    follower.hurry()
    with pytest.raises(NoProgress, match="No answer came for 1 window of standup"):
        await asyncio.wait_for(draining, 30)


async def test_a_session_is_followed_until_every_revision_is_published() -> None:
    shown: list[Published] = []
    in_flight = InFlight(None)
    follower = Follower(load(None, []), ("standup",), in_flight, shown.append)
    for revision in (0, 1):
        await in_flight.room(("standup/ana/0", revision), 1)
    for revision in (0, 1):
        assert in_flight.open_windows == 2 - revision
        await follower._take(score(0, revision=revision))
        await follower._take(sentiment(0, revision=revision))
        await follower._take(sentiment(0, revision=0))

    assert in_flight.open_windows == 0
    assert shown == [sentiment(0), sentiment(0, revision=1)]
    assert follower.sentiments == 1


async def test_several_sessions_are_followed_and_others_are_not() -> None:
    shown: list[Published] = []
    in_flight = InFlight(None)
    follower = Follower(load(None, []), ("standup", "retro"), in_flight, shown.append)
    records = [sentiment(0, session_id=each) for each in ("standup", "retro", "other")]
    for record in records:
        await in_flight.room((record.window_id, 0), 1)
        await follower._take(record)
    assert shown == records[:2]
    assert in_flight.open_windows == 1
