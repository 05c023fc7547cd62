"""Windows to clips, and predictions to scores.

What enters: a `Window`, or a prediction. What leaves: a `Clip`, or a `Score`. A window that cannot
be decoded, or whose sizes are out of bounds, raises UnreadableRecord.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semi_iin.clips import Clip
from semi_iin.encoders.protocol import spread
from semi_iin.faces import decode_jpeg
from semi_iin.predict import Prediction
from streamer import audio
from streamer.config import Config
from streamer.errors import UnreadableRecord
from streamer.kafka.messages import Received
from streamer.records import (
    MAX_TEXT,
    NS_PER_MS,
    NS_PER_S,
    SAMPLE_RATE_HZ,
    FaceCrop,
    Gate,
    Modality,
    Presence,
    Score,
    Spoken,
    Window,
    wall_clock,
)
from streamer.spoken import speech_of

PIXELS_PER_MESSAGE_BYTE = 16
"""Pixels that all crops of a window may have, per byte of Kafka's message limit. A crop has about
three pixels per byte; one with many times more was made to exhaust memory."""
ENOUGH_FACES = 0.75
"""The share of the crops that are read which a window must have at the times that all share."""
AUDIO_TOLERANCE_S = 0.1
"""How much longer or shorter than its window the audio may be."""


def to_clip(
    window: Window,
    config: Config,
    modalities: Collection[Modality],
    most_faces: int | None = None,
) -> Clip | None:
    """Decode the modalities in use; None when the window gives no evidence.

    Silence, wordless time and faceless time are left out (`Window.presence`), and so is every
    modality that `modalities` does not name: it is not even decoded. Nor are more than `most_faces`
    crops (see `faces_to_read`). Thread-safe.

    Raises:
        UnreadableRecord: the window contradicts itself, exceeds a limit of `inference`, or its
            audio or a frame cannot be decoded.
    """
    _check_sizes(window, config)
    presence = window.presence
    samples = faces = text = None
    if "audio" in modalities and presence.audio > 0 and window.audio is not None:
        samples = _decode_audio(window)
    if "text" in modalities and presence.text > 0:
        text = window.text.strip() or None
    if "vision" in modalities and presence.vision > 0 and window.faces:
        faces = _decode_faces(window, config, most_faces)
    if samples is None and text is None and faces is None:
        return None
    context = window.context if "text" in modalities else ""
    return Clip(audio=samples, text=text, context=context or None, faces=faces)


def _check_sizes(window: Window, config: Config) -> None:
    limits = config.inference
    length_s = (window.end_ns - window.start_ns) / NS_PER_S
    text_characters = max(len(window.text), len(window.context))
    if length_s <= 0:
        raise UnreadableRecord("the window ends before it starts")
    if length_s > limits.max_window_s:
        raise UnreadableRecord(
            f"the window of {length_s:g} s exceeds inference.max_window_s = {limits.max_window_s:g}"
        )
    if window.sample_rate_hz != SAMPLE_RATE_HZ:
        raise UnreadableRecord(f"the audio is at {window.sample_rate_hz} Hz, not {SAMPLE_RATE_HZ}")
    if len(window.faces) > limits.max_faces:
        raise UnreadableRecord(
            f"{len(window.faces)} face crops exceed inference.max_faces = {limits.max_faces}"
        )
    if text_characters > MAX_TEXT:
        raise UnreadableRecord(f"{text_characters} characters of text exceed {MAX_TEXT}")


def _decode_audio(window: Window) -> NDArray[np.float32]:
    assert window.audio is not None
    length_s = (window.end_ns - window.start_ns) / NS_PER_S
    longest = round((length_s + AUDIO_TOLERANCE_S) * SAMPLE_RATE_HZ)
    samples = audio.decode(window.audio, window.audio_codec, max_samples=longest)
    if abs(len(samples) / SAMPLE_RATE_HZ - length_s) > AUDIO_TOLERANCE_S:
        raise UnreadableRecord(
            f"{len(samples) / SAMPLE_RATE_HZ:g} s of audio in a window of {length_s:g} s"
        )
    return samples


def _decode_faces(
    window: Window, config: Config, most_faces: int | None
) -> list[NDArray[np.uint8]]:
    """Return RGB crops; all sizes are read from the headers before the first crop is decoded."""
    side_px = config.inference.max_face_px
    sizes = [_jpeg_size(face.jpeg) for face in window.faces]
    for width, height in sizes:
        if max(width, height) > side_px:
            raise UnreadableRecord(
                f"a face crop of {width}x{height} exceeds inference.max_face_px = {side_px}"
            )
    pixels = sum(width * height for width, height in sizes)
    limit = PIXELS_PER_MESSAGE_BYTE * config.kafka.max_message_bytes
    if pixels > limit:
        raise UnreadableRecord(f"the face crops have {pixels} pixels together, more than {limit}")
    return [_decode_jpeg(face.jpeg) for face in faces_to_read(window, most_faces or len(sizes))]


def faces_to_read(window: Window, limit: int) -> Sequence[FaceCrop]:
    """Return at most `limit` crops of a window, evenly spread over it.

    Windows of one length read the same crops where they overlap, so that an encoder that keeps what
    it made need not read them again: the first crop of each `limit`-th of a window's length,
    counted from the session's start. Where faces are missing from too many of those, the crops are
    spread over those that there are.
    """
    if len(window.faces) <= limit:
        return window.faces
    part_ns = -(-(window.end_ns - window.start_ns) // limit)
    first: dict[int, FaceCrop] = {}
    for face in window.faces:
        first.setdefault(face.event_time_ns // part_ns, face)
    whole = [face for part, face in first.items() if part * part_ns >= window.start_ns]
    return whole if len(whole) >= ENOUGH_FACES * limit else spread(window.faces, limit)


def _decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    image = decode_jpeg(data)
    if image is None:
        raise UnreadableRecord("a face crop is not a readable JPEG")
    return image


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from a JPEG's frame header (ITU-T T.81, B.2.2), nothing decoded.

    Raises:
        UnreadableRecord: not a JPEG, or cut off.
    """
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        raise UnreadableRecord("a face crop is not a whole JPEG")
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in _FRAME_MARKERS:
            height = int.from_bytes(data[at + 5 : at + 7])
            width = int.from_bytes(data[at + 7 : at + 9])
            if not width or not height:
                raise UnreadableRecord("a face crop has no size")
            return width, height
        at += 2 + length
    raise UnreadableRecord("a face crop is a JPEG without a frame")


_FRAME_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC),
                            *range(0xCD, 0xD0)})  # fmt: skip
"""SOF0 to SOF15 without DHT, JPG and DAC, whose codes are between them."""


def to_score(
    window: Window,
    prediction: Prediction | None,
    *,
    model: str,
    modalities: Sequence[Modality],
    words: bool,
    latency_ms: Mapping[str, float],
) -> Score:
    """The record for one window; `prediction` is None when there was no evidence to score.

    Numbers are rounded to six places, since the rest is float32 noise, and times outwards, so that
    no window is empty. A modality that `modalities` does not name appears neither as presence nor
    as text. Without `words` the score has no text and nothing spoken, as in a session that
    publishes no single person.
    """
    presence = {name: getattr(window.presence, name) for name in modalities}
    fields = _fields_of(prediction)
    return Score(
        session_id=window.session_id,
        participant_id=window.participant_id,
        window_id=window.window_id,
        window_index=window.window_index,
        revision=window.revision,
        session_start=wall_clock(window.session_start_unix_ns, 0),
        start_ms=window.start_ns // NS_PER_MS,
        end_ms=-(-window.end_ns // NS_PER_MS),
        valence=fields.valence,
        class_probabilities=fields.class_probabilities,
        gate=fields.gate,
        presence=Presence(**presence),
        evidence=tuple(name for name in modalities if name in fields.modalities),
        text=window.text[:MAX_TEXT] if words and "text" in modalities else "",
        skipped=window.skipped,
        session_participants=window.session_participants,
        identified_by=window.identified_by,
        identity_confidence=window.identity_confidence,
        final=window.final,
        latency_ms=dict(latency_ms),
        model=model,
        spoken=_spoken(window.spoken, modalities) if words else None,
    )


def _spoken(spoken: Spoken | None, modalities: Collection[Modality]) -> Spoken | None:
    """Return what a session with `modalities` may tell of it; its words need `text`."""
    if spoken is None or not {"audio", "text"}.intersection(modalities):
        return None
    words = spoken.words if "text" in modalities else ()
    return Spoken(spoken.speech if "audio" in modalities else speech_of(words), words)


class _ScoreFields(NamedTuple):
    """A prediction in the record's types; all empty without evidence."""

    valence: float | None = None
    class_probabilities: tuple[float, float, float, float, float, float, float] | None = None
    gate: Gate | None = None
    modalities: tuple[str, ...] = ()


def _fields_of(prediction: Prediction | None) -> _ScoreFields:
    if prediction is None or prediction.valence is None:
        return _ScoreFields()
    probabilities = prediction.class_probabilities
    gates = prediction.valence_gate, prediction.class_gate
    return _ScoreFields(
        valence=_within(prediction.valence, -3.0, 3.0),
        class_probabilities=None if probabilities is None else _seven(probabilities),
        gate=None
        if gates[0] is None or gates[1] is None
        else Gate(val=_within(gates[0], 0.0, 1.0), cls=_within(gates[1], 0.0, 1.0)),
        modalities=prediction.modalities,
    )


def _seven(
    probabilities: Sequence[float],
) -> tuple[float, float, float, float, float, float, float]:
    a, b, c, d, e, f, g = (_within(value, 0.0, 1.0) for value in probabilities)
    return a, b, c, d, e, f, g


def _within(value: float, low: float, high: float) -> float:
    return round(min(max(float(value), low), high), 6)


def stage_latency_ms(received: Received[Window], taken_unix_ms: float) -> dict[str, float]:
    """Return `capture` from its header, if any, and `queue` by the two machines' clocks."""
    latency_ms = {}
    with suppress(KeyError, ValueError):
        capture_ms = float(received.headers["capture_latency_ms"])
        if math.isfinite(capture_ms):
            latency_ms["capture"] = round(max(0.0, capture_ms), 3)
    latency_ms["queue"] = round(max(0.0, taken_unix_ms - received.timestamp_ms), 3)
    return latency_ms
