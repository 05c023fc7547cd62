"""RTP times on the session's clock, silence for what is lost, nothing without consent."""

from __future__ import annotations

import threading
from typing import Any

import av
import numpy as np

from streamer.capture import Chunk
from streamer.config import load
from streamer.records import NS_PER_MS, NS_PER_S, AudioChunk, Modality, StreamEnd, VideoFrame
from streamer.room.inbox import DRIFT_NS, HORIZON_NS, Inbox, RtpClock
from streamer.session.sharing import Shared

PACKET_NS = 20 * NS_PER_MS
ALL: tuple[Modality, ...] = ("audio", "text", "vision")
FACE: tuple[Modality, ...] = ("vision",)
WORDS: tuple[Modality, ...] = ("text",)


def sound(level: int = 8000) -> Any:
    """An Opus packet as aiortc decodes it: 20 ms of stereo at 48 kHz."""
    samples = np.full((1, 2 * 960), level, np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
    frame.sample_rate = 48_000
    return frame


def image() -> Any:
    return av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")


class Sender:
    """Packets that arrive as they are sent, `delay_ns` later; own time is set by the test."""

    def __init__(self, modalities: tuple[Modality, ...] = ALL) -> None:
        self.now_ns = 0
        self.inbox = Inbox(modalities, load(), lambda: self.now_ns)

    def send(self, first: int, last: int, delay_ns: int = 0) -> None:
        for number in range(first, last):
            self.now_ns = max(self.now_ns, number * PACKET_NS + delay_ns)
            self.inbox.push_audio(sound(), number * PACKET_NS)

    def chunks(self) -> list[Chunk | Shared]:
        self.inbox.end()
        return list(self.inbox.chunks(threading.Event()))


def samples_of(chunks: list[Chunk | Shared]) -> np.ndarray[Any, Any]:
    """All samples at their places; where a chunk is missing there is NaN."""
    audio = [chunk for chunk in chunks if isinstance(chunk, AudioChunk)]
    whole = np.full(audio[-1].end_ns * 16 // NS_PER_MS, np.nan, np.float32)
    for chunk in audio:
        first = chunk.event_time_ns * 16 // NS_PER_MS
        whole[first : first + len(chunk.samples)] = chunk.samples
    return whole


def test_packets_in_a_row_are_sound_without_a_gap() -> None:
    sender = Sender(("audio",))
    sender.send(0, 50)
    chunks = sender.chunks()
    samples = samples_of(chunks)
    assert len(samples) == 16_000
    assert np.all(samples[100:-100] > 0.2)
    assert chunks[-1] == StreamEnd("audio", NS_PER_S)
    assert sender.inbox.counters["lost_audio_ms"] == 0


def test_a_lost_packet_is_silence_of_its_length_and_counted() -> None:
    sender = Sender(("audio",))
    sender.send(0, 25)
    sender.send(27, 50)
    samples = samples_of(sender.chunks())
    assert len(samples) == 16_000
    assert np.all(np.abs(samples[8_010:8_630]) < 0.01)
    assert np.all(samples[8_700:-100] > 0.2)
    assert sender.inbox.counters["lost_audio_ms"] == 40


def test_time_without_packets_is_silence_and_what_comes_too_late_for_it_is_cut() -> None:
    sender = Sender(("audio",))
    sender.send(0, 50)
    sender.now_ns = 4 * NS_PER_S
    sender.inbox.tick()
    assert 1_000 <= sender.inbox.counters["silent_ms"] <= 1_002  # the resampler holds a little back
    sender.send(75, 100, delay_ns=0)  # sent from 1.5 s to 2 s, which is silence by now
    sender.send(200, 225)
    samples = samples_of(sender.chunks())
    assert len(samples) == 72_000
    assert np.all(np.abs(samples[16_010:63_990]) < 0.01)
    assert np.all(samples[64_100:-100] > 0.2)


def test_a_burst_of_late_packets_keeps_its_times() -> None:
    clock = RtpClock()
    for number in range(50):
        assert clock.at(number * PACKET_NS, number * PACKET_NS + 5) == number * PACKET_NS + 5
    late_ns = 3 * NS_PER_S
    for number in range(50, 100):
        assert clock.at(number * PACKET_NS, late_ns) == number * PACKET_NS + 5


def test_a_sender_whose_clock_runs_away_is_set_anew() -> None:
    clock = RtpClock()
    clock.at(0, 0)
    lag_ns = DRIFT_NS + 1
    at_ns = [clock.at(n * PACKET_NS, n * PACKET_NS + lag_ns) for n in range(1, 600)]
    assert at_ns[0] == PACKET_NS
    assert at_ns[-1] == 599 * PACKET_NS + lag_ns
    moved = next(n for n, ns in enumerate(at_ns, 1) if ns != n * PACKET_NS)
    assert moved * PACKET_NS + lag_ns > HORIZON_NS


def test_frames_come_at_the_rate_that_faces_need() -> None:
    sender = Sender(("vision",))
    for number in range(30):
        sender.now_ns = number * NS_PER_S // 30
        sender.inbox.push_video(image(), number * NS_PER_S // 30)
    chunks = sender.chunks()
    frames = [chunk for chunk in chunks if isinstance(chunk, VideoFrame)]
    assert [frame.event_time_ns // (200 * NS_PER_MS) for frame in frames] == [0, 1, 2, 3, 4]
    assert isinstance(chunks[-1], StreamEnd)


def test_nothing_is_taken_of_what_is_not_shared() -> None:
    words = Sender(("text",))
    words.inbox.push_video(image(), 0)
    words.send(0, 10)
    assert not any(isinstance(chunk, VideoFrame) for chunk in words.chunks())
    face = Sender(("vision",))
    face.send(0, 10)
    face.inbox.tick()
    assert face.chunks() == [StreamEnd("vision", 0)]


def test_nothing_is_taken_after_the_end() -> None:
    sender = Sender()
    sender.inbox.end()
    sender.send(0, 50)
    sender.inbox.push_video(image(), 0)
    sender.now_ns = 10 * NS_PER_S
    sender.inbox.tick()
    assert sender.chunks() == [StreamEnd("audio", 0), StreamEnd("vision", 0)]


def test_withdrawn_sound_is_in_no_chunk_and_what_is_given_again_keeps_its_time() -> None:
    sender = Sender(("audio", "vision"))
    sender.send(0, 50)
    sender.inbox.share(FACE)
    sender.send(50, 250)
    sender.inbox.tick()
    sender.inbox.share(("audio", "vision"))
    for number in range(250, 300):  # a sender whose RTP time stood still while nothing was sent
        sender.now_ns = number * PACKET_NS
        sender.inbox.push_audio(sound(), (number - 200) * PACKET_NS)
    chunks = sender.chunks()
    samples = samples_of(chunks)
    assert len(samples) == 96_000
    assert np.all(samples[100:15_900] > 0.2)
    withdrawn = samples[16_000:79_900]
    assert np.all(np.isnan(withdrawn) | (np.abs(withdrawn) < 0.01))
    assert np.all(samples[80_100:-100] > 0.2)
    changes = [(c.event_time_ns, set(c.modalities)) for c in chunks if isinstance(c, Shared)]
    assert changes[0] == (49 * PACKET_NS, {"vision"})
    assert changes[-1] == (249 * PACKET_NS, {"audio", "vision"})
    assert sender.inbox.counters["lost_audio_ms"] == 0
    assert sender.inbox.counters["silent_ms"] == 0


def test_a_withdrawn_face_is_in_no_chunk_until_it_is_given_again() -> None:
    sender = Sender()
    shares: list[tuple[Modality, ...]] = [ALL, ("audio", "text"), ALL]
    for second, shared in enumerate(shares):
        sender.now_ns = second * NS_PER_S
        sender.inbox.share(shared)
        sender.now_ns += NS_PER_S // 2
        sender.inbox.push_video(image(), second * NS_PER_S)
    frames = [chunk for chunk in sender.chunks() if isinstance(chunk, VideoFrame)]
    assert [frame.event_time_ns // NS_PER_S for frame in frames] == [0, 2]


def test_sound_is_taken_while_words_or_voice_are_shared() -> None:
    sender = Sender(("audio", "text"))
    sender.inbox.share(WORDS)
    sender.send(0, 50)
    assert np.all(samples_of(sender.chunks())[100:-100] > 0.2)


def test_no_more_than_was_agreed_to_is_ever_taken() -> None:
    sender = Sender(("text",))
    sender.inbox.share(ALL)
    sender.inbox.push_video(image(), 0)
    assert not any(isinstance(chunk, VideoFrame) for chunk in sender.chunks())


def test_time_passes_while_a_person_shares_nothing() -> None:
    sender = Sender(("audio",))
    sender.inbox.share(())
    chunks = sender.inbox.chunks(threading.Event())
    assert next(chunks) == Shared(0, frozenset())
    sender.now_ns = 3 * NS_PER_S
    assert next(chunks) == Shared(3 * NS_PER_S, frozenset())


def test_a_new_connection_goes_on_at_its_time() -> None:
    sender = Sender(("audio",))
    sender.send(0, 50)
    sender.now_ns = 2 * NS_PER_S
    sender.inbox.renew()
    for number in range(50):
        sender.now_ns = 2 * NS_PER_S + number * PACKET_NS
        sender.inbox.push_audio(sound(), 77 * NS_PER_S + number * PACKET_NS)
    samples = samples_of(sender.chunks())
    assert len(samples) == 48_000
    assert np.all(np.abs(samples[16_010:31_990]) < 0.01)
    assert np.all(samples[32_100:-100] > 0.2)
