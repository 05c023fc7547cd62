"""Session times as text."""

import pytest

from streamer.clock import clock


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0:00"), (999, "0:00"), (61_000, "1:01"), (3_599_999, "59:59"), (3_723_004, "1:02:03")],
)
def test_session_times_are_minutes_and_seconds_and_hours_where_needed(
    milliseconds: int, text: str
) -> None:
    assert clock(milliseconds) == text
