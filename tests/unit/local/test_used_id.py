"""A session id that the broker knows already is told of when a session starts."""

from __future__ import annotations

from streamer.local.run import tell_of_used_id
from streamer.notices import Notices
from streamer.testing import FakeBroker
from tests.made_records import session


async def test_only_an_id_that_was_used_before_is_told_of() -> None:
    notices = Notices()
    with FakeBroker() as broker:
        await tell_of_used_id(broker.config, "golden", notices)
        broker.publish(session(session_id="golden"))
        await tell_of_used_id(broker.config, "golden-2", notices)
        assert notices.newest() == []
        await tell_of_used_id(broker.config, "golden", notices)
    [notice] = notices.newest()
    assert "already has a session golden" in notice
