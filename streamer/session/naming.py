"""Names for the people of a session that is running, recorded, or both.

What enters: a session and names. What leaves: its record with the names, on the broker and in the
folder of recordings, whichever has the session. Capture is not asked, and may have ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from streamer.config import Config
from streamer.errors import ConfigError, did_you_mean
from streamer.kafka.consumer import Consumer
from streamer.kafka.producer import Producer
from streamer.kafka.topics import SESSIONS
from streamer.recording.reader import Recordings
from streamer.recording.recorded import RecordingError
from streamer.recording.writer import Writer
from streamer.records import Session
from streamer.session_ids import EXACTLY, name_of, newest
from streamer.shown_names import merged, renamed

LISTED = 10
"""Most names of sessions in an error."""


class Known(NamedTuple):
    """What is known of a session: its record, and the ids of its participants."""

    session: Session
    people: frozenset[str]


@dataclass(frozen=True)
class Named:
    """A session whose people have names now.

    Attributes:
        session: its record.
        broker: whether it was published.
        recording: whether the folder has it.
    """

    session: Session
    broker: bool
    recording: bool


async def name_people(
    selector: str, names: Mapping[str, str], folder: Path, broker: Config | None
) -> Named:
    """Give names to people of the newest session that a selector means.

    Args:
        selector: an id or a name, see `session_ids`.
        names: by participant; an empty one takes the name away.
        folder: of the recordings; it need not exist.
        broker: the settings of the broker; None for none.

    Raises:
        ConfigError: there is no such session or participant.
        RecordingError: the recording has no record of the session, or a recorder writes there.
        BrokerError: the broker cannot be reached.
    """
    running = {} if broker is None else await known_sessions(broker)
    recordings = Recordings(folder)
    recorded = {summary.session_id for summary in await asyncio.to_thread(recordings.index)}
    session_id = _chosen(selector, {*running, *recorded}, folder, broker)
    known = running.get(session_id)
    if session_id in recorded:
        known = _both(await asyncio.to_thread(_recorded, recordings, session_id), known)
    if known is None:
        raise RecordingError(
            f"The recording of {session_id} has no record of the session, so it can have no names."
        )
    record = renamed(known.session, known.people, names)
    if broker is not None and session_id in running:
        async with Producer(broker) as producer:
            await producer.publish(record)
    kept = session_id in recorded and await _keep(folder, record, session_id in running)
    return Named(record, session_id in running, kept)


async def known_sessions(config: Config) -> dict[str, Known]:
    """Return the sessions that a broker has, by id."""
    known: dict[str, Known] = {}
    async with Consumer(config, SESSIONS, start="earliest") as consumer:
        async for received in consumer.snapshot():
            session_id = received.record.session_id
            known[session_id] = _with(known.get(session_id), received.record)
    return known


def _with(known: Known | None, session: Session) -> Known:
    people = {person.participant_id for person in session.participants}
    if known is None:
        return Known(session, frozenset(people))
    return Known(merged(known.session, session), known.people | people)


def _both(recorded: Known | None, running: Known | None) -> Known | None:
    if recorded is None or running is None:
        return recorded or running
    return Known(merged(recorded.session, running.session), recorded.people | running.people)


def _recorded(recordings: Recordings, session_id: str) -> Known | None:
    recording = recordings.read(session_id)
    if recording.session is None:
        return None
    people = {person.participant_id for person in recording.session.participants}
    return Known(recording.session, frozenset({*people, *recording.participants}))


async def _keep(folder: Path, record: Session, running: bool) -> bool:
    """Add a record to its recording; return False if the recorder at work takes it itself.

    Raises:
        RecordingError: a recorder writes there, and the session is on no broker that is known.
    """

    def write() -> None:
        with Writer(folder) as writer:
            writer.add(record)

    try:
        await asyncio.to_thread(write)
    except RecordingError as error:
        if running:
            return False
        raise RecordingError(f"{error} While it runs, add --broker with its broker.") from error
    return True


def _chosen(
    selector: str, session_ids: Collection[str], folder: Path, broker: Config | None
) -> str:
    session_id = newest(selector, session_ids)
    if session_id is not None:
        return session_id
    places = [str(folder)] if broker is None else [str(folder), broker.kafka.broker]
    missing = f"There is no session {selector!r} in {' or on '.join(places)}"
    names = sorted({name_of(session_id) for session_id in session_ids})
    if not names:
        raise ConfigError(f"{missing}; name another --dir or --broker.")
    raise ConfigError(f"{missing}; {_there(selector, names, session_ids)}")


def _there(selector: str, names: Sequence[str], session_ids: Collection[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    listed = f"there are {', '.join(names[:LISTED])}{more}"
    hint = did_you_mean(selector.removeprefix(EXACTLY), [*names, *session_ids], "")
    return f"{listed}; {hint}" if hint else f"{listed}."
