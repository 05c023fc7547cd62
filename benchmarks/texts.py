"""Checkpoints on the selection texts of a configuration, by which alone they may be compared.

    python benchmarks/texts.py base runs/semi-iin-text-teacher-2/checkpoint

Each part is measured with context, by the kind of its labels. Signs are also cut at two edges that
maximise the weighted F1 on the part's selection texts, instead of at -0.5 and 0.5; `--reported`
adds the F1 of both cuts on the reported part of the same corpus (`meld_dev` beside `meld`).
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semi_iin.data.samples import Sample
from semi_iin.evaluate import evaluate_polarity, evaluate_valence
from semi_iin.labels import POLARITIES
from semi_iin.parts import read_parts
from semi_iin.predict import Predictor
from semi_iin.settings import read_config

BATCH = 64
EDGES = np.linspace(-1.5, 1.5, 31)


def valences(predictor: Predictor, samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return predicted valences (n,) of texts with context."""
    order = sorted(range(len(samples)), key=lambda index: len(samples[index].text or ""))
    result = np.zeros(len(samples))
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        scored = predictor.predict([samples[index].clip() for index in rows])
        result[rows] = [prediction.valence or 0.0 for prediction in scored]
    return result


def f1(valence: NDArray[np.float64], sign: NDArray[np.float64], low: float, high: float) -> float:
    """Return the weighted F1 of signs cut at two edges."""
    cut = np.where(valence >= high, 1, np.where(valence < low, -1, 0))
    total = 0.0
    for label in (-1, 0, 1):
        found, true = cut == label, sign == label
        total += true.mean() * 2 * (found & true).sum() / max(1, found.sum() + true.sum())
    return float(total)


def best_edges(valence: NDArray[np.float64], sign: NDArray[np.float64]) -> tuple[float, float]:
    """Return the edges of the highest F1."""
    pairs = [(low, high) for low, high in product(EDGES, EDGES) if low < high]
    return max(pairs, key=lambda pair: f1(valence, sign, *pair))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("checkpoints", nargs="+")
    options.add_argument("--config", type=Path, default=Path("configs/text-teacher.toml"))
    options.add_argument("--dtype", default="bfloat16")
    options.add_argument("--reported", action="store_true")
    arguments = options.parse_args()
    config = read_config(arguments.config)
    parts = {part.name: part for part in read_parts(config, Path(config.data_root))}
    for checkpoint in arguments.checkpoints:
        predictor = Predictor.from_checkpoint(checkpoint, "cpu", arguments.dtype, ["text"])
        for name, part in parts.items():
            if not part.selection:
                continue
            valence = valences(predictor, part.selection)
            label = np.array([sample.label or 0.0 for sample in part.selection])
            if part.selection[0].scale != "sign":
                report = evaluate_valence(valence, label, resamples=2)
                line = f"MAE {report['mae']['value']:.3f}, " * (name != "emobank")
                line += f"Corr {report['corr']['value']:.3f}"
            else:
                words = [POLARITIES[int(np.sign(value)) + 1] for value in label]
                auc = evaluate_polarity(valence, words, resamples=2)["sign_auc"]["value"]
                edges = best_edges(valence, label)
                line = f"AUC {auc:.3f}, F1 {f1(valence, label, -0.5, 0.5):.3f}, "
                line += f"{f1(valence, label, *edges):.3f} at {edges[0]:.1f} and {edges[1]:.1f}"
                other = parts.get(f"{name}_dev")
                if arguments.reported and other is not None:
                    valence = valences(predictor, other.reported)
                    sign = np.array([sample.label or 0.0 for sample in other.reported])
                    line += f"; reported {f1(valence, sign, -0.5, 0.5):.3f}, "
                    line += f"{f1(valence, sign, *edges):.3f}"
            print(f"{checkpoint}, {name}, {len(part.selection)} texts: {line}", flush=True)


if __name__ == "__main__":
    main()
