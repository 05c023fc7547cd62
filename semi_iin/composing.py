"""Clips composed of words, a voice and a face from separate data sets.

What enters: labelled texts, and voices and faces whose valence is known. What leaves: examples that
have several modalities. Results on such clips are always reported as composed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.encoders.vision import FaceEncoder
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from semi_iin.labels import valence_class, valence_sign
from semi_iin.modalities import Modality
from semi_iin.perceived import conveyed, heard, seen
from semi_iin.pretraining.face import altered_crops, crop_pixels
from semi_iin.pretraining.recordings import altered_audio
from semi_iin.pretraining.voice import read_voice
from semi_iin.task import Example, wordless_valence

FACE_VARIANTS = 4
POOL_LIMIT = 6000  # faces or voices that are composed with texts


@dataclass(frozen=True)
class Expression:
    """A voice or a face that can be composed.

    Attributes:
        features: (L, D) of a voice, (variants, D) of a single face.
        valence: in [-3, 3], as people perceive it alone, or by which it trains.
    """

    features: Tensor
    valence: float


Pool = Mapping[int, Sequence[Expression]]
"""Expressions by the sign of their valence: -1, 0, 1."""


class Composer:
    """Gives labelled texts a voice and a face, from separate data sets.

    No data set at hand labels words, voice and face of one person together. Beside words, most
    voices and faces have the sign of the text's valence, some are neutral, and some have any sign:
    people say clear things flatly, and words must then prevail. So the label of a clip with words
    is the text's. Without words it is what people perceive: of a voice or a face alone, its own
    valence, and of both the mix that people make of them (`perceived.together`), also where they
    do not agree.
    """

    SHARES: Mapping[tuple[Modality, ...], float] = {  # relative to one another
        ("text",): 0.28,
        ("audio", "text"): 0.13,
        ("text", "vision"): 0.13,
        ("audio", "text", "vision"): 0.20,
        ("audio",): 0.18,
        ("vision",): 0.08,
        ("audio", "vision"): 0.09,
    }
    FLAT = 0.25  # of voices and faces beside words are neutral
    STRAY = 0.12  # of voices and faces beside words are of any sign
    APART = 0.4  # of voices and faces without words do not follow each other
    MAX_FACES = 8

    def __init__(self, voices: Pool, faces: Pool) -> None:
        """Take voices and faces; a kind that lacks a sign is not used."""
        pools: dict[Modality, Pool] = {"audio": voices, "vision": faces}
        self.pools = {name: pool for name, pool in pools.items() if pool and all(pool.values())}
        self.choices = [
            names
            for names in self.SHARES
            if all(name == "text" or name in self.pools for name in names)
        ]
        weights = np.array([self.SHARES[names] for names in self.choices])
        self.weights = weights / weights.sum()

    def __call__(self, example: Example, random: Generator) -> Example:
        """Return an example for one training step: of some modalities, drawn by chance."""
        names = self.choices[int(random.choice(len(self.choices), p=self.weights))]
        if "text" in names:
            own = valence_sign(example.valence or 0.0)
            signs = [self._beside_words(own, random) for _ in names]
            return self._composed(example, names, signs, random)
        first, other = random.integers(-1, 2, size=2)
        signs = [int(first), int(other if random.random() < self.APART else first)]
        wordless = self._composed(replace(example, features={}), names, signs, random)
        valence = wordless_valence(wordless)
        return replace(wordless, valence=valence, sentiment=int(valence_class(valence)))

    def agreeing(self, example: Example, names: Sequence[Modality], random: Generator) -> Example:
        """Return an example with a voice and a face of the same sign as its words.

        Args:
            example: labelled, with text features.
            names: the modalities of the result.
            random: chooses the voice and the face.
        """
        own = valence_sign(example.valence or 0.0)
        return self._composed(example, names, [own] * len(names), random)

    def _composed(
        self, example: Example, names: Sequence[Modality], signs: Sequence[int], random: Generator
    ) -> Example:
        features: dict[Modality, Tensor | Path] = {}
        expressed: dict[Modality, float] = {}
        for name, sign in zip(names, signs, strict=False):
            if name == "text":
                features[name] = example.features[name]
                continue
            pool = self.pools[name][sign]
            expression = pool[int(random.integers(len(pool)))]
            rows = expression.features
            if name == "vision":
                count = int(random.integers(1, self.MAX_FACES + 1))
                rows = rows[random.integers(0, len(rows), count)]
            features[name] = rows
            expressed[name] = expression.valence
        return replace(example, features=features, others=(), expressed=expressed)

    def _beside_words(self, own: int, random: Generator) -> int:
        """Return the sign of a voice or a face beside words of the sign `own`."""
        chance = random.random()
        if chance < self.STRAY:
            return int(random.integers(-1, 2))
        return 0 if chance < self.STRAY + self.FLAT else own


def voice_pool(
    samples: Sequence[Sample], encoders: Encoders, seed: int | None, head_share: float = 0.0
) -> dict[int, list[Expression]]:
    """Return features of recordings by the sign of their valence.

    Args:
        samples: recordings with votes or an emotion; those of unknown valence are left out.
        encoders: without an audio encoder the pool is empty.
        seed: alters each recording once, and takes the valence by which voices train; None = as
            they are, with the valence that people hear.
        head_share: see `Objective.head_share`.

    Raises:
        SemiIINError: for a share above 0 and an audio encoder without `emotion_columns`.
    """
    random = None if seed is None else np.random.default_rng((seed, 3))
    pool: dict[int, list[Expression]] = {-1: [], 0: [], 1: []}
    for sample in samples[:POOL_LIMIT]:
        valence = heard(sample) if random is None else conveyed(sample)
        if valence is None or "audio" not in encoders.encoders:
            continue
        audio = read_voice(sample)
        if random is not None:
            audio = altered_audio(audio, random)
        for row in encoders.rows([Clip(audio=audio)]):
            if "audio" in row:
                pool[valence_sign(valence)].append(Expression(row["audio"].cpu(), valence))
    if not head_share or not any(pool.values()):
        return pool
    return read_by_the_head(pool, encoders.encoders["audio"].columns, head_share)


def read_by_the_head(pool: Pool, columns: int, share: float) -> dict[int, list[Expression]]:
    """Return voices whose valence is to a share what a regression makes of their emotion columns.

    It is a least-squares fit of the valences of the whole pool, in which each sign has the same
    weight, as it has in training. A voice keeps the sign by which it is drawn.

    Args:
        pool: of voices.
        columns: how many of the last features are the emotion head's.
        share: of the regression in the valence, in [0, 1].

    Raises:
        SemiIINError: when the audio encoder has no `emotion_columns`.
    """
    if not columns:
        raise SemiIINError(
            "objective.head_share needs an audio encoder whose spec has emotion_columns = true"
        )
    voices = [voice for kind in pool.values() for voice in kind]
    weight = np.array([len(kind) ** -0.5 for kind in pool.values() for _ in kind])
    means = [voice.features[:, -columns:].double().mean(dim=0).numpy() for voice in voices]
    inputs = np.column_stack([means, np.ones(len(voices))])
    label = np.array([voice.valence for voice in voices])
    weights = np.linalg.lstsq(inputs * weight[:, None], label * weight, rcond=None)[0]
    mixed = iter(np.clip((1 - share) * label + share * (inputs @ weights), -3, 3).tolist())
    return {
        sign: [replace(voice, valence=next(mixed)) for voice in kind] for sign, kind in pool.items()
    }


def face_pool(
    samples: Sequence[Sample], encoders: Encoders, seed: int | None
) -> dict[int, list[Expression]]:
    """Return features (variants, D) of crops by the sign of their valence.

    Args:
        samples: single crops with an emotion; those of unknown valence are left out.
        encoders: without the face encoder `face_cnn` the pool is empty.
        seed: alters each crop several times; None = as they are.
    """
    random = None if seed is None else np.random.default_rng((seed, 4))
    pool: dict[int, list[Expression]] = {-1: [], 0: [], 1: []}
    encoder = encoders.encoders.get("vision")
    if not isinstance(encoder, FaceEncoder) or not samples:
        return pool
    known = [sample for sample in samples if seen(sample) is not None]
    known = known[:: max(1, len(known) // POOL_LIMIT)]
    variants = []
    with torch.inference_mode():
        for _ in range(1 if random is None else FACE_VARIANTS):
            crops = crop_pixels(known)
            if random is not None:
                crops = altered_crops(crops, random)
            batches = torch.split(crops, 256)
            rows = [encoder.features(batch.to(encoder.device)).cpu() for batch in batches]
            variants.append(torch.cat(rows))
    for sample, features in zip(known, torch.stack(variants, dim=1), strict=True):
        valence = seen(sample) or 0.0
        pool[valence_sign(valence)].append(Expression(features, valence))
    return pool
