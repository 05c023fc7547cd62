"""A person who is forgotten is in no file of the recording, and does not come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.recording.files import write_part
from streamer.recording.forgetting import forget
from streamer.recording.reader import Recordings
from streamer.recording.recorded import RecordingError
from streamer.recording.writer import Writer
from streamer.records import Participant
from tests.made_records import (
    alert,
    sentiment,
    session,
    session_sentiment,
    window,
    with_sessions,
    write,
)

ANA = (sentiment(0), sentiment(1, final=True), window(0), window(1), alert())
BO = (
    sentiment(0, participant_id="bo"),
    sentiment(1, participant_id="bo", final=True),
    window(0, participant_id="bo"),
)
OF_ALL = alert(alert_id="standup/*/sharp_drop/7", participant_id=None, message="It fell.")
MEETING = (session_sentiment(0), session_sentiment(1, final=True), OF_ALL)


def contents(folder: Path) -> bytes:
    """Every byte of a folder that may name somebody: Parquet uncompressed by reading it."""
    recordings = Recordings(folder)
    read = recordings.read("standup")
    windows = list(recordings.windows("standup")) if recordings.parts("standup", "windows") else []
    raw = b"".join(path.read_bytes() for path in folder.rglob("*.json"))
    return repr((read, windows)).encode() + raw


def test_nothing_of_the_person_is_left_and_all_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, session(), *ANA, *BO, *MEETING, session("ended"))
    before = Recordings(tmp_path).read("standup")
    erased = forget(tmp_path, "standup", "ana")
    assert dict(erased.records) == {"smoothed": 2, "alerts": 1, "windows": 2}
    after = Recordings(tmp_path).read("standup")
    assert b"ana" not in contents(tmp_path)
    assert after.participants == ("bo",)
    assert after.sentiments == before.of("bo")
    assert after.session_sentiments == before.session_sentiments
    assert after.alerts == [record for record in before.alerts if record.participant_id is None]
    assert list(Recordings(tmp_path).windows("standup")) == [BO[2]]
    (entry,) = Recordings(tmp_path).index()
    assert [person.participant_id for person in entry.participants] == ["bo"]
    assert entry.complete
    assert entry.counts["smoothed"] == 2
    assert entry.mean_valence == before.summary.mean_valence


def test_a_recorder_that_reads_the_topics_again_does_not_bring_the_person_back(
    tmp_path: Path,
) -> None:
    everything = with_sessions(*ANA, *BO, *MEETING)
    write(tmp_path, *everything)
    forget(tmp_path, "standup", "ana")
    write(tmp_path, *everything, sentiment(2), session("ended"))
    assert b"ana" not in contents(tmp_path)
    assert Recordings(tmp_path).read("standup").participants == ("bo",)


def test_the_last_person_may_be_forgotten_too(tmp_path: Path) -> None:
    write(tmp_path, session(participants=(Participant("ana", ("mic",)),)), *ANA, *MEETING)
    forget(tmp_path, "standup", "ana")
    assert b"ana" not in contents(tmp_path)
    assert not list((tmp_path / "standup").glob("windows-*"))
    assert len(Recordings(tmp_path).read("standup").session_sentiments) == 2


def test_files_that_a_merge_left_behind_are_deleted_too(tmp_path: Path) -> None:
    write(tmp_path, session(), *ANA, *BO)
    (whole,) = Recordings(tmp_path).parts("standup", "smoothed")
    folder = tmp_path / "standup"
    whole.rename(folder / "smoothed-000000-000003.parquet")
    write_part(folder, "smoothed", 2, [sentiment(0)])
    forget(tmp_path, "standup", "ana")
    assert [path.name for path in folder.glob("smoothed-*")] == ["smoothed-000000-000003.parquet"]
    assert b"ana" not in contents(tmp_path)


def test_media_of_the_person_go_and_so_do_copies_of_the_same_file(tmp_path: Path) -> None:
    sources = {name: tmp_path / f"{name}.wav" for name in ("call", "cy")}
    for path in sources.values():
        path.write_bytes(b"sound")
    people = session(
        participants=(
            Participant("ana", (f"{sources['call']}#left",)),
            Participant("bo", (f"{sources['call']}#right",)),
            Participant("cy", (str(sources["cy"]),)),
        )
    )
    folder = tmp_path / "recordings"
    with Writer(folder) as writer:
        writer.add(people)
        writer.add(sentiment(0))
        writer.flush()
        writer.keep_media(people)
    erased = forget(folder, "standup", "ana")
    assert {path.name for path in erased.media} == {"ana.wav", "bo.wav"}
    assert [path.name for path in (folder / "standup" / "media").iterdir()] == ["cy.wav"]
    with Writer(folder) as writer:
        writer.keep_media(people)
    assert not (folder / "standup" / "media" / "ana.wav").exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, session(), *ANA, *BO)
    write_part(tmp_path / "standup", "smoothed", 7, [sentiment(5)])
    damaged = tmp_path / "standup" / "smoothed-000007-000007.parquet"
    damaged.write_bytes(damaged.read_bytes()[:40])
    erased = forget(tmp_path, "standup", "ana")
    assert [path.name for path in erased.damaged] == ["smoothed-000007-000007.damaged"]


def test_somebody_who_is_not_there_is_named_with_who_is(tmp_path: Path) -> None:
    write(tmp_path, session(), *ANA, *BO)
    with pytest.raises(RecordingError, match="no participant 'Anna'"):
        forget(tmp_path, "standup", "Anna")
    with pytest.raises(RecordingError, match="no recorded session 'retro'"):
        forget(tmp_path, "retro", "ana")


def test_a_second_time_finds_nothing_more(tmp_path: Path) -> None:
    write(tmp_path, session(), *ANA, *BO)
    forget(tmp_path, "standup", "ana")
    assert not forget(tmp_path, "standup", "ana").records.total()


def test_nothing_is_deleted_while_a_recorder_writes(tmp_path: Path) -> None:
    write(tmp_path, session(), *ANA)
    with Writer(tmp_path), pytest.raises(RecordingError, match="Another recorder"):
        forget(tmp_path, "standup", "ana")
    assert Recordings(tmp_path).read("standup").participants == ("ana",)
