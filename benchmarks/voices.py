"""A voice encoder alone, by its emotion head, on the reported actors of a configuration.

    python benchmarks/voices.py runs/semi-iin-voice-1/checkpoint

Each data set is measured as it is, and as each change of `semi_iin.pretraining.recordings` alters
it: the correlation with the valence that people heard (CREMA-D), how often a recording of acted
happiness is above one of a negative emotion, and the balanced accuracy of that sign. The intervals
(95 %) draw whole actors. A second line is the share of the predictions' variance that the sentence
explains, and of the labels' own.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from semi_iin import checkpoint as checkpoints
from semi_iin import evaluate
from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.encoders.audio import VoiceEncoder
from semi_iin.encoders.emotions import emotion_valence, sign_odds
from semi_iin.features import Encoders
from semi_iin.parts import read_parts
from semi_iin.pretraining.recordings import CHANGES, Audio
from semi_iin.pretraining.voice import read_voice
from semi_iin.settings import read_config

BATCH = 16


def predictions(
    encoder: VoiceEncoder, recordings: Sequence[Audio]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return valences in [-3, 3] and log odds of a positive emotion, of recordings."""
    classes: list[str] = encoder.spec["emotions"]
    rows = []
    with torch.inference_mode():
        for first in range(0, len(recordings), BATCH):
            clips = [Clip(audio=audio) for audio in recordings[first : first + BATCH]]
            rows.append(encoder.classify(*encoder(*encoder.energies(clips))))
    logits = torch.cat(rows).double()
    valence = 3 * emotion_valence(logits.softmax(dim=1), classes)
    return valence.numpy(), sign_odds(logits, classes).numpy()


def describe(
    samples: Sequence[Sample], valence: NDArray[np.float64], odds: NDArray[np.float64]
) -> str:
    """Return one line of metrics."""
    actors = [sample.group for sample in samples]
    emotions = [sample.emotion or "" for sample in samples]
    metrics: dict[str, Any] = evaluate.evaluate_emotions(odds, emotions, groups=actors)
    names = {"sign_auc": "AUC", "valence_sign_balanced_accuracy": "sign"}
    if samples[0].votes:
        heard = [sample.label or 0.0 for sample in samples]
        metrics |= evaluate.evaluate_valence(valence, heard, groups=actors)
        names = {"corr": "Corr", **names}
    return ", ".join(
        f"{title} {metrics[name]['value']:.3f} "
        f"({metrics[name]['ci95'][0]:.3f} to {metrics[name]['ci95'][1]:.3f})"
        for name, title in names.items()
    )


def explained(values: NDArray[np.float64], sentences: Sequence[str]) -> float:
    """Return the share of the variance that lies between the sentences."""
    means = {name: values[[other == name for other in sentences]].mean() for name in set(sentences)}
    return float(np.var([means[name] for name in sentences]) / np.var(values))


def sentence(sample: Sample) -> str:
    """Return the sentence in a recording's name."""
    return sample.id.split("_")[1] if "_" in sample.id else sample.id.split("-")[4]


def by_sentence(samples: Sequence[Sample], valence: NDArray[np.float64]) -> str:
    """Return one line: the shares of the variance that the sentence explains."""
    sentences = [sentence(sample) for sample in samples]
    line = f"explained by the sentence: {explained(valence, sentences):.3f} of the predictions"
    if samples[0].votes:
        heard = np.array([sample.label or 0.0 for sample in samples])
        line += f", {explained(heard, sentences):.3f} of the labels"
    return line


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("checkpoint", type=Path)
    options.add_argument("--config", type=Path, default=Path("configs/voice.toml"))
    arguments = options.parse_args()
    loaded = checkpoints.load(arguments.checkpoint)
    encoder = Encoders.build(loaded.config["encoders"], loaded.tensors, ("audio",)).encoders[
        "audio"
    ]
    if not isinstance(encoder, VoiceEncoder):
        raise SystemExit(f"{arguments.checkpoint} has no voice encoder with an emotion head")
    config = read_config(arguments.config)
    for part in read_parts(config, Path(config.data_root)):
        recordings = [read_voice(sample) for sample in part.reported]
        changes: list[tuple[str, Callable[[Audio, Generator], Audio]]] = [
            ("as recorded", lambda audio, random: audio),
            *((change.__name__.replace("_", " "), change) for change, _ in CHANGES),
        ]
        for name, change in changes:
            random = np.random.default_rng(0)
            valence, odds = predictions(encoder, [change(audio, random) for audio in recordings])
            print(f"{part.name}, {name}: {describe(part.reported, valence, odds)}", flush=True)
            if name == "as recorded":
                print(f"{part.name}, {by_sentence(part.reported, valence)}", flush=True)


if __name__ == "__main__":
    main()
