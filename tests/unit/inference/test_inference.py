"""The worker's line of tasks against a fake reader, publisher and model; decoding for real."""

import asyncio
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semi_iin.checkpoint import save
from semi_iin.clips import Clip
from semi_iin.features import Encoders
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.predict import Prediction
from streamer import audio
from streamer.config import Config, build
from streamer.errors import BrokerError, ModelError, UnreadableRecord
from streamer.inference import batches, clips
from streamer.inference.batches import Scorer
from streamer.inference.clips import to_clip, to_score
from streamer.inference.worker import Worker
from streamer.kafka.topics import SCORES, WINDOWS
from streamer.records import (
    NS_PER_S,
    SAMPLE_RATE_HZ,
    FaceCrop,
    Gate,
    Presence,
    Score,
    Window,
    Word,
)
from streamer.testing import FakeConsumer, FakeProducer, Journal, received
from tests import made_records
from tests.fake_model import FakeModel

TONE = (np.sin(np.arange(SAMPLE_RATE_HZ) / 20) * 0.3).astype(np.float32)


def jpeg(width: int = 48, height: int = 48) -> bytes:
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", ramp)[1])


def pcm16(samples: np.ndarray) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def window(index: int = 0, text: str = "good day", **changes: Any) -> Window:
    """One second of everything; `changes` replaces fields."""
    fields: dict[str, Any] = {
        "audio": pcm16(TONE),
        "faces": (FaceCrop(index * NS_PER_S, jpeg()),),
        "presence": Presence(audio=0.8, text=1.0, vision=0.6),
    }
    return made_records.window(index, text, **fields | changes)


class Bench:
    """A worker over fakes."""

    def __init__(
        self,
        records: Sequence[Window],
        model: batches.Model | None = None,
        alone: bool = False,
        **settings,
    ):
        self.journal: Journal = []
        self.consumer = FakeConsumer(WINDOWS, records, self.journal)
        self.producer = FakeProducer(self.journal)
        self.model = model or FakeModel()
        kafka = {"broker": "kafka:9092", "connect_timeout_s": 0.2}
        self.config = build({"kafka": kafka, "inference": {"max_wait_ms": 20, **settings}})
        self._threads = ThreadPoolExecutor(1)
        self.scorer = Scorer(self.model, alone=alone)
        self.worker = Worker(self.config, self.scorer, self.consumer, self.producer, self._threads)

    async def run(self) -> "Bench":
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
        return {message.record.window_id: reason for message, reason in self.producer.dead_letters}

    def did(self, action: str) -> list[str]:
        """Window ids of an action in the journal, in order."""
        return [record.window_id for done, _, record in self.journal if done == action]


def ids(windows: Sequence[Window]) -> list[str]:
    return [item.window_id for item in windows]


async def test_every_window_is_scored_in_order_and_committed_after_its_acknowledgement():
    windows = [window(k) for k in range(40)]
    bench = await Bench(windows, max_batch=4).run()
    assert [score.window_id for score in bench.scores] == ids(windows)
    assert bench.did("committed") == ids(windows)
    order = [(action, record.window_id) for action, _, record in bench.journal]
    for window_id in ids(windows):
        acknowledged = order.index(("acknowledged", window_id))
        assert acknowledged < order.index(("committed", window_id))
    assert bench.worker.counters["scored"] == 40


async def test_a_batch_goes_across_participants_and_no_further_than_max_batch():
    windows = [window(k, participant_id=name) for k in range(5) for name in ("ana", "bo", "cy")]
    bench = await Bench(windows, max_batch=6).run()
    assert [len(batch) for batch in bench.model.batches] == [6, 6, 3]


async def test_a_lone_window_does_not_wait_for_a_full_batch():
    bench = await Bench([window()], max_batch=64, max_wait_ms=1).run()
    assert [len(batch) for batch in bench.model.batches] == [1]


async def test_without_evidence_the_model_is_not_asked():
    silent = window(0, "", presence=Presence(), faces=())
    bench = await Bench([silent]).run()
    assert bench.model.batches == []
    (score,) = bench.scores
    assert (score.valence, score.class_probabilities, score.gate, score.evidence) == (
        None,
        None,
        None,
        (),
    )
    assert bench.worker.counters["no_evidence"] == 1


async def test_a_poisoned_window_goes_to_dead_letter_alone():
    windows = [window(k) for k in range(6)]
    windows[2] = window(2, faces=(FaceCrop(2 * NS_PER_S, b"no picture"),))
    bench = await Bench(windows, max_batch=6).run()
    assert bench.dead == {"standup/ana/2": "a face crop is not a whole JPEG"}
    assert [score.window_index for score in bench.scores] == [0, 1, 3, 4, 5]
    assert bench.did("committed") == ids(windows)


async def test_when_the_model_fails_only_the_culprit_is_dead_lettered():
    windows = [window(k, "crash" if k == 3 else "good day") for k in range(6)]
    bench = await Bench(windows, max_batch=6).run()
    assert list(bench.dead) == ["standup/ana/3"]
    assert "the model stumbled" in bench.dead["standup/ana/3"]
    assert len(bench.scores) == 5
    assert bench.worker.counters["retried_alone"] == 6


async def test_a_number_that_is_none_is_refused():
    bench = await Bench([window(0, "nan"), window(1)]).run()
    assert list(bench.dead) == ["standup/ana/0"]
    assert math.isfinite(bench.scores[0].valence)


async def test_a_broken_model_ends_the_worker_and_blames_no_window():
    bench = Bench([window(k) for k in range(3)], FakeModel(broken=True))
    with pytest.raises(ModelError, match=r"known to be good \(RuntimeError: device-side assert\)"):
        await bench.run()
    assert bench.dead == {}
    assert bench.journal == []


async def test_out_of_memory_halves_the_batch_and_loses_nothing():
    windows = [window(k) for k in range(16)]
    bench = await Bench(windows, FakeModel(memory=3), max_batch=8).run()
    assert [score.window_id for score in bench.scores] == ids(windows)
    sizes = [len(batch) for batch in bench.model.batches]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert bench.worker.counters["out_of_memory"] == 2


def test_one_window_that_never_fits_is_refused_while_the_model_works_otherwise():
    class Small(FakeModel):
        def predict(self, clips: Sequence[Clip]) -> list[Prediction]:
            if any(len(clip.faces or ()) > 10 for clip in clips):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().predict(clips)

    large, small = Clip(text="x", faces=[np.zeros((8, 8, 3), np.uint8)] * 11), Clip(text="good")
    scorer = Scorer(Small())
    refused, prediction = scorer.score([large, small])
    assert "out of memory" in refused.reason
    assert prediction.valence == 1.0


def test_warm_up_says_what_is_wrong():
    with pytest.raises(ModelError, match=r"fake-1 fails .* check its device, inference.dtype"):
        Scorer(FakeModel(broken=True)).warm_up()


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
            assert self.go.wait(20), "nobody let the model go on"
        return predictions


async def test_while_the_model_works_the_loop_runs_and_the_next_batch_is_read():
    model = Waiting()
    bench = Bench([window(k) for k in range(2)], model, max_batch=1)

    async def let_go_when_the_next_is_read() -> None:
        await asyncio.to_thread(model.entered.wait)
        await bench.consumer.exhausted.wait()
        model.go.set()

    await asyncio.gather(let_go_when_the_next_is_read(), bench.run())
    assert len(bench.scores) == 2


async def test_a_slow_model_makes_the_reader_wait():
    model = Waiting()
    bench = Bench([window(k) for k in range(100)], model, max_batch=2)

    async def look() -> int:
        await asyncio.to_thread(model.entered.wait)
        for _ in range(200):
            await asyncio.sleep(0)
        in_hand = bench.worker.counters["taken"]
        model.go.set()
        return in_hand

    in_hand, _ = await asyncio.gather(look(), bench.run())
    assert in_hand <= 6  # one batch in the model, one ready, one in the hand of the reader


async def test_a_stop_finishes_the_batch_in_hand_and_leaves_the_rest():
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


async def test_a_stop_does_not_wait_for_ever_for_a_broker_that_is_gone():
    bench = Bench([window(k) for k in range(4)], max_batch=4)
    bench.producer.broker_away = True

    async def stop() -> None:
        await bench.producer.called.wait()
        bench.consumer.finished.set()

    with pytest.raises(BrokerError, match=r"kafka:9092 did not answer for 0\.2 s .* not committed"):
        await asyncio.gather(stop(), bench.run())
    assert bench.did("committed") == []


async def test_a_score_that_no_reader_would_accept_is_dead_lettered_alone():
    bench = Bench([window(k) for k in range(3)])

    def refuse(score: Score) -> None:
        if score.window_id == "standup/ana/1":
            raise UnreadableRecord("not a record of scores")

    bench.producer.check = refuse
    await bench.run()
    assert bench.dead == {"standup/ana/1": "not a record of scores"}
    assert [score.window_index for score in bench.scores] == [0, 2]


async def test_what_was_not_acknowledged_is_not_committed():
    bench = Bench([window(k) for k in range(4)], max_batch=4)
    bench.producer.failure = BrokerError("gone")
    with pytest.raises(BrokerError, match="gone"):
        await bench.run()
    assert bench.did("committed") == []


async def test_latency_is_told_per_stage():
    bench = Bench([window()])
    bench.consumer.waiting = [
        received(WINDOWS, window(), extra_headers=[("capture_latency_ms", b"12.5")])
    ]
    await bench.run()
    latency_ms = bench.scores[0].latency_ms
    assert list(latency_ms) == ["capture", "queue", "inference"]
    assert latency_ms["capture"] == 12.5
    assert latency_ms["queue"] > 0


@pytest.mark.parametrize("said", [b"nan", b"inf", b"soon", b"", b"\xff"])
async def test_a_strange_capture_latency_is_left_out(said: bytes):
    bench = Bench([window()])
    bench.consumer.waiting = [
        received(WINDOWS, window(), extra_headers=[("capture_latency_ms", said)])
    ]
    await bench.run()
    assert list(bench.scores[0].latency_ms) == ["queue", "inference"]


# --- the real predictor -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small untrained model that knows voice and face."""
    specs = {"audio": {"kind": "log_mel_audio"}, "vision": {"kind": "face_cnn"}}
    encoders = Encoders.build(specs)
    torch.manual_seed(0)
    sizes = SemiIINConfig(
        hidden=16,
        audio_width=encoders.encoders["audio"].width,
        vision_width=encoders.encoders["vision"].width,
        audio_convs=((3, 2, 1),),
    )
    model = {f"model.{name}": value for name, value in SemiIIN(sizes).state_dict().items()}
    described = {"name": "small", "model": sizes.to_dict(), "encoders": encoders.specs()}
    folder = tmp_path_factory.mktemp("checkpoint") / "small"
    return str(save(folder, {**model, **encoders.tensors()}, described))


async def test_the_predictor_scores_what_the_checkpoint_knows(checkpoint: str):
    config = build({"inference": {"checkpoint": checkpoint, "device": "cpu"}})
    model = batches.load_predictor(config)
    words_only = window(1, presence=Presence(text=1.0))
    bench = await Bench([window(0), words_only], model).run()
    heard, unheard = bench.scores
    assert heard.evidence == ("audio", "vision")
    assert heard.model == "small"
    assert abs(heard.valence) <= 3 and math.isclose(sum(heard.class_probabilities), 1, abs_tol=1e-4)
    assert (unheard.valence, unheard.evidence) == (None, ())


async def test_a_replay_gives_the_same_scores_to_the_last_bit(checkpoint: str):
    windows = [window(k, audio=pcm16(TONE * k / 12)) for k in range(1, 11)]
    config = build({"inference": {"checkpoint": checkpoint, "device": "cpu"}})
    model = batches.load_predictor(config)
    assert batches.scored_alone(config, model)
    replays = []
    for max_batch in (1, 3, 10):
        bench = Bench(windows, model, alone=True, max_batch=max_batch)
        replays.append([(s.valence, s.class_probabilities) for s in (await bench.run()).scores])
    assert replays[0] == replays[1] == replays[2]


@pytest.mark.parametrize(
    ("wish", "device", "alone"),
    [
        ("auto", "cpu", True),
        ("auto", "cuda", False),
        ("auto", "mps", False),
        ("always", "cuda", True),
        ("never", "cpu", False),
    ],
)
def test_one_at_a_time_where_it_costs_little_or_is_wished(wish: str, device: str, alone: bool):
    config = build({"inference": {"reproducible": wish}})
    assert batches.scored_alone(config, FakeModel(device=torch.device(device))) is alone


def test_a_batch_says_nearly_the_same_as_one_by_one(checkpoint: str):
    config = build({"inference": {"checkpoint": checkpoint, "device": "cpu"}})
    scorer = Scorer(batches.load_predictor(config))
    clips = [to_clip(window(k, audio=pcm16(TONE * k / 8)), config) for k in range(1, 6)]
    together = [prediction.valence for prediction in scorer.score(clips)]
    alone = [scorer.score([clip])[0].valence for clip in clips]
    assert together == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"checkpoint": "nowhere"}, "cannot be loaded from nowhere"),
        ({"device": "abacus"}, "for the device abacus: .* must be auto, cpu, cuda or mps"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_sentence(checkpoint, settings: dict, reason: str):
    config = build({"inference": {"checkpoint": checkpoint, **settings}})
    with pytest.raises(ModelError, match=reason) as caught:
        batches.load_predictor(config)
    assert "\n" not in str(caught.value)


# --- window to clip -----------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["pcm16", "flac"])
def test_a_clip_is_what_the_window_holds(codec: str):
    sound = pcm16(TONE) if codec == "pcm16" else audio.encode_flac(TONE)
    clip = to_clip(window(audio=sound, audio_codec=codec, context="so far"), Config())
    assert clip is not None
    np.testing.assert_allclose(clip.audio, TONE, atol=1e-4)
    assert (clip.text, clip.context) == ("good day", "so far")
    (face,) = clip.faces
    assert face.shape == (48, 48, 3) and face.dtype == np.uint8


def test_a_face_is_rgb():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    crop = FaceCrop(0, bytes(cv2.imencode(".jpg", red)[1]))
    clip = to_clip(window(faces=(crop,)), Config())
    assert clip.faces[0][16, 16, 0] > 200 and clip.faces[0][16, 16, 2] < 50


@pytest.mark.parametrize(
    ("modalities", "audio_there", "text_there", "vision_there"),
    [
        (["audio"], True, False, False),
        (["text"], False, True, False),
        (["vision"], False, False, True),
        (["audio", "text", "vision"], True, True, True),
    ],
)
def test_only_the_modalities_of_the_setting_reach_the_model(
    modalities, audio_there, text_there, vision_there
):
    config = build({"session": {"modalities": modalities}})
    clip = to_clip(window(context="before"), config)
    assert (clip.audio is not None, clip.text is not None, clip.faces is not None) == (
        audio_there,
        text_there,
        vision_there,
    )
    assert (clip.context is not None) == text_there


def test_what_the_setting_leaves_out_is_not_even_decoded():
    config = build({"session": {"modalities": ["text"]}})
    clip = to_clip(window(audio=b"odd", faces=(FaceCrop(2 * NS_PER_S, b"no picture"),)), config)
    assert clip == Clip(text="good day")


@pytest.mark.parametrize("missing", ["audio", "text", "vision"])
def test_what_has_no_presence_is_no_evidence(missing: str):
    there = {"audio": 0.5, "text": 0.5, "vision": 0.5, missing: 0.0}
    clip = to_clip(window(presence=Presence(**there)), Config())
    present = {"audio": clip.audio, "text": clip.text, "vision": clip.faces}
    assert [name for name, value in present.items() if value is None] == [missing]


@pytest.mark.parametrize(
    "empty",
    [
        {"presence": Presence()},
        {"audio": None, "words": (), "faces": ()},
        {"presence": Presence(text=1.0), "words": (Word("  ", 0, 1),)},
    ],
)
def test_a_window_of_nothing_gives_no_clip(empty: dict):
    assert to_clip(window(**empty), Config()) is None


def bomb(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2) + width.to_bytes(2)
    return bytes(data)


def face(data: bytes) -> dict:
    return {"faces": (FaceCrop(0, data),)}


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (face(b""), "not a whole JPEG"),
        (face(b"\x89PNG\r\n\x1a\n" + b"\0" * 50), "not a whole JPEG"),
        (face(jpeg()[:200]), "not a whole JPEG"),
        (face(b"\xff\xd8\xff\xd9"), "without a picture"),
        (face(b"\xff\xd8\xff\xe0\x00\x00\xff\xd9"), "without a picture"),
        (face(jpeg()[:30] + b"\xff\xd9"), "without a picture"),
        (face(bomb(0, 48)), "has no size"),
        (face(bomb(65_000, 65_000)), "65000x65000 exceeds inference.max_face_px"),
        ({"faces": (FaceCrop(0, jpeg()),) * 2001}, "2001 face crops exceed"),
        ({"faces": (FaceCrop(0, bomb(2048, 2048)),) * 5}, "pixels together"),
        ({"audio": b"\x00"}, "cut inside a sample"),
        ({"audio": b"not a FLAC stream", "audio_codec": "flac"}, "cannot be decoded"),
        ({"audio": b"", "audio_codec": "flac"}, "cannot be decoded"),
        ({"audio": pcm16(TONE)[:-6400]}, "0.8 s of sound in a window of 1 s"),
        ({"audio": pcm16(np.tile(TONE, 3))}, "over the limit of 17600"),
        ({"end_ns": 0}, "ends before it starts"),
        ({"start_ns": 5 * NS_PER_S}, "ends before it starts"),
        ({"end_ns": 3600 * NS_PER_S}, "exceeds inference.max_window_s"),
        ({"end_ns": 2**63}, "exceeds inference.max_window_s"),
        ({"sample_rate_hz": 44_100}, "44100 Hz"),
        ({"context": "so " * 10_000}, "characters of text"),
        ({"words": (Word("o" * 30_000, 0, 1),)}, "characters of text"),
    ],
)
def test_a_poisoned_window_is_unreadable(poison: dict, reason: str):
    with pytest.raises(UnreadableRecord, match=reason):
        to_clip(window(**poison), Config())


def test_a_sound_bomb_is_not_unpacked():
    minutes = audio.encode_flac(np.zeros(600 * SAMPLE_RATE_HZ, np.float32))
    assert len(minutes) < 150_000
    with pytest.raises(UnreadableRecord, match="over 17600 samples"):
        to_clip(window(audio=minutes, audio_codec="flac"), Config())


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    progressive=st.booleans(),
    grey=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_size_in_the_header_is_the_size_of_the_picture(width, height, progressive, grey):
    shape = (height, width) if grey else (height, width, 3)
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    data = bytes(cv2.imencode(".jpg", np.full(shape, 99, np.uint8), flags)[1])
    assert clips._jpeg_size(data) == (width, height)
    assert clips._decode_jpeg(data).shape == (height, width, 3)


@given(cut=st.integers(0, 1500), at=st.integers(0, 1500), noise=st.binary(max_size=64))
@settings(max_examples=150, deadline=None)
def test_damaged_pictures_and_sound_give_a_clip_or_a_reason(cut, at, noise):
    picture, sound = bytearray(jpeg()), bytearray(audio.encode_flac(TONE))
    picture[at : at + len(noise)] = noise
    sound[at : at + len(noise)] = noise
    poisoned = window(
        faces=(FaceCrop(0, bytes(picture[: len(picture) - cut])),),
        audio=bytes(sound[: len(sound) - cut]),
        audio_codec="flac",
    )
    try:
        clip = to_clip(poisoned, Config())
    except UnreadableRecord as error:
        assert error.reason
    else:
        assert clip is not None and np.isfinite(clip.audio).all()


# --- prediction to score ------------------------------------------------------------------------

PREDICTION = Prediction(
    valence=1.23456789,
    class_probabilities=(0.0, 0.1, 0.1, 0.2, 0.3, 0.2, 0.1),
    valence_gate=0.25,
    class_gate=0.75,
    modalities=("audio", "text"),
)


def score(of: Window, prediction: Prediction | None = PREDICTION, modalities=None) -> Score:
    return to_score(
        of,
        prediction,
        model="m",
        modalities=modalities or ("audio", "text", "vision"),
        latency_ms={"queue": 1.0},
    )


def test_a_score_says_what_the_prediction_says():
    given = score(window(7, revision=2, skipped=3, final=True))
    assert given == Score(
        session_id="standup",
        participant_id="ana",
        window_id="standup/ana/7",
        window_index=7,
        revision=2,
        session_start=made_records.START,
        start_ms=7000,
        end_ms=8000,
        valence=1.234568,
        class_probabilities=(0.0, 0.1, 0.1, 0.2, 0.3, 0.2, 0.1),
        gate=Gate(val=0.25, cls=0.75),
        presence=Presence(audio=0.8, text=1.0, vision=0.6),
        evidence=("audio", "text"),
        text="good day",
        skipped=3,
        final=True,
        latency_ms={"queue": 1.0},
        model="m",
    )


@pytest.mark.parametrize(
    "prediction", [None, Prediction(None, None, None, None, ())], ids=["unasked", "knows none"]
)
def test_without_evidence_a_score_holds_no_numbers(prediction: Prediction | None):
    given = score(window(), prediction)
    assert (given.valence, given.class_probabilities, given.gate) == (None, None, None)
    assert given.evidence == ()


def test_what_the_setting_leaves_out_does_not_leave_the_worker():
    given = score(window(), modalities=("audio",))
    assert given.presence == Presence(audio=0.8)
    assert (given.text, given.evidence) == ("", ("audio",))


def test_the_last_sliver_of_a_stream_is_not_empty():
    given = score(window(start_ns=7 * NS_PER_S, end_ns=7 * NS_PER_S + 300))
    assert (given.start_ms, given.end_ms) == (7000, 7001)


def test_values_stay_in_their_range():
    given = score(window(), Prediction(3.0000002, (1.0000001, *[-1e-9] * 6), 1.1, -0.1, ("text",)))
    assert given.valence == 3.0
    assert given.class_probabilities == (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert given.gate == Gate(val=1.0, cls=0.0)
    assert msgspec.json.decode(msgspec.json.encode(given), type=Score) == given
