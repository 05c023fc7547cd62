"""What a session's record allows to be made and published of its people.

What enters: a `Session`, and the reader's own settings for fields that the session lacks. What
leaves: a `Policy`, and the reason why a record must not be passed on. Every stage, recorder, page
and client asks here. Pure; `kafka/policies.py` reads the sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from streamer.config import Config
from streamer.recorded_times import combined
from streamer.records import (
    Alert,
    Modality,
    Publish,
    RecordedTime,
    Score,
    Session,
    SessionSentiment,
)

UNKNOWN_SESSION = "its session's record is not on the sessions topic, so nothing may be made of it"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a session allows.

    Attributes:
        publish: `session` if no record of a single person may be published.
        min_participants: how many participants a value of the session needs.
        modalities: what may be scored.
        recorded_times: what recorders store; None for what each is started for.
    """

    publish: Publish
    min_participants: int
    modalities: tuple[Modality, ...]
    recorded_times: tuple[RecordedTime, ...] | None = None

    @property
    def persons(self) -> bool:
        """Whether records of single persons may be published."""
        return self.publish == "participant"


def own_policy(config: Config) -> Policy:
    """Return the policy that capture with these settings writes into a session's record."""
    smoothing = config.smoothing
    return Policy(smoothing.publish, smoothing.session_min_participants, config.session.modalities)


def policy_of(session: Session, config: Config) -> Policy:
    """Return the policy of a session's record; `config` gives the fields that it lacks."""
    own = own_policy(config)
    publish = session.publish or own.publish
    least = session.min_participants or own.min_participants
    return Policy(
        publish,
        max(least, 2) if publish == "session" else least,
        session.modalities,
        session.recorded_times,
    )


def stricter(one: Policy, other: Policy) -> Policy:
    """Return the policy that allows only what both allow, and the times that either lists."""
    return Policy(
        publish="participant" if one.persons and other.persons else "session",
        min_participants=max(one.min_participants, other.min_participants),
        modalities=tuple(name for name in one.modalities if name in other.modalities),
        recorded_times=combined(one.recorded_times, other.recorded_times),
    )


def refusal(policy: Policy | None, record: msgspec.Struct) -> str:
    """Return why a record must not be published, stored or shown; empty if it may be.

    Args:
        policy: of the record's session; None if its record has not been read.
        record: of any topic. A session's own record and its end may always be shown.
    """
    if isinstance(record, Session):
        return ""
    if policy is None:
        return UNKNOWN_SESSION
    if isinstance(record, SessionSentiment):
        few = record.valence is not None and record.participants < policy.min_participants
        return f"its session needs {policy.min_participants} participants" if few else ""
    if isinstance(record, Alert) and record.participant_id is None:
        return ""
    return "" if policy.persons else "its session publishes nothing of single persons"


def unallowed_evidence(policy: Policy, score: Score) -> str:
    """Return why a score must not be smoothed: the modalities that its session does not allow."""
    others = ", ".join(name for name in score.evidence if name not in policy.modalities)
    return f"it was made of {others}, which its session does not allow" if others else ""
