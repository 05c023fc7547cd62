"""The page shows of a session what its record allows: live, recorded, and its media files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from streamer.dashboard import feed as feeds
from streamer.dashboard.feed import Feed, SessionLog
from streamer.dashboard.history import Recorded
from streamer.dashboard.views import Views
from streamer.kafka.topics import ALERTS, SESSION_SMOOTHED, SESSIONS, SMOOTHED, Topic
from streamer.policy import Policy
from streamer.recording.reader import Recordings
from streamer.records import MODALITIES, Participant, Session, SpeechSpan, Spoken
from streamer.testing import ALL_ALLOWED, FakeConsumer, FakePolicies
from tests.made_records import alert, sentiment, session, session_sentiment, write

MEETING_ONLY = Policy("session", 2, MODALITIES)
RECORDS: list[tuple[Topic[Any], Any]] = [
    (SESSIONS, session()),
    (SMOOTHED, sentiment(0)),
    (ALERTS, alert()),
    (SESSION_SMOOTHED, session_sentiment(0)),
]


@pytest.mark.parametrize(
    ("policy", "count"),
    [(ALL_ALLOWED, 4), (MEETING_ONLY, 2), (None, 1)],
    ids=["persons", "meeting only", "unknown session"],
)
async def test_the_page_passes_on_what_the_session_allows(
    policy: Policy | None, count: int
) -> None:
    feed = Feed("broker.example:9092")
    for topic, record in RECORDS:
        reader: Any = FakeConsumer(topic, [record])
        passing = feeds._pass_on(reader, topic.kind, "", FakePolicies(default=policy), feed)
        task = asyncio.create_task(passing)
        await reader.finished.wait()
        task.cancel()
    assert len(feed.sessions["standup"]) == count


def meeting(folder: Path, publish: str) -> Session:
    people = (Participant("ana", (str(folder / "ana.mp4"),)),)
    return session("ended", publish=publish, min_participants=2, participants=people)


@pytest.mark.parametrize(("publish", "count"), [("participant", 4), ("session", 2)])
def test_of_an_older_recording_the_page_shows_the_meeting_only(
    tmp_path: Path, publish: str, count: int
) -> None:
    write(tmp_path, meeting(tmp_path, publish), *(record for _, record in RECORDS[1:]))
    assert len(Recorded(Recordings(tmp_path)).read("standup")) == count


@pytest.mark.parametrize(("publish", "names"), [("participant", ["ana"]), ("session", [])])
def test_of_an_older_recording_of_a_meeting_nobody_s_talk_time_is_shown(
    tmp_path: Path, publish: str, names: list[str]
) -> None:
    spoke = sentiment(0, spoken=Spoken((SpeechSpan(0, 500),)))
    write(tmp_path, meeting(tmp_path, publish), spoke, session_sentiment(0))
    conversation = Recorded(Recordings(tmp_path)).read("standup").conversation()
    assert [talk["participant_id"] for talk in conversation["participants"]] == names


@pytest.mark.parametrize(("publish", "names"), [("participant", {"ana"}), ("session", set())])
async def test_a_meeting_without_persons_has_no_media(
    tmp_path: Path, publish: str, names: set[str]
) -> None:
    (tmp_path / "ana.mp4").write_bytes(b"0123456789")
    log = SessionLog("standup")
    log.add(meeting(tmp_path, publish), 0)
    views = Views(Feed("broker.example:9092"), anywhere=True)
    assert set(views.media_of(log)) == names
