"""Whether memory, files and threads stay constant in long sessions, and whether anything is lost.

    python benchmarks/soak.py [--hours 2] [--participants 10] [--broker embedded|HOST:PORT] [--json]
    python benchmarks/soak.py RECORDING [RECORDING …] --minutes 20 [--participants 10]

The first form sends the windows of so many hours as fast as the stages take them: through
inference with a stand-in model, processing, the recorder and the page, each a process of its own,
with one page open. At most IN_FLIGHT windows of participants, and BEHIND windows of the meeting,
are sent and not yet published. The embedded broker gives one record of a partition at a time, which
limits the rate at which a meeting is smoothed; Apache Kafka (`streamer broker --kafka`) does not.
The second form is `load.py --talk turns` for so many minutes of real time.

Printed for each process: resident memory after the first tenth and the most after it, their ratio;
files and threads, the fewest in the first and in the second half of what follows the first tenth,
and the most. (A file that is open while it is written is no leak.) The exit code is 1 if memory
grew by more than 10 %, the fewest files or threads became more, or a window is missing. CPU is in
milliseconds a window, the start of the processes included. It reads /proc, so it needs Linux.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import numpy as np
import torch

from semi_iin.clips import Clip
from semi_iin.predict import Prediction
from streamer import metrics
from streamer.capacity.live_load import Load, cpu_s, measure, memory_mb
from streamer.config import Config, build, load
from streamer.inference import worker
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.probe import answers
from streamer.kafka.producer import Producer
from streamer.kafka.topics import DEAD_LETTER, SESSION_SMOOTHED, SMOOTHED
from streamer.local.run import reachable_broker
from streamer.recording.reader import Recordings
from streamer.recording.recorded import RecordingError
from streamer.records import (
    MODALITIES,
    NS_PER_S,
    SAMPLE_RATE_HZ,
    DeadLetter,
    Participant,
    Presence,
    Sentiment,
    Session,
    SessionSentiment,
    SpeechSpan,
    Spoken,
    SpokenWord,
    Window,
    Word,
)

SESSION = "soak"
START = datetime(2026, 1, 1, tzinfo=UTC)
IN_FLIGHT = 60
BEHIND = 30
SAMPLE_S = 0.5
PATIENCE_S = 600.0
GROWTH = 1.1
TONE = (np.sin(np.arange(SAMPLE_RATE_HZ) / 20) * 9000).astype("<i2").tobytes()


@dataclass(frozen=True)
class Sample:
    """A process at one moment; `progress` goes from 0 to 1."""

    stage: str
    progress: float
    memory_mb: int
    files: int
    threads: int


@dataclass(frozen=True)
class Verdict:
    """A process after the first tenth."""

    stage: str
    memory_mb: int
    most_mb: int
    ratio: float
    files: tuple[int, int, int]
    threads: tuple[int, int, int]

    @property
    def constant(self) -> bool:
        """Whether memory, files and threads stayed as they were."""
        leaks = any(after > before for before, after, _ in (self.files, self.threads))
        return not leaks and self.ratio <= GROWTH


def verdicts(samples: Sequence[Sample]) -> list[Verdict]:
    """Return one verdict for each process."""
    found = []
    for stage in dict.fromkeys(sample.stage for sample in samples):
        after = [each for each in samples if each.stage == stage and each.progress >= 0.1]
        if not after:
            continue
        most = max(each.memory_mb for each in after)
        found.append(
            Verdict(
                stage,
                after[0].memory_mb,
                most,
                round(most / after[0].memory_mb, 3),
                _by_half([each.files for each in after]),
                _by_half([each.threads for each in after]),
            )
        )
    return found


def _by_half(counts: Sequence[int]) -> tuple[int, int, int]:
    """Return the fewest of the first half, of the second half, and the most."""
    half = len(counts) // 2
    return min(counts[: half + 1]), min(counts[half:]), max(counts)


def take_samples(pids: Mapping[str, int], progress: float) -> Iterator[Sample]:
    """Yield a sample of each process that runs."""
    for stage, pid in pids.items():
        with contextlib.suppress(OSError):
            files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
            resident = memory_mb(pid)
            if resident is not None:
                yield Sample(stage, progress, resident, files, threads)


# --- as fast as the stages go --------------------------------------------------------------------


@dataclass
class StandIn:
    """A model's methods without its weights: valence from the loudness and the words."""

    name: str = "stand-in"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def predict(self, clips: Sequence[Clip]) -> list[Prediction]:
        """Return one prediction for each clip."""
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Prediction:
        loudness = 0.0 if clip.audio is None else float(np.abs(clip.audio).mean())
        return Prediction(
            valence=min(3.0, loudness + len(clip.text or "") / 100),
            class_probabilities=(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
            valence_gate=0.5,
            class_gate=0.5,
            modalities=("audio", "text"),
        )


def score_windows(overrides: Sequence[str]) -> None:
    """Work as `streamer infer` does, with the stand-in; until SIGTERM."""
    from streamer.cli.terminal import until_signal

    config = load(None, overrides)
    until_signal(
        lambda stop: metrics.watched(
            config, "inference", worker.run(config, stop, load=lambda _: StandIn()), answers
        )
    )


def window(person: str, index: int, last: int, crowd: int) -> Window:
    """Return a window of one second with sound and two words."""
    start_ns, start_ms = index * NS_PER_S, index * 1000
    said = [(f"word-{index}", 100, 400), ("good", 500, 900)]
    return Window(
        session_id=SESSION,
        participant_id=person,
        window_index=index,
        session_start_unix_ns=int(START.timestamp()) * NS_PER_S,
        start_ns=start_ns,
        end_ns=start_ns + NS_PER_S,
        audio=TONE,
        words=tuple(
            Word(text, start_ns + begin * 1_000_000, start_ns + end * 1_000_000)
            for text, begin, end in said
        ),
        presence=Presence(audio=0.8, text=1.0),
        final=index == last,
        session_participants=crowd,
        spoken=Spoken(
            (SpeechSpan(start_ms + 100, start_ms + 900),),
            tuple(SpokenWord(text, start_ms + begin, start_ms + end) for text, begin, end in said),
        ),
    )


def session(people: Sequence[str], state: str) -> Session:
    """Return the session's record."""
    return Session(
        session_id=SESSION,
        state="ended" if state == "ended" else "started",
        started_at=START,
        live=True,
        consent="generated participants of a measurement",
        modalities=MODALITIES,
        participants=tuple(Participant(person, ("stand-in",)) for person in people),
        asr="none",
        publish="participant",
        min_participants=1,
    )


class Published:
    """The windows that are out, of participants and of the meeting, and the dead letters."""

    def __init__(self) -> None:
        self.windows: set[str] = set()
        self.meetings: set[str] = set()
        self.dead_letters = 0
        self._news = asyncio.Event()

    async def follow(self, config: Config) -> None:
        """Read until cancelled."""
        async with (
            Consumer(config, SMOOTHED) as smoothed,
            Consumer(config, SESSION_SMOOTHED) as meetings,
            Consumer(config, DEAD_LETTER) as letters,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._read(smoothed, self.windows))
            tasks.create_task(self._read(meetings, self.meetings))
            tasks.create_task(self._count(letters))

    async def at_least(self, windows: int, meetings: int) -> None:
        """Wait until so many windows are out, of participants and of the meeting.

        Raises:
            SystemExit: none came for PATIENCE_S.
        """
        while len(self.windows) < windows or len(self.meetings) < meetings:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), PATIENCE_S)
            except TimeoutError:
                sys.exit(f"{len(self.windows)} windows came, and none for {PATIENCE_S:g} s.")

    async def _read(
        self, reader: Consumer[Sentiment] | Consumer[SessionSentiment], seen: set[str]
    ) -> None:
        while True:
            for received in await reader.batch(500, 100):
                seen.add(received.record.window_id)
                self._news.set()

    async def _count(self, letters: Consumer[DeadLetter]) -> None:
        while True:
            self.dead_letters += len(await letters.batch(500, 500))


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def started(commands: Mapping[str, Sequence[str]], logs: Path) -> Iterator[dict[str, int]]:
    """Run processes; yield their ids, and end them after the block."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, words in commands.items():
            with (logs / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(words, stdout=log, stderr=log)
        yield {name: process.pid for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(60)


def settings_of(config: Config) -> list[str]:
    """Return the settings that the processes of a run share."""
    return [
        f"kafka.broker={json.dumps(config.kafka.broker)}",
        f"kafka.topic_prefix={json.dumps(config.kafka.topic_prefix)}",
        f"inference.consumer_group={json.dumps(config.inference.consumer_group)}",
        "metrics.enabled=false",
    ]


def stages(config: Config, folder: Path, page_port: int) -> dict[str, list[str]]:
    """Return the command of each process."""
    streamer = [sys.executable, "-P", "-m", "streamer"]
    overrides = settings_of(config)
    broker = [word for override in overrides for word in ("--set", override)]
    stand_in = [sys.executable, __file__, "--stand-in", *overrides]
    page = ["dashboard", "--port", str(page_port), "--dir", str(folder / "none")]
    return {
        "inference": stand_in,
        "processing": [*streamer, "process", *broker],
        "recorder": [*streamer, "record", "--dir", str(folder / "recordings"), *broker],
        "page": [*streamer, *page, *broker],
    }


async def look(port: int) -> None:
    """Keep a page open, as a browser does, until cancelled."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as client:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                url = f"http://127.0.0.1:{port}/api/events?session={SESSION}"
                async with client.get(url) as response:
                    async for _ in response.content.iter_any():
                        pass
            await asyncio.sleep(0.2)


async def send(config: Config, people: Sequence[str], count: int, published: Published) -> None:
    """Send all windows, at most IN_FLIGHT of them ahead of what is published."""
    async with Producer(config) as producer:
        await producer.publish(session(people, "started"))
        sent = 0
        for index in range(count):
            for person in people:
                await published.at_least(sent - IN_FLIGHT, index - BEHIND)
                await producer.publish_soon(window(person, index, count - 1, len(people)))
                sent += 1
        await published.at_least(sent, count)
        await producer.publish(session(people, "ended"))


async def recorded(folder: Path, count: int) -> int:
    """Wait until the recording is whole, and return how many windows it has."""
    windows = 0
    for _ in range(int(PATIENCE_S)):
        with contextlib.suppress(RecordingError):
            windows = len(Recordings(folder).read(SESSION).sentiments)
            if windows >= count:
                return windows
        await asyncio.sleep(1.0)
    return windows


@contextlib.asynccontextmanager
async def background(*work: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """Run coroutines beside the block, and cancel them after it; a failure ends the block."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each()) for each in work]
        yield
        for task in running:
            task.cancel()


async def fast(options: argparse.Namespace) -> tuple[list[Sample], dict[str, object]]:
    """Send the windows of a session as fast as they go; return samples and counts."""
    people = [f"p{number + 1}" for number in range(options.participants)]
    count = round(options.hours * 3600)
    whole = count * len(people)
    published, samples = Published(), list[Sample]()
    own = f"soak-{uuid.uuid4().hex[:8]}"  # topics and groups of this run alone
    settings = build(
        {
            "kafka": {"broker": options.broker, "topic_prefix": own},
            "inference": {"consumer_group": own},
            "metrics": {"enabled": False},
        }
    )
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder, port = Path(name), free_port()
        (folder / "recordings").mkdir()
        async with reachable_broker(settings) as config:
            await ensure_topics(config)
            with started(stages(config, folder, port), folder) as pids:

                async def sample() -> None:
                    while True:
                        taken = list(take_samples(pids, len(published.windows) / whole))
                        for stage in pids.keys() - {each.stage for each in taken}:
                            log = (folder / f"{stage}.log").read_text().strip()
                            sys.exit(f"{stage} ended: {log.splitlines()[-1:]}")
                        samples.extend(taken)
                        await asyncio.sleep(SAMPLE_S)

                begun_s = time.monotonic()
                async with background(lambda: published.follow(config), lambda: look(port), sample):
                    await send(config, people, count, published)
                    length_s = time.monotonic() - begun_s
                    used_s = {stage: cpu_s(pid) for stage, pid in pids.items()}
                    on_disk = await recorded(folder / "recordings", whole)
    return samples, {
        "windows": whole,
        "published": len(published.windows),
        "meeting_windows": len(published.meetings),
        "recorded": on_disk,
        "dead_letters": published.dead_letters,
        "windows_per_s": round(whole / length_s, 1),
        "cpu_ms_per_window": {
            stage: round(seconds * 1000 / whole, 2) for stage, seconds in used_s.items()
        },
        "whole": len(published.windows) == on_disk == whole
        and len(published.meetings) == count
        and not published.dead_letters,
    }


# --- in real time --------------------------------------------------------------------------------


def real_time(options: argparse.Namespace) -> tuple[list[Sample], dict[str, object]]:
    """Run live participants for some minutes; return samples and figures."""
    samples = list[Sample]()
    seconds = options.minutes * 60
    begun_s = [0.0]

    def watch(pids: Mapping[str, int]) -> None:
        now_s = time.monotonic()
        begun_s[0] = begun_s[0] or now_s
        samples.extend(take_samples(pids, (now_s - begun_s[0]) / seconds))

    arguments = ("--broker", options.broker)
    figures = measure(
        Load(options.recordings, options.participants, seconds=seconds, arguments=arguments), watch
    )
    return samples, {**asdict(figures), "whole": figures.keeps_up}


def main() -> None:
    """Read the command line; print the verdicts and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="*")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--participants", type=int, default=10)
    parser.add_argument("--broker", default="embedded")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stand-in", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stand_in:
        score_windows(options.stand_in)
        return
    if options.minutes and not options.recordings:
        parser.error("--minutes needs a RECORDING")
    samples, counts = real_time(options) if options.minutes else asyncio.run(fast(options))
    found = verdicts(samples)
    for verdict in found:
        print(json.dumps(asdict(verdict)) if options.json else _line(verdict))
    print(json.dumps(counts) if options.json else counts)
    sys.exit(0 if counts["whole"] and all(each.constant for each in found) else 1)


def _line(verdict: Verdict) -> str:
    mark = "" if verdict.constant else "  not constant"
    files, threads = ("/".join(map(str, counts)) for counts in (verdict.files, verdict.threads))
    return (
        f"{verdict.stage:<12} {verdict.memory_mb:>6} MB, most {verdict.most_mb:>6} MB, "
        f"x{verdict.ratio:.3f}, files {files}, threads {threads}{mark}"
    )


if __name__ == "__main__":
    main()
