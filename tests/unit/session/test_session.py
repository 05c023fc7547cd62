"""Back-pressure: the send_queue and the in_flight, what a plan refuses, and a session's id."""

import asyncio
import itertools
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamer.capture.sources import ParticipantSpec
from streamer.config import build, load
from streamer.errors import ConfigError
from streamer.kafka.producer import Producer
from streamer.records import NS_PER_S
from streamer.session.participant import revises
from streamer.session.plan import Plan, make_plan, session_id_of
from streamer.session.sending import InFlight, NoProgress, SendQueue, deliver
from tests import media
from tests.made_records import window

NOW_NS = 1_795_704_840 * NS_PER_S


async def taken(send_queue: SendQueue) -> list[tuple[int, int]]:
    return [(w.window_index, w.skipped) async for w in send_queue]


async def test_a_live_outbox_drops_the_oldest_and_tells_the_next() -> None:
    send_queue = SendQueue(2, drop_oldest=True)
    for index in range(5):
        await send_queue.put(window(index))
    await send_queue.close()
    assert send_queue.dropped == 3
    assert await taken(send_queue) == [(3, 3), (4, 0)]


async def test_dropping_with_room_for_one_loses_no_count() -> None:
    send_queue = SendQueue(1, drop_oldest=True)
    for index in range(4):
        await send_queue.put(window(index))
    await send_queue.close()
    assert await taken(send_queue) == [(3, 3)]


async def test_a_replay_outbox_waits_and_drops_nothing() -> None:
    send_queue = SendQueue(2, drop_oldest=False)

    async def fill() -> None:
        for index in range(50):
            await send_queue.put(window(index))
        await send_queue.close()

    filling = asyncio.create_task(fill())
    await asyncio.sleep(0)
    assert not filling.done()
    assert await taken(send_queue) == [(index, 0) for index in range(50)]
    await filling
    assert send_queue.dropped == 0


async def test_a_full_queue_drops_a_revision_before_a_window() -> None:
    send_queue = SendQueue(2, drop_oldest=True)
    for each in (window(3, revision=1), window(5), window(6), window(4, revision=1)):
        await send_queue.put(each)
    await send_queue.close()
    assert (send_queue.dropped, send_queue.dropped_revisions) == (0, 2)
    assert await taken(send_queue) == [(5, 0), (6, 0)]


async def test_a_window_that_has_not_gone_out_yet_goes_out_with_its_late_words() -> None:
    send_queue = SendQueue(2, drop_oldest=True)
    for each in (window(0), window(1), window(2), window(1, "late words", revision=1)):
        await send_queue.put(each)
    await send_queue.close()
    out = [w async for w in send_queue]
    assert [(w.window_index, w.revision, w.skipped) for w in out] == [(1, 0, 1), (2, 0, 0)]
    assert out[0].text == "late words"
    assert send_queue.dropped_revisions == 0


async def test_no_revision_goes_out_of_a_window_that_was_dropped() -> None:
    send_queue = SendQueue(1, drop_oldest=True)
    await send_queue.put(window(0))
    await send_queue.put(window(1))
    waiting = aiter(send_queue)
    assert (await anext(waiting)).window_index == 1
    await send_queue.put(window(0, revision=1))
    await send_queue.put(window(2))
    assert (await anext(waiting)).window_index == 2
    assert send_queue.dropped == 1


async def test_after_a_stop_windows_that_nobody_scores_are_not_waited_for() -> None:
    config = load(None, ["kafka.broker=localhost:9092", "kafka.connect_timeout_s=0.01"])
    in_flight, stop = InFlight(1), threading.Event()
    await in_flight.room(("standup/ana/0", 0), 1)
    stop.set()
    with pytest.raises(NoProgress, match=r"No score came for 1 window of standup"):
        await deliver(window(1), Producer(config), in_flight, stop)


async def test_an_abandoned_outbox_lets_its_filler_go() -> None:
    send_queue = SendQueue(1, drop_oldest=False)
    await send_queue.put(window(0))
    waiting = asyncio.create_task(send_queue.put(window(1)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await send_queue.abandon()
    await asyncio.wait_for(waiting, 30)
    await asyncio.wait_for(send_queue.put(window(2)), 30)
    assert await taken(send_queue) == []


async def test_the_ledger_holds_back_what_does_not_fit_until_something_is_scored() -> None:
    in_flight = InFlight(100)
    await in_flight.room(("a", 0), 60)
    waiting = asyncio.create_task(in_flight.room(("b", 0), 60))
    await asyncio.sleep(0)
    assert not waiting.done()
    await in_flight.scored(("a", 0))
    await waiting
    assert in_flight.open_windows == 2
    await in_flight.published(("a", 0))
    await in_flight.published(("b", 0))
    assert in_flight.open_windows == 0


async def test_one_window_larger_than_the_limit_still_passes() -> None:
    in_flight = InFlight(10)
    await asyncio.wait_for(in_flight.room(("huge", 0), 1000), 30)
    assert in_flight.open_windows == 1


async def test_a_dead_letter_settles_its_window_whichever_comes_first() -> None:
    in_flight = InFlight(None)
    await in_flight.room(("a", 0), 1)
    await in_flight.sent(("a", 0), 2, 7)
    await in_flight.dead(2, 7)
    await in_flight.room(("b", 0), 1)
    await in_flight.dead(2, 8)
    assert in_flight.open_windows == 1
    await in_flight.sent(("b", 0), 2, 8)
    assert (in_flight.open_windows, in_flight.dead_letters) == (0, 2)


async def test_foreign_ids_and_places_change_nothing() -> None:
    in_flight = InFlight(100)
    await in_flight.room(("a", 0), 60)
    await in_flight.scored(("other", 0))
    await in_flight.published(("other", 0))
    await in_flight.dead(0, 0)
    assert (in_flight.open_windows, in_flight.dead_letters) == (1, 0)


async def test_each_revision_is_accounted_for_by_itself() -> None:
    in_flight = InFlight(100)
    for revision in (0, 1):
        await in_flight.room(("standup/ana/4", revision), 50)
        await in_flight.sent(("standup/ana/4", revision), 2, 7 + revision)
    await in_flight.published(("standup/ana/4", 0))
    assert in_flight.open_windows == 1
    await in_flight.room(("standup/ana/5", 0), 50)
    await in_flight.dead(2, 8)
    assert (in_flight.open_windows, in_flight.dead_letters) == (1, 1)


async def test_what_smoothing_leaves_out_is_settled_by_what_was_sent_later() -> None:
    """A revision that comes too late is not published, nor is what one replaced in smoothing."""
    in_flight = InFlight(None)
    sent = [("s/ana/4", 1), ("s/bo/4", 1), ("s/ana/5", 0), ("s/ana/5", 1), ("s/ana/6", 0)]
    for each in sent:
        await in_flight.room(each, 1)
    await in_flight.published(("s/ana/5", 1))
    assert in_flight.open_windows == 2
    await in_flight.published(("s/bo/4", 1))
    await in_flight.published(("s/ana/6", 0))
    assert (in_flight.open_windows, in_flight.dead_letters) == (0, 0)


def test_windows_of_a_live_session_alone_are_revised() -> None:
    spec = ParticipantSpec("me", ("lavfi:sine=frequency=440",))
    live = {"session": {"consent": "yes"}}

    def answer(*, speed: float = 1, is_live: bool = True, **settings: Any) -> bool:
        config = build({**live, **settings})
        plan = replace(make_plan([spec], config, speed=speed), live=is_live)
        return revises(plan, config)

    assert answer()
    assert not answer(is_live=False)
    assert not answer(windows={"revisions": False})
    hidden = {"publish": "session", "session_min_participants": 2}
    assert not answer(smoothing=hidden), "two values in one window would tell who was late"


def test_live_without_consent_is_refused_and_told_how() -> None:
    spec = ParticipantSpec("me", ("lavfi:sine=frequency=440",))
    with pytest.raises(ConfigError, match="--consent"):
        make_plan([spec], load(environment={}), speed=1)


def test_nobody_and_twice_the_same_name_are_refused(tmp_path: Path) -> None:
    config = load(environment={})
    with pytest.raises(ConfigError, match="Nobody"):
        make_plan([], config, speed=1)
    same = [ParticipantSpec("a", ("x.wav",)), ParticipantSpec("a", ("y.wav",))]
    with pytest.raises(ConfigError, match="'a' is named twice"):
        make_plan(same, config, speed=1)


def sine(path: Path) -> ParticipantSpec:
    media.sparse_wav(path, 1.0)
    return ParticipantSpec("ana", (str(path),))


def test_two_plans_of_one_name_have_two_ids(tmp_path: Path) -> None:
    spec, config, random = sine(tmp_path / "a.wav"), load(environment={}), itertools.count(0x3F9A)

    def plan(name: str | None) -> Plan:
        return make_plan(
            [spec], config, speed=0, name=name, now_ns=lambda: NOW_NS, random=lambda: next(random)
        )

    first, second, unnamed = plan("standup"), plan("standup"), plan(None)
    assert first.session_id == "standup-20261126T145400Z-3f9a"
    assert second.session_id == "standup-20261126T145400Z-3f9b"
    assert (first.name, second.name, unnamed.name) == ("standup", "standup", "ana")


def test_a_given_id_is_the_sessions_id(tmp_path: Path) -> None:
    spec, config = sine(tmp_path / "a.wav"), load(environment={})
    plan = make_plan([spec], config, speed=0, session_id="golden")
    assert (plan.session_id, plan.name) == ("golden", "golden")


@pytest.mark.parametrize(
    ("name", "session_id", "sentence"),
    [
        ("a/b", None, "'a/b' must have at most 178 characters"),
        ("x" * 179, None, "must have at most 178 characters"),
        (None, "a/b", "'a/b' must have at most 200 characters"),
        ("standup", "golden", "is of a session 'golden', not 'standup'"),
    ],
)
def test_what_cannot_be_an_id_is_refused(
    name: str | None, session_id: str | None, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        session_id_of(name, session_id, otherwise="live")
