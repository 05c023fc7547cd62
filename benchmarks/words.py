"""Word error rate, settling time and CPU of the recogniser, as in a live session.

    python benchmarks/words.py [--ravdess FOLDER] [SOUND=WORDS ...] [--model NAME] [--json]

`--ravdess` reads actors 17 to 20, or those of `--actors FIRST LAST`, who say two known sentences;
`--every N` takes every Nth recording. `SOUND=WORDS` is any recording and
what is said in it; without `=WORDS` its words are printed instead, or with `--whole` compared, all
recordings together, with those of utterances that are read once, at their end. A word settles when
it is given out for good: its settling time is that of the audio heard by then, less the word's end.
CPU is process time, all threads together, per second of speech.
"""

import argparse
import json
import re
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streamer import capture
from streamer.config import AsrConfig, Config, build
from streamer.records import NS_PER_S, AudioChunk
from streamer.speech.activity import Silero
from streamer.speech.streaming import StreamingRecogniser
from streamer.speech.whisper import Whisper

RAVDESS = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}
ACTORS = (17, 20)


@dataclass
class Tally:
    """What was measured over several recordings."""

    files: int = 0
    errors: int = 0
    words: int = 0
    speech_s: float = 0.0
    cpu_s: float = 0.0
    settling_s: list[float] = field(default_factory=list)

    def row(self, name: str) -> dict[str, object]:
        """Return the figures by name."""
        settling = sorted(self.settling_s)
        return {
            "recordings": name,
            "files": self.files,
            "word_error_rate": self.errors / self.words if self.words else None,
            "settling_s_median": statistics.median(settling) if settling else None,
            "settling_s_p95": settling[int(0.95 * (len(settling) - 1))] if settling else None,
            "cpu_s_per_s_of_speech": self.cpu_s / self.speech_s if self.speech_s else None,
        }


def recognise(sound: Path, config: AsrConfig, tally: Tally, *, live: bool = True) -> list[str]:
    """Recognise one recording chunk by chunk; return its words."""
    spec = capture.ParticipantSpec("bench", (str(sound),))
    chunks = [
        chunk
        for chunk in capture.read(spec, Config(), threading.Event(), 5)
        if isinstance(chunk, AudioChunk)
    ]
    recogniser = StreamingRecogniser(Silero(), Whisper(config), config, "benchmark")
    if not live:
        recogniser.may_ask = lambda _: False
    words: list[str] = []
    begun_s = time.process_time()
    for chunk in chunks:
        transcript = recogniser.push(chunk)
        words += [word.text for word in transcript.words]
        tally.settling_s += [(chunk.end_ns - word.end_ns) / NS_PER_S for word in transcript.words]
        tally.speech_s += sum(end - start for start, end in transcript.speech) / NS_PER_S
    transcript = recogniser.finish()
    words += [word.text for word in transcript.words]
    tally.speech_s += sum(end - start for start, end in transcript.speech) / NS_PER_S
    tally.cpu_s += time.process_time() - begun_s
    tally.files += 1
    return words


def plain(text: str) -> list[str]:
    """Return the words in lower case without punctuation."""
    return re.sub(r"[^\w' ]", " ", text.lower()).split()


def errors(heard: Sequence[str], said: Sequence[str]) -> int:
    """Return the fewest insertions, deletions and substitutions that make `said` of `heard`."""
    row = list(range(len(said) + 1))
    for i, word in enumerate(heard, start=1):
        last, row[0] = row[0], i
        for j, other in enumerate(said, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def measure(
    recordings: Sequence[tuple[Path, str]], config: AsrConfig, *, whole: bool = False
) -> Tally:
    """Recognise recordings whose words are known, or `whole`: those of its whole utterances."""
    tally = Tally()
    for sound, said in recordings:
        heard = recognise(sound, config, tally)
        if not said and whole:
            said = " ".join(recognise(sound, config, Tally(), live=False))
        if not said:
            print(f"{sound.name}: {' '.join(heard)}")
            continue
        truth = plain(said)
        tally.errors += errors(plain(" ".join(heard)), truth)
        tally.words += len(truth)
    return tally


def ravdess(folder: Path, first: int, last: int) -> list[tuple[Path, str]]:
    """Return the recordings of the actors from `first` to `last`, with what they say."""
    return [
        (sound, RAVDESS[sound.stem.split("-")[4]])
        for actor in range(first, last + 1)
        for sound in sorted((folder / f"Actor_{actor:02d}").glob("*.flac"))
    ]


def main() -> None:
    """Read the command line and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sounds", nargs="*", metavar="SOUND=WORDS")
    parser.add_argument("--ravdess", type=Path)
    parser.add_argument("--actors", nargs=2, type=int, default=ACTORS, metavar=("FIRST", "LAST"))
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--model", default="auto", help="asr.whisper_model")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    config = build({"asr": {"whisper_model": arguments.model, "threads": 1}}).asr
    known = [(Path(sound), said) for sound, _, said in (s.partition("=") for s in arguments.sounds)]
    groups = {sound.name: [(sound, said)] for sound, said in known}
    if arguments.whole:
        groups = {"against whole utterances": known}
    if arguments.ravdess is not None:
        first, last = arguments.actors
        recordings = ravdess(arguments.ravdess, first, last)[:: arguments.every]
        groups[f"RAVDESS, actors {first} to {last}"] = recordings
    for name, group in groups.items():
        show(measure(group, config, whole=arguments.whole).row(name), as_json=arguments.json)


def show(row: dict[str, object], *, as_json: bool) -> None:
    """Print the figures of one group."""
    if as_json:
        print(json.dumps(row), flush=True)
        return
    print(f"\n{row.pop('recordings')}")
    for figure, value in row.items():
        shown = f"{value:.3f}" if isinstance(value, float) else value
        print(f"  {figure:<24} {shown}", flush=True)


if __name__ == "__main__":
    main()
