"""The windower against a reference that has all data at once, over generated streams."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.config import WindowsConfig
from streamer.records import AudioChunk, FaceCrop, Modality, StreamEnd, Window, Word
from streamer.windows import MAX_UNSETTLED, Windower

MS = 1_000_000
Push = Callable[[Windower], list[Window]]
ALL: tuple[Modality, ...] = ("audio", "text", "vision")
calm = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine must not fail a test


@dataclass(frozen=True)
class Stream:
    """A participant's whole stream: its data and how it is cut into windows."""

    hop_ms: int
    length_ms: int
    duration_ms: int
    chunk_ms: int
    face_step_ms: int
    words: tuple[Word, ...]

    @property
    def audio(self) -> np.ndarray:
        return (np.arange(self.duration_ms * 16) % 30_011 - 15_000).astype(np.int16)

    @property
    def chunks(self) -> list[AudioChunk]:
        audio = (self.audio / 32_768).astype(np.float32)
        step = self.chunk_ms * 16
        return [
            AudioChunk(first * MS // 16, audio[first : first + step])
            for first in range(0, len(audio), step)
        ]

    @property
    def faces(self) -> list[FaceCrop]:
        times = range(0, self.duration_ms, self.face_step_ms)
        return [FaceCrop(event_time_ns=at * MS, jpeg=b"%d" % at) for at in times]

    @property
    def spans_ms(self) -> list[tuple[int, int]]:
        count = -(-self.duration_ms // self.hop_ms)
        ends = [(k + 1) * self.hop_ms for k in range(count)]
        return [(max(0, e - self.length_ms), min(e, self.duration_ms)) for e in ends]

    def windower(
        self, *, lateness_s: float = 1e6, stall_s: float = 1e6, revises: bool = False
    ) -> Windower:
        config = WindowsConfig(
            length_s=self.length_ms / 1000,
            hop_s=self.hop_ms / 1000,
            allowed_lateness_s=lateness_s,
            stall_timeout_s=stall_s,
        )
        return Windower("s", "p", 0, ALL, config, 5.0, revises=revises)

    def ends(self) -> list[Push]:
        def end(modality: Modality) -> Push:
            return lambda windower: windower.end(StreamEnd(modality, self.duration_ms * MS))

        return [end(modality) for modality in ALL]


def chunk_push(chunk: AudioChunk) -> Push:
    return lambda windower: windower.push_audio(chunk)


def face_push(face: FaceCrop) -> Push:
    return lambda windower: windower.push_face(face, face.event_time_ns)


def word_push(word: Word, complete_ns: int = 0) -> Push:
    return lambda windower: windower.push_words([word], complete_ns)


def overlaps(word: Word, start_ns: int, end_ns: int) -> bool:
    return word.start_ns < end_ns and max(word.end_ns, word.start_ns + 1) > start_ns


def check_complete(stream: Stream, windows: list[Window]) -> None:
    """Assert that each window contains exactly the samples, words and faces that it covers."""
    assert [(w.start_ns // MS, w.end_ns // MS) for w in windows] == stream.spans_ms
    for window, (start_ms, end_ms) in zip(windows, stream.spans_ms, strict=True):
        assert window.audio == stream.audio[start_ms * 16 : end_ms * 16].tobytes()
        covered = [w for w in stream.words if overlaps(w, start_ms * MS, end_ms * MS)]
        assert list(window.words) == sorted(covered, key=lambda w: (w.start_ns, w.end_ns, w.text))
        assert list(window.faces) == [
            f for f in stream.faces if start_ms * MS <= f.event_time_ns < end_ms * MS
        ]


def feed(windower: Windower, pushes: list[Push]) -> list[Window]:
    """Push everything and finish; assert that the watermark never falls."""
    windows, watermark_ns = [], 0
    for push in pushes:
        windows += push(windower)
        assert windower.watermark_ns >= watermark_ns, "the watermark never falls"
        watermark_ns = windower.watermark_ns
    windows += windower.finish()
    assert [w.window_index for w in windows] == list(range(len(windows)))
    assert [w.final for w in windows] == [False] * (len(windows) - 1) + [True]
    return windows


@st.composite
def words(draw: st.DrawFn, duration_ms: int) -> tuple[Word, ...]:
    times = draw(
        st.lists(
            st.tuples(st.integers(0, duration_ms - 1), st.integers(0, 1_500)),
            max_size=6,
            unique_by=lambda time: time[0],
        )
    )
    return tuple(
        Word(text=f"w{start}", start_ns=start * MS, end_ns=(start + long) * MS)
        for start, long in times
    )


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    hop_ms = draw(st.integers(100, 1_000))
    duration_ms = draw(st.integers(1, 4_000))
    return Stream(
        hop_ms=hop_ms,
        length_ms=draw(st.integers(hop_ms, 2_500)),
        duration_ms=duration_ms,
        chunk_ms=draw(st.integers(20, 700)),
        face_step_ms=draw(st.integers(40, 900)),
        words=draw(words(duration_ms)),
    )


@calm
@given(streams(), st.data())
def test_every_window_is_complete_in_any_interleaving(stream: Stream, data: st.DataObject) -> None:
    # audio and faces each in order, words in any order, anything between anything
    audio = [chunk_push(chunk) for chunk in stream.chunks]
    faces = [face_push(face) for face in stream.faces]
    spoken = data.draw(st.permutations([word_push(word) for word in stream.words]))
    turns = data.draw(
        st.permutations(["audio"] * len(audio) + ["faces"] * len(faces) + ["words"] * len(spoken))
    )
    queues = {"audio": iter(audio), "faces": iter(faces), "words": iter(spoken)}
    windower = stream.windower()
    windows = feed(windower, [next(queues[turn]) for turn in turns] + stream.ends())

    check_complete(stream, windows)
    assert not any(windower.counters[name] for name in windower.counters if name != "windows")


@calm
@given(streams(), st.integers(0, 3_000), st.integers(0, 2_000), st.data())
def test_windows_are_complete_when_data_arrives_within_the_allowed_lateness(
    stream: Stream, lateness_ms: int, lag_ms: int, data: st.DataObject
) -> None:
    # keyed by arrival: audio when it ends, faces a fixed lag later, words up to the lateness later
    arrivals = [(chunk.end_ns, chunk_push(chunk)) for chunk in stream.chunks]
    arrivals += [(face.event_time_ns + lag_ms * MS, face_push(face)) for face in stream.faces]
    for word in stream.words:
        delay_ms = data.draw(st.integers(0, lateness_ms))
        arrivals.append((word.start_ns + delay_ms * MS, word_push(word)))
    pushes = [push for _, push in sorted(arrivals, key=lambda arrival: arrival[0])]
    patience_s = (lag_ms + stream.chunk_ms + stream.face_step_ms) / 1000
    windower = stream.windower(lateness_s=lateness_ms / 1000, stall_s=patience_s)

    check_complete(stream, feed(windower, pushes + stream.ends()))
    assert windower.counters["late_words"] == windower.counters["stalled"] == 0


@calm
@given(streams(), st.integers(0, 1_000), st.integers(1, 1_000), st.data())
def test_windows_stay_in_order_and_missing_data_is_counted_in_any_arrival_order(
    stream: Stream, lateness_ms: int, stall_ms: int, data: st.DataObject
) -> None:
    pushes = [chunk_push(chunk) for chunk in stream.chunks]
    pushes += [face_push(face) for face in stream.faces]
    pushes += [word_push(word) for word in stream.words]
    disorder = data.draw(st.permutations(pushes))
    windower = stream.windower(lateness_s=lateness_ms / 1000, stall_s=stall_ms / 1000)
    windows = feed(windower, [*disorder, *stream.ends()])

    assert [(w.start_ns // MS, w.end_ns // MS) for w in windows] == stream.spans_ms
    missed = {
        word.text
        for word in stream.words
        for window in windows
        if overlaps(word, window.start_ns, window.end_ns) and word not in window.words
    }
    assert windower.counters["late_words"] == len(missed)
    missed_faces = {
        face.event_time_ns
        for face in stream.faces
        for window in windows
        if window.start_ns <= face.event_time_ns < window.end_ns and face not in window.faces
    }
    assert windower.counters["late_faces"] == len(missed_faces)
    carried = [word.text for w in windows if w.spoken is not None for word in w.spoken.words]
    assert sorted(carried) == sorted(word.text for word in stream.words)


@calm
@given(streams(), st.data())
def test_the_highest_revisions_are_the_windows_that_waited_for_their_words(
    stream: Stream, data: st.DataObject
) -> None:
    lateness_ms = data.draw(st.integers(0, (MAX_UNSETTLED - 1) * stream.hop_ms))
    arrivals = [(chunk.end_ns, chunk_push(chunk)) for chunk in stream.chunks]
    arrivals += [(face.event_time_ns, face_push(face)) for face in stream.faces]
    for word in stream.words:
        delay_ns = data.draw(st.integers(0, lateness_ms + 500)) * MS
        complete_ns = word.start_ns - data.draw(st.integers(0, 500)) * MS
        arrivals.append((word.start_ns + delay_ns, word_push(word, max(0, complete_ns))))
    pushes = [push for _, push in sorted(arrivals, key=lambda arrival: arrival[0])]
    waiting, revising = (
        stream.windower(lateness_s=lateness_ms / 1000, revises=each) for each in (False, True)
    )
    waited = feed(waiting, [*pushes, *stream.ends()])
    out = [w for push in [*pushes, *stream.ends()] for w in push(revising)] + revising.finish()

    first = [w for w in out if w.revision == 0]
    assert [w.window_index for w in first] == [w.window_index for w in waited]
    highest = {w.window_index: w for w in out}
    assert [without_spoken(w) for w in highest.values()] == [without_spoken(w) for w in waited]
    assert [w.window_index for w in out if w.revision == 1] == sorted(
        w.window_index for w in highest.values() if w.revision == 1
    )
    assert revising.counters == waiting.counters
    carried = [word.text for w in highest.values() if w.spoken for word in w.spoken.words]
    assert sorted(carried) == sorted(word.text for word in stream.words)


def without_spoken(window: Window) -> Window:
    return msgspec.structs.replace(window, revision=0, spoken=None)


@calm
@given(streams())
def test_every_window_but_the_last_closes_before_the_end_of_the_stream(stream: Stream) -> None:
    windower = stream.windower(lateness_s=0.0)
    early = [w for chunk in stream.chunks for w in windower.push_audio(chunk)]
    early += windower.end(StreamEnd("vision", 0)) + windower.end(StreamEnd("text", 0))

    assert len(early) == len(stream.spans_ms) - 1
    assert not any(w.final for w in early)


@calm
@given(streams())
def test_presence_is_zero_only_without_data(stream: Stream) -> None:
    windower = stream.windower()
    pushes = [chunk_push(chunk) for chunk in stream.chunks]
    pushes += [face_push(face) for face in stream.faces]
    pushes += [word_push(word) for word in stream.words]
    pushes.append(lambda a: a.push_speech([(0, stream.duration_ms * MS // 2)], 0))
    for window in feed(windower, pushes + stream.ends()):
        presence = window.presence
        assert all(0 <= share <= 1 for share in (presence.audio, presence.text, presence.vision))
        assert (presence.text > 0) == bool(window.words)
        assert (presence.vision > 0) == bool(window.faces)
        assert (presence.audio > 0) == (window.start_ns < stream.duration_ms * MS // 2)


@pytest.mark.slow
def test_four_hours_of_windows_need_no_more_memory_than_four_minutes() -> None:
    config = WindowsConfig(length_s=0.5, hop_s=0.5, allowed_lateness_s=2.0, stall_timeout_s=3.0)
    windower = Windower("s", "p", 0, ALL, config, 5.0)
    sizes = []
    for second in range(4 * 3_600):
        at = second * 1000 * MS
        windower.push_audio(AudioChunk(at, np.ones(160, dtype=np.float32)))
        windower.push_face(FaceCrop(event_time_ns=at, jpeg=b"jpeg"), at)
        windower.push_words([Word(text="word", start_ns=at, end_ns=at + 300 * MS)], at)
        windower.push_speech([(at, at + 300 * MS)], at)
        if second in (4 * 60, 4 * 3_600 - 1):
            sizes.append(len(pickle.dumps(windower)))

    assert windower.counters["windows"] > 28_000
    assert sizes[1] < sizes[0] + 1_000


@calm
@given(streams(), st.integers(1, 4_000))
def test_a_stream_that_begins_later_has_all_of_its_data_that_much_later(
    stream: Stream, begin_ms: int
) -> None:
    begin_ns, steps_ms = begin_ms * MS, [*range(stream.hop_ms, begin_ms, stream.hop_ms), begin_ms]
    spoken = [
        msgspec.structs.replace(w, start_ns=w.start_ns + begin_ns, end_ns=w.end_ns + begin_ns)
        for w in stream.words
    ]
    chunks = [AudioChunk(c.event_time_ns + begin_ns, c.samples) for c in stream.chunks]
    faces = [FaceCrop(f.event_time_ns + begin_ns, f.jpeg) for f in stream.faces]
    windower = stream.windower(stall_s=(stream.chunk_ms + stream.face_step_ms) / 1000)
    pushes: list[Push] = [lambda w, ms=ms: w.begin(ms * MS) for ms in steps_ms]  # type: ignore[misc]
    data: list[AudioChunk | FaceCrop] = [*chunks, *faces]
    data.sort(key=lambda item: item.event_time_ns)
    pushes += map(word_push, spoken)
    pushes += [chunk_push(x) if isinstance(x, AudioChunk) else face_push(x) for x in data]
    windows = feed(windower, pushes)

    late = replace(stream, duration_ms=begin_ms + stream.duration_ms)
    assert [(w.start_ns // MS, w.end_ns // MS) for w in windows] == late.spans_ms
    sound = np.concatenate([np.zeros(begin_ms * 16, np.int16), stream.audio])
    for window, (start_ms, end_ms) in zip(windows, late.spans_ms, strict=True):
        heard = sound[start_ms * 16 : end_ms * 16].tobytes() if end_ms > begin_ms else None
        assert window.audio == heard
        assert {w.text for w in window.words} == {
            w.text for w in spoken if overlaps(w, start_ms * MS, end_ms * MS)
        }
        assert list(window.faces) == [
            f for f in faces if start_ms * MS <= f.event_time_ns < end_ms * MS
        ]
    assert not any(windower.counters[name] for name in windower.counters if name != "windows")
