"""Windows of one second with audio, words and a face, for the tests of inference."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, FaceCrop, Presence, Window
from tests import made_records

TONE = (np.sin(np.arange(SAMPLE_RATE_HZ) / 20) * 0.3).astype(np.float32)


def jpeg(width: int = 48, height: int = 48) -> bytes:
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", ramp)[1])


def pcm16(samples: NDArray[np.floating]) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def window(index: int = 0, text: str = "good day", **changes: Any) -> Window:
    """One second of everything that the model can decode; `changes` replaces fields."""
    fields: dict[str, Any] = {
        "audio": pcm16(TONE),
        "faces": (FaceCrop(index * NS_PER_S, jpeg()),),
        "presence": Presence(audio=0.8, text=1.0, vision=0.6),
    }
    return made_records.window(index, text, **fields | changes)
