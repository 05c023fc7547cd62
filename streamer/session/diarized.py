"""A recording's participants by its voices: a speaker each, with words, turns and no face.

What enters: a recording, the turns of its speakers, and its transcript, if there is one. What
leaves: participants. A transcript that names people names the speakers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from streamer import capture
from streamer.capture.probe import info
from streamer.capture.sources import ParticipantSpec, checked_name
from streamer.config import Config
from streamer.errors import SourceError
from streamer.notices import PROCESS, Notices
from streamer.records import NS_PER_S, AudioChunk
from streamer.spans import SpeakerTurn
from streamer.speakers.enrolment import NO_VOICES, Vector
from streamer.speakers.listening import networks, speakers_of
from streamer.speakers.naming import named
from streamer.speech.transcripts import Subtitles

Listen = Callable[[ParticipantSpec], Sequence[SpeakerTurn]]
"""Returns who speaks when in a recording."""


def listening(
    config: Config,
    progress: Callable[[float], object],
    known: Mapping[str, Vector] = NO_VOICES,
    notices: Notices = PROCESS,
) -> Listen:
    """Return what listens to recordings with the published networks.

    Args:
        config: `speech.max_speakers`.
        progress: gets the seconds of sound that are done.
        known: voices whose people get their names.
        notices: gets the names of those whose voices are not found.
    """

    def listen(spec: ParticipantSpec) -> Sequence[SpeakerTurn]:
        if not info(spec).has_audio:
            raise SourceError(
                f"{spec.participant_id} has no sound to tell speakers by: leave --split speakers "
                "out."
            )
        sound = sound_of(spec, config, progress)
        turns = speakers_of(sound, networks(), config.speech.max_speakers, known)
        if absent := known.keys() - {turn.speaker for turn in turns}:
            whose = ", ".join(sorted(absent))
            notices.give(f"No voice in {spec.participant_id} is near enough to that of: {whose}.")
        return turns

    return listen


def sound_of(
    spec: ParticipantSpec, config: Config, progress: Callable[[float], object]
) -> Iterator[AudioChunk]:
    """Yield a recording's sound; `progress` gets the seconds that are done."""
    for chunk in capture.read(spec, config, threading.Event(), 1, modalities={"audio"}):
        if isinstance(chunk, AudioChunk):
            yield chunk
            progress(chunk.end_ns / NS_PER_S)


def by_speaker(
    spec: ParticipantSpec,
    turns: Sequence[SpeakerTurn],
    read: Subtitles | None = None,
    path: Path | None = None,
) -> list[ParticipantSpec]:
    """Return a participant for each speaker of a recording, in the order of their first turns.

    Args:
        spec: the recording as one participant.
        turns: who speaks when.
        read: its transcript, times of the recording.
        path: the transcript's file.

    Raises:
        SourceError: nobody speaks.
    """
    cues = [
        SpeakerTurn(said.speaker, said.start_ns, said.end_ns)
        for said in (read.utterances if read is not None else ())
        if said.speaker is not None
    ]
    if not turns:
        raise SourceError(
            f"Nobody speaks in {spec.participant_id}, so it has no speakers to split: leave "
            "--split speakers out."
        )
    everybody = tuple(named(turns, cues))
    return [
        replace(
            spec,
            participant_id=checked_name(speaker),
            transcript_file=path,
            speaker=speaker,
            turns=everybody,
            identified_by="diarization",
        )
        for speaker in dict.fromkeys(turn.speaker for turn in everybody)
    ]


def speakers_found(specs: Sequence[ParticipantSpec], recording: ParticipantSpec) -> Iterator[str]:
    """Yield what people should know of a recording's speakers."""
    if len(specs) == 1:
        yield (
            f"One person speaks in {recording.participant_id}: the participant is "
            f"{specs[0].participant_id}, without a face; without --split speakers the face in the "
            "recording counts too."
        )
        return
    names = ", ".join(spec.participant_id for spec in specs)
    yield (
        f"{len(specs)} people speak in {recording.participant_id}: {names}. Each is a participant, "
        "without a face, whose sound is the recording's while they speak."
    )
