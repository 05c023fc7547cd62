"""Cameras, microphones and network streams: listing and opening them.

Input: the address of a device or stream. Output: an open container, or blocks of microphone
samples. The code here is thin: `live` decides about queues, reconnection and session time.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from streamer.capture.files import check_channel, reason
from streamer.capture.sources import Source
from streamer.config import CaptureConfig
from streamer.errors import SourceError
from streamer.records import NS_PER_S

Clock = Callable[[], int]
"""Session time in nanoseconds."""
Stopped = Callable[[], bool]

PORTAUDIO_FIX = (
    "Microphones need the PortAudio library: install it, on Debian with "
    "`apt-get install libportaudio2`."
)
MICROPHONE_BLOCKS = 100
"""Capacity, in blocks of 50 ms, of the queue after PortAudio's thread; a full queue drops the
newest block."""
SILENT_DEVICE_S = 3.0
"""A microphone that delivers no block for this long counts as disconnected."""
STOP_CHECK_S = 0.2
"""How soon a microphone that gives no blocks is closed at a stop."""
URL_OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp", "analyzeduration": "2000000"},
    "http": {
        "reconnect": "1",
        "reconnect_on_network_error": "1",
        "reconnect_delay_max": "1",
    },
}
"""FFmpeg's options by the beginning of the address. Without the second ones it skips the packets of
a request that is not answered: of a video the first image, on which all others depend."""
CAMERA_SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


class Device(msgspec.Struct, frozen=True):
    """A camera or microphone, and its name as a source in `--participant`."""

    name_to_type: str
    kind: Literal["camera", "microphone"]
    description: str


# --- listing ------------------------------------------------------------------------------------


def list_devices() -> list[Device]:
    """List cameras, then microphones; without PortAudio only the cameras."""
    try:
        return [*cameras(), *microphones()]
    except SourceError:
        return cameras()


def cameras(dev: Path = Path("/dev"), sysfs: Path = Path("/sys/class/video4linux")) -> list[Device]:
    """List the cameras of this machine."""
    system = CAMERA_SYSTEMS.get(sys.platform, "v4l2")
    if system == "v4l2":
        return [_v4l2_device(node, sysfs) for node in _v4l2_nodes(dev, sysfs)]
    return [
        Device(f"webcam:{index}", "camera", camera.description or camera.name)
        for index, camera in enumerate(_ffmpeg_cameras(system))
    ]


def microphones() -> list[Device]:
    """List the microphones that PortAudio finds, the default one first.

    Raises:
        SourceError: the PortAudio library is missing.
    """
    sounddevice = portaudio()
    listed = [
        Device(f"mic:{index}", "microphone", f"{entry['name']}, {entry['max_input_channels']} ch")
        for index, entry in enumerate(sounddevice.query_devices())
        if entry["max_input_channels"] > 0
    ]
    default = [Device("mic:default", "microphone", "the system's default microphone")]
    return default + listed if listed else []


def _v4l2_nodes(dev: Path, sysfs: Path) -> list[Path]:
    """The video nodes of cameras; nodes with an index above 0 carry metadata."""
    nodes = [node for node in dev.glob("video*") if node.name[5:].isdigit()]
    return sorted(
        (node for node in nodes if _read_text(sysfs / node.name / "index", "0") == "0"),
        key=lambda node: int(node.name[5:]),
    )


def _v4l2_device(node: Path, sysfs: Path) -> Device:
    name = _read_text(sysfs / node.name / "name", "camera")
    return Device(f"webcam:{node.name[5:]}", "camera", f"{name} ({node})")


def _read_text(path: Path, default: str) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return default


def _ffmpeg_cameras(system: str) -> list[Any]:
    from av.device import enumerate_input_devices

    return [device for device in enumerate_input_devices(system) if "video" in device.media_types]


# --- network streams and cameras ----------------------------------------------------------------


def open_stream(source: Source, timeout_s: float = 15.0) -> Any:
    """Open a URL or a `lavfi:` graph.

    Raises:
        SourceError: the source cannot be reached or is not media.
    """
    try:
        if source.kind == "lavfi":
            return av.open(source.address, "r", format="lavfi")
        options = URL_OPTIONS.get(source.address[:4].lower(), {})
        return av.open(
            source.address, "r", options=options, timeout=timeout_s, metadata_errors="ignore"
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"{source.name} cannot be opened ({reason(error)}); check the address and "
            "that the sender is running."
        ) from None


def open_camera(name: str, config: CaptureConfig) -> Any:
    """Open a camera by number, name or path, in the configured size if the camera supports it.

    Raises:
        SourceError: there is no such camera, or another program uses it.
    """
    system = CAMERA_SYSTEMS.get(sys.platform, "v4l2")
    address = camera_address(name, system)
    size = f"{config.camera_width}x{config.camera_height}"
    rate = {"framerate": str(config.camera_rate_hz)}
    failure: Exception | None = None
    for options in ({"video_size": size, **rate}, rate, {}):
        try:
            return av.open(address, "r", format=system, options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            failure = error
    assert failure is not None
    raise SourceError(
        f"The camera webcam:{name} cannot be opened ({reason(failure)}); `streamer devices` lists "
        "the cameras. Close other programs that use the camera."
    )


def camera_address(name: str, system: str) -> str:
    """The address under which FFmpeg opens `webcam:name`."""
    if system == "v4l2":
        return f"/dev/video{name}" if name.isdigit() else name
    if system == "avfoundation":
        return f"{name}:none"
    if name.isdigit():
        listed = _ffmpeg_cameras(system)
        name = listed[int(name)].name if int(name) < len(listed) else name
    return f"video={name}"


# --- microphones --------------------------------------------------------------------------------


def read_microphone(
    source: Source, stopped: Stopped, clock: Clock, silent_after_s: float = SILENT_DEVICE_S
) -> Iterator[tuple[NDArray[np.float32], int, int]]:
    """Yield blocks of samples (channels, n), their rate in Hz and their start in session time.

    Args:
        source: its address is the number or name of the microphone, or `default`.
        stopped: ends the iteration when it returns True.
        clock: session time.
        silent_after_s: a microphone without blocks for this long is disconnected.

    Raises:
        SourceError: the microphone cannot be opened, has no such channel, or is disconnected.
    """
    blocks: queue.Queue[tuple[int, Any]] = queue.Queue(MICROPHONE_BLOCKS)

    def put(block: Any, frames: int, when: Any, status: Any) -> None:
        """Queue a block, in PortAudio's thread."""
        if not blocks.full():
            blocks.put_nowait((clock(), block.copy()))

    with _open_microphone(source, put) as rate_hz:
        last_block_s = time.monotonic()
        while not stopped():
            try:
                arrived_ns, block = blocks.get(timeout=min(silent_after_s, STOP_CHECK_S))
            except queue.Empty:
                if time.monotonic() - last_block_s < silent_after_s:
                    continue
                raise SourceError(f"no audio for {silent_after_s:g} s") from None
            last_block_s = time.monotonic()
            channels = np.ascontiguousarray(block.T, np.float32)
            yield channels, rate_hz, arrived_ns - len(block) * NS_PER_S // rate_hz


_microphones_lock = threading.Lock()
_open_microphones: set[int] = set()


@contextmanager
def _open_microphone(source: Source, callback: Callable[..., None]) -> Iterator[int]:
    """Start a microphone and yield its rate in Hz.

    PortAudio is restarted first, to find new devices, unless this process has an open microphone.
    """
    sounddevice = portaudio()
    name = source.address
    least = 2 if source.channel is None else source.channel + 1
    device = None if name in ("", "default") else int(name) if name.isdigit() else name
    with _microphones_lock:
        if not _open_microphones:
            sounddevice._terminate()
            sounddevice._initialize()
        try:
            entry = sounddevice.query_devices(device, "input")
            rate_hz = int(entry["default_samplerate"])
            check_channel(source, entry["max_input_channels"])
            stream = sounddevice.InputStream(
                device=device,
                samplerate=rate_hz,
                channels=min(max(2, least), entry["max_input_channels"]),
                dtype="float32",
                blocksize=rate_hz // 20,
                callback=callback,
            )
            stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise SourceError(
                f"The microphone mic:{name} cannot be opened ({error}); "
                "`streamer devices` lists them."
            ) from None
        _open_microphones.add(id(stream))
    try:
        yield rate_hz
    finally:
        with _microphones_lock:
            _open_microphones.discard(id(stream))
            stream.close(ignore_errors=True)


def portaudio() -> Any:
    """Import and return the sounddevice module.

    Raises:
        SourceError: the PortAudio library is missing.
    """
    try:
        import sounddevice
    except (ImportError, OSError):
        raise SourceError(PORTAUDIO_FIX) from None
    return sounddevice
