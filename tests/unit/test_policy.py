"""What a session's record allows to be published of its people."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.config import build
from streamer.policy import UNKNOWN_SESSION, Policy, own_policy, policy_of, refusal, stricter
from streamer.testing import ALL_ALLOWED
from tests import made_records

MEETING_ONLY = Policy("session", 3, ("text",))
OPEN_CONFIG = build({})
CLOSED_CONFIG = build(
    {
        "smoothing": {"publish": "session", "session_min_participants": 4},
        "session": {"modalities": ["text", "audio"]},
    }
)


def test_capture_writes_its_settings() -> None:
    assert own_policy(CLOSED_CONFIG) == Policy("session", 4, ("text", "audio"))


@pytest.mark.parametrize("config", [OPEN_CONFIG, CLOSED_CONFIG], ids=["open", "closed"])
def test_a_record_decides_against_the_settings_of_its_reader(config: Any) -> None:
    closed = made_records.session(publish="session", min_participants=3, modalities=("text",))
    assert policy_of(closed, config) == MEETING_ONLY
    opened = made_records.session(publish="participant", min_participants=1)
    assert policy_of(opened, config) == ALL_ALLOWED


def test_the_record_of_an_older_producer_leaves_it_to_the_settings() -> None:
    older = made_records.session(publish=None, min_participants=None, modalities=("text",))
    assert policy_of(older, OPEN_CONFIG) == Policy("participant", 1, ("text",))
    assert policy_of(older, CLOSED_CONFIG) == Policy("session", 4, ("text",))


def test_a_meeting_has_two_participants_whatever_its_record_says() -> None:
    one = made_records.session(publish="session", min_participants=1)
    assert policy_of(one, OPEN_CONFIG).min_participants == 2


def test_of_two_policies_the_stricter_holds_in_every_part() -> None:
    one, other = Policy("session", 2, ("audio", "text")), Policy("participant", 5, ("text",))
    assert stricter(one, other) == stricter(other, one) == Policy("session", 5, ("text",))


def test_a_meeting_shows_its_own_values_and_no_persons() -> None:
    meeting, few = made_records.session_sentiment(participants=3), made_records.session_sentiment()
    allowed = [
        meeting,
        made_records.session_sentiment(valence=None),
        made_records.alert(participant_id=None),
        made_records.session(),
    ]
    refused = [
        few,
        made_records.sentiment(),
        made_records.score(),
        made_records.alert(),
        made_records.window(),
    ]
    assert [refusal(MEETING_ONLY, record) for record in allowed] == [""] * len(allowed)
    assert all(refusal(MEETING_ONLY, record) for record in refused)
    assert [refusal(ALL_ALLOWED, record) for record in [*allowed, *refused]] == [""] * 9


def test_of_an_unknown_session_only_its_record_may_be_shown() -> None:
    assert refusal(None, made_records.session()) == ""
    assert refusal(None, made_records.session_sentiment()) == UNKNOWN_SESSION
