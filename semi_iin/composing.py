"""Clips composed of words, a voice and a face of like valence, from sets of their own.

What enters: labelled texts, and voices and faces with emotions. What leaves: features of clips that
hold several modalities. Whatever is measured on them says that they are composed.
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
from semi_iin.model import Modality
from semi_iin.pretraining import altered_crops, altered_sound, pixels, voice
from semi_iin.train import Example

VARIANTS_OF_FACE = 4
MOST_IN_POOL = 6000  # faces or voices that are composed with texts


class Composer:
    """Gives labelled texts a voice and a face of like valence, from sets of their own.

    No set at hand labels words, voice and face of one person together, so they are paired by the
    sign of their valence: happy with positive, sad, angry, fearful and disgusted with negative,
    neutral and calm with what is between. What is made is named composed wherever it is measured.

    A voice or a face is now and then neutral, or of any sign, beside words: people say clear
    things flatly, and words must then prevail. Without words, the label is still the text's, so
    that a voice or a face alone comes to mean what texts of its sign are on average.
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
    MOST_FACES = 8

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
        """The features of an example of the moment."""
        names = self.choices[int(random.choice(len(self.choices), p=self.weights))]
        return self.compose(example, names, random, "text" in names)

    def compose(
        self,
        example: Example,
        names: Sequence[Modality],
        random: Generator,
        varied: bool = False,
    ) -> dict[Modality, Tensor | Path]:
        """The example's words with a voice and a face of like sign, of which `names` are kept."""
        sign = valence_sign(example.valence or 0.0)
        features: dict[Modality, Tensor | Path] = {}
        for name in names:
            if name == "text":
                features[name] = example.features[name]
                continue
            chance = random.random() if varied else 1.0
            if chance < self.STRAY:
                shown = int(random.integers(-1, 2))
            else:
                shown = 0 if chance < self.STRAY + self.FLAT else sign
            pool = self.pools[name][shown]
            chosen = pool[int(random.integers(len(pool)))]
            if name == "vision":
                count = int(random.integers(1, self.MOST_FACES + 1))
                chosen = chosen[random.integers(0, len(chosen), count)]
            features[name] = chosen
        return features


def voice_pool(
    samples: Sequence[Sample], encoders: Encoders, seed: int | None
) -> dict[int, list[Tensor]]:
    """Features of recordings by the sign of their emotion; altered once each, with a seed."""
    random = None if seed is None else np.random.default_rng((seed, 3))
    pool: dict[int, list[Tensor]] = {-1: [], 0: [], 1: []}
    for sample in samples[:MOST_IN_POOL]:
        sign = emotion_sign(sample.emotion or "")
        if sign is None or "audio" not in encoders.encoders:
            continue
        sound = voice(sample)
        if random is not None:
            sound = altered_sound(sound, random)
        pool[sign] += [row["audio"].cpu() for row in encoders.rows([Clip(audio=sound)])]
    return pool


def face_pool(
    samples: Sequence[Sample], encoders: Encoders, seed: int | None
) -> dict[int, list[Tensor]]:
    """Features (variants, D) of crops by the sign of their emotion; altered, with a seed."""
    random = None if seed is None else np.random.default_rng((seed, 4))
    pool: dict[int, list[Tensor]] = {-1: [], 0: [], 1: []}
    encoder = encoders.encoders.get("vision")
    if not isinstance(encoder, FaceEncoder) or not samples:
        return pool
    signed = [sample for sample in samples if emotion_sign(sample.emotion or "") is not None]
    signed = signed[:: max(1, len(signed) // MOST_IN_POOL)]
    device = next(encoder.parameters()).device
    variants = []
    with torch.inference_mode():
        for _ in range(1 if random is None else VARIANTS_OF_FACE):
            crops = pixels(signed)
            if random is not None:
                crops = altered_crops(crops, random)
            rows = [encoder(some.to(device)).cpu() for some in torch.split(crops, 256)]
            variants.append(torch.cat(rows))
    stacked = torch.stack(variants, dim=1)
    for sample, features in zip(signed, stacked, strict=True):
        pool[emotion_sign(sample.emotion or "") or 0].append(features)
    return pool
