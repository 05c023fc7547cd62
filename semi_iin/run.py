"""A whole run: from a configuration and data sets to a checkpoint, in stages that resume.

The stages are the audio, vision and text encoders where the configuration trains them, the features
of all data, and Semi-IIN on those. Each has its folder in the run's directory; what is done is not
done again. It knows no loop and no loss.
"""

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field, ValidationError
from torch import Tensor

from semi_iin import checkpoint as checkpoints
from semi_iin.cache import extract
from semi_iin.composing import Composer, face_pool, voice_pool
from semi_iin.data.formats import Format, read
from semi_iin.data.samples import Sample, Split, check_no_leaks, split_off
from semi_iin.device import find_device
from semi_iin.encoders.audio import LogMelEncoder
from semi_iin.encoders.protocol import Spec
from semi_iin.encoders.text import TextEncoder
from semi_iin.encoders.vision import FaceEncoder
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from semi_iin.labels import valence_class
from semi_iin.model import MODALITIES, Modality, SemiIIN, SemiIINConfig
from semi_iin.pretraining import STRIPPED, FaceTask, TextTask, VoiceTask, bare
from semi_iin.train import (
    Example,
    Objective,
    Progress,
    Report,
    SentimentTask,
    Settings,
    Task,
    Training,
    fit,
    temperatures_of,
)


class Data(Settings):
    """One data set of a run.

    Attributes:
        path: relative to the run's data root.
        format: as `semi_iin.data.formats.read` names it.
        part: its name in metrics; "" = its file's or folder's name.
        labels: for features and clips: the label CSV, relative to the data root.
        media: for clips: the folder, relative to the data root.
        scale: of the labels: "valence", or "sst5" for classes 0 to 4.
        repeat: how often each training sample is seen in an epoch.
        selection: one training group in so many is kept for selection and calibration; 0 = none,
            the data set's validation part selects.
        fusion: one training group in so many is kept from the encoders and trains Semi-IIN alone:
            encoders are surer of what they were trained on than they will be of anything else. 0
            = Semi-IIN trains on what the encoders train on; but where any set keeps texts for
            Semi-IIN, it trains on no others.
    """

    path: str
    format: Format = "text-csv"
    part: str = ""
    labels: str = ""
    media: str = ""
    scale: Literal["valence", "sst5"] = "valence"
    repeat: int = Field(default=1, ge=1)
    selection: int = Field(default=0, ge=0)
    fusion: int = Field(default=0, ge=0)


class Encoder(Settings):
    """One encoder of a run.

    Attributes:
        spec: as `semi_iin.encoders` describes it.
        checkpoint: take spec and weights from this checkpoint instead.
        rank: of the differences by which a fine-tuned transformer is stored.
        words: fine-tune its word embeddings too.
        training: how it is trained before Semi-IIN; absent = it is used as it is.
    """

    spec: dict[str, Any] = Field(default_factory=dict)
    checkpoint: str = ""
    rank: int = Field(default=64, ge=1)
    words: bool = False
    training: Training | None = None


class SelfTraining(Settings):
    """Which pseudo-labels are kept, and how often.

    Attributes:
        rounds: of score, select, retrain.
        select: "per_class": the `k` most confident of each class; "overall": the `k` most
            confident of all; "threshold": all of at least `threshold`.
        k: see `select`; the paper has 40 on MOSI, and all of its AMI segments on MOSEI.
        threshold: confidence (after calibration on the selection part) in [0, 1].
        agreement: keep only those whose predicted valence lies in the predicted class.
        share: of the unlabeled examples, chosen by seed, that are looked at at all.
    """

    rounds: int = Field(default=1, ge=1)
    select: Literal["per_class", "overall", "threshold"] = "per_class"
    k: int = Field(default=40, ge=1)
    threshold: float = Field(default=0.9, ge=0, le=1)
    agreement: bool = False
    share: float = Field(default=1.0, gt=0, le=1)


class RunConfig(Settings):
    """A run: data, encoders, model, training.

    Attributes:
        name: the checkpoint's name, which records carry.
        seed: of everything.
        device: "auto", "cpu", "cuda", "mps".
        data_root: what the data's paths are relative to; itself relative to where the command
            runs.
        data: the data sets.
        encoders: by modality; none at all where the data are ready features.
        model: settings of `SemiIINConfig`; widths of encoders are filled in.
        training: of Semi-IIN.
        objective: the loss.
        self_training: of `semi-iin self-train`, on the unlabeled part of the data.
    """

    name: str
    seed: int = 0
    device: str = "auto"
    data_root: str = "."
    data: tuple[Data, ...]
    encoders: dict[Modality, Encoder] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    training: Training = Training()
    objective: Objective = Objective()
    self_training: SelfTraining = SelfTraining()


def read_config(path: str | Path) -> RunConfig:
    """Read a run's TOML.

    Raises:
        SemiIINError: for a file that is missing or malformed, an unknown key (naming the nearest
            known one), or a value out of range.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SemiIINError(f"there is no configuration at {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SemiIINError(f"{path} cannot be read as TOML: {error}") from error
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _keys(RunConfig), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SemiIINError(f"{path} has the unknown setting {where}{hint}") from None
        raise SemiIINError(f"{path}: {where}: {first['msg']}") from None


def _keys(settings: type[BaseModel]) -> set[str]:
    """Every key that a tree of settings knows."""
    known = set(settings.model_fields)
    for name in ("Data", "Encoder", "Training", "Objective", "SelfTraining"):
        known |= set(globals()[name].model_fields)
    return known


def train(
    config: RunConfig,
    directory: str | Path,
    *,
    data_root: str | Path | None = None,
    report: Report = lambda progress: None,
) -> Path:
    """Do a whole run, or what is left of it.

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
    ready = prepare(config, run, data_root, report)
    model = build_model(config, ready.encoders, ready.start)
    task = SentimentTask(
        model,
        ready.examples,
        ready.selection,
        batch_size=config.training.batch_size,
        objective=config.objective,
        seed=config.seed,
        compose=ready.compose,
    )
    metrics = fit(
        task,
        config.training,
        run / "semi_iin",
        seed=config.seed,
        device=ready.device,
        report=report,
    )
    return save_run(
        run / "checkpoint",
        config,
        ready,
        model,
        temperatures=temperatures_of(model, ready.selection),
        metrics={"selection": metrics},
    )


@dataclass(frozen=True)
class Prepared:
    """What a run has before Semi-IIN is trained.

    Attributes:
        device: where it trains.
        parts: its data sets.
        encoders: trained, on the device; none where the data are ready features.
        examples: what trains Semi-IIN.
        selection: what selects its weights and calibrates it.
        compose: gives texts a voice and a face; None where the data have none apart.
        start: weights that Semi-IIN starts from; None = fresh ones.
    """

    device: torch.device
    parts: list["Part"]
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
    parts = gather(config, Path(data_root if data_root is not None else config.data_root))
    encoders, start = train_encoders(config, parts, run, device, report)
    examples, selection, compose = examples_of(config, parts, encoders, run, report)
    return Prepared(device, parts, encoders, examples, selection, compose, start)


def save_run(
    directory: Path,
    config: RunConfig,
    ready: Prepared,
    model: SemiIIN,
    *,
    temperatures: Mapping[str, float],
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run's checkpoint, with where it comes from; `provenance` adds to that.

    An encoder whose modality no example had is left out: the model learned nothing of it.
    """
    known = {name for example in ready.examples for name in example.features}
    if ready.compose is not None:
        known |= ready.compose.pools.keys()
    encoders = Encoders(
        {name: encoder for name, encoder in ready.encoders.encoders.items() if name in known}
    )
    saved = {
        "name": config.name,
        "model": model.config.to_dict(),
        "encoders": encoders.specs(),
        "temperatures": dict(temperatures),
        "provenance": {
            "configuration": config.model_dump(mode="json", exclude_defaults=True),
            "samples": {part.name: len(part.train) for part in ready.parts},
            **(provenance or {}),
        },
        "metrics": metrics,
    }
    weights = {f"model.{name}": value.half() for name, value in model.state_dict().items()}
    return checkpoints.save(directory, weights | encoders.tensors(), saved)


@dataclass(frozen=True)
class Part:
    """One data set of a run, split.

    Attributes:
        name: for metrics.
        train: what trains the encoders, before repetition.
        fusion: what trains Semi-IIN, before repetition.
        selection: what selects and calibrates.
        repeat: how often each training sample is seen in an epoch.
        reported: what neither trains nor selects: the validation part where selection is carved
            from the training part, else the test part.
        unlabeled: for self-training.
    """

    name: str
    train: list[Sample]
    fusion: list[Sample]
    selection: list[Sample]
    repeat: int
    reported: list[Sample] = field(default_factory=list)
    unlabeled: list[Sample] = field(default_factory=list)

    def repeated(self) -> list[Sample]:
        """The training samples as often as an epoch sees them."""
        return self.train * self.repeat


def gather(config: RunConfig, root: Path) -> list[Part]:
    """Read a run's data sets and split each; the validation part trains nothing.

    Raises:
        SemiIINError: for data that are missing, malformed, or leak between splits.
    """
    parts = []
    texts_are_kept = any(data.fusion for data in config.data if data.format == "text-csv")
    for data in config.data:
        options: dict[str, Any] = {}
        if data.format in ("text-csv", "clips"):
            options["scale"] = data.scale
        if data.labels and data.format == "features":
            options["labels"] = root / data.labels
        if data.media:
            options["media"] = root / data.media
        place = root / (data.labels if data.format == "clips" else data.path)
        samples = read(place, data.format, **options)
        check_no_leaks(samples)
        held: Split = "valid" if data.selection else "test"
        reported = [sample for sample in samples if sample.split == held]
        unlabeled = [sample for sample in samples if sample.split == "unlabeled"]
        if data.selection:
            train = [sample for sample in samples if sample.split == "train"]
            samples = split_off(train, data.selection)
        train = [sample for sample in samples if sample.split == "train"]
        if data.fusion:
            kept = split_off(train, data.fusion, salt="fusion")
            train, fusion = (
                [one for one in kept if one.split == split] for split in ("train", "valid")
            )
        else:
            fusion = [one for one in train if one.label is None or not texts_are_kept]
        parts.append(
            Part(
                name=data.part or Path(data.path).stem,
                train=train,
                fusion=fusion,
                selection=[sample for sample in samples if sample.split == "valid"],
                repeat=data.repeat,
                reported=reported,
                unlabeled=unlabeled,
            )
        )
    return parts


def train_encoders(
    config: RunConfig,
    parts: Sequence[Part],
    run: Path,
    device: torch.device,
    report: Report = lambda progress: None,
) -> tuple[Encoders, dict[str, Tensor] | None]:
    """Train the encoders whose configuration asks for it, each on what the data have for it.

    The audio encoder trains on recordings with emotions, the vision encoder on face crops with
    emotions, and last the text encoder on labelled texts, through a Semi-IIN of the run's
    settings.

    Returns:
        All encoders of the configuration, on the device; a fine-tuned one is as a checkpoint
        would give it back, rounding and low rank included. And the weights of the Semi-IIN
        through which the text encoder was trained; None where it was not.
    """
    specs: dict[str, Spec] = {name: dict(encoder.spec) for name, encoder in config.encoders.items()}
    stored: dict[str, Tensor] = {}
    for name, encoder in config.encoders.items():
        if encoder.checkpoint:
            specs[name], taken = _taken(encoder.checkpoint, name)
            stored.update(taken)
    start = None
    for name in ("audio", "vision", "text"):
        found = config.encoders.get(name)
        if found is None or found.training is None or found.checkpoint:
            continue
        seen = [sample for part in parts for sample in part.repeated() if _teaches(sample, name)]
        chosen = [sample for part in parts for sample in part.selection if _teaches(sample, name)]
        if not seen or not chosen:
            raise SemiIINError(
                f"no data of the configuration can train the {name} encoder: it needs labelled "
                "samples to train on and to select by"
            )
        if name != "text":
            known = {sample.emotion or "" for sample in (*seen, *chosen)}
            specs[name] = {**specs[name], "emotions": sorted(known)}
        torch.manual_seed(config.seed)
        fresh = Encoders.build(specs, stored)
        task = _encoder_task(config, found, found.training, fresh, name, seen, chosen)
        fit(task, found.training, run / name, seed=config.seed, device=device, report=report)
        trained = fresh.encoders[name].eval().cpu()
        trained.finish_training(found.rank)
        if isinstance(task, TextTask):
            start = {key: value.cpu() for key, value in task.model.state_dict().items()}
        stored.update(Encoders({name: trained}).tensors())
    return Encoders.build(specs, stored).to(device), start


def _taken(place: str, modality: Modality) -> tuple[Spec, dict[str, Tensor]]:
    """The spec and the tensors of a checkpoint's encoder."""
    loaded = checkpoints.load(place)
    specs: dict[str, Spec] = loaded.config.get("encoders", {})
    if modality not in specs:
        raise SemiIINError(f"the checkpoint {place} has no {modality} encoder to take")
    prefix = f"{modality}_encoder."
    return dict(specs[modality]), {
        name: value for name, value in loaded.tensors.items() if name.startswith(prefix)
    }


def _teaches(sample: Sample, modality: Modality) -> bool:
    """Whether a sample can train the encoder of a modality."""
    match modality:
        case "text":
            return sample.text is not None and sample.label is not None
        case "audio":
            return sample.audio is not None and sample.emotion is not None
        case "vision":
            return sample.face is not None and sample.emotion is not None


def _encoder_task(
    config: RunConfig,
    settings: Encoder,
    training: Training,
    encoders: Encoders,
    modality: Modality,
    seen: Sequence[Sample],
    chosen: Sequence[Sample],
) -> Task:
    encoder, size, seed = encoders.encoders[modality], training.batch_size, config.seed
    match encoder:
        case TextEncoder():
            model = build_model(config, encoders)
            return TextTask(
                encoder,
                model,
                seen,
                chosen,
                batch_size=size,
                objective=config.objective,
                seed=seed,
                words=settings.words,
            )
        case LogMelEncoder():
            return VoiceTask(encoder, seen, chosen, batch_size=size, seed=seed)
        case FaceEncoder():
            return FaceTask(encoder, seen, chosen, batch_size=size, seed=seed)
    raise SemiIINError(
        f"an encoder of kind {encoder.spec['kind']} is not trained here: leave its training out"
    )


def build_model(
    config: RunConfig, encoders: Encoders, start: Mapping[str, Tensor] | None = None
) -> SemiIIN:
    """A Semi-IIN of the run's settings, its feature widths those of the encoders.

    Args:
        config: the run.
        encoders: of the run.
        start: weights to start from; None = fresh ones.
    """
    widths = {f"{name}_width": encoder.width for name, encoder in encoders.encoders.items()}
    torch.manual_seed(config.seed)
    model = SemiIIN(SemiIINConfig.from_dict({**config.model, **widths}))
    if start is not None:
        model.load_state_dict(dict(start))
    return model


def examples_of(
    config: RunConfig,
    parts: Sequence[Part],
    encoders: Encoders,
    run: Path,
    report: Report = lambda progress: None,
) -> tuple[list[Example], list[Example], Composer | None]:
    """What trains and what selects Semi-IIN, and a composer where voices or faces stand apart.

    Returns:
        Training examples with their repetitions, selection examples, and the composer; None
        where the data have no voices or faces without words.
    """
    held = [(part.name, part.selection) for part in parts]
    selection = held_examples(held, encoders, run, config.seed, report)
    trained: list[Example] = []
    for part in parts:
        labelled = [sample for sample in part.fusion if sample.label is not None]
        rows = _readings(labelled, encoders, run, config.seed, part.name, report)
        trained += [
            _example(sample, readings, part.name)
            for sample, readings in zip(labelled, rows, strict=True)
        ] * part.repeat
    voices, faces = (
        [sample for part in parts for sample in part.fusion if _stands_apart(sample, name)]
        for name in ("audio", "vision")
    )
    if not voices and not faces:
        return trained, selection, None
    composer = Composer(
        voice_pool(voices, encoders, config.seed), face_pool(faces, encoders, config.seed)
    )
    return trained, selection, composer


def held_examples(
    held: Sequence[tuple[str, Sequence[Sample]]],
    encoders: Encoders,
    run: Path,
    seed: int,
    report: Report = lambda progress: None,
) -> list[Example]:
    """Examples of data that do not train, by the name of their part.

    Where there are voices or faces apart from words, every labelled example comes a second time,
    composed with one of each, in the part "composed".
    """
    plain = []
    for part, samples in held:
        labelled = [sample for sample in samples if sample.label is not None]
        rows = encode(labelled, encoders, run, part, report)
        plain += [_example(sample, [row], part) for sample, row in zip(labelled, rows, strict=True)]
    voices, faces = (
        [sample for _, samples in held for sample in samples if _stands_apart(sample, name)]
        for name in ("audio", "vision")
    )
    judge = Composer(voice_pool(voices, encoders, None), face_pool(faces, encoders, None))
    if not judge.pools:
        return plain
    random = np.random.default_rng((seed, 1))
    names = [name for name in MODALITIES if name == "text" or name in judge.pools]
    composed = [
        replace(example, part="composed", features=judge.compose(example, names, random))
        for example in plain
    ]
    return [*plain, *composed]


def _stands_apart(sample: Sample, modality: Modality) -> bool:
    """Whether a sample is a voice, or a face, without words or valence."""
    if sample.label is not None or sample.text is not None or sample.emotion is None:
        return False
    return (sample.audio if modality == "audio" else sample.face) is not None


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
    """Features of each training sample: with its context, and without where it has one.

    Of either, some read bare words, as recognised speech is.
    """
    random = np.random.default_rng((seed, 2))

    def maybe_bare(sample: Sample) -> Sample:
        if sample.text is None or random.random() >= STRIPPED:
            return sample
        context = bare(sample.context) if sample.context else None
        return replace(sample, text=bare(sample.text), context=context)

    full = encode([maybe_bare(sample) for sample in samples], encoders, run, part, report)
    encoder = encoders.encoders.get("text")
    if encoder is None or not encoder.spec["context_tokens"]:
        return [[row] for row in full]
    alone = [index for index, sample in enumerate(samples) if sample.context]
    without = encode(
        [maybe_bare(replace(samples[index], context=None)) for index in alone],
        encoders,
        run,
        part,
        report,
    )
    readings = [[row] for row in full]
    for index, row in zip(alone, without, strict=True):
        readings[index].append(row)
    return readings


def encode(
    samples: Sequence[Sample], encoders: Encoders, run: Path, part: str, report: Report
) -> list[dict[Modality, Tensor]]:
    """Cached features; nothing for samples that carry ready ones."""
    if not samples or samples[0].features or not encoders.modalities:
        return [{} for _ in samples]
    return extract(
        samples,
        encoders,
        run / "features",
        report=lambda done, total: report(Progress(f"features {part}", done, total, math.nan)),
    )
