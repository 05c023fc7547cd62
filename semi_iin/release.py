"""Releasing a checkpoint: measure it on held-out data, write its model card, and install it.

The held-out data trained nothing: the validation parts of MOSI and MOSEI, MELD's dev part,
RAVDESS's actors 17 to 20, FER2013's public test, and clips composed of those.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from semi_iin import checkpoint as checkpoints
from semi_iin.data.formats import read
from semi_iin.data.samples import Sample
from semi_iin.examples import measured_examples
from semi_iin.experiments.evaluation import evaluate_checkpoint, report_examples
from semi_iin.features import Encoders
from semi_iin.loop import Report
from semi_iin.parts import read_parts
from semi_iin.settings import RunConfig
from semi_iin.task import only

ROWS = {
    "mosi": "MOSI valid, words with context",
    "mosi_no_context": "MOSI valid, words alone",
    "mosei": "MOSEI valid, words with context",
    "mosei_no_context": "MOSEI valid, words alone",
    "meld": "MELD dev, words with context (zero-shot)",
}
COLUMNS = {
    "mae": "MAE", "corr": "Corr", "acc2_nonneg": "Acc-2 (neg / non-neg)",
    "acc2_nonzero": "Acc-2 (neg / pos)", "acc7": "Acc-7", "ece": "ECE",
}  # fmt: skip
Metrics = dict[str, Any]  # name of a measurement to a report of `semi_iin.evaluate`


def release(
    run: Path,
    config: RunConfig,
    data: Path,
    target: Path,
    report: Report = lambda progress: None,
) -> Metrics:
    """Measure a run's checkpoint and write it, with a model card, to another directory.

    Args:
        run: the run's directory, with its checkpoint.
        config: the run's configuration.
        data: the folder of the data sets.
        target: the directory of the released checkpoint, which is replaced.
        report: called while data are encoded.

    Returns:
        Every number of the card, each with its interval.

    Raises:
        SemiIINError: for a missing checkpoint or data set.
    """
    path = run / "checkpoint"
    metrics = {**_separate(path, data), **_composed(path, config, data, run, report)}
    loaded = checkpoints.load(path)
    content = {key: value for key, value in loaded.config.items() if key != "format_version"}
    content["metrics"] = {**content.get("metrics", {}), **metrics}
    size_bytes = (path / checkpoints.WEIGHTS).stat().st_size
    checkpoints.save(target, loaded.tensors, content, card(content["name"], metrics, size_bytes))
    return metrics


def _separate(path: Path, data: Path) -> Metrics:
    """Measure on texts, voices and faces, each alone."""

    def evaluate(samples: Sequence[Sample], *, context: bool = True) -> dict[str, Any]:
        return evaluate_checkpoint(path, samples, context=context, device="cpu")

    metrics: Metrics = {}
    for name in ("mosi", "mosei"):
        samples = read(data / name / f"{name}_text.csv", "text-csv", split="valid")
        metrics[name] = evaluate(samples)
        metrics[f"{name}_no_context"] = evaluate(samples, context=False)
    metrics["meld"] = evaluate(read(data / "meld" / "meld_dev.csv", "text-csv"))
    metrics["ravdess"] = evaluate(read(data / "ravdess", "ravdess", split="valid"))
    metrics["fer2013"] = evaluate(read(data / "fer2013" / "public_test.npz", "expression-npz"))
    return metrics


def _composed(path: Path, config: RunConfig, data: Path, run: Path, report: Report) -> Metrics:
    """Measure on composed clips, with every subset of their modalities."""
    loaded = checkpoints.load(path)
    encoders = Encoders.build(loaded.config["encoders"], loaded.tensors)
    reported = [(part.name, part.reported) for part in read_parts(config, data)]
    examples = [
        example
        for example in measured_examples(reported, encoders, run, config.seed, report)
        if example.part == "composed"
    ]
    model, temperatures = loaded.build_model(), loaded.config["temperatures"]
    return {
        "composed " + " + ".join(names): report_examples(
            model, [only(example, names) for example in examples], temperatures=temperatures
        )
        for count in range(len(encoders.modalities), 0, -1)
        for names in combinations(encoders.modalities, count)
    }


def _cell(metric: Mapping[str, Any] | None) -> str:
    """Return a value with its 95 % interval; "" where it is missing or undefined."""
    if not metric or metric["value"] is None:
        return ""
    low, high = metric["ci95"]
    return f"{metric['value']:.3f} ({low:.3f} to {high:.3f})"


def _table(metrics: Metrics, rows: Mapping[str, str]) -> str:
    """Return metrics of valence as Markdown."""
    lines = ["| | n | " + " | ".join(COLUMNS.values()) + " |", "| --- " * (2 + len(COLUMNS)) + "|"]
    for name, title in rows.items():
        cells = [_cell(metrics[name].get(column)) for column in COLUMNS]
        lines.append(f"| {title} | {metrics[name]['n']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _emotion_cells(report: Mapping[str, Any]) -> str:
    """Return the cells of one row of the voices and faces."""
    sign, accuracy = report["valence_sign_balanced_accuracy"], report.get("accuracy")
    return f"{report['n']} | {_cell(sign)} | {_cell(accuracy)}"


def card(name: str, metrics: Metrics, size_bytes: int) -> str:
    """Return the model card as Markdown."""
    composed = {row: row.capitalize() for row in metrics if row.startswith("composed")}
    return f"""# {name}: Semi-IIN on words, voices and faces

Semi-IIN (arXiv 2412.09784) over three small encoders: all-MiniLM-L6-v2 for words, fine-tuned; a
convolutional network on log-mel audio; one on 48x48 grey face crops. {size_bytes / 1e6:.1f} MB. It
reads any subset of the three, and the speaker's earlier words where there are any.

## Output

Valence in [-3, 3] as crowd workers would perceive it, probabilities of seven classes, and how far
each relies on interaction between modalities.

## Results

Measured on data that trained nothing, and by which no weights or rates of this checkpoint were
chosen; some were looked at while designs were compared (docs/experiments.md). 95 % bootstrap
intervals. Made by `semi-iin release RUN`; each row of the first table also by
`semi-iin evaluate default --data FILE --split valid`.

{_table(metrics, ROWS)}

MELD's labels are words: 3-class accuracy {_cell(metrics["meld"].get("acc3"))}, weighted F1
{_cell(metrics["meld"].get("f1_3class"))}. Its MAE and Corr take them as -1, 0 and 1.

| | n | valence sign, balanced accuracy | classes, accuracy of the encoder |
| --- | --- | --- | --- |
| RAVDESS, actors 17 to 20, voice alone | {_emotion_cells(metrics["ravdess"])} |
| FER2013 public test, face alone | {_emotion_cells(metrics["fer2013"])} |

The sign is that of happy against sad, angry, fearful and disgusted. Actors 17 to 20 trained
nothing, but were looked at while variants of the voice encoder were chosen (docs/experiments.md).

**Composed clips.** No data set at hand labels words, voice and face of one person together. The
rows below pair each text of the MOSI and MOSEI validation parts with a voice (RAVDESS, actors 17 to
20) and a face (FER2013 public test) of the same sign of valence. They show that fusion works; they
show nothing about real people, whose voices and faces agree with their words far less often.

{_table(metrics, composed)}

## Training data

| data | for | licence |
| --- | --- | --- |
| CMU-MOSEI and CMU-MOSI, training parts, text | words, fusion | research use |
| Stanford Sentiment Treebank, training part | words | none stated |
| RAVDESS speech, actors 1 to 16 | voices, fusion | CC BY-NC-SA 4.0: **no commercial use** |
| FER2013, training part | faces, fusion | research use |
| all-MiniLM-L6-v2 | source of the text encoder, stored as differences from it | Apache-2.0 |

A hash decides which videos, actors and faces trained the encoders, trained the fusion, or selected;
the configuration in `config.json` has its numbers. To train it again:
`semi-iin train configs/default-checkpoint.toml`.

## Limits and biases

* English only. The texts are monologues of reviewers and video bloggers; meetings are other speech.
* The voices are 16 actors saying two sentences with acted emotion; the faces are single web images
  whose labels are noisy. Real voices and faces are subtler.
* Labels record how others perceived a person, not how the person felt. Names, dialects, topics,
  skin, age, sex and culture carry sentiment in such data that they should not carry; nothing was
  done against it.
* Wrongly recognised words are read as if they had been spoken.

Not for decisions about people.
"""
