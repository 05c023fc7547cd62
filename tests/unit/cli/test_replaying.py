"""Settings under which a session is scored again."""

from __future__ import annotations

from streamer.cli.context import Chosen
from streamer.cli.replaying import narrowed
from streamer.config import load
from streamer.policy import Policy, own_policy
from streamer.testing import ALL_ALLOWED


def test_settings_are_narrowed_to_what_the_old_session_allowed_and_never_widened() -> None:
    overrides = ('session.modalities=["text","vision"]', "kafka.broker=a:1")
    chosen = Chosen(load(None, overrides, environment={}), None, overrides)
    closed = narrowed(chosen, Policy("session", 3, ("audio", "text")))
    assert own_policy(closed.config) == Policy("session", 3, ("text",))
    assert closed.config.kafka.broker == "a:1"
    assert own_policy(load(None, closed.overrides, environment={})) == own_policy(closed.config), (
        "the workers get the same"
    )
    opened = narrowed(chosen, ALL_ALLOWED)
    assert own_policy(opened.config) == Policy("participant", 1, ("text", "vision"))
