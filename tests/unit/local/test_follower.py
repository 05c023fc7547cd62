"""Waiting for a session's last records."""

import asyncio

import pytest

from streamer.config import load
from streamer.local.follower import Follower
from streamer.session.sending import InFlight, NoProgress


async def test_after_ctrl_c_silent_stages_are_not_waited_for_long() -> None:
    in_flight = InFlight(None)
    await in_flight.room("standup/ana/0", 1)
    follower = Follower(load(None, []), "standup", in_flight, lambda record: None)
    draining = asyncio.create_task(follower.drain(stall_s=3600, stopped_s=0.01))
    await asyncio.sleep(0)
    assert not draining.done()
    follower.hurry()
    with pytest.raises(NoProgress, match="1 windows of standup were not answered"):
        await asyncio.wait_for(draining, 30)
