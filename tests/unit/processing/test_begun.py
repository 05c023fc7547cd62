"""A coroutine that is run up to its first wait, and later to its end."""

from __future__ import annotations

import asyncio

import pytest

from streamer.processing.begun import Begun


async def test_work_that_waits_for_nothing_is_done_at_once() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("all")

    begun = Begun(work())
    assert (begun.is_done, done) == (True, ["all"])
    await begun.rest()


async def test_work_that_waits_goes_on_in_a_task() -> None:
    ready, done = asyncio.Event(), list[str]()

    async def work() -> None:
        done.append("first")
        await ready.wait()
        done.append("then")
        await asyncio.sleep(0)
        done.append("last")

    begun = Begun(work())
    assert (begun.is_done, done) == (False, ["first"])
    task = asyncio.create_task(begun.rest())
    await asyncio.sleep(0)
    assert done == ["first"]
    ready.set()
    await task
    assert done == ["first", "then", "last"]


async def test_what_the_work_raises_reaches_whoever_runs_it() -> None:
    async def fail(late: bool) -> None:
        if late:
            await asyncio.sleep(0)
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        Begun(fail(late=False))
    with pytest.raises(ValueError, match="of the work"):
        await Begun(fail(late=True)).rest()


async def test_cancelling_the_task_cancels_the_work() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    task = asyncio.create_task(Begun(work()).rest())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cancelled"]


async def test_work_may_catch_what_it_waited_for() -> None:
    caught: list[str] = []
    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await failing
        except OSError:
            caught.append("caught")
        await asyncio.sleep(0)

    begun = Begun(work())
    failing.set_exception(OSError())
    await begun.rest()
    assert caught == ["caught"]
