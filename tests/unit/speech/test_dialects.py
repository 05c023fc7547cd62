"""One sample of each shape in which transcripts come; the texts are invented."""

from __future__ import annotations

import json

import pytest

from streamer.speech.transcripts import parse_text

GUID = "0f3c7c1a-6f2e-4d4b-9c58-3f1f6a0a9d11"
ZOOM = """WEBVTT

1
00:00:01.000 --> 00:00:03.000
Ana Berg: Good morning

2
00:00:03.500 --> 00:00:05.000
Bo Li: Hello Ana

3
00:00:05.000 --> 00:00:07.000
Ana Berg: Note: the plan changed
"""
ZOOM_CAPTIONS = """[Ana Berg] 09:59:58
Good morning
[Bo Li] 10:00:03: Hello Ana
"""
TEAMS = f"""WEBVTT

{GUID}/12-0
00:00:03.120 --> 00:00:05.120
<v Berg, Ana>Good morning
everyone</v>

{GUID}/13-0
0:0:6.0 --> 0:0:8.0
<v Bo Li>Yes</v>
<v Berg, Ana>Fine
"""
TEAMS_METADATA = """WEBVTT
00:00:01.000 --> 00:00:03.000
{"startDateTime":"2026-01-05T09:00:01Z","endDateTime":"2026-01-05T09:00:03Z",
"speakerName":"Ana Berg","spokenText":"Good morning"}

00:00:03.500 --> 00:00:05.000
{"speakerName":"Bo Li","spokenText":"Hello Ana"}
"""
TEAMS_DOCUMENT = """Plan of the week

0:0:0.0 --> 0:0:1.510
Ana Berg
Good morning

0:0:1.510 --> 0:0:4.0
Bo Li
Hello Ana
and all
"""
TEAMS_SHORT = """Ana Berg   0:03
Good morning
Bo Li   0:05
Hello Ana
"""
MEET = """Plan of the week
Attendees
Ana Berg, Bo Li, Cy Moe

Transcript
00:00:00
Ana Berg: Good morning everybody
Bo Li: Hello to Ana and to Cy:
00:05:00
Ana Berg: Done
Meeting ended after 00:05:02
"""
MEET_ENTRIES = json.dumps(
    {
        "participants": [
            {"name": "c/1/participants/a", "signedinUser": {"displayName": "Ana Berg"}},
        ],
        "transcriptEntries": [
            {
                "participant": "c/1/participants/a",
                "text": "Good morning",
                "startTime": "2026-01-05T09:00:01.5Z",
                "endTime": "2026-01-05T09:00:03Z",
            },
            {
                "participant": "c/1/participants/b",
                "text": "Hello Ana",
                "startTime": "2026-01-05T09:00:04Z",
                "endTime": "2026-01-05T09:00:05Z",
            },
        ],
    }
)
OTTER = """Ana Berg  0:15
Good morning

Bo Li  1:00:16
Hello Ana

Transcribed by https://otter.ai
"""
CLOCK_FIRST = """[00:15] Ana Berg: Good morning
[00:16] Bo Li: Hello Ana
"""
SRT = """1
00:00:01,000 --> 00:00:03,000
[Speaker 1] Good morning

2
00:00:03,500 --> 00:00:05,000
[Speaker 2]: Hello

3
00:00:05,000 --> 00:00:07,000
[laughs] Nobody knows
"""
ALONE = """1
00:00:01,000 --> 00:00:02,000
(Ana Berg)
Good morning

2
00:00:03,000 --> 00:00:04,000
(Ana Berg)
Well
"""
WHISPERX = json.dumps(
    {
        "segments": [
            {
                "start": 1.0,
                "end": 4.0,
                "text": " Good morning Hello",
                "speaker": "SPEAKER_00",
                "words": [
                    {"word": "Good", "start": 1.0, "end": 1.4, "speaker": "SPEAKER_00"},
                    {"word": "morning", "speaker": "SPEAKER_00"},
                    {"word": "Hello", "start": 3.0, "end": 3.5, "speaker": "SPEAKER_01"},
                ],
            },
            {"start": 5.0, "end": 6.0, "text": "Well"},
        ]
    }
)
RTTM = """SPEAKER talk 1 1.00 2.00 <NA> <NA> ana <NA> <NA>
SPEAKER talk 1 2.50 1.00 <NA> <NA> bo <NA> <NA>
"""

ANA, BO = "Ana Berg", "Bo Li"
GOLDEN = {
    "Zoom": (
        ZOOM,
        [
            (ANA, 1.0, 3.0, "Good morning"),
            (BO, 3.5, 5.0, "Hello Ana"),
            (ANA, 5.0, 7.0, "Note: the plan changed"),
        ],
    ),
    "Zoom captions": (
        ZOOM_CAPTIONS,
        [(ANA, 0.0, 0.78, "Good morning"), (BO, 5.0, 5.585, "Hello Ana")],
    ),
    "Teams": (
        TEAMS,
        [
            ("Berg, Ana", 3.12, 5.12, "Good morning everyone"),
            (BO, 6.0, 6.889, "Yes"),
            ("Berg, Ana", 6.889, 8.0, "Fine"),
        ],
    ),
    "Teams metadata": (
        TEAMS_METADATA,
        [(ANA, 1.0, 3.0, "Good morning"), (BO, 3.5, 5.0, "Hello Ana")],
    ),
    "Teams document": (
        TEAMS_DOCUMENT,
        [(ANA, 0.0, 1.51, "Good morning"), (BO, 1.51, 4.0, "Hello Ana and all")],
    ),
    "Teams document, starts": (
        TEAMS_SHORT,
        [(ANA, 3.0, 3.78, "Good morning"), (BO, 5.0, 5.585, "Hello Ana")],
    ),
    "Meet document": (
        MEET,
        [
            (ANA, 0.0, 146.809, "Good morning everybody"),
            (BO, 146.809, 300.0, "Hello to Ana and to Cy:"),
            (ANA, 300.0, 302.0, "Done"),
        ],
    ),
    "Meet entries": (
        MEET_ENTRIES,
        [(ANA, 0.0, 1.5, "Good morning"), ("b", 2.5, 3.5, "Hello Ana")],
    ),
    "Otter": (
        OTTER,
        [(ANA, 15.0, 15.78, "Good morning"), (BO, 3616.0, 3616.585, "Hello Ana")],
    ),
    "clock first": (
        CLOCK_FIRST,
        [(ANA, 15.0, 15.78, "Good morning"), (BO, 16.0, 16.585, "Hello Ana")],
    ),
    "SRT": (
        SRT,
        [
            ("Speaker 1", 1.0, 3.0, "Good morning"),
            ("Speaker 2", 3.5, 5.0, "Hello"),
            (None, 5.0, 7.0, "Nobody knows"),
        ],
    ),
    "name alone": (ALONE, [(ANA, 1.0, 2.0, "Good morning"), (ANA, 3.0, 4.0, "Well")]),
    "WhisperX": (
        WHISPERX,
        [
            ("SPEAKER_00", 1.0, 3.0, "Good morning"),
            ("SPEAKER_01", 3.0, 3.5, "Hello"),
            (None, 5.0, 6.0, "Well"),
        ],
    ),
    "RTTM": (RTTM, [("ana", 1.0, 3.0, ""), ("bo", 2.5, 3.5, "")]),
}


@pytest.mark.parametrize("dialect", GOLDEN)
def test_a_sample_of_each_dialect_is_read(dialect: str) -> None:
    text, expected = GOLDEN[dialect]
    utterances = parse_text(text.replace("\n", "\r\n")).utterances
    assert [
        (
            said.speaker,
            round(said.start_ns / 1e9, 3),
            round(said.end_ns / 1e9, 3),
            " ".join(word.text for word in said.words),
        )
        for said in utterances
    ] == expected


def test_a_word_keeps_the_time_that_whisperx_gives_it() -> None:
    words = parse_text(WHISPERX).words
    assert [(word.text, word.start_ns / 1e9, word.end_ns / 1e9) for word in words[:3]] == [
        ("Good", 1.0, 1.4),
        ("morning", 1.4, 3.0),
        ("Hello", 3.0, 3.5),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Note: the plan changed",
        "he said: well",
        "See this. Then: go",
        "[laughs] well",
        "(Door slams)\nwell",
    ],
)
def test_a_prefix_that_is_no_name_stays_nobody(line: str) -> None:
    cue = "00:0{}.000 --> 00:0{}.500\n{}\n\n"
    text = "WEBVTT\n\n" + "".join(cue.format(n, n, line) for n in (1, 2))
    other = "".join(cue.format(n, n, "and so on") for n in (3, 4))
    assert {said.speaker for said in parse_text(text + other).utterances} == {None}


def test_a_prefix_that_occurs_once_among_others_is_nobody() -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nPlan: go\n\n00:03.000 --> 00:04.000\nwell\n"
    assert [said.speaker for said in parse_text(text).utterances] == [None, None]


def test_a_name_that_occurs_once_counts_where_every_cue_has_one() -> None:
    once = ZOOM.replace("Hello Ana", "Hello Ana\n\n00:08.000 --> 00:09.000\nCy Moe: Hello")
    assert "Cy Moe" in {said.speaker for said in parse_text(once).utterances}


def cues_of(*lines: str) -> str:
    cue = "00:{:02d}.000 --> 00:{:02d}.500\n{}\n\n"
    return "WEBVTT\n\n" + "".join(cue.format(n, n, line) for n, line in enumerate(lines))


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("Berg, Ana: ", "Li, Bo (External): "),
        ("王小明：", "李娜："),
        ("王小明: ", "李娜: "),
        ("Анна Иванова: ", "Борис: "),
        ("+1 (555) 010-0199: ", "1555*****67: "),
    ],
)
def test_every_line_begins_with_a_name_of_any_kind(first: str, other: str) -> None:
    text = cues_of(f"{first}well", f"{other}yes", f"{first}good")
    names = [first.rstrip(":： "), other.rstrip(":： ")]
    utterances = parse_text(text).utterances
    assert [said.speaker for said in utterances] == [*names, names[0]]
    assert [word.text for said in utterances for word in said.words] == ["well", "yes", "good"]


@pytest.mark.parametrize("line", ["Well, Ana: look", "他说：好", "2026 01 05: begin"])
def test_what_may_be_no_name_is_nobody_where_other_lines_have_none(line: str) -> None:
    text = cues_of(line, line, "and so on", "go on")
    assert {said.speaker for said in parse_text(text).utterances} == {None}


def test_two_spellings_of_a_letter_are_one_name() -> None:
    text = cues_of("<v Zoe\u0308>well</v>", "<v Zo\u00eb>yes</v>")
    assert parse_text(text).speakers == ("Zo\u00eb",)


def test_captions_that_go_on_after_midnight_go_on() -> None:
    text = "[Ana Berg] 23:59:59\nGood morning\n[Bo Li] 00:00:01\nHello\n"
    assert [said.start_ns / 1e9 for said in parse_text(text).utterances] == [0.0, 2.0]


@pytest.mark.parametrize("dialect", ["Zoom captions", "Otter", "Meet document", "Meet entries"])
def test_what_is_guessed_about_times_is_said(dialect: str) -> None:
    notices = parse_text(GOLDEN[dialect][0], name="talk.txt").notices
    assert notices
    assert all(notice.startswith("talk.txt: ") for notice in notices)
