"""Names that people see in place of participants' ids.

What enters: `Session` records of one session, in the order of their publication, and names that
somebody states. What leaves: one record with the newest facts and the newest names. On the topics a
participant keeps the id for good: a name is only shown. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from streamer.errors import ConfigError
from streamer.recorded_times import combined
from streamer.records import Name, Participant, Session

MOST_LISTED = 20
"""Participants that an error lists."""


def merged(before: Session | None, record: Session) -> Session:
    """Return a session's record with the facts of the later one and the newest names.

    An `ended` record is later than a `started` one. The names are those of the highest revision,
    because capture, which writes the end, does not have those that somebody stated; of the later
    record where revisions are equal, because capture may come to know voices.
    """
    if before is None:
        return record
    facts = before if (before.state, record.state) == ("ended", "started") else record
    named = (
        facts
        if before.revision == record.revision
        else max(before, record, key=lambda session: session.revision)
    )
    return msgspec.structs.replace(
        facts,
        names=named.names,
        revision=named.revision,
        recorded_times=combined(before.recorded_times, record.recorded_times),
    )


def shown(names: Mapping[str, str], participant_id: str) -> str:
    """Return the name that people see of a participant: the id where nobody stated one."""
    return names.get(participant_id, participant_id)


def relations(people: Iterable[Participant]) -> dict[str, dict[str, str]]:
    """Return who turned out to be whom (`merged`), and who was taken for whom (`parted`), by id."""
    everybody = list(people)
    return {
        "merged": {each.participant_id: each.merged_into for each in everybody if each.merged_into},
        "parted": {each.participant_id: each.parted_from for each in everybody if each.parted_from},
    }


def relation(person: Participant, names: Mapping[str, str]) -> str:
    """Return what turned out of a participant's voice, in words; empty for nothing."""
    if person.merged_into:
        return f"is {shown(names, person.merged_into)}"
    return f"at first taken for {shown(names, person.parted_from)}" if person.parted_from else ""


def stated(texts: Sequence[str]) -> dict[str, str]:
    """Return names by participant, from texts such as `speaker-1=Ana`; `speaker-1=` takes it away.

    Raises:
        ConfigError: a text has another form, names a participant again, or the name cannot be one.
    """
    names: dict[str, str] = {}
    for text in texts:
        participant_id, sign, name = (part.strip() for part in text.partition("="))
        if not (participant_id and sign):
            raise ConfigError(f"{text!r} names nobody: write it as speaker-1=Ana.")
        if participant_id in names:
            raise ConfigError(f"{participant_id} is named twice; give one name.")
        names[participant_id] = _checked(name) if name else ""
    return names


def renamed(session: Session, people: Iterable[str], names: Mapping[str, str]) -> Session:
    """Return the session's record of the next revision, with more names.

    Args:
        session: its record.
        people: the ids of all of its participants.
        names: by participant; an empty one takes the name away.

    Raises:
        ConfigError: there is no such participant, a name is another's id, or the session publishes
            no single person.
    """
    called, everybody = session.name or session.session_id, sorted(set(people))
    if session.publish == "session":
        raise ConfigError(f"{called} publishes no single person, so nobody in it has a name.")
    for participant_id, name in names.items():
        if participant_id not in everybody:
            raise ConfigError(f"{called} has no participant {participant_id!r}; {_has(everybody)}.")
        if name in everybody and name != participant_id:
            raise ConfigError(f"{name!r} is the id of another participant; choose another name.")
    wanted = {**session.names, **names}
    return msgspec.structs.replace(
        session,
        names={who: name for who, name in wanted.items() if name and name != who},
        revision=session.revision + 1,
    )


def _has(everybody: Sequence[str]) -> str:
    if not everybody:
        return "it has nobody yet"
    more = len(everybody) - MOST_LISTED
    listed = ", ".join(everybody[:MOST_LISTED])
    return f"it has {listed}{f' and {more} more' if more > 0 else ''}"


def _checked(name: str) -> str:
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise ConfigError(
            f"The name {name!r} must have 1 to 200 characters, and must not contain '/' or control "
            "characters."
        ) from None
