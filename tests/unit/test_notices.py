"""Notices of a process: to the log and to the page, once where that is asked for."""

import pytest

from streamer.notices import MAX_NOTICES, Notices


def test_a_notice_is_logged_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    assert notices.give("ana: the camera left")
    assert notices.give("ana: the camera left")
    assert caplog.messages == ["ana: the camera left"] * 2
    assert notices.newest() == ["ana: the camera left"]


def test_a_condition_of_every_window_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    assert [notices.give("ana: very quiet", once=True) for _ in range(3)] == [True, False, False]
    assert caplog.messages == ["ana: very quiet"]


def test_the_newest_are_kept() -> None:
    notices = Notices()
    for number in range(MAX_NOTICES + 1):
        notices.give(str(number))
    assert len(notices.newest()) == MAX_NOTICES
    assert notices.newest()[-1] == str(MAX_NOTICES)
