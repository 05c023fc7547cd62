"""Who is in the recordings that a replay is given.

What enters: paths as a user types them. What leaves: participants, and a name for the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streamer import session_ids
from streamer.capture.sources import ParticipantSpec, participant_of
from streamer.capture.zoom import FOLDER, separate_audio


@dataclass(frozen=True, slots=True)
class People:
    """The participants of recordings.

    Attributes:
        specs: one for each person.
        session: a name for the session, of one recording that holds several people; else None.
    """

    specs: tuple[ParticipantSpec, ...]
    session: str | None = None


def people_of(files: Sequence[str]) -> People:
    """Return the participants of recordings: one for each, or those that one of them names.

    A folder with Zoom's separate sounds has a participant for each of them, from its beginning.

    Raises:
        ConfigError: a file's name cannot be a participant's name.
    """
    groups = [_in_folder(participant_of(file)) for file in files]
    specs = tuple(spec for group in groups for spec in group.specs)
    return People(specs, groups[0].session if len(groups) == 1 else None)


def _in_folder(spec: ParticipantSpec) -> People:
    folder = Path(spec.sources[0]).expanduser()
    people = separate_audio(folder)
    if not people:
        return People((spec,))
    specs = [
        replace(spec, participant_id=name, sources=(str(path),), begin_ns=spec.begin_ns or 0)
        for name, path in people.items()
    ]
    meeting = folder.resolve().parent if folder.name == FOLDER else folder.resolve()
    return People(tuple(specs), meeting.name[: session_ids.LONGEST_NAME].strip() or None)
