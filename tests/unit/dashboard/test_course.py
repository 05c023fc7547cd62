"""The list of sessions: the course and the mean of each, and the trend of meetings of one name."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from streamer.dashboard.course import MAX_WINDOWS, Course
from streamer.dashboard.feed import Feed
from streamer.session_ids import make_id
from tests.made_records import START, session, session_sentiment


@pytest.fixture
async def feed() -> Feed:
    return Feed("broker.example:9092")


async def test_the_list_has_each_session_s_course_and_the_trend_of_a_name(feed: Feed) -> None:
    for day, values in enumerate([(1.0, 0.5), (0.0, -1.0), (2.0, 2.0)]):
        start = START + timedelta(days=day)
        own = make_id("standup", start, day)
        feed.add(session("started", session_id=own, started_at=start), day)
        if day < 2:
            feed.add(session("ended", session_id=own, started_at=start), day)
        for index, value in enumerate(values):
            feed.add(session_sentiment(index, value, session_id=own), day)
    first = make_id("standup", START, 0)
    feed.add(session_sentiment(1, 0.0, session_id=first, revision=1), 3)
    status = feed.status(None)
    summaries = {each["session_id"]: each for each in status["sessions"]}
    assert summaries[first]["mean"] == 0.5
    assert summaries[first]["course"] == (*[None] * 5, 1.0, *[None] * 5, 0.0)
    trend = {"name": "standup", "means": (0.5, -0.5), "per_meeting": -1.0}
    assert status["trends"] == [trend], "without the session that goes on"
    assert feed.status(first)["trends"] == []


async def test_a_session_without_evidence_has_no_course(feed: Feed) -> None:
    feed.add(session_sentiment(0, None), 0)
    [summary] = feed.status(None)["sessions"]
    assert (summary["mean"], summary["course"]) == (None, ())


def test_of_a_very_long_session_the_newest_windows_count() -> None:
    course, record = Course(), session_sentiment(0, 3.0)
    course.add(record)
    for index in range(1, MAX_WINDOWS + 1):
        course.add(msgspec.structs.replace(record, window_index=index, valence=1.0))
    assert course.figures()[0] == 1.0
