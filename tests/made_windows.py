"""Windows of one second with audio, words and a face, for the tests of inference."""

from __future__ import annotations

import cv2
import msgspec
import numpy as np

from streamer.records import (
    NS_PER_S,
    SAMPLE_RATE_HZ,
    FaceCrop,
    Presence,
    Window,
    Word,
)

TONE = (np.sin(np.arange(SAMPLE_RATE_HZ) / 20) * 0.3).astype(np.float32)
START_UNIX_NS = 1_700_000_000 * NS_PER_S


def jpeg(width: int = 48, height: int = 48) -> bytes:
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", ramp)[1])


def pcm16(samples: np.ndarray) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def window(index: int = 0, text: str = "good day", participant: str = "ana", **changes) -> Window:
    """One second of everything; `changes` replaces fields."""
    start_ns = index * NS_PER_S
    whole = Window(
        session_id="s",
        participant_id=participant,
        window_index=index,
        session_start_unix_ns=START_UNIX_NS,
        start_ns=start_ns,
        end_ns=start_ns + NS_PER_S,
        audio=pcm16(TONE),
        words=tuple(Word(word, start_ns, start_ns + 1) for word in text.split()),
        faces=(FaceCrop(start_ns, jpeg()),),
        presence=Presence(audio=0.8, text=1.0, vision=0.6),
    )
    return msgspec.structs.replace(whole, **changes)
