"""What a participant shares, now and at the time of a word."""

from __future__ import annotations

from streamer.records import NS_PER_S, Word
from streamer.session.sharing import Shared, Sharing


def word(second: float) -> Word:
    start_ns = round(second * NS_PER_S)
    return Word("well", start_ns, start_ns + NS_PER_S // 2)


def test_words_count_by_their_beginning_however_late_they_come() -> None:
    sharing = Sharing(["text", "audio"])
    sharing.change(Shared(2 * NS_PER_S, frozenset({"audio"})))
    sharing.change(Shared(4 * NS_PER_S, frozenset({"text"})))
    spoken = [word(second) for second in (0.0, 1.9, 2.0, 3.9, 4.0, 9.0)]
    assert sharing.words(spoken) == [spoken[0], spoken[1], spoken[4], spoken[5]]
    assert sharing.now == {"text"}


def test_a_change_to_the_same_is_none() -> None:
    sharing = Sharing(["text"])
    sharing.change(Shared(NS_PER_S, frozenset()))
    sharing.change(Shared(2 * NS_PER_S, frozenset()))
    sharing.change(Shared(3 * NS_PER_S, frozenset({"text"})))
    assert sharing.words([word(1.5), word(2.5), word(3.5)]) == [word(3.5)]
