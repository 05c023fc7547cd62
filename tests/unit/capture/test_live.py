"""Live sources: FFmpeg's generators stand for devices, a loopback server for cameras on the net."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from streamer.capture import live as devices
from streamer.capture import sources as capture
from streamer.capture.live import Device, Feed, LiveQueue
from streamer.config import CaptureConfig, Config, build
from streamer.errors import SourceError
from streamer.records import (
    NS_PER_S,
    SAMPLE_RATE_HZ,
    AudioChunk,
    Notice,
    StreamEnd,
    VideoFrame,
)
from tests import media
from tests.rtsp import tone_server

SINE = "lavfi:sine=frequency=440:sample_rate=44100"
PICTURE = "lavfi:testsrc2=size=64x48:rate=25"
QUICK = build({"capture": {"reconnect_s": 0.05}})


def collect(*sources: str, enough, config: Config = QUICK, counters=None, **options) -> list:
    """Everything until `enough(list)` is true, and what comes after stopping."""
    stop = threading.Event()
    got: list = []
    spec = capture.ParticipantSpec("ana", sources)
    for chunk in capture.read(spec, config, stop, 5, counters=counters, **options):
        got.append(chunk)
        if enough(got):
            stop.set()
    return got


def of(kind: type, chunks: list) -> list:
    return [chunk for chunk in chunks if isinstance(chunk, kind)]


def sound_s(chunks: list) -> float:
    return sum(len(chunk.samples) for chunk in of(AudioChunk, chunks)) / SAMPLE_RATE_HZ


def told(chunks: list, words: str) -> bool:
    return any(words in notice.message for notice in of(Notice, chunks))


# --- devices that work --------------------------------------------------------------------------


def test_a_camera_and_a_microphone_give_one_stream():
    chunks = collect(PICTURE, SINE, enough=lambda got: sound_s(got) >= 1)
    pieces, frames = of(AudioChunk, chunks), of(VideoFrame, chunks)
    assert [type(chunk) for chunk in chunks[-2:]] == [StreamEnd, StreamEnd]
    assert {end.modality for end in chunks[-2:]} == {"audio", "vision"}
    assert frames[0].image.shape == (48, 64, 3)
    for one, two in itertools.pairwise(pieces):
        assert two.event_time_ns == one.end_ns
    slots = [frame.event_time_ns * 5 // NS_PER_S for frame in frames]
    assert slots == sorted(set(slots))
    sound = np.concatenate([piece.samples for piece in pieces])
    sound = sound[np.flatnonzero(sound)[0] + 800 :][:8000]
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(sound) == pytest.approx(440, abs=5)


def test_one_source_may_give_both():
    source = "lavfi:testsrc2=size=64x48:rate=25[out0];sine=sample_rate=48000[out1]"
    info = capture.info(capture.ParticipantSpec("ana", (source,)))
    assert (info.live, info.has_audio, info.has_video) == (True, True, True)
    chunks = collect(source, enough=lambda got: sound_s(got) > 0.3 and of(VideoFrame, got))
    assert {end.modality for end in of(StreamEnd, chunks)} == {"audio", "vision"}


def test_only_what_is_wanted_is_taken():
    chunks = collect(PICTURE, SINE, enough=lambda got: sound_s(got) > 0.3, modalities={"text"})
    assert not of(VideoFrame, chunks)
    assert [end.modality for end in of(StreamEnd, chunks)] == ["audio"]


def test_a_session_that_began_earlier_gives_later_times():
    began = time.time_ns() - 100 * NS_PER_S
    chunks = collect(PICTURE, enough=lambda got: len(of(VideoFrame, got)) > 1, start_unix_ns=began)
    assert of(VideoFrame, chunks)[0].event_time_ns >= 100 * NS_PER_S


# --- devices that leave -------------------------------------------------------------------------


def test_a_device_that_leaves_is_told_once_and_comes_back_while_the_other_goes_on():
    counters: Counter[str] = Counter()

    def enough(got: list) -> bool:
        return counters["reconnects"] >= 2 and len(of(VideoFrame, got)) >= 3

    chunks = collect(PICTURE, f"{SINE}:duration=0.2", enough=enough, counters=counters)
    assert told(chunks, "has left (it ended); the other sources go on")
    assert told(chunks, "is back")
    kinds = [type(c) for c in chunks if not isinstance(c, (StreamEnd, VideoFrame))]
    left = [i for i, c in enumerate(chunks) if isinstance(c, Notice) and "has left" in c.message]
    assert kinds.count(AudioChunk) > 2
    assert not any(isinstance(c, StreamEnd) for c in chunks[: left[-1]])
    times = [chunk.event_time_ns for chunk in of(AudioChunk, chunks)]
    assert times == sorted(times)


class Unplugged:
    """A device that can be opened, pulled out, found missing several times, and put back."""

    def __init__(self) -> None:
        self.tries = 0

    def pieces(self, feed, tracks, config, stopped, clock) -> Iterator[AudioChunk]:
        self.tries += 1
        if self.tries in (2, 3, 4):
            raise OSError(19, "No such device")
        yield AudioChunk(clock(), np.zeros(1600, np.float32))
        if self.tries == 1:
            raise OSError(5, "Input/output error")
        while not stopped():
            yield AudioChunk(clock(), np.zeros(160, np.float32))
            threading.Event().wait(0.01)


def run(feeds: list[Feed], config: CaptureConfig, enough) -> tuple[list, Counter[str]]:
    stop, counters = threading.Event(), Counter()
    time_ns = iter(range(0, 10**15, 10**7))
    got: list = []
    for chunk in devices.run(feeds, config, stop, lambda: next(time_ns), counters):
        got.append(chunk)
        if enough(got):
            stop.set()
    return got, counters


def test_an_unplugged_device_is_tried_until_it_is_back(monkeypatch):
    device = Unplugged()
    monkeypatch.setattr(devices, "pieces_of", device.pieces)
    feed = Feed("mic:0", audio=True, video=False, frame_rate_hz=5)
    got, counters = run([feed], CaptureConfig(reconnect_s=0.01), lambda got: told(got, "is back"))
    assert device.tries == 5
    assert counters["reconnects"] == 1
    messages = [notice.message for notice in of(Notice, got)]
    assert messages == [
        "mic:0 has left (Input/output error); the other sources go on, "
        "and it is tried again every 0.01 s.",
        "mic:0 is back.",
    ]


def test_a_device_that_cannot_be_opened_at_first_ends_the_start():
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
def test_what_cannot_be_reached_is_told_in_one_sentence_without_secrets(source, words):
    with pytest.raises(SourceError, match=words) as caught:
        capture.info(capture.ParticipantSpec("ana", (source,)))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_closing_the_iterator_ends_its_threads():
    stop = threading.Event()
    chunks = capture.read(capture.ParticipantSpec("ana", (SINE,)), QUICK, stop, 5)
    next(chunks)
    chunks.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("capture lavfi")]


# --- the queue ----------------------------------------------------------------------------------


def frame(time_ns: int) -> VideoFrame:
    return VideoFrame(time_ns, np.zeros((1, 1, 3), np.uint8))


def chunk(time_ns: int) -> AudioChunk:
    return AudioChunk(time_ns, np.zeros(1, np.float32))


def test_a_full_queue_drops_the_oldest_picture_first_then_the_oldest_sound():
    counters: Counter[str] = Counter()
    queue = LiveQueue(4, counters)
    for item in (chunk(1), frame(2), chunk(3), frame(4), chunk(5), frame(6), chunk(7), chunk(8)):
        queue.put(item)
    queue.put(Notice("never dropped"))
    got = []
    while (item := queue.get(0)) is not None:
        got.append(item if isinstance(item, Notice) else item.event_time_ns)
    assert got == [5, 7, 8, Notice("never dropped")]
    assert counters == {"dropped_video_frames": 3, "dropped_audio_chunks": 2}


def test_notices_stay_in_a_queue_full_of_notices():
    queue = LiveQueue(2, Counter())
    for number in range(4):
        queue.put(Notice(str(number)))
    assert [queue.get(0).message for _ in range(4)] == ["0", "1", "2", "3"]


def test_a_reader_that_is_slow_loses_pictures_and_they_are_counted():
    config = build({"capture": {"queue_chunks": 4}})
    counters: Counter[str] = Counter()
    stop = threading.Event()
    spec = capture.ParticipantSpec("ana", (PICTURE, SINE))
    for _ in capture.read(spec, config, stop, 25, counters=counters):
        threading.Event().wait(0.05)
        if counters["dropped_video_frames"] >= 3:
            stop.set()
    assert counters["dropped_video_frames"] >= 3


# --- the net ------------------------------------------------------------------------------------


@contextmanager
def web(answer) -> Iterator[str]:
    """An HTTP server; `answer(handler)` writes the body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_recording_on_the_web_is_a_recording(tmp_path):
    data = media.talking_head(tmp_path / "a.mp4", seconds=2).read_bytes()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        begin = int(handler.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        handler.send_response(206)
        handler.send_header("Accept-Ranges", "bytes")
        handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - begin))
        handler.end_headers()
        handler.wfile.write(data[begin:])

    with web(answer) as address:
        spec = capture.ParticipantSpec("ana", (f"{address}/a.mp4?key=secret",))
        info = capture.info(spec)
        chunks = list(capture.read(spec, Config(), threading.Event(), 5))
    assert (info.live, info.duration_s) == (False, pytest.approx(2, abs=0.05))
    assert sound_s(chunks) == pytest.approx(2, abs=0.05)
    assert len(of(VideoFrame, chunks)) == 10


def test_a_stream_on_the_web_is_live_and_comes_back_when_it_breaks_off(tmp_path):
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
        chunks = collect(source, enough=lambda got: told(got, "is back"))
    assert told(chunks, "has left")
    assert of(AudioChunk, chunks)
    assert of(VideoFrame, chunks)


def test_a_camera_that_speaks_rtsp():
    with tone_server() as address:
        info = capture.info(capture.ParticipantSpec("ana", (address,)))
        chunks = collect(address, enough=lambda got: sound_s(got) > 0.5)
    assert (info.live, info.has_audio, info.has_video) == (True, True, False)
    assert told(chunks, "no picture")
    sound = np.concatenate([piece.samples for piece in of(AudioChunk, chunks)])
    assert np.abs(sound).max() == pytest.approx(0.5, abs=0.05)


# --- microphones --------------------------------------------------------------------------------


def test_without_portaudio_one_sentence_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SourceError, match="libportaudio2"):
        devices.microphones()
    with pytest.raises(SourceError, match="libportaudio2"):
        collect("mic:default", enough=lambda got: False)
    assert all(device.kind == "camera" for device in devices.devices())


class FakePortAudio(types.ModuleType):
    """The part of sounddevice that capture uses, with one microphone of 48 kHz stereo."""

    class PortAudioError(Exception):
        pass

    def __init__(self, blocks: int) -> None:
        super().__init__("sounddevice")
        self.blocks = blocks
        self.scans = 0
        self.streams: list[FakeMicrophone] = []

    def query_devices(self, device=None, kind=None):
        entries = [
            {"name": "Speaker", "max_input_channels": 0, "default_samplerate": 48_000.0},
            {"name": "Headset", "max_input_channels": 2, "default_samplerate": 48_000.0},
        ]
        if kind is None:
            return entries
        if device not in (None, 1, "Headset"):
            raise ValueError(f"No input device matching {device!r}")
        return entries[1]

    def _terminate(self) -> None:
        assert not self.streams
        self.scans += 1

    def _initialize(self) -> None:
        pass

    def InputStream(self, **settings):
        return FakeMicrophone(self, **settings)


class FakeMicrophone:
    def __init__(self, owner, *, samplerate, channels, blocksize, callback, **rest) -> None:
        self._owner = owner
        self._callback = callback
        wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(blocksize) / samplerate)
        self._block = np.repeat(wave[:, None], channels, axis=1).astype(np.float32)

    def start(self) -> None:
        self._owner.streams.append(self)
        for _ in range(self._owner.blocks):
            self._callback(self._block, len(self._block), None, None)

    def close(self, ignore_errors: bool) -> None:
        self._owner.streams.remove(self)


def test_a_microphone_is_heard_and_listed(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio(blocks=20))
    for name in ("default", "1", "Headset"):
        chunks = collect(f"mic:{name}", enough=lambda got: sound_s(got) > 0.3)
        peak = max(float(np.abs(piece.samples).max()) for piece in of(AudioChunk, chunks))
        assert peak == pytest.approx(0.5, abs=0.02)
    assert devices.microphones() == [
        Device("mic:default", "microphone", "what the system takes by default"),
        Device("mic:1", "microphone", "Headset, 2 ch"),
    ]
    with pytest.raises(SourceError, match=r"mic:7 cannot be opened .*streamer devices"):
        collect("mic:7", enough=lambda got: False)


def test_a_microphone_that_falls_silent_has_left(monkeypatch):
    fake = FakePortAudio(blocks=8)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(devices, "SILENT_DEVICE_S", 0.05)
    chunks = collect("mic:default", enough=lambda got: told(got, "is back"))
    assert told(chunks, "gives no sound any more")
    assert fake.scans >= 2  # so that a microphone plugged in again is seen
    assert fake.streams == []


ALSA = """
pcm.!default {{
    type file
    slave.pcm "null"
    file "/dev/null"
    infile "{tone}"
    format "raw"
}}
pcm.null {{ type null }}
"""
LISTEN = """
import sys, threading, numpy as np
from streamer.capture import sources as capture
from streamer.config import Config
from streamer.records import AudioChunk
stop = threading.Event()
names = [device.name_to_type for device in capture.devices()]
got, last = [], -1
for chunk in capture.read(capture.ParticipantSpec("ana", ("mic:default",)), Config(), stop, 5):
    if isinstance(chunk, AudioChunk):
        assert chunk.event_time_ns > last
        last = chunk.event_time_ns
        got.append(chunk.samples)
        if len(got) == 20:
            stop.set()
print("mic:default" in names, np.abs(np.concatenate(got)).max())
"""


def test_the_real_portaudio_hears_an_alsa_device_made_of_a_file(tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("hardware: ALSA is Linux's")
    tone = tmp_path / "tone.raw"
    np.full(44_100 * 2 * 60, 0.25, np.float32).tofile(tone)
    settings = tmp_path / "asound.conf"
    settings.write_text(ALSA.format(tone=tone))
    environment = os.environ | {"ALSA_CONFIG_PATH": str(settings)}
    result = subprocess.run(
        [sys.executable, "-c", LISTEN],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if "libportaudio2" in result.stderr:
        pytest.skip("the PortAudio library is missing: install libportaudio2")
    listed, peak = result.stdout.split()
    assert listed == "True"
    assert float(peak) == pytest.approx(0.25, abs=0.01)


# --- cameras ------------------------------------------------------------------------------------


def test_cameras_are_listed_by_the_name_to_type(tmp_path):
    dev, sysfs = tmp_path / "dev", tmp_path / "sys"
    for number, index, name in ((0, 0, "HD Webcam"), (1, 1, "HD Webcam"), (10, 0, "Capture Card")):
        (dev).mkdir(exist_ok=True)
        (dev / f"video{number}").touch()
        node = sysfs / f"video{number}"
        node.mkdir(parents=True)
        (node / "index").write_text(f"{index}\n")
        (node / "name").write_text(f"{name}\n")
    (dev / "videotape").touch()
    assert devices.cameras(dev, sysfs) == [
        Device("webcam:0", "camera", f"HD Webcam ({dev / 'video0'})"),
        Device("webcam:10", "camera", f"Capture Card ({dev / 'video10'})"),
    ]
    assert devices.cameras(tmp_path / "none", sysfs) == []


@pytest.mark.parametrize(
    ("name", "system", "place"),
    [
        ("0", "v4l2", "/dev/video0"),
        ("/dev/video3", "v4l2", "/dev/video3"),
        ("1", "avfoundation", "1:none"),
        ("FaceTime HD", "avfoundation", "FaceTime HD:none"),
        ("Integrated Camera", "dshow", "video=Integrated Camera"),
    ],
)
def test_cameras_are_opened_as_each_system_names_them(name, system, place):
    assert devices.camera_place(name, system) == place


def test_a_missing_camera_is_told_with_the_mend():
    with pytest.raises(SourceError, match=r"webcam:77 cannot be opened .*streamer devices"):
        devices.open_camera("77", CaptureConfig())


def test_a_real_camera_gives_pictures():
    if not devices.cameras():
        pytest.skip("hardware: this machine has no camera")
    name = devices.cameras()[0].name_to_type
    chunks = collect(name, enough=lambda got: len(of(VideoFrame, got)) >= 3)
    assert of(VideoFrame, chunks)[0].image.ndim == 3


def test_the_path_of_a_camera_is_a_camera():
    info = capture.info(capture.ParticipantSpec("ana", ("/dev/video0",)))
    assert (info.live, info.has_video, info.has_audio) == (True, True, False)


def test_a_pipe_is_no_recording(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        capture.info(capture.ParticipantSpec("ana", (str(tmp_path / "pipe"),)))
