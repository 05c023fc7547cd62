"""Memory and threads of the recorder's writer over a long session, in half a minute.

    python benchmarks/recorder.py [--windows 7200] [--participants 10] [--json]

Records of made participants and of their meeting go through JSON into a recording, as in `soak.py`
but without broker and stages, in the one thread that the recorder writes in. Every FLUSH windows
are made safe on the disk; every 32 such files are joined. Printed: resident memory after the first
flush, after the first tenth, and the most; the ratio of the last two; threads after the first
flush, and the most. It needs Linux.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from streamer.recording.writer import Writer
from streamer.records import Sentiment, SessionSentiment, SpeechSpan, Spoken, SpokenWord
from tests.made_records import sentiment, session, session_sentiment

FLUSH = 20
"""Windows of each participant between two flushes: two seconds of a quick session."""


def records(people: Sequence[str], index: int) -> Iterator[Sentiment | SessionSentiment]:
    """Yield the records of one window of everybody, as they come from the topics."""
    start_ms = index * 1000
    words = SpokenWord(f"word-{index}", start_ms, start_ms + 400)
    spoken = Spoken((SpeechSpan(start_ms, start_ms + 900),), (words,))
    for person in people:
        value = sentiment(index, participant_id=person, spoken=spoken)
        yield msgspec.json.decode(msgspec.json.encode(value), type=Sentiment)
    meeting = session_sentiment(index)
    yield msgspec.json.decode(msgspec.json.encode(meeting), type=SessionSentiment)


def taken() -> tuple[int, int]:
    """Return this process's resident megabytes and threads."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    memory_mb = round(pages * os.sysconf("SC_PAGE_SIZE") / 1024**2)
    return memory_mb, len(list(Path("/proc/self/task").iterdir()))


def write(writer: Writer, people: Sequence[str], windows: int) -> Iterator[tuple[int, int]]:
    """Record a session; yield what is taken after each flush."""
    writer.add(session())
    for index in range(windows):
        for record in records(people, index):
            writer.add(record)
        if index % FLUSH == FLUSH - 1:
            writer.flush()
            yield taken()


def main() -> None:
    """Read the command line; print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=7200)
    parser.add_argument("--participants", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    people = [f"p{number + 1}" for number in range(options.participants)]
    with (
        tempfile.TemporaryDirectory(prefix="recorder-") as folder,
        ThreadPoolExecutor(1) as disk,
        Writer(Path(folder)) as writer,
    ):
        found = disk.submit(lambda: list(write(writer, people, options.windows))).result()
    memory = [megabytes for megabytes, _ in found]
    tenth = len(memory) // 10
    figures = {
        "records": options.windows * (len(people) + 1),
        "first_mb": memory[0],
        "tenth_mb": memory[tenth],
        "most_mb": max(memory),
        "ratio": round(max(memory[tenth:]) / memory[tenth], 3),
        "threads": (found[0][1], max(threads for _, threads in found)),
    }
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
