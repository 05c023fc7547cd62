"""Live sources: FFmpeg's test sources as devices, local servers as network streams."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from streamer import capture
from streamer.capture import live
from streamer.capture.files import ContainerReader, SelectedStreams
from streamer.capture.live import Feed, LiveQueue, ReadFeed
from streamer.capture.sources import Source
from streamer.capture.tracks import VideoTrack
from streamer.config import CaptureConfig, Config, build
from streamer.errors import SourceError
from streamer.records import (
    NS_PER_MS,
    NS_PER_S,
    SAMPLE_RATE_HZ,
    AudioChunk,
    Notice,
    StreamEnd,
    VideoFrame,
)
from tests import media
from tests.rtsp import serving, tone_server

SINE = "lavfi:sine=frequency=440:sample_rate=44100"
CAMERA = "lavfi:testsrc2=size=64x48:rate=25"
QUICK = build({"capture": {"reconnect_s": 0.05}})


def collect(
    *sources: str,
    enough: Callable[[list[Any]], bool],
    config: Config = QUICK,
    counters: Counter[str] | None = None,
    **options: Any,
) -> list[Any]:
    """All chunks until `enough(chunks)` is true, and those that follow the stop."""
    stop = threading.Event()
    got: list[Any] = []
    spec = capture.ParticipantSpec("ana", sources)
    for chunk in capture.read(spec, config, stop, 5, counters=counters, **options):
        got.append(chunk)
        if enough(got):
            stop.set()
    return got


def of(kind: type, chunks: list[Any]) -> list[Any]:
    return [chunk for chunk in chunks if isinstance(chunk, kind)]


def audio_s(chunks: list[Any]) -> float:
    return sum(len(chunk.samples) for chunk in of(AudioChunk, chunks)) / SAMPLE_RATE_HZ


def noticed(chunks: list[Any], words: str) -> bool:
    return any(words in notice.message for notice in of(Notice, chunks))


# --- devices that work --------------------------------------------------------------------------


def test_a_camera_and_a_microphone_are_read_as_one_stream() -> None:
    chunks = collect(CAMERA, SINE, enough=lambda got: audio_s(got) >= 1)
    audio, frames = of(AudioChunk, chunks), of(VideoFrame, chunks)
    assert [type(chunk) for chunk in chunks[-2:]] == [StreamEnd, StreamEnd]
    assert {end.modality for end in chunks[-2:]} == {"audio", "vision"}
    assert frames[0].image.shape == (48, 64, 3)
    for first, second in itertools.pairwise(audio):
        assert second.event_time_ns == first.end_ns
    slots = [frame.event_time_ns * 5 // NS_PER_S for frame in frames]
    assert slots == sorted(set(slots))
    samples = np.concatenate([chunk.samples for chunk in audio])
    samples = samples[np.flatnonzero(samples)[0] + 800 :][:8000]
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(samples) == pytest.approx(440, abs=5)


def test_one_live_source_can_provide_audio_and_video() -> None:
    source = "lavfi:testsrc2=size=64x48:rate=25[out0];sine=sample_rate=48000[out1]"
    info = capture.info(capture.ParticipantSpec("ana", (source,)))
    assert (info.live, info.has_audio, info.has_video) == (True, True, True)
    chunks = collect(source, enough=lambda got: audio_s(got) > 0.3 and bool(of(VideoFrame, got)))
    assert {end.modality for end in of(StreamEnd, chunks)} == {"audio", "vision"}


def test_only_the_requested_modalities_of_a_live_source_are_read() -> None:
    chunks = collect(CAMERA, SINE, enough=lambda got: audio_s(got) > 0.3, modalities={"text"})
    assert not of(VideoFrame, chunks)
    assert [end.modality for end in of(StreamEnd, chunks)] == ["audio"]


def test_live_times_count_from_the_start_of_the_session() -> None:
    began = time.time_ns() - 100 * NS_PER_S
    chunks = collect(CAMERA, enough=lambda got: len(of(VideoFrame, got)) > 1, start_unix_ns=began)
    assert of(VideoFrame, chunks)[0].event_time_ns >= 100 * NS_PER_S


# --- devices that leave -------------------------------------------------------------------------


def test_a_disconnected_device_reconnects_while_the_other_continues() -> None:
    counters: Counter[str] = Counter()

    def enough(got: list[Any]) -> bool:
        return counters["reconnects"] >= 2 and len(of(VideoFrame, got)) >= 3

    chunks = collect(CAMERA, f"{SINE}:duration=0.2", enough=enough, counters=counters)
    assert noticed(chunks, "disconnected (the stream ended); the other sources continue")
    assert noticed(chunks, "reconnected")
    kinds = [type(c) for c in chunks if not isinstance(c, (StreamEnd, VideoFrame))]
    lost = [i for i, c in enumerate(chunks) if noticed([c], "disconnected")]
    assert kinds.count(AudioChunk) > 2
    assert not any(isinstance(c, StreamEnd) for c in chunks[: lost[-1]])
    times = [chunk.event_time_ns for chunk in of(AudioChunk, chunks)]
    assert times == sorted(times)


class Unplugged:
    """A device that is unplugged after its first chunk, missing three times, then back."""

    def __init__(self) -> None:
        self.tries = 0

    def read(
        self,
        feed: Feed,
        tracks: object,
        config: CaptureConfig,
        stopped: Callable[[], bool],
        clock: Callable[[], int],
    ) -> Iterator[AudioChunk]:
        self.tries += 1
        if self.tries in (2, 3, 4):
            raise OSError(19, "No such device")
        yield AudioChunk(clock(), np.zeros(1600, np.float32))
        if self.tries == 1:
            raise OSError(5, "Input/output error")
        while not stopped():
            yield AudioChunk(clock(), np.zeros(160, np.float32))
            threading.Event().wait(0.01)


def run(
    feed: Feed, read_feed: ReadFeed, enough: Callable[[list[Any]], bool]
) -> tuple[list[Any], Counter[str]]:
    stop, counters = threading.Event(), Counter[str]()
    time_ns = itertools.count(0, 10**7)
    got: list[Any] = []
    config = CaptureConfig(reconnect_s=0.01)
    for chunk in live.run([feed], config, stop, lambda: next(time_ns), counters, read_feed):
        got.append(chunk)
        if enough(got):
            stop.set()
    return got, counters


def test_an_unplugged_device_is_opened_again_until_it_is_back() -> None:
    device = Unplugged()
    feed = Feed(Source("mic", "0"), audio=True, video=False, frame_rate_hz=5)
    got, counters = run(feed, device.read, lambda got: noticed(got, "reconnected"))
    assert device.tries == 5
    assert counters["reconnects"] == 1
    messages = [notice.message for notice in of(Notice, got)]
    assert messages == [
        "mic:0 disconnected (Input/output error); the other sources continue, "
        "and it is opened again every 0.01 s.",
        "mic:0 reconnected.",
    ]


def test_a_device_that_cannot_be_opened_at_the_start_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"webcam:/dev/nothing cannot be opened"):
        collect(SINE, "webcam:/dev/nothing", enough=lambda got: False)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("lavfi:nosuchfilter", "cannot be opened"),
        ("rtsp://user:secret@127.0.0.1:1/live", "rtsp://127.0.0.1:1/live cannot be opened"),
        ("http://127.0.0.1:1/a.mp4?token=secret", "http://127.0.0.1:1/a.mp4 cannot be opened"),
        ("nosuch://host/a", "cannot be opened"),
    ],
)
def test_an_unreachable_address_is_an_error_without_secrets(source: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        capture.info(capture.ParticipantSpec("ana", (source,)))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_closing_the_iterator_ends_its_threads() -> None:
    stop = threading.Event()
    chunks = capture.read(capture.ParticipantSpec("ana", (SINE,)), QUICK, stop, 5)
    with closing(cast("Generator[object]", chunks)):
        next(chunks)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("capture lavfi")]


# --- the queue ----------------------------------------------------------------------------------


def frame(time_ns: int) -> VideoFrame:
    return VideoFrame(time_ns, np.zeros((1, 1, 3), np.uint8))


def chunk(time_ns: int) -> AudioChunk:
    return AudioChunk(time_ns, np.zeros(1, np.float32))


def test_a_full_queue_drops_the_oldest_frame_first_then_the_oldest_audio() -> None:
    counters: Counter[str] = Counter()
    queue = LiveQueue(4, counters)
    for item in (chunk(1), frame(2), chunk(3), frame(4), chunk(5), frame(6), chunk(7), chunk(8)):
        queue.put(item)
    queue.put(Notice("never dropped"))
    got = []
    while (taken := queue.get(0)) is not None:
        got.append(taken if isinstance(taken, Notice) else taken.event_time_ns)
    assert got == [5, 7, 8, Notice("never dropped")]
    assert counters == {"dropped_video_frames": 3, "dropped_audio_chunks": 2}


def test_a_queue_full_of_notices_drops_none() -> None:
    queue = LiveQueue(2, Counter())
    for number in range(4):
        queue.put(Notice(str(number)))
    assert [queue.get(0) for _ in range(4)] == [Notice(str(number)) for number in range(4)]


def test_frames_that_a_slow_reader_misses_are_counted() -> None:
    config = build({"capture": {"queue_chunks": 4}})
    counters: Counter[str] = Counter()
    stop = threading.Event()
    spec = capture.ParticipantSpec("ana", (CAMERA, SINE))
    for _ in capture.read(spec, config, stop, 25, counters=counters):
        threading.Event().wait(0.05)
        if counters["dropped_video_frames"] >= 3:
            stop.set()
    assert counters["dropped_video_frames"] >= 3


# --- the net ------------------------------------------------------------------------------------


@contextmanager
def web(answer: Any) -> Iterator[str]:
    """An HTTP server; `answer(handler)` writes the body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)  # its threads are daemons
    with serving(server) as port:
        yield f"http://127.0.0.1:{port}"


def ranges_of(data: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that serves any range of the data, as a web server does for a file."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        begin = int(handler.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        handler.send_response(206)
        handler.send_header("Accept-Ranges", "bytes")
        handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - begin))
        handler.end_headers()
        handler.wfile.write(data[begin:])

    return answer


def test_a_recording_without_a_length_at_a_url_is_not_live(tmp_path: Path) -> None:
    """As a browser's MediaRecorder writes it."""
    whole = media.talking_head(tmp_path / "a.mkv", seconds=2)
    with av.open(str(whole)) as source:
        buffer = WriteOnly()
        with av.open(buffer, "w", format="matroska", options={"live": "1"}) as target:
            streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)
    with web(ranges_of(bytes(buffer.data))) as address:
        spec = capture.ParticipantSpec("ana", (f"{address}/a.webm",))
        info = capture.info(spec)
        chunks = list(capture.read(spec, Config(), threading.Event(), 5))
    assert (info.live, info.duration_s) == (False, None)
    assert audio_s(chunks) == pytest.approx(2, abs=0.1)


class WriteOnly:
    """A file that cannot seek, so that no length can be written into its header."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


@pytest.mark.slow
def test_a_recording_at_a_url_is_not_live(tmp_path: Path) -> None:
    data = media.talking_head(tmp_path / "a.mp4", seconds=2).read_bytes()
    with web(ranges_of(data)) as address:
        spec = capture.ParticipantSpec("ana", (f"{address}/a.mp4?key=secret",))
        info = capture.info(spec)
        chunks = list(capture.read(spec, Config(), threading.Event(), 5))
    assert not info.live
    assert info.duration_s == pytest.approx(2, abs=0.05)
    assert audio_s(chunks) == pytest.approx(2, abs=0.05)
    assert len(of(VideoFrame, chunks)) == 10


def test_a_request_that_a_server_does_not_answer_is_repeated(tmp_path: Path) -> None:
    """Else FFmpeg skips the packet that it asked for: of video the first image, and so all."""
    serve = ranges_of(media.talking_head(tmp_path / "a.mp4", seconds=2).read_bytes())
    requests = itertools.count()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if next(requests) % 3 == 2:
            handler.close_connection = True
        else:
            serve(handler)

    with web(answer) as address:
        spec = capture.ParticipantSpec("ana", (f"{address}/a.mp4",))
        chunks = list(capture.read(spec, Config(), threading.Event(), 5))
    assert len(of(VideoFrame, chunks)) == 10


def test_a_stream_at_a_url_is_live_and_reconnects(tmp_path: Path) -> None:
    part = media.write(
        tmp_path / "a.ts", media.Audio(codec="mp2", rate=48_000, seconds=1), media.Video(seconds=1)
    ).read_bytes()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp2t")
        handler.end_headers()
        handler.wfile.write(part)

    with web(answer) as address:
        source = f"{address}/live"
        assert capture.info(capture.ParticipantSpec("ana", (source,))).live
        chunks = collect(source, enough=lambda got: noticed(got, "reconnected"))
    assert noticed(chunks, "disconnected")
    assert of(AudioChunk, chunks)
    assert of(VideoFrame, chunks)


class Arriving:
    """A container of ten pictures a second that is opened at 3 s; of its packets five wait."""

    def __init__(self, container: Any) -> None:
        self.now_ns = 3 * NS_PER_S
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def demux(self, *streams: Any) -> Iterator[Any]:
        for number, packet in enumerate(self._container.demux(*streams)):
            if number >= 5:
                self.now_ns += NS_PER_S // 10
            yield packet


@pytest.mark.parametrize(
    ("waiting", "expected_ms"),
    [(True, [2_600, 2_800, 3_000, 3_200, 3_400]), (False, [3_000, 3_200, 3_400, 3_600, 3_800])],
)
def test_what_waits_when_a_stream_is_opened_was_sent_before(
    tmp_path: Path, waiting: bool, expected_ms: list[int]
) -> None:
    path = media.write(tmp_path / "a.mkv", media.Video(codec="mjpeg", pixels="yuvj420p", seconds=1))
    with av.open(str(path)) as container:
        arriving = Arriving(container)
        reader = ContainerReader(
            arriving,
            SelectedStreams(video=container.streams.video[0]),
            "made",
            0,
            NS_PER_S,
            video=VideoTrack(0, 5),
            now=lambda: arriving.now_ns,
        )
        frames = of(VideoFrame, list(reader.read_live(waiting)))
    assert [round(frame.event_time_ns / NS_PER_MS) for frame in frames] == expected_ms


def test_an_rtsp_camera_is_read() -> None:
    with tone_server() as address:
        info = capture.info(capture.ParticipantSpec("ana", (address,)))
        chunks = collect(address, enough=lambda got: audio_s(got) > 0.5)
    assert (info.live, info.has_audio, info.has_video) == (True, True, False)
    assert noticed(chunks, "has no video")
    samples = np.concatenate([chunk.samples for chunk in of(AudioChunk, chunks)])
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.05)
