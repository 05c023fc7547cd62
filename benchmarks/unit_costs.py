"""Bytes of what a participant sends and what processing stores: the sizes in `unit_costs.py`.

    python benchmarks/unit_costs.py RECORDING [RECORDING …] [--members 10] [--minutes 10] [--json]

The recordings are captured as a replay captures them, and their windows are encoded as they are on
the topics, keys and headers included. The sizes of windows are means over the whole windows of all
recordings; those of states are of a session of `--members` that has lasted `--minutes`, with the
words and speech of the recordings in its records.
"""

import argparse
import json
import statistics
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from streamer import capture
from streamer.config import Config, build
from streamer.kafka.topics import SCORES, SESSION_SMOOTHED, SMOOTHED, WINDOWS
from streamer.policy import own_policy
from streamer.processing.stored import StoredState
from streamer.records import (
    MODALITIES,
    Gate,
    Score,
    Sentiment,
    SessionSentiment,
    SpeechSpan,
    Spoken,
    SpokenWord,
    Window,
    wall_clock,
    window_id,
)
from streamer.session.participant import Pipeline
from streamer.session.plan import make_plan
from streamer.smoothing.participant import step
from streamer.smoothing.session import session_step

Moved = TypeVar("Moved", SpeechSpan, SpokenWord)


def main() -> None:
    """Read the command line and print one size a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    windows = [window for path in options.recordings for window in windows_of(path, Config())]
    pcm16 = build({"windows": {"audio_codec": "pcm16"}})
    whole = [window for window in windows if length_s(window) == 5.0]
    found = {**window_sizes(whole), "pcm16_bytes_per_s": audio_rate(options.recordings, pcm16)}
    found |= record_sizes(windows, options.members, options.minutes * 60)
    for name, value in found.items():
        row = {"size": name, "bytes": round(value)}
        print(json.dumps(row) if options.json else f"{name:<28} {value:>12,.0f}")


def windows_of(recording: Path, config: Config) -> list[Window]:
    """Return the windows of a recording."""
    spec = capture.parse_participant(f"bench={recording}")
    plan = make_plan([spec], config, speed=0.0, session_id="bench")
    return list(Pipeline(plan, spec, config).windows(threading.Event()))


def audio_rate(recordings: Sequence[Path], config: Config) -> float:
    """Return the bytes of one second of sound in the windows of recordings."""
    wordless = config.model_copy(
        update={"asr": config.asr.model_copy(update={"engine": "none"})},
    )
    windows = [window for path in recordings for window in windows_of(path, wordless)]
    return window_sizes(windows)["flac_bytes_per_s"]


def length_s(window: Window) -> float:
    """Return a window's length in seconds."""
    return (window.end_ns - window.start_ns) / 1e9


def window_sizes(windows: Sequence[Window]) -> dict[str, float]:
    """Return the mean sizes of the parts of windows."""
    heard = [window for window in windows if window.audio is not None]
    crops = [len(face.jpeg) for window in windows for face in window.faces]
    bare = [
        WINDOWS.encode(msgspec.structs.replace(window, audio=None, faces=())).size
        for window in windows
    ]
    seconds = sum(map(length_s, heard))
    return {
        "window": mean(WINDOWS.encode(window).size for window in windows),
        "flac_bytes_per_s": sum(len(window.audio or b"") for window in heard) / (seconds or 1.0),
        "crop": mean(crops),
        "words_and_all_else": mean(bare),
    }


def record_sizes(windows: Sequence[Window], members: int, count: int) -> dict[str, float]:
    """Return the mean sizes of what inference and processing write of a session."""
    config = Config()
    policy = own_policy(config)
    people = [f"participant-{number}" for number in range(members)]
    states: dict[str, Any] = dict.fromkeys(people)
    session = None
    sizes: dict[str, list[int]] = {}

    def note(name: str, size: int) -> None:
        sizes.setdefault(name, []).append(size)

    for index in range(count):
        for number, person in enumerate(people):
            score = as_score(windows[(index + number) % len(windows)], person, index, members)
            note("score", SCORES.encode(score).size)
            states[person], outputs = step(states[person], score, config.smoothing, config.alerts)
            note("participant_state", stored_bytes(states[person]))
            for sentiment in outputs:
                if isinstance(sentiment, Sentiment):
                    note("sentiment", SMOOTHED.encode(sentiment).size)
                    session, meeting = session_step(
                        session, sentiment, config.smoothing, config.alerts, policy
                    )
                    note("session_state", stored_bytes(session))
                    for record in meeting:
                        if isinstance(record, SessionSentiment):
                            note("session_sentiment", SESSION_SMOOTHED.encode(record).size)
    return {name: mean(values[len(values) // 2 :]) for name, values in sizes.items()}


def as_score(window: Window, person: str, index: int, members: int) -> Score:
    """Return the score that a window may get, with the window's words."""
    return Score(
        session_id="standup-20260503T090000Z-0a1b",
        participant_id=person,
        window_id=window_id("standup-20260503T090000Z-0a1b", person, index),
        window_index=index,
        session_start=wall_clock(window.session_start_unix_ns, 0),
        start_ms=max(0, index - 4) * 1000,
        end_ms=(index + 1) * 1000,
        valence=0.123456789 * (index % 7),
        class_probabilities=(
            0.0312345,
            0.0412345,
            0.0512345,
            0.5712345,
            0.2012345,
            0.08,
            0.0238275,
        ),
        gate=Gate(val=0.4312345, cls=0.5123456),
        presence=window.presence,
        evidence=tuple(name for name in MODALITIES if getattr(window.presence, name) > 0),
        text=window.text,
        session_participants=members,
        latency_ms={"capture": 123.456, "queue": 12.345, "inference": 98.765},
        model="semi-iin-embedded-5",
        spoken=moved(window.spoken, (index - window.window_index) * 1000),
    )


def moved(spoken: Spoken | None, by_ms: int) -> Spoken | None:
    """Return what is spoken at another time of the session."""
    if spoken is None:
        return None

    def at_another_time(item: Moved) -> Moved:
        start_ms = max(0, item.start_ms + by_ms)
        length_ms = item.end_ms - item.start_ms
        return msgspec.structs.replace(item, start_ms=start_ms, end_ms=start_ms + length_ms)

    return Spoken(
        tuple(map(at_another_time, spoken.speech)), tuple(map(at_another_time, spoken.words))
    )


def stored_bytes(state: Any) -> int:
    """Return the bytes of a state in its changelog."""
    return len(msgspec.msgpack.encode(StoredState(state, 0, 1_700_000_000_000)))


def mean(values: Iterable[float]) -> float:
    """Return the mean; 0 without values."""
    found = list(values)
    return statistics.mean(found) if found else 0.0


if __name__ == "__main__":
    main()
