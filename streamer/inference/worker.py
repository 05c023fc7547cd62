"""The inference worker: reads windows, has them scored in batches, publishes, commits.

Four tasks on the event loop, in a line, each joined to the next by a bounded queue:

    take    reads windows and hands each to the decode threads (FLAC or PCM16, JPEG)
      │ ready: `max_batch` windows. Full: take waits, and Kafka keeps the rest.
    score   closes a batch at `max_batch` windows or `max_wait_ms` after its first was taken, at
            one where the model takes each window alone, and passes it to a thread of the model,
            of which there are two for windows that are scored alone; the loop is never blocked
      │ done: one batch a thread. Full: the model waits for the broker.
    give    publishes the scores, in the order of the windows
      │ sent: `max_batch` windows. Full: give waits for the broker.
    commit  waits for the acknowledgements of all that is sent, then commits it at once

While the model scores one batch, those before are published and committed, and the next is decoded.
No score waits for the acknowledgement of another. A partition that is revoked in between loses
nothing: only published windows are committed, and the partition's next owner scores the rest, some
of it a second time, under the same `window_id`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from semi_iin.clips import Clip
from semi_iin.predict import Prediction
from streamer import metrics
from streamer.config import Config
from streamer.errors import UnreadableRecord
from streamer.inference.batches import (
    AT_ONCE,
    Model,
    Outcome,
    Refused,
    Scorer,
    error_name,
    load_predictor,
    scored_alone,
)
from streamer.inference.clips import stage_latency_ms, to_clip, to_score
from streamer.kafka.connection import wait_for_broker
from streamer.kafka.consumer import Consumer
from streamer.kafka.groups import consumer_group
from streamer.kafka.messages import Received
from streamer.kafka.policies import Policies, SessionPolicies
from streamer.kafka.producer import Producer
from streamer.kafka.topics import WINDOWS
from streamer.policy import UNKNOWN_SESSION, Policy
from streamer.records import (
    Modality,
    Score,
    Window,
)

log = logging.getLogger(__name__)

POLL_MS = 250
"""Longest wait for a first window; also how late a stop may be noticed by an idle worker."""


class Windows(Protocol):
    """Where windows come from; `streamer.kafka.consumer.Consumer` is one."""

    async def batch(self, max_records: int, max_wait_ms: int) -> list[Received[Window]]:
        """Return waiting windows, or wait up to `max_wait_ms` for the first."""
        ...

    async def commit(self, received: Sequence[Received[Window]], /) -> None:
        """Say that all up to `received` has been used; may be called while `batch` waits."""
        ...


class Scores(Protocol):
    """Where scores go; `streamer.kafka.producer.Producer` is one."""

    async def publish_soon(self, record: Score, /) -> Awaitable[object]:
        """Send in order; the result is done when the broker has acknowledged.

        Raises:
            UnreadableRecord: no reader would accept the record; it did not go out.
        """
        ...

    async def dead_letter(self, received: Received[Window], reason: str, /) -> None:
        """Publish an unusable window as a dead letter; it is stored when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class _Taken:
    """A window on its way: `clip` gives None for no evidence, raises when it is unreadable.

    `policy` is what its session allows; None when the session's record is missing, and then `clip`
    gives nothing.
    """

    received: Received[Window]
    policy: Policy | None
    taken_unix_ms: float
    taken_s: float
    clip: asyncio.Future[Clip | None]


_Scored = list[tuple[_Taken, Outcome]]


@dataclass(frozen=True, slots=True)
class _Sent:
    """A window whose score was sent; without `acknowledgement` it is a dead letter, and stored."""

    received: Received[Window]
    acknowledgement: Awaitable[object] | None


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
    with ThreadPoolExecutor(AT_ONCE, "model") as model_threads:
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(model_threads, load or load_predictor, config)
        scorer = Scorer(model, alone=scored_alone(config, model))
        await loop.run_in_executor(model_threads, scorer.warm_up)
        group = consumer_group(config, "inference")
        async with (
            Producer(config) as publisher,
            Consumer(config, WINDOWS, group=group) as reader,
            SessionPolicies(config) as policies,
        ):
            log.info("Scoring with %s on %s in the group %s.", model.name, model.device, group)
            worker = Worker(config, scorer, reader, publisher, policies, model_threads)
            metrics.watch("inference", worker.counters)
            metrics.ready()
            try:
                await worker.run(stop)
            finally:
                log.info("Stopped scoring: %s.", dict(worker.counters))
            return worker.counters


class Worker:
    """Takes windows, scores them, gives scores; one use. `counters` may be read at any time.

    Runs on the caller's event loop; decoding runs in `decode_threads` threads of its own, the model
    in `model_threads`, of which the scorer's `at_once` are used.
    """

    def __init__(
        self,
        config: Config,
        scorer: Scorer,
        reader: Windows,
        publisher: Scores,
        policies: Policies,
        model_threads: ThreadPoolExecutor,
    ) -> None:
        self.counters = scorer.counters
        self._config = config
        self._settings = config.inference
        self._most = 1 if scorer.alone else self._settings.max_batch
        self._scorer = scorer
        self._reader = reader
        self._publisher = publisher
        self._policies = policies
        self._model_threads = model_threads
        # Full: take waits, and Kafka keeps the rest.
        self._ready: asyncio.Queue[_Taken | None] = asyncio.Queue(self._settings.max_batch)
        self._free = asyncio.Semaphore(scorer.at_once)
        # Full: the model waits until the batch before is sent.
        self._done: asyncio.Queue[asyncio.Task[_Scored] | None] = asyncio.Queue(scorer.at_once)
        # Full: give waits until the broker has acknowledged.
        self._sent: asyncio.Queue[_Sent | None] = asyncio.Queue(self._settings.max_batch)

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
                tasks.create_task(self._score(stop, tasks))
                tasks.create_task(self._give())
                tasks.create_task(self._commit())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _take(self, stop: asyncio.Event, decode_threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            batch = await self._reader.batch(self._settings.max_batch, POLL_MS)
            self.counters["taken"] += len(batch)
            now_unix_ms, now_s = time.time() * 1000, loop.time()
            for received in batch:
                policy = await self._policies.policy(received.record.session_id)
                clip = loop.create_future()
                if policy is not None:
                    clip = loop.run_in_executor(
                        decode_threads,
                        to_clip,
                        received.record,
                        self._config,
                        self._modalities(policy),
                        self._scorer.most_faces,
                    )
                await self._ready.put(_Taken(received, policy, now_unix_ms, now_s, clip))
        await self._ready.put(None)

    async def _score(self, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        more = True
        while more:
            await self._free.acquire()
            batch, more = await self._close_batch()
            if stop.is_set():
                self.counters["left"] += len(batch)
                for taken in batch:
                    taken.clip.cancel()
            elif batch:
                await self._done.put(tasks.create_task(self._outcomes(batch)))
                continue  # the task gives its place back
            self._free.release()
        await self._done.put(None)

    async def _outcomes(self, batch: Sequence[_Taken]) -> _Scored:
        """Score a batch in one of the model's threads, and free its place there."""
        try:
            outcomes = [await self._decoded(taken) for taken in batch]
            clips = [clip for clip in outcomes if isinstance(clip, Clip)]
            loop = asyncio.get_running_loop()
            predictions = iter(
                await loop.run_in_executor(self._model_threads, self._scorer.score, clips)
                if clips
                else ()
            )
            return [
                (taken, next(predictions) if isinstance(outcome, Clip) else outcome)
                for taken, outcome in zip(batch, outcomes, strict=True)
            ]
        finally:
            self._free.release()

    async def _close_batch(self) -> tuple[list[_Taken], bool]:
        """The next batch, and whether more may follow."""
        first = await self._ready.get()
        if first is None:
            return [], False
        batch = [first]
        with suppress(TimeoutError):
            async with asyncio.timeout_at(first.taken_s + self._settings.max_wait_ms / 1000):
                while len(batch) < self._most:
                    taken = await self._ready.get()
                    if taken is None:
                        return batch, False
                    batch.append(taken)
        while len(batch) < self._most and not self._ready.empty():
            taken = self._ready.get_nowait()
            if taken is None:
                return batch, False
            batch.append(taken)
        return batch, True

    def _modalities(self, policy: Policy) -> tuple[Modality, ...]:
        """Return those that the session allows and that this worker's model was loaded for."""
        loaded = self._config.session.modalities
        return tuple(name for name in policy.modalities if name in loaded)

    async def _decoded(self, taken: _Taken) -> Clip | Refused | None:
        if taken.policy is None:
            return Refused(UNKNOWN_SESSION)
        try:
            return await taken.clip
        except UnreadableRecord as error:
            return Refused(error.reason)
        except Exception as error:
            return Refused(f"decoding failed: {error_name(error)}")

    async def _give(self) -> None:
        while (scored := await self._done.get()) is not None:
            for taken, outcome in await scored:
                await self._sent.put(_Sent(taken.received, await self._publish(taken, outcome)))
            self.counters["batches"] += 1
        await self._sent.put(None)

    async def _publish(self, taken: _Taken, outcome: Outcome) -> Awaitable[object] | None:
        """Send a score and return its acknowledgement; None after a dead letter, now stored."""
        try:
            if isinstance(outcome, Refused):
                raise UnreadableRecord(outcome.reason)
            score = self._to_score(taken, outcome)
            acknowledgement = await self._publisher.publish_soon(score)
        except UnreadableRecord as error:
            await self._publisher.dead_letter(taken.received, error.reason)
            self.counters["dead_lettered"] += 1
            return None
        self.counters["scored"] += 1
        self.counters["no_evidence"] += score.valence is None
        return acknowledgement

    async def _commit(self) -> None:
        more = True
        while more:
            waiting = [await self._sent.get()]
            while not self._sent.empty():
                waiting.append(self._sent.get_nowait())
            more = waiting[-1] is not None
            sent = [each for each in waiting if each is not None]
            await asyncio.gather(
                *(each.acknowledgement for each in sent if each.acknowledgement is not None)
            )
            if sent:
                await self._reader.commit([each.received for each in sent])

    def _to_score(self, taken: _Taken, prediction: Prediction | None) -> Score:
        assert taken.policy is not None  # else it was refused
        latency_ms = stage_latency_ms(taken.received, taken.taken_unix_ms)
        elapsed_s = asyncio.get_running_loop().time() - taken.taken_s
        latency_ms["inference"] = round(elapsed_s * 1000, 3)
        return to_score(
            taken.received.record,
            prediction,
            model=self._scorer.name,
            modalities=self._modalities(taken.policy),
            words=taken.policy.persons,
            latency_ms=latency_ms,
        )
