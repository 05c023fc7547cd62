"""The worker against a fake reader, publisher and model, and with a small real model."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from semi_iin.clips import Clip
from semi_iin.kept import KeptEncodings
from semi_iin.predict import Prediction
from streamer.config import build
from streamer.errors import BrokerError, ModelError, UnreadableRecord
from streamer.inference import batches
from streamer.inference.batches import Scorer
from streamer.inference.clips import to_clip
from streamer.inference.worker import Worker
from streamer.kafka.messages import Received
from streamer.kafka.topics import SCORES, WINDOWS
from streamer.policy import UNKNOWN_SESSION, Policy
from streamer.records import (
    MODALITIES,
    NS_PER_S,
    FaceCrop,
    Presence,
    Score,
    Window,
)
from streamer.testing import FakeConsumer, FakePolicies, FakeProducer, Journal, received
from tests.fake_model import FakeModel
from tests.made_windows import TONE, pcm16, window


class Bench:
    """A worker over fakes."""

    def __init__(
        self,
        records: Sequence[Window],
        model: batches.Model | None = None,
        alone: bool = False,
        **settings: Any,
    ) -> None:
        self.journal: Journal = []
        self.consumer = FakeConsumer(WINDOWS, records, self.journal)
        self.producer = FakeProducer(self.journal)
        self.model = model or FakeModel()
        kafka = {"broker": "kafka:9092", "connect_timeout_s": 0.2}
        self.config = build({"kafka": kafka, "inference": {"max_wait_ms": 20, **settings}})
        self._threads = ThreadPoolExecutor(batches.AT_ONCE)
        self.scorer = Scorer(self.model, alone=alone)
        self.policies = FakePolicies()
        self.worker = Worker(
            self.config,
            self.scorer,
            self.consumer,
            self.producer,
            self.policies,
            self._threads,
        )

    async def run(self) -> Bench:
        try:
            await asyncio.wait_for(self.worker.run(self.consumer.finished), 30)
        finally:
            self._threads.shutdown()
        return self

    @property
    def scores(self) -> list[Score]:
        return self.producer.records(SCORES)

    @property
    def dead(self) -> dict[str, str]:
        """Reason of each dead letter, by window."""
        reasons = {}
        for message, reason in self.producer.dead_letters:
            assert isinstance(message, Received)
            reasons[message.record.window_id] = reason
        return reasons

    @property
    def batches(self) -> list[list[Clip]]:
        """The clips of every call of the fake model."""
        assert isinstance(self.model, FakeModel)
        return self.model.batches

    def did(self, action: str) -> list[str]:
        """Window ids of an action in the journal, in order."""
        return [record.window_id for done, _, record in self.journal if done == action]


def ids(windows: Sequence[Window]) -> list[str]:
    return [item.window_id for item in windows]


async def test_every_window_is_scored_in_order_and_committed_after_its_acknowledgement() -> None:
    windows = [window(k) for k in range(40)]
    bench = await Bench(windows, max_batch=4).run()
    assert [score.window_id for score in bench.scores] == ids(windows)
    assert bench.did("committed") == ids(windows)
    order = [(action, record.window_id) for action, _, record in bench.journal]
    for window_id in ids(windows):
        acknowledged = order.index(("acknowledged", window_id))
        assert acknowledged < order.index(("committed", window_id))
    assert bench.worker.counters["scored"] == 40


async def test_a_batch_goes_across_participants_and_no_further_than_max_batch() -> None:
    windows = [window(k, participant_id=name) for k in range(5) for name in ("ana", "bo", "cy")]
    bench = await Bench(windows, max_batch=6).run()
    assert [len(batch) for batch in bench.batches] == [6, 6, 3]


async def test_a_lone_window_does_not_wait_for_a_full_batch() -> None:
    bench = await Bench([window()], max_batch=64, max_wait_ms=1).run()
    assert [len(batch) for batch in bench.batches] == [1]


async def test_where_windows_are_scored_alone_each_goes_out_without_the_others() -> None:
    bench = await Bench([window(k) for k in range(3)], alone=True, max_wait_ms=60_000).run()
    assert bench.worker.counters["batches"] == 3


async def test_without_evidence_the_model_is_not_asked() -> None:
    silent = window(0, "", presence=Presence(), faces=())
    bench = await Bench([silent]).run()
    assert bench.batches == []
    (score,) = bench.scores
    assert (score.valence, score.class_probabilities, score.gate, score.evidence) == (
        None,
        None,
        None,
        (),
    )
    assert bench.worker.counters["no_evidence"] == 1


async def test_a_poisoned_window_goes_to_dead_letter_alone() -> None:
    windows = [window(k) for k in range(6)]
    windows[2] = window(2, faces=(FaceCrop(2 * NS_PER_S, b"no JPEG"),))
    bench = await Bench(windows, max_batch=6).run()
    assert bench.dead == {"standup/ana/2": "a face crop is not a whole JPEG"}
    assert [score.window_index for score in bench.scores] == [0, 1, 3, 4, 5]
    assert bench.did("committed") == ids(windows)


async def test_a_window_that_the_model_fails_on_is_dead_lettered_alone() -> None:
    windows = [window(k, "crash" if k == 3 else "good day") for k in range(6)]
    bench = await Bench(windows, max_batch=6).run()
    assert list(bench.dead) == ["standup/ana/3"]
    assert "the model stumbled" in bench.dead["standup/ana/3"]
    assert len(bench.scores) == 5
    assert bench.worker.counters["retried_alone"] == 6


async def test_a_prediction_that_is_not_a_number_is_dead_lettered() -> None:
    bench = await Bench([window(0, "nan"), window(1)]).run()
    assert list(bench.dead) == ["standup/ana/0"]
    valence = bench.scores[0].valence
    assert valence is not None and math.isfinite(valence)


async def test_a_broken_model_ends_the_worker_and_dead_letters_nothing() -> None:
    bench = Bench([window(k) for k in range(3)], FakeModel(broken=True))
    with pytest.raises(ModelError, match=r"known to be good \(RuntimeError: device-side assert\)"):
        await bench.run()
    assert bench.dead == {}
    assert bench.journal == []


async def test_out_of_memory_halves_the_batch_and_loses_nothing() -> None:
    windows = [window(k) for k in range(16)]
    bench = await Bench(windows, FakeModel(memory=3), max_batch=8).run()
    assert [score.window_id for score in bench.scores] == ids(windows)
    sizes = [len(batch) for batch in bench.batches]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert bench.worker.counters["out_of_memory"] == 2


class Waiting(FakeModel):
    """Its call number `hold` waits until `go` is set."""

    def __init__(self, hold: int = 1) -> None:
        super().__init__()
        self.go = threading.Event()
        self.entered = threading.Event()
        self._hold = hold

    def predict(self, clips: Sequence[Clip]) -> list[Prediction]:
        predictions = super().predict(clips)
        if len(self.batches) == self._hold:
            self.entered.set()
            assert self.go.wait(20), "the model was not released"
        return predictions


async def test_while_the_model_works_the_loop_runs_and_the_next_batch_is_read() -> None:
    model = Waiting()
    bench = Bench([window(k) for k in range(2)], model, max_batch=1)

    async def release_when_the_next_is_read() -> None:
        await asyncio.to_thread(model.entered.wait)
        await bench.consumer.exhausted.wait()
        model.go.set()

    await asyncio.gather(release_when_the_next_is_read(), bench.run())
    assert len(bench.scores) == 2


async def test_a_slow_model_makes_the_reader_wait() -> None:
    model = Waiting()
    bench = Bench([window(k) for k in range(100)], model, max_batch=2)

    async def taken_while_the_model_waits() -> int:
        await asyncio.to_thread(model.entered.wait)
        for _ in range(200):
            await asyncio.sleep(0)
        in_hand = bench.worker.counters["taken"]
        model.go.set()
        return in_hand

    in_hand, _ = await asyncio.gather(taken_while_the_model_waits(), bench.run())
    assert in_hand <= 6  # one batch in the model, one ready, one in the hand of the reader


async def test_a_stop_finishes_the_batch_in_hand_and_leaves_the_rest() -> None:
    model = Waiting()
    bench = Bench([window(k) for k in range(20)], model, max_batch=2)

    async def stop() -> None:
        await asyncio.to_thread(model.entered.wait)
        bench.consumer.finished.set()
        model.go.set()

    await asyncio.gather(stop(), bench.run())
    assert bench.did("acknowledged") == bench.did("committed") == ["standup/ana/0", "standup/ana/1"]
    counters = bench.worker.counters
    assert counters["taken"] == counters["scored"] + counters["left"]


async def test_a_stop_does_not_wait_for_ever_for_a_broker_that_is_gone() -> None:
    bench = Bench([window(k) for k in range(4)], max_batch=4)
    bench.producer.broker_away = True

    async def stop() -> None:
        await bench.producer.called.wait()
        bench.consumer.finished.set()

    with pytest.raises(BrokerError, match=r"kafka:9092 did not answer for 0\.2 s .* not committed"):
        await asyncio.gather(stop(), bench.run())
    assert bench.did("committed") == []


async def test_no_score_waits_for_the_acknowledgement_of_another() -> None:
    bench = Bench([window(k) for k in range(4)], alone=True)
    bench.producer.broker_away = True

    def stop_at_the_last(score: Score) -> None:
        if score.window_index == 3:
            bench.consumer.finished.set()

    bench.producer.check = stop_at_the_last
    with pytest.raises(BrokerError, match="did not answer"):
        await bench.run()
    assert len(bench.scores) == 4
    assert bench.did("committed") == []


async def test_a_score_that_no_reader_would_accept_is_dead_lettered_alone() -> None:
    bench = Bench([window(k) for k in range(3)])

    def refuse(score: Score) -> None:
        if score.window_id == "standup/ana/1":
            raise UnreadableRecord("not a record of scores")

    bench.producer.check = refuse
    await bench.run()
    assert bench.dead == {"standup/ana/1": "not a record of scores"}
    assert [score.window_index for score in bench.scores] == [0, 2]


async def test_a_window_whose_score_was_not_acknowledged_is_not_committed() -> None:
    bench = Bench([window(k) for k in range(4)], max_batch=4)
    bench.producer.failure = BrokerError("gone")
    with pytest.raises(BrokerError, match="gone"):
        await bench.run()
    assert bench.did("committed") == []


async def test_latency_is_measured_per_stage() -> None:
    bench = Bench([window()])
    bench.consumer.waiting = [
        received(WINDOWS, window(), extra_headers=[("capture_latency_ms", b"12.5")])
    ]
    await bench.run()
    latency_ms = bench.scores[0].latency_ms
    assert list(latency_ms) == ["capture", "queue", "inference"]
    assert latency_ms["capture"] == 12.5
    assert latency_ms["queue"] > 0


@pytest.mark.parametrize("header", [b"nan", b"inf", b"soon", b"", b"\xff"])
async def test_a_strange_capture_latency_is_left_out(header: bytes) -> None:
    bench = Bench([window()])
    bench.consumer.waiting = [
        received(WINDOWS, window(), extra_headers=[("capture_latency_ms", header)])
    ]
    await bench.run()
    assert list(bench.scores[0].latency_ms) == ["queue", "inference"]


async def test_the_predictor_scores_the_modalities_of_its_checkpoint(checkpoint: str) -> None:
    config = build({"inference": {"checkpoint": checkpoint, "device": "cpu"}})
    model = batches.load_predictor(config)
    words_only = window(1, presence=Presence(text=1.0))
    bench = await Bench([window(0), words_only], model).run()
    with_evidence, without = bench.scores
    assert with_evidence.evidence == ("audio", "vision")
    assert with_evidence.model == "small"
    assert with_evidence.valence is not None and abs(with_evidence.valence) <= 3
    assert math.isclose(sum(with_evidence.class_probabilities or ()), 1, abs_tol=1e-4)
    assert (without.valence, without.evidence) == (None, ())


@pytest.mark.slow
async def test_a_replay_gives_the_same_scores_to_the_last_bit(checkpoint: str) -> None:
    windows = [window(k, audio=pcm16(TONE * k / 12)) for k in range(1, 11)]
    config = build({"inference": {"checkpoint": checkpoint, "device": "cpu"}})
    model = batches.load_predictor(config)
    assert batches.scored_alone(config, model)
    replays = []
    for max_batch in (1, 3, 10, 10):
        bench = Bench(windows, model, alone=True, max_batch=max_batch)
        assert bench.scorer.at_once == batches.AT_ONCE
        scores = (await bench.run()).scores
        assert [score.window_id for score in scores] == ids(windows)
        replays.append([score.valence for score in scores])
        model.kept = KeptEncodings(0)  # the next encode everything again
    clips = [to_clip(each, config, MODALITIES) for each in windows]
    one_by_one = [model.predict([clip])[0].valence for clip in clips if clip is not None]
    assert replays[0] == [round(valence, 6) for valence in one_by_one if valence is not None]
    assert all(replay == replays[0] for replay in replays)


async def test_a_window_of_a_session_without_record_is_set_aside() -> None:
    bench = Bench([window(0), window(1, session_id="retro"), window(2)])
    bench.policies.policies["retro"] = None
    await bench.run()
    assert [score.window_id for score in bench.scores] == ["standup/ana/0", "standup/ana/2"]
    assert bench.dead == {"retro/ana/1": UNKNOWN_SESSION}


async def test_a_worker_scores_what_the_session_allows_and_tells_no_words_of_a_meeting() -> None:
    bench = Bench([window(0), window(0, session_id="retro")])
    bench.policies.policies["retro"] = Policy("session", 2, ("text",))
    await bench.run()
    whole, meeting = bench.scores
    assert (whole.evidence, bool(whole.text)) == (("audio", "text", "vision"), True)
    assert (meeting.evidence, meeting.text) == (("text",), "")
    assert meeting.presence == Presence(text=whole.presence.text)
