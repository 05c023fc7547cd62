"""One live microphone becomes a participant for each voice at it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.capture import Chunk, ParticipantSpec, SourceInfo
from streamer.config import load
from streamer.errors import ConfigError, SourceError
from streamer.kafka.topics import SESSIONS, WINDOWS
from streamer.notices import Notices
from streamer.records import (
    NS_PER_S,
    SAMPLE_RATE_HZ,
    AudioChunk,
    Notice,
    Session,
    StreamEnd,
    Window,
)
from streamer.session.microphone import MicrophoneCapture, check
from streamer.session.plan import Plan
from streamer.session.sending import InFlight
from streamer.speakers.clustering import Stretch
from streamer.speakers.listening import LENGTH, LiveListener
from streamer.speakers.segmentation import FRAME_FIELD, FRAME_STEP
from streamer.testing import FakeProducer

CONFIG = load(None, ["asr.engine=none", "session.consent=agreed"], environment={})
MICROPHONE = SourceInfo(live=True, duration_s=None, has_audio=True, has_video=False)
PLAN = Plan(
    session_id="standup-20261126T145400Z-3f9a",
    start_unix_ns=1_700_000_000 * NS_PER_S,
    live=True,
    speed=1.0,
    participants=(ParticipantSpec("room", ("mic:default",)),),
    sources={"room": MICROPHONE},
)
PATIENCE_S = 30


class LoudnessEar:
    """Takes loud sound for one person and soft sound for another."""

    def stretch(self, samples: NDArray[np.float32], first_sample: int) -> Stretch:
        middles = np.arange((LENGTH - FRAME_FIELD) // FRAME_STEP + 1) * FRAME_STEP
        level = np.abs(samples[middles + FRAME_FIELD // 2])
        active = np.stack([level > 0.5, (level > 0.1) & (level <= 0.5)], axis=1)
        vectors = np.eye(2, 4, dtype=np.float32) * np.expand_dims(active.any(axis=0), 1)
        alone_s = active.sum(axis=0) * FRAME_STEP / SAMPLE_RATE_HZ
        return Stretch(round(first_sample / FRAME_STEP), active, vectors, alone_s)


class Producer(FakeProducer):
    """A producer with the settings of a broker."""

    kafka = CONFIG.kafka


def sound(levels: Sequence[float]) -> Iterator[Chunk]:
    """Half a second of sound of each level, then the end."""
    for number, level in enumerate(levels):
        samples = np.full(SAMPLE_RATE_HZ // 2, level, np.float32)
        yield AudioChunk(number * NS_PER_S // 2, samples)
    yield StreamEnd("audio", len(levels) * NS_PER_S // 2)


async def captured(
    levels: Sequence[float], *, fails: bool = False, notices: Notices | None = None
) -> tuple[list[Session], dict[str, list[Window]]]:
    """The session's records and each participant's windows."""

    def read(stop: threading.Event) -> Iterator[Chunk]:
        yield Notice("mono")
        yield from sound(levels)
        if fails:
            raise SourceError("mic:default cannot be read.")

    producer = Producer()
    capture = MicrophoneCapture(
        PLAN,
        CONFIG,
        producer,  # type: ignore[arg-type]
        InFlight(None),
        LiveListener(LoudnessEar(), 8),
        read,
        notices or Notices(),
    )
    async with asyncio.timeout(PATIENCE_S):
        await capture.run()
    windows: dict[str, list[Window]] = {}
    for window in producer.records(WINDOWS):
        windows.setdefault(window.participant_id, []).append(window)
    return producer.records(SESSIONS), windows


@pytest.mark.slow
async def test_each_voice_is_a_participant_from_its_first_second_on() -> None:
    notices = Notices()
    levels = [*3 * [0.0], *5 * [0.9], *3 * [0.0], *5 * [0.3], *2 * [0.9]]
    sessions, windows = await captured(levels, notices=notices)
    assert windows.keys() == {"speaker-1", "speaker-2"}
    first, second = windows["speaker-1"], windows["speaker-2"]
    assert (first[0].window_index, second[0].window_index) == (1, 5)
    assert first[-1].final and second[-1].final
    assert first[-1].end_ns == second[-1].end_ns == 9 * NS_PER_S
    assert {window.identified_by for window in first + second} == {"diarization"}
    assert not any(window.faces for window in first + second)
    begun, *_, ended = sessions
    assert (begun.state, begun.participants, begun.consent) == ("started", (), "agreed")
    assert ended.state == "ended"
    about = {person.participant_id: person for person in ended.participants}
    assert {name: person.windows for name, person in about.items()} == {
        name: len(own) for name, own in windows.items()
    }
    assert about["speaker-1"].begin_ms == pytest.approx(1500, abs=30)
    assert about["speaker-2"].begin_ms == pytest.approx(5500, abs=30)
    assert about["speaker-2"].sources == ("mic:default",)
    assert notices.newest() == ["room: mono"]


@pytest.mark.slow
async def test_a_session_in_which_nobody_speaks_has_no_participants() -> None:
    sessions, windows = await captured(6 * [0.0])
    assert windows == {}
    assert [(record.state, record.participants) for record in sessions] == [
        ("started", ()),
        ("ended", ()),
    ]


@pytest.mark.slow
async def test_a_microphone_that_fails_ends_the_session_with_its_sentence() -> None:
    with pytest.raises(SourceError, match="mic:default cannot be read"):
        await captured(6 * [0.9], fails=True)


def test_other_sources_are_refused_in_one_sentence() -> None:
    check(PLAN, CONFIG)
    recording = replace(MICROPHONE, live=False)
    two = (*PLAN.participants, ParticipantSpec("ana", ("mic:1",)))
    for plan in (
        replace(PLAN, live=False, sources={"room": recording}),
        replace(PLAN, participants=two),
    ):
        with pytest.raises(ConfigError, match="is of one microphone"):
            check(plan, CONFIG)
    silent = replace(MICROPHONE, has_audio=False, has_video=True)
    with pytest.raises(ConfigError, match="needs sound"):
        check(replace(PLAN, sources={"room": silent}), CONFIG)
    only_faces = load(None, ['session.modalities=["vision"]'], environment={})
    with pytest.raises(ConfigError, match="needs sound"):
        check(PLAN, only_faces)
