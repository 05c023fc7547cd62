"""A meeting that the project makes itself: two people, one minute, differing moods.

What leaves: one MP4 per participant (a drawn, talking face and synthetic speech) with a WebVTT
beside it. Ana presents and is pleased throughout; Bo begins well and turns sour, so that the
trend and the alerts have something to show. Speech comes from espeak-ng.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from streamer.demo.synthetic import draw_face
from streamer.errors import SourceError

LENGTH_S = 60.0
FRAME_RATE_HZ = 10
FRAME_SIZE = (320, 240)
SOUND_RATE_HZ = 22_050
PAUSE_S = 0.2
FORMAT_VERSION = 1
"""Raise when the recordings would come out different, so that old ones are made anew."""


@dataclass(frozen=True)
class Line:
    """Something said: when (seconds), with which face (-1 sad to 1 happy), and the words."""

    start_s: float
    mood: float
    text: str


@dataclass(frozen=True)
class Role:
    """One participant: an espeak-ng voice, its pitch (0 to 99), and what it says."""

    voice: str
    pitch: int
    lines: tuple[Line, ...]


ROLES: dict[str, Role] = {
    "ana": Role(
        voice="en-us+f3",
        pitch=60,
        lines=(
            Line(0.5, 0.8, "Good morning everyone, it is wonderful to see you all here."),
            Line(8.0, 0.9, "The launch went really well, our customers love the new design."),
            Line(17.0, 0.6, "I think the numbers for this quarter look great."),
            Line(27.0, 0.7, "The team did an amazing job, thank you so much for the hard work."),
            Line(38.0, 0.2, "Let us look at the schedule for the next release."),
            Line(47.0, 0.8, "I am happy with the plan, this is going to be excellent."),
            Line(54.5, 0.9, "Thanks a lot, that was a fantastic meeting."),
        ),
    ),
    "bo": Role(
        voice="en-us+m3",
        pitch=40,
        lines=(
            Line(4.5, 0.6, "Good morning, nice to be here."),
            Line(12.8, 0.3, "Yes, I like the new design too."),
            Line(21.5, -0.3, "I am a bit worried about the support tickets though."),
            Line(31.8, -0.7, "The update was terrible, it crashed all the time."),
            Line(35.5, -0.8, "Honestly I am very disappointed with the quality."),
            Line(41.5, -0.9, "This is the worst release we ever had, people hate it."),
            Line(51.0, -0.8, "I am frustrated, nobody listens, it is a horrible mess."),
        ),
    ),
}


def meeting(folder: Path | None = None, length_s: float = LENGTH_S) -> dict[str, Path]:
    """Make the meeting's recordings, or find those made before.

    Args:
        folder: where to put them; by default a folder of the user's cache.
        length_s: how much of the meeting, in seconds; what begins later is left out.

    Returns:
        The MP4 of each participant, by name.

    Raises:
        SourceError: espeak-ng is not installed, or the folder cannot be written.
    """
    identity = sha256(f"{FORMAT_VERSION} {length_s} {ROLES}".encode()).hexdigest()[:12]
    home = folder or _cache() / f"demo-{identity}"
    recordings = {name: home / f"{name}.mp4" for name in ROLES}
    if not all(path.exists() for path in recordings.values()):
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=home.parent, prefix="making-") as made:
                for name, role in ROLES.items():
                    _record(role, Path(made) / name, length_s)
                home.mkdir(exist_ok=True)
                for path in Path(made).iterdir():
                    path.replace(home / path.name)
        except OSError as error:
            raise SourceError(f"The demo's recordings cannot be written: {error}.") from None
    return recordings


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamer"


def _record(role: Role, stem: Path, length_s: float) -> None:
    """Write `stem`.vtt and `stem`.mp4."""
    spoken: list[tuple[Line, float]] = []
    sound = np.zeros(round(length_s * SOUND_RATE_HZ), np.int16)
    free_s = 0.0
    for line in role.lines:
        samples = _speak(role, line.text)
        begun = replace(line, start_s=max(line.start_s, free_s))
        if begun.start_s >= length_s:
            break
        first = round(begun.start_s * SOUND_RATE_HZ)
        sound[first : first + len(samples)] = samples[: max(0, len(sound) - first)]
        end_s = min(begun.start_s + len(samples) / SOUND_RATE_HZ, length_s)
        spoken.append((begun, end_s))
        free_s = end_s + PAUSE_S
    stem.with_suffix(".vtt").write_text(_subtitles(spoken), "utf-8")
    _encode(spoken, sound, stem.with_suffix(".mp4"))


def _speak(role: Role, text: str) -> NDArray[np.int16]:
    """Speech of `text`: (n,) int16 mono at SOUND_RATE_HZ."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise SourceError(
            "The demo speaks with espeak-ng, which is not installed; install it with "
            "`apt-get install espeak-ng` (or your system's like)."
        )
    command = [program, "-v", role.voice, "-p", str(role.pitch), "-s", "165", "--stdout", text]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(BytesIO(output)) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, SOUND_RATE_HZ)
        data = file.readframes(len(output))
    return np.frombuffer(data, np.int16)


def _subtitles(spoken: list[tuple[Line, float]]) -> str:
    cues = [f"{_stamp(line.start_s)} --> {_stamp(end_s)}\n{line.text}\n" for line, end_s in spoken]
    return "\n".join(["WEBVTT\n", *cues])


def _stamp(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"00:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _encode(spoken: list[tuple[Line, float]], sound: NDArray[np.int16], path: Path) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FRAME_RATE_HZ)
        video.width, video.height = FRAME_SIZE
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "veryfast", "crf": "28"}
        audio = container.add_stream("aac", rate=SOUND_RATE_HZ, layout="mono")
        for index in range(len(sound) * FRAME_RATE_HZ // SOUND_RATE_HZ):
            t = index / FRAME_RATE_HZ
            mood, talking = _expression(spoken, t)
            picture = draw_face(mood, t, size=FRAME_SIZE, talking=talking)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE_HZ)
            container.mux(video.encode(frame))
            first = round(t * SOUND_RATE_HZ)
            piece = sound[first : round((t + 1 / FRAME_RATE_HZ) * SOUND_RATE_HZ)]
            samples = av.AudioFrame.from_ndarray(piece[None], format="s16", layout="mono")
            samples.rate, samples.pts = SOUND_RATE_HZ, first
            container.mux(audio.encode(samples))
        container.mux(video.encode())
        container.mux(audio.encode())


def _expression(spoken: list[tuple[Line, float]], t: float) -> tuple[float, bool]:
    """Mood and whether the mouth moves at `t` seconds: that of the last line begun."""
    mood, talking = 0.0, False
    for line, end_s in spoken:
        if line.start_s <= t:
            mood, talking = line.mood, t < end_s
    return mood, talking
