"""Duplicates are recognised, in bounded memory."""

from streamer.kafka.duplicates import Duplicates


def test_an_identity_is_new_once() -> None:
    duplicates = Duplicates()
    assert duplicates.is_new("s/ana/0/0")
    assert not duplicates.is_new("s/ana/0/0")
    assert duplicates.is_new("s/ana/1/0")


def test_remembered_identities_are_bounded_and_the_latest_are_kept() -> None:
    duplicates = Duplicates(limit=100)
    for k in range(1000):
        assert duplicates.is_new(str(k))
        assert len(duplicates) <= 100
    assert not duplicates.is_new("999")
    assert duplicates.is_new("0"), "the oldest is forgotten"
