"""Clips composed of words, a voice and a face of the same sign, from separate data sets.

What enters: labelled texts, and voices and faces with emotions. What leaves: features of clips that
have several modalities. Results on such clips are always reported as composed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.encoders.vision import FaceEncoder
from semi_iin.features import Encoders
from semi_iin.labels import emotion_sign, valence_sign
from semi_iin.modalities import Modality
from semi_iin.pretraining.face import altered_crops, crop_pixels
from semi_iin.pretraining.recordings import altered_audio
from semi_iin.pretraining.voice import read_voice
from semi_iin.task import Example

FACE_VARIANTS = 4
POOL_LIMIT = 6000  # faces or voices that are composed with texts


class Composer:
    """Gives labelled texts a voice and a face of the same sign, from separate data sets.

    No data set at hand labels words, voice and face of one person together, so they are paired by
    the sign of their valence: happy with positive; sad, angry, fearful and disgusted with
    negative; neutral and calm with the valences between.

    Beside words, a voice or a face is now and then neutral, or of any sign: people say clear
    things flatly, and words must then prevail. Without words, the label is still the text's, so
    that a voice or a face alone comes to mean the average text of its sign.
    """

    SHARES: Mapping[tuple[Modality, ...], float] = {
        ("text",): 0.30,
        ("audio", "text"): 0.14,
        ("text", "vision"): 0.14,
        ("audio", "text", "vision"): 0.22,
        ("audio",): 0.07,
        ("vision",): 0.07,
        ("audio", "vision"): 0.06,
    }
    FLAT = 0.25  # of voices and faces beside words are neutral
    STRAY = 0.08  # of voices and faces beside words are of any sign
    MAX_FACES = 8

    def __init__(
        self,
        voices: Mapping[int, Sequence[Tensor]],
        faces: Mapping[int, Sequence[Tensor]],
    ) -> None:
        """Take features (L, D) of voices and of single faces, by the sign of their valence."""
        pools: dict[Modality, Mapping[int, Sequence[Tensor]]] = {"audio": voices, "vision": faces}
        self.pools = {name: pool for name, pool in pools.items() if all(pool.values()) and pool}
        self.choices = [
            names
            for names in self.SHARES
            if all(name == "text" or name in self.pools for name in names)
        ]
        weights = np.array([self.SHARES[names] for names in self.choices])
        self.weights = weights / weights.sum()

    def __call__(self, example: Example, random: Generator) -> dict[Modality, Tensor | Path]:
        """Return features of an example for one training step, with modalities drawn by chance.

        An example without words, such as a voice with a valence of its own, is returned as it is.
        """
        if "text" not in example.features:
            return dict(example.features)
        names = self.choices[int(random.choice(len(self.choices), p=self.weights))]
        return self.compose(example, names, random, "text" in names)

    def compose(
        self,
        example: Example,
        names: Sequence[Modality],
        random: Generator,
        varied: bool = False,
    ) -> dict[Modality, Tensor | Path]:
        """Return the example's words with a voice and a face, as far as they are in `names`.

        Args:
            example: labelled, with text features.
            names: the modalities of the result.
            random: chooses the voice and the face.
            varied: let some voices and faces be neutral or of another sign.
        """
        features: dict[Modality, Tensor | Path] = {}
        for name in names:
            if name == "text":
                features[name] = example.features[name]
                continue
            pool = self.pools[name][self._sign(example, random, varied)]
            chosen = pool[int(random.integers(len(pool)))]
            if name == "vision":
                count = int(random.integers(1, self.MAX_FACES + 1))
                chosen = chosen[random.integers(0, len(chosen), count)]
            features[name] = chosen
        return features

    def _sign(self, example: Example, random: Generator, varied: bool) -> int:
        """Return the sign of the voice or face to choose."""
        chance = random.random() if varied else 1.0
        if chance < self.STRAY:
            return int(random.integers(-1, 2))
        return 0 if chance < self.STRAY + self.FLAT else valence_sign(example.valence or 0.0)


def voice_pool(
    samples: Sequence[Sample], encoders: Encoders, seed: int | None
) -> dict[int, list[Tensor]]:
    """Return features of recordings by the sign of their valence, else of their emotion.

    Args:
        samples: recordings with a valence or an emotion.
        encoders: without an audio encoder the pool is empty.
        seed: alters each recording once; None = as they are.
    """
    random = None if seed is None else np.random.default_rng((seed, 3))
    pool: dict[int, list[Tensor]] = {-1: [], 0: [], 1: []}
    for sample in samples[:POOL_LIMIT]:
        sign = _voice_sign(sample)
        if sign is None or "audio" not in encoders.encoders:
            continue
        audio = read_voice(sample)
        if random is not None:
            audio = altered_audio(audio, random)
        pool[sign] += [row["audio"].cpu() for row in encoders.rows([Clip(audio=audio)])]
    return pool


def altered_voices(
    samples: Sequence[Sample], encoders: Encoders, seed: int
) -> list[list[dict[Modality, Tensor]]]:
    """Return for each sample the features of its recording, altered once.

    The list is empty for a sample that is more than a voice, and without an audio encoder.
    """
    random = np.random.default_rng((seed, 5))
    readings: list[list[dict[Modality, Tensor]]] = []
    for sample in samples:
        is_voice = sample.audio is not None and sample.text is None and sample.video is None
        if not is_voice or "audio" not in encoders.encoders:
            readings.append([])
            continue
        (row,) = encoders.rows([Clip(audio=altered_audio(read_voice(sample), random))])
        readings.append([{"audio": row["audio"].cpu()}])
    return readings


def face_pool(
    samples: Sequence[Sample], encoders: Encoders, seed: int | None
) -> dict[int, list[Tensor]]:
    """Return features (variants, D) of crops by the sign of their emotion.

    Args:
        samples: single crops with an emotion.
        encoders: without the face encoder `face_cnn` the pool is empty.
        seed: alters each crop several times; None = as they are.
    """
    random = None if seed is None else np.random.default_rng((seed, 4))
    pool: dict[int, list[Tensor]] = {-1: [], 0: [], 1: []}
    encoder = encoders.encoders.get("vision")
    if not isinstance(encoder, FaceEncoder) or not samples:
        return pool
    signed = [sample for sample in samples if emotion_sign(sample.emotion or "") is not None]
    signed = signed[:: max(1, len(signed) // POOL_LIMIT)]
    variants = []
    with torch.inference_mode():
        for _ in range(1 if random is None else FACE_VARIANTS):
            crops = crop_pixels(signed)
            if random is not None:
                crops = altered_crops(crops, random)
            rows = [encoder(batch.to(encoder.device)).cpu() for batch in torch.split(crops, 256)]
            variants.append(torch.cat(rows))
    stacked = torch.stack(variants, dim=1)
    for sample, features in zip(signed, stacked, strict=True):
        pool[emotion_sign(sample.emotion or "") or 0].append(features)
    return pool


def _voice_sign(sample: Sample) -> int | None:
    """Return the sign of a recording's valence, or of its emotion where it has no valence."""
    if sample.valence is not None:
        return valence_sign(sample.valence)
    return emotion_sign(sample.emotion or "")
