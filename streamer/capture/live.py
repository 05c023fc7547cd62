"""Cameras, microphones and live streams → chunks, as they arrive.

What enters: the address of a device or stream. What leaves: AudioChunks and VideoFrames in session
time from one bounded queue that a thread per device fills, and Notices when one leaves or comes
back. The code that touches a device is thin and holds no policy; `run` holds it all: a full queue
drops the oldest picture, else the oldest sound; a device that leaves is tried again for ever.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import msgspec
import numpy as np

from streamer.capture.files import PictureTrack, Piece, Reading, SoundTrack, Wanted
from streamer.config import CaptureConfig, to_ns
from streamer.errors import SourceError
from streamer.records import NS_PER_MS, NS_PER_S, AudioChunk, Notice, VideoFrame

PORTAUDIO_MEND = (
    "Microphones need the PortAudio library: install it, on Debian with "
    "`apt-get install libportaudio2`."
)
LIVE_TOLERANCE_NS = 500 * NS_PER_MS
"""How far the sound's own clock may part from arrival before silence or a cut brings it back."""
MAX_FILL_NS = 3 * NS_PER_S
"""A longer hole in live sound stays a hole: windows have gone on without it."""
MICROPHONE_BLOCKS = 100
"""Of 50 ms each, between PortAudio's thread and ours; what comes while it is full is lost."""
SILENT_DEVICE_S = 3.0
"""A microphone that gives nothing for so long has left."""
RTSP_OPTIONS = {"rtsp_transport": "tcp", "analyzeduration": "2000000"}
CAMERA_SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}

log = logging.getLogger("streamer.devices")

Clock = Callable[[], int]
"""Session time in nanoseconds."""


class Device(msgspec.Struct, frozen=True):
    """A camera or microphone and the name that `--participant` takes."""

    name_to_type: str
    kind: Literal["camera", "microphone"]
    description: str


@dataclass(frozen=True, slots=True)
class Feed:
    """A live source and what is taken of it."""

    address: str
    audio: bool
    video: bool
    frame_rate_hz: float


# --- policy -------------------------------------------------------------------------------------


class LiveQueue:
    """Bounded: when full the oldest VideoFrame goes, else the oldest AudioChunk; both counted.

    Notices and failures are never dropped. One reader, any number of writers.
    """

    def __init__(self, capacity: int, counters: Counter[str]) -> None:
        """Hold up to `capacity` chunks."""
        self._capacity = capacity
        self._counters = counters
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()

    def put(self, item: Any) -> None:
        """Add an item; never waits."""
        with self._changed:
            if len(self._items) >= self._capacity:
                self._make_room()
            self._items.append(item)
            self._changed.notify()

    def get(self, timeout_s: float) -> Any | None:
        """The oldest item, or None when there is none within `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout_s)
            return self._items.popleft() if self._items else None

    def _make_room(self) -> None:
        for kind, name in ((VideoFrame, "video_frames"), (AudioChunk, "audio_chunks")):
            oldest = next((i for i, item in enumerate(self._items) if isinstance(item, kind)), None)
            if oldest is not None:
                del self._items[oldest]
                self._counters[f"dropped_{name}"] += 1
                return


def run(
    feeds: Sequence[Feed],
    config: CaptureConfig,
    stop: threading.Event,
    clock: Clock,
    counters: Counter[str],
) -> Iterator[Piece]:
    """Read all feeds until `stop`; one daemon thread each, ended when the iterator is closed.

    Raises:
        SourceError: a feed cannot be opened the first time.
    """
    out = LiveQueue(config.queue_chunks, counters)
    closed = threading.Event()
    threads = [
        threading.Thread(
            target=_keep_reading,
            args=(feed, config, out, lambda: closed.is_set() or stop.is_set(), clock, counters),
            name=f"capture {feed.address[:20]}",
            daemon=True,
        )
        for feed in feeds
    ]
    for thread in threads:
        thread.start()
    try:
        while not stop.is_set():
            item = out.get(0.1)
            if isinstance(item, SourceError):
                raise item
            if item is not None:
                yield item
        while (item := out.get(0)) is not None:
            if not isinstance(item, SourceError):
                yield item
    finally:
        closed.set()
        for thread in threads:
            thread.join(2.0)


def _keep_reading(
    feed: Feed,
    config: CaptureConfig,
    out: LiveQueue,
    stopped: Callable[[], bool],
    clock: Clock,
    counters: Counter[str],
) -> None:
    """A feed's thread: read, and when it leaves for any reason, try again every `reconnect_s`."""
    from streamer.capture.sources import public_name

    name = public_name(feed.address)
    tracks = Tracks(feed, counters)
    opened, away = False, False
    while not stopped():
        try:
            for piece in pieces_of(feed, tracks, config, stopped, clock):
                if away:
                    out.put(Notice(f"{name} is back."))
                    counters["reconnects"] += 1
                opened, away = True, False
                out.put(piece)
            why = "it ended"
        except Exception as error:
            log.debug("%s", name, exc_info=True)
            if not opened:
                failure = SourceError(f"{name} cannot be opened: {reason(error)}.")
                out.put(error if isinstance(error, SourceError) else failure)
                return
            why = reason(error)
        if stopped():
            return
        if not away:
            out.put(
                Notice(
                    f"{name} has left ({why}); the other sources go on, and it is tried again "
                    f"every {config.reconnect_s:g} s."
                )
            )
        opened, away = True, True
        _wait(config.reconnect_s, stopped)


def _wait(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopped() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))


# --- devices ------------------------------------------------------------------------------------


class Tracks:
    """A feed's sound and pictures over all its reconnections."""

    def __init__(self, feed: Feed, counters: Counter[str]) -> None:
        """Begin at session time 0."""
        self.counters = counters
        self.sound = SoundTrack(0, LIVE_TOLERANCE_NS, MAX_FILL_NS)
        self.pictures = PictureTrack(0, feed.frame_rate_hz)


def pieces_of(
    feed: Feed, tracks: Tracks, config: CaptureConfig, stopped: Callable[[], bool], clock: Clock
) -> Iterator[Piece]:
    """Open a feed and read it until it leaves (an error or the end) or `stopped`."""
    if feed.address.startswith("mic:"):
        yield from _microphone(feed.address.removeprefix("mic:"), tracks, stopped, clock)
        return
    if feed.address.startswith("webcam:"):
        container = open_camera(feed.address.removeprefix("webcam:"), config)
    else:
        container = open_stream(feed.address, config.open_timeout_s)
    with container:
        audio = container.streams.best("audio") if feed.audio else None
        video = container.streams.best("video") if feed.video else None
        reading = Reading(
            container,
            Wanted(audio, video),
            feed.address,
            clock(),
            feed.frame_rate_hz,
            to_ns(config.max_gap_s),
            sound=tracks.sound,
            pictures=tracks.pictures,
            now=clock,
            counters=tracks.counters,
        )
        for piece in reading.live_pieces():
            if feed.address.startswith("lavfi:") and not isinstance(piece, Notice):
                _wait((piece.event_time_ns - clock()) / NS_PER_S, stopped)
            yield piece
            if stopped():
                return


def open_stream(address: str, timeout_s: float = 15.0) -> Any:
    """Open a URL or a `lavfi:` graph.

    Raises:
        SourceError: it cannot be reached, or is not media.
    """
    from streamer.capture.sources import public_name

    try:
        if address.startswith("lavfi:"):
            return av.open(address.removeprefix("lavfi:"), "r", format="lavfi")
        options = RTSP_OPTIONS if address.startswith("rtsp") else {}
        return av.open(address, "r", options=options, timeout=timeout_s, metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"{public_name(address)} cannot be opened ({reason(error)}); check the address and "
            "that the other side is there."
        ) from None


def open_camera(name: str, config: CaptureConfig) -> Any:
    """Open a camera by number, name or path, in the configured size if it has that.

    Raises:
        SourceError: there is no such camera, or it is in use.
    """
    system = CAMERA_SYSTEMS.get(sys.platform, "v4l2")
    place = camera_place(name, system)
    size = f"{config.camera_width}x{config.camera_height}"
    wishes = {"video_size": size, "framerate": str(config.camera_rate_hz)}
    error: Exception | None = None
    for options in (wishes, {"framerate": wishes["framerate"]}, {}):
        try:
            return av.open(place, "r", format=system, options=options)
        except (av.FFmpegError, OSError, ValueError) as failed:
            error = failed
    assert error is not None
    raise SourceError(
        f"The camera webcam:{name} cannot be opened ({reason(error)}); `streamer devices` lists "
        "cameras, and one that another program uses must be let go there."
    )


def camera_place(name: str, system: str) -> str:
    """What PyAV must open for `webcam:name`."""
    if system == "v4l2":
        return f"/dev/video{name}" if name.isdigit() else name
    if system == "avfoundation":
        return f"{name}:none"
    if name.isdigit():
        found = _named_cameras(system)
        name = found[int(name)].name if int(name) < len(found) else name
    return f"video={name}"


def _microphone(
    name: str, tracks: Tracks, stopped: Callable[[], bool], clock: Clock
) -> Iterator[Piece]:
    blocks: queue.Queue[Any] = queue.Queue(MICROPHONE_BLOCKS)

    def keep(block: Any, frames: int, when: Any, status: Any) -> None:
        """Called by PortAudio's thread; a block beyond a full queue is lost, and so silence."""
        if not blocks.full():
            blocks.put_nowait((clock(), block.copy()))

    with _open_microphone(name, keep) as rate_hz:
        while not stopped():
            try:
                arrived_ns, block = blocks.get(timeout=SILENT_DEVICE_S)
            except queue.Empty:
                raise SourceError(f"mic:{name} gives no sound any more") from None
            begun_ns = arrived_ns - len(block) * NS_PER_S // rate_hz
            mono = np.ascontiguousarray(block.mean(axis=1, dtype=np.float32))
            yield from tracks.sound.push_mono(mono, rate_hz, begun_ns)


_microphones_lock = threading.Lock()
_microphones_open: set[int] = set()


@contextmanager
def _open_microphone(name: str, callback: Callable[..., None]) -> Iterator[int]:
    """Start a microphone and give its rate in Hz; PortAudio looks for new devices first.

    It can do so only while no microphone of this process is open.
    """
    sounddevice = portaudio()
    device = None if name in ("", "default") else int(name) if name.isdigit() else name
    with _microphones_lock:
        if not _microphones_open:
            sounddevice._terminate()
            sounddevice._initialize()
        try:
            found = sounddevice.query_devices(device, "input")
            rate_hz = int(found["default_samplerate"])
            stream = sounddevice.InputStream(
                device=device,
                samplerate=rate_hz,
                channels=min(2, found["max_input_channels"]),
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
        _microphones_open.add(id(stream))
    try:
        yield rate_hz
    finally:
        with _microphones_lock:
            _microphones_open.discard(id(stream))
            stream.close(ignore_errors=True)


# --- listing ------------------------------------------------------------------------------------


def devices() -> list[Device]:
    """Cameras, then microphones; without PortAudio the cameras alone."""
    try:
        return [*cameras(), *microphones()]
    except SourceError:
        return cameras()


def cameras(dev: Path = Path("/dev"), sysfs: Path = Path("/sys/class/video4linux")) -> list[Device]:
    """The cameras that this machine has."""
    system = CAMERA_SYSTEMS.get(sys.platform, "v4l2")
    if system == "v4l2":
        return [_v4l2(node, sysfs) for node in _capture_nodes(dev, sysfs)]
    return [
        Device(f"webcam:{index}", "camera", found.description or found.name)
        for index, found in enumerate(_named_cameras(system))
    ]


def microphones() -> list[Device]:
    """The microphones that PortAudio sees; the default one first.

    Raises:
        SourceError: the PortAudio library is missing.
    """
    sounddevice = portaudio()
    found = [
        Device(f"mic:{index}", "microphone", f"{entry['name']}, {entry['max_input_channels']} ch")
        for index, entry in enumerate(sounddevice.query_devices())
        if entry["max_input_channels"] > 0
    ]
    default = [Device("mic:default", "microphone", "what the system takes by default")]
    return default + found if found else []


def portaudio() -> Any:
    """The sounddevice module, loaded only when a microphone is asked for.

    Raises:
        SourceError: the PortAudio library is missing.
    """
    try:
        import sounddevice
    except (ImportError, OSError):
        raise SourceError(PORTAUDIO_MEND) from None
    return sounddevice


def _capture_nodes(dev: Path, sysfs: Path) -> list[Path]:
    """Video nodes, without those that carry a camera's metadata (index above 0)."""
    nodes = [node for node in dev.glob("video*") if node.name[5:].isdigit()]
    return sorted(
        (node for node in nodes if _text(sysfs / node.name / "index", "0") == "0"),
        key=lambda node: int(node.name[5:]),
    )


def _v4l2(node: Path, sysfs: Path) -> Device:
    name = _text(sysfs / node.name / "name", "camera")
    return Device(f"webcam:{node.name[5:]}", "camera", f"{name} ({node})")


def _text(path: Path, otherwise: str) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return otherwise


def _named_cameras(system: str) -> list[Any]:
    from av.device import enumerate_input_devices

    return [found for found in enumerate_input_devices(system) if "video" in found.media_types]


def reason(error: BaseException) -> str:
    """Why, in a few words, without FFmpeg's numbers."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
