"""Records a second that the embedded broker gives of one partition.

    python benchmarks/embedded.py [--records 200] [--json]

It answers a fetch with one batch. `alone`: each record is in a batch of its own, as when records
come one by one; `gathered`: those that come at once share batches.
"""

import argparse
import asyncio
import json
import time
from datetime import UTC, datetime

from streamer.config import Config, build
from streamer.kafka.consumer import Consumer
from streamer.kafka.embedded import EmbeddedBroker
from streamer.kafka.producer import Producer
from streamer.kafka.topics import SESSION_SMOOTHED
from streamer.records import SessionSentiment, window_id

START = datetime(2026, 1, 1, tzinfo=UTC)


def record(index: int) -> SessionSentiment:
    """Return a record of one session; all of them are in one partition."""
    return SessionSentiment(
        session_id="made",
        window_id=window_id("made", "*", index),
        window_index=index,
        event_time=START,
        start_ms=index * 1000,
        end_ms=(index + 1) * 1000,
        valence=None,
        uncertainty=None,
        spread=None,
        label=None,
        polarity=None,
        trend_per_min=None,
        participants=0,
        model="made",
    )


async def fill(config: Config, count: int, *, alone: bool) -> None:
    """Publish records, each after the one before is stored, or all at once."""
    async with Producer(config) as producer:
        sent = []
        for index in range(count):
            sent.append(await producer.publish_soon(record(index)))
            if alone:
                await sent[-1]
        await asyncio.gather(*sent)


async def measure(count: int, *, alone: bool) -> dict[str, object]:
    """Read the records back; return how fast they came."""
    with EmbeddedBroker() as broker:
        config = build({"kafka": {"broker": broker.address}})
        await fill(config, count, alone=alone)
        async with Consumer(config, SESSION_SMOOTHED) as reader:
            begun_s, came, fetches = time.monotonic(), 0, 0
            while came < count:
                batch = await reader.batch(500, 100)
                came, fetches = came + len(batch), fetches + bool(batch)
            length_s = time.monotonic() - begun_s
    name = "alone" if alone else "gathered"
    return {"records": name, "fetches": fetches, "records_per_s": round(came / length_s)}


def main() -> None:
    """Read the command line and print two rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for alone in (True, False):
        row = asyncio.run(measure(options.records, alone=alone))
        print(json.dumps(row) if options.json else row, flush=True)


if __name__ == "__main__":
    main()
