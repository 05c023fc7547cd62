"""One live microphone becomes a participant for each voice at it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.capture import Chunk, ParticipantSpec, SourceInfo
from streamer.config import Config, load
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
    Word,
)
from streamer.session.microphone import MicrophoneCapture, check
from streamer.session.plan import Plan, make_plan
from streamer.session.sending import InFlight
from streamer.speakers.clustering import Stretch
from streamer.speakers.enrolment import NO_VOICES, Vector
from streamer.speakers.listening import DESCRIBED_FROM, LENGTH, LiveListener
from streamer.speakers.segmentation import FRAME_FIELD, FRAME_STEP
from streamer.speech.streaming import Transcript
from streamer.testing import FakeProducer
from tests.fake_portaudio import FakePortAudio

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
WIDTH = 4


def direction(degrees: float) -> list[float]:
    """A voice at an angle to the first one."""
    angle = np.deg2rad(degrees)
    return [float(np.cos(angle)), float(np.sin(angle)), 0.0, 0.0]


LOUD, SOFT = 0.9, 0.3
TWO = {LOUD: direction(0), SOFT: direction(90)}
"""Two voices by the level of their sound."""


class LevelEar:
    """Takes each level of sound for another person."""

    def __init__(self, voices: Mapping[float, list[float]]) -> None:
        self._levels = np.array(list(voices))
        self._vectors = np.array(list(voices.values()), np.float32)

    def stretch(
        self,
        samples: NDArray[np.float32],
        first_sample: int,
        end: int = LENGTH,
        brief_from: int | None = None,
    ) -> Stretch:
        middles = np.arange((LENGTH - FRAME_FIELD) // FRAME_STEP + 1) * FRAME_STEP
        level = np.abs(samples[middles + FRAME_FIELD // 2])
        active = np.abs(level[:, None] - self._levels) < 0.1
        described = active[DESCRIBED_FROM:]
        vectors = self._vectors * np.expand_dims(described.any(axis=0), 1)
        alone_s = described.sum(axis=0) * FRAME_STEP / SAMPLE_RATE_HZ
        first_frame = round(first_sample / FRAME_STEP)
        return Stretch(first_frame, active, vectors, alone_s, DESCRIBED_FROM)


class Words:
    """A recogniser that gives words as soon as their time has passed, or so much later."""

    description = "words"

    def __init__(self, *words: Word, late_s: int = 0) -> None:
        self._words = list(words)
        self._at_ns = 0
        self._late_ns = late_s * NS_PER_S
        self._taken = threading.Semaphore(0)

    def push(self, chunk: AudioChunk) -> Transcript:
        ready = self.advance(chunk.end_ns - self._late_ns)
        self._taken.release()
        return ready

    def wait(self) -> None:
        """Wait until one more chunk has been taken."""
        assert self._taken.acquire(timeout=30)

    def advance(self, event_time_ns: int) -> Transcript:
        self._at_ns = event_time_ns
        ready = [word for word in self._words if word.end_ns <= event_time_ns]
        self._words = self._words[len(ready) :]
        return Transcript(ready, [], event_time_ns, event_time_ns)

    def finish(self) -> Transcript:
        return Transcript([], [], self._at_ns, self._at_ns)


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
    levels: Sequence[float],
    *words: Word,
    voices: Mapping[float, list[float]] = TWO,
    known: Mapping[str, Vector] = NO_VOICES,
    config: Config = CONFIG,
    fails: bool = False,
    notices: Notices | None = None,
    late_s: int = 0,
) -> tuple[list[Session], dict[str, list[Window]]]:
    """The session's records and each participant's windows."""
    recogniser = Words(*words, late_s=late_s)

    def read(stop: threading.Event) -> Iterator[Chunk]:
        yield Notice("mono")
        for chunk in sound(levels):
            yield chunk
            if isinstance(chunk, AudioChunk):
                recogniser.wait()
        if fails:
            raise SourceError("mic:default cannot be read.")

    producer = Producer()
    capture = MicrophoneCapture(
        PLAN,
        config,
        producer,  # type: ignore[arg-type]
        InFlight(None),
        LiveListener(LevelEar(voices), 8, known),
        read,
        notices or Notices(),
        ("words", recogniser),
    )
    async with asyncio.timeout(PATIENCE_S):
        await capture.run()
    windows: dict[str, list[Window]] = {}
    for window in producer.records(WINDOWS):
        windows.setdefault(window.participant_id, []).append(window)
    return producer.records(SESSIONS), windows


def newest(windows: Sequence[Window]) -> dict[int, Window]:
    """Each window in its highest revision."""
    return {w.window_index: w for w in sorted(windows, key=lambda window: window.revision)}


def word(text: str, start_s: float, end_s: float) -> Word:
    return Word(text, round(start_s * NS_PER_S), round(end_s * NS_PER_S))


async def test_each_voice_is_a_participant_from_its_first_second_on() -> None:
    notices = Notices()
    levels = [*3 * [0.0], *5 * [LOUD], *3 * [0.0], *5 * [SOFT], *2 * [LOUD]]
    sessions, windows = await captured(levels, notices=notices)
    assert windows.keys() == {"speaker-1", "speaker-2"}
    first, second = windows["speaker-1"], windows["speaker-2"]
    assert (first[0].window_index, second[0].window_index) == (1, 5)
    assert first[-1].final and second[-1].final
    assert first[-1].end_ns == second[-1].end_ns == 9 * NS_PER_S
    assert {window.identified_by for window in first + second} == {"diarization"}
    assert {window.audio_codec for window in first + second} == {"flac"}
    assert not any(window.faces for window in first + second)
    begun, *_, ended = sessions
    assert (begun.state, begun.participants, begun.consent) == ("started", (), "agreed")
    assert (ended.state, ended.asr) == ("ended", "words")
    about = {person.participant_id: person for person in ended.participants}
    assert {name: person.windows for name, person in about.items()} == {
        name: len(newest(own)) for name, own in windows.items()
    }
    assert about["speaker-1"].begin_ms == pytest.approx(1500, abs=30)
    assert about["speaker-2"].begin_ms == pytest.approx(5500, abs=30)
    assert about["speaker-2"].sources == ("mic:default",)
    assert notices.newest() == ["room: mono"]


async def test_words_that_are_recognised_late_are_said_to_be() -> None:
    notices = Notices()
    words = [word(f"w{k}", k / 4, k / 4 + 0.2) for k in range(40)]
    await captured(40 * [LOUD], *words, notices=notices, late_s=7)
    [late] = [notice for notice in notices.newest() if notice != "room: mono"]
    assert late.startswith("room: words come 8 s after they were said")


async def test_words_of_the_microphone_are_of_whoever_speaks_during_them() -> None:
    words = [word("hello", 0.5, 1.0), word("across", 2.8, 3.1), word("yes", 4.0, 4.4)]
    _, windows = await captured([*6 * [LOUD], *6 * [SOFT]], *words)
    texts = {
        name: [w.text for each in newest(own).values() if each.spoken for w in each.spoken.words]
        for name, own in windows.items()
    }
    assert texts == {"speaker-1": ["hello", "across"], "speaker-2": ["yes"]}
    assert newest(windows["speaker-1"])[3].text == "hello across"
    assert newest(windows["speaker-1"])[1].identity_confidence == 1


ONE_PERSON = {0.9: direction(0), 0.6: direction(70), 0.3: direction(32)}
"""A voice that changes: its ends are far from each other, and near to its middle."""


async def test_two_participants_who_turn_out_to_be_one_are_shown_as_such() -> None:
    levels = [*12 * [0.9], *12 * [0.6], *28 * [0.3]]
    sessions, windows = await captured(levels, word("me", 8.0, 8.4), voices=ONE_PERSON)
    *_, ended = sessions
    about = {person.participant_id: person.merged_into for person in ended.participants}
    assert about == {"speaker-1": None, "speaker-2": "speaker-1"}
    assert any(
        record.state == "started" and record.participants[1].merged_into
        for record in sessions
        if len(record.participants) == 2
    ), "while the session runs"
    last = newest(windows["speaker-2"])
    assert not any(window.presence.audio for window in last.values())
    assert not any(window.text for window in last.values())
    first = newest(windows["speaker-1"])
    assert first[9].presence.audio > 0.99, "the sound is the other's now"
    assert first[9].text == "me"
    for index in last:
        revisions = [w.revision for w in windows["speaker-2"] if w.window_index == index]
        assert revisions == sorted(set(revisions))


async def test_known_voices_are_shown_by_their_names() -> None:
    ana = np.array(TWO[SOFT], np.float32)
    both, notices = {"ana": ana, "bo": np.array(direction(45), np.float32) * 0}, Notices()
    levels = [*6 * [LOUD], *6 * [SOFT]]
    sessions, windows = await captured(levels, known=both, notices=notices)
    assert notices.newest() == ["room: mono", "room: no voice is near enough to that of: bo."]
    assert windows.keys() == {"speaker-1", "speaker-2"}
    assert sessions[-1].names == {"speaker-2": "ana"}
    many = ["session.consent=agreed", "smoothing.publish=session"]
    alone = load(None, [*many, "smoothing.session_min_participants=2"], environment={})
    sessions, _ = await captured(levels, known=both, config=alone)
    assert not any(record.names for record in sessions), "nobody is named there"


async def test_a_session_in_which_nobody_speaks_has_no_participants() -> None:
    sessions, windows = await captured(6 * [0.0])
    assert windows == {}
    assert [(record.state, record.participants) for record in sessions] == [
        ("started", ()),
        ("ended", ()),
    ]


async def test_a_microphone_that_fails_ends_the_session_with_its_sentence() -> None:
    with pytest.raises(SourceError, match="mic:default cannot be read"):
        await captured(6 * [LOUD], fails=True)


class SpeakingMicrophone(FakePortAudio):
    """A microphone at which somebody speaks at a level, until it is closed."""

    level = LOUD

    def InputStream(self, **settings: object) -> SpeakingStream:
        return SpeakingStream(self, **settings)


class SpeakingStream:
    """Gives a block every 50 ms, in a thread, as PortAudio does."""

    def __init__(self, owner: SpeakingMicrophone, **settings: object) -> None:
        self._owner = owner
        self._settings = settings
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)

    def _speak(self) -> None:
        size, callback = self._settings["blocksize"], self._settings["callback"]
        assert isinstance(size, int) and callable(callback)
        while not self._closed.wait(0.05):
            callback(np.full((size, 2), self._owner.level, np.float32), size, None, None)

    def start(self) -> None:
        self._thread.start()

    def close(self, ignore_errors: bool) -> None:
        self._closed.set()
        self._thread.join()


async def published(producer: Producer, condition: Callable[[], bool]) -> None:
    """Wait for the record with which a condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            producer.called.clear()
            await producer.called.wait()


@pytest.mark.slow
async def test_voices_at_a_microphone_of_the_system_are_participants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = SpeakingMicrophone(blocks=0)
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    plan = make_plan([ParticipantSpec("room", ("mic:Headset",))], CONFIG, speed=1)
    check(plan, CONFIG)
    producer = Producer()
    capture = MicrophoneCapture(
        plan,
        CONFIG,
        producer,  # type: ignore[arg-type]
        InFlight(None),
        LiveListener(LevelEar(TWO), 8),
        notices=Notices(),
        recogniser=("words", Words()),
    )

    def people() -> list[str]:
        records = producer.records(SESSIONS)[-1:]
        return [person.participant_id for record in records for person in record.participants]

    work = asyncio.create_task(capture.run())
    await published(producer, lambda: people() == ["speaker-1"])
    device.level = SOFT
    await published(producer, lambda: people() == ["speaker-1", "speaker-2"])
    capture.stop()
    await asyncio.wait_for(work, PATIENCE_S)
    ended = producer.records(SESSIONS)[-1]
    assert (ended.state, people()) == ("ended", ["speaker-1", "speaker-2"])
    assert {person.sources for person in ended.participants} == {("mic:Headset",)}
    last = [window for window in producer.records(WINDOWS) if window.final]
    assert sorted(window.participant_id for window in last) == ["speaker-1", "speaker-2"]


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
