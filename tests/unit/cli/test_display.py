"""The terminal's table: what is shown of each record, and what is not lost in a narrow window."""

from datetime import UTC, datetime

import msgspec
import pytest
from rich.console import Console

from streamer.cli.display import Board, newest_words, valence_bar
from streamer.records import (
    CLASS_LABELS,
    Alert,
    Gate,
    Presence,
    Sentiment,
    SessionSentiment,
    class_index,
    polarity_of,
)

NOW = datetime(2026, 5, 3, 9, 0, tzinfo=UTC)


def sentiment(name, index, valence, text="", **changes):
    base = dict(
        session_id="s",
        participant_id=name,
        window_id=f"s/{name}/{index}",
        window_index=index,
        event_time=NOW,
        start_ms=0,
        end_ms=(index + 1) * 1000,
        valence=valence,
        valence_raw=valence,
        uncertainty=None if valence is None else 0.3,
        label=None if valence is None else CLASS_LABELS[class_index(valence)],
        polarity=None if valence is None else polarity_of(valence),
        class_probabilities=None,
        trend_per_min=None,
        gate=Gate(0.5, 0.5),
        presence=Presence(text=1.0),
        evidence=() if valence is None else ("text",),
        text=text,
        latency_ms={},
        model="m",
    )
    return Sentiment(**{**base, **changes})


def shown(renderable, width=80):
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_table_shows_everyone_with_value_and_words_in_80_columns():
    board = Board("Meeting")
    board.add(sentiment("ana", 3, 2.0, "a wonderful day"))
    board.add(sentiment("bo", 64, -2.75, "this is a very long complaint about everything at all"))
    text = shown(board.live())
    assert "a wonderful day" in text
    assert "everything at all" in text
    assert "+2.00" in text
    assert "-2.75" in text
    assert "strongly negative" in text
    assert "1:05" in text


def test_a_value_that_rounds_to_nothing_has_no_minus():
    board = Board("Meeting")
    board.add(sentiment("ana", 0, -0.004, trend_per_min=-0.04))
    text = shown(board.live())
    assert "+0.00" in text
    assert "+0.0 " in text
    assert "-0.0" not in text


def test_no_evidence_is_said_and_never_shown_as_neutral():
    board = Board("Meeting")
    board.add(sentiment("ana", 0, None))
    text = shown(board.live())
    assert "no evidence" in text
    assert "neutral" not in text
    assert "no evidence" in shown(board.summary())


def test_the_summary_counts_and_finds_the_extremes():
    board = Board("Meeting")
    for index, (valence, words) in enumerate(
        [(1.0, "fine"), (None, ""), (-2.0, "awful"), (2.5, "superb")]
    ):
        board.add(sentiment("ana", index, valence, words))
    text = shown(board.summary(), width=120)
    assert "+0.50" in text
    assert "-2.00 at 0:03 awful" in text
    assert "+2.50 at 0:04 superb" in text


def test_a_replay_shows_how_far_it_is_and_a_live_session_does_not():
    board = Board("Replay", length_s=120)
    board.add(sentiment("ana", 29, 1.0))
    board.add(sentiment("bo", 9, 1.0))
    assert "0:40 of 2:00" in shown(board.live())
    assert " of " not in shown(Board("Live").live())


def test_session_and_alerts_are_shown():
    board = Board("Meeting")
    board.add(
        SessionSentiment(
            session_id="s",
            window_id="s/*/1",
            window_index=1,
            event_time=NOW,
            start_ms=0,
            end_ms=2000,
            valence=0.25,
            uncertainty=0.2,
            spread=1.5,
            label="neutral",
            polarity="neutral",
            trend_per_min=None,
            participants=2,
            model="m",
        )
    )
    fell = Alert(
        alert_id="a",
        session_id="s",
        participant_id="bo",
        kind="sharp_drop",
        state="raised",
        event_time=NOW,
        end_ms=65_000,
        valence=-2.0,
        threshold=1.5,
        message="bo fell",
    )
    board.add(fell)
    board.add(msgspec.structs.replace(fell, alert_id="b", kind="sustained_negative"))
    text = shown(board.live())
    assert "+0.25 neutral over 2 participants, spread 1.50" in text
    assert "1:05  bo fell" in text
    assert shown(board.summary()).count("bo fell") == 1


def test_markup_in_names_and_words_is_shown_as_it_is():
    board = Board("Meeting")
    board.add(sentiment("[red]ana[/]", 0, 1.0, "[bold]shout[/bold]"))
    text = shown(board.live(), width=120)
    assert "[red]ana[/]" in text
    assert "[bold]shout[/bold]" in text


@pytest.mark.parametrize("valence", [-3.0, -0.1, 0.0, 0.1, 3.0])
def test_the_bar_reaches_from_the_middle_to_the_value(valence):
    cells = valence_bar(valence).plain.split()[0]
    assert len(cells) == 9
    assert cells[4] == "█"
    assert (cells[0] == "█") == (valence == -3.0)
    assert (cells[-1] == "█") == (valence == 3.0)


def test_only_the_newest_words_fit():
    assert newest_words("one two three", 8) == "…o three"
    assert newest_words("short", 8) == "short"
