"""The join link's token: checked, and only for its time."""

from __future__ import annotations

import pytest

from streamer.room.people import Refused
from streamer.room.tokens import JoinToken


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def refusal(token: JoinToken, shown: str) -> str:
    with pytest.raises(Refused) as refused:
        token.check(shown)
    assert refused.value.status == 401
    return str(refused.value)


def test_a_token_lets_in_until_it_expires() -> None:
    clock = Clock()
    token = JoinToken(3600, "the secret", clock)
    token.check("the secret")
    clock.now_s += 3599.9
    token.check("the secret")
    clock.now_s += 0.1
    assert "has expired" in refusal(token, "the secret")


@pytest.mark.parametrize("shown", ["", "the", "the secret ", "The secret", "é", "\ud800"])
def test_anything_else_is_refused_and_learns_nothing_of_the_time(shown: str) -> None:
    clock = Clock()
    token = JoinToken(3600, "the secret", clock)
    before = refusal(token, shown)
    clock.now_s += 7200
    assert refusal(token, shown) == before
    assert "expired" not in before


def test_each_room_has_another_token() -> None:
    assert len({JoinToken(1).text for _ in range(100)}) == 100
    assert min(len(JoinToken(1).text) for _ in range(100)) >= 20
