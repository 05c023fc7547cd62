"""Measure a run's checkpoint on the validation parts, write its model card, and ship it.

    python scripts/release_checkpoint.py runs/semi-iin-embedded-1

The checkpoint goes to semi_iin/checkpoints/default. What is measured is what nothing was
trained on: the validation parts of MOSI and MOSEI, MELD's dev part, RAVDESS's actors 17 to 20,
FER2013's public test, and clips composed of those.
"""

import argparse
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from semi_iin import checkpoint as checkpoints
from semi_iin.data.formats import read
from semi_iin.data.samples import Sample
from semi_iin.experiments import evaluate_checkpoint, report_examples
from semi_iin.features import Encoders
from semi_iin.run import gather, held_examples, read_config

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


def measure(path: Path, config_path: Path, data: Path, run: Path) -> dict[str, Any]:
    """Every number of the card, each with its interval."""

    def report(samples: list[Sample], **options: Any) -> dict[str, Any]:
        return evaluate_checkpoint(path, samples, device="cpu", **options)

    metrics: dict[str, Any] = {}
    for name in ("mosi", "mosei"):
        samples = read(data / name / f"{name}_text.csv", "text-csv", split="valid")
        metrics[name] = report(samples)
        metrics[f"{name}_no_context"] = report(samples, context=False)
    metrics["meld"] = report(read(data / "meld" / "meld_dev.csv", "text-csv"))
    metrics["ravdess"] = report(read(data / "ravdess", "ravdess", split="valid"))
    metrics["fer2013"] = report(read(data / "fer2013" / "public_test.npz", "expression-npz"))
    loaded = checkpoints.load(path)
    config = read_config(config_path)
    held = [(part.name, part.reported) for part in gather(config, data)]
    encoders = Encoders.build(loaded.config["encoders"], loaded.tensors)
    examples = [
        example
        for example in held_examples(held, encoders, run, config.seed)
        if example.part == "composed"
    ]
    model, temperatures = loaded.build_model(), loaded.config["temperatures"]
    for count in range(len(encoders.modalities), 0, -1):
        for names in combinations(encoders.modalities, count):
            chosen = [
                replace(example, features={name: example.features[name] for name in names})
                for example in examples
            ]
            metrics["composed " + " + ".join(names)] = report_examples(
                model, chosen, temperatures=temperatures
            )
    return metrics


def cell(metric: dict[str, Any] | None) -> str:
    """A value with its 95 % interval."""
    if not metric or metric["value"] is None:
        return ""
    low, high = metric["ci95"]
    return f"{metric['value']:.3f} ({low:.3f} to {high:.3f})"


def table(metrics: dict[str, Any], rows: dict[str, str]) -> str:
    """Metrics of valence as Markdown."""
    lines = ["| | n | " + " | ".join(COLUMNS.values()) + " |", "| --- " * (2 + len(COLUMNS)) + "|"]
    for name, title in rows.items():
        cells = [cell(metrics[name].get(column)) for column in COLUMNS]
        lines.append(f"| {title} | {metrics[name]['n']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def card(config: dict[str, Any], metrics: dict[str, Any], size: int) -> str:
    """The model card."""
    composed = {name: name.capitalize() for name in metrics if name.startswith("composed")}
    voice, face = metrics["ravdess"], metrics["fer2013"]
    return f"""# {config["name"]}: Semi-IIN on words, voices and faces

Semi-IIN (arXiv 2412.09784) over three small encoders: all-MiniLM-L6-v2 for words, fine-tuned; a
convolutional network on log-mel sound; one on 48x48 grey face crops. {size / 1e6:.1f} MB. It reads
any subset of the three, and what the speaker said before where there is such context.

## What it gives

Valence in [-3, 3] as crowd workers would perceive it, probabilities of seven classes, and how far
each leans on interaction between modalities.

## Measured

On parts that trained nothing, and by which no weights or rates of what is shipped were picked;
some were looked at while designs were compared (docs/experiments.md). 95 % bootstrap intervals.
Made by
`python scripts/release_checkpoint.py RUN`; each row of the first table also by
`semi-iin evaluate default --data FILE --split valid`.

{table(metrics, ROWS)}

MELD's labels are words: 3-class accuracy {cell(metrics["meld"].get("acc3"))}, weighted F1
{cell(metrics["meld"].get("f1_3class"))}. Its MAE and Corr take them as -1, 0 and 1.

| | n | valence sign, balanced accuracy | classes, accuracy of the encoder |
| --- | --- | --- | --- |
| RAVDESS, actors 17 to 20, voice alone | {voice["n"]} | {
        cell(voice["valence_sign_balanced_accuracy"])
    } | {cell(voice.get("accuracy"))} |
| FER2013 public test, face alone | {face["n"]} | {cell(face["valence_sign_balanced_accuracy"])} | {
        cell(face.get("accuracy"))
    } |

The sign is that of happy against sad, angry, fearful and disgusted. Actors 17 to 20 trained
nothing, but were looked at while variants of the voice encoder were chosen (docs/experiments.md).

**Composed clips.** No set at hand labels words, voice and face of one person together. The rows
below pair each text of the MOSI and MOSEI validation parts with a voice (RAVDESS, actors 17 to 20)
and a face (FER2013 public test) of the same sign of valence. They show that fusion works; they say
nothing of real people, whose voices and faces agree with their words far less often.

{table(metrics, composed)}

## Trained on

| data | for | licence |
| --- | --- | --- |
| CMU-MOSEI and CMU-MOSI, training parts, text | words, fusion | research use |
| Stanford Sentiment Treebank, training part | words | none stated |
| RAVDESS speech, actors 1 to 16 | voices, fusion | CC BY-NC-SA 4.0: **no commercial use** |
| FER2013, training part | faces, fusion | research use |
| all-MiniLM-L6-v2 | source of the text encoder, stored as differences from it | Apache-2.0 |

Which videos, actors and faces trained the encoders, trained the fusion, or selected, is fixed by a
hash and told by the configuration in `config.json`. To train it again:
`semi-iin train configs/default-checkpoint.toml`.

## Limits and biases

* English only. The texts are monologues of reviewers and video bloggers; meetings are other speech.
* The voices are 16 actors saying two sentences with acted emotion; the faces are single web images
  whose labels are noisy. Real voices and faces are subtler.
* Labels are what others perceived, not what anyone felt. Names, dialects, topics, skin, age, sex
  and culture carry sentiment in such data that they should not carry; nothing was done against it.
* Words that a recogniser got wrong are read as if they had been said.

Not for decisions about people.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="the run's directory, with its checkpoint")
    parser.add_argument("--config", type=Path, default=Path("configs/default-checkpoint.toml"))
    parser.add_argument("--data-root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--to", type=Path, default=checkpoints.DEFAULT)
    options = parser.parse_args()
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    path = options.run / "checkpoint"
    metrics = measure(path, options.config, options.data_root, options.run)
    loaded = checkpoints.load(path)
    config = {key: value for key, value in loaded.config.items() if key != "format_version"}
    config["metrics"] = {**config["metrics"], **metrics}
    size = (path / checkpoints.WEIGHTS).stat().st_size
    checkpoints.save(options.to, loaded.tensors, config, card(config, metrics, size))
    print(json.dumps(metrics, indent=1))


if __name__ == "__main__":
    main()
