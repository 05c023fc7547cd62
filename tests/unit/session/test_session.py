"""Back-pressure: the outbox and the ledger, and what a plan refuses."""

import asyncio

import pytest

from streamer.capture.sources import ParticipantSpec
from streamer.config import load
from streamer.errors import ConfigError
from streamer.records import Window
from streamer.session import Ledger, Outbox, make_plan


def window(index, skipped=0):
    return Window(
        session_id="s",
        participant_id="p",
        window_index=index,
        session_start_unix_ns=0,
        start_ns=0,
        end_ns=(index + 1) * 1_000_000_000,
        skipped=skipped,
    )


async def taken(outbox):
    return [(w.window_index, w.skipped) async for w in outbox]


async def test_a_live_outbox_drops_the_oldest_and_tells_the_next():
    outbox = Outbox(2, drop_oldest=True)
    for index in range(5):
        await outbox.put(window(index))
    await outbox.close()
    assert outbox.dropped == 3
    assert await taken(outbox) == [(3, 3), (4, 0)]


async def test_dropping_with_room_for_one_loses_no_count():
    outbox = Outbox(1, drop_oldest=True)
    for index in range(4):
        await outbox.put(window(index))
    await outbox.close()
    assert await taken(outbox) == [(3, 3)]


async def test_a_replay_outbox_waits_and_drops_nothing():
    outbox = Outbox(2, drop_oldest=False)

    async def fill():
        for index in range(50):
            await outbox.put(window(index))
        await outbox.close()

    filling = asyncio.create_task(fill())
    await asyncio.sleep(0)
    assert not filling.done()
    assert await taken(outbox) == [(index, 0) for index in range(50)]
    await filling
    assert outbox.dropped == 0


async def test_an_abandoned_outbox_lets_its_filler_go():
    outbox = Outbox(1, drop_oldest=False)
    await outbox.put(window(0))
    waiting = asyncio.create_task(outbox.put(window(1)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await outbox.abandon()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(outbox.put(window(2)), 1)
    assert await taken(outbox) == []


async def test_the_ledger_holds_back_what_does_not_fit_until_something_is_scored():
    ledger = Ledger(100)
    await ledger.room("a", 60)
    waiting = asyncio.create_task(ledger.room("b", 60))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await ledger.scored("a")
    await waiting
    assert ledger.open_windows == 2
    await ledger.published("a")
    await ledger.published("b")
    assert ledger.open_windows == 0


async def test_one_window_larger_than_the_limit_still_passes():
    ledger = Ledger(10)
    await asyncio.wait_for(ledger.room("huge", 1000), 1)
    assert ledger.open_windows == 1


async def test_a_dead_letter_settles_its_window_whichever_comes_first():
    ledger = Ledger(None)
    await ledger.room("a", 1)
    await ledger.sent("a", 2, 7)
    await ledger.dead(2, 7)
    await ledger.room("b", 1)
    await ledger.dead(2, 8)
    assert ledger.open_windows == 1
    await ledger.sent("b", 2, 8)
    assert (ledger.open_windows, ledger.dead_letters) == (0, 2)


async def test_foreign_ids_and_places_change_nothing():
    ledger = Ledger(100)
    await ledger.room("a", 60)
    await ledger.scored("other")
    await ledger.published("other")
    await ledger.dead(0, 0)
    assert (ledger.open_windows, ledger.dead_letters) == (1, 0)


def test_live_without_consent_is_refused_and_told_how():
    spec = ParticipantSpec("me", ("lavfi:sine=frequency=440",))
    with pytest.raises(ConfigError, match="--consent"):
        make_plan([spec], load(environment={}), session_id=None, speed=1)


def test_nobody_and_twice_the_same_name_are_refused(tmp_path):
    config = load(environment={})
    with pytest.raises(ConfigError, match="Nobody"):
        make_plan([], config, session_id=None, speed=1)
    same = [ParticipantSpec("a", ("x.wav",)), ParticipantSpec("a", ("y.wav",))]
    with pytest.raises(ConfigError, match="'a' is named twice"):
        make_plan(same, config, session_id=None, speed=1)
