"""The Python client: published records from the topics into your program's loop.

    async for sentiment in streamer.subscribe("localhost:9092", session="standup"):
        print(sentiment.participant_id, sentiment.valence)

What enters: a broker's address and a selection of records. What leaves: typed records of `records`,
each once, or each revision once. This module does not know what they mean.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from types import AsyncGeneratorType
from typing import Any, Literal, TypedDict, Unpack, cast, overload

from streamer.config import Config, build
from streamer.errors import ConfigError
from streamer.kafka.consumer import Consumer, Start
from streamer.kafka.duplicates import Duplicates
from streamer.kafka.messages import RawMessage
from streamer.kafka.policies import SessionPolicies
from streamer.kafka.topics import PUBLISHED, SESSIONS, Published, Topic
from streamer.policy import refusal
from streamer.records import Alert, Sentiment, SessionSentiment
from streamer.session_ids import NewestSession, start_of

__all__ = ["subscribe", "subscribe_sync"]

PublishedKind = Literal["smoothed", "session_smoothed", "alerts", "scores", "sessions"]

BATCH_RECORDS = 500
BATCH_WAIT_MS = 200


class Selection(TypedDict, total=False):
    """The arguments of `subscribe` that do not decide the type of the records."""

    session: str | None
    participant: str | None
    start: Start
    group: str | None
    revisions: bool
    prefix: str | None
    config: Config | None


# fmt: off
@overload
def subscribe(
    broker: str, *, kind: Literal["smoothed"] = "smoothed", **selection: Unpack[Selection]
) -> AsyncGenerator[Sentiment, None]: ...
@overload
def subscribe(
    broker: str, *, kind: Literal["session_smoothed"], **selection: Unpack[Selection]
) -> AsyncGenerator[SessionSentiment, None]: ...
@overload
def subscribe(
    broker: str, *, kind: Literal["alerts"], **selection: Unpack[Selection]
) -> AsyncGenerator[Alert, None]: ...
@overload
def subscribe(
    broker: str, *, kind: PublishedKind, **selection: Unpack[Selection]
) -> AsyncGenerator[Any, None]: ...
# fmt: on
async def subscribe(
    broker: str,
    *,
    session: str | None = None,
    participant: str | None = None,
    kind: PublishedKind = "smoothed",
    start: Start = "latest",
    group: str | None = None,
    revisions: bool = False,
    prefix: str | None = None,
    config: Config | None = None,
) -> AsyncGenerator[Any, None]:
    """Published records as they come, without end.

    A broker that goes away is waited for, and reading goes on where it was; a topic that does
    not exist yet is waited for and then read from its beginning. Unreadable messages are skipped
    with a warning. To leave early and close at once, wrap it in `contextlib.aclosing`.

    Args:
        broker: `host[:port][,host[:port]…]`; the port is 9092 where none is given.
        session: only this session's records: its id, or a name, which means the newest session of
            that name, and from its start on a newer one; None for every session.
        participant: only this participant's records; None for everyone's.
        kind: which topic: `smoothed`, `session_smoothed`, `alerts`, `scores` or `sessions`.
        start: `earliest`, `latest`, or a time (with its zone) of publication.
        group: a consumer group: its members share the partitions, and a record is committed
            when the next one is asked for, so that a program that starts again goes on where it
            was. None to read everything alone.
        revisions: yield a window's record again in each higher revision: in a live session, with
            words that came late and the values that follow from them. Keep the highest of each
            `window_id`.
        prefix: of the topics' names; None for the configured one (`sentiment`).
        config: settings for more than that: security, timeouts.

    Yields:
        Records of the type of `kind`: one of each window, or with `revisions` one of each revision,
        none lower than before (the latest 65,536 identities are remembered). Of a session that
        publishes no single person, those of the session as a whole only; of a session whose own
        record is not on the topics, none.

    Raises:
        BrokerError: nothing answers at `broker`.
        ConfigError: an argument is wrong.
    """
    topic, settings = _topic(kind), _settings(broker, prefix, config)
    reader = Consumer[Any](settings, topic, group=group, start=start)
    followed = None if session is None else await _newest_session(settings, session)
    duplicates = Duplicates()
    async with reader, SessionPolicies(settings) as policies:
        while True:
            used: list[RawMessage] = []
            try:
                for received in await reader.batch(BATCH_RECORDS, BATCH_WAIT_MS):
                    record = received.record
                    identity, revision = topic.identity(record)
                    if (
                        _is_selected(record, followed, participant)
                        and not refusal(await policies.policy(record.session_id), record)
                        and duplicates.is_new(identity, revision if revisions else 0)
                    ):
                        yield record
                    used.append(received)
            finally:
                if used:
                    await reader.commit(used)


# fmt: off
@overload
def subscribe_sync(
    broker: str, *, kind: Literal["smoothed"] = "smoothed", **selection: Unpack[Selection]
) -> Generator[Sentiment, None, None]: ...
@overload
def subscribe_sync(
    broker: str, *, kind: Literal["session_smoothed"], **selection: Unpack[Selection]
) -> Generator[SessionSentiment, None, None]: ...
@overload
def subscribe_sync(
    broker: str, *, kind: Literal["alerts"], **selection: Unpack[Selection]
) -> Generator[Alert, None, None]: ...
@overload
def subscribe_sync(
    broker: str, *, kind: PublishedKind, **selection: Unpack[Selection]
) -> Generator[Any, None, None]: ...
# fmt: on
def subscribe_sync(
    broker: str,
    *,
    session: str | None = None,
    participant: str | None = None,
    kind: PublishedKind = "smoothed",
    start: Start = "latest",
    group: str | None = None,
    revisions: bool = False,
    prefix: str | None = None,
    config: Config | None = None,
) -> Generator[Any, None, None]:
    """As `subscribe`, for a plain `for` loop in a program without an event loop.

    The client lives on a thread of its own, so a slow caller stays in its group; the caller
    blocks while nothing comes, and Ctrl-C ends it. Closing the generator closes the client.
    """
    records = subscribe(
        broker,
        session=session,
        participant=participant,
        kind=kind,
        start=start,
        group=group,
        revisions=revisions,
        prefix=prefix,
        config=config,
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="subscribe", daemon=True)
    thread.start()

    def on_loop(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    try:
        while True:
            waiting = asyncio.run_coroutine_threadsafe(_next(records), loop)
            try:
                record = waiting.result()
            except BaseException:
                waiting.cancel()
                raise
            yield record
    finally:
        on_loop(_close(records))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _next(records: AsyncGenerator[Any, None]) -> Any:
    return await anext(records)


async def _close(records: AsyncGenerator[Any, None]) -> None:
    """Close once a cancelled `anext` has unwound."""
    while cast(AsyncGeneratorType[Any, None], records).ag_running:  # noqa: ASYNC110 - a generator has no event to wait for
        await asyncio.sleep(0.01)
    await records.aclose()


def _topic(kind: str) -> Topic[Any]:
    for topic in PUBLISHED:
        if topic.kind == kind:
            return topic
    kinds = ", ".join(topic.kind for topic in PUBLISHED)
    raise ConfigError(f"The kind {kind!r} is not published; it must be one of {kinds}.")


def _settings(broker: str, prefix: str | None, config: Config | None) -> Config:
    kafka = config.kafka if config is not None else None
    given = {"broker": broker} | ({} if prefix is None else {"topic_prefix": prefix})
    if config is None or kafka is None:
        return build({"kafka": given})
    checked = build({"kafka": given}).kafka
    changes = {name: getattr(checked, name) for name in given}
    return config.model_copy(update={"kafka": kafka.model_copy(update=changes)})


async def _newest_session(config: Config, selector: str) -> NewestSession:
    """Look through the session records of now, so that no older session is taken for the newest."""
    followed = NewestSession(selector)
    if start_of(selector) is None:
        async with Consumer(config, SESSIONS, start="earliest") as sessions:
            async for received in sessions.snapshot():
                followed.follows(received.record.session_id)
    return followed


def _is_selected(
    record: Published, followed: NewestSession | None, participant: str | None
) -> bool:
    if followed is not None and not followed.follows(record.session_id):
        return False
    return participant is None or getattr(record, "participant_id", None) == participant
