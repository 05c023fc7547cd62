"""The clip: audio, words and face crops of one moment, in memory.

A clip is the input of every encoder and of the predictor. It holds an utterance of a data set, or
one window of a stream. It depends on no data sets, media files, encoders or models.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semi_iin.errors import SemiIINError
from semi_iin.modalities import Modality

SAMPLE_RATE_HZ = 16_000
DIGEST_BYTES = 16
SILENCE_RMS = 1e-4  # of full scale: quieter audio carries no evidence


@dataclass(frozen=True)
class Clip:
    """One utterance of a data set, or one window of a stream.

    Attributes:
        audio: (n,) float32 mono at 16 kHz in [-1, 1]; None, empty or silent = absent.
        text: the words; None or blank = absent.
        context: earlier words of the same speaker, oldest first. They inform the reading of
            `text` and are no evidence by themselves.
        faces: (H, W, 3) uint8 RGB crops of one face in order of time, any size; None or empty =
            absent.
    """

    audio: NDArray[np.float32] | None = None
    text: str | None = None
    context: str | None = None
    faces: Sequence[NDArray[np.uint8]] | None = None

    def has(self, modality: Modality) -> bool:
        """Return whether the clip carries evidence of a modality."""
        match modality:
            case "audio":
                return self.audio is not None and _rms(self.audio) > SILENCE_RMS
            case "text":
                return bool(self.text and self.text.strip())
            case "vision":
                return bool(self.faces)

    def digest(self, modality: Modality) -> bytes:
        """Return a digest of what the clip holds of a modality; the context is part of the text."""
        digest = hashlib.blake2b(modality.encode(), digest_size=DIGEST_BYTES)
        match modality:
            case "audio" if self.audio is not None:
                digest.update(np.ascontiguousarray(self.audio).data)
            case "text":
                digest.update(f"{self.text}\0{self.context}".encode(errors="surrogatepass"))
            case "vision":
                for crop in self.faces or []:
                    digest.update(repr(crop.shape).encode())
                    digest.update(np.ascontiguousarray(crop).data)
        return digest.digest()

    def check(self) -> None:
        """Refuse arrays that no encoder can read.

        Raises:
            SemiIINError: for a wrong dtype or shape, or numbers that are not finite.
        """
        if self.audio is not None:
            if self.audio.ndim != 1 or self.audio.dtype != np.float32:
                raise SemiIINError(
                    f"a clip's audio is {self.audio.dtype} of shape {self.audio.shape}, but it "
                    "must be mono float32 samples"
                )
            if not np.isfinite(self.audio).all():
                raise SemiIINError("a clip's audio contains numbers that are not finite")
        for crop in self.faces or []:
            if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or not crop.size:
                raise SemiIINError(
                    f"a face crop is {crop.dtype} of shape {crop.shape}, but it must be uint8 RGB "
                    "(height, width, 3)"
                )

    def lengths(self) -> tuple[int, int, int]:
        """Return a sort key that puts clips of similar padding together.

        Returns:
            The number of words with context, of audio samples, and of face crops.
        """
        return (
            len((self.text or "").split()) + len((self.context or "").split()),
            0 if self.audio is None else len(self.audio),
            len(self.faces or []),
        )


def _rms(audio: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if len(audio) else 0.0
