"""How much valence the states of a text encoder hold, beside what Semi-IIN makes of them.

    python benchmarks/text_states.py default runs/semi-iin-text-student-3/checkpoint

For each checkpoint: a ridge regression on the mean state of a text without its context, fitted on
`--share` of the texts of MOSI and MOSEI that train encoders in a configuration, with each of a few
penalties; then Semi-IIN on the same states, without the factor of its calibration. Both are
measured on the selection texts, by which alone checkpoints may be compared.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from semi_iin import checkpoint as checkpoints
from semi_iin.clips import Clip
from semi_iin.data.samples import Sample, share_of
from semi_iin.features import Encoders
from semi_iin.model import SemiIIN
from semi_iin.parts import read_parts
from semi_iin.settings import read_config

PARTS = ("mosi", "mosei")
PENALTIES = (300, 1000, 3000, 10_000)
BATCH = 16

Array = NDArray[np.float64]


def read_texts(
    encoders: Encoders, model: SemiIIN, samples: Sequence[Sample]
) -> tuple[Array, Array]:
    """Return mean states (n, D) and Semi-IIN's valences (n,) of texts without context."""
    order = sorted(range(len(samples)), key=lambda index: len(samples[index].text or ""))
    means = np.zeros((len(samples), encoders.encoders["text"].width))
    valences = np.zeros(len(samples))
    with torch.inference_mode():
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            batch = encoders.encode([Clip(text=samples[index].text) for index in rows])
            assert batch.text is not None and batch.text_mask is not None
            real = batch.text_mask[..., None]
            means[rows] = ((batch.text * real).sum(dim=1) / real.sum(dim=1)).numpy()
            valences[rows] = model(**batch.inputs()).valence.clamp(-3, 3).numpy()
    return means, valences


def ridge(states: Array, label: Array, penalty: float) -> tuple[Array, float]:
    """Return weights (D,) and offset of a ridge regression on standardised states (n, D)."""
    mean, deviation = states.mean(axis=0), states.std(axis=0) + 1e-6
    scaled = (states - mean) / deviation
    square = scaled.T @ scaled + penalty * np.eye(scaled.shape[1])
    weights = np.linalg.solve(square, scaled.T @ (label - label.mean())) / deviation
    return weights, float(label.mean() - mean @ weights)


def line(name: str, valence: dict[str, Array], label: dict[str, Array]) -> str:
    """Return MAE and correlation of each part, as one line."""
    figures = [
        f"{part} {np.abs(valence[part].clip(-3, 3) - label[part]).mean():.3f}, "
        f"{np.corrcoef(valence[part], label[part])[0, 1]:.3f}"
        for part in PARTS
    ]
    return f"{name}: {'; '.join(figures)}"


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("checkpoints", nargs="+")
    options.add_argument("--config", type=Path, default=Path("configs/text-student.toml"))
    options.add_argument("--share", type=float, default=0.3, help="of MOSEI's texts")
    arguments = options.parse_args()
    config = read_config(arguments.config)
    data = tuple(data for data in config.data if data.part in PARTS)
    config = config.model_copy(update={"data": data})
    parts = {part.name: part for part in read_parts(config, Path(config.data_root))}
    training = [*parts["mosi"].train, *share_of(parts["mosei"].train, arguments.share)]
    label = {name: np.array([sample.valence for sample in parts[name].selection]) for name in PARTS}
    for name in arguments.checkpoints:
        loaded = checkpoints.load(name)
        specs = {"text": loaded.config["encoders"]["text"]}
        encoders, model = Encoders.build(specs, loaded.tensors).prepare(), loaded.build_model()
        model.eval()
        states, _ = read_texts(encoders, model, training)
        read = {part: read_texts(encoders, model, parts[part].selection) for part in PARTS}
        print(line(f"{name}, Semi-IIN", {part: read[part][1] for part in PARTS}, label))
        known = np.array([sample.valence for sample in training])
        for penalty in PENALTIES:
            weights, offset = ridge(states, known, penalty)
            valence = {part: read[part][0] @ weights + offset for part in PARTS}
            print(line(f"{name}, ridge, penalty {penalty}", valence, label), flush=True)


if __name__ == "__main__":
    main()
