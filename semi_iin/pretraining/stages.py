"""The encoders of a run: each is trained on the data that can teach it, one after another.

What enters: a run's configuration and its data. What leaves: the encoders as a checkpoint gives
them back, rounding and low rank included.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semi_iin import checkpoint as checkpoints
from semi_iin.data.samples import Sample
from semi_iin.encoders.audio import VoiceEncoder
from semi_iin.encoders.protocol import Encoder, Spec
from semi_iin.encoders.text import TextEncoder
from semi_iin.encoders.vision import FaceEncoder
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from semi_iin.loop import Report, fit
from semi_iin.modalities import Modality
from semi_iin.parts import Part, lacking
from semi_iin.pretraining.face import FaceTask
from semi_iin.pretraining.protocol import EncoderTask
from semi_iin.pretraining.teacher import soft_labels
from semi_iin.pretraining.text import TextTask
from semi_iin.pretraining.voice import VoiceTask
from semi_iin.settings import EncoderSettings, RunConfig, Training
from semi_iin.task import build_model

ORDER: tuple[Modality, ...] = ("audio", "vision", "text")


def train_encoders(
    config: RunConfig,
    parts: Sequence[Part],
    run: Path,
    device: torch.device,
    report: Report = lambda progress: None,
) -> tuple[Encoders, dict[str, Tensor] | None]:
    """Train the encoders whose configuration has a `training`, each on the data that can teach it.

    The audio encoder trains on recordings with emotions, the vision encoder on face crops with
    emotions, and last the text encoder on labelled texts, through a Semi-IIN of the run's
    settings. A text encoder that a checkpoint provides goes on from its weights.

    Returns:
        All encoders of the configuration, on the device, and the weights from which Semi-IIN goes
        on: those through which the text encoder was trained, else those of `start`, else None.

    Raises:
        SemiIINError: when no data can teach an encoder, or its kind is not trained here.
    """
    _check(config)
    specs, stored = _starting_points(config)
    start = None
    if config.start:
        start = checkpoints.load(config.start).under(checkpoints.MODEL_PREFIX)
    for modality in ORDER:
        settings = config.encoders.get(modality)
        if settings is None or settings.training is None:
            continue
        samples, selection = _lessons(parts, modality, bool(settings.teacher))
        if not settings.context:
            samples, selection = _without_context(samples), _without_context(selection)
        if modality != "text":
            learned = (*samples, *selection)
            emotions = {sample.emotion or "" for sample in learned}
            emotions |= {name for sample in learned for name in sample.votes}
            specs[modality] = {**specs[modality], "emotions": sorted(emotions)}
        torch.manual_seed(config.seed)
        encoders = Encoders.build(specs, stored)
        taught = (
            soft_labels(
                settings.teacher, samples, run / "teacher", device, config.feature_precision, report
            )
            if settings.teacher
            else None
        )
        task = _task(config, settings, encoders, modality, samples, selection, taught, start)
        fit(task, settings.training, run / modality, seed=config.seed, device=device, report=report)
        encoder = encoders.encoders[modality].eval().cpu()
        encoder.finish_training(settings.rank)
        start = task.fusion_weights() or start
        of_source = f"{modality}_encoder."
        stored = {name: value for name, value in stored.items() if not name.startswith(of_source)}
        stored.update(Encoders({modality: encoder}).tensors())
    encoders = Encoders.build(specs, stored).to(device)
    encoders.bfloat16 = config.feature_precision == "bfloat16"
    return encoders, start


def _check(config: RunConfig) -> None:
    """Refuse what only the text encoder can do."""
    for modality, settings in config.encoders.items():
        if settings.training is None or modality == "text":
            continue
        if settings.teacher:
            raise SemiIINError(f"encoders.{modality}.teacher: only the text encoder has a teacher")
        for name in ("words", "context", "head"):
            if name in settings.model_fields_set:
                raise SemiIINError(
                    f"encoders.{modality}.{name}: only the training of the text encoder has this "
                    "setting: remove it"
                )
        if settings.checkpoint:
            raise SemiIINError(
                f"encoders.{modality}: only the text encoder can be trained from a checkpoint; "
                "remove `checkpoint` or `training`"
            )


def _starting_points(config: RunConfig) -> tuple[dict[str, Spec], dict[str, Tensor]]:
    """Return each encoder's spec, and the tensors of those that a checkpoint provides."""
    specs: dict[str, Spec] = {name: dict(encoder.spec) for name, encoder in config.encoders.items()}
    stored: dict[str, Tensor] = {}
    for modality, settings in config.encoders.items():
        if settings.checkpoint:
            spec, tensors = _of_checkpoint(settings.checkpoint, modality)
            specs[modality] = {**spec, **settings.spec}
            stored.update(tensors)
    return specs, stored


def _of_checkpoint(path: str, modality: Modality) -> tuple[Spec, dict[str, Tensor]]:
    """Return the spec and the tensors of a checkpoint's encoder."""
    checkpoint = checkpoints.load(path)
    specs: dict[str, Spec] = checkpoint.config.get("encoders", {})
    if modality not in specs:
        raise SemiIINError(f"the checkpoint {path} has no {modality} encoder to take")
    prefix = f"{modality}_encoder."
    return dict(specs[modality]), {
        name: value for name, value in checkpoint.tensors.items() if name.startswith(prefix)
    }


def _lessons(
    parts: Sequence[Part], modality: Modality, has_teacher: bool
) -> tuple[list[Sample], list[Sample]]:
    """Return the samples that can train an encoder, and those that can select its weights.

    With a teacher, texts without labels train too.
    """
    samples = [
        replace(sample, corpus=part.name)
        for part in parts
        for sample in part.repeated()
        if _teaches(sample, modality)
    ]
    if has_teacher:
        samples += [sample for part in parts for sample in part.unlabeled if sample.text]
    selection = [
        sample for part in parts for sample in part.selection if _teaches(sample, modality)
    ]
    if not samples or not selection:
        purpose = f"which the training of the {modality} encoder needs"
        raise SemiIINError(lacking(parts, purpose, selection=bool(samples)))
    return samples, selection


def _without_context(samples: Sequence[Sample]) -> list[Sample]:
    return [replace(sample, context=None) for sample in samples]


def _teaches(sample: Sample, modality: Modality) -> bool:
    """Return whether a sample can train the encoder of a modality."""
    match modality:
        case "text":
            return sample.text is not None and sample.label is not None
        case "audio":
            return sample.audio is not None and sample.emotion is not None
        case "vision":
            return sample.face is not None and sample.emotion is not None


def _task(
    config: RunConfig,
    settings: EncoderSettings,
    encoders: Encoders,
    modality: Modality,
    samples: Sequence[Sample],
    selection: Sequence[Sample],
    taught: NDArray[np.float32] | None,
    start: dict[str, Tensor] | None,
) -> EncoderTask:
    """Return the task that trains an encoder; the only place that maps encoders to tasks."""
    encoder: Encoder = encoders.encoders[modality]
    size, seed = (settings.training or Training()).batch_size, config.seed
    match encoder:
        case TextEncoder():
            return TextTask(
                encoder,
                build_model(config, encoders, start),
                samples,
                selection,
                batch_size=size,
                objective=config.objective,
                seed=seed,
                words=settings.words,
                context=settings.context,
                head=settings.head,
                taught=taught,
            )
        case VoiceEncoder():
            return VoiceTask(encoder, samples, selection, batch_size=size, seed=seed)
        case FaceEncoder():
            return FaceTask(encoder, samples, selection, batch_size=size, seed=seed)
    raise SemiIINError(
        f"an encoder of kind {encoder.spec['kind']} is not trained here: leave its training out"
    )
