"""How well speakers are told apart: diarization error, words with a wrong speaker, number, CPU.

    python benchmarks/speakers.py [--meetings FOLDER] [--ravdess FOLDER [--emotional]]
        [--crema-d FOLDER] [--seed N] [--conversations N] [--words] [--live] [--floor]

`--meetings` is a folder of recordings with who speaks when beside them (`.rttm`); of AMI it holds
the first 30 s of meetings, which are hard. `--ravdess` joins conversations of 3 or 4 actors of
RAVDESS, who say sentences in turn, with pauses and no overlap, in calm voices, or with
`--emotional` in all of its emotions; always the same ones for a `--seed`. `--crema-d` joins neutral
recordings of CREMA-D in the same way (not of the actors whose voices are reported elsewhere). The
diarization error rate counts missed speech, false alarms and speech of a wrong speaker, overlapped
speech included, as a share of all speech: at collar 0, and without 0.25 s on both sides of each
true boundary. `--words` also
recognises words, with the Whisper model on disk; a word is wrong if its speaker, matched to the
true ones, does not speak during it. CPU is process time per second of sound, without the words.
`--live` also labels each second as it comes, 0.5 to 1.5 s behind; then again, as a live session
does while it can change what is published; and all at the end, by the people as they are then.
`--floor` also prints the error that stays when each stretch's voices are given to the true people:
what is missed or a false alarm then is the segmentation's, and speech of a wrong speaker is of
voices that the segmentation takes for one. What is above it is the clustering's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from streamer import capture
from streamer.config import Config
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.session.relabelled import REACH_WINDOWS
from streamer.spans import SpeakerTurn
from streamer.speakers.clustering import Stretch, Turn, people, speaking, turns_of
from streamer.speakers.labels import Labels
from streamer.speakers.listening import (
    Ear,
    networks,
    stretches_as_they_come,
    stretches_of,
    time_ns,
)
from streamer.speakers.online import OnlineSpeakers
from streamer.speech.activity import Silero
from streamer.speech.attribution import Everybody
from streamer.speech.streaming import StreamingRecogniser
from streamer.speech.whisper import Whisper

SOUND_SUFFIXES = (".flac", ".wav")
RATE_HZ = 100
COLLAR_S = 0.25
MOST_SPEAKERS = 8
CONVERSATIONS, TURNS = 4, 16
CALM, ALL = ("01", "02"), tuple(f"{n:02d}" for n in range(1, 9))
"""RAVDESS's emotions: neutral and calm, and all eight."""
NOISE = 3e-4

Actors = Mapping[str, Sequence[Path]]
"""The recordings of each actor."""


@dataclass(frozen=True)
class Case:
    """A recording and who truly speaks when."""

    group: str
    name: str
    samples: NDArray[np.float32]
    truth: tuple[SpeakerTurn, ...]

    @property
    def chunks(self) -> Iterator[AudioChunk]:
        """The sound in chunks of a second."""
        for first in range(0, len(self.samples), SAMPLE_RATE_HZ):
            time_ns = first * NS_PER_S // SAMPLE_RATE_HZ
            yield AudioChunk(time_ns, self.samples[first : first + SAMPLE_RATE_HZ])


@dataclass
class Tally:
    """What was measured over the recordings of a group; seconds of speech."""

    missed: float = 0.0
    false_alarm: float = 0.0
    confused: float = 0.0
    spoken: float = 0.0

    def row(self) -> dict[str, float]:
        """Return the diarization error rate and its parts, in percent."""
        parts = {
            "error": self.missed + self.false_alarm + self.confused,
            "missed": self.missed,
            "false alarm": self.false_alarm,
            "wrong speaker": self.confused,
        }
        return {
            name: round(100 * float(part) / float(self.spoken), 1) for name, part in parts.items()
        }


@dataclass
class Group:
    """What was measured over the recordings of a group."""

    strict: Tally = field(default_factory=Tally)
    lenient: Tally = field(default_factory=Tally)
    speakers: list[tuple[int, int]] = field(default_factory=list)
    words: int = 0
    wrong_words: int = 0
    sound_s: float = 0.0
    cpu_s: float = 0.0

    def row(self, name: str) -> dict[str, object]:
        """Return the figures by name."""
        return {
            "recordings": name,
            "sound_s": round(self.sound_s),
            "collar_0": self.strict.row(),
            "collar_0.25_s": self.lenient.row(),
            "speakers_true_and_found": self.speakers,
            "words": self.words,
            "words_of_a_wrong_speaker": self.wrong_words,
            "cpu": round(self.cpu_s / self.sound_s, 3),
        }


def sound_of(path: Path) -> NDArray[np.float32]:
    """Return the samples of a recording."""
    spec = capture.ParticipantSpec("bench", (str(path),))
    chunks = capture.read(spec, Config(), threading.Event(), 5, modalities={"audio"})
    return np.concatenate([c.samples for c in chunks if isinstance(c, AudioChunk)])


def meetings(folder: Path) -> Iterator[Case]:
    """The recordings of a folder that have an `.rttm` file beside them."""
    for path in sorted(p for p in folder.iterdir() if p.suffix in SOUND_SUFFIXES):
        rttm = path.with_suffix(".rttm")
        if not rttm.is_file():
            continue
        rows = [line.split() for line in rttm.read_text("utf-8").splitlines()]
        truth = [
            SpeakerTurn(
                row[7], round(float(row[3]) * 1e9), round((float(row[3]) + float(row[4])) * 1e9)
            )
            for row in rows
            if row[:1] == ["SPEAKER"]
        ]
        yield Case("AMI openings", path.stem, sound_of(path), tuple(truth))


def ravdess(folder: Path, emotions: Sequence[str]) -> Actors:
    """The recordings of normal intensity of RAVDESS's actors 1 to 20."""
    return {
        f"{actor}": [
            path
            for e in emotions
            for path in sorted((folder / f"Actor_{actor:02d}").glob(f"03-01-{e}-01-*"))
        ]
        for actor in range(1, 21)
    }


def crema_d(folder: Path) -> Actors:
    """The neutral recordings of the actors of CREMA-D but for the ten whose voices are reported."""
    folders = (folder / str(number) for number in range(1001, 1070))
    return {each.name: sorted(each.glob("*_NEU_*")) for each in folders if each.is_dir()}


def conversations(speak: Actors, group: str, seeds: Iterable[int]) -> Iterator[Case]:
    """Conversations of 3 or 4 actors: no overlap, pauses of 0.2 to 1 s.

    Each turn is one to three recordings, cut to their speech.
    """
    for number in seeds:
        random = np.random.default_rng(number)
        actors = random.choice(list(speak), 3 + number % 2, replace=False)
        pieces, truth, at = [], [], 0
        speaker = -1
        for _ in range(TURNS):
            others = [n for n in range(len(actors)) if n != speaker]
            speaker = int(random.choice(others))
            recordings = speak[actors[speaker]]
            for index in random.choice(len(recordings), random.integers(1, 4), replace=False):
                spoken = speech_of(sound_of(recordings[index]))
                pause = np.zeros(int(random.uniform(0.2, 1.0) * SAMPLE_RATE_HZ), np.float32)
                begin_ns = (at + len(pause)) * NS_PER_S // SAMPLE_RATE_HZ
                at += len(pause) + len(spoken)
                truth.append(
                    SpeakerTurn(str(actors[speaker]), begin_ns, at * NS_PER_S // SAMPLE_RATE_HZ)
                )
                pieces += [pause, spoken]
        samples = np.concatenate(pieces)
        noise = random.normal(0, NOISE, len(samples)).astype(np.float32)
        yield Case(group, f"{group} {number}", samples + noise, tuple(truth))


def speech_of(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut a recording to what lies within 30 dB of its loudest 20 ms."""
    frame = SAMPLE_RATE_HZ // 50
    power = (samples[: len(samples) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 1e-3)
    return samples[loud[0] * frame : (loud[-1] + 1) * frame]


def grid(turns: Sequence[SpeakerTurn], frames: int) -> tuple[NDArray[np.bool_], list[str]]:
    """Return who speaks in each frame of 10 ms, (frames, speakers), and the speakers."""
    speakers = sorted({turn.speaker for turn in turns})
    speaks = np.zeros((frames, len(speakers)), bool)
    for turn in turns:
        first, end = (round(t * RATE_HZ / NS_PER_S) for t in turn[1:])
        speaks[first:end, speakers.index(turn.speaker)] = True
    return speaks, speakers


def matched(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the pairs of true and found speakers that speak together longest."""
    together = truth.T.astype(float) @ found.astype(float)
    return list(zip(*linear_sum_assignment(-together), strict=True))


def count(case: Case, found: Sequence[SpeakerTurn], collar_s: float, tally: Tally) -> None:
    """Add a recording's errors to a tally."""
    frames = len(case.samples) * RATE_HZ // SAMPLE_RATE_HZ
    truth, guess = grid(case.truth, frames)[0], grid(found, frames)[0]
    pairs = matched(truth, guess)
    scored = np.ones(frames, bool)
    for turn in case.truth if collar_s else ():
        for boundary_ns in turn[1:]:
            first = max(0, round((boundary_ns / NS_PER_S - collar_s) * RATE_HZ))
            scored[first : round((boundary_ns / NS_PER_S + collar_s) * RATE_HZ)] = False
    truth, guess = truth[scored], guess[scored]
    right = sum(int((truth[:, a] & guess[:, b]).sum()) for a, b in pairs)
    speak, guessed = truth.sum(axis=1), guess.sum(axis=1)
    tally.missed += np.maximum(speak - guessed, 0).sum() / RATE_HZ
    tally.false_alarm += np.maximum(guessed - speak, 0).sum() / RATE_HZ
    tally.confused += (np.minimum(speak, guessed).sum() - right) / RATE_HZ
    tally.spoken += speak.sum() / RATE_HZ


def words_of(case: Case) -> list[tuple[int, int]]:
    """Return the times of the words that are recognised in a recording."""
    config = Config().asr
    recogniser = StreamingRecogniser(Silero(), Whisper(config), config, "benchmark")
    words = [word for chunk in case.chunks for word in recogniser.push(chunk).words]
    return [(word.start_ns, word.end_ns) for word in (*words, *recogniser.finish().words)]


def wrong_words(
    case: Case, found: Sequence[SpeakerTurn], heard: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """Return how many words fall into true speech, and how many of these have a wrong speaker."""
    frames = len(case.samples) * RATE_HZ // SAMPLE_RATE_HZ
    (truth, people), (guess, speakers) = grid(case.truth, frames), grid(found, frames)
    names = {speakers[b]: people[a] for a, b in matched(truth, guess)}
    everybody = Everybody(found)
    total = wrong = 0
    for start_ns, end_ns in heard:
        first, end = (round(t * RATE_HZ / NS_PER_S) for t in (start_ns, end_ns))
        speaks = np.asarray(truth[first : max(end, first + 1)].any(axis=0))
        if speaks.any():
            total += 1
            speaker = names.get(everybody.speaker_at(start_ns, end_ns) or "")
            wrong += speaker is None or not speaks[people.index(speaker)]
    return total, wrong


def of_true_people(case: Case, stretches: Sequence[Stretch]) -> list[Turn]:
    """Return the turns if each voice of a stretch is the person's with whom it has most in common.

    Two voices of a stretch are of two people. The stretches count together as they always do.
    """
    truth, people = grid(case.truth, len(case.samples) * RATE_HZ // SAMPLE_RATE_HZ)
    frames = max(stretch.first_frame + len(stretch.active) for stretch in stretches)
    times = [round(time_ns(frame) * RATE_HZ / NS_PER_S) for frame in range(frames)]
    speaks = truth[np.minimum(times, len(truth) - 1)].astype(float)
    given = []
    for stretch in stretches:
        first = max(stretch.described_from, -stretch.first_frame)
        voices = stretch.weights[first:]
        common = voices.T @ speaks[stretch.first_frame + first :][: len(voices)]
        vectors = np.zeros(common.shape, np.float32)
        pairs = linear_sum_assignment(-common)
        vectors[pairs] = common[pairs] > 0
        given.append(replace(stretch, vectors=vectors))
    return turns_of(speaking(given, np.eye(len(people), dtype=np.float32)))


def measure(
    case: Case, ear: Ear, groups: dict[str, Group], *, words: bool, live: bool, floor: bool
) -> None:
    """Tell the speakers of a recording apart and add what is found to its groups."""
    heard = words_of(case) if words else []
    begun_s = time.process_time()
    stretches = list(stretches_of(case.chunks, ear))
    found = people(stretches, MOST_SPEAKERS)
    cpu_s = time.process_time() - begun_s
    add(case, named(found), cpu_s, groups[case.group], heard)
    if floor:
        group = groups[f"{case.group}, floor"]
        add(case, named(of_true_people(case, stretches)), cpu_s, group, heard)
    if not live:
        return
    begun_s = time.process_time()
    online, labels = OnlineSpeakers(MOST_SPEAKERS), Labels()
    turns = list[Turn]()
    for stretch in stretches_as_they_come(case.chunks, ear):
        passes = online.clusterings
        new = online.add(stretch)
        turns += new
        labels.decide(named(new))
        if online.clusterings > passes:
            relabel(labels, online)
    new = online.finish()
    turns += new
    labels.decide(named(new))
    relabel(labels, online)
    cpu_s = time.process_time() - begun_s
    for name, kind in (
        (f"{case.group}, live", named(turns)),
        (f"{case.group}, live, relabelled", labels.turns),
        (f"{case.group}, live, all again", named(online.again())),
    ):
        add(case, kind, cpu_s, groups[name], heard)


def relabel(labels: Labels, online: OnlineSpeakers) -> None:
    """Change what a live session can still change, with a window each second."""
    until_ns = time_ns(online.decided)
    since_ns = max(0, until_ns - REACH_WINDOWS * NS_PER_S)
    labels.change(named(online.again()), since_ns, until_ns)


def named(turns: Sequence[Turn]) -> list[SpeakerTurn]:
    """Return turns with their times."""
    return [SpeakerTurn(str(n), time_ns(first), time_ns(end)) for n, first, end in turns]


def add(
    case: Case,
    found: Sequence[SpeakerTurn],
    cpu_s: float,
    group: Group,
    heard: Sequence[tuple[int, int]],
) -> None:
    """Add to a group what was found in a recording."""
    group.cpu_s += cpu_s
    group.sound_s += len(case.samples) / SAMPLE_RATE_HZ
    count(case, found, 0.0, group.strict)
    count(case, found, COLLAR_S, group.lenient)
    group.speakers.append((len({t.speaker for t in case.truth}), len({t.speaker for t in found})))
    total, wrong = wrong_words(case, found, heard)
    group.words += total
    group.wrong_words += wrong


def main() -> None:
    """Read the command line and print the figures of each group."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--meetings", type=Path)
    parser.add_argument("--ravdess", type=Path)
    parser.add_argument("--emotional", action="store_true")
    parser.add_argument("--crema-d", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    parser.add_argument("--words", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--floor", action="store_true")
    arguments = parser.parse_args()
    cases: list[Iterator[Case]] = []
    if arguments.meetings:
        cases.append(meetings(arguments.meetings))
    seeds = range(arguments.seed, arguments.seed + arguments.conversations)
    if arguments.ravdess:
        kind, emotions = ("emotional", ALL) if arguments.emotional else ("calm", CALM)
        cases.append(conversations(ravdess(arguments.ravdess, emotions), kind, seeds))
    if arguments.crema_d:
        cases.append(conversations(crema_d(arguments.crema_d), "CREMA-D", seeds))
    ear, groups = networks(), defaultdict[str, Group](Group)
    for case in itertools.chain(*cases):
        measure(
            case,
            ear,
            groups,
            words=arguments.words,
            live=arguments.live,
            floor=arguments.floor,
        )
    for name, group in groups.items():
        print(json.dumps(group.row(name)))


if __name__ == "__main__":
    main()
