"""Alerts as entries for people: the cases that the page is held to too."""

import json
from pathlib import Path
from typing import Any

import pytest

from streamer.alert_entries import alert_entries, alert_text
from tests import made_records as made

CASES = json.loads((Path(__file__).parents[1] / "golden" / "alert_entries.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_entries(case: dict[str, Any]) -> None:
    entries = alert_entries(made.alert(**alert) for alert in case["alerts"])
    found = [[entry.begin_ms, entry.end_ms, entry.text, entry.why] for entry in entries]
    assert found == case["entries"]


def test_who_has_a_name_is_called_by_it() -> None:
    names = {"ana": "Ana Berg"}
    (entry,) = alert_entries([made.alert()], names)
    assert (entry.participant_id, entry.text) == ("ana", "Ana Berg fell sharply")
    assert alert_text(made.alert(), names) == "Ana Berg fell by 1.75 within 15 s; valence is -1.25."
    meeting = made.alert(participant_id=None, message="The meeting fell.")
    assert alert_text(meeting, names) == "The meeting fell."
    rule = made.alert(message="ana: hardly speaks; presence.audio is 0.")
    assert alert_text(rule, names) == "Ana Berg: hardly speaks; presence.audio is 0."
