"""People of recorded and of running sessions get names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamer.cli import speakers
from streamer.cli.app import app
from streamer.cli.main import COMMANDS
from streamer.errors import ConfigError, ExitCode
from streamer.kafka.topics import SESSIONS
from streamer.recording.reader import Recordings
from streamer.recording.recorded import RecordingError
from streamer.recording.writer import Writer
from streamer.session.naming import known_sessions, name_people
from streamer.testing import FakeBroker
from tests.made_records import sentiment, session, write


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as running:
        yield running


async def test_people_of_a_recording_get_names_that_stay(tmp_path: Path) -> None:
    write(tmp_path, session(), session("ended"), sentiment(0, participant_id="speaker-1"))
    named = await name_people("standup", {"speaker-1": "Ana", "bo": "Bo Y."}, tmp_path, None)
    assert (named.broker, named.recording) == (False, True)
    recording = Recordings(tmp_path).read("standup")
    assert recording.names == {"speaker-1": "Ana", "bo": "Bo Y."}
    assert recording.session is not None and recording.session.state == "ended"
    assert recording.participants == ("speaker-1",)
    await name_people("standup", {"bo": ""}, tmp_path, None)
    (entry,) = Recordings(tmp_path).index()
    assert entry.names == {"speaker-1": "Ana"}
    assert entry.counts["sessions"] == 2, "a name is no further record"


async def test_people_of_a_running_session_get_names_that_its_end_keeps(
    broker: FakeBroker, tmp_path: Path
) -> None:
    broker.publish(session())
    named = await name_people("standup", {"ana": "Ana Berg"}, tmp_path, broker.config)
    assert (named.broker, named.recording) == (True, False)
    assert [record.revision for record in broker.records(SESSIONS)] == [0, 1]
    broker.publish(session("ended"))
    known = await known_sessions(broker.config)
    assert known["standup"].session.names == {"ana": "Ana Berg"}
    assert known["standup"].session.state == "ended"
    assert known["standup"].people == {"ana", "bo"}


async def test_a_session_on_the_broker_and_on_disk_has_the_name_in_both(
    broker: FakeBroker, tmp_path: Path
) -> None:
    write(tmp_path, session(), session(revision=1, names={"bo": "Bo Y."}))
    broker.publish(session())
    named = await name_people("standup", {"ana": "Ana Berg"}, tmp_path, broker.config)
    both = {"ana": "Ana Berg", "bo": "Bo Y."}
    assert (named.broker, named.recording, named.session.names) == (True, True, both)
    assert broker.records(SESSIONS)[-1].names == both
    assert Recordings(tmp_path).read("standup").names == both


async def test_a_recorder_at_work_takes_the_name_from_the_broker(
    broker: FakeBroker, tmp_path: Path
) -> None:
    write(tmp_path, session())
    broker.publish(session())
    with Writer(tmp_path):
        named = await name_people("standup", {"ana": "Ana Berg"}, tmp_path, broker.config)
        assert (named.broker, named.recording) == (True, False)
        with pytest.raises(RecordingError, match="While it runs, add --broker"):
            await name_people("standup", {"ana": "Ana Berg"}, tmp_path, None)


async def test_an_unknown_session_is_answered_with_those_there_are(
    broker: FakeBroker, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no session 'standup' in .*; name another --dir"):
        await name_people("standup", {"ana": "Ana"}, tmp_path, None)
    write(tmp_path, session(session_id="retro"))
    broker.publish(session())
    with pytest.raises(ConfigError, match=r"there are retro, standup; did you mean 'standup'\?"):
        await name_people("standing", {"ana": "Ana"}, tmp_path, broker.config)


async def test_a_recording_without_its_sessions_record_can_have_no_names(tmp_path: Path) -> None:
    write(tmp_path, sentiment(0))
    with pytest.raises(RecordingError, match="has no record of the session"):
        await name_people("standup", {"ana": "Ana"}, tmp_path, None)


def test_the_command_names_people_and_refuses_in_one_sentence(tmp_path: Path) -> None:
    assert speakers in COMMANDS  # importing it has registered it
    write(tmp_path, session())
    command = ["speakers", "name", "standup", "--dir", str(tmp_path)]
    result = CliRunner().invoke(app, [*command, "ana=Ana Berg"])
    assert result.exit_code == 0
    assert "ana of standup is shown as Ana Berg (in " in result.output
    listed = CliRunner().invoke(app, ["sessions", "--dir", str(tmp_path)])
    assert "Ana Berg, bo" in " ".join(listed.output.split())
    refused = CliRunner().invoke(app, [*command, "zoe=Z"])
    assert isinstance(refused.exception, ConfigError)
    assert refused.exception.exit_code == ExitCode.SETTING
    assert "it has ana, bo" in str(refused.exception)
