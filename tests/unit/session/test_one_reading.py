"""One pass over a recording for several people: the same chunks, bounded, without deadlock."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamer import capture
from streamer.config import Config, load
from streamer.errors import SourceError
from streamer.records import Notice, Window
from streamer.session.one_reading import QUEUED_CHUNKS, Chunks, OneReading, share
from streamer.session.participant import Pipeline
from streamer.session.plan import Plan, make_plan
from streamer.session.recordings import Naming, people_of
from tests import media

LENGTH = 5 * QUEUED_CHUNKS
WAIT_S = 30
"""Only a deadlock takes so long."""


class Recording:
    """Chunks with the numbers 0 to LENGTH; counts those that were read."""

    def __init__(self, fails: bool = False) -> None:
        self.count = 0
        self.readings = 0
        self.reached = threading.Condition()
        self._fails = fails

    def read(self, stop: threading.Event) -> Iterator[capture.Chunk]:
        self.readings += 1
        for number in range(LENGTH):
            if stop.is_set():
                return
            with self.reached:
                self.count = number + 1
                self.reached.notify_all()
            yield Notice(str(number))
        if self._fails:
            raise SourceError("The recording is damaged.")

    def wait_for(self, count: int) -> None:
        with self.reached:
            assert self.reached.wait_for(lambda: self.count >= count, WAIT_S)


def numbers(chunks: Iterator[capture.Chunk]) -> list[int]:
    return [int(chunk.message) for chunk in chunks if isinstance(chunk, Notice)]


def test_everybody_gets_every_chunk_of_one_reading_and_waits_for_the_slowest() -> None:
    recording, stop = Recording(), threading.Event()
    one = OneReading(recording.read, 3)
    slow = one.part(2)(stop)
    with ThreadPoolExecutor(2) as pool:
        fast = [pool.submit(numbers, one.part(n)(stop)) for n in range(2)]
        recording.wait_for(QUEUED_CHUNKS)
        lead = []
        got = []
        for chunk in slow:
            got += numbers(iter([chunk]))
            lead.append(recording.count - len(got))
        assert [each.result(WAIT_S) for each in fast] == [list(range(LENGTH))] * 2
    assert got == list(range(LENGTH))
    assert max(lead) <= QUEUED_CHUNKS
    assert recording.readings == 1


def test_who_has_ended_is_not_waited_for() -> None:
    recording, stop = Recording(), threading.Event()
    one = OneReading(recording.read, 2)
    leaving = one.part(0)(stop)
    assert numbers(iter([next(leaving)])) == [0]
    leaving.close()  # type: ignore[attr-defined]
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(numbers, one.part(1)(stop)).result(WAIT_S)
    assert rest == list(range(LENGTH))


def test_a_stop_frees_those_who_wait_for_the_slowest() -> None:
    recording, stop = Recording(), threading.Event()
    one = OneReading(recording.read, 2)
    with ThreadPoolExecutor(1) as pool:
        fast = pool.submit(numbers, one.part(0)(stop))
        recording.wait_for(QUEUED_CHUNKS)
        stop.set()
        assert fast.result(WAIT_S) == list(range(QUEUED_CHUNKS))
    assert numbers(one.part(1)(stop)) == list(range(QUEUED_CHUNKS))


def test_a_failure_reaches_everybody_behind_the_last_chunk() -> None:
    recording, stop = Recording(fails=True), threading.Event()
    one = OneReading(recording.read, 2)

    def until_failure(part: Chunks) -> list[int]:
        got: list[int] = []
        with pytest.raises(SourceError, match="damaged"):
            for chunk in part(stop):
                got += numbers(iter([chunk]))
        return got

    with ThreadPoolExecutor(2) as pool:
        parts = [pool.submit(until_failure, one.part(n)) for n in range(2)]
        assert [part.result(WAIT_S) for part in parts] == [list(range(LENGTH))] * 2


class Listener:
    """A reader of recordings that have names."""

    def __init__(self, name: str | None) -> None:
        self.reads = name
        self.recording = Recording()
        self.chunks: Chunks = self.read

    channel = None

    def read(self, stop: threading.Event, channels: Sequence[int] = ()) -> Iterator[capture.Chunk]:
        return self.recording.read(stop)

    def take(self, chunks: Chunks) -> None:
        self.chunks = chunks


def test_only_those_who_read_the_same_share_it() -> None:
    listeners = [Listener(name) for name in ("call", "talk", "call", None, None)]
    share(listeners)
    with ThreadPoolExecutor(len(listeners)) as pool:
        running = [pool.submit(numbers, each.chunks(threading.Event())) for each in listeners]
        assert [each.result(WAIT_S) for each in running] == [list(range(LENGTH))] * 5
    assert [listener.recording.readings for listener in listeners] == [1, 1, 0, 1, 1]


# --- pipelines ----------------------------------------------------------------------------------

NAMED = """WEBVTT

00:00.000 --> 00:01.000
<v Ana>Good morning

00:01.500 --> 00:02.500
<v Bo>Hello
"""


def plan_of(path: Path, config: Config) -> Plan:
    return make_plan(people_of([str(path)]).specs, config, session_id="meeting", speed=0)


def windows_of(pipelines: list[Pipeline]) -> list[list[Window]]:
    with ThreadPoolExecutor(len(pipelines)) as pool:
        return list(pool.map(lambda pipeline: list(pipeline.windows(threading.Event())), pipelines))


@pytest.fixture
def meeting(tmp_path: Path) -> Path:
    path = media.write(tmp_path / "meeting.mkv", media.Audio(), media.Video())
    path.with_suffix(".vtt").write_text(NAMED, "utf-8")
    return path


@pytest.mark.slow
def test_people_of_one_recording_share_a_reading_and_have_the_same_windows(meeting: Path) -> None:
    config = load(None, [], environment={})
    plan = plan_of(meeting, config)
    alone = [Pipeline(plan, spec, config) for spec in plan.participants]
    together = [Pipeline(plan, spec, config) for spec in plan.participants]
    share(together)
    assert len({pipeline.reads for pipeline in together}) == 1
    windows = windows_of(together)
    assert windows == windows_of(alone)
    assert [len(own) for own in windows] == [3, 3]
    counters = [pipeline.counters["notices"] for pipeline in together]
    assert counters == [pipeline.counters["notices"] for pipeline in alone]


def test_channels_of_one_recording_share_a_reading_and_have_the_same_windows(
    tmp_path: Path,
) -> None:
    """At another rate than 16 kHz, with a hole, and with a short last chunk."""
    wave = media.side_by_side(media.tone(300), media.tone(500, 0.2))
    sound = media.Audio(seconds=3.33, rate=44_100, layout="stereo", wave=wave, holes=((1.0, 1.6),))
    path = media.write(tmp_path / "call.mkv", sound)
    config = load(None, ["asr.engine=none", 'session.modalities=["audio"]'], environment={})
    people = people_of([str(path)], Naming(split="channels"))
    plan = make_plan(people.specs, config, session_id="call", speed=0)
    alone = [Pipeline(plan, spec, config) for spec in plan.participants]
    together = [Pipeline(plan, spec, config) for spec in plan.participants]
    share(together)
    assert len({pipeline.reads for pipeline in together}) == 1
    left, right = windows_of(together)
    assert [left, right] == windows_of(alone)
    assert left[0].audio != right[0].audio


def test_two_recordings_are_read_by_themselves(tmp_path: Path) -> None:
    paths = [media.write(tmp_path / f"{name}.wav", media.Audio()) for name in ("ana", "bo")]
    config = load(None, ['session.modalities=["audio"]'], environment={})
    plan = make_plan(people_of([*map(str, paths)]).specs, config, speed=0)
    pipelines = [Pipeline(plan, spec, config) for spec in plan.participants]
    first, second = (pipeline.reads for pipeline in pipelines)
    assert first is not None and second is not None and first != second
