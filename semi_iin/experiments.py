"""Experiments on Semi-IIN: a checkpoint's metrics, ablations, the sweep over k, gate shares.

What enters: examples or clips with labels. What leaves: records of numbers, and tables of them as
Markdown and CSV. It does not know how data are read or encoded, nor command lines.
"""

import csv
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semi_iin import checkpoint as checkpoints
from semi_iin import evaluate
from semi_iin.calibration import class_probabilities, combination
from semi_iin.data.features import load_array
from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders, collate
from semi_iin.labels import CLASS_NAMES, POLARITIES, valence_class
from semi_iin.model import MODALITIES, Modality, SemiIIN, SemiIINConfig
from semi_iin.predict import Prediction, Predictor
from semi_iin.run import Prepared, RunConfig, SelfTraining, build_model, held_examples, prepare
from semi_iin.self_training import self_train
from semi_iin.train import (
    Compose,
    Example,
    Objective,
    Report,
    SentimentTask,
    Training,
    fit,
    load,
    score,
)

CHUNK = 128  # clips in memory at a time
METRICS = ("mae", "corr", "acc2_nonneg", "acc2_nonzero", "f1_nonneg", "f1_nonzero", "acc7")
Row = dict[str, Any]
Advance = Callable[[int, int], None]  # done, of how many


# --- a checkpoint on data -------------------------------------------------------------------------


def evaluate_checkpoint(
    checkpoint: str | Path,
    samples: Sequence[Sample],
    *,
    context: bool = True,
    modalities: Sequence[str] | None = None,
    device: str = "auto",
    resamples: int = evaluate.RESAMPLES,
    advance: Advance = lambda done, total: None,
) -> dict[str, Any]:
    """Measure a checkpoint on samples of one data set, by what they are labelled with.

    Args:
        checkpoint: a directory, or "default".
        samples: with a valence (any modality, or ready features) or an emotion (voices or faces).
        context: False withholds what was said before.
        modalities: the only ones to read; None = all that the checkpoint knows.
        device: as for `Predictor`.
        resamples: of the bootstrap.
        advance: is told how many samples are scored, of how many.

    Returns:
        As `evaluate_valence`, with `acc3` and `f1_3class` besides where all labels are words such
        as negative; or as `evaluate_emotions`.

    Raises:
        SemiIINError: for an unfit checkpoint, data without labels, or media that cannot be read.
    """
    loaded = checkpoints.load(checkpoint)
    if samples and samples[0].features:
        examples = [_ready(sample) for sample in samples if sample.label is not None]
        temperatures = loaded.config.get("temperatures", {})
        return report_examples(
            loaded.build_model(), examples, temperatures=temperatures, resamples=resamples
        )
    predictor = Predictor.from_checkpoint(loaded.path, device=device, modalities=modalities)
    felt: Modality | None = None
    if all(sample.label is None for sample in samples):
        felt = "vision" if samples and samples[0].face is not None else "audio"
        if not loaded.config["encoders"].get(felt, {}).get("emotions"):
            felt = None
    predictions: list[Prediction] = []
    emotions: list[str | None] = []
    for first in range(0, len(samples), CHUNK):
        clips = [sample.clip() for sample in samples[first : first + CHUNK]]
        if not context:
            clips = [replace(clip, context=None) for clip in clips]
        predictions += predictor.predict(clips)
        emotions += predictor.emotions(clips, felt) if felt in predictor.modalities else []
        advance(len(predictions), len(samples))
    if not any(prediction.modalities for prediction in predictions):
        raise SemiIINError(
            f"no sample holds anything that the checkpoint reads: {', '.join(predictor.modalities)}"
        )
    return report_samples(samples, predictions, emotions or None, resamples=resamples)


def report_samples(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    emotions: Sequence[str | None] | None = None,
    *,
    resamples: int = evaluate.RESAMPLES,
) -> dict[str, Any]:
    """Metrics of predictions, by what the samples are labelled with.

    Samples with a valence are measured by it; where all valences are -1, 0 or 1, as words such as
    negative are read, `acc3` and `f1_3class` are added. Else samples with an emotion are.

    Raises:
        SemiIINError: when no sample has a label.
    """
    scored = [index for index, sample in enumerate(samples) if sample.label is not None]
    if scored:
        label = [samples[index].label or 0.0 for index in scored]
        valence = [predictions[index].valence for index in scored]
        report = evaluate.evaluate_valence(
            valence,
            label,
            [predictions[index].class_probabilities for index in scored],
            resamples=resamples,
        )
        if set(label) <= {-1.0, 0.0, 1.0}:
            words = [POLARITIES[int(value) + 1] for value in label]
            report |= evaluate.evaluate_polarity(valence, words, resamples=resamples)
        return report
    felt = [index for index, sample in enumerate(samples) if sample.emotion is not None]
    if not felt:
        raise SemiIINError("the data have no labels to evaluate against")
    return evaluate.evaluate_emotions(
        [predictions[index].valence for index in felt],
        [samples[index].emotion or "" for index in felt],
        None if emotions is None else [emotions[index] for index in felt],
        resamples=resamples,
    )


def report_examples(
    model: SemiIIN,
    examples: Sequence[Example],
    *,
    temperatures: Mapping[str, float] | None = None,
    resamples: int = evaluate.RESAMPLES,
) -> dict[str, Any]:
    """Metrics of a model on ready features with valence labels."""
    labelled = [example for example in examples if example.valence is not None]
    if not labelled:
        raise SemiIINError("the features have no labels to evaluate against")
    valence, logits = score(model, labelled)
    shown = [combination(example.features) for example in labelled]
    probabilities = class_probabilities(logits, shown, temperatures or {})
    label = [example.valence or 0.0 for example in labelled]
    return evaluate.evaluate_valence(valence, label, probabilities, resamples=resamples)


def _ready(sample: Sample) -> Example:
    """A sample with ready features and a label, as the model takes it."""
    valence = sample.label or 0.0
    return Example(
        features=dict(sample.features),
        valence=valence,
        sentiment=int(valence_class(valence)),
    )


# --- ablation and sweep ---------------------------------------------------------------------------

# What each row of the ablation changes in the model's configuration.
ABLATION: dict[str, dict[str, Any]] = {
    "intra + inter, gate (Semi-IIN)": {"variant": "gate"},
    "global attention": {"variant": "global"},
    "global attention, no position embedding (release)": {
        "variant": "global",
        "use_position_embedding": False,
    },
    "intra only": {"variant": "intra"},
    "inter only": {"variant": "inter"},
    "intra + inter, sum": {"variant": "sum"},
    "intra + inter, product": {"variant": "product"},
    "intra + inter, concatenation": {"variant": "concat"},
    "gate, no attention dropout": {"variant": "gate", "attention_dropout": 0.0},
    "gate, attention dropout 0.3": {"variant": "gate", "attention_dropout": 0.3},
    "gate, sparse attention (16 keys)": {"variant": "gate", "sparse_top_k": 16},
    "gate, sparse attention (4 keys)": {"variant": "gate", "sparse_top_k": 4},
    "gate, entropy regularisation 0.01": {"variant": "gate", "entropy_weight": 0.01},
    "gate, entropy regularisation 0.1": {"variant": "gate", "entropy_weight": 0.1},
}


@dataclass(frozen=True)
class Bench:
    """What every run of an experiment shares.

    Attributes:
        config: of the model.
        examples: labelled ones that train.
        selection: labelled ones that select.
        reported: labelled ones that are measured, and neither of the above.
        training: of every fit.
        directory: of the runs; one that is finished is not run again.
        objective: the loss.
        compose: as for `SentimentTask`.
        device: where.
    """

    config: SemiIINConfig
    examples: Sequence[Example]
    selection: Sequence[Example]
    reported: Sequence[Example]
    training: Training
    directory: Path
    objective: Objective
    compose: Compose | None = None
    device: torch.device | str = "cpu"

    @classmethod
    def prepare(
        cls,
        config: RunConfig,
        run: Path,
        experiment: str,
        data_root: str | Path | None = None,
        report: Report = lambda progress: None,
    ) -> tuple["Bench", Prepared]:
        """What a configuration's run has before Semi-IIN is trained, for an experiment's own runs.

        The reported part is that of the data sets, composed with voices and faces where those
        stand apart; see `run.Part`.

        Raises:
            SemiIINError: as `run.prepare`, and when the data have no part to report.
        """
        ready = prepare(config, run, data_root, report)
        held = [(part.name, part.reported) for part in ready.parts]
        reported = held_examples(held, ready.encoders, run, config.seed, report)
        if not reported:
            raise SemiIINError(
                "the data have no part to report: none is a test part, and no data set carves its "
                "selection from the training part (set its `selection`)"
            )
        bench = cls(
            config=build_model(config, ready.encoders).config,
            examples=ready.examples,
            selection=ready.selection,
            reported=reported,
            training=config.training,
            directory=run / experiment,
            objective=config.objective,
            compose=ready.compose,
            device=ready.device,
        )
        return bench, ready

    def build(self, seed: int, changes: Mapping[str, Any] | None = None) -> SemiIIN:
        """A fresh model of a seed, with changes to its configuration."""
        torch.manual_seed(seed)
        return SemiIIN(replace(self.config, **(changes or {})))

    def train(self, model: SemiIIN, place: Path, seed: int, report: Report) -> None:
        """Supervised training of a model, in a directory of its own."""
        task = SentimentTask(
            model,
            self.examples,
            self.selection,
            batch_size=self.training.batch_size,
            objective=self.objective,
            seed=seed,
            compose=self.compose,
        )
        fit(task, self.training, place, seed=seed, device=self.device, report=report)

    def measure(self, model: SemiIIN) -> dict[str, dict[str, float]]:
        """The values of the usual metrics on each reported part; NaN where undefined."""
        parts: dict[str, list[Example]] = {}
        for example in self.reported:
            parts.setdefault(example.part, []).append(example)
        measured = {}
        for part, examples in parts.items():
            report = report_examples(model, examples, resamples=0)
            values = {name: report[name]["value"] for name in METRICS}
            measured[part] = {
                name: float("nan") if value is None else value for name, value in values.items()
            }
        return measured


def ablate(
    bench: Bench,
    seeds: Sequence[int],
    rows: Mapping[str, Mapping[str, Any]] | None = None,
    report: Report = lambda progress: None,
) -> list[Row]:
    """Train each row of the ablation with each seed.

    Returns:
        One record for each row and reported part: `model`, `part`, `seeds`, and each metric's
        values over the seeds.
    """
    chosen = ABLATION if rows is None else rows
    records = []
    for name, changes in chosen.items():
        measured = []
        for seed in seeds:
            model = bench.build(seed, changes)
            bench.train(model, bench.directory / _slug(name) / f"seed-{seed}", seed, report)
            measured.append(bench.measure(model))
        records += _gather({"model": name}, measured)
    return records


def sweep_k(
    bench: Bench,
    unlabeled: Sequence[Example],
    seeds: Sequence[int],
    ks: Sequence[int],
    shares: Sequence[float],
    settings: SelfTraining | None = None,
    report: Report = lambda progress: None,
) -> list[Row]:
    """Self-train with each k and each share of the unlabeled data.

    The supervised training of a seed is shared by all of its runs. Self-training trains again from
    its weights, which alone changes the model: the control is trained again on the labels alone.

    Returns:
        With k = 0 and share = 0 the supervised model (`retrained` is no) and the control (yes);
        then one record for each pair and reported part: `retrained`, `k`, `share`, `kept`
        (pseudo-labels over the seeds), `part`, `seeds`, and each metric's values over the seeds.
    """
    base = settings or SelfTraining()
    records = []
    grid: list[tuple[str, int, float]] = [("no", 0, 0.0), ("yes", 0, 0.0)]
    grid += [("yes", k, share) for k, share in product(ks, shares)]
    for retrained, k, share in grid:
        measured, kept = [], []
        for seed in seeds:
            model = bench.build(seed)
            supervised = bench.directory / "supervised" / f"seed-{seed}"
            if k:
                chosen = base.model_copy(update={"k": k, "share": share})
                rounds = self_train(
                    model,
                    bench.examples,
                    bench.selection,
                    unlabeled,
                    bench.directory / f"k-{k}-share-{share:g}" / f"seed-{seed}",
                    settings=chosen,
                    training=bench.training,
                    objective=bench.objective,
                    compose=bench.compose,
                    supervised=supervised,
                    seed=seed,
                    device=bench.device,
                    report=report,
                )
                kept.append(float(len(rounds[-1].kept)))
            else:
                bench.train(model, supervised, seed, report)
                if retrained == "yes":
                    bench.train(model, bench.directory / "again" / f"seed-{seed}", seed, report)
                kept.append(0.0)
            measured.append(bench.measure(model))
        row = {"retrained": retrained, "k": k, "share": share, "kept": kept}
        records += _gather(row, measured)
    return records


# --- spoilt modalities ----------------------------------------------------------------------------

ROBUSTNESS_ROWS = ("intra + inter, gate (Semi-IIN)", "global attention")
CLEAR_VALENCE = 0.5  # a label of at least this size has a sign to contradict


def spoil(examples: Sequence[Example], seed: int = 0) -> dict[str, list[Example]]:
    """What is measured of each model: modalities withheld, contradicting, or replaced by noise.

    Args:
        examples: labelled, in any order; those with every modality that any of them has, and with
            a label of a clear sign, are used, so that all conditions hold the same examples.
        seed: of chance.

    Returns:
        Condition to examples. `X contradicts`: X is taken from an example of the other sign.
        `X is noise`: X is Gaussian, with each channel's mean and deviation over the examples.

    Raises:
        SemiIINError: when there are not two modalities, or not both signs.
    """
    names = [name for name in MODALITIES if any(name in example.features for example in examples)]
    used = [
        example
        for example in examples
        if len(example.features) == len(names) and abs(example.valence or 0.0) >= CLEAR_VALENCE
    ]
    signs = [(example.valence or 0.0) > 0 for example in used]
    if len(names) < 2 or len(set(signs)) < 2:
        raise SemiIINError(
            "spoilt modalities need examples of two or more modalities and of both signs: add data "
            "with voices or faces"
        )
    random = np.random.default_rng(seed)
    conditions: dict[str, list[Example]] = {"nothing spoilt": used}
    for count in range(len(names) - 1, 0, -1):
        for subset in combinations(names, count):
            conditions["only " + " + ".join(subset)] = [
                replace(example, features={name: example.features[name] for name in subset})
                for example in used
            ]
    for name in names:
        others = {
            sign: [example for example, own in zip(used, signs, strict=True) if own != sign]
            for sign in (True, False)
        }
        conditions[f"{name} contradicts"] = [
            _with(example, name, others[sign][int(random.integers(len(others[sign])))])
            for example, sign in zip(used, signs, strict=True)
        ]
        conditions[f"{name} is noise"] = _noisy(used, name, random)
    return conditions


def robustness(
    bench: Bench, seeds: Sequence[int], report: Report = lambda progress: None
) -> list[Row]:
    """Semi-IIN and the global-attention baseline on spoilt modalities.

    The models are those of the ablation, and are shared with it.

    Returns:
        One record for each condition and model: `condition`, `model`, `n`, `seeds`, `mae`, and
        `degradation`, the error above that of the same model with nothing spoilt.
    """
    conditions = spoil(bench.reported)
    records = []
    measured: dict[str, dict[str, list[float]]] = {}
    for name in ROBUSTNESS_ROWS:
        measured[name] = {condition: [] for condition in conditions}
        for seed in seeds:
            model = bench.build(seed, ABLATION[name])
            place = bench.directory.parent / "ablation" / _slug(name) / f"seed-{seed}"
            bench.train(model, place, seed, report)
            for condition, examples in conditions.items():
                valence, _ = score(model, examples)
                label = np.array([example.valence for example in examples])
                measured[name][condition].append(float(np.abs(valence - label).mean()))
    for condition, examples in conditions.items():
        for name in ROBUSTNESS_ROWS:
            clean, errors = measured[name]["nothing spoilt"], measured[name][condition]
            records.append(
                {
                    "condition": condition,
                    "model": name,
                    "n": len(examples),
                    "seeds": len(seeds),
                    "mae": errors,
                    "degradation": [a - b for a, b in zip(errors, clean, strict=True)],
                }
            )
    return records


def _with(example: Example, name: Modality, other: Example) -> Example:
    return replace(example, features={**example.features, name: other.features[name]})


def _noisy(
    examples: Sequence[Example], name: Modality, random: np.random.Generator
) -> list[Example]:
    """Examples with one modality replaced by noise of its own mean and deviation."""
    values = [_tensor(example.features[name]) for example in examples]
    frames = torch.cat(values)
    mean, deviation = frames.mean(dim=0).numpy(), frames.std(dim=0).numpy()
    return [
        replace(
            example,
            features={
                **example.features,
                name: torch.from_numpy(
                    random.normal(mean, deviation, tuple(value.shape)).astype(np.float32)
                ),
            },
        )
        for example, value in zip(examples, values, strict=True)
    ]


def _tensor(value: torch.Tensor | Path) -> torch.Tensor:
    """Features in memory, of a file where they are on disk. (L, D) float32."""
    return load_array(value) if isinstance(value, Path) else value.float()


# --- gates ----------------------------------------------------------------------------------------

INTENSITIES = ("0", "(0, 1]", "(1, 2]", "(2, 3]")


def gate_shares(
    model: SemiIIN,
    examples: Sequence[Example],
    advance: Advance = lambda done, total: None,
) -> list[Row]:
    """How far the gate leans on inter-modal interaction, by example and subset of modalities.

    Args:
        model: with a gate; it is set to evaluation.
        examples: labelled; each is scored with every subset of the modalities that it has.
        advance: is told after every subset.

    Returns:
        One record for each example and subset: `part`, `modalities`, `class`, `intensity`,
        `valence_gate` and `class_gate`.

    Raises:
        SemiIINError: when the model has no gate.
    """
    if model.config.variant != "gate":
        raise SemiIINError(f"the model has no gate: its variant is {model.config.variant}")
    model.eval()
    subsets: list[tuple[Modality, ...]] = [
        subset for count in range(1, 4) for subset in combinations(MODALITIES, count)
    ]
    records: list[Row] = []
    for done, subset in enumerate(subsets, start=1):
        having = [
            replace(example, features={name: example.features[name] for name in subset})
            for example in examples
            if all(name in example.features for name in subset)
        ]
        for first in range(0, len(having), CHUNK):
            records += _gate_records(model, having[first : first + CHUNK], " + ".join(subset))
        advance(done, len(subsets))
    return records


def _gate_records(model: SemiIIN, examples: Sequence[Example], modalities: str) -> list[Row]:
    device = next(model.parameters()).device
    batch = collate([load(example, model.config) for example in examples])
    with torch.inference_mode():
        output = model(**{name: value.to(device) for name, value in batch.inputs().items()})
    return [
        {
            "part": example.part,
            "modalities": modalities,
            "class": CLASS_NAMES[example.sentiment],
            "intensity": _intensity(example.valence or 0.0),
            "valence_gate": val,
            "class_gate": cls,
        }
        for example, val, cls in zip(
            examples, output.valence_gate.tolist(), output.class_gate.tolist(), strict=True
        )
    ]


def encode_samples(
    encoders: Encoders, samples: Sequence[Sample], advance: Advance = lambda done, total: None
) -> list[Example]:
    """Labelled samples of one data set as a checkpoint's model takes them."""
    labelled = [sample for sample in samples if sample.label is not None]
    examples: list[Example] = []
    for first in range(0, len(labelled), CHUNK):
        chunk = labelled[first : first + CHUNK]
        if chunk[0].features:
            examples += [_ready(sample) for sample in chunk]
        else:
            rows = encoders.rows([sample.clip() for sample in chunk])
            examples += [
                replace(_ready(sample), features=row)
                for sample, row in zip(chunk, rows, strict=True)
            ]
        advance(len(examples), len(labelled))
    return [example for example in examples if example.features]


def summarise_gates(records: Sequence[Row], by: str) -> list[Row]:
    """Gate shares grouped by `modalities`, `class` or `intensity`, within each subset.

    Returns:
        One record for each group that has clips: `modalities`, `by`, `n`, and the gates' values.
    """
    order = {"class": list(CLASS_NAMES), "intensity": list(INTENSITIES)}.get(by, [])
    groups: dict[tuple[str, str], list[Row]] = {}
    for record in records:
        groups.setdefault((record["modalities"], record[by]), []).append(record)
    subsets = list(dict.fromkeys(record["modalities"] for record in records))

    def place(key: tuple[str, str]) -> tuple[int, int]:
        return subsets.index(key[0]), order.index(key[1]) if order else 0

    return [
        {"modalities": key[0]}
        | ({by: key[1]} if order else {})
        | {
            "n": len(groups[key]),
            "valence_gate": [record["valence_gate"] for record in groups[key]],
            "class_gate": [record["class_gate"] for record in groups[key]],
        }
        for key in sorted(groups, key=place)
    ]


def plot_gates(records: Sequence[Row], path: Path) -> None:
    """Draw gate shares by class and by intensity, one line for each subset of modalities."""
    figure, axes = _figure(2)
    for axis, by in zip(axes, ("class", "intensity"), strict=True):
        rows = summarise_gates(records, by)
        for subset in dict.fromkeys(row["modalities"] for row in rows):
            own = [row for row in rows if row["modalities"] == subset]
            axis.plot(
                [row[by] for row in own],
                [statistics.fmean(row["valence_gate"]) for row in own],
                marker="o",
                label=subset,
            )
        axis.set_xlabel(f"sentiment {by}")
        axis.set_ylabel("inter-modal share of the valence gate")
        axis.tick_params(axis="x", rotation=30)
    axes[0].legend()
    _save(figure, path)


def plot_sweep(records: Sequence[Row], path: Path) -> None:
    """Draw MAE and correlation against k, one line for each share, with one sd over the seeds.

    Every reported part has a row of its own.
    """
    parts = list(dict.fromkeys(record["part"] for record in records))
    figure, axes = _figure(2, rows=len(parts))
    for place, (part, metric) in enumerate(product(parts, ("mae", "corr"))):
        axis = axes[place]
        of_part = [record for record in records if record["part"] == part]
        for line, label, retrained in (
            ("--", "supervised", "no"),
            (":", "trained again on the labels alone", "yes"),
        ):
            control = next(
                record
                for record in of_part
                if record["k"] == 0 and record["retrained"] == retrained
            )
            axis.axhline(statistics.fmean(control[metric]), color="grey", ls=line, label=label)
        for share in sorted({record["share"] for record in of_part if record["k"]}):
            own = [record for record in of_part if record["share"] == share and record["k"]]
            axis.errorbar(
                [record["k"] for record in own],
                [statistics.fmean(record[metric]) for record in own],
                yerr=[_deviation(record[metric]) for record in own],
                marker="o",
                capsize=3,
                label=f"{share:.0%} of the unlabeled",
            )
        axis.set_xscale("log")
        axis.set_xlabel("k")
        axis.set_ylabel(f"{part} {metric}".strip())
    lines, labels = axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=2)
    _save(figure, path)


# --- tables ---------------------------------------------------------------------------------------


def markdown(records: Sequence[Row]) -> str:
    """A Markdown table of records; lists of values become mean ± sd."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    lines += [
        "| " + " | ".join(_cell(record.get(name, "")) for name in columns) + " |"
        for record in records
    ]
    return "\n".join(lines) + "\n"


def write_table(records: Sequence[Row], path: Path) -> None:
    """Write `path` with the suffix .md, and .csv with means and deviations in columns apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".md").write_text(markdown(records), encoding="utf-8")
    flat = [dict(_flatten(record)) for record in records]
    columns = list(dict.fromkeys(name for record in flat for name in record))
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(flat)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        mean = f"{statistics.fmean(value):.3f}"
        return mean if len(value) < 2 else f"{mean} ± {_deviation(value):.3f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flatten(record: Row) -> Iterable[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, list):
            yield f"{name}_mean", statistics.fmean(value)
            yield f"{name}_sd", _deviation(value)
        else:
            yield name, value


def _deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample; 0 of a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _gather(first: Row, measured: Sequence[Mapping[str, Mapping[str, float]]]) -> list[Row]:
    """One record for each part, of several seeds' metrics by part."""
    return [
        first
        | {"part": part, "seeds": len(measured)}
        | {name: [seed[part][name] for seed in measured] for name in METRICS}
        for part in measured[0]
    ]


def _intensity(label: float) -> str:
    return INTENSITIES[int(np.ceil(min(abs(label), 3.0)))]


def _slug(name: str) -> str:
    words = "".join(letter if letter.isalnum() or letter == "." else " " for letter in name)
    return "-".join(words.lower().split())


def _figure(columns: int, rows: int = 1) -> tuple[Any, Any]:
    """A figure and its axes, row after row."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise SemiIINError("plots need matplotlib: install streamer[train]") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (6 * columns, 4.5 * rows)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained")
    return figure, axes.flat


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
