"""A whole run: from a configuration and data sets to a checkpoint, in stages that resume.

The stages are the audio, vision and text encoders where the configuration trains them, the features
of all data, and Semi-IIN on those. Each has its folder in the run's directory; a finished stage is
not done again. The loop and the losses are elsewhere (`loop`, `task`, `pretraining`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semi_iin import checkpoint as checkpoints
from semi_iin.calibration import Calibration
from semi_iin.composing import Composer
from semi_iin.device import find_device
from semi_iin.errors import SemiIINError
from semi_iin.examples import measured_examples, training_examples
from semi_iin.features import Encoders
from semi_iin.loop import Report, fit
from semi_iin.model import SemiIIN
from semi_iin.parts import Part, lacking, read_parts
from semi_iin.pretraining.stages import train_encoders
from semi_iin.pretraining.teacher import soft_labels, taught
from semi_iin.provenance import inherited
from semi_iin.settings import RunConfig
from semi_iin.task import Example, SentimentTask, build_model, fit_calibration


def train(
    config: RunConfig,
    directory: str | Path,
    *,
    data_root: str | Path | None = None,
    report: Report = lambda progress: None,
) -> Path:
    """Do a whole run, or the rest of it.

    Args:
        config: the run.
        directory: of the run: a folder for each stage, and `checkpoint`.
        data_root: in place of the configuration's.
        report: called after every step.

    Returns:
        The checkpoint's directory.

    Raises:
        SemiIINError: naming what is wrong with the data, the configuration or the directory.
    """
    run = Path(directory)
    prepared = prepare(config, run, data_root, report)
    model = build_model(config, prepared.encoders, prepared.start)
    task = SentimentTask(
        model,
        prepared.examples,
        prepared.selection,
        batch_size=config.training.batch_size,
        objective=config.objective,
        seed=config.seed,
        compose=prepared.compose,
    )
    metrics = fit(
        task,
        config.training,
        run / "semi_iin",
        seed=config.seed,
        device=prepared.device,
        report=report,
    )
    return save_run(
        run / checkpoints.RUN_CHECKPOINT,
        config,
        prepared,
        model,
        calibration=fit_calibration(model, prepared.selection),
        metrics={"selection": metrics},
    )


def calibrate(
    checkpoint: str | Path,
    config: RunConfig,
    directory: str | Path,
    *,
    data_root: str | Path | None = None,
    report: Report = lambda progress: None,
) -> Path:
    """Calibrate a checkpoint again, on the selection parts of a run; its weights stay.

    Args:
        checkpoint: a directory, or the name of one in this package.
        config: the run that trained it; the new checkpoint has its name.
        directory: of the run: the features of the selection parts, and `checkpoint`.
        data_root: in place of the configuration's.
        report: called while data are encoded.

    Returns:
        The new checkpoint's directory.

    Raises:
        SemiIINError: for a checkpoint or data that cannot be read, or no selection part.
    """
    loaded, run = checkpoints.load(checkpoint), Path(directory)
    parts = read_parts(config, Path(data_root if data_root is not None else config.data_root))
    device = find_device(config.device)
    encoders = Encoders.build(loaded.config.get("encoders", {}), loaded.tensors).to(device)
    selected = [(part.name, part.selection) for part in parts]
    selection = measured_examples(selected, encoders, run, config.seed, report)
    if not selection:
        raise SemiIINError(lacking(parts, "which calibration needs", selection=True))
    calibration = fit_calibration(loaded.build_model().to(device), selection)
    content = {key: value for key, value in loaded.config.items() if key != "format_version"}
    content |= {"name": config.name, **calibration}
    return checkpoints.save(run / checkpoints.RUN_CHECKPOINT, loaded.tensors, content)


@dataclass(frozen=True)
class Prepared:
    """A run before Semi-IIN is trained.

    Attributes:
        device: where it trains.
        parts: its data sets.
        encoders: trained, on the device; none where the data are ready features.
        examples: those that train Semi-IIN.
        selection: those that select its weights and calibrate it.
        compose: gives texts a voice and a face; None where the data have none without words.
        start: weights that Semi-IIN starts from; None = fresh ones.
    """

    device: torch.device
    parts: list[Part]
    encoders: Encoders
    examples: list[Example]
    selection: list[Example]
    compose: Composer | None
    start: dict[str, Tensor] | None = None


def prepare(
    config: RunConfig,
    run: Path,
    data_root: str | Path | None = None,
    report: Report = lambda progress: None,
) -> Prepared:
    """Read the data, train the encoders and encode; arguments and errors as for `train`."""
    device = find_device(config.device)
    parts = read_parts(config, Path(data_root if data_root is not None else config.data_root))
    encoders, start = train_encoders(config, parts, run, device, report)
    if config.teacher:
        parts = [_taught(part, config, run, device, report) for part in parts]
    examples, selection, compose = training_examples(config, parts, encoders, run, report)
    if not examples or not selection:
        raise SemiIINError(
            lacking(parts, "which the training of Semi-IIN needs", selection=bool(examples))
        )
    return Prepared(device, parts, encoders, examples, selection, compose, start)


def _taught(part: Part, config: RunConfig, run: Path, device: torch.device, report: Report) -> Part:
    """Return a part whose texts for Semi-IIN, with the unlabeled, have the teacher's valence."""
    texts = [sample for sample in (*part.fusion, *part.unlabeled) if sample.text is not None]
    others = [sample for sample in part.fusion if sample.text is None]
    if not texts:
        return part
    valences = soft_labels(
        config.teacher, texts, run / "teacher", device, config.feature_precision, report
    )
    return replace(part, fusion=[*taught(texts, valences), *others])


def save_run(
    directory: Path,
    config: RunConfig,
    prepared: Prepared,
    model: SemiIIN,
    *,
    calibration: Calibration,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run's checkpoint with its provenance, to which `provenance` adds.

    An encoder whose modality no example had is left out: the model learned nothing of it.
    """
    learned = {name for example in prepared.examples for name in example.features}
    if prepared.compose is not None:
        learned |= prepared.compose.pools.keys()
    encoders = Encoders(
        {name: encoder for name, encoder in prepared.encoders.encoders.items() if name in learned}
    )
    content = {
        "name": config.name,
        "model": model.config.to_dict(),
        "encoders": encoders.specs(),
        **calibration,
        "provenance": {
            "configuration": config.model_dump(mode="json", exclude_defaults=True),
            "samples": {part.name: len(part.train) for part in prepared.parts},
            **inherited(config),
            **(provenance or {}),
        },
        "metrics": metrics,
    }
    weights = {f"model.{name}": value.half() for name, value in model.state_dict().items()}
    return checkpoints.save(directory, weights | encoders.tensors(), content)
