"""The list of recorded sessions: search, course, trend, and nothing cut in a narrow window."""

from __future__ import annotations

from datetime import timedelta

import pytest

from streamer.cli.session_list import matching, session_list, sparkline
from streamer.recording.recorded import Summary
from streamer.records import Participant
from tests.made_records import START
from tests.printed import printed


def summary(
    day: int = 0, mean: float | None = 0.5, name: str = "standup", **more: object
) -> Summary:
    fields = {
        "session_id": f"{name}-2026050{day + 3}T090000Z-3f9a",
        "name": name,
        "started_at": START + timedelta(days=day),
        "duration_ms": 3_723_000,
        "complete": True,
        "participants": (Participant("Anastasia Berg-Lindqvist", ()), Participant("[/]bo", ())),
        "alerts": 12,
        "mean_valence": mean,
        "course": (-2.0, 0.0, None, 2.0),
    }
    return Summary(**fields | more)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_name_and_no_number_is_cut(width: int) -> None:
    text = printed(session_list([summary(1, -1.25), summary(0)]), width)

    assert "…" not in text
    for part in ("-1.25", "+0.50", "1:02:03", "12", "▁▅ █", "[/]bo"):
        assert part in text, part


def test_a_session_that_is_not_complete_is_said_to_be_so() -> None:
    assert "not complete" in " ".join(printed(session_list([summary(complete=False)]), 200).split())
    assert "not complete" not in printed(session_list([summary()]), 200)


def test_the_meetings_of_one_name_have_a_trend() -> None:
    # newest first, as the index is: 0, 0.5 and 1 by time
    text = printed(session_list([summary(2, 1.0), summary(1, 0.5), summary(0, 0.0)]), 120)

    assert "standup: 3 meetings ▅▆▇, +0.50 per meeting" in text
    once = printed(session_list([summary(1, 1.0), summary(0, 0.0, name="retro")]), 120)
    assert "per meeting" not in once, "one meeting has no trend"


@pytest.mark.parametrize(
    ("text", "found"), [("STAND", ["standup"]), ("lindqvist", ["standup", "retro"]), ("x", [])]
)
def test_a_search_finds_names_ids_and_people(text: str, found: list[str]) -> None:
    both = [summary(1), summary(0, name="retro")]

    assert [each.name for each in matching(both, text)] == found


def test_a_sparkline_has_a_level_for_each_value() -> None:
    assert sparkline([-3.0, -2.0, -0.01, 0.0, 1.99, 3.0, None]) == "▁▁▄▅██ "
