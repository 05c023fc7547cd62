"""Semi-IIN on real clips: voice, face and words of one person, against parts of itself.

What enters: the sets of `semi_iin.data.same_utterance` and a configuration. What leaves: metrics of
out-of-fold predictions, with intervals, and their distance from Semi-IIN's. Each repetition of the
cross-validation has folds and weights of its own; a finished one is stored and not done again.
"""

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from semi_iin import evaluate
from semi_iin.data.ravdess import read_ravdess
from semi_iin.data.same_utterance import (
    Clips,
    acted_clips,
    read_action_units,
    read_mmmo,
    read_mosi_rows,
)
from semi_iin.data.samples import Sample
from semi_iin.encoders.whisper import WhisperEncoder
from semi_iin.errors import SemiIINError
from semi_iin.experiments.ablation import ABLATION
from semi_iin.experiments.cross_validation import (
    Floats,
    folds,
    late_fusion,
    pooled,
    ridge,
    standardised,
)
from semi_iin.experiments.reported import COLUMNS, cell
from semi_iin.labels import valence_class
from semi_iin.loop import Progress, Report, fit_in_memory
from semi_iin.modalities import MODALITIES, Modality
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.settings import Objective, Settings, Training, read_settings
from semi_iin.task import Example, SentimentTask, score

SEMI_IIN = "intra + inter, gate (Semi-IIN)"
LATE, RIDGE, RIDGE_LATE = "late fusion of those", "ridge, all modalities", "ridge, late fusion"
CONSTANT = "no features: the training labels' median"
VARIANTS = [name for name in ABLATION if not name.startswith("gate, ")]


class SetSettings(Settings):
    """One set of clips.

    Attributes:
        title: of its table.
        kind: of its files.
        path: relative to the data root: the features; for ravdess the action units.
        recordings: for ravdess: the folder of the voices, relative to the data root.
        voice: for ravdess: the published weights whose states the voices are.
        layer: for ravdess: of those weights.
        average: this many frames become one, their mean; 1 = as published.
        folds: of a cross-validation.
        repetitions: of the cross-validation, each with a seed of its own.
        ablation_repetitions: of those, how many the variants of the ablation have.
        epochs: of every fit, in place of the training's.
    """

    title: str
    kind: Literal["mmmo", "mosi", "ravdess"]
    path: str
    recordings: str = ""
    voice: str = "weights:whisper-tiny.en"
    layer: int = Field(default=2, ge=1)
    average: int = Field(default=1, ge=1)
    folds: int = Field(default=10, ge=2)
    repetitions: int = Field(default=5, ge=1)
    ablation_repetitions: int = Field(default=5, ge=1)
    epochs: int = Field(default=30, ge=1)


class SameUtterance(Settings):
    """The experiment.

    Attributes:
        name: of the run's directory.
        data_root: the folder that the paths are relative to.
        sets: each gives a table.
        model: settings of `SemiIINConfig`; the features' widths are filled in.
        training: of every fit.
        objective: the loss.
    """

    name: str
    data_root: str = "."
    sets: tuple[SetSettings, ...]
    model: dict[str, Any] = Field(default_factory=dict)
    training: Training = Training()
    objective: Objective = Objective()


def read_same_utterance(path: str | Path) -> SameUtterance:
    """Read the experiment's TOML; errors as of `settings.read_settings`."""
    return read_settings(path, SameUtterance, (SameUtterance, SetSettings, Training, Objective))


def same_utterance(
    config: SameUtterance,
    run: Path,
    data_root: Path | None = None,
    report: Report = lambda progress: None,
) -> dict[str, str]:
    """Do the experiment, or the rest of it.

    Args:
        config: the experiment.
        run: directory of the predictions.
        data_root: in place of the configuration's.
        report: called after every repetition.

    Returns:
        A Markdown table for each set, by its title.

    Raises:
        SemiIINError: for data that are missing or malformed.
    """
    root = data_root or Path(config.data_root)
    tables = {}
    for chosen in config.sets:
        clips = read_clips(chosen, root, run)
        bench = ClipBench(config, chosen, clips, run / _digest(config, chosen))
        tables[chosen.title] = table(clips, predictions(bench, report))
    return tables


def read_clips(chosen: SetSettings, root: Path, run: Path) -> Clips:
    """Read one set; RAVDESS's voices are encoded once, and kept in the run's directory.

    Raises:
        SemiIINError: for data or weights that are missing or malformed.
    """
    if chosen.kind == "mmmo":
        return averaged(read_mmmo(root / chosen.path), chosen.average)
    if chosen.kind == "mosi":
        return averaged(read_mosi_rows(root / chosen.path), chosen.average)
    faces = read_action_units(root / chosen.path)
    recordings = {sample.id: sample for sample in read_ravdess(root / chosen.recordings)}
    missing = [face.recording for face in faces if face.recording not in recordings]
    if missing:
        raise SemiIINError(f"{root / chosen.recordings} has no recording {missing[0]}")
    stored = run / f"voices-{chosen.voice.replace(':', '-')}-{chosen.layer}.npy"
    if not stored.exists():
        voices = voice_statistics(chosen, [recordings[face.recording] for face in faces])
        _store(stored, voices)
    return acted_clips(faces, np.load(stored, allow_pickle=False))


def averaged(clips: Clips, count: int) -> Clips:
    """Return clips in which the mean of `count` frames, or of the last few, is one frame."""
    features = {
        name: [
            np.stack([row[at : at + count].mean(axis=0) for at in range(0, len(row), count)])
            for row in rows
        ]
        for name, rows in clips.features.items()
    }
    return replace(clips, features=features)


def voice_statistics(chosen: SetSettings, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Return mean and deviation over time of the states of a published layer. (n, 2 W)."""
    encoder = WhisperEncoder({"source": chosen.voice, "layers": chosen.layer}).eval()
    rows = []
    for first in range(0, len(samples), 16):
        clips = [sample.clip() for sample in samples[first : first + 16]]
        with torch.inference_mode():
            states, mask = encoder.backbone(*encoder.energies(clips))
        inside = [row[real] for row, real in zip(states, mask, strict=True)]
        rows += [torch.cat([row.mean(0), row.std(0)]).numpy() for row in inside]
    return np.stack(rows)


@dataclass(frozen=True)
class ClipBench:
    """What the fits on one set share.

    Attributes:
        config: the experiment.
        chosen: the set's settings.
        clips: the set.
        directory: of its predictions.
    """

    config: SameUtterance
    chosen: SetSettings
    clips: Clips
    directory: Path

    @cached_property
    def modalities(self) -> tuple[Modality, ...]:
        """The set's modalities, in the model's order."""
        return tuple(name for name in MODALITIES if name in self.clips.features)

    def fold(self, repetition: int) -> NDArray[np.int64]:
        """Return the fold (n,) of each clip in a repetition."""
        return folds(self.clips.groups, self.chosen.folds, repetition)

    def out_of_fold(self, repetition: int, predict: "Predict") -> Floats:
        """Return predictions (n,) of every clip by a model of the other folds."""
        fold = self.fold(repetition)
        predicted = np.zeros(len(fold))
        for each in range(self.chosen.folds):
            test = fold == each
            if test.any():
                predicted[test] = predict(~test, test, repetition)
        return predicted

    def semi_iin(self, changes: Mapping[str, Any], names: Sequence[Modality]) -> "Predict":
        """Return what trains a Semi-IIN on the clips of a mask and predicts those of another."""

        def predict(known: NDArray[np.bool_], test: NDArray[np.bool_], seed: int) -> Floats:
            training = self.config.training.model_copy(update={"epochs": self.chosen.epochs})
            examples = self._examples(known, names)
            learned = [examples[index] for index in np.flatnonzero(known)]
            torch.manual_seed(seed)
            model = SemiIIN(replace(self._sizes(), **changes))
            task = SentimentTask(
                model,
                learned,
                learned,  # nothing is selected
                batch_size=training.batch_size,
                objective=self.config.objective,
                seed=seed,
            )
            fit_in_memory(task, training, seed=seed)
            return score(model, [examples[index] for index in np.flatnonzero(test)])[0]

        return predict

    def ridge(self, names: Sequence[Modality]) -> "Predict":
        """Return what fits a ridge regression on some modalities' means over time."""

        def predict(known: NDArray[np.bool_], test: NDArray[np.bool_], seed: int) -> Floats:
            columns = np.hstack(
                [pooled(standardised(self.clips.features[name], known)) for name in names]
            )
            groups = [self.clips.groups[index] for index in np.flatnonzero(known)]
            predicted = ridge(columns[known], self.clips.valence[known], groups, columns[test])
            return np.clip(predicted, -3, 3)

        return predict

    def constant(self, known: NDArray[np.bool_], test: NDArray[np.bool_], seed: int) -> Floats:
        """Return the median of the training clips' labels for every clip."""
        return np.full(int(test.sum()), float(np.median(self.clips.valence[known])))

    def _examples(self, known: NDArray[np.bool_], names: Sequence[Modality]) -> list[Example]:
        rows = {name: standardised(self.clips.features[name], known) for name in names}
        return [
            Example(
                {name: torch.from_numpy(rows[name][index]) for name in names},
                float(valence),
                int(valence_class(valence)),
            )
            for index, valence in enumerate(self.clips.valence)
        ]

    def _sizes(self) -> SemiIINConfig:
        widths = {
            f"{name}_width": int(rows[0].shape[1]) for name, rows in self.clips.features.items()
        }
        return SemiIINConfig.from_dict({**self.config.model, **widths})


Predict = Callable[[NDArray[np.bool_], NDArray[np.bool_], int], Floats]
"""Masks (n,) of the training and of the tested clips and a seed, to predictions of the latter."""

Repeated = dict[str, list[Floats]]
"""Model to out-of-fold predictions (n,) of each repetition."""


def predictions(bench: ClipBench, report: Report = lambda progress: None) -> Repeated:
    """Return every model's out-of-fold predictions; those that are stored are not made again."""
    names = bench.modalities
    many, few = bench.chosen.repetitions, bench.chosen.ablation_repetitions
    every = {**_singles(bench), **_ablation(bench), RIDGE: bench.ridge(names)}
    every |= {_ridge_of(name): bench.ridge([name]) for name in names}
    every[CONSTANT] = bench.constant
    counts = {
        model: min(few, many) if model in VARIANTS and model != SEMI_IIN else many
        for model in every
    }
    made: Repeated = {model: [] for model in every}
    for done, (model, repetition) in enumerate(
        (model, repetition)
        for repetition in range(many)
        for model, count in counts.items()
        if repetition < count
    ):
        report(Progress(bench.chosen.title, done, sum(counts.values()), math.nan))
        made[model].append(_stored(bench, model, repetition, every[model]))
    made[LATE] = _late(bench, [made[_only(name)] for name in names])
    made[RIDGE_LATE] = _late(bench, [made[_ridge_of(name)] for name in names])
    return made


def _singles(bench: ClipBench) -> dict[str, Predict]:
    return {_only(name): bench.semi_iin({}, [name]) for name in bench.modalities}


def _ablation(bench: ClipBench) -> dict[str, Predict]:
    return {name: bench.semi_iin(ABLATION[name], bench.modalities) for name in VARIANTS}


def _only(name: Modality) -> str:
    return f"Semi-IIN, {name} alone"


def _ridge_of(name: Modality) -> str:
    return f"ridge, {name} alone"


def _late(bench: ClipBench, singles: Sequence[Sequence[Floats]]) -> list[Floats]:
    """Return the late fusion of single modalities' predictions, by repetition."""
    return [
        late_fusion(np.column_stack(of_models), bench.clips.valence, bench.fold(repetition))
        for repetition, of_models in enumerate(zip(*singles, strict=True))
    ]


def _stored(bench: ClipBench, model: str, repetition: int, predict: Predict) -> Floats:
    """Return a repetition's predictions, from its file where it was done before."""
    words = "".join(letter if letter.isalnum() else " " for letter in model).split()
    path = bench.directory / "-".join(words).lower() / f"{repetition:02d}.npy"
    if not path.exists():
        _store(path, bench.out_of_fold(repetition, predict))
    stored: Floats = np.load(path, allow_pickle=False)
    return stored


def _store(path: Path, array: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, array)
    os.replace(partial, path)


def _digest(config: SameUtterance, chosen: SetSettings) -> str:
    """Return a folder's name; other settings have another."""
    counts = {"title", "repetitions", "ablation_repetitions"}
    content = chosen.model_dump_json(exclude=counts) + config.model_dump_json(
        include={"model", "training", "objective"}
    )
    return f"{chosen.kind}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def table(clips: Clips, repeated: Repeated, resamples: int = evaluate.RESAMPLES) -> str:
    """Return a set's Markdown table.

    A metric is the mean over the repetitions. Its interval draws clips, by their group; the last
    column's interval is of the difference on the same draws and repetitions.
    """
    metrics = _columns(clips)
    main = metrics[0]
    heads = ["model", *(COLUMNS[name] for name in metrics), f"{COLUMNS[main]} − Semi-IIN's"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    weights = _weights(clips, resamples)
    drawn = {
        model: {name: _draws(clips, rows, name, weights) for name in metrics}
        for model, rows in repeated.items()
    }
    for model in _order(repeated):
        cells = [_mean_cell(drawn[model][name]) for name in metrics]
        count = min(len(drawn[model][main]), len(drawn[SEMI_IIN][main]))
        difference = drawn[model][main][:count] - drawn[SEMI_IIN][main][:count]
        cells.append("" if model == SEMI_IIN else _mean_cell(difference))
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _columns(clips: Clips) -> tuple[str, ...]:
    if clips.emotions:
        return ("sign_auc", "valence_sign_balanced_accuracy")
    return ("mae", "corr", "acc2_nonzero")


def _order(repeated: Repeated) -> list[str]:
    """Return the models: Semi-IIN, single modalities, late fusion, its variants, the others."""
    first = [SEMI_IIN, *(name for name in repeated if name.endswith(" alone")
                         and name.startswith("Semi-IIN")), LATE]  # fmt: skip
    variants = [name for name in VARIANTS if name != SEMI_IIN and name in repeated]
    last = [name for name in repeated if name.startswith("ridge, ")]
    return [*first, *variants, *last, CONSTANT]


def _weights(clips: Clips, resamples: int) -> Floats:
    """Return weights (1 + R, n): all clips, then the resamples."""
    groups = None if len(set(clips.groups)) == len(clips.groups) else clips.groups
    drawn = evaluate.bootstrap_weights(len(clips.valence), groups, resamples)
    return np.concatenate([np.ones((1, len(clips.valence))), *drawn])


def _draws(clips: Clips, rows: Sequence[Floats], name: str, weights: Floats) -> Floats:
    """Return a metric (repetitions, 1 + R) of each repetition's predictions."""
    values = []
    for predicted in rows:
        metrics = (
            evaluate.emotion_metrics(predicted, np.array(clips.emotions))
            if clips.emotions
            else evaluate.valence_metrics(predicted, clips.valence)
        )
        values.append(metrics[name](weights))
    return np.array(values)


def _mean_cell(draws: Floats) -> str:
    """Return the mean over the repetitions with the interval of that mean."""
    means = draws.mean(axis=0)
    value = None if np.isnan(means[0]) else float(means[0])
    return cell({"value": value, "ci95": evaluate.interval(means[1:])})
