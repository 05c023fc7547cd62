"""Names that people see: which ones count, and which ones are refused."""

from __future__ import annotations

import pytest

from streamer.errors import ConfigError
from streamer.records import Participant
from streamer.shown_names import merged, relation, relations, renamed, shown, stated
from tests.made_records import session

PEOPLE = ("speaker-1", "speaker-2")


def test_who_has_no_name_is_shown_by_the_id() -> None:
    assert shown({"speaker-1": "Ana"}, "speaker-1") == "Ana"
    assert shown({"speaker-1": "Ana"}, "speaker-2") == "speaker-2"


def test_what_turned_out_of_somebodys_voice_is_told_with_names() -> None:
    one = Participant("speaker-1", ())
    joined = Participant("speaker-2", (), merged_into="speaker-1")
    parted = Participant("speaker-3", (), parted_from="speaker-1")
    names = {"speaker-1": "Ana"}
    told = [relation(person, names) for person in (one, joined, parted)]
    assert told == ["", "is Ana", "at first taken for Ana"]
    assert relations([one, joined, parted]) == {
        "merged": {"speaker-2": "speaker-1"},
        "parted": {"speaker-3": "speaker-1"},
    }


def test_the_end_of_a_session_keeps_the_names_that_capture_does_not_have() -> None:
    named = session(revision=1, names={"speaker-1": "Ana"})
    for first, second in ((named, session("ended")), (session("ended"), named)):
        whole = merged(merged(None, first), second)
        assert (whole.state, whole.names) == ("ended", {"speaker-1": "Ana"})
        assert whole.counters == {"late_words": 2}


def test_of_equal_revisions_the_names_of_the_later_record_count() -> None:
    known = session(names={"speaker-1": "ana"})
    nearer = session(names={"speaker-2": "ana"})
    assert merged(known, nearer).names == {"speaker-2": "ana"}
    ended = session("ended", names={"speaker-2": "ana"})
    assert merged(ended, known).names == {"speaker-2": "ana"}, "an end is later"


def test_the_names_of_the_highest_revision_count_in_any_order() -> None:
    early = session(revision=1, names={"speaker-1": "Ann"})
    late = session("ended", revision=2, names={"speaker-1": "Ana"})
    for first, second in ((early, late), (late, early)):
        assert merged(first, second).names == {"speaker-1": "Ana"}
        assert merged(first, second).revision == 2


def test_names_are_added_replaced_and_taken_away() -> None:
    first = renamed(session(), PEOPLE, {"speaker-1": "Ana", "speaker-2": "Bo"})
    assert (first.revision, first.names) == (1, {"speaker-1": "Ana", "speaker-2": "Bo"})
    second = renamed(first, PEOPLE, {"speaker-1": "Anna", "speaker-2": ""})
    assert (second.revision, second.names) == (2, {"speaker-1": "Anna"})
    assert renamed(second, PEOPLE, {"speaker-1": "speaker-1"}).names == {}


def test_an_unknown_participant_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no participant 'speaker-9'; it has speaker-1, speake"):
        renamed(session(), PEOPLE, {"speaker-9": "Ana"})
    crowd = [f"speaker-{n:02d}" for n in range(30)]
    with pytest.raises(ConfigError, match=r"speaker-19 and 10 more\.$"):
        renamed(session(), crowd, {"ana": "Ana"})
    with pytest.raises(ConfigError, match="it has nobody yet"):
        renamed(session(), (), {"ana": "Ana"})


def test_a_name_that_is_another_participants_id_is_refused() -> None:
    with pytest.raises(ConfigError, match="'speaker-2' is the id of another participant"):
        renamed(session(), PEOPLE, {"speaker-1": "speaker-2"})


def test_a_session_that_publishes_no_single_person_has_no_names() -> None:
    with pytest.raises(ConfigError, match="publishes no single person"):
        renamed(session(publish="session"), PEOPLE, {"speaker-1": "Ana"})


def test_names_are_read_as_they_are_typed() -> None:
    texts = ["speaker-1=Ana Berg", "speaker-2 = a=b ", "speaker-3="]
    assert stated(texts) == {"speaker-1": "Ana Berg", "speaker-2": "a=b", "speaker-3": ""}


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["speaker-1"], "write it as speaker-1=Ana"),
        (["=Ana"], "write it as speaker-1=Ana"),
        (["speaker-1=Ana", "speaker-1=Bo"], "speaker-1 is named twice"),
        (["speaker-1=a/b"], "must not contain '/'"),
        (["speaker-1=a\x1bb"], "control characters"),
        (["speaker-1=" + 201 * "a"], "1 to 200 characters"),
    ],
)
def test_what_cannot_be_a_name_is_one_sentence(texts: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        stated(texts)
