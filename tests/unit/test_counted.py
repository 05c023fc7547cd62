"""Counts and shares in words."""

import pytest

from streamer.counted import counted, percent


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "no alerts"), (1, "1 alert"), (2, "2 alerts"), (12_345, "12,345 alerts")],
)
def test_a_noun_follows_its_count(count: int, text: str) -> None:
    assert counted(count, "alert") == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0%"), (0.004, "under 1%"), (0.006, "1%"), (0.5, "50%"), (1.0, "100%")],
)
def test_a_share_that_is_not_nothing_is_not_said_to_be(share: float, text: str) -> None:
    assert percent(share) == text
