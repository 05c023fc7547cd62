"""Old windows scored again through the real stages, beside the old result."""

import asyncio
import os
import sys
import uuid
from pathlib import Path

import msgspec
import pytest

from streamer.config import build
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.producer import Producer
from streamer.kafka.topics import SCORES
from streamer.recording.reader import Recordings
from streamer.records import Presence, Sentiment, Session, Window
from streamer.rounding import rounded
from tests.integration.replaying import refused
from tests.made_records import recorded, sentiment, session, window

ROOT = Path(__file__).parents[2]
SECONDS = 6

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def said(index: int, participant: str = "ana") -> Window:
    text = "this is wonderful" if participant == "ana" else "this is terrible"
    presence = Presence(text=1.0)
    return window(index, text, participant_id=participant, audio=None, faces=(), presence=presence)


def old_session() -> list[Sentiment | Session | Window]:
    windows = [said(k, who) for who in ("ana", "bo") for k in range(SECONDS)]
    old = [sentiment(k, 0.0, participant_id=who) for who in ("ana", "bo") for k in range(SECONDS)]
    named = session(revision=1, names={"ana": "Ana Berg"})
    return [session(), named, *old, *windows, session("ended")]


async def streamer(*arguments: str, cwd: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamer", *arguments),
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )


def by_name(printed: bytes) -> dict[str, list[Sentiment]]:
    printed_sentiments: dict[str, list[Sentiment]] = {"ana": [], "bo": []}
    for line in printed.splitlines():
        item = msgspec.json.decode(line, type=Sentiment)
        printed_sentiments[item.participant_id].append(item)
    return printed_sentiments


async def test_a_recorded_session_is_scored_again_and_recorded_beside_the_old(
    tmp_path: Path,
) -> None:
    recorded(tmp_path, *old_session())
    process = await streamer(
        *("replay", "--recorded", "standup", "--dir", str(tmp_path), "--record", str(tmp_path)),
        *("--speed", "0", "--json"),
        cwd=tmp_path,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    printed_sentiments = by_name(printed)
    for name, sign in (("ana", 1), ("bo", -1)):
        assert [item.window_index for item in printed_sentiments[name]] == list(range(SECONDS))
        assert all((item.valence or 0.0) * sign > 0.5 for item in printed_sentiments[name])
        assert printed_sentiments[name][-1].final
    assert b"Where they differ most" in errors
    recordings = Recordings(tmp_path)
    entries = {summary.name: summary for summary in recordings.index()}
    assert set(entries) == {"standup", "standup-again"}
    assert entries["standup-again"].complete
    assert entries["standup-again"].consent == "all agreed"
    assert entries["standup-again"].names == {"ana": "Ana Berg"}
    recorded_sentiments = recordings.read(recordings.find("standup-again")).sentiments
    bo = [item.valence for item in recorded_sentiments if item.participant_id == "bo"]
    assert rounded(bo) == [item.valence for item in printed_sentiments["bo"]]


async def test_a_range_of_the_windows_topic_is_scored_again_on_a_broker_of_its_own(
    embedded_broker: str, tmp_path: Path
) -> None:
    prefix = f"t{uuid.uuid4().hex[:12]}"
    config = build({"kafka": {"broker": embedded_broker, "topic_prefix": prefix}})
    await ensure_topics(config)
    published_ms = 1_777_800_000_000
    async with Producer(config) as publisher:
        for record in old_session():
            index = record.window_index if isinstance(record, Window) else SECONDS
            if record == session():
                index = 0  # before what --from asks for
            await publisher.publish(record, timestamp_ms=published_ms + 1000 * index)
    process = await streamer(
        *("replay", "--topic", f"{prefix}.windows.v1", "--broker", embedded_broker),
        *("--from", "2026-05-03T09:20:02Z", "--to", "2026-05-03T09:20:05Z"),
        *("--speed", "0", "--json"),
        cwd=tmp_path,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    printed_sentiments = by_name(printed)
    assert [item.window_index for item in printed_sentiments["ana"]] == [2, 3, 4]
    assert [item.window_index for item in printed_sentiments["bo"]] == [2, 3, 4]
    assert b"\nall " in errors, "the comparison with what is on the topic"
    async with Consumer(config, SCORES) as reader:
        assert [item async for item in reader.snapshot()] == []


def test_what_cannot_be_scored_again_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(tmp_path, session(), sentiment(0))
    recorded(tmp_path, window(0, session_id="stray"), session_id="stray")
    for arguments, sentence in (
        (("--recorded", "standup"), "recorded without its windows"),
        (("--recorded", "stray"), "'stray' has no record of its own"),
        (("--recorded", "nobody"), "There is no recorded session 'nobody'"),
        (("--recorded", "standup", "talk.mp4"), "media files, or --recorded or --topic, not both"),
        (("--topic", "sentiment.windows.v1"), "needs a running broker"),
    ):
        said_again = refused(capsys, "replay", "--dir", str(tmp_path), *arguments)
        assert said_again.code != 0
        assert sentence in said_again.errors.replace("\n", " ")
        assert "Traceback" not in said_again.errors
