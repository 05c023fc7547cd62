"""How much the layers of a Whisper encoder know of heard emotion before any training.

    python benchmarks/frozen_voices.py --source weights:whisper-tiny.en --layers 4

Every recording of `configs/voice.toml` is encoded once. The mean and deviation of each layer's
states over time predict valence by ridge regression, which is fitted on all actors that are not
reported: heard valence for CREMA-D, and 3 or -3 for RAVDESS's happy and negative emotions.
Printed for the reported actors: the correlation on CREMA-D, and on both sets how often a happy
recording is above a negative one.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.encoders.whisper import WhisperEncoder
from semi_iin.labels import emotion_sign
from semi_iin.parts import read_parts
from semi_iin.pretraining.emotions import sign_auc
from semi_iin.settings import read_config

PENALTY = 1000.0
BATCH = 16


def statistics(encoder: WhisperEncoder, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Return mean and deviation of every layer's states. (n, layers, 2 W)."""
    rows = []
    states: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output: states.append(output))
        for layer in encoder.backbone.layers
    ]
    for first in range(0, len(samples), BATCH):
        clips = [Clip(audio=sample.clip().audio) for sample in samples[first : first + BATCH]]
        states.clear()
        with torch.inference_mode():
            _, mask = encoder.backbone(*encoder.energies(clips))
        for index, real in enumerate(mask):
            inside = [layer[index][: int(real.sum())] for layer in states]
            rows.append(
                torch.stack([torch.cat([state.mean(0), state.std(0)]) for state in inside]).numpy()
            )
    for hook in hooks:
        hook.remove()
    return np.stack(rows)


def ridge(
    known: NDArray[np.float32], target: NDArray[np.float64], unknown: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return predictions for `unknown` of a ridge regression on standardised columns."""
    centre, spread = known.mean(axis=0), known.std(axis=0) + 1e-6
    inputs = ((known - centre) / spread).astype(np.float64)
    weights = np.linalg.solve(
        inputs.T @ inputs + PENALTY * np.eye(inputs.shape[1]), inputs.T @ (target - target.mean())
    )
    predicted: NDArray[np.float64] = (unknown - centre) / spread @ weights + target.mean()
    return predicted


def target_of(sample: Sample) -> float | None:
    """Return the valence to learn; None where a recording has none."""
    sign = emotion_sign(sample.emotion or "")
    return sample.label if sample.votes else 3.0 * sign if sign else None


def main() -> None:
    """Encode, fit and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--config", type=Path, default=Path("configs/voice.toml"))
    options.add_argument("--source", default="weights:whisper-tiny.en")
    options.add_argument("--layers", type=int, default=4)
    arguments = options.parse_args()
    config = read_config(arguments.config)
    parts = read_parts(config, Path(config.data_root))
    encoder = WhisperEncoder({"source": arguments.source, "layers": arguments.layers}).eval()
    training = [
        sample
        for part in parts
        for sample in (*part.train, *part.fusion, *part.selection)
        if target_of(sample) is not None
    ]
    known = statistics(encoder, training)
    target = np.array([target_of(sample) or 0.0 for sample in training])
    for part in parts:
        unknown = statistics(encoder, part.reported)
        emotions = [sample.emotion or "" for sample in part.reported]
        for layer in range(arguments.layers):
            predicted = ridge(known[:, layer], target, unknown[:, layer])
            line = f"{part.name} layer {layer + 1}: AUC {sign_auc(predicted, emotions):.3f}"
            if part.reported[0].votes:
                heard = np.array([sample.label or 0.0 for sample in part.reported])
                line += f", Corr {np.corrcoef(predicted, heard)[0, 1]:.3f}"
            print(line)


if __name__ == "__main__":
    main()
