"""Recordings of several people as programs write them, made with synthetic voices; and the truth.

    python -m tests.made_recordings FOLDER

writes

    2026-01-05 09.00.00 Plan/                     Zoom: a sound for each person, a cloud recording
      Audio Record/audioAnaBerg11234567890.m4a …
      GMT20260105-090000_Recording_160x120.mp4    everybody, and one face
      GMT20260105-090000_Recording.transcript.vtt
      truth.json
    Planning.mp4  Planning.vtt  Planning.truth.json   Teams
    call.wav  call.truth.json                         a person on each channel
    room.wav  room.truth.json                         three people before one microphone

Each truth holds who speaks from when to when. All voices are of espeak-ng, so the truth is exact.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.records import SAMPLE_RATE_HZ
from tests import media

Sound = NDArray[np.float32]

VOICES = {"Ana Berg": "en-us+f3", "Bo Li": "en-us+m3", "Cy Orr": "en-gb-scotland+m7"}
PEOPLE = tuple(VOICES)
LINES = (
    ("Ana Berg", "Good morning everyone and welcome to the planning of the next release."),
    ("Bo Li", "I have looked at the open tickets and most of them are small ones."),
    ("Cy Orr", "The new design will be ready when our colleagues return from their holiday."),
    ("Bo Li", "Then we should begin with the tests and look at the design next week."),
    ("Ana Berg", "That sounds like a good plan and I will write it down for everybody."),
    ("Cy Orr", "Please tell me as soon as the first test machine can be used by us."),
)
PAUSES_S = (0.6, 0.9, 0.7, 1.1)
AT_ONCE_S = -0.7
"""The pause before a line that begins while the one before it lasts."""
LOUD = 0.03
"""Of the loudest sample; what lies before and behind the louder ones is silence."""
NOISE = 3e-4


@dataclass(frozen=True)
class Turn:
    """`speaker` speaks in `[start_s, end_s)` of a recording."""

    speaker: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Made:
    """What a replay is given, and the truth about it."""

    path: Path
    turns: tuple[Turn, ...]

    @property
    def talk_s(self) -> dict[str, float]:
        """How long each person speaks, in the order of their first turns."""
        people = dict.fromkeys(turn.speaker for turn in self.turns)
        return {
            who: sum(turn.end_s - turn.start_s for turn in self.turns if turn.speaker == who)
            for who in people
        }


def make(folder: Path) -> dict[str, Made]:
    """Write all of the recordings; return them as `zoom`, `cloud`, `teams`, `call` and `room`."""
    folder.mkdir(parents=True, exist_ok=True)
    zoom, cloud = _zoom(folder / "2026-01-05 09.00.00 Plan")
    return {
        "zoom": zoom,
        "cloud": cloud,
        "teams": _teams(folder / "Planning.mp4"),
        "call": _call(folder / "call.wav"),
        "room": _room(folder / "room.wav"),
    }


def spoken(voice: str, text: str) -> Sound:
    """Return synthetic speech at SAMPLE_RATE_HZ, without the silence around it."""
    command = ["espeak-ng", "-v", voice, "-s", "150", "--stdout", text]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(output)) as file:
        rate_hz, data = file.getframerate(), file.readframes(len(output))
    read = np.frombuffer(data, "<i2") / 32_768
    at = np.arange(0, len(read) / rate_hz, 1 / SAMPLE_RATE_HZ)
    return _speech(np.interp(at, np.arange(len(read)) / rate_hz, read).astype(np.float32))


def _speech(sound: Sound) -> Sound:
    loud = np.flatnonzero(np.abs(sound) > LOUD * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1]


# --- who says what, on a track each -------------------------------------------------------------


def _conversation(
    said: Sequence[tuple[str, Sound]], *, at_once: int | None = None
) -> tuple[dict[str, Sound], tuple[Turn, ...]]:
    """Return each person's track, all of one length, and the turns.

    The line of number `at_once` begins before the one before it has ended.
    """
    turns, at_s = [], 0.0
    for number, (who, sound) in enumerate(said):
        at_s += AT_ONCE_S if number == at_once else PAUSES_S[number % len(PAUSES_S)]
        turns.append(Turn(who, at_s, at_s + len(sound) / SAMPLE_RATE_HZ))
        at_s = turns[-1].end_s
    length = round((at_s + 1.0) * SAMPLE_RATE_HZ)
    tracks = {turn.speaker: np.zeros(length, np.float32) for turn in turns}
    for turn, (_, sound) in zip(turns, said, strict=True):
        first = round(turn.start_s * SAMPLE_RATE_HZ)
        tracks[turn.speaker][first : first + len(sound)] = sound
    return tracks, tuple(turns)


def _said(lines: Sequence[tuple[str, str]]) -> list[tuple[str, Sound]]:
    return [(who, spoken(VOICES[who], text)) for who, text in lines]


def _mixed(tracks: Mapping[str, Sound]) -> Sound:
    return np.asarray(np.stack(list(tracks.values())).sum(axis=0).clip(-1, 1), np.float32)


def _audio(*channels: Sound, codec: str = "pcm_s16le") -> media.Audio:
    """A track of one or two channels."""
    together = np.stack(channels, axis=1)
    last = len(together) - 1

    def at(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        numbers = np.rint(seconds * SAMPLE_RATE_HZ).astype(int).clip(max=last)
        return np.asarray(together[numbers], np.float64)

    layout = "mono" if len(channels) == 1 else "stereo"
    seconds = len(together) / SAMPLE_RATE_HZ
    return media.Audio(seconds=seconds, layout=layout, codec=codec, wave=at)


def _face(seconds: float) -> media.Video:
    return media.Video(seconds=seconds, rate=5, draw=media.face(size=(160, 120)))


def _true(path: Path, recording: Path, turns: Sequence[Turn]) -> Made:
    """Write the truth about a recording."""
    rows = [{"speaker": t.speaker, "start_s": t.start_s, "end_s": t.end_s} for t in turns]
    path.write_text(json.dumps({"turns": rows}, indent=1), "utf-8")
    return Made(recording, tuple(turns))


# --- the recordings -----------------------------------------------------------------------------


def _zoom(folder: Path) -> tuple[Made, Made]:
    """The folder as a whole, and the cloud recording in it; one line begins too early."""
    (folder / "Audio Record").mkdir(parents=True, exist_ok=True)
    tracks, turns = _conversation(_said(LINES), at_once=3)
    for number, (who, track) in enumerate(tracks.items()):
        name = f"audio{who.replace(' ', '')}{number + 1}1234567890.m4a"
        media.write(folder / "Audio Record" / name, _audio(track, codec="aac"))
    mixed = _audio(_mixed(tracks), codec="aac")
    cloud = folder / "GMT20260105-090000_Recording_160x120.mp4"
    media.write(cloud, mixed, _face(mixed.seconds))
    cues = (f"{cue}{turn.speaker}: {text}\n" for cue, turn, text in _cues(turns))
    transcript = folder / "GMT20260105-090000_Recording.transcript.vtt"
    transcript.write_text("\n".join(["WEBVTT\n", *cues]), "utf-8")
    truth = folder / "truth.json"
    return _true(truth, folder, turns), _true(truth, cloud, turns)


def _teams(path: Path) -> Made:
    tracks, turns = _conversation(_said(LINES))
    mixed = _audio(_mixed(tracks), codec="aac")
    media.write(path, mixed, _face(mixed.seconds))
    cues = (f"{cue}<v {turn.speaker}>{text}</v>\n" for cue, turn, text in _cues(turns, TEAMS_ID))
    path.with_suffix(".vtt").write_text("\n".join(["WEBVTT\n", *cues]), "utf-8")
    return _true(path.with_suffix(".truth.json"), path, turns)


TEAMS_ID = "3f1c2b9a-5d1e-4a3b-9c0d-1234567890ab/{}-0"


def _cues(turns: Sequence[Turn], name: str = "{}") -> Iterator[tuple[str, Turn, str]]:
    for number, (turn, (_, text)) in enumerate(zip(turns, LINES, strict=True), 1):
        times = f"{_clock(turn.start_s)} --> {_clock(turn.end_s)}"
        yield f"{name.format(number)}\n{times}\n", turn, text


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"00:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _call(path: Path) -> Made:
    """A call of two people, who speak at once for a moment."""
    people = PEOPLE[:2]
    tracks, turns = _conversation(_said([line for line in LINES if line[0] in people]), at_once=3)
    media.write(path, _audio(*(tracks[who] for who in people)))
    return _true(path.with_suffix(".truth.json"), path, turns)


def _room(path: Path) -> Made:
    """Three people before one microphone, in turn."""
    tracks, turns = _conversation(_said(LINES))
    mixed = _mixed(tracks)
    noise = np.random.default_rng(0).normal(0, NOISE, len(mixed)).astype(np.float32)
    media.write(path, _audio(mixed + noise))
    return _true(path.with_suffix(".truth.json"), path, turns)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    for name, made in make(parser.parse_args().folder).items():
        print(f"{name}: {made.path}")


if __name__ == "__main__":
    main()
