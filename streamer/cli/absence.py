"""Notices about missing workers, unknown sessions, and records that do not come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from streamer.cli.app import screen
from streamer.config import Config
from streamer.errors import StreamerError, did_you_mean
from streamer.kafka.groups import Stage
from streamer.session_ids import EXACTLY, name_of, newest

R = TypeVar("R")

LISTED = 10
"""Most names of sessions in a notice."""
SILENCE_S = 15.0
"""A subscriber that has received nothing for so long prints why."""


def absence(broker: str, stages: Sequence[Stage]) -> str:
    """Return a sentence that names the stages without a worker and how to start them."""
    from streamer.kafka.presence import COMMANDS

    names = " and no ".join(f"{stage} worker" for stage in stages)
    commands = " and ".join(f"`streamer {COMMANDS[stage]} --broker {broker}`" for stage in stages)
    return f"No {names} is running on {broker}; start one with {commands}."


@contextlib.asynccontextmanager
async def absence_announced(config: Config) -> AsyncIterator[None]:
    """Print a notice, while the context's work runs, if a stage has no worker on the broker."""
    announcing = asyncio.create_task(_announce(config))
    try:
        yield
    finally:
        announcing.cancel()
        await asyncio.gather(announcing, return_exceptions=True)


async def _announce(config: Config) -> None:
    from streamer.kafka.presence import absent_stages

    with contextlib.suppress(StreamerError):  # the work itself reports a broker that is away
        stages = await absent_stages(config)
        if stages:
            text = f"{absence(config.kafka.broker, stages)} Windows wait there until then."
            screen.print(text, style="yellow", highlight=False, soft_wrap=True)


async def announce_silence(config: Config) -> None:
    """Print that no record has come for SILENCE_S, and the reason if one is known."""
    from streamer.kafka.presence import absent_stages

    broker = config.kafka.broker
    try:
        stages = await absent_stages(config)
        reason = absence(broker, stages) if stages else "Perhaps no session is running."
    except StreamerError as error:
        reason = str(error)
    screen.print(
        f"No record for {SILENCE_S:g} s. {reason}", style="yellow", highlight=False, soft_wrap=True
    )


async def announce_unknown_session(config: Config, selector: str) -> None:
    """Print a notice if no session on the broker is meant by `selector`, with those there are."""
    from streamer.kafka.consumer import Consumer
    from streamer.kafka.topics import SESSIONS

    session_ids = set[str]()
    with contextlib.suppress(StreamerError):  # the subscription reports a broker that is away
        async with Consumer(config, SESSIONS, start="earliest") as sessions:
            async for received in sessions.snapshot():
                session_ids.add(received.record.session_id)
        if newest(selector, session_ids) is None:
            text = unknown_session(selector, session_ids, config.kafka.broker)
            screen.print(text, style="yellow", highlight=False, soft_wrap=True)


def unknown_session(selector: str, session_ids: Collection[str], broker: str) -> str:
    """Return a sentence on a session that is not on the broker, with those that are."""
    names = sorted({name_of(session_id) for session_id in session_ids})
    missing = f"{broker} has no session {selector!r} yet; streamer waits for it."
    if not names:
        return missing
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    hint = did_you_mean(selector.removeprefix(EXACTLY), [*names, *session_ids], "").capitalize()
    return f"{missing} It has {', '.join(names[:LISTED])}{more}. {hint}".rstrip()


async def watched_for_silence(
    records: AsyncIterator[R],
    on_silence: Callable[[], Awaitable[None]],
    silence_s: float = SILENCE_S,
) -> AsyncIterator[R]:
    """Pass on the records; start `on_silence` once each time that none comes for `silence_s`."""
    while True:
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(anext(records, None))]
        try:
            done, _ = await asyncio.wait(tasks, timeout=silence_s)
            if not done:
                tasks.append(asyncio.ensure_future(on_silence()))
            record = await tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if record is None:
            return
        yield record
