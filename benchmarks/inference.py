"""Speed of inference: decoding, each modality, batching, and the whole worker.

    python benchmarks/inference.py [--checkpoint default] [--threads 1] [--windows 48]

The windows are generated: 5 s of FLAC, 26 crops of 112x112, 12 words, 60 words of context.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import cv2
import msgspec
import numpy as np
import torch
from measure import compare, show
from numpy.typing import NDArray

from semi_iin import checkpoint as checkpoints
from semi_iin.clips import Clip
from semi_iin.encoders.protocol import Encoder
from semi_iin.features import Encoders
from semi_iin.kept import KeptEncodings
from semi_iin.predict import Predictor
from streamer import audio
from streamer.config import Config, build
from streamer.inference.batches import Scorer, load_predictor
from streamer.inference.clips import to_clip
from streamer.inference.worker import Worker
from streamer.kafka.messages import Received
from streamer.records import (
    MODALITIES,
    NS_PER_S,
    SAMPLE_RATE_HZ,
    FaceCrop,
    Modality,
    Presence,
    Score,
    Window,
    Word,
)
from streamer.testing import FakePolicies

LENGTH_S = 5
CROPS = 26
SPOKEN = "well I think that the plan is good and we are happy".split()


def make_window(index: int, rng: np.random.Generator) -> Window:
    """Return a full window of a live session, with speech-like noise and a face-like gradient."""
    start_ns = index * NS_PER_S
    envelope = np.abs(np.sin(np.arange(LENGTH_S * SAMPLE_RATE_HZ) / 3000))
    samples = (rng.normal(0, 0.1, LENGTH_S * SAMPLE_RATE_HZ) * envelope).clip(-1, 1)
    ramp = np.linspace(40, 220, 112, dtype=np.float32)[:, None, None] * np.ones((1, 112, 3))
    crops = []
    for k in range(CROPS):
        image = (ramp + rng.normal(0, 6, ramp.shape)).clip(0, 255).astype(np.uint8)
        jpeg = bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])
        crops.append(FaceCrop(start_ns + k * NS_PER_S // 5, jpeg))
    return Window(
        session_id="bench",
        participant_id=f"p{index % 8}",
        window_index=index,
        session_start_unix_ns=0,
        start_ns=start_ns,
        end_ns=start_ns + LENGTH_S * NS_PER_S,
        audio_codec="flac",
        audio=audio.encode_flac(samples.astype(np.float32)),
        words=tuple(Word(word, start_ns, start_ns + 1) for word in SPOKEN),
        faces=tuple(crops),
        presence=Presence(audio=1.0, text=1.0, vision=1.0),
        context=" ".join(SPOKEN * 5),
    )


def overlapping(count: int, rng: np.random.Generator) -> list[Window]:
    """Return windows of one participant, a second apart: four fifths of their crops are shared.

    Their words differ.
    """
    made = [make_window(index, rng) for index in range(count)]
    jpegs = [crop.jpeg for window in made for crop in window.faces]
    crops = [FaceCrop(at * NS_PER_S // 5, jpeg) for at, jpeg in enumerate(jpegs)]
    return [
        msgspec.structs.replace(
            window,
            faces=tuple(crops[5 * at : 5 * at + LENGTH_S * 5]),
            words=(*window.words[at % len(SPOKEN) :], *window.words[: at % len(SPOKEN)]),
        )
        for at, window in enumerate(made)
    ]


def revised(windows: Sequence[Window]) -> list[Window]:
    """Return each window, and after it the same with one more word."""
    return [
        each
        for window in windows
        for each in (
            window,
            msgspec.structs.replace(
                window, words=(*window.words, Word("late", window.start_ns, window.end_ns))
            ),
        )
    ]


def alone(model: Predictor, clips: Sequence[Clip], kept_bytes: int) -> None:
    """Score clips one by one, beginning with nothing kept."""
    model.kept = KeptEncodings(kept_bytes)
    for clip in clips:
        model.predict([clip])


class Memory:
    """Consumer and producer without a broker: delivers the windows once, then stops the worker."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.stop = asyncio.Event()
        self._waiting = [
            Received("windows", 0, at, 0, b"", b"", {}, record=window)
            for at, window in enumerate(windows)
        ]
        self._left = len(windows)

    async def batch(self, max_records: int, max_wait_ms: int) -> list[Received[Window]]:
        """Return the windows that are left, up to `max_records`."""
        batch, self._waiting = self._waiting[:max_records], self._waiting[max_records:]
        await asyncio.sleep(0 if batch else max_wait_ms / 1000)
        return batch

    async def commit(self, received: Sequence[Received[Window]], /) -> None:
        """Count committed windows; the last one stops the worker."""
        self._left -= len(received)
        if not self._left:
            self.stop.set()

    async def publish_soon(self, record: Score, /) -> Awaitable[object]:
        """Encode the score and drop it."""
        msgspec.json.encode(record)
        return asyncio.sleep(0)

    async def dead_letter(self, received: Received[Window], reason: str, /) -> None:
        """Fail: every window is readable.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"{received.record.window_id}: {reason}")


def whole_worker(config: Config, model: Predictor, windows: Sequence[Window]) -> Counter[str]:
    """Score the windows through the worker's own tasks and threads."""

    async def work() -> Counter[str]:
        memory = Memory(windows)
        with ThreadPoolExecutor(1) as model_thread:
            worker = Worker(config, Scorer(model), memory, memory, FakePolicies(), model_thread)
            await worker.run(memory.stop)
        return worker.counters

    return asyncio.run(work())


def in_batches(model: Predictor, clips: Sequence[Clip], size: int) -> None:
    for first in range(0, len(clips), size):
        model.predict(clips[first : first + size])


def face_encoder(checkpoint: str) -> Encoder:
    """Return a checkpoint's face encoder, prepared as the predictor prepares it."""
    loaded = checkpoints.load(checkpoint)
    encoders = Encoders.build(loaded.config["encoders"], loaded.tensors, ["vision"])
    return encoders.prepare().encoders["vision"]


def faces_together(encoder: Encoder, crops: Sequence[NDArray[np.uint8]], size: int) -> None:
    """Encode crops in batches of one size."""
    with torch.inference_mode():
        for first in range(0, len(crops), size):
            encoder.encode([Clip(faces=[crop]) for crop in crops[first : first + size]])


def clips_of(
    windows: Sequence[Window],
    config: Config,
    modalities: Sequence[Modality] = MODALITIES,
    most_faces: int | None = None,
) -> list[Clip]:
    """Decode windows that all have evidence."""
    return [clip for window in windows if (clip := to_clip(window, config, modalities, most_faces))]


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--windows", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = {name: getattr(options, name) for name in ("checkpoint", "device", "dtype")}
    config = build({"inference": {**settings, "threads": options.threads, "max_wait_ms": 0}})
    torch.set_num_threads(options.threads)
    model = load_predictor(config)
    rng = np.random.default_rng(0)
    windows = [make_window(k, rng) for k in range(options.windows)]
    clips = clips_of(windows, config)
    count = len(windows)

    raw = [
        msgspec.structs.replace(
            window,
            audio_codec="pcm16",
            audio=audio.to_pcm16(audio.decode(window.audio or b"", "flac")).tobytes(),
        )
        for window in windows
    ]
    decoding = {
        "FLAC audio and faces": (count, lambda: clips_of(windows, config)),
        "PCM16 audio and faces": (count, lambda: clips_of(raw, config)),
        "text only": (count, lambda: clips_of(windows, config, ["text"])),
    }
    show("Decoding", "windows", compare(decoding, options.rounds), options.json)

    absent = Clip()
    parts = {
        "all modalities": clips,
        "audio": [replace(absent, audio=clip.audio) for clip in clips],
        "text without context": [replace(absent, text=clip.text) for clip in clips],
        "text with context": [replace(absent, text=c.text, context=c.context) for c in clips],
        "vision": [replace(absent, faces=clip.faces) for clip in clips],
    }
    model_alone = {
        f"{name}, batch 16": (count, partial(in_batches, model, part, 16))
        for name, part in parts.items()
    }
    for size in (1, 4):
        model_alone[f"all modalities, batch {size}"] = (
            count,
            partial(in_batches, model, clips, size),
        )
    show("Model and encoders alone", "windows", compare(model_alone, options.rounds), options.json)

    crops = [crop for clip in clips for crop in (clip.faces or [])[:8]][:96]
    encoder = face_encoder(options.checkpoint)
    together = {
        f"{size} together": (len(crops), partial(faces_together, encoder, crops, size))
        for size in (1, 2, 8, 16)
    }
    show("Faces on the CPU", "crops", compare(together, options.rounds), options.json)

    series = overlapping(options.windows, rng)
    silent = [
        msgspec.structs.replace(window, words=(), presence=Presence(vision=1.0))
        for window in series
    ]
    for title, some in {
        "Windows of one speaker, one by one": series,
        "Windows of one listener, only a face": silent,
        "Windows of one speaker, each revised once": revised(series),
    }.items():
        clips_of_them = clips_of(some, config, most_faces=model.most_faces)
        keeping = {
            "nothing kept": (len(some), partial(alone, model, clips_of_them, 0)),
            "kept by content": (len(some), partial(alone, model, clips_of_them, 1 << 25)),
        }
        show(title, "windows", compare(keeping, options.rounds), options.json)

    worker = {
        "model alone, batch 16": (count, lambda: in_batches(model, clips, 16)),
        "worker, max_batch 16": (count, lambda: whole_worker(config, model, windows)),
        "decode, then model, no overlap": (
            count,
            lambda: in_batches(model, clips_of(windows, config), 16),
        ),
    }
    show("The worker around it", "windows", compare(worker, options.rounds), options.json)


if __name__ == "__main__":
    main()
