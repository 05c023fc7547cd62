"""PocketSphinx as an Engine: the embedded recogniser, English, its model inside the package.

One pass of the tree search over the utterance as it comes, then the best path through its lattice
when it ends. The lattice gives each word's posterior; a word that is settled before has none yet.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError
from streamer.records import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ
from streamer.speech.listening import Heard

FRAME_NS = 10 * NS_PER_MS
EARLY_CONFIDENCE = 0.57
"""What words of this model are on average sure of at the end (measured on acted sentences)."""
OPENING_BYTES = 2 * SAMPLE_RATE_HZ
"""The first second of speech, on which the channel is measured."""
LONGEST_NS = 60 * NS_PER_S
_VARIANT = re.compile(r"\(\d+\)$")


class PocketSphinx:
    """An Engine over one decoder of its own, about 100 MB.

    Settings, measured on 20 acted sentences and 37 s of talking heads (word error rate, share of
    one core): the defaults 0.43 and 0.4; `fwdflat=False, maxhmmpf=3000` 0.38 and 0.24, with the
    channel measured first 0.35; `maxhmmpf=2000` 0.36 and 0.17. `topn=2`, `ds=2` and narrower beams
    save a quarter of the time at most, at 0.38 to 0.44. The second pass (`fwdflat`) reaches 0.32,
    but only after the utterance, for a quarter more time.
    """

    longest_ns = LONGEST_NS

    def __init__(self) -> None:
        """Load the model; raises ModelError when the package is not there or damaged."""
        try:
            import pocketsphinx

            self._decoder = pocketsphinx.Decoder(
                samprate=SAMPLE_RATE_HZ, loglevel="FATAL", fwdflat=False, maxhmmpf=2000
            )
            self._opening: bytearray | None = bytearray()
        except (ImportError, RuntimeError, ValueError) as error:
            raise ModelError(
                f"PocketSphinx cannot be loaded ({error}); install the package pocketsphinx again."
            ) from None

    def begin(self) -> None:
        """A new utterance starts; the channel's normalisation is kept from the last one."""
        if self._opening is None:
            self._decoder.start_utt()

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Search on through (n,) samples in [-1, 1]."""
        pcm = np.clip(np.rint(samples * 32767.0), -32768, 32767).astype("<i2").tobytes()
        if self._opening is None:
            self._decoder.process_raw(pcm, no_search=False, full_utt=False)
            return
        self._opening += pcm
        if len(self._opening) >= OPENING_BYTES:
            self._know_channel()

    def _know_channel(self) -> None:
        """Measure the channel on the first sound, then hear that sound anew.

        The decoder takes off the mean cepstrum of what it heard in the utterances before. Without
        one it starts from a guess, and mishears the first words of whoever is not so loud.
        """
        opening, self._opening = bytes(self._opening or b""), None
        self._decoder.start_utt()
        self._decoder.process_raw(opening, no_search=True, full_utt=False)
        self._decoder.end_utt()
        self._decoder.start_utt()
        self._decoder.process_raw(opening, no_search=False, full_utt=False)

    def heard(self) -> list[Heard]:
        """The best path so far."""
        if self._opening is not None:
            return []
        return [self._stretch(item, EARLY_CONFIDENCE) for item in self._decoder.seg() or ()]

    def end(self) -> list[Heard]:
        """The best path through the utterance's lattice, with posteriors."""
        if self._opening is not None:
            self._know_channel()
        self._decoder.end_utt()
        return [self._stretch(item, item.prob) for item in self._decoder.seg() or ()]

    @staticmethod
    def _stretch(item: Any, confidence: float) -> Heard:
        word: str = item.word
        filler = word.startswith(("<", "[", "++"))
        text = "" if filler else _VARIANT.sub("", word)
        return Heard(text, item.start_frame * FRAME_NS, (item.end_frame + 1) * FRAME_NS, confidence)
