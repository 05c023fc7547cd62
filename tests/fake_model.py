"""A model with the predictor's methods and none of its weights; also an inference worker over it.

`python tests/fake_model.py --broker HOST:PORT --prefix NAME [--delay-ms 50]` scores windows until
SIGTERM, exactly as `streamer infer` does, with `FakeModel` in the model's place.
"""

import argparse
import asyncio
import json
import logging
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from semi_iin.clips import Clip
from semi_iin.modalities import Modality
from semi_iin.predict import Prediction
from streamer.config import Config, build
from streamer.inference import worker


@dataclass
class FakeModel:
    """Valence from the words: one up for each "good", one down for each "bad".

    A clip whose text holds "crash" raises, "nan" gives no number; more than `memory` clips at once
    are out of memory; `broken` raises on everything. `batches` keeps the clips of every call.
    """

    name: str = "fake-1"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    memory: int = 1_000
    delay_s: float = 0.0
    broken: bool = False
    batches: list[list[Clip]] = field(default_factory=list)

    def predict(self, clips: Sequence[Clip]) -> list[Prediction]:
        """One prediction per clip, in order."""
        self.batches.append(list(clips))
        time.sleep(self.delay_s)
        if self.broken:
            raise RuntimeError("device-side assert")
        if len(clips) > self.memory:
            raise RuntimeError("MPS backend out of memory")
        if any("crash" in (clip.text or "") for clip in clips):
            raise ValueError("the model stumbled")
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Prediction:
        text = clip.text or ""
        loudness = 0.0 if clip.audio is None else float(np.abs(clip.audio).mean())
        valence = text.count("good") - text.count("bad") + loudness
        present: dict[Modality, bool] = {
            "audio": clip.audio is not None,
            "text": bool(text),
            "vision": bool(clip.faces),
        }
        return Prediction(
            valence=float("nan") if "nan" in text else max(-3.0, min(3.0, valence)),
            class_probabilities=(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
            valence_gate=0.25,
            class_gate=0.75,
            modalities=tuple(name for name, is_there in present.items() if is_there),
        )


def few_at_once(config: Config) -> Config:
    """The settings with small batches, so that a worker has several in hand."""
    few = config.inference.model_copy(update={"max_batch": 4, "max_wait_ms": 10})
    return config.model_copy(update={"inference": few})


async def _work(config: Config, model: FakeModel) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    counters = await worker.run(config, stop, load=lambda _: model)
    print(json.dumps(counters), flush=True)


def main() -> None:
    """Read the command line, then work until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--name", default="fake-1")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {arguments.name} %(message)s")
    config = build({"kafka": {"broker": arguments.broker, "topic_prefix": arguments.prefix}})
    asyncio.run(
        _work(few_at_once(config), FakeModel(arguments.name, delay_s=arguments.delay_ms / 1000))
    )


if __name__ == "__main__":
    main()
