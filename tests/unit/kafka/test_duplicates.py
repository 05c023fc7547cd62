"""Duplicates are recognised, in bounded memory."""

from streamer.kafka.duplicates import Duplicates
from streamer.remembered import NEW


def test_an_identity_is_new_once() -> None:
    duplicates = Duplicates()
    assert duplicates.is_new("s/ana/0")
    assert not duplicates.is_new("s/ana/0")
    assert duplicates.is_new("s/ana/1")


def test_a_higher_revision_is_new_and_a_lower_one_is_not() -> None:
    duplicates = Duplicates()
    revisions = (0, 2, 1, 2, 0, 3)
    news = [each for each in revisions if duplicates.is_new("s/*/0", each)]
    assert news == [0, 2, 3]


def test_remembered_identities_are_bounded_and_the_latest_are_kept() -> None:
    duplicates = Duplicates(limit=100)
    for k in range(3 * NEW):
        assert duplicates.is_new(str(k))
    assert len(duplicates) <= 100 + NEW
    assert not duplicates.is_new(str(3 * NEW - 1))
    assert duplicates.is_new("0"), "the oldest is forgotten"
