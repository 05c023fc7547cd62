"""The reported data, on which no released checkpoint trains, and a checkpoint's numbers on it.

What enters: a checkpoint and the folder of the data sets. What leaves: every metric with its
interval, and Markdown tables. A data set that is not in the folder is left out.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from semi_iin import checkpoint as checkpoints
from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError
from semi_iin.examples import measured_examples
from semi_iin.experiments import disturbance
from semi_iin.experiments.evaluation import evaluate_checkpoint, report_examples
from semi_iin.features import Encoders
from semi_iin.loop import Progress, Report
from semi_iin.modalities import Modality
from semi_iin.parts import read_parts
from semi_iin.settings import Data, RunConfig
from semi_iin.task import only as only_of

Metrics = dict[str, Any]  # name of a measurement to a report of `semi_iin.evaluate`


@dataclass(frozen=True)
class Reported:
    """One data set that is reported.

    Attributes:
        title: of its rows.
        data: where it is and how it is split; its `reported` part is measured.
        modality: that it measures.
        columns: metrics that mean something on it.
    """

    title: str
    data: Data
    modality: Modality
    columns: tuple[str, ...]


_DEGREE = ("mae", "corr", "acc2_nonneg", "acc2_nonzero", "acc7", "ece")
_SIGN = ("acc3", "f1_3class", "sign_auc", "neutral_beyond_1")
_EMOTION = ("valence_sign_balanced_accuracy", "accuracy")
_VOICE = ("valence_sign_balanced_accuracy", "sign_auc", "accuracy")
_HEARD = ("corr", "sign_auc")  # no error: the votes' zero lies elsewhere (`semi_iin.perceived`)
_CORR = ("corr",)
_CALIBRATION = {
    _DEGREE: "ece",
    _SIGN: "ece_polarity",
    _EMOTION: "ece_sign",
    _VOICE: "ece_sign",
    _HEARD: "ece_sign",
    _CORR: "",  # EmoBank's scale is another
}
CLASSES = {
    "ece": "seven",
    "ece_polarity": "negative, neutral, positive",
    "ece_sign": "negative, positive",
}
COMPOSED = "composed "

REPORTED: Mapping[str, Reported] = {
    "mosi": Reported(
        "MOSI valid", Data(path="mosi/mosi_text.csv", selection=12), "text", _DEGREE
    ),
    "mosei": Reported(
        "MOSEI valid", Data(path="mosei/mosei_text.csv", selection=20), "text", _DEGREE
    ),
    "meld": Reported(
        "MELD dev", Data(path="meld/meld_dev.csv", selection=40), "text", _SIGN
    ),
    "goemotions": Reported(
        "GoEmotions dev",
        Data(path="goemotions/dev.csv", format="goemotions", selection=40),
        "text",
        _SIGN,
    ),
    "emorynlp": Reported(
        "EmoryNLP dev",
        Data(path="emorynlp/dev.csv", format="emorynlp", selection=40),
        "text",
        _SIGN,
    ),
    "dailydialog": Reported(
        "DailyDialog, half of validation",
        Data(path="dailydialog/validation.csv", format="dailydialog", reported=2),
        "text",
        _SIGN,
    ),
    "emobank": Reported(
        "EmoBank dev",
        Data(path="emobank/emobank.csv", format="emobank", selection=40),
        "text",
        _CORR,
    ),
    "ravdess": Reported(
        "RAVDESS, actors 17 to 20, voice alone",
        Data(path="ravdess", format="ravdess", selection=8),
        "audio",
        _VOICE,
    ),
    "crema-d": Reported(
        "CREMA-D, actors 1070 to 1079, voice alone",
        Data(path="crema-d", format="crema-d", selection=14),
        "audio",
        _HEARD,
    ),
    "fer2013": Reported(
        "FER2013 public test, face alone",
        Data(path="fer2013/public_test.npz", format="expression-npz"),
        "vision",
        _EMOTION,
    ),
}  # fmt: skip
COLUMNS = {
    "mae": "MAE", "corr": "Corr", "acc2_nonneg": "Acc-2 (neg / non-neg)",
    "acc2_nonzero": "Acc-2 (neg / pos)", "acc7": "Acc-7", "ece": "ECE", "acc3": "3-class accuracy",
    "f1_3class": "3-class weighted F1", "sign_auc": "AUC (neg / pos)",
    "neutral_beyond_1": "neutral beyond ±1",
    "valence_sign_balanced_accuracy": "sign, balanced accuracy",
    "accuracy": "classes, accuracy of the encoder",
}  # fmt: skip


def measure(
    checkpoint: str | Path,
    root: Path,
    *,
    only: Collection[str] = (),
    disturb: Sequence[float] = (),
    device: str = "cpu",
    dtype: str = "float32",
    report: Report = lambda progress: None,
) -> Metrics:
    """Measure a checkpoint on every reported data set that it can read.

    Args:
        checkpoint: a directory, or the name of one in this package.
        root: the folder of the data sets.
        only: names in `REPORTED`; none = all.
        disturb: shares of the words that are disturbed (see `disturbance.disturb`): then texts
            alone are measured, with each of the shares; none = everything, as it is.
        device: as for `Predictor`.
        dtype: as for `Predictor`.
        report: called while samples are scored.

    Returns:
        A report by name; texts with context also a second time without, as `NAME_no_context`.
        The name of disturbed texts ends in their share, as in `NAME_no_context_disturbed_0.05`.

    Raises:
        SemiIINError: for an unfit checkpoint, an unknown name, malformed data, or no data set at
            all.
    """
    unknown = sorted(set(only) - REPORTED.keys())
    if unknown:
        raise SemiIINError(f"{unknown[0]} is not reported: choose from {', '.join(REPORTED)}")
    reads = checkpoints.load(checkpoint).config.get("encoders", {})
    metrics: Metrics = {}
    for name, reported in REPORTED.items():
        if reported.modality not in reads or not (root / reported.data.path).exists():
            continue
        if (only and name not in only) or (disturb and reported.modality != "text"):
            continue
        for key, samples, context in _readings(name, reported_samples(reported, root), disturb):
            metrics[key] = evaluate_checkpoint(
                checkpoint,
                samples,
                context=context,
                device=device,
                dtype=dtype,
                advance=partial(_show, report, key),
            )
    if not metrics:
        raise SemiIINError(f"{root} has none of the reported data sets that {checkpoint} can read")
    return metrics


def _readings(
    name: str, samples: Sequence[Sample], disturb: Sequence[float]
) -> Iterator[tuple[str, Sequence[Sample], bool]]:
    """Yield name, samples and use of context of each measurement of a data set."""
    contexts = [True, False] if any(sample.context for sample in samples) else [True]
    for context in contexts:
        key = name if context else f"{name}_no_context"
        if not disturb:
            yield key, samples, context
        for share in disturb:
            yield f"{key}_disturbed_{share:g}", disturbance.disturb(samples, share), context


def _show(report: Report, name: str, done: int, total: int) -> None:
    report(Progress(name, done, total, math.nan))


def reported_samples(reported: Reported, root: Path) -> list[Sample]:
    """Read the reported part of a data set."""
    (part,) = read_parts(RunConfig(name="reported", data=(reported.data,)), root)
    return part.reported


def composed(
    checkpoint: str | Path,
    config: RunConfig,
    root: Path,
    cache: Path,
    report: Report = lambda progress: None,
) -> Metrics:
    """Measure a checkpoint on composed clips, with every subset of their modalities.

    Args:
        checkpoint: a directory, or the name of one in this package.
        config: its run, whose reported parts are composed.
        root: the folder of the data sets.
        cache: the directory in which features are kept.
        report: called while data are encoded.

    Returns:
        A report for each subset, as `composed audio + text`; none for a checkpoint of one modality.
    """
    loaded = checkpoints.load(checkpoint)
    encoders = Encoders.build(loaded.config["encoders"], loaded.tensors)
    if len(encoders.modalities) < 2:
        return {}
    parts = [(part.name, part.reported) for part in read_parts(config, root)]
    examples = [
        example
        for example in measured_examples(parts, encoders, cache, config.seed, report)
        if example.part == "composed"
    ]
    model = loaded.build_model()
    return {
        COMPOSED + " + ".join(names): report_examples(
            model, [only_of(example, names) for example in examples], calibration=loaded.config
        )
        for count in range(len(encoders.modalities), 0, -1)
        for names in combinations(encoders.modalities, count)
    }


def composed_table(metrics: Metrics) -> str:
    """Return the measurements of composed clips as a Markdown table; "" without any."""
    rows = {name: name.capitalize() for name in metrics if name.startswith(COMPOSED)}
    return markdown(metrics, rows, _DEGREE) if rows else ""


def calibration_table(metrics: Metrics) -> str:
    """Return the calibration error of every measurement that has one as a Markdown table."""
    rows = [(key, title, _CALIBRATION[columns]) for key, title, columns in _measured(metrics)]
    rows += [(key, key.capitalize(), "ece") for key in metrics if key.startswith(COMPOSED)]
    lines = ["|  | n | classes | ECE | ECE if calibrated |", "| --- " * 5 + "|"]
    for key, title, name in rows:
        if name in metrics[key]:
            errors = [cell(metrics[key][name]), cell(metrics[key].get(f"{name}_if_calibrated"))]
            row = [title, str(metrics[key]["n"]), CLASSES[name], *errors]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def table(metrics: Metrics) -> str:
    """Return measurements as Markdown tables, one for each kind of label."""
    by_columns: dict[tuple[str, ...], dict[str, str]] = {}
    for key, title, columns in _measured(metrics):
        by_columns.setdefault(columns, {})[key] = title
    return "\n\n".join(markdown(metrics, rows, columns) for columns, rows in by_columns.items())


def markdown(metrics: Metrics, rows: Mapping[str, str], columns: Sequence[str]) -> str:
    """Return some measurements as one Markdown table, each value with its interval."""
    heads = ["", "n", *(COLUMNS[column] for column in columns)]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for name, title in rows.items():
        cells = [cell(metrics[name].get(column)) for column in columns]
        lines.append(f"| {title} | {metrics[name]['n']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(metric: Mapping[str, Any] | None) -> str:
    """Return a value with its 95 % interval; "" where it is missing or undefined."""
    if not metric or metric["value"] is None:
        return ""
    low, high = metric["ci95"]
    return f"{metric['value']:.3f} ({low:.3f} to {high:.3f})"


def _measured(metrics: Metrics) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield key, title and columns of every measurement of a reported set."""
    for name, (title, columns) in _rows().items():
        for key in metrics:
            stem, _, share = key.partition("_disturbed_")
            if stem == name:
                words = f", bare, {float(share):.0%} disturbed" if share else ""
                yield key, title + words, columns


def _rows() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return title and columns of every measurement that can be made."""
    rows: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name, reported in REPORTED.items():
        rows[name] = reported.title, reported.columns
        if reported.modality == "text":
            rows[name] = f"{reported.title}, words with context", reported.columns
            rows[f"{name}_no_context"] = f"{reported.title}, words alone", reported.columns
    return rows
