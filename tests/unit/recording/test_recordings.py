"""Recorded sessions on disk: whole after any kill, each record once, names safe as folders."""

import csv
import dataclasses
import io
import string
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.recording import recorded
from streamer.recording import writer as writing
from streamer.recording.arrow import arrow_schema
from streamer.recording.export import to_csv
from streamer.recording.files import LIGHT_READ_ROWS, media_file
from streamer.recording.forgetting import forget
from streamer.recording.reader import Recordings
from streamer.recording.recorded import RecordingError, folder_name
from streamer.recording.transcript import transcript
from streamer.recording.writer import Writer
from streamer.records import (
    Participant,
    RecordedTime,
    Sentiment,
    SpeechSpan,
    Spoken,
    SpokenWord,
)
from tests.made_records import (
    START,
    alert,
    sentiment,
    session,
    session_sentiment,
    window,
    write,
)


def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    sentiments = [sentiment(0), sentiment(1, None), sentiment(2, final=True)]
    write(
        tmp_path,
        session(),
        *sentiments,
        session_sentiment(0),
        alert(),
        alert(state="cleared"),
        window(0),
    )
    recording = Recordings(tmp_path).read("standup")
    assert recording.sentiments == sentiments
    assert recording.session_sentiments == [session_sentiment(0)]
    assert recording.alerts == [alert(), alert(state="cleared")]
    assert recording.session == session()
    assert list(Recordings(tmp_path).windows("standup")) == [window(0)]


def test_the_columns_are_the_fields_and_any_reader_opens_them(tmp_path: Path) -> None:
    write(tmp_path, sentiment(3))
    (part,) = Recordings(tmp_path).parts("standup", "smoothed")
    table = pq.read_table(part)
    assert table.schema.names == list(Sentiment.__struct_fields__)
    assert table.schema.field("event_time").type == pa.timestamp("us", tz="UTC")
    assert table["latency_ms"][0].as_py() == list(sentiment(3).latency_ms.items())
    assert table["gate"][0].as_py() == {"val": 0.625, "cls": 0.5}


def test_records_are_ordered_and_each_is_there_once(tmp_path: Path) -> None:
    late = sentiment(0, revision=1, valence=2.0)
    with Writer(tmp_path) as writer:
        for record in (
            sentiment(1, participant_id="bo"),
            sentiment(1),
            sentiment(0),
            late,
            sentiment(0),
        ):
            writer.add(record)
            writer.flush()
        assert (writer.repeated, writer.contradicting, writer.pending) == (1, 0, 0)
    read_back = Recordings(tmp_path).read("standup").sentiments
    assert [record.window_id for record in read_back] == [
        "standup/ana/0",
        "standup/ana/1",
        "standup/bo/1",
    ]
    assert read_back[0] == late


def test_a_second_writer_goes_on_where_the_first_was(tmp_path: Path) -> None:
    write(tmp_path, session(), sentiment(0), sentiment(1))
    with Writer(tmp_path) as writer:
        for record in (session(), sentiment(1), sentiment(2)):
            writer.add(record)
        assert writer.repeated == 2
    assert [r.window_index for r in Recordings(tmp_path).read("standup").sentiments] == [0, 1, 2]
    (entry,) = Recordings(tmp_path).index()
    assert entry.counts == {"sessions": 1, "smoothed": 3}


def test_another_recording_under_the_same_name_is_told_and_not_mixed_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, sentiment(0), sentiment(1))
    with Writer(tmp_path) as writer:
        for index in range(2):
            writer.add(sentiment(index, valence=-2.0))
        assert writer.contradicting == 2
    assert "recorded before with other values" in caplog.text
    assert caplog.text.count("other values") == 1
    assert Recordings(tmp_path).read("standup").sentiments[1] == sentiment(1)


def test_only_one_writer_at_a_time(tmp_path: Path) -> None:
    with Writer(tmp_path), pytest.raises(RecordingError, match="Another recorder"):
        Writer(tmp_path)
    Writer(tmp_path).close()


def test_what_a_killed_writer_leaves_behind_harms_nothing(tmp_path: Path) -> None:
    write(tmp_path, sentiment(0))
    folder = tmp_path / "standup"
    (folder / ".smoothed-000001-000001.parquet.streamer-tmp").write_bytes(b"PAR1 half")
    (folder / "smoothed-000002-000002.parquet").write_bytes(b"PAR1 damaged on the way")
    assert Recordings(tmp_path).read("standup").sentiments == [sentiment(0)]
    with Writer(tmp_path) as writer:
        writer.add(sentiment(1))
        writer.flush()
        assert not list(folder.glob(".*.streamer-tmp"))
        assert (folder / "smoothed-000003-000003.parquet").is_file()
    assert (folder / "smoothed-000002-000002.damaged").is_file()
    assert Recordings(tmp_path).read("standup").sentiments == [sentiment(0), sentiment(1)]


def test_many_parts_are_merged_and_a_kill_between_changes_nothing(tmp_path: Path) -> None:
    count = writing.MERGE_PARTS + 3
    writer = Writer(tmp_path)
    for index in range(count):
        writer.add(sentiment(index))
        if index == writing.MERGE_PARTS - 1:
            (first, *_) = writer.parts("standup", "smoothed")
            copy = first.read_bytes()
        writer.flush()
    names = [path.name for path in writer.parts("standup", "smoothed")]
    assert names[0] == f"smoothed-000000-{writing.MERGE_PARTS - 1:06d}.parquet"
    assert len(names) == 4
    first.write_bytes(copy)  # as if killed before it was deleted
    assert len(list(Recordings(tmp_path).records("standup", Sentiment))) == count
    writer.close()
    assert not first.exists()
    assert len(Recordings(tmp_path).parts("standup", "smoothed")) == 2
    assert len(Recordings(tmp_path).read("standup").sentiments) == count


def test_a_reader_finishes_although_its_files_are_merged_meanwhile(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        for index in range(4):
            writer.add(sentiment(index))
            writer.flush()
        reading = Recordings(tmp_path).records("standup", Sentiment)
        assert next(reading) == sentiment(0)
    assert len(Recordings(tmp_path).parts("standup", "smoothed")) == 1
    assert list(reading) == [sentiment(1), sentiment(2), sentiment(3)]


def test_the_index_tells_when_a_session_is_complete(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        for record in (
            session(),
            sentiment(2, 1.0),
            sentiment(2, 0.75, participant_id="bo", final=True),
            session_sentiment(2, 0.75),
            session_sentiment(3, None),
            alert(),
        ):
            writer.add(record)
        writer.flush()
        (entry,) = writer.index()
        assert (entry.complete, entry.live, entry.consent) == (False, True, "all agreed")
        assert (entry.started_at, entry.duration_ms, entry.alerts) == (START, 4000, 1)
        for record in (session("ended"), sentiment(3, final=True)):
            writer.add(record)
        writer.flush()
        (entry,) = writer.index()
    assert entry.complete
    assert entry.participants == session("ended").participants
    assert entry.models == ("tiny",)
    assert entry.mean_valence == 0.75
    assert entry.course == (*[None] * 8, 0.75, None, None, None), "its window ends at 3 s of 4"
    assert Recordings(tmp_path).read("standup").summary == entry


def test_a_session_that_was_not_recorded_to_its_end_is_complete_all_the_same(
    tmp_path: Path,
) -> None:
    times = (RecordedTime(0, 2_000),)
    over = session("ended", recorded_times=times)
    write(tmp_path, session(recorded_times=times), sentiment(0), over)
    with Writer(tmp_path) as again:
        again.pass_over(sentiment(2, final=True))
    assert not Recordings(tmp_path).index()[0].complete  # bo's last record may come
    with Writer(tmp_path) as third:
        third.pass_over(sentiment(2, participant_id="bo", final=True))
        third.flush()
    (entry,) = Recordings(tmp_path).index()
    assert (entry.complete, entry.recorded_times) == (True, times)
    assert Recordings(tmp_path).read("standup").summary == entry
    forget(tmp_path, "standup", "bo")
    assert b"bo" not in (tmp_path / "standup" / "session.json").read_bytes()
    with Writer(tmp_path) as fourth:
        fourth.pass_over(sentiment(2, participant_id="bo", final=True))
    assert b"bo" not in (tmp_path / "standup" / "session.json").read_bytes()


def test_a_session_of_which_nothing_is_stored_leaves_no_folder(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.pass_over(sentiment(0, final=True))
        writer.pass_over(session_sentiment(0, final=True))
    assert Recordings(tmp_path).index() == []
    assert not (tmp_path / "standup").exists()


def test_a_session_of_which_no_person_is_published_is_complete_with_its_last_record(
    tmp_path: Path,
) -> None:
    whole = [session_sentiment(0), session_sentiment(1, final=True)]
    write(tmp_path, session("ended"), whole[0])
    assert not Recordings(tmp_path).index()[0].complete
    write(tmp_path, whole[1])
    assert Recordings(tmp_path).index()[0].complete
    assert Recordings(tmp_path).read("standup").session_sentiments == whole


def test_the_highest_revision_counts_in_whatever_order_it_comes(tmp_path: Path) -> None:
    everyone = session_sentiment(0, 0.5, revision=1, participants=2)
    newer = sentiment(0, -1.0, revision=2)
    write(tmp_path, session_sentiment(0, 2.0), everyone, newer, sentiment(0, 1.0), session())
    recording = Recordings(tmp_path).read("standup")
    assert recording.session_sentiments == [everyone]
    assert recording.sentiments == [newer]
    (entry,) = Recordings(tmp_path).index()
    assert entry == recording.summary
    assert (entry.counts["smoothed"], entry.counts["session_smoothed"]) == (1, 1)
    assert entry.mean_valence == 0.5


def test_words_and_speech_of_a_revised_window_are_in_a_recording_once(tmp_path: Path) -> None:
    good, day = SpokenWord("good", 100, 300), SpokenWord("day", 500, 900)
    first = sentiment(0, 1.0, spoken=Spoken((SpeechSpan(0, 600),), (good,)))
    again = sentiment(0, -1.0, revision=1, spoken=Spoken((SpeechSpan(0, 900),), (good, day)))
    write(tmp_path, session(), first, sentiment(1, final=True), again)
    recording = Recordings(tmp_path).read("standup")

    assert [line.text for line in transcript(recording.sentiments)] == ["good day"]
    assert recording.conversation.participants[0].talk_ms == 900
    exported = csv.DictReader(io.StringIO(to_csv(recording).decode()))
    assert [(row["revision"], row["valence"]) for row in exported] == [("1", "-1.0"), ("0", "0.5")]


def test_without_a_session_record_the_start_follows_from_event_time(tmp_path: Path) -> None:
    write(tmp_path, sentiment(5), sentiment(0, session_id="older"))
    entries = Recordings(tmp_path).index()
    assert {entry.session_id: entry.started_at for entry in entries} == {
        "standup": START,
        "older": START,
    }
    assert entries[1].participants == (Participant("ana", ()),)


def test_windows_come_in_the_order_of_event_time_each_once(tmp_path: Path) -> None:
    given_order = [(1, "ana"), (0, "ana"), (0, "bo"), (1, "ana"), (2, "ana"), (1, "bo")]
    for index, name in given_order:
        write(tmp_path, window(index, participant_id=name))
    assert [
        (w.window_index, w.participant_id) for w in Recordings(tmp_path).windows("standup")
    ] == [(0, "ana"), (0, "bo"), (1, "ana"), (1, "bo"), (2, "ana")]


def test_windows_of_one_after_the_other_come_together_and_the_newest_revision_counts(
    tmp_path: Path,
) -> None:
    ana = [window(k) for k in range(200)]
    late = window(5, revision=1, context="with late words")
    write(tmp_path, *ana, *(window(k, participant_id="bo") for k in range(200)), late)
    read_back = list(Recordings(tmp_path).windows("standup"))
    assert [(w.window_index, w.participant_id) for w in read_back] == [
        (k, name) for k in range(200) for name in ("ana", "bo")
    ]
    assert read_back[10] == late


def test_an_unknown_session_and_missing_windows_are_said_in_a_sentence(tmp_path: Path) -> None:
    write(tmp_path, sentiment(0))
    with pytest.raises(RecordingError, match="did you mean 'standup'"):
        Recordings(tmp_path).read("standpu")
    with pytest.raises(RecordingError, match="recorded without its windows"):
        next(Recordings(tmp_path).windows("standup"))
    with pytest.raises(RecordingError, match="`streamer sessions` lists"):
        Recordings(tmp_path / "nothing").read("standup")


def test_a_column_added_later_takes_its_default(tmp_path: Path) -> None:
    write(tmp_path, sentiment(0))
    (part,) = Recordings(tmp_path).parts("standup", "smoothed")
    old = pq.read_table(part).drop_columns(["final", "session_participants"])
    pq.write_table(old.append_column("mood", [["fine"]]), part)
    (back,) = Recordings(tmp_path).read("standup").sentiments
    assert back == sentiment(0, session_participants=0)
    write(tmp_path, sentiment(1))  # and is merged into one file with the new ones
    (merged,) = Recordings(tmp_path).parts("standup", "smoothed")
    assert pq.read_schema(merged).names == list(Sentiment.__struct_fields__)
    assert len(Recordings(tmp_path).read("standup").sentiments) == 2


def test_a_merged_file_has_row_groups_of_a_bounded_size(tmp_path: Path) -> None:
    sizes = (700, 700, 2 * LIGHT_READ_ROWS, 1)
    with Writer(tmp_path) as writer:
        for number, size in enumerate(sizes):
            for k in range(size):
                writer.add(sentiment(sum(sizes[:number]) + k))
            writer.flush()
    (merged,) = Recordings(tmp_path).parts("standup", "smoothed")
    groups = pq.read_metadata(merged)
    rows = [groups.row_group(k).num_rows for k in range(groups.num_row_groups)]
    assert sum(rows) == sum(sizes)
    assert max(rows) <= LIGHT_READ_ROWS
    assert len(rows) <= len(sizes) + 1
    indices = [record.window_index for record in Recordings(tmp_path).read("standup").sentiments]
    assert indices == list(range(sum(sizes)))


THREADS = """
import sys
from pathlib import Path

from streamer.recording.forgetting import forget
from streamer.recording.reader import Recordings
from streamer.recording.writer import Writer
from tests.made_records import sentiment, session, window

folder = Path(sys.argv[1])


def running():
    return len(list(Path("/proc/self/task").iterdir()))


with Writer(folder) as writer:
    counts = []
    for k in range(4):
        for record in (session(), sentiment(k), window(k), sentiment(k, participant_id="bo")):
            writer.add(record)
        writer.flush()
        counts.append(running())
list(Recordings(folder).windows("standup"))
Recordings(folder).read("standup")
forget(folder, "standup", "bo")
print(max(counts[1:] + [running()]) - counts[0])
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="hardware: no /proc")
def test_recording_and_reading_start_no_threads(tmp_path: Path) -> None:
    words = [sys.executable, "-c", THREADS, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


@given(st.text(min_size=1, max_size=200).filter(lambda name: "/" not in name))
def test_any_session_name_is_a_folder_of_its_own(name: str) -> None:
    folder = folder_name(name)
    assert set(folder) <= set(string.ascii_letters + string.digits + "_.-~%" + " ()+,=@[]{}!'&;")
    assert 0 < len(folder.encode()) < 200
    assert not folder.startswith(".")
    assert folder_name(name + "x") != folder


@pytest.mark.parametrize("name", [".", "..", ".lock", "a b", "Ünï", "%2E", "x" * 200])
def test_awkward_names_round_trip(tmp_path: Path, name: str) -> None:
    write(tmp_path, sentiment(0, session_id=name))
    assert Recordings(tmp_path).read(name).sentiments == [sentiment(0, session_id=name)]
    assert [entry.session_id for entry in Recordings(tmp_path).index()] == [name]


def test_a_full_disk_is_said_and_the_records_wait(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.add(sentiment(0))
        (tmp_path / "standup").write_text("in the way")
        with pytest.raises(RecordingError, match=r"Recording to .* failed"):
            writer.flush()
        assert writer.pending == 1
        (tmp_path / "standup").unlink()
        writer.flush()
        assert writer.pending == 0
    assert Recordings(tmp_path).read("standup").sentiments == [sentiment(0)]


def test_media_files_are_copied_beside_the_records_and_nothing_else_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "talk.MP4").write_bytes(b"moving pictures")
    (tmp_path / "secret.txt").write_text("not theirs")
    people = {
        "Ana %2 ü": ("webcam:0", str(tmp_path / "talk.MP4")),
        "bo": (str(tmp_path / "secret.txt"),),
        "cy": ("rtsp://camera/1.mp4",),
    }
    named = session(participants=tuple(Participant(who, of) for who, of in people.items()))
    folder = tmp_path / "recordings"
    assert Recordings(folder).media("standup") == {}
    with Writer(folder) as writer:
        writer.add(named)
        writer.keep_media(named)
        writer.flush()
    assert {r.getMessage().split()[3] for r in caplog.records} == {"bo", "cy"}
    (tmp_path / "talk.MP4").write_bytes(b"another film of the same name")
    with Writer(folder) as writer:
        writer.keep_media(named)
    ((who, copy),) = Recordings(folder).media("standup").items()
    assert (who, copy.suffix, copy.read_bytes()) == (
        "Ana %2 ü",
        ".mp4",
        b"moving pictures",
    )
    assert list((folder / "standup" / "media").iterdir()) == [copy]


def test_a_kill_while_media_are_copied_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    write(tmp_path, session())
    half = tmp_path / "standup" / "media" / ".ana.mp4.streamer-tmp"
    half.parent.mkdir()
    half.write_bytes(b"half")
    assert Recordings(tmp_path).media("standup") == {}
    Writer(tmp_path).close()
    assert not half.exists()


def test_media_that_do_not_fit_are_said(tmp_path: Path) -> None:
    (tmp_path / "ana.mp4").write_bytes(b"x")
    named = session(participants=(Participant("ana", (str(tmp_path / "ana.mp4"),)),))
    with Writer(tmp_path / "recordings") as writer:
        writer.add(named)
        writer.flush()
        (tmp_path / "recordings" / "standup" / "media").write_text("in the way")
        with pytest.raises(RecordingError, match=r"ana\.mp4 could not be kept in"):
            writer.keep_media(named)


def test_every_record_type_has_a_schema() -> None:
    for struct in recorded.STRUCTS.values():
        assert arrow_schema(struct).names == list(struct.__struct_fields__)
    assert dataclasses.is_dataclass(recorded.Recording)


def test_files_of_others_beside_a_recording_are_left_alone(tmp_path: Path) -> None:
    names = ["notes.tmp", ".hidden.tmp", "draft.streamer-tmp"]
    (tmp_path / "thesis").mkdir()
    for name in names:
        (tmp_path / "thesis" / name).write_text("mine", encoding="utf-8")
    with Writer(tmp_path):
        pass
    assert sorted(path.name for path in (tmp_path / "thesis").iterdir()) == sorted(names)


@pytest.mark.parametrize("source", ["x" * 5000 + ".mp4", "a\0b.mp4", "/" + "d/" * 3000 + "a.mp4"])
def test_a_source_that_no_file_can_be_has_no_media(source: str) -> None:
    assert media_file(source) is None
