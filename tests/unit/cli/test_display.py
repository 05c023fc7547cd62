"""The terminal's table: what is shown of each record, and what is not lost in a narrow window."""

import re

import pytest
from rich.cells import cell_len, set_cell_size

from streamer.cli.display import Board, Boards, valence_bar
from streamer.records import SpeechSpan, Spoken, SpokenWord
from tests.made_records import alert, sentiment, session, session_sentiment
from tests.printed import printed


def test_the_table_shows_everyone_with_value_and_words_in_80_columns() -> None:
    board = Board("Meeting")
    board.add(sentiment(3, 2.0, text="a wonderful day"))
    complaint = "this is a very long complaint about everything at all"
    board.add(sentiment(64, -2.75, participant_id="bo", text=complaint))
    text = printed(board.live())
    assert "a wonderful day" in text
    assert "everything at all" in text
    assert "+2.00" in text
    assert "-2.75" in text
    assert "strongly negative" in text
    assert "1:05" in text


def test_who_has_a_name_is_shown_by_it() -> None:
    board = Board("Meeting")
    board.add(session())
    assert not board.latest_line()
    board.add(sentiment(3, -2.0, spoken=Spoken((SpeechSpan(0, 900),))))
    board.add(alert())
    assert "ana fell" in board.latest_line().plain
    board.add(session(revision=1, names={"ana": "Ana Berg"}))
    assert board.latest_line().plain == "ana is shown as Ana Berg"
    board.add(session("ended"))
    for text in (printed(board.live()), printed(board.summary())):
        assert "Ana Berg" in text
        assert "ana" not in text


def test_a_value_that_rounds_to_nothing_has_no_minus() -> None:
    board = Board("Meeting")
    board.add(sentiment(0, -0.004, trend_per_min=-0.04))
    text = printed(board.live())
    assert "+0.00" in text
    assert "+0.0 " in text
    assert "-0.0" not in text


def test_no_evidence_is_said_and_never_shown_as_neutral() -> None:
    board = Board("Meeting")
    board.add(sentiment(0, None))
    text = printed(board.live())
    assert "no evidence" in text
    assert "neutral" not in text
    assert "no evidence" in printed(board.summary())


def test_the_summary_counts_and_finds_the_extremes() -> None:
    board = Board("Meeting")
    for index, (valence, words) in enumerate(
        [(1.0, "fine"), (None, ""), (-2.0, "awful"), (2.5, "superb")]
    ):
        board.add(sentiment(index, valence, text=words))
    text = printed(board.summary(), width=120)
    assert "+0.50" in text
    assert "-2.00 at 0:03 awful" in text
    assert "+2.50 at 0:04 superb" in text


def test_a_replay_shows_how_far_it_is_and_a_live_session_does_not() -> None:
    board = Board("Replay", length_s=120)
    board.add(sentiment(29, 1.0))
    board.add(sentiment(9, 1.0, participant_id="bo"))
    assert "0:10 of 2:00" in printed(board.live()), "so much is there of everybody"
    board.add(sentiment(10, 1.0, participant_id="bo", final=True))
    assert "0:30 of 2:00" in printed(board.live()), "bo's recording is shorter"
    assert " of " not in printed(Board("Live").live())


def test_a_replay_of_which_no_person_is_published_shows_how_far_the_meeting_is() -> None:
    board = Board("Replay", length_s=60)
    assert "0:00 of 1:00" in printed(board.live())
    board.add(session_sentiment(29))
    assert "0:30 of 1:00" in printed(board.live())


def test_a_revision_of_an_older_window_is_not_shown_as_the_newest() -> None:
    board = Board("Meeting")
    board.add(session_sentiment(5, spread=1.5))
    board.add(session_sentiment(4, revision=1, spread=0.25))
    assert "spread 1.50" in printed(board.live())
    board.add(session_sentiment(5, revision=1, spread=0.75))
    assert "spread 0.75" in printed(board.live())


def test_session_and_alerts_are_shown() -> None:
    board = Board("Meeting")
    board.add(session_sentiment(1, spread=1.5))
    board.add(alert(64, participant_id="bo"))
    board.add(alert(70, participant_id="bo", state="cleared"))
    text = printed(board.live())
    assert "+0.25 neutral over 2 participants, spread 1.50" in text
    assert "1:05  bo fell sharply, down for 6 s" in text
    assert printed(board.summary()).count("bo fell") == 1


def test_the_summary_has_the_mean_of_the_meeting_over_the_newest_revisions() -> None:
    board = Board("Meeting")
    for index, (valence, revision) in enumerate([(1.0, 0), (None, 0), (-0.5, 1)]):
        board.add(session_sentiment(index, valence, revision=revision))
    board.add(session_sentiment(2, 3.0))
    assert re.search(r"the meeting +3 +2 +\+0\.25", printed(board.summary()))


def test_a_meeting_of_opposite_moods_is_divided() -> None:
    board = Board("Meeting")
    board.add(session_sentiment(1, -0.07, spread=2.07, divided=True))
    assert "-0.07 divided over 2 participants, spread 2.07" in printed(board.live())


def test_the_summary_tells_who_spoke_how_long() -> None:
    board = Board("Meeting")
    board.add(sentiment(59, spoken=Spoken((SpeechSpan(0, 45_000),))))
    board.add(sentiment(59, participant_id="bo", spoken=Spoken((SpeechSpan(44_000, 59_000),))))
    text = printed(board.summary())
    assert re.search(r"ana +0:45 +75% +1 +0:45 +0 +0:15", text)
    assert re.search(r"bo +0:15 +25% +1 +0:15 +1 +0:44", text)
    assert "There was no silence of 2 s or more." in text


def test_the_summary_has_no_table_of_talk_where_nobody_spoke() -> None:
    board = Board("Meeting")
    board.add(sentiment(59, spoken=Spoken()))
    assert "Nobody spoke." in printed(board.summary())
    assert "turns" not in printed(board.summary())


def test_a_meeting_of_one_or_of_nobody_is_said_in_words() -> None:
    board = Board("Meeting")
    board.add(session_sentiment(0, participants=1))
    assert "over 1 participant," in printed(board.live())
    board.add(session_sentiment(1, None))
    assert re.search(r"meeting  no evidence *$", printed(board.live()).strip())


def test_the_summary_says_nothing_of_talk_where_no_record_does() -> None:
    board = Board("Meeting")
    board.add(sentiment(0))
    assert "spoke" not in printed(board.summary())


def test_markup_in_names_and_words_is_shown_as_it_is() -> None:
    board = Board("Meeting")
    board.add(sentiment(0, 1.0, participant_id="[red]ana[/]", text="[bold]shout[/bold]"))
    text = printed(board.live(), width=120)
    assert "[red]ana[/]" in text
    assert "[bold]shout[/bold]" in text


@pytest.mark.parametrize("valence", [-3.0, -0.1, 0.0, 0.1, 3.0])
def test_the_bar_reaches_from_the_middle_to_the_value(valence: float) -> None:
    cells = valence_bar(valence).plain.split()[0]
    assert len(cells) == 9
    assert cells[4] == "█"
    assert (cells[0] == "█") == (valence == -3.0)
    assert (cells[-1] == "█") == (valence == 3.0)


def test_the_highest_revision_of_a_window_counts_in_table_and_summary() -> None:
    board = Board("Meeting")
    for record in (
        sentiment(0, 2.0, text="a wonderful"),
        sentiment(1, 1.0, text="wonderful day"),
        sentiment(0, -2.0, revision=1, text="not a wonderful"),
        sentiment(0, 2.0, text="a wonderful"),
    ):
        board.add(record)
    assert "wonderful day" in printed(board.live()), "the newest window, not the newest record"
    summary = printed(board.summary(), 120)
    assert re.search(r"ana +2 +2 +-0\.50 +-2\.00 at 0:01 not a wonderful +\+1\.00", summary)


def test_speech_that_is_published_again_counts_once_as_talk_time() -> None:
    board = Board("Meeting")
    board.add(sentiment(59, spoken=Spoken((SpeechSpan(0, 30_000),))))
    board.add(sentiment(59, revision=1, spoken=Spoken((SpeechSpan(0, 30_500),))))
    assert "0:30" in printed(board.summary())
    assert "1:00" not in printed(board.summary()).partition("Who spoke")[2].partition("There")[0]


LONG_NAMES = (
    "Anastasia Berg",
    "Maximiliane Katharina von Hohenzollern-Sigmaringen",
    "北京大学人工智能研究院的张教授",
)


def test_in_80_columns_no_name_and_no_number_is_cut() -> None:
    board = Board("Meeting")
    complaint = "这个计划完全不行，我们必须重新开始讨论预算"
    for name in LONG_NAMES:
        board.add(sentiment(3, -2.75, participant_id=name, text=complaint))
    text = printed(board.live())
    assert first_column(text, 17) == [name.replace(" ", "") for name in sorted(LONG_NAMES)]
    assert text.count("···· -2.75 strongly negative +0.4 AT·") == len(LONG_NAMES)
    assert text.count("…开始讨论预算") == len(LONG_NAMES), "of the words the newest"
    assert max(map(cell_len, text.splitlines())) <= 80
    people = [*LONG_NAMES, "themeeting"]
    board.add(session_sentiment(3, -2.75))
    assert first_column(printed(board.summary()), 20) == [name.replace(" ", "") for name in people]


def first_column(table: str, cells: int) -> list[str]:
    """Return the names in the first `cells` cells of a table, each without spaces."""
    body = table.partition("──\n")[2].partition("\n\n")[0]
    names: list[str] = []
    for line in filter(str.strip, body.splitlines()):
        name = set_cell_size(line, cells).strip()
        if re.search(r"\d", line):
            names.append(name)
        else:
            names[-1] += name
    return [name.replace(" ", "") for name in names]


def unsure(*words: tuple[str, float]) -> Spoken:
    return Spoken((), tuple(SpokenWord(text, 0, 1, confidence) for text, confidence in words))


def test_profanity_of_which_the_recogniser_is_unsure_is_hidden() -> None:
    board = Board("Meeting")
    board.add(sentiment(3, -2.0, text="oh shit", spoken=unsure(("oh", 0.9), ("shit", 0.3))))
    assert "oh […]" in board.latest_line().plain
    for text in (printed(board.live()), printed(board.summary(), 120)):
        assert "oh […]" in text
        assert "shit" not in text
    # the next window has the word too, which no record carries again
    board.add(sentiment(4, -2.0, text="oh shit it broke", spoken=unsure(("it", 0.9))))
    assert "oh […] it broke" in printed(board.live())


def test_profanity_of_which_the_recogniser_is_sure_is_shown() -> None:
    board = Board("Meeting")
    board.add(sentiment(3, -2.0, text="oh shit", spoken=unsure(("shit", 0.8))))
    board.add(sentiment(4, -2.0, text="shit happens", spoken=unsure(("happens", 0.8))))
    assert "shit happens" in printed(board.live())


def test_sessions_that_run_together_have_a_table_each() -> None:
    boards = Boards({"standup": Board("Room standup"), "retro": Board("Room retro")})
    assert str(boards.latest_line()) == ""
    boards.add(sentiment(0, session_id="standup", valence=2.0))
    boards.add(sentiment(0, session_id="retro", valence=-2.0))
    assert str(boards.latest_line()).startswith("retro  ana")
    assert set(boards.of["standup"].rows) == set(boards.of["retro"].rows) == {"ana"}
    for text in (printed(boards.live()), printed(boards.summary())):
        ours, _, theirs = text.partition("Room retro")
        assert "Room standup" in ours
        assert "+2.00" in ours
        assert "-2.00" in theirs
