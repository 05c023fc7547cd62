"""What no worker should swallow, sent between good windows: it is set aside alone, by reason."""

import asyncio
import os
import uuid
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from streamer import audio
from streamer.config import Config, build
from streamer.inference import worker
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.topics import DEAD_LETTER, SCORES, SESSIONS, WINDOWS
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, FaceCrop, Window, Word
from tests import made_records
from tests.fake_model import FakeModel

GOOD = 12
SECOND = (np.sin(np.arange(SAMPLE_RATE_HZ) / 9) / 3).astype(np.float32)


def window(index: int, **changes: Any) -> Window:
    fields: dict[str, Any] = {
        "audio": audio.encode_flac(SECOND),
        "audio_codec": "flac",
        "faces": (FaceCrop(index * NS_PER_S, jpeg()),),
    }
    return made_records.window(index, "good", session_id="s", **fields | changes)


def jpeg() -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((64, 64, 3), 99, np.uint8))[1])


def vast_jpeg() -> bytes:
    """A few hundred bytes that claim to be four gigapixels."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def packed(record: Window) -> bytes:
    return msgspec.msgpack.encode(record)


def repacked(**fields: Any) -> bytes:
    """A good window with raw fields put in that the struct would not take."""
    tree = msgspec.msgpack.decode(packed(window(900)))
    return msgspec.msgpack.encode({**tree, **fields})


def poisons() -> dict[str, tuple[bytes, str]]:
    """Value and a part of the reason, by kind."""
    picture, second = FaceCrop(900 * NS_PER_S, b""), 900 * NS_PER_S
    return {
        "bad JPEG": (
            packed(window(900, faces=(FaceCrop(second, b"\xff\xd8 no \xff\xd9"),))),
            "JPEG",
        ),
        "cut-off JPEG": (
            packed(window(901, faces=(FaceCrop(901 * NS_PER_S, jpeg()[:99]),))),
            "JPEG",
        ),
        "picture bomb": (
            packed(window(902, faces=(FaceCrop(902 * NS_PER_S, vast_jpeg()),))),
            "max_face_px",
        ),
        "bad sound": (packed(window(903, audio=b"fLaC" + b"\x00" * 90)), ""),
        "sound bomb": (
            packed(
                window(904, audio=audio.encode_flac(np.zeros(1800 * SAMPLE_RATE_HZ, np.float32)))
            ),
            "",
        ),
        "too little sound": (packed(window(905, audio=audio.encode_flac(SECOND[:800]))), "0.05 s"),
        "NaN time": (repacked(start_ns=float("nan")), "start_ns"),
        "end before start": (repacked(end_ns=second - 1), "span of"),
        "an hour long": (repacked(end_ns=second + 3600 * NS_PER_S), "max_window_s"),
        "thousands of faces": (packed(window(900, faces=(picture,) * 5000)), "max_faces"),
        "schema version": (repacked(schema_version=99), "schema version 99"),
        "cut-off msgpack": (packed(window(900))[:-7], ""),
        "empty value": (b"", ""),
        "text not UTF-8": (packed(window(900)).replace(b"good", b"\xff\xfe\xfd\xfc"), ""),
        "foreign JSON": (b'{"temperature": 21.5, "unit": "C"}', ""),
        "random bytes": (np.random.default_rng(7).bytes(500), ""),
        "unknown field": (repacked(mood="fine"), "mood"),
        "negative index": (repacked(window_index=-1), ""),
        "a novel": (packed(window(900, context="so it goes " * 5000)), "characters"),
        "model stumbles": (
            packed(window(900, words=(Word("crash", second, second + 1),))),
            "the model stumbled",
        ),
    }


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def config(request: pytest.FixtureRequest) -> Config:
    """Settings for a fresh set of topics on each of the two brokers."""
    prefix = f"t{uuid.uuid4().hex[:12]}"
    address = request.getfixturevalue(f"{request.param}_broker")
    return build({"kafka": {"broker": address, "topic_prefix": prefix}})


async def send(config: Config, values: list[bytes | None]) -> list[tuple[int, int]]:
    """Put the session's record and raw windows on their topics; gives the places of the windows."""
    topic = WINDOWS.full_name(config.kafka.topic_prefix)
    producer = AIOKafkaProducer(bootstrap_servers=config.kafka.broker)
    await producer.start()
    try:
        await send_session(producer, config)
        places = [await producer.send_and_wait(topic, value, key=b"s/ana") for value in values]
    finally:
        await producer.stop()
    return [(place.partition, place.offset) for place in places]


async def send_session(producer: AIOKafkaProducer, config: Config) -> None:
    """Put the session's record on its topic; without it no window is scored."""
    value = SESSIONS.encode(made_records.session(session_id="s")).value
    await producer.send_and_wait(SESSIONS.full_name(config.kafka.topic_prefix), value, key=b"s")


@pytest.mark.timeout(120)
async def test_twenty_kinds_of_poison_are_set_aside_and_nothing_else(config: Config) -> None:
    bad = poisons()
    values: list[bytes | None] = []
    for k, (value, _) in enumerate(bad.values()):
        values += [value, packed(window(k)) if k < GOOD else None]
    values.append(packed(window(GOOD, final=True)))
    await ensure_topics(config)
    places = dict(zip(await send(config, values), values, strict=True))

    stop, model = asyncio.Event(), FakeModel()
    scored: list[str] = []
    dead: dict[bytes, str] = {}
    task = asyncio.create_task(worker.run(config, stop, load=lambda _: model))
    async with (
        Consumer(config, SCORES, group=None, start="earliest") as scores,
        Consumer(config, DEAD_LETTER, group=None, start="earliest") as letters,
    ):
        while len(scored) < GOOD + 1 or len(dead) < len(bad):
            assert not task.done(), task
            scored += [item.record.window_id for item in await scores.batch(100, 100)]
            for received in await letters.batch(100, 100):
                letter = received.record
                assert letter.value is not None
                assert places[letter.partition, letter.offset] == letter.value
                dead[letter.value] = letter.reason
    stop.set()
    counters = await task

    assert scored == [f"s/ana/{k}" for k in range(GOOD + 1)]
    for kind, (value, reason) in bad.items():
        assert reason in dead[value], kind
    assert counters["scored"] == GOOD + 1
    async with Consumer(config, WINDOWS, group=config.inference.consumer_group) as rest:
        assert await rest.batch(100, 5000) == [], "the poison was not committed"


async def kcat(config: Config, topic: str, value: bytes, folder: Path, *headers: bytes) -> None:
    """Publish one message with headers that no Python client would send."""
    path = folder / "value"
    path.write_bytes(value)
    options = [option for header in headers for option in (b"-H", header)]
    process = await asyncio.create_subprocess_exec(
        *("kcat", "-P", "-b", config.kafka.broker, "-t", topic, "-k", "s/ana"),
        *(os.fsdecode(option) for option in options),
        str(path),
    )
    assert await process.wait() == 0


async def test_odd_headers_stop_no_worker(config: Config, tmp_path: Path) -> None:
    await ensure_topics(config)
    await send(config, [])
    topic = WINDOWS.full_name(config.kafka.topic_prefix)
    await kcat(config, topic, b"junk", tmp_path, b"\xff\xfe=1")
    await kcat(config, topic, packed(window(0)), tmp_path, b"\xff\xfe=1", b"capture_latency_ms")
    await kcat(config, topic, packed(window(1, final=True)), tmp_path, b"capture_latency_ms=x")

    stop, model = asyncio.Event(), FakeModel()
    scored: list[str] = []
    dead: list[bytes | None] = []
    task = asyncio.create_task(worker.run(config, stop, load=lambda _: model))
    async with (
        Consumer(config, SCORES, group=None, start="earliest") as scores,
        Consumer(config, DEAD_LETTER, group=None, start="earliest") as letters,
    ):
        while len(scored) < 2 or not dead:
            assert not task.done(), task
            scored += [item.record.window_id for item in await scores.batch(100, 100)]
            dead += [item.record.value for item in await letters.batch(100, 100)]
    stop.set()
    counters = await task
    assert scored == ["s/ana/0", "s/ana/1"]
    assert dead == [b"junk"]
    assert counters["scored"] == 2
