"""Capture: a participant's sources → AudioChunks and VideoFrames in session time.

    sources     the text that a user types → ParticipantSpec, Source
    zoom        the folder of a Zoom meeting → a file by person
    probe       what the sources contain, before they are read → SourceInfo
    reading     sources → one stream of chunks
      files     one pass over an open media container
      live      devices and network streams: threads, one queue, reconnection
      devices   listing and opening cameras, microphones and network streams
      timeline  timestamps of a container → session time
      source_notices  what a user should know of one source
      tracks    decoded frames → chunks without gaps, upright frames
    pace        the speed of a replay

The next stages, `speech`, `faces` and `windows`, take the chunks.
"""

from streamer.capture.devices import Device, list_devices
from streamer.capture.probe import SourceInfo, info
from streamer.capture.reading import Chunk, read
from streamer.capture.sources import (
    ParticipantSpec,
    parse_participant,
    participant_of,
)

__all__ = [
    "Chunk",
    "Device",
    "ParticipantSpec",
    "SourceInfo",
    "info",
    "list_devices",
    "parse_participant",
    "participant_of",
    "read",
]
