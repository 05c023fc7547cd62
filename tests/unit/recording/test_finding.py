"""Recorded sessions found by id, or by the name of the newest; also those of older versions."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from streamer.recording.files import INDEX_FILE
from streamer.recording.reader import Recordings
from streamer.recording.recorded import RecordingError
from streamer.session_ids import make_id
from tests.made_records import START, sentiment, session, write

OLD = "standup"
MONDAY, TUESDAY = (make_id("standup", START + timedelta(days=day), 0) for day in (1, 2))


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    """Three sessions named standup; the first one as an older version recorded it."""
    for session_id, name in ((OLD, None), (TUESDAY, "standup"), (MONDAY, "standup")):
        write(
            tmp_path,
            session(session_id=session_id, name=name),
            sentiment(0, session_id=session_id),
            session("ended", session_id=session_id, name=name),
        )
    index = tmp_path / OLD / INDEX_FILE
    entry = json.loads(index.read_bytes())
    del entry["name"]
    index.write_text(json.dumps(entry))
    return Recordings(tmp_path)


def test_a_name_finds_the_newest_and_an_id_its_own(recordings: Recordings) -> None:
    assert recordings.find("standup") == TUESDAY
    assert recordings.find(MONDAY) == MONDAY
    assert recordings.find(f"={OLD}") == OLD
    assert recordings.read(OLD).sentiments == [sentiment(0, session_id=OLD)]


def test_the_index_has_every_name_and_the_newest_first(recordings: Recordings) -> None:
    entries = [(summary.session_id, summary.name) for summary in recordings.index()]
    assert entries == [(TUESDAY, "standup"), (MONDAY, "standup"), (OLD, "standup")]


@pytest.mark.parametrize("selector", ["standap", "=standap"])
def test_a_name_that_is_not_there_is_told_the_nearest(
    recordings: Recordings, selector: str
) -> None:
    with pytest.raises(RecordingError, match="did you mean 'standup'"):
        recordings.find(selector)


def test_a_session_whose_index_is_damaged_is_found_by_its_id(recordings: Recordings) -> None:
    (recordings.folder / MONDAY / INDEX_FILE).write_text("{")
    assert recordings.find(MONDAY) == MONDAY
