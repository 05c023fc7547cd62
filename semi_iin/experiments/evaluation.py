"""A checkpoint's metrics on labelled data, by the kind of label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from semi_iin import checkpoint as checkpoints
from semi_iin import evaluate
from semi_iin.calibration import class_probabilities, combination, scaled_valences
from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError
from semi_iin.examples import ready_example
from semi_iin.features import Encoders
from semi_iin.labels import POLARITIES
from semi_iin.modalities import Modality
from semi_iin.model import SemiIIN
from semi_iin.predict import Prediction, Predictor
from semi_iin.task import Example, score

CHUNK = 128  # clips in memory at a time
BATCH = 32  # clips scored together
Advance = Callable[[int, int], None]  # done, of all
Result = TypeVar("Result")


def evaluate_checkpoint(
    checkpoint: str | Path,
    samples: Sequence[Sample],
    *,
    context: bool = True,
    modalities: Sequence[str] | None = None,
    device: str = "auto",
    dtype: str = "float32",
    resamples: int = evaluate.RESAMPLES,
    advance: Advance = lambda done, total: None,
) -> dict[str, Any]:
    """Measure a checkpoint on samples of one data set, by the kind of their labels.

    Args:
        checkpoint: a directory, or "default".
        samples: with a valence (any modality, or ready features) or an emotion (voices or faces).
        context: False withholds the earlier words.
        modalities: the only ones to read; None = all that the checkpoint reads.
        device: as for `Predictor`.
        dtype: as for `Predictor`.
        resamples: of the bootstrap.
        advance: called with the number of samples scored, and of all samples.

    Returns:
        As of `report_samples`.

    Raises:
        SemiIINError: for an unfit checkpoint, data without labels, or media that cannot be read.
    """
    loaded = checkpoints.load(checkpoint)
    if samples and samples[0].features:
        examples = [ready_example(sample, {}) for sample in samples if sample.label is not None]
        return report_examples(
            loaded.build_model(), examples, calibration=loaded.config, resamples=resamples
        )
    predictor = Predictor.from_checkpoint(loaded.path, device, dtype, modalities)
    emotional = _emotional_modality(samples, loaded.config["encoders"])
    predictions: list[Prediction] = []
    emotions: list[str | None] = []
    for first in range(0, len(samples), CHUNK):
        clips = [sample.clip() for sample in samples[first : first + CHUNK]]
        if not context:
            clips = [replace(clip, context=None) for clip in clips]
        predictions += _in_batches(clips, predictor.predict)
        if emotional in predictor.modalities:
            emotions += _in_batches(clips, partial(predictor.emotions, modality=emotional))
        advance(len(predictions), len(samples))
    if not any(prediction.modalities for prediction in predictions):
        raise SemiIINError(
            f"no sample has a modality that the checkpoint reads: {', '.join(predictor.modalities)}"
        )
    return report_samples(samples, predictions, emotions or None, resamples=resamples)


def _in_batches(
    clips: Sequence[Clip], score_batch: Callable[[Sequence[Clip]], Sequence[Result]]
) -> list[Result]:
    """Score clips in batches of similar length; return the results in the order of the clips."""
    order = sorted(range(len(clips)), key=lambda index: clips[index].lengths())
    results: dict[int, Result] = {}
    for first in range(0, len(order), BATCH):
        indices = order[first : first + BATCH]
        scored = score_batch([clips[index] for index in indices])
        results.update(zip(indices, scored, strict=True))
    return [results[index] for index in range(len(clips))]


def _emotional_modality(samples: Sequence[Sample], specs: Mapping[str, Any]) -> Modality | None:
    """Return the modality whose encoder names the emotions of samples that have no valence."""
    if any(sample.label is not None for sample in samples):
        return None
    modality: Modality = "vision" if samples and samples[0].face is not None else "audio"
    return modality if specs.get(modality, {}).get("emotions") else None


def report_samples(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    emotions: Sequence[str | None] | None = None,
    *,
    resamples: int = evaluate.RESAMPLES,
) -> dict[str, Any]:
    """Return metrics of predictions, by the kind of the samples' labels.

    Samples with a valence are measured by it, as by `evaluate_valence`; where all valences are
    -1, 0 or 1, as words such as negative are read, the metrics of `evaluate_polarity` are added,
    and where raters voted on the emotion that was acted, the `sign_auc` and `ece_sign` of that.
    Otherwise samples with an emotion are measured by that, as by `evaluate_emotions`. The bootstrap
    draws the recordings of an actor together.

    Raises:
        SemiIINError: when no sample has a label.
    """
    with_valence = [index for index, sample in enumerate(samples) if sample.label is not None]
    if with_valence:
        label = [samples[index].label or 0.0 for index in with_valence]
        valence = [predictions[index].valence for index in with_valence]
        report = evaluate.evaluate_valence(
            valence,
            label,
            [predictions[index].class_probabilities for index in with_valence],
            groups=_actors([samples[index] for index in with_valence]),
            resamples=resamples,
        )
        if all(samples[index].votes for index in with_valence):
            acted = [samples[index].emotion or "" for index in with_valence]
            signs = evaluate.evaluate_emotions(
                valence,
                acted,
                class_probabilities=[
                    predictions[index].class_probabilities for index in with_valence
                ],
                groups=_actors([samples[index] for index in with_valence]),
                resamples=resamples,
            )
            names = ("sign_auc", "ece_sign", "ece_sign_if_calibrated")
            report |= {name: signs[name] for name in names if name in signs}
        if set(label) <= {-1.0, 0.0, 1.0}:
            words = [POLARITIES[int(value) + 1] for value in label]
            report |= evaluate.evaluate_polarity(
                valence,
                words,
                [predictions[index].class_probabilities for index in with_valence],
                resamples=resamples,
            )
        return report
    with_emotion = [index for index, sample in enumerate(samples) if sample.emotion is not None]
    if not with_emotion:
        raise SemiIINError("the data have no labels to evaluate against")
    return evaluate.evaluate_emotions(
        [predictions[index].valence for index in with_emotion],
        [samples[index].emotion or "" for index in with_emotion],
        None if emotions is None else [emotions[index] for index in with_emotion],
        [predictions[index].class_probabilities for index in with_emotion],
        groups=_actors([samples[index] for index in with_emotion]),
        resamples=resamples,
    )


def _actors(samples: Sequence[Sample]) -> list[str] | None:
    """Return who speaks in each of some voices without words; None for other samples."""
    if all(sample.audio is not None and sample.text is None for sample in samples):
        return [sample.group or sample.id for sample in samples]
    return None


def report_examples(
    model: SemiIIN,
    examples: Sequence[Example],
    *,
    calibration: Mapping[str, Any] | None = None,
    resamples: int = evaluate.RESAMPLES,
) -> dict[str, Any]:
    """Return metrics of a model on features with valence labels.

    Args:
        model: any variant.
        examples: those without a label are left out.
        calibration: `temperatures` and `valence_scales`, as a checkpoint's configuration has
            them; None = neither.
        resamples: of the bootstrap.

    Raises:
        SemiIINError: when no example has a label.
    """
    labelled = [example for example in examples if example.valence is not None]
    if not labelled:
        raise SemiIINError("the features have no labels to evaluate against")
    valence, logits = score(model, labelled)
    combinations = [combination(example.features) for example in labelled]
    fitted = calibration or {}
    valence = scaled_valences(valence, combinations, fitted.get("valence_scales", {}))
    probabilities = class_probabilities(logits, combinations, fitted.get("temperatures", {}))
    label = [example.valence or 0.0 for example in labelled]
    return evaluate.evaluate_valence(valence, label, probabilities, resamples=resamples)


def encode_samples(
    encoders: Encoders, samples: Sequence[Sample], advance: Advance = lambda done, total: None
) -> list[Example]:
    """Return the labelled samples of one data set as a checkpoint's model takes them."""
    labelled = [sample for sample in samples if sample.label is not None]
    examples: list[Example] = []
    for first in range(0, len(labelled), CHUNK):
        chunk = labelled[first : first + CHUNK]
        if chunk[0].features:
            examples += [ready_example(sample, {}) for sample in chunk]
        else:
            rows = encoders.rows([sample.clip() for sample in chunk])
            examples += [
                ready_example(sample, row) for sample, row in zip(chunk, rows, strict=True)
            ]
        advance(len(examples), len(labelled))
    return [example for example in examples if example.features]
