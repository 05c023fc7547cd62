"""Listing and opening cameras and microphones, with a fake PortAudio and an ALSA file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamer import capture
from streamer.capture import devices
from streamer.capture.devices import Device
from streamer.capture.sources import Source
from streamer.config import CaptureConfig, Config
from streamer.errors import SourceError
from streamer.records import NS_PER_S, AudioChunk, VideoFrame
from tests.fake_portaudio import FakePortAudio


def collect(source: str, kind: type, enough: Callable[[list[Any]], bool]) -> list[Any]:
    """The chunks of a kind from one source until `enough(chunks)` is true."""
    stop = threading.Event()
    got: list[Any] = []
    for chunk in capture.read(capture.ParticipantSpec("ana", (source,)), Config(), stop, 5):
        if isinstance(chunk, kind):
            got.append(chunk)
            if enough(got):
                stop.set()
    return got


# --- microphones --------------------------------------------------------------------------------


def test_a_missing_portaudio_library_is_an_error_that_names_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SourceError, match="libportaudio2"):
        devices.microphones()
    with pytest.raises(SourceError, match="libportaudio2"):
        collect("mic:default", AudioChunk, lambda got: False)
    assert all(device.kind == "camera" for device in devices.list_devices())


def test_microphones_are_listed_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio(blocks=20))
    for name in ("default", "1", "Headset"):
        chunks = collect(f"mic:{name}", AudioChunk, lambda got: len(got) > 3)
        peak = max(float(np.abs(chunk.samples).max()) for chunk in chunks)
        assert peak == pytest.approx(0.125, abs=0.01), "the mean of both channels"
    assert devices.microphones() == [
        Device("mic:default", "microphone", "the system's default microphone"),
        Device("mic:1", "microphone", "Headset, 2 ch"),
    ]
    with pytest.raises(SourceError, match=r"mic:7 cannot be opened .*streamer devices"):
        collect("mic:7", AudioChunk, lambda got: False)


@pytest.mark.parametrize(("channel", "peak"), [("left", 0.5), ("right", 0.25), ("ch:1", 0.25)])
def test_one_channel_of_a_microphone_is_read_alone(
    monkeypatch: pytest.MonkeyPatch, channel: str, peak: float
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio(blocks=20))
    chunks = collect(f"mic:1#{channel}", AudioChunk, lambda got: len(got) > 3)
    assert max(float(np.abs(c.samples).max()) for c in chunks) == pytest.approx(peak, abs=0.02)


def test_a_microphone_without_the_channel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio(blocks=20))
    with pytest.raises(SourceError, match=r"mic:1 has 2 channels, .* there is no #ch:2\."):
        collect("mic:1#ch:2", AudioChunk, lambda got: False)


def test_a_silent_microphone_is_disconnected_and_portaudio_looks_for_new_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakePortAudio(blocks=8)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    for scans in (1, 2):
        blocks = devices.read_microphone(
            Source("mic", "default"), lambda: False, lambda: NS_PER_S, silent_after_s=0.05
        )
        with pytest.raises(SourceError, match=r"no audio for 0\.05 s"):
            for samples, rate_hz, begin_ns in blocks:
                assert samples.shape == (2, 2400)
                assert (rate_hz, begin_ns) == (48_000, NS_PER_S * 95 // 100)
        assert fake.scans == scans
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
from streamer import capture
from streamer.config import Config
from streamer.records import AudioChunk
stop = threading.Event()
names = [device.name_to_type for device in capture.list_devices()]
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


@pytest.mark.slow
def test_the_real_portaudio_reads_an_alsa_device_made_of_a_file(tmp_path: Path) -> None:
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


def test_cameras_are_listed_by_their_name_as_a_source(tmp_path: Path) -> None:
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
    ("name", "system", "address"),
    [
        ("0", "v4l2", "/dev/video0"),
        ("/dev/video3", "v4l2", "/dev/video3"),
        ("1", "avfoundation", "1:none"),
        ("FaceTime HD", "avfoundation", "FaceTime HD:none"),
        ("Integrated Camera", "dshow", "video=Integrated Camera"),
    ],
)
def test_cameras_have_the_address_of_each_system(name: str, system: str, address: str) -> None:
    assert devices.camera_address(name, system) == address


def test_a_missing_camera_is_an_error_with_a_fix() -> None:
    with pytest.raises(SourceError, match=r"webcam:77 cannot be opened .*streamer devices"):
        devices.open_camera("77", CaptureConfig())


def test_a_real_camera_returns_frames() -> None:
    if not devices.cameras():
        pytest.skip("hardware: this machine has no camera")
    name = devices.cameras()[0].name_to_type
    chunks = collect(name, VideoFrame, lambda got: len(got) >= 3)
    assert chunks[0].image.ndim == 3
