"""Speed from a file to published sentiment, as a multiple of real time.

    python benchmarks/end_to_end.py RECORDING [RECORDING …] [--seconds 120] [--rounds 2] [--json]

Each variant is `streamer replay … --broker embedded --speed 0 --json` in a process of its own,
which starts broker, inference and processing. Several recordings are several participants. With
`--seconds` each is repeated until it is so long, in a temporary folder, without encoding it again.

Printed are recorded seconds per second, medians over the rounds: `whole` from the command to its
end, with imports and the loading of models; `steady` from the first published record to the last;
`second half` between the records of the later half alone, when nothing is left of what capture had
ready before inference was. `cpu` is CPU seconds of all processes per recorded second, starts
included; it holds on a busy machine, the others need idle cores. The variants take turns.
"""

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from streamer import capture

VARIANTS: dict[str, list[str]] = {
    "as configured": [],
    "without recognition": ["asr.engine=none"],
    "text only": ['session.modalities=["text"]'],
    "audio only": ['session.modalities=["audio"]', "asr.engine=none"],
    "max_batch 1": ["inference.max_batch=1"],
    "PCM16": ["windows.audio_codec=pcm16"],
}


@dataclass(frozen=True)
class Arrival:
    """A participant's record: when it came, in seconds of any clock, and its window's end."""

    at_s: float
    participant_id: str
    end_ms: int


@dataclass(frozen=True)
class Rates:
    """Recorded seconds per second, and CPU seconds per recorded second."""

    whole: float
    steady: float
    second_half: float
    cpu: float


def rate(arrivals: Sequence[Arrival]) -> float:
    """Return recorded seconds, of all participants, per second from the first record to the last.

    A participant's recorded seconds are those between the ends of its first and its last window.
    NaN where all records came at once.
    """
    ends_ms: dict[str, list[int]] = {}
    for arrival in arrivals:
        ends_ms.setdefault(arrival.participant_id, []).append(arrival.end_ms)
    recorded_s = sum(max(ends) - min(ends) for ends in ends_ms.values()) / 1000
    times = [arrival.at_s for arrival in arrivals]
    spent_s = max(times, default=0.0) - min(times, default=0.0)
    return recorded_s / spent_s if spent_s else float("nan")


def later_half(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return the records whose windows end in the later half of the recording."""
    middle_ms = max((arrival.end_ms for arrival in arrivals), default=0) / 2
    return [arrival for arrival in arrivals if arrival.end_ms >= middle_ms]


def repeated(recording: Path, seconds: float, target: Path) -> None:
    """Write a recording again and again, as it is encoded, until it is at least `seconds` long."""
    at_s = 0.0
    with av.open(str(target), "w", format="matroska") as out:
        streams: dict[int, Any] = {}
        while at_s < seconds:
            at_s = _once_more(recording, at_s, out, streams)


def _once_more(recording: Path, at_s: float, out: Any, streams: dict[int, Any]) -> float:
    """Append a recording at `at_s`; return where it ends."""
    with av.open(str(recording)) as container:
        chosen = [*container.streams.video[:1], *container.streams.audio[:1]]
        for stream in chosen:
            if stream.index not in streams:
                streams[stream.index] = out.add_stream_from_template(stream)
        packets = [each for each in container.demux(chosen) if each.dts is not None]
        begin_s = min(float(each.pts * each.time_base) for each in packets)
        end_s = max(float((each.pts + (each.duration or 0)) * each.time_base) for each in packets)
        for packet in packets:
            shift = round((at_s - begin_s) / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    return at_s + end_s - begin_s


@contextlib.contextmanager
def of_length(recordings: Sequence[Path], seconds: float | None) -> Iterator[list[Path]]:
    """Yield the recordings, repeated to a length while the block runs."""
    with tempfile.TemporaryDirectory(prefix="end-to-end-") as folder:
        if seconds is None:
            yield list(recordings)
            return
        targets = [Path(folder) / f"{k}-{path.stem}.mkv" for k, path in enumerate(recordings)]
        for recording, target in zip(recordings, targets, strict=True):
            repeated(recording, seconds, target)
        yield targets


def replay(recordings: Sequence[Path], length_s: float, settings: Sequence[str]) -> Rates:
    """Replay at full speed, and return how quickly it went."""
    options = [part for setting in settings for part in ("--set", setting)]
    files = [str(recording) for recording in recordings]
    command = [sys.executable, "-P", "-m", "streamer", "replay", *files, *options]
    command += ["--broker", "embedded", "--speed", "0", "--json"]
    arrivals: list[Arrival] = []
    before_s, begun_s = _children_cpu_s(), time.monotonic()
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            record = json.loads(line)
            if "window_id" in record and "participant_id" in record:
                who, end_ms = record["participant_id"], record["end_ms"]
                arrivals.append(Arrival(time.monotonic(), who, end_ms))
        if process.wait():
            log.seek(0)
            raise SystemExit(f"{' '.join(command)} failed: {log.read().strip()[-400:]}")
    spent_s, cpu_s = time.monotonic() - begun_s, _children_cpu_s() - before_s
    return Rates(
        whole=length_s / spent_s,
        steady=rate(arrivals),
        second_half=rate(later_half(arrivals)),
        cpu=cpu_s / length_s,
    )


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(name: str, rounds: Sequence[Rates], first: Sequence[Rates]) -> dict[str, object]:
    """Return the medians of a variant, and how its steady rate compares to the first variant's."""
    medians = {
        key: round(statistics.median(getattr(each, key) for each in rounds), 3)
        for key in ("whole", "steady", "second_half", "cpu")
    }
    steady = statistics.median(each.steady for each in first)
    return {"variant": name, **medians, "ratio": round(medians["steady"] / steady, 2)}


def main() -> None:
    """Read the command line and print one row for each variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with of_length(options.recordings, options.seconds) as recordings:
        length_s = sum(
            capture.info(capture.parse_participant(f"bench={path}")).duration_s or 0.0
            for path in recordings
        )
        found: dict[str, list[Rates]] = {name: [] for name in options.only}
        for _ in range(options.rounds):
            for name, rounds in found.items():
                rounds.append(replay(recordings, length_s, VARIANTS[name]))
    if not options.json:
        print(f"From file to sentiment, {length_s:.1f} s in {len(recordings)} recordings")
    for name, rounds in found.items():
        figures = row(name, rounds, found[options.only[0]])
        print(json.dumps(figures) if options.json else _line(figures))


def _line(figures: dict[str, object]) -> str:
    rates = ", ".join(f"{key} {value}" for key, value in figures.items() if key != "variant")
    return f"{figures['variant']:<20} {rates}"


if __name__ == "__main__":
    main()
