"""Windows a second against the usual way: one window at a time, a large model for each modality.

    python benchmarks/naive.py [--windows 4] [--rounds 2] [--json]

The windows are those of `inference.py`. `pipelines` are RoBERTa-base over the words and their
context, wav2vec2-base over the sound and ViT-base over one face or over each of 25, of the package
transformers, in turn; their weights are random, which changes no time, and the words are random
tokens. `our encoders, one by one` is a loop over the encoders and the network of the default
checkpoint in which nothing is kept; `as inference` is the same with what inference keeps. All use
one thread; rates are per second of CPU, and the printed ratios are to the first row. The first
table is of windows of one speaker, the second of a meeting of ten of whom one speaks (`burst.py`):
there our encoders read what is there, and the pipelines do their work for every window.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from burst import meeting
from inference import alone, clips_of, make_window, overlapping
from measure import compare, show

from semi_iin.clips import SAMPLE_RATE_HZ, Clip
from streamer.config import build
from streamer.inference.batches import load_predictor

TOKENS = 85
"""Of 12 words and 60 words of context, with markers."""
FACES = 25


class Pipelines:
    """Three networks of transformers from their configurations, with random weights."""

    def __init__(self, device: str = "cpu") -> None:
        from transformers import (
            RobertaConfig,
            RobertaForSequenceClassification,
            ViTConfig,
            ViTForImageClassification,
            ViTImageProcessor,
            Wav2Vec2Config,
            Wav2Vec2FeatureExtractor,
            Wav2Vec2ForSequenceClassification,
        )

        text = RobertaConfig(vocab_size=50_265, max_position_embeddings=514)
        self._text: Any = RobertaForSequenceClassification(text).eval().to(device)
        self._audio: Any = Wav2Vec2ForSequenceClassification(Wav2Vec2Config()).eval().to(device)
        self._face: Any = ViTForImageClassification(ViTConfig()).eval().to(device)
        self._energies: Any = Wav2Vec2FeatureExtractor()
        self._pixels: Any = ViTImageProcessor()

    def score(self, clips: Sequence[Clip], faces: int) -> None:
        """Run the networks over each clip in turn."""
        device = self._text.device
        ids = torch.randint(5, 50_000, (1, TOKENS), device=device)
        with torch.inference_mode():
            for clip in clips:
                assert clip.faces is not None
                self._text(input_ids=ids)
                energies = self._energies(
                    clip.audio, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
                )
                self._audio(**energies.to(device))
                for face in list(clip.faces)[:faces]:
                    self._face(**self._pixels(face, return_tensors="pt").to(device))
            if device.type == "cuda":
                torch.cuda.synchronize(device)


def main() -> None:
    """Read the command line and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = build({"inference": {"device": "cpu", "threads": 1}})
    model, pipelines = load_predictor(config), Pipelines()
    rng = np.random.default_rng(0)
    few = clips_of([make_window(k, rng) for k in range(options.windows)], config)
    many = clips_of(overlapping(8 * options.windows, rng), config)
    usual = {
        "pipelines, one face": (len(few), partial(pipelines.score, few, 1)),
        "pipelines, 25 faces": (1, partial(pipelines.score, few[:1], FACES)),
    }
    seconds = meeting(10, 5 + options.windows)
    turns = clips_of([window for second in seconds for window in second], config)
    for title, clips in {"one speaker": many, "ten people, one speaks": turns}.items():
        ours = {
            "our encoders, one by one": (len(clips), partial(alone, model, clips, 0)),
            "our encoders, as inference": (len(clips), partial(alone, model, clips, 1 << 25)),
        }
        results = compare(usual | ours, options.rounds, time.process_time)
        show(f"Windows a second of CPU, {title}", "windows", results, options.json)


if __name__ == "__main__":
    main()
