"""What one worker does not know cannot be lost by its writing: how stored states are merged."""

from __future__ import annotations

from functools import reduce
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streamer.processing.stored import StoredState, changes_in, may_replace
from streamer.smoothing import ParticipantState

RETENTION_MS = 1e6
histories = st.lists(st.integers(1, 30), max_size=12)


def value(changes: int) -> bytes:
    """The one state that a key has after so many changes."""
    state = ParticipantState(next_index=changes)
    return msgspec.msgpack.encode(StoredState(state, 0, 0, changes=changes))


def merged(before: bytes | None, after: bytes | None) -> bytes | None:
    return after if may_replace(before, after, 0.0, RETENTION_MS) else before


def farthest(changes: list[int]) -> bytes | None:
    return reduce(merged, map(value, changes), None)


@given(histories, histories, histories)
def test_merging_is_associative(first: list[int], second: list[int], third: list[int]) -> None:
    left = merged(merged(farthest(first), farthest(second)), farthest(third))
    right = merged(farthest(first), merged(farthest(second), farthest(third)))
    assert left == right == farthest(first + second + third)


@given(histories)
def test_merging_is_idempotent_and_ends_at_the_farthest(changes: list[int]) -> None:
    assert farthest(changes) == farthest(changes + changes)
    assert changes_in(farthest(changes)) == max(changes, default=0)


@given(histories, histories, st.randoms())
def test_no_interleaving_of_two_workers_sets_a_key_back(
    owner: list[int], paused: list[int], random: Random
) -> None:
    """A paused worker's values come anywhere among the owner's, which are ever farther."""
    far = [max(paused, default=0) + each for each in sorted(owner)]
    both = [*far, *paused]
    random.shuffle(both)
    seen = [changes_in(farthest(both[: number + 1])) for number in range(len(both))]
    assert seen == sorted(seen)
    assert farthest(both) == farthest(far if far else paused)
