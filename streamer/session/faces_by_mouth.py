"""A recording's faces, each at the place where it is some participant's for certain.

What enters: a recording, and who speaks when in it. What leaves: the place of a face for those
whose mouth was told by its movement. Reads the whole video before the session begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from streamer import capture
from streamer.capture.probe import info
from streamer.capture.sources import ParticipantSpec
from streamer.config import Config
from streamer.mouths import MouthWatch
from streamer.records import NS_PER_S, VideoFrame
from streamer.spans import SpeakerTurn
from streamer.speakers.by_mouth import Mouth, speakers_by_mouth

Watch = Callable[[ParticipantSpec, Sequence[SpeakerTurn]], Mapping[str, str]]
"""Returns the places of faces in a recording, by the speakers whose faces they are."""
RATE_HZ = 5.0
"""Frames a second in which mouths are measured."""


def watching(config: Config, progress: Callable[[float], object]) -> Watch | None:
    """Return what watches the faces of recordings; None where `faces.by_mouth` is off.

    Args:
        config: `faces`, `session.modalities`.
        progress: gets the seconds of video that are done.
    """
    if not config.faces.by_mouth:
        return None

    def watch(spec: ParticipantSpec, turns: Sequence[SpeakerTurn]) -> Mapping[str, str]:
        if "vision" not in config.session.modalities or not spec.media or not info(spec).has_video:
            return {}
        mouths = MouthWatch(config.faces)
        stop = threading.Event()
        for chunk in capture.read(spec, config, stop, RATE_HZ, modalities={"vision"}):
            if isinstance(chunk, VideoFrame):
                mouths.push(chunk)
                progress(chunk.event_time_ns / NS_PER_S)
        faces = mouths.faces()
        whose = speakers_by_mouth([Mouth(face.times_ns, face.movement) for face in faces], turns)
        return {speaker: faces[number].place for number, speaker in whose.items()}

    return watch


def faces_found(names: Sequence[str]) -> str:
    """Return what people should know of the faces that were told."""
    if not names:
        return (
            "No face in the image moves its mouth with one voice alone for long enough, so nobody "
            "has one; choose it with --face NAME=left where you know it."
        )
    return f"By the movement of their mouths, these have a face after all: {', '.join(names)}."
