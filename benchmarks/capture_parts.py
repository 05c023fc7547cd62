"""CPU seconds per second of the parts of capture, for one live participant.

    python benchmarks/capture_parts.py RECORDING … [--seconds 10] [--json]

The participant is one of ten of `load.py --talk turns`: silent for the first ten seconds, then one
who speaks. `source` is what sends the stream, in another process than capture. `reading` is opening
and decoding it. The other parts come after it. Words are not among them: `words.py` measures the
recogniser. CPU holds on a busy machine.
"""

import argparse
import contextlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import numpy as np

from streamer import audio
from streamer.capacity.senders import TURN_S, Recording, in_turn, send
from streamer.capture.files import ContainerReader, SelectedStreams
from streamer.capture.live import Feed, Tracks
from streamer.capture.sources import Source
from streamer.config import Config
from streamer.faces import FaceTracker
from streamer.kafka.topics import WINDOWS
from streamer.records import NS_PER_S, AudioChunk, FaceCrop, VideoFrame, Window
from streamer.speech.activity import FRAME_SAMPLES, Silero
from streamer.windows import Windower

CONFIG = Config()
SOURCE = Source("url", "made")
PEOPLE = 10


class Sent(Exception):
    """The stream is long enough."""


def stream(recording: Recording, end_s: float) -> bytes:
    """Return so many seconds of the stream of one of several participants, without waiting."""

    def pace(due: Fraction) -> None:
        if due > end_s:
            raise Sent

    out = io.BytesIO()
    with contextlib.suppress(Sent):
        send(recording, out, in_turn(1, PEOPLE), pace)
    return out.getvalue()


def read(made: bytes, begin_s: float, end_s: float) -> Iterator[AudioChunk | VideoFrame]:
    """Yield what capture makes of a stream in `[begin_s, end_s)`; times count from `begin_s`."""
    feed = Feed(SOURCE, audio=True, video=True, frame_rate_hz=CONFIG.faces.rate_hz)
    tracks, begin_ns = Tracks(feed, Counter()), round(begin_s * NS_PER_S)
    with av.open(io.BytesIO(made), "r") as container:
        best = container.streams.best
        reader = ContainerReader(
            container,
            SelectedStreams(best("audio"), best("video")),
            "made",
            0,
            NS_PER_S,
            audio=tracks.audio,
            video=tracks.video,
            now=lambda: 0,
        )
        for chunk in reader.read_live():
            if not isinstance(chunk, AudioChunk | VideoFrame):
                continue
            if chunk.event_time_ns >= end_s * NS_PER_S:
                return
            at_ns = chunk.event_time_ns - begin_ns
            if at_ns >= 0 and isinstance(chunk, AudioChunk):
                yield AudioChunk(at_ns, chunk.samples)
            elif at_ns >= 0 and isinstance(chunk, VideoFrame):
                yield VideoFrame(at_ns, chunk.image)


def hear(voice: Silero, chunks: list[AudioChunk]) -> None:
    """Tell speech from silence, as a recogniser does, chunk by chunk."""
    rest = np.zeros(0, np.float32)
    for chunk in chunks:
        rest = np.concatenate([rest, chunk.samples])
        whole = len(rest) // FRAME_SAMPLES * FRAME_SAMPLES
        voice.probabilities(rest[:whole].reshape(-1, FRAME_SAMPLES))
        rest = rest[whole:]


def cut(chunks: list[AudioChunk], crops: list[tuple[FaceCrop | None, int]]) -> list[Window]:
    """Cut windows of sound and faces, encoded as they are sent."""
    windower = Windower("made", "p1", 0, {"audio", "vision"}, CONFIG.windows, CONFIG.faces.rate_hz)
    windows = [window for crop, at_ns in crops for window in windower.push_face(crop, at_ns)]
    for chunk in chunks:
        windows += windower.push_audio(chunk)
        windows += windower.push_speech([], chunk.end_ns)
    flac = [
        msgspec.structs.replace(
            window, audio=audio.encode_flac(audio.decode(window.audio, "pcm16")), audio_codec="flac"
        )
        for window in [*windows, *windower.finish()]
        if window.audio is not None
    ]
    for window in flac:
        WINDOWS.encode(window)
    return flac


def costs(recording: Path, begin_s: float, seconds: float) -> dict[str, float]:
    """Return the CPU seconds per second of every part."""
    repeated = Recording.load(recording)
    voice, tracker = Silero(), FaceTracker(CONFIG.faces)
    end_s = begin_s + seconds
    made = stream(repeated, end_s)
    chunks = list(read(made, begin_s, end_s))
    sounds = [chunk for chunk in chunks if isinstance(chunk, AudioChunk)]
    frames = [chunk for chunk in chunks if isinstance(chunk, VideoFrame)]
    hear(voice, sounds)  # once for what its first call costs
    crops = list[tuple[FaceCrop | None, int]]()
    parts: dict[str, tuple[float, Callable[[], object]]] = {
        "source": (end_s, lambda: stream(repeated, end_s)),
        "reading": (end_s, lambda: sum(1 for _ in read(made, 0, end_s))),
        "voice activity": (seconds, lambda: hear(voice, sounds)),
        "faces": (
            seconds,
            lambda: crops.extend((tracker.push(frame), frame.event_time_ns) for frame in frames),
        ),
        "windows": (seconds, lambda: cut(sounds, crops)),
    }
    found = {}
    for name, (length_s, work) in parts.items():
        begun_s = time.process_time()
        work()
        found[name] = round((time.process_time() - begun_s) / length_s, 4)
    return found


def main() -> None:
    """Read the command line and print one row for each recording and talk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for recording in options.recordings:
        for talk, begin_s in (("silent", 0.0), ("speaks", float(TURN_S))):
            row = {"recording": recording.name, "talk": talk}
            found = {**row, **costs(recording.absolute(), begin_s, options.seconds)}
            print(json.dumps(found) if options.json else found, flush=True)


if __name__ == "__main__":
    main()
