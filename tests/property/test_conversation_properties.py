"""Properties of talk time, turns, interruptions and silences."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamer.conversation import OVERLAP_MS, SILENCE_MS, Conversation, SpeechTimes, conversation
from streamer.records import SpeechSpan, Spoken
from streamer.spans import complement, covered, union
from tests import made_records as made

END_MS = 30_000
Speech = dict[str, list[tuple[int, int]]]


@st.composite
def spans(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Speech in [0, END_MS), in any order; it may touch and overlap."""
    starts = draw(st.lists(st.integers(0, END_MS - 1), max_size=8))
    return [(start, min(END_MS, start + draw(st.integers(1, 6_000)))) for start in starts]


speeches = st.dictionaries(st.sampled_from(["ana", "bo", "cy"]), spans(), max_size=3)


@given(speeches)
def test_talk_time_is_the_speech_and_some_pauses(speech: Speech) -> None:
    for talk in conversation(speech, END_MS).participants:
        spoken_ms = covered(speech[talk.participant_id], 0, END_MS)
        assert spoken_ms <= talk.talk_ms <= END_MS
        assert (talk.talk_ms > 0) == (spoken_ms > 0)


@given(speeches)
def test_the_shares_add_up_to_one(speech: Speech) -> None:
    shares = [talk.share for talk in conversation(speech, END_MS).participants]
    if any(speech.values()):
        assert abs(sum(share or 0.0 for share in shares) - 1) < 1e-9
    else:
        assert all(share is None for share in shares)


@given(speeches)
def test_counts_and_lengths_agree(speech: Speech) -> None:
    found = conversation(speech, END_MS)
    for talk in found.participants:
        assert 0 <= talk.interruptions <= talk.turns
        assert (talk.longest_turn_ms > 0) == (talk.turns > 0)
        assert talk.longest_turn_ms + talk.longest_silence_ms <= END_MS
    assert found.silence_ms >= found.silences * SILENCE_MS


@given(speeches)
def test_somebody_has_a_turn_where_anybody_speaks(speech: Speech) -> None:
    turns = sum(talk.turns for talk in conversation(speech, END_MS).participants)
    assert (turns > 0) == any(speech.values())


@given(speeches)
def test_nobody_speaks_in_a_silence(speech: Speech) -> None:
    found = conversation(speech, END_MS)
    quiet = complement((span for own in speech.values() for span in own), 0, END_MS)
    assert found.silence_ms <= sum(high - low for low, high in quiet)


@given(spans())
def test_who_is_alone_interrupts_nobody(own: list[tuple[int, int]]) -> None:
    for talk in conversation({"ana": own, "bo": []}, END_MS).participants:
        assert talk.interruptions == 0


@given(speeches, st.integers(0, 10_000))
def test_the_time_of_day_does_not_matter(speech: Speech, by_ms: int) -> None:
    later = {
        name: [(low + by_ms, high + by_ms) for low, high in own] for name, own in speech.items()
    }
    before, after = conversation(speech, END_MS), conversation(later, END_MS + by_ms)
    for one, other in zip(before.participants, after.participants, strict=True):
        assert (one.talk_ms, one.turns, one.interruptions) == (
            *(other.talk_ms, other.turns),
            other.interruptions,
        )


@given(speeches, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_nor_pieces_matter(speech: Speech, random: object) -> None:
    records = [
        made.sentiment(29, participant_id=name, spoken=Spoken((SpeechSpan(low, high),)))
        for name, own in speech.items()
        for span in own
        for low, high in _pieces(*span)
    ]
    silent = [made.sentiment(29, participant_id=name, spoken=Spoken()) for name in speech]
    shuffled = [*records, *records, *silent]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    expected = conversation(speech, END_MS) if speech else Conversation()
    assert SpeechTimes(shuffled).conversation() == expected


def _pieces(low: int, high: int) -> list[tuple[int, int]]:
    middle = (low + high) // 2
    return [(low, middle), (middle, high)] if low < middle else [(low, high)]


@given(spans(), st.integers(0, 2_000))
def test_a_union_is_disjoint_and_covers_the_same(own: list[tuple[int, int]], gap: int) -> None:
    merged = union(own, gap)
    assert all(second[0] - first[1] > gap for first, second in pairwise(merged))
    assert union([*own, *merged], gap) == merged
    assert all(covered(merged, low, high) == high - low for low, high in own)


@given(spans())
def test_a_complement_is_the_rest(own: list[tuple[int, int]]) -> None:
    rest = complement(own, 0, END_MS)
    assert sum(high - low for low, high in rest) + covered(own, 0, END_MS) == END_MS
    assert all(covered(own, low, high) == 0 for low, high in rest)


def test_overlap_is_what_makes_an_interruption() -> None:
    """A turn that begins just before the other ends is a quick answer."""
    for overlap_ms, interruptions in ((OVERLAP_MS - 1, 0), (OVERLAP_MS, 1)):
        speech = {"ana": [(0, 5_000)], "bo": [(5_000 - overlap_ms, 9_000)]}
        _, bo = conversation(speech, END_MS).participants
        assert bo.interruptions == interruptions
