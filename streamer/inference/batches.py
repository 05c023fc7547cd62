"""Batches of clips through the model: halved when memory runs out, one by one after a failure.

What enters: clips. What leaves: for each a prediction or the reason why there is none. Before the
model's failure is blamed on a clip, the model scores a clip that is known to be good: if that fails
too, the model or its device is broken, and ModelError ends the worker.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from semi_iin.clips import Clip
from semi_iin.errors import SemiIINError
from semi_iin.predict import Prediction, Predictor
from streamer import metrics
from streamer.config import Config
from streamer.errors import ModelError
from streamer.records import (
    CLASS_LABELS,
    SAMPLE_RATE_HZ,
)

log = logging.getLogger(__name__)

AT_ONCE = min(2, os.cpu_count() or 1)
"""Windows that are scored at once where each is scored alone: those of all participants close at
the same moment, and those with only a face need not wait for one with a voice and words."""


class Model(Protocol):
    """What scores clips; `semi_iin.predict.Predictor` is one."""

    name: str
    device: torch.device

    def predict(self, clips: Sequence[Clip]) -> list[Prediction]:
        """One prediction per clip, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a window has no score."""

    reason: str


Outcome = Prediction | Refused | None


def load_predictor(config: Config) -> Predictor:
    """The configured checkpoint on the configured device (`cuda`, `mps`, `cpu`, `auto`).

    Raises:
        ModelError: the checkpoint, the device or the dtype cannot be used.
    """
    settings = config.inference
    if settings.threads:
        torch.set_num_threads(settings.threads)
    try:
        predictor = Predictor.from_checkpoint(
            settings.checkpoint,
            device=settings.device,
            dtype=settings.dtype,
            modalities=config.session.modalities,
            kept_bytes=settings.kept_bytes,
        )
    except (SemiIINError, RuntimeError, OSError) as error:
        raise ModelError(
            f"The model cannot be loaded from {settings.checkpoint} for the device "
            f"{settings.device}: {_one_line(error)}."
        ) from error
    if settings.compile:
        predictor.compile()
    metrics.watch("encodings", predictor.kept.counters)
    return predictor


def scored_alone(config: Config, model: Model) -> bool:
    """Whether the model takes one window at a time (`inference.reproducible`)."""
    setting = config.inference.reproducible
    return setting == "always" or (setting == "auto" and model.device.type == "cpu")


class Scorer:
    """The model with its failures sorted out; belongs to the model thread, or to `at_once` threads.

    `alone` gives the model one clip at a time: in a batch the last digits of a result depend on
    the batch's size and padding, and a replay is to give the same scores.

    Out of memory halves the batch, for good: what did not fit once will not fit again. Any other
    failure tries the windows of the batch one by one, so that only the culprit is refused, and
    only while the model still works on a clip known to be good.
    """

    def __init__(self, model: Model, *, alone: bool = False) -> None:
        self.counters: Counter[str] = Counter()
        self.alone = alone
        self.at_once = AT_ONCE if alone and isinstance(model, Predictor) and model.parallel else 1
        self.most_faces = model.most_faces if isinstance(model, Predictor) else None
        self._model = model
        self._largest = 1 if alone else None

    @property
    def name(self) -> str:
        """The model's name, as records carry it."""
        return self._model.name

    def warm_up(self) -> None:
        """Score the known clip: the first call is slow, and a broken model must fail now.

        Raises:
            ModelError: it does not work.
        """
        try:
            self._predict([_KNOWN_GOOD])
        except Exception as error:
            raise ModelError(
                f"The model {self.name} fails on a clip that is known to be good "
                f"({error_name(error)}); check its device, inference.dtype, inference.compile and "
                "the checkpoint."
            ) from error

    def score(self, clips: Sequence[Clip]) -> list[Prediction | Refused]:
        """One outcome per clip, in order.

        Raises:
            ModelError: the model fails on everything.
        """
        outcomes: list[Prediction | Refused] = []
        while len(outcomes) < len(clips):
            part = clips[len(outcomes) :][: self._largest]
            try:
                outcomes += self._predict(part)
            except Exception as error:
                if len(part) == 1:
                    outcomes.append(self._blame(error))
                elif _out_of_memory(error):
                    self._halve(len(part))
                else:
                    log.warning(
                        "A batch of %d failed (%s); one by one.", len(part), error_name(error)
                    )
                    self.counters["retried_alone"] += len(part)
                    outcomes += [self._retry(clip) for clip in part]
        return outcomes

    def _retry(self, clip: Clip) -> Prediction | Refused:
        try:
            return self._predict([clip])[0]
        except Exception as error:
            return self._blame(error)

    def _predict(self, clips: Sequence[Clip]) -> list[Prediction]:
        predictions = self._model.predict(clips)
        if len(predictions) != len(clips):
            raise RuntimeError(f"{len(predictions)} predictions for {len(clips)} clips")
        for prediction in predictions:
            if not _is_finite(prediction):
                raise ArithmeticError("the model gave no finite numbers")
        return predictions

    def _blame(self, error: Exception) -> Refused:
        if _out_of_memory(error):
            self.counters["out_of_memory"] += 1
            _free_memory()
        self.warm_up()
        return Refused(f"the model fails on this window alone: {error_name(error)}")

    def _halve(self, size: int) -> None:
        self.counters["out_of_memory"] += 1
        self._largest = size // 2
        log.warning(
            "Out of memory on a batch of %d; going on with %d (set inference.max_batch).",
            size,
            self._largest,
        )
        _free_memory()


def _known_good() -> Clip:
    rng = np.random.default_rng(0)
    noise = rng.normal(0.0, 0.05, SAMPLE_RATE_HZ).clip(-1, 1).astype(np.float32)
    face = rng.integers(96, 160, (64, 64, 3), np.uint8)
    return Clip(audio=noise, text="good morning", context=None, faces=[face, face])


_KNOWN_GOOD = _known_good()


def _is_finite(prediction: Prediction) -> bool:
    probabilities = prediction.class_probabilities
    numbers = (
        prediction.valence,
        prediction.valence_gate,
        prediction.class_gate,
        *(probabilities or ()),
    )
    if probabilities is not None and len(probabilities) != len(CLASS_LABELS):
        return False
    return all(number is None or math.isfinite(number) for number in numbers)


def _out_of_memory(error: Exception) -> bool:
    """CUDA has an exception type for it; MPS and the CPU's allocator only have a message."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def error_name(error: BaseException) -> str:
    """Kind and first line, for logs and headers."""
    line = _one_line(error)
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _one_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200].rstrip(".")
