"""Checkpoints on the selection parts of a configuration: voices alone, words, composed clips.

    python benchmarks/fusion.py default runs/semi-iin-embedded-5/checkpoint

By these parts alone may they be compared. Voices alone are measured as Semi-IIN reads them: the
correlation with the valence that people heard, and how often a recording of acted happiness is
above one of a negative emotion (AUC) or above 0 where the other is not (sign). Composed clips
are measured with each combination of modalities. Valences are those of the weights, without the
calibration's scale. `--features` is a folder that keeps encoded samples between runs.
"""

import argparse
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from semi_iin import checkpoint as checkpoints
from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.evaluate import evaluate_emotions
from semi_iin.examples import measured_examples
from semi_iin.features import Encoders
from semi_iin.modalities import MODALITIES
from semi_iin.model import SemiIIN
from semi_iin.parts import Part, read_parts
from semi_iin.perceived import heard
from semi_iin.pretraining.voice import read_voice
from semi_iin.settings import read_config
from semi_iin.task import Example, only, score


def agreement(model: SemiIIN, examples: Sequence[Example]) -> str:
    """Return MAE and correlation of labelled examples."""
    valence, _ = score(model, examples)
    label = np.array([example.valence for example in examples], dtype=np.float64)
    return f"{np.abs(valence - label).mean():.3f}, {np.corrcoef(valence, label)[0, 1]:.3f}"


def voices(model: SemiIIN, encoders: Encoders, samples: Sequence[Sample]) -> str:
    """Return one line on recordings that are heard alone."""
    rows = [encoders.rows([Clip(audio=read_voice(sample))])[0] for sample in samples]
    valence, _ = score(model, [Example({"audio": row["audio"]}, None, 0) for row in rows])
    label: NDArray[np.float64] = np.array(
        [sample.label if sample.votes else heard(sample) for sample in samples], dtype=np.float64
    )
    metrics = evaluate_emotions(valence, [sample.emotion or "" for sample in samples], resamples=2)
    return (
        f"Corr {np.corrcoef(valence, label)[0, 1]:.3f}, AUC {metrics['sign_auc']['value']:.3f}, "
        f"sign {metrics['valence_sign_balanced_accuracy']['value']:.3f}"
    )


def measure(checkpoint: str, parts: Sequence[Part], features: Path, seed: int) -> None:
    """Measure one checkpoint and print."""
    loaded = checkpoints.load(checkpoint)
    encoders = Encoders.build(loaded.config["encoders"], loaded.tensors)
    model = loaded.build_model().eval()
    print(checkpoint, flush=True)
    for part in parts:
        known = [sample for sample in part.selection if sample.audio is not None]
        known = [sample for sample in known if heard(sample) is not None]
        if known:
            print(f"  {part.name}, {len(known)} voices alone: {voices(model, encoders, known)}")
    selected = [(part.name, part.selection) for part in parts]
    examples = measured_examples(selected, encoders, features, seed)
    for name in sorted({example.part for example in examples} - {"composed"}):
        of_part = [example for example in examples if example.part == name]
        print(f"  {name}, {len(of_part)} texts: MAE, Corr {agreement(model, of_part)}")
    composed = [example for example in examples if example.part == "composed"]
    for count in range(1, len(MODALITIES) + 1):
        for names in combinations(MODALITIES, count):
            clips = [
                only(example, names) for example in composed if {*names} <= {*example.features}
            ]
            if clips:
                line = agreement(model, clips)
                print(f"  composed, {' + '.join(names)}: MAE, Corr {line}", flush=True)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("checkpoints", nargs="+")
    options.add_argument("--config", type=Path, default=Path("configs/default-checkpoint.toml"))
    options.add_argument("--data-root", type=Path)
    options.add_argument("--features", type=Path)
    arguments = options.parse_args()
    config = read_config(arguments.config)
    parts = read_parts(config, arguments.data_root or Path(config.data_root))
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        for checkpoint in arguments.checkpoints:
            measure(checkpoint, parts, arguments.features or Path(folder), config.seed)


if __name__ == "__main__":
    main()
