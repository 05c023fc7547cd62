"""Who is in the recordings that a replay is given.

What enters: paths as a user types them, and transcripts beside them. What leaves: participants,
and a name for the session. A recording whose transcript names its people has a participant for each
of them: with that person's words, the sound of the times in which that person speaks, and no face
but one that is chosen, or told by its mouth. Where it is asked for, each channel is a participant
instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from streamer import session_ids
from streamer.capture.probe import audio_channels, transcript_beside
from streamer.capture.sources import (
    ParticipantSpec,
    by_channel,
    checked_name,
    face_fragment,
    parse_source,
    participant_of,
)
from streamer.capture.zoom import FOLDER, separate_audio
from streamer.counted import counted
from streamer.errors import ConfigError, SourceError
from streamer.media_types import is_file
from streamer.session.diarized import Listen, by_speaker, speakers_found
from streamer.session.faces_by_mouth import Watch, faces_found
from streamer.spans import SpeakerTurn
from streamer.speech.transcripts import Subtitles, parse_subtitles

Split = Literal["transcript", "channels", "speakers", "none"]


@dataclass(frozen=True, slots=True)
class People:
    """The participants of recordings.

    Attributes:
        specs: one for each person.
        notices: what is guessed or left out, each a sentence.
        session: a name for the session, of one recording that holds several people; else None.
    """

    specs: tuple[ParticipantSpec, ...]
    session: str | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Naming:
    """What makes participants of one recording.

    Attributes:
        split: the names in its transcript, its channels, its voices, or nothing: it is one
            participant.
        transcript: the transcript of the only recording; None for the one beside it.
        offset_ns: added to the transcript's times.
        faces: of participants, by name: the place of each one's face in the image.
    """

    split: Split = "transcript"
    transcript: Path | None = None
    offset_ns: int = 0
    faces: tuple[tuple[str, str], ...] = ()


AS_FOUND = Naming()
LEAST_NAMED = 0.5
"""A transcript found beside a recording names its people if this share of its cues has names."""


def people_of(
    files: Sequence[str],
    naming: Naming = AS_FOUND,
    listen: Listen | None = None,
    watch: Watch | None = None,
) -> People:
    """Return the participants of recordings: one for each, or those that one of them names.

    A folder with Zoom's separate sounds has a participant for each of them, from its beginning.

    Args:
        files: as typed.
        naming: what makes participants of one recording.
        listen: tells the speakers of a recording apart, for `speakers`.
        watch: tells whose the faces of a recording are; it is not asked where one is chosen.

    Raises:
        ConfigError: a name cannot be a participant's, or a transcript or its offset is stated
            for anything but one recording with a transcript.
        SourceError: the stated transcript cannot be read.
    """
    stated = naming.transcript is not None or naming.offset_ns != 0
    if stated and len(files) != 1:
        raise ConfigError("--transcript and --transcript-offset are of one recording: name one.")
    groups = [_in_folder(participant_of(file)) for file in files]
    if stated and groups[0].session is not None:
        raise ConfigError("The folder has a recording for each person: leave --transcript out.")
    if naming.split == "speakers" and (len(files) != 1 or groups[0].session is not None):
        raise ConfigError("--split speakers is of one recording of several people: name one.")
    watch = None if naming.faces else watch
    groups = [g if g.session else _in(g.specs[0], naming, listen, watch) for g in groups]
    specs = tuple(spec for group in groups for spec in group.specs)
    specs = tuple(_with_faces(specs, naming.faces))
    notices = tuple(notice for group in groups for notice in group.notices)
    if len(groups) != 1:
        return People(specs, None, notices)
    specs = tuple(
        spec if groups[0].session is None else replace(spec, begin_ns=spec.begin_ns or 0)
        for spec in specs
    )
    return People(specs, groups[0].session, notices)


def _with_faces(
    specs: Sequence[ParticipantSpec], faces: Sequence[tuple[str, str]]
) -> Iterator[ParticipantSpec]:
    """Yield the participants, with the faces that were chosen for some of them."""
    places = dict(faces)
    if len(set(places.values())) < len(faces):
        raise ConfigError("Each --face is of another participant and at another place.")
    if unknown := places.keys() - {spec.participant_id for spec in specs}:
        names = ", ".join(spec.participant_id for spec in specs)
        raise ConfigError(f"--face names {min(unknown)!r}, who is not one of: {names}.")
    for spec in specs:
        place = places.get(spec.participant_id)
        if place is None:
            yield spec
            continue
        first, *rest = spec.sources
        yield replace(spec, sources=(f"{first}{face_fragment(place)}", *rest))


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


def _in(
    spec: ParticipantSpec, naming: Naming, listen: Listen | None, watch: Watch | None
) -> People:
    """Return the participants of one recording."""
    if naming.split in ("channels", "speakers") and _has_face(spec):
        raise ConfigError(
            f"A face is one participant's: leave #face out with --split {naming.split}, and "
            "choose it with --face NAME=left."
        )
    if naming.split == "channels":
        return _in_channels(spec, naming)
    if naming.split == "speakers":
        if listen is None:
            raise ValueError("speakers are told apart by `listen`")
        return _in_voices(spec, naming, listen, watch)
    return _in_transcript(spec, naming, watch)


def _watched(
    people: People, spec: ParticipantSpec, turns: Sequence[SpeakerTurn], watch: Watch | None
) -> People:
    """Return the people of a recording with the faces that are told to be theirs."""
    if watch is None or len(people.specs) < 2:
        return people
    places = watch(spec, turns)
    of_people = [
        (one.participant_id, places[one.speaker or ""])
        for one in people.specs
        if one.speaker in places
    ]
    specs = tuple(_with_faces(people.specs, of_people))
    notice = faces_found([name for name, _ in of_people])
    return replace(people, specs=specs, notices=(*people.notices, notice))


def _in_voices(
    spec: ParticipantSpec, naming: Naming, listen: Listen, watch: Watch | None
) -> People:
    """Return a participant for each voice in a recording, named by its transcript if it can be."""
    path = naming.transcript or spec.transcript or _beside(spec)
    if path is None and naming.offset_ns:
        raise ConfigError(f"{spec.participant_id} has no transcript; name one with --transcript.")
    read = None if path is None else parse_subtitles(path).later(naming.offset_ns)
    spec = replace(spec, transcript_offset_ns=naming.offset_ns)
    specs = by_speaker(spec, listen(spec), read, path)
    notices = (*(read.notices if read is not None else ()), *speakers_found(specs, spec))
    people = People(tuple(specs), spec.participant_id, notices)
    return _watched(people, spec, specs[0].turns, watch)


def _in_channels(spec: ParticipantSpec, naming: Naming) -> People:
    """Return a participant for each channel of a recording; one of one channel stays as it is."""
    if naming.transcript is not None or naming.offset_ns:
        raise ConfigError("--split channels takes words from the sound: leave --transcript out.")
    if spec.identified_by == "channel":
        return People((spec,))
    name, count = Path(spec.sources[0]).name, audio_channels(spec)
    if count < 2:
        raise ConfigError(f"{name} has no two channels to split: leave --split channels out.")
    specs = by_channel(spec, count)
    names = ", ".join(one.participant_id for one in specs)
    notices = [f"Each channel of {name} is a participant, without a face: {names}."]
    if (unused := _beside(spec)) is not None:
        notices.append(f"{unused.name} is not used: its words are of all channels.")
    return People(tuple(specs), spec.participant_id, tuple(notices))


def _in_transcript(spec: ParticipantSpec, naming: Naming, watch: Watch | None) -> People:
    """Return a participant for each name in a recording's transcript, else the recording's own."""
    path = naming.transcript or spec.transcript or _beside(spec)
    if path is None and naming.offset_ns:
        raise ConfigError(f"{spec.participant_id} has no transcript; name one with --transcript.")
    spec = replace(spec, transcript_file=naming.transcript, transcript_offset_ns=naming.offset_ns)
    if path is None or naming.split == "none" or _has_face(spec):
        return People((spec,))
    try:
        read = parse_subtitles(path)
    except SourceError:
        if naming.transcript is not None:
            raise
        return People((spec,))
    said = read.later(naming.offset_ns).utterances
    if read.utterances and not said:
        raise ConfigError(
            f"--transcript-offset puts all of {path.name} before the recording's start: choose a "
            "smaller shift."
        )
    named = sum(each.speaker is not None for each in read.utterances)
    enough = len(read.speakers) > 1 and named >= LEAST_NAMED * len(read.utterances)
    if not enough and (naming.transcript is None or not read.speakers):
        return People((spec,))
    specs = [
        replace(
            spec,
            participant_id=checked_name(name),
            transcript_file=path,
            speaker=name,
            identified_by="transcript",
        )
        for name in read.speakers
    ]
    notices = tuple(_notices(read, path, named, bool(spec.media)))
    turns = [SpeakerTurn(s.speaker, s.start_ns, s.end_ns) for s in said if s.speaker]
    return _watched(People(tuple(specs), spec.participant_id, notices), spec, turns, watch)


def _notices(read: Subtitles, path: Path, named: int, recorded: bool) -> Iterator[str]:
    yield from read.notices
    theirs = "without a face, whose sound is the recording's while they speak"
    yield (
        f"{path.name} names {counted(len(read.speakers), 'participant')}, "
        f"{theirs if recorded else 'with words alone'}; --split none makes one of the recording."
    )
    if unnamed := len(read.utterances) - named:
        yield f"{path.name}: {unnamed} of {len(read.utterances)} cues name nobody; nobody has them."


def _has_face(spec: ParticipantSpec) -> bool:
    """Whether a face is chosen; a recording is then one participant."""
    return any(source.face is not None for source in spec.media)


def _beside(spec: ParticipantSpec) -> Path | None:
    """Return the transcript beside a recording that is one file, read whole."""
    source = parse_source(spec.sources[0])
    path = Path(source.address)
    whole = source.kind == "file" and source.channel is None
    return transcript_beside(path) if whole and is_file(path) else None
