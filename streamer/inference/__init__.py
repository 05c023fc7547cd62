"""Windows to scores: one process, one model, one device.

In: `Window` records of a consumer group. Out: one `Score` per window, acknowledged by the broker
before the window is committed. Deliberately unknown here: how records lie on Kafka (`topics`),
what the model is made of (`semi_iin`), and what came before or after a window.

Three tasks on the event loop, in a line, each joined to the next by a bounded queue:

    take    reads windows and hands each to the decode threads (FLAC or PCM16, JPEG)
      │ ready: `max_batch` windows. Full: take waits, and Kafka keeps the rest.
    score   closes a batch at `max_batch` windows or `max_wait_ms` after its first was taken,
            and has the model thread work on it; the loop itself is never blocked
      │ done: one batch. Full: the model waits for the broker.
    give    publishes the scores, waits for the acknowledgements, commits the batch

So while the model works on one batch, the one before is published and the next is decoded.
A partition that is taken away in the middle loses nothing: only what was published is committed,
and the partition's next owner scores the rest, some of it a second time, under the same
`window_id`.

A window that cannot be decoded, or on which the model fails alone, goes to dead-letter with the
reason, and its batch goes on. Before the model's failure is blamed on a window, the model is tried
on a clip that is known to be good: if it fails there too, the model or its device is broken, and
the worker ends with `ModelError`, committing nothing that it did not publish.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from semi_iin.clips import Clip
from semi_iin.errors import SemiIINError
from semi_iin.predict import Prediction, Predictor
from streamer import audio, metrics
from streamer.config import Config
from streamer.errors import ModelError, UnreadableRecord
from streamer.kafka.connection import wait_for_broker
from streamer.kafka.consumer import Consumer
from streamer.kafka.groups import consumer_group
from streamer.kafka.messages import Received
from streamer.kafka.producer import Producer
from streamer.kafka.topics import WINDOWS
from streamer.records import (
    CLASS_LABELS,
    NS_PER_MS,
    NS_PER_S,
    SAMPLE_RATE_HZ,
    Gate,
    Modality,
    Presence,
    Score,
    Window,
    wall_clock,
)

log = logging.getLogger(__name__)

POLL_MS = 250
"""Longest wait for a first window; also how late a stop may be noticed by an idle worker."""
MAX_TEXT_CHARACTERS = 20_000
"""Longest text or context of a window; nobody says more in a minute."""
PIXELS_PER_MESSAGE_BYTE = 16
"""Pixels that all crops of a window may have, per byte of Kafka's message limit. A crop has about
three pixels per byte; what has many times more was made to fill the memory."""
AUDIO_TOLERANCE_S = 0.1
"""How far the sound of a window may be longer or shorter than the window."""


class Model(Protocol):
    """What scores clips; `semi_iin.predict.Predictor` is one."""

    name: str
    device: torch.device

    def predict(self, clips: Sequence[Clip]) -> list[Prediction]:
        """One prediction per clip, in order."""
        ...


class Windows(Protocol):
    """Where windows come from; `streamer.kafka.consumer.Consumer` is one."""

    async def batch(self, max_records: int, max_wait_ms: int) -> list[Received[Window]]:
        """What is there now, or, when nothing is, what comes within `max_wait_ms`."""
        ...

    async def commit(self, received: Sequence[Received[Window]], /) -> None:
        """Say that all up to `received` has been used; may be called while `batch` waits."""
        ...


class Scores(Protocol):
    """Where scores go; `streamer.kafka.producer.Producer` is one."""

    async def publish_soon(self, record: Score, /) -> Awaitable[object]:
        """Send in order; what comes back is done when the broker has acknowledged.

        Raises:
            UnreadableRecord: no reader would accept the record; it did not go out.
        """
        ...

    async def dead_letter(self, received: Received[Window], reason: str, /) -> None:
        """Keep what could not be scored, with the reason; safe when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class _Taken:
    """A window on its way: `clip` gives None for no evidence, raises when it is unreadable."""

    received: Received[Window]
    taken_unix_ms: float
    taken_s: float
    clip: asyncio.Future[Clip | None]


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why a window has no score."""

    reason: str


_Outcome = Prediction | _Refused | None


async def run(
    config: Config,
    stop: asyncio.Event,
    load: Callable[[Config], Model] | None = None,
) -> Counter[str]:
    """Score windows until `stop` is set; the batch in hand is then published and committed.

    Args:
        config: all settings.
        stop: set by the caller's signal handler.
        load: makes the model; by default the configured checkpoint on the configured device.

    Returns:
        What was counted: `taken`, `scored`, `no_evidence`, `dead_lettered`, `batches`,
        `retried_alone`, `out_of_memory`, `left` (taken, then left to the next worker at the stop).

    Raises:
        ModelError: the checkpoint cannot be loaded, or the model fails on everything.
        BrokerError: the broker cannot be reached, or did not take what was in hand at the stop.
    """
    with ThreadPoolExecutor(1, "model") as model_thread:
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(model_thread, load or load_predictor, config)
        scorer = Scorer(model, alone=_alone(config, model))
        await loop.run_in_executor(model_thread, scorer.warm_up)
        group = consumer_group(config, "inference")
        async with (
            Producer(config) as publisher,
            Consumer(config, WINDOWS, group=group) as reader,
        ):
            log.info("Scoring with %s on %s in the group %s.", model.name, model.device, group)
            worker = Worker(config, scorer, reader, publisher, model_thread)
            metrics.watch("inference", worker.counters)
            metrics.ready()
            try:
                await worker.run(stop)
            finally:
                log.info("Stopped scoring: %s.", dict(worker.counters))
            return worker.counters


def load_predictor(config: Config) -> Predictor:
    """The configured checkpoint on the configured device (`cuda`, `mps`, `cpu`, `auto`).

    Raises:
        ModelError: the checkpoint, the device or the dtype cannot be had.
    """
    settings = config.inference
    if settings.threads:
        torch.set_num_threads(settings.threads)
    try:
        return Predictor.from_checkpoint(
            settings.checkpoint,
            device=settings.device,
            dtype=settings.dtype,
            modalities=config.session.modalities,
        )
    except (SemiIINError, RuntimeError, OSError) as error:
        raise ModelError(
            f"The model cannot be loaded from {settings.checkpoint} for the device "
            f"{settings.device}: {_one_line(error)}."
        ) from error


def _alone(config: Config, model: Model) -> bool:
    """Whether the model takes one window at a time (`inference.reproducible`)."""
    wish = config.inference.reproducible
    return wish == "always" or (wish == "auto" and model.device.type == "cpu")


# --- the line of tasks --------------------------------------------------------------------------


class Worker:
    """Takes windows, scores them, gives scores; one use. `counters` may be read at any time.

    Runs on the caller's event loop; decoding runs in `decode_threads` threads of its own, the model
    in `model_thread`, which must have one thread.
    """

    def __init__(
        self,
        config: Config,
        scorer: Scorer,
        reader: Windows,
        publisher: Scores,
        model_thread: ThreadPoolExecutor,
    ) -> None:
        self.counters = scorer.counters
        self._config = config
        self._settings = config.inference
        self._scorer = scorer
        self._reader = reader
        self._publisher = publisher
        self._model_thread = model_thread
        # Full: take waits, and Kafka keeps the rest.
        self._ready: asyncio.Queue[_Taken | None] = asyncio.Queue(self._settings.max_batch)
        # Full: the model waits until the batch before is published.
        self._done: asyncio.Queue[list[tuple[_Taken, _Outcome]] | None] = asyncio.Queue(1)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; an error in one task ends the others and is raised.

        Raises:
            BrokerError: what was in hand could not be published and committed within
                `kafka.connect_timeout_s` after the stop.
        """
        decode_threads = ThreadPoolExecutor(self._settings.decode_threads, "decode")
        try:
            await wait_for_broker(
                self._work(stop, decode_threads),
                stop.is_set,
                self._config.kafka,
                "what was in hand is not committed, and the next worker scores it",
            )
        finally:
            await asyncio.to_thread(decode_threads.shutdown, cancel_futures=True)

    async def _work(self, stop: asyncio.Event, decode_threads: ThreadPoolExecutor) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take(stop, decode_threads))
                tasks.create_task(self._score(stop))
                tasks.create_task(self._give())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _take(self, stop: asyncio.Event, decode_threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            batch = await self._reader.batch(self._settings.max_batch, POLL_MS)
            self.counters["taken"] += len(batch)
            now_unix_ms, now_s = time.time() * 1000, loop.time()
            for received in batch:
                clip = loop.run_in_executor(decode_threads, to_clip, received.record, self._config)
                await self._ready.put(_Taken(received, now_unix_ms, now_s, clip))
        await self._ready.put(None)

    async def _score(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        more = True
        while more:
            batch, more = await self._close_batch()
            if stop.is_set():
                self.counters["left"] += len(batch)
                for taken in batch:
                    taken.clip.cancel()
            elif batch:
                outcomes = [await self._decoded(taken) for taken in batch]
                clips = [clip for clip in outcomes if isinstance(clip, Clip)]
                predictions = iter(
                    await loop.run_in_executor(self._model_thread, self._scorer.score, clips)
                    if clips
                    else ()
                )
                await self._done.put(
                    [
                        (taken, next(predictions) if isinstance(outcome, Clip) else outcome)
                        for taken, outcome in zip(batch, outcomes, strict=True)
                    ]
                )
        await self._done.put(None)

    async def _close_batch(self) -> tuple[list[_Taken], bool]:
        """The next batch, and whether more may follow."""
        first = await self._ready.get()
        if first is None:
            return [], False
        batch = [first]
        with suppress(TimeoutError):
            async with asyncio.timeout_at(first.taken_s + self._settings.max_wait_ms / 1000):
                while len(batch) < self._settings.max_batch:
                    taken = await self._ready.get()
                    if taken is None:
                        return batch, False
                    batch.append(taken)
        while len(batch) < self._settings.max_batch and not self._ready.empty():
            taken = self._ready.get_nowait()
            if taken is None:
                return batch, False
            batch.append(taken)
        return batch, True

    async def _decoded(self, taken: _Taken) -> Clip | _Refused | None:
        try:
            return await taken.clip
        except UnreadableRecord as error:
            return _Refused(error.reason)
        except Exception as error:
            return _Refused(f"decoding failed: {_name(error)}")

    async def _give(self) -> None:
        while (batch := await self._done.get()) is not None:
            acknowledgements = []
            for taken, outcome in batch:
                try:
                    if isinstance(outcome, _Refused):
                        raise UnreadableRecord(outcome.reason)
                    score = self._to_score(taken, outcome)
                    acknowledgements.append(await self._publisher.publish_soon(score))
                except UnreadableRecord as error:
                    await self._publisher.dead_letter(taken.received, error.reason)
                    self.counters["dead_lettered"] += 1
                else:
                    self.counters["scored"] += 1
                    self.counters["no_evidence"] += score.valence is None
            await asyncio.gather(*acknowledgements)
            await self._reader.commit([taken.received for taken, _ in batch])
            self.counters["batches"] += 1

    def _to_score(self, taken: _Taken, prediction: Prediction | None) -> Score:
        latency_ms = _latency_ms(taken.received, taken.taken_unix_ms)
        elapsed_s = asyncio.get_running_loop().time() - taken.taken_s
        latency_ms["inference"] = round(elapsed_s * 1000, 3)
        return to_score(
            taken.received.record,
            prediction,
            model=self._scorer.name,
            modalities=self._config.session.modalities,
            latency_ms=latency_ms,
        )


def _look_at(clip: asyncio.Future[Clip | None]) -> None:
    if not clip.cancelled():
        clip.exception()


# --- window to clip -----------------------------------------------------------------------------


def to_clip(window: Window, config: Config) -> Clip | None:
    """Decode what the model may look at; None when the window gives it no evidence.

    Silence, wordless time and faceless time are left out (`Window.presence`), and so is every
    modality that `session.modalities` does not name: it is not even decoded. Thread-safe.

    Raises:
        UnreadableRecord: the window contradicts itself, exceeds a limit of `inference`, or its
            sound or a picture cannot be decoded.
    """
    _check_sizes(window, config)
    wanted = config.session.modalities
    presence = window.presence
    sound = faces = text = None
    if "audio" in wanted and presence.audio > 0 and window.audio is not None:
        sound = _decode_audio(window)
    if "text" in wanted and presence.text > 0:
        text = window.text.strip() or None
    if "vision" in wanted and presence.vision > 0 and window.faces:
        faces = _decode_faces(window, config)
    if sound is None and text is None and faces is None:
        return None
    context = window.context if "text" in wanted else ""
    return Clip(audio=sound, text=text, context=context or None, faces=faces)


def _check_sizes(window: Window, config: Config) -> None:
    limits = config.inference
    length_s = (window.end_ns - window.start_ns) / NS_PER_S
    text_characters = max(len(window.text), len(window.context))
    if length_s <= 0:
        raise UnreadableRecord("the window ends before it starts")
    if length_s > limits.max_window_s:
        raise UnreadableRecord(
            f"the window of {length_s:g} s exceeds inference.max_window_s = {limits.max_window_s:g}"
        )
    if window.sample_rate_hz != SAMPLE_RATE_HZ:
        raise UnreadableRecord(f"the sound is at {window.sample_rate_hz} Hz, not {SAMPLE_RATE_HZ}")
    if len(window.faces) > limits.max_faces:
        raise UnreadableRecord(
            f"{len(window.faces)} face crops exceed inference.max_faces = {limits.max_faces}"
        )
    if text_characters > MAX_TEXT_CHARACTERS:
        raise UnreadableRecord(f"{text_characters} characters of text exceed {MAX_TEXT_CHARACTERS}")


def _decode_audio(window: Window) -> NDArray[np.float32]:
    assert window.audio is not None
    length_s = (window.end_ns - window.start_ns) / NS_PER_S
    longest = round((length_s + AUDIO_TOLERANCE_S) * SAMPLE_RATE_HZ)
    samples = audio.decode(window.audio, window.audio_codec, max_samples=longest)
    if abs(len(samples) / SAMPLE_RATE_HZ - length_s) > AUDIO_TOLERANCE_S:
        raise UnreadableRecord(
            f"{len(samples) / SAMPLE_RATE_HZ:g} s of sound in a window of {length_s:g} s"
        )
    return samples


def _decode_faces(window: Window, config: Config) -> list[NDArray[np.uint8]]:
    """RGB crops. All sizes are read from the headers before the first picture is decoded."""
    side_px = config.inference.max_face_px
    sizes = [_jpeg_size(face.jpeg) for face in window.faces]
    for width, height in sizes:
        if max(width, height) > side_px:
            raise UnreadableRecord(
                f"a face crop of {width}x{height} exceeds inference.max_face_px = {side_px}"
            )
    pixels = sum(width * height for width, height in sizes)
    most = PIXELS_PER_MESSAGE_BYTE * config.kafka.max_message_bytes
    if pixels > most:
        raise UnreadableRecord(f"the face crops have {pixels} pixels together, more than {most}")
    return [_decode_jpeg(face.jpeg) for face in window.faces]


def _decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise UnreadableRecord("a face crop is not a readable JPEG")
    return np.asarray(image, np.uint8)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from a JPEG's frame header (ITU-T T.81, B.2.2), nothing decoded.

    Raises:
        UnreadableRecord: not a JPEG, or cut off.
    """
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        raise UnreadableRecord("a face crop is not a whole JPEG")
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in _FRAME_MARKERS:
            height = int.from_bytes(data[at + 5 : at + 7])
            width = int.from_bytes(data[at + 7 : at + 9])
            if not width or not height:
                raise UnreadableRecord("a face crop has no size")
            return width, height
        at += 2 + length
    raise UnreadableRecord("a face crop is a JPEG without a picture")


_FRAME_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC),
                            *range(0xCD, 0xD0)})  # fmt: skip
"""SOF0 to SOF15 without DHT, JPG and DAC, which lie between them."""


# --- clip to prediction -------------------------------------------------------------------------


class Scorer:
    """The model with its failures sorted out; belongs to the model thread.

    `alone` gives the model one clip at a time: in a batch the last digits of a result depend on
    the batch's size and padding, and a replay is to give the same scores.

    Out of memory halves the batch, for good: what did not fit once will not fit again. Any other
    failure tries the windows of the batch one by one, so that only the culprit is refused, and
    only while the model still works on a clip known to be good.
    """

    def __init__(self, model: Model, *, alone: bool = False) -> None:
        self.counters: Counter[str] = Counter()
        self._model = model
        self._largest = 1 if alone else None

    @property
    def name(self) -> str:
        """The model's, as it stands in records."""
        return self._model.name

    def warm_up(self) -> None:
        """Score the known clip: the first call is slow, and a broken model should say so now.

        Raises:
            ModelError: it does not work.
        """
        try:
            self._predict([_KNOWN_GOOD])
        except Exception as error:
            raise ModelError(
                f"The model {self.name} fails on a clip that is known to be good "
                f"({_name(error)}); check its device, inference.dtype and the checkpoint."
            ) from error

    def score(self, clips: Sequence[Clip]) -> list[Prediction | _Refused]:
        """One outcome per clip, in order.

        Raises:
            ModelError: the model fails on everything.
        """
        outcomes: list[Prediction | _Refused] = []
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
                    log.warning("A batch of %d failed (%s); one by one.", len(part), _name(error))
                    self.counters["retried_alone"] += len(part)
                    outcomes += [self._retry(clip) for clip in part]
        return outcomes

    def _retry(self, clip: Clip) -> Prediction | _Refused:
        try:
            return self._predict([clip])[0]
        except Exception as error:
            return self._blame(error)

    def _predict(self, clips: Sequence[Clip]) -> list[Prediction]:
        predictions = self._model.predict(clips)
        if len(predictions) != len(clips):
            raise RuntimeError(f"{len(predictions)} predictions for {len(clips)} clips")
        for prediction in predictions:
            if not _is_sound(prediction):
                raise ArithmeticError("the model gave no finite numbers")
        return predictions

    def _blame(self, error: Exception) -> _Refused:
        if _out_of_memory(error):
            self.counters["out_of_memory"] += 1
            _free_memory()
        self.warm_up()
        return _Refused(f"the model fails on this window alone: {_name(error)}")

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


def _is_sound(prediction: Prediction) -> bool:
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
    """CUDA has an error of its own for it; MPS and the CPU's allocator say it in words."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


# --- prediction to score ------------------------------------------------------------------------


def to_score(
    window: Window,
    prediction: Prediction | None,
    *,
    model: str,
    modalities: Sequence[Modality],
    latency_ms: Mapping[str, float],
) -> Score:
    """The record for one window; `prediction` is None when there was no evidence to score.

    Numbers are rounded to six places: the rest is float32 noise; times outwards, so that no window
    is empty. What `modalities` leaves out
    appears neither as presence nor as text.
    """
    presence = {name: getattr(window.presence, name) for name in modalities}
    told = _told(prediction)
    return Score(
        session_id=window.session_id,
        participant_id=window.participant_id,
        window_id=window.window_id,
        window_index=window.window_index,
        revision=window.revision,
        session_start=wall_clock(window.session_start_unix_ns, 0),
        start_ms=window.start_ns // NS_PER_MS,
        end_ms=-(-window.end_ns // NS_PER_MS),
        valence=told.valence,
        class_probabilities=told.class_probabilities,
        gate=told.gate,
        presence=Presence(**presence),
        evidence=tuple(name for name in modalities if name in told.modalities),
        text=window.text if "text" in modalities else "",
        skipped=window.skipped,
        session_participants=window.session_participants,
        final=window.final,
        latency_ms=dict(latency_ms),
        model=model,
    )


class _Told(NamedTuple):
    """What a prediction says, in the record's types; all empty without evidence."""

    valence: float | None = None
    class_probabilities: tuple[float, float, float, float, float, float, float] | None = None
    gate: Gate | None = None
    modalities: tuple[str, ...] = ()


def _told(prediction: Prediction | None) -> _Told:
    if prediction is None or prediction.valence is None:
        return _Told()
    probabilities = prediction.class_probabilities
    gates = prediction.valence_gate, prediction.class_gate
    return _Told(
        valence=_within(prediction.valence, -3.0, 3.0),
        class_probabilities=None if probabilities is None else _seven(probabilities),
        gate=None
        if gates[0] is None or gates[1] is None
        else Gate(val=_within(gates[0], 0.0, 1.0), cls=_within(gates[1], 0.0, 1.0)),
        modalities=prediction.modalities,
    )


def _seven(
    probabilities: Sequence[float],
) -> tuple[float, float, float, float, float, float, float]:
    a, b, c, d, e, f, g = (_within(value, 0.0, 1.0) for value in probabilities)
    return a, b, c, d, e, f, g


def _within(value: float, low: float, high: float) -> float:
    return round(min(max(float(value), low), high), 6)


def _latency_ms(received: Received[Window], taken_unix_ms: float) -> dict[str, float]:
    """`capture` as its header says, where it does; `queue` by the two machines' clocks."""
    latency_ms = {}
    with suppress(KeyError, ValueError):
        capture_ms = float(received.headers["capture_latency_ms"])
        if math.isfinite(capture_ms):
            latency_ms["capture"] = round(max(0.0, capture_ms), 3)
    latency_ms["queue"] = round(max(0.0, taken_unix_ms - received.timestamp_ms), 3)
    return latency_ms


def _name(error: BaseException) -> str:
    """Kind and first line, for logs and headers."""
    line = _one_line(error)
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _one_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200].rstrip(".")
