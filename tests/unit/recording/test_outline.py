"""A meeting in sentences, and the figures that they are made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.recording.export import export
from streamer.recording.figures import divided_share, thirds
from streamer.recording.outline import outline, quoted
from streamer.records import SpeechSpan, Spoken
from tests.made_records import alert, recorded, sentiment, session, session_sentiment


def test_a_window_belongs_to_the_third_in_which_it_ends() -> None:
    # 6 windows of a second: the 2nd ends at 2 s, the end of the first third
    records = [sentiment(k, float(value)) for k, value in enumerate([0, 1, 2, 2, -1, -2])]

    assert thirds(records, 6_000) == (0.5, 2.0, -1.5)
    assert thirds(records[:1], 6_000) == (0.0, None, None)
    assert thirds([], 0) == (None, None, None)


def test_windows_without_evidence_are_not_divided() -> None:
    records = [session_sentiment(0, 0.0, divided=True), session_sentiment(1, 1.0)]

    assert divided_share([*records, session_sentiment(2, None)]) == 0.5
    assert divided_share([]) is None


def test_the_sentences_tell_mood_course_people_talk_moments_and_alerts(tmp_path: Path) -> None:
    talk = Spoken((SpeechSpan(0, 3_000),))
    answer = Spoken((SpeechSpan(4_000, 5_000),))
    meeting = recorded(
        tmp_path,
        sentiment(0, 1.0, text="we did well", spoken=talk),
        sentiment(5, -2.0, participant_id="bo", text="this is late", spoken=answer),
        session_sentiment(0, 1.0),
        session_sentiment(2, 0.2, divided=True),
        session_sentiment(5, -2.0),
        alert(2),
        alert(5, state="cleared"),
    )

    assert outline(meeting) == (
        "The meeting was neutral on average (-0.27), and divided for 33% of the time. "
        "It fell from +1.00 in the first third to -2.00 in the last. "
        "ana was the most positive (+1.00), bo the least (-2.00). "
        "ana spoke most, for 75% of the talk time. "
        "The best moment was ana's at 0:01 (+1.00), “we did well”. "
        "The worst moment was bo's at 0:06 (-2.00), “this is late”. "
        "There was one alert: ana fell sharply, down for 3 s."
    )


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    assert outline(recorded(tmp_path, session())) == (
        "The records give no mood of the meeting. There was no alert."
    )


def test_a_steady_meeting_is_said_to_be_one(tmp_path: Path) -> None:
    steady = recorded(tmp_path, *(session_sentiment(k, 0.1) for k in range(6)), alert(1), alert(3))

    text = outline(steady)
    assert "It ended about as it began (+0.10 in the first third, +0.10 in the last)." in text
    assert "There were 2 alerts, the longest: ana fell sharply, down for 2 s." in text


def test_nobody_stands_out_by_nothing(tmp_path: Path) -> None:
    equal = recorded(
        tmp_path,
        *(sentiment(k, 0.5, spoken=Spoken((SpeechSpan(0, 3_000),))) for k in range(6)),
        *(
            sentiment(k, 0.52, participant_id="bo", spoken=Spoken((SpeechSpan(0, 3_000),)))
            for k in range(6)
        ),
        session_sentiment(5),
    )
    text = outline(equal)
    assert "Everybody was about as positive (+0.50 to +0.52)." in text
    assert "spoke most" not in text


def test_an_alert_that_was_never_cleared_lasts_to_the_end(tmp_path: Path) -> None:
    standing = recorded(
        tmp_path,
        *(session_sentiment(k) for k in range(60)),
        alert(0),
        alert(2, state="cleared"),
        alert(9, kind="sustained_negative", alert_id="later"),
    )
    text = outline(standing)
    assert "There were 2 alerts, the longest: ana is negative, from 0:10 to the end." in text
    assert "<td>0:10</td><td>the end</td>" in export(standing, "html").decode()


def test_a_meeting_divided_for_a_moment_is_not_divided_for_0_percent(tmp_path: Path) -> None:
    records = [session_sentiment(k, divided=k == 7) for k in range(300)]
    assert "divided for under 1% of the time" in outline(recorded(tmp_path, *records))


def test_the_report_of_nothing_has_sentences_and_no_empty_table(tmp_path: Path) -> None:
    page = export(recorded(tmp_path, session(), sentiment(0, None, spoken=Spoken())), "html")
    text = page.decode().partition("<body>")[2]
    assert "No window has evidence." in text
    assert "Nobody spoke." in text
    assert "· 1 participant ·" in text
    for absent in ("<tbody></tbody>", " in 0 ", "1 participants"):
        assert absent not in text, absent
    whole = recorded(tmp_path / "whole", session_sentiment(0, None))
    text = export(whole, "html").decode()
    assert "No records of single people." in text
    assert "participants" not in text.partition("</header>")[0]
    assert "<tbody></tbody>" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short", "“short”"),
        ("one two three four", "“…three four”"),
        ("这个计划完全不行我们必须重新开始讨论", "“…全不行我们必须重新开始讨论”"),
    ],
)
def test_a_quotation_keeps_the_newest_words(text: str, shown: str) -> None:
    assert quoted(text, 14) == shown


def test_the_report_has_thirds_and_a_style_for_paper_and_phone(tmp_path: Path) -> None:
    meeting = recorded(
        tmp_path,
        *(sentiment(k, value) for k, value in enumerate([1.0, 0.0, -1.0])),
        *(session_sentiment(k, value) for k, value in enumerate([1.0, 0.0, -1.0])),
    )
    page = export(meeting, "html").decode()

    row = "<td>ana</td><td class=n>+1.00</td><td class=n>+0.00</td><td class=n>-1.00</td>"
    assert row in page
    assert "@media print" in page and "@page" in page and "max-width:40rem" in page
    assert outline(meeting).partition(" (")[0] in page
