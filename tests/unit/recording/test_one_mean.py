"""One meeting has one mean, wherever people read it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

from streamer.cli.comparing import comparison
from streamer.cli.display import Board
from streamer.cli.session_list import session_list
from streamer.dashboard.feed import Feed
from streamer.dashboard.history import Recorded
from streamer.recording.comparison import compare
from streamer.recording.export import export
from streamer.recording.reader import Recordings
from tests import made_meeting
from tests.made_records import write
from tests.printed import printed

MEAN = "+0.31"
OF_BO = "-0.48"


def test_every_place_has_the_same_mean(tmp_path: Path) -> None:
    write(tmp_path, *made_meeting.records())
    recordings = Recordings(tmp_path)
    recording = recordings.read("standup")

    assert re.search(rf"standup.* {re.escape(MEAN)} ", printed(session_list(recordings.index())))

    board = Board("Meeting")
    for record in made_meeting.records():
        board.add(record)
    summary = printed(board.summary(), 100)
    assert re.search(rf"the meeting +180 +180 +{re.escape(MEAN)}", summary)
    assert re.search(rf"Bo Li +180 +180 +{OF_BO}", summary)

    means = printed(comparison(compare(recording, recording)))
    assert re.search(rf"all +{re.escape(MEAN)} +{re.escape(MEAN)}", means)
    assert re.search(rf"Bo Li +{OF_BO} +{OF_BO}", means)

    report = export(recording, "html").decode()
    assert f"on average ({MEAN})" in report
    assert f"everybody, mean {MEAN}" in report
    assert f"Bo Li, mean {OF_BO}" in report
    assert re.search(rf'<td class=n data-head="mean">{OF_BO}</td>', report)

    assert f"{json.loads(export(recording, 'json'))['summary']['mean_valence']:+.2f}" == MEAN
    (row,) = Recorded(recordings).index()
    assert f"{row['mean']:+.2f}" == MEAN
    assert f"{asyncio.run(live_mean()):+.2f}" == MEAN


async def live_mean() -> float:
    """The mean in the page's list, of a session on the topics."""
    feed = Feed("broker.example:9092")
    for record in made_meeting.records():
        feed.add(record, 0)
    return float(feed.sessions["standup"].summary()["mean"])
