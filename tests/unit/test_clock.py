"""Times as text: of a session, and of the wall clock."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from streamer.clock import clock, date_and_time

MOMENT = datetime(2026, 5, 3, 9, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0:00"), (999, "0:00"), (61_000, "1:01"), (3_599_999, "59:59"), (3_723_004, "1:02:03")],
)
def test_session_times_are_minutes_and_seconds_and_hours_where_needed(
    milliseconds: int, text: str
) -> None:
    assert clock(milliseconds) == text


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "2026-05-03 11:00 CEST"),
        ("Asia/Kolkata", "2026-05-03 14:30 IST"),
        ("America/Sao_Paulo", "2026-05-03 06:00 UTC-03:00"),
        ("Pacific/Kiritimati", "2026-05-03 23:00 UTC+14:00"),
        ("UTC", "2026-05-03 09:00 UTC"),
    ],
)
def test_a_wall_clock_time_names_its_zone(zone: str, text: str) -> None:
    assert date_and_time(MOMENT, ZoneInfo(zone)) == text


def test_the_zone_is_the_one_of_this_machine_unless_one_is_given() -> None:
    code = (
        "from datetime import datetime\nfrom streamer.clock import date_and_time\n"
        f"print(date_and_time(datetime.fromisoformat('{MOMENT.isoformat()}'), seconds=True))"
    )
    environment = {**os.environ, "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == "2026-05-03 18:00:07 JST\n"
