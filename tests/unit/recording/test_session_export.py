"""What a recorded session becomes for others: CSV, Parquet, JSON, WebVTT, HTML."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import av
import msgspec
import pyarrow.parquet as pq
import pytest

from streamer.recording.export import CSV_COLUMNS, FORMATS, cue_time, export
from streamer.recording.recorded import Recording
from streamer.recording.report import POINTS, moments
from streamer.records import RecordedTime, Sentiment, SpeechSpan, Spoken, SpokenWord
from streamer.rounding import rounded
from streamer.speech.transcripts import parse_subtitles
from tests.made_records import (
    START,
    alert,
    recorded,
    sentiment,
    session,
    session_sentiment,
)

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x>'


@pytest.fixture
def meeting(tmp_path: Path) -> Recording:
    return recorded(
        tmp_path,
        session(),
        session_sentiment(0),
        alert(),
        sentiment(0, -1.25),
        sentiment(1, None),
        sentiment(0, 2.0, participant_id="bo", text='so "good", really'),
        sentiment(
            2,
            1.0,
            participant_id="bo",
            final=True,
            identified_by="diarization",
            identity_confidence=0.8,
        ),
    )


def test_csv_has_one_line_per_sentiment_and_empty_cells_without_evidence(
    meeting: Recording,
) -> None:
    rows = list(csv.DictReader(io.StringIO(export(meeting, "csv").decode(), newline="")))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [(row["participant_id"], row["window_index"]) for row in rows] == [
        ("ana", "0"),
        ("bo", "0"),
        ("ana", "1"),
        ("bo", "2"),
    ]
    assert rows[1]["text"] == 'so "good", really'
    assert rows[0]["event_time"] == "2026-05-03T09:00:01Z"
    assert rows[0]["evidence"] == "audio text"
    assert (rows[2]["valence"], rows[2]["class_3"], rows[2]["gate_val"]) == ("", "", "")
    assert (rows[3]["final"], rows[3]["latency_total_ms"]) == ("true", "110.0")
    known = [(row["identified_by"], row["identity_confidence"]) for row in rows]
    assert known == [("source", "")] * 3 + [("diarization", "0.8")]


def test_who_has_a_name_is_shown_by_it_everywhere(tmp_path: Path) -> None:
    named = recorded(
        tmp_path,
        session(revision=1, names={"ana": "Ana <Berg>"}),
        session("ended"),
        sentiment(0, -1.25, spoken=Spoken((), (SpokenWord("no", 100, 300),))),
        sentiment(0, 1.0, participant_id="bo"),
        alert(),
    )
    rows = list(csv.DictReader(io.StringIO(export(named, "csv").decode(), newline="")))
    shown = [(row["participant_id"], row["participant_name"]) for row in rows]
    assert shown == [("ana", "Ana <Berg>"), ("bo", "bo")]
    table = pq.read_table(io.BytesIO(export(named, "parquet")))
    assert table["participant_name"].to_pylist() == ["Ana <Berg>", "bo"]
    assert "<v Ana &lt;Berg&gt;>Ana &lt;Berg&gt;: -1.2" in export(named, "vtt").decode()
    whole = json.loads(export(named, "json"))
    assert whole["session"]["names"] == whole["summary"]["names"] == {"ana": "Ana <Berg>"}
    page = export(named, "html").decode()
    assert page.count("Ana &lt;Berg&gt;") >= 7, "timeline, tables, moments, alerts and transcript"
    assert "Ana &lt;Berg&gt; fell sharply" in page
    assert not re.search(r">ana\b", page), "the id is not shown"


def test_numbers_are_rounded_to_what_they_mean(tmp_path: Path) -> None:
    latencies = {"total": 110.12345}
    long = recorded(tmp_path, sentiment(0, 0.123456, uncertainty=0.98765, latency_ms=latencies))
    [row] = csv.DictReader(io.StringIO(export(long, "csv").decode(), newline=""))
    [record] = json.loads(export(long, "json"))["sentiments"]
    assert (row["valence"], row["uncertainty"]) == ("0.123", "0.988")
    assert (row["latency_total_ms"], row["class_3"]) == ("110.1", "0.7")
    assert (record["valence"], record["latency_ms"]) == (0.123, {"total": 110.1})


def test_parquet_is_the_same_table_with_types(meeting: Recording) -> None:
    table = pq.read_table(io.BytesIO(export(meeting, "parquet")))
    assert tuple(table.schema.names) == CSV_COLUMNS
    assert table["valence"].to_pylist() == [-1.25, 2.0, None, 1.0]
    assert table["evidence"][0].as_py() == ["audio", "text"]
    about = json.loads(table.schema.metadata[b"streamer.session"])
    assert about["session_id"] == "standup"


def test_json_holds_the_published_records_rounded(meeting: Recording) -> None:
    whole = json.loads(export(meeting, "json"))
    assert whole["sentiments"] == [rounded(each) for each in meeting.sentiments]
    msgspec.convert(whole["sentiments"], list[Sentiment], strict=False)
    assert whole["summary"]["alerts"] == 1
    assert whole["session"]["consent"] == "all agreed"
    assert whole["alerts"][0]["kind"] == "sharp_drop"


def test_vtt_tells_each_step_what_everybody_was_at_its_end(
    meeting: Recording, tmp_path: Path
) -> None:
    text = export(meeting, "vtt").decode()
    assert text.splitlines()[:5] == [
        "WEBVTT",
        "",
        "00:00:00.000 --> 00:00:01.000 line:0",
        "<v ana>ana: -1.2 weakly negative</v>",
        "<v bo>bo: +2.0 positive</v>",
    ]
    assert "00:00:01.000 --> 00:00:02.000" not in text  # nobody gave evidence
    assert "00:00:02.000 --> 00:00:03.000" in text
    path = tmp_path / "captions.vtt"
    path.write_text(text, "utf-8")
    assert parse_subtitles(path).words[0].text == "ana:"
    with av.open(path) as container:
        packets = [packet for packet in container.demux() if packet.size]
    assert [packet.pts for packet in packets] == [0, 2000]


def test_vtt_has_the_words_while_they_are_spoken(tmp_path: Path) -> None:
    words = [SpokenWord(f"w{k}", 100 * k, 100 * k + 90) for k in range(14)]
    spoken = Spoken((), (*words, SpokenWord("a<b>", 5_000, 5_000)))
    told = recorded(tmp_path / "r", sentiment(5, 1.0, spoken=spoken))
    text = export(told, "vtt").decode()
    cues = [
        "00:00:00.000 --> 00:00:01.190\n<v ana>ana: w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11</v>",
        "00:00:00.000 --> 00:00:06.000 line:0\n<v ana>ana: +1.0 weakly positive</v>",
        "00:00:01.200 --> 00:00:01.390\n<v ana>ana: w12 w13</v>",
        "00:00:05.000 --> 00:00:05.001\n<v ana>ana: a&lt;b&gt;</v>",
    ]
    assert text == "WEBVTT\n\n" + "\n\n".join(cues) + "\n"
    path = tmp_path / "captions.vtt"
    path.write_text(text, "utf-8")
    with av.open(path) as container:
        starts = [packet.pts for packet in container.demux() if packet.size]
    assert starts == [0, 0, 1200, 5000]


def test_unsure_words_are_marked_and_unsure_profanity_is_hidden(tmp_path: Path) -> None:
    words = ("a", 0.9), ("big", 0.4), ("Shit", 0.4)
    spoken = (SpokenWord(text, at * 100, at * 100 + 90, c) for at, (text, c) in enumerate(words))
    said = Spoken((SpeechSpan(0, 300),), tuple(spoken))
    told = recorded(tmp_path, sentiment(0, -2.0, text="a big Shit", spoken=said))
    assert "<v ana>ana: a <i>big […]</i></v>" in export(told, "vtt").decode()
    page = export(told, "html").decode()
    assert "<span class=negative>a <i class=unsure>big […]</i></span>" in page
    assert "“a big […]”" in page, "among the moments, and in the summary"
    assert "Shit" not in page
    (line,) = json.loads(export(told, "json"))["transcript"]
    assert line["text"] == "a big […]"
    assert line["parts"] == [
        {"text": "a", "unsure": False},
        {"text": "big […]", "unsure": True},
    ]


def test_names_and_words_are_escaped_everywhere(tmp_path: Path) -> None:
    evil = recorded(
        tmp_path,
        sentiment(0, 2.0, participant_id=SCRIPT.replace("/", ""), session_id=IMAGE, text=SCRIPT),
        session_id=IMAGE,
    )
    vtt, page = export(evil, "vtt").decode(), export(evil, "html").decode()
    assert "<script" not in vtt
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


class Page(HTMLParser):
    """Open tags, text, and whether every tag was closed."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_report_stands_alone_and_tells_the_session(meeting: Recording) -> None:
    page = Page(export(meeting, "html").decode())
    assert page.open == []
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not any("src" in attrs or "href" in attrs for _, attrs in page.tags)
    assert names.count("svg") == 3  # everybody, ana, bo
    text = " ".join(page.texts)
    assert "started 2026-05-03 09:00:00 UTC" in text
    assert b"started 2026-05-03 11:00:00 CEST" in export(meeting, "html", ZoneInfo("Europe/Berlin"))
    assert "consent: all agreed" in text
    assert "a source of their own" in text
    assert "the voice, 80% sure" in text
    assert "not complete" in text
    assert "ana fell" in text
    assert '“so "good", really”' in text


def test_the_report_tells_who_spoke_how_long_and_what(tmp_path: Path) -> None:
    good = Spoken((SpeechSpan(0, 4_000),), (SpokenWord("good <b>day", 0, 900),))
    answer = Spoken((SpeechSpan(9_000, 10_000),), (SpokenWord("bad", 9_000, 9_500),))
    meeting = recorded(
        tmp_path,
        sentiment(3, 1.5, spoken=good),
        sentiment(9, -1.5, participant_id="bo", spoken=answer),
        alert(3),
        alert(8, state="cleared"),
    )
    page = export(meeting, "html").decode()
    text = " ".join(" ".join(Page(page).texts).split())
    assert "ana 0:04 80% 1 0:04 0 0:06" in text
    assert "Nobody spoke for 0:05, in 1 silence." in text
    assert "0:04 0:09 ana fell sharply, down for 5 s" in text
    assert "<span class=positive>good &lt;b&gt;day</span>" in page
    assert "0:09 bo bad" in text
    whole = json.loads(export(meeting, "json"))
    assert [talk["talk_ms"] for talk in whole["conversation"]["participants"]] == [4_000, 1_000]
    assert whole["transcript"][1]["text"] == "bad"


def test_the_report_has_a_gap_where_there_is_no_evidence(tmp_path: Path) -> None:
    page = export(
        recorded(tmp_path, sentiment(0), sentiment(1, None), sentiment(2)), "html"
    ).decode()
    assert len(re.findall('class="smooth"', page)) == 2
    assert len(re.findall('class="raw"', page)) == 2


@pytest.mark.slow
def test_what_the_host_did_not_record_is_told_and_no_silence(tmp_path: Path) -> None:
    times = (RecordedTime(1_000, 6_000), RecordedTime(20_000))
    spoken = Spoken((SpeechSpan(4_000, 5_000),), (SpokenWord("good", 4_000, 5_000),))
    end = Spoken((SpeechSpan(26_000, 27_000),), (SpokenWord("bye", 26_000, 27_000),))
    meeting = recorded(
        tmp_path,
        session("ended", recorded_times=times),
        sentiment(5, spoken=spoken),
        sentiment(24),
        sentiment(25),
        sentiment(26, spoken=end),
    )
    text = export(meeting, "html").decode()
    assert "recorded: 0:01 to 0:06, 0:20 to 0:27" in text
    assert "Grey: not recorded." in text
    assert text.count("<title>not recorded</title>") == 2 * text.count("<figure>")
    assert text.count('class="smooth"') == 2
    said = re.findall(r"<time>(\S+)</time> (not recorded until \S+?|<b>ana</b>)[ <]", text)
    assert said == [
        *(("0:00", "not recorded until 0:01"), ("0:04", "<b>ana</b>")),
        *(("0:06", "not recorded until 0:20"), ("0:26", "<b>ana</b>")),
    ]
    (ana,) = meeting.conversation.participants
    assert (ana.longest_silence_ms, meeting.conversation.silences) == (6_000, 2)
    captions = export(meeting, "vtt").decode()
    assert "NOTE not recorded: 00:00:06.000 to 00:00:20.000\n" in captions
    begins = re.findall(r"^(\S+) --> .* line:0$", captions, re.MULTILINE)
    assert begins == ["00:00:01.000", "00:00:20.000", "00:00:25.000", "00:00:26.000"]
    exported = json.loads(export(meeting, "json"))
    assert exported["session"]["recorded_times"][0] == {"begin_ms": 1_000, "end_ms": 6_000}
    whole = recorded(tmp_path / "whole", session("ended", recorded_times=(RecordedTime(0),)))
    assert "recorded:" not in export(whole, "html").decode()


def test_hours_are_thinned_to_what_can_be_seen(tmp_path: Path) -> None:
    page = export(recorded(tmp_path, *(sentiment(k) for k in range(7200))), "html").decode()
    (line,) = re.findall('class="smooth" d="([^"]*)"', page)
    assert POINTS / 2 < line.count("L") <= POINTS
    assert len(page) < 200_000


def test_moments_lie_apart_and_have_words(tmp_path: Path) -> None:
    peaks = {10: 2.5, 11: 2.4, 40: 2.0, 60: -2.0}
    values = [
        sentiment(k, valence=peaks.get(k, 0.1), text="" if k == 70 else "said") for k in range(71)
    ]
    best = moments(values, best=True)
    assert [(moment.window_index, moment.valence) for moment in best[:2]] == [(10, 2.5), (40, 2.0)]
    assert [moment.window_index for moment in moments(values, best=False)] == [60]


def test_an_empty_recording_exports_to_every_format(tmp_path: Path) -> None:
    empty = recorded(tmp_path, session())
    for name in FORMATS:
        assert export(empty, name) == export(empty, name)
    assert b"Nothing was recorded" in export(empty, "html")
    assert export(empty, "vtt") == b"WEBVTT\n"


def test_the_clock_counts_hours() -> None:
    assert cue_time(3_723_004) == "01:02:03.004"
    assert START.year == 2026
