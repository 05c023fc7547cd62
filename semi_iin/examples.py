"""The examples of a run: samples are encoded once, and composed where their modalities are apart.

What enters: the parts of a run and its encoders. What leaves: what trains, selects and measures
Semi-IIN. Features are cached in the run's directory.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from semi_iin.cache import extract
from semi_iin.composing import Composer, face_pool, voice_pool
from semi_iin.data.samples import Sample
from semi_iin.features import Encoders
from semi_iin.labels import valence_class
from semi_iin.loop import Progress, Report
from semi_iin.modalities import MODALITIES, Modality
from semi_iin.parts import Part
from semi_iin.perceived import heard, seen
from semi_iin.pretraining.text import STRIPPED, bare
from semi_iin.settings import RunConfig
from semi_iin.task import Example


def training_examples(
    config: RunConfig,
    parts: Sequence[Part],
    encoders: Encoders,
    run: Path,
    report: Report = lambda progress: None,
) -> tuple[list[Example], list[Example], Composer | None]:
    """Encode the samples that train and that select Semi-IIN.

    Returns:
        Training examples with their repetitions, selection examples, and a composer; None where
        the data have no voices or faces without words.
    """
    selected = [(part.name, part.selection) for part in parts]
    selection = measured_examples(selected, encoders, run, config.seed, report)
    has_texts = _has_texts(part.fusion for part in parts)
    examples: list[Example] = []
    for part in parts:
        labelled = _labelled(part.fusion, has_texts)
        readings = _readings(labelled, encoders, run, config.seed, part.name, report)
        examples += [
            _example(sample, rows, part.name)
            for sample, rows in zip(labelled, readings, strict=True)
        ] * part.repeat
    voices, faces = _wordless([sample for part in parts for sample in part.fusion])
    if not has_texts or (not voices and not faces):
        return examples, selection, None
    composer = Composer(
        voice_pool(voices, encoders, config.seed, config.objective.head_share),
        face_pool(faces, encoders, config.seed),
    )
    return examples, selection, composer


def measured_examples(
    samples_of_parts: Sequence[tuple[str, Sequence[Sample]]],
    encoders: Encoders,
    run: Path,
    seed: int,
    report: Report = lambda progress: None,
) -> list[Example]:
    """Encode samples that do not train, by the name of their part.

    Where there are voices or faces without words, every labelled example is returned a second
    time, composed with one of each, in the part "composed".
    """
    has_texts = _has_texts(samples for _, samples in samples_of_parts)
    plain = []
    for part, samples in samples_of_parts:
        labelled = _labelled(samples, has_texts)
        rows = encode(labelled, encoders, run, part, report)
        plain += [_example(sample, [row], part) for sample, row in zip(labelled, rows, strict=True)]
    voices, faces = _wordless([sample for _, samples in samples_of_parts for sample in samples])
    composer = Composer(voice_pool(voices, encoders, None), face_pool(faces, encoders, None))
    if not has_texts or not composer.pools:
        return plain
    random = np.random.default_rng((seed, 1))
    names = [name for name in MODALITIES if name == "text" or name in composer.pools]
    composed = [
        replace(composer.agreeing(example, names, random), part="composed") for example in plain
    ]
    return [*plain, *composed]


def ready_example(sample: Sample, features: Mapping[Modality, Any], part: str = "") -> Example:
    """Return a labelled sample with its features as the model takes it."""
    return _example(sample, [features], part)


def encode(
    samples: Sequence[Sample], encoders: Encoders, run: Path, part: str, report: Report
) -> list[dict[Modality, Tensor]]:
    """Return features from the run's cache; empty ones for samples that have ready features."""
    if not samples or samples[0].features or not encoders.modalities:
        return [{} for _ in samples]
    return extract(
        samples,
        encoders,
        run / "features",
        report=lambda done, total: report(Progress(f"features {part}", done, total, math.nan)),
    )


def _has_texts(parts: Iterable[Sequence[Sample]]) -> bool:
    """Return whether any sample has words, with which voices and faces are composed."""
    return any(sample.text is not None for samples in parts for sample in samples)


def _labelled(samples: Sequence[Sample], has_texts: bool) -> list[Sample]:
    """Return the samples with a valence; without the voices and faces that are composed.

    In a run without texts, voices and faces have the valence that people perceive.
    """
    if has_texts:
        return [sample for sample in samples if sample.valence is not None and not _alone(sample)]
    perceived = [
        replace(sample, label=heard(sample) if sample.audio is not None else seen(sample))
        if _alone(sample)
        else sample
        for sample in samples
    ]
    return [sample for sample in perceived if sample.valence is not None]


def _alone(sample: Sample) -> bool:
    """Return whether a sample is a voice or a face with an emotion, of which nobody has words."""
    return sample.text is None and not sample.features and sample.emotion is not None


def _wordless(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return the voices, and the faces, that are composed with texts."""
    alone = [sample for sample in samples if _alone(sample)]
    voices = [sample for sample in alone if sample.audio is not None]
    return voices, [sample for sample in alone if sample.face is not None]


def _example(sample: Sample, readings: Sequence[Mapping[Modality, Any]], part: str) -> Example:
    valence = float(sample.label or 0.0)
    features = dict(sample.features) or readings[0]
    return Example(features, valence, int(valence_class(valence)), part, tuple(readings[1:]))


def _readings(
    samples: Sequence[Sample],
    encoders: Encoders,
    run: Path,
    seed: int,
    part: str,
    report: Report,
) -> list[list[dict[Modality, Tensor]]]:
    """Return features of each training sample: with its context, and without where it has one.

    A share of either is of bare words, as recognised speech is.
    """
    random = np.random.default_rng((seed, 2))

    def maybe_bare(sample: Sample) -> Sample:
        if sample.text is None or random.random() >= STRIPPED:
            return sample
        context = bare(sample.context) if sample.context else None
        return replace(sample, text=bare(sample.text), context=context)

    full = encode([maybe_bare(sample) for sample in samples], encoders, run, part, report)
    readings = [[row] for row in full]
    encoder = encoders.encoders.get("text")
    if encoder is None or not encoder.spec["context_tokens"]:
        return readings
    with_context = [index for index, sample in enumerate(samples) if sample.context]
    without = encode(
        [maybe_bare(replace(samples[index], context=None)) for index in with_context],
        encoders,
        run,
        part,
        report,
    )
    for index, row in zip(with_context, without, strict=True):
        readings[index].append(row)
    return readings
