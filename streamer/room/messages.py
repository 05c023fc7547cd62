"""The messages of programs on the WebSocket: bytes → sound, images and words, checked (pure).

What enters: messages as they came. What leaves: their content, or a Refused with the reason for
closing. docs/room-websocket.md describes the protocol. Times are the sender's, on one clock.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Annotated, Any

import av
import msgspec
import numpy as np

from streamer.records import NS_PER_S, Word
from streamer.room.people import Refused
from streamer.speech.given import GivenWord

HEADER = struct.Struct("<BQ")
"""Of a binary message: its kind, and the time of its content in microseconds."""
SOUND, IMAGE = 1, 2
LONGEST_SOUND_S = 1
MOST_PIXELS = 4096 * 2304
LATEST_US = 2**53
"""Times are below it; 285 years."""
AHEAD_NS = 60 * NS_PER_S
"""A word may lie so far from the time at which it was sent."""
US = 1_000

Time = Annotated[int, msgspec.Meta(ge=0, lt=LATEST_US)]


class Agree(msgspec.Struct, tag_field="type", tag="agree", forbid_unknown_fields=True):
    """The first message: what the person has agreed to, and what the program sends."""

    token: Annotated[str, msgspec.Meta(max_length=200)]
    name: Annotated[str, msgspec.Meta(max_length=1000)]
    shares: Annotated[tuple[str, ...], msgspec.Meta(max_length=3)]
    version: Annotated[str, msgspec.Meta(max_length=100)]
    rate_hz: Annotated[int, msgspec.Meta(ge=8_000, le=48_000)] = 16_000
    words: bool = False


class SaidWord(msgspec.Struct, forbid_unknown_fields=True):
    """A word of the sender's own recogniser."""

    text: Annotated[str, msgspec.Meta(max_length=200)]
    start_us: Time
    end_us: Time
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    language: Annotated[str, msgspec.Meta(max_length=20)] = ""


class Said(msgspec.Struct, tag_field="type", tag="words", forbid_unknown_fields=True):
    """Words, when they were sent, and until when all words have been given."""

    sent_us: Time
    words: Annotated[tuple[SaidWord, ...], msgspec.Meta(max_length=500)]
    until_us: Time | None = None


class Leave(msgspec.Struct, tag_field="type", tag="leave", forbid_unknown_fields=True):
    """The person leaves."""


@dataclass(frozen=True)
class Sound:
    """Sound that began at `begin_ns` and was complete, so sent, at `sent_ns`."""

    begin_ns: int
    sent_ns: int
    frame: av.AudioFrame


@dataclass(frozen=True)
class Image:
    """A JPEG, not yet decoded."""

    sent_ns: int
    jpeg: bytes


@dataclass(frozen=True)
class Words:
    """Words with their languages; those that end before `until_ns` are complete."""

    sent_ns: int
    until_ns: int
    words: tuple[GivenWord, ...]


def agreement(text: str) -> Agree:
    """Return the first message of a program; raises Refused."""
    hello: Agree = _decoded(text, Agree)
    return hello


def read_text(text: str) -> Words | Leave:
    """Return the content of a later text message; raises Refused."""
    message: Said | Leave = _decoded(text, Said | Leave)
    return message if isinstance(message, Leave) else _words(message)


def read_binary(data: bytes, rate_hz: int) -> Sound | Image:
    """Return the content of a binary message; raises Refused."""
    if len(data) <= HEADER.size:
        raise Refused(400, f"A binary message has {HEADER.size} bytes of header, then its content.")
    kind, time_us = HEADER.unpack_from(data)
    if time_us >= LATEST_US:
        raise Refused(400, "The time in a header is not in microseconds.")
    if kind == IMAGE:
        return Image(time_us * US, data[HEADER.size :])
    if kind != SOUND:
        raise Refused(400, f"The kind in a header is {SOUND} for sound or {IMAGE} for an image.")
    return _sound(time_us * US, data, rate_hz)


class Images:
    """Decodes the JPEGs of one sender."""

    def __init__(self) -> None:
        """Start; larger images than MOST_PIXELS are refused before there is memory for them."""
        self._codec = av.CodecContext.create("mjpeg", "r")
        self._codec.options = {"max_pixels": str(MOST_PIXELS)}
        self._codec.thread_count = 1

    def decode(self, jpeg: bytes) -> av.VideoFrame:
        """Return the image; raises Refused."""
        try:
            frames = self._codec.decode(av.Packet(jpeg))
        except (av.FFmpegError, ValueError):
            frames = []
        if len(frames) != 1:
            raise Refused(400, f"An image is not a JPEG of at most {MOST_PIXELS} pixels.")
        return frames[0]


def _sound(begin_ns: int, data: bytes, rate_hz: int) -> Sound:
    length = len(data) - HEADER.size
    if length % 2 or length > 2 * rate_hz * LONGEST_SOUND_S:
        raise Refused(400, "Sound is whole samples of 16 bits, at most one second of them.")
    samples = np.frombuffer(data, "<i2", offset=HEADER.size)
    frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    return Sound(begin_ns, begin_ns + len(samples) * NS_PER_S // rate_hz, frame)


def _words(said: Said) -> Words:
    sent_ns = said.sent_us * US
    words = tuple((_word(word), word.language) for word in said.words if word.text.strip())
    ends = [word.end_ns for word, _ in words]
    if any(word.end_ns < word.start_ns for word, _ in words):
        raise Refused(400, "A word ends before it starts.")
    if any(
        abs(ns - sent_ns) > AHEAD_NS for word, _ in words for ns in (word.start_ns, word.end_ns)
    ):
        raise Refused(400, "A word is more than a minute from the time at which it was sent.")
    until_ns = max(ends, default=0) if said.until_us is None else said.until_us * US
    return Words(sent_ns, min(until_ns, sent_ns + AHEAD_NS), words)


def _word(said: SaidWord) -> Word:
    text = "".join(letter for letter in " ".join(said.text.split()) if letter.isprintable())
    return Word(text, said.start_us * US, said.end_us * US, said.confidence)


def _decoded(text: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise Refused(400, f"A text message cannot be read: {error}.") from None
