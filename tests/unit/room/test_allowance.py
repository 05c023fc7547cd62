"""How much a sender may send."""

from streamer.room.allowance import Allowance


def test_the_reserve_passes_at_once_and_grows_again_with_time() -> None:
    allowance = Allowance(per_s=10, reserve=100, now_s=5.0)
    assert allowance.take(60, 5.0)
    assert allowance.take(40, 5.0)
    assert not allowance.take(1, 5.0)
    assert allowance.take(10, 6.0)
    assert not allowance.take(1, 6.0)


def test_the_reserve_is_never_larger_than_at_the_start() -> None:
    allowance = Allowance(per_s=10, reserve=100, now_s=0.0)
    assert not allowance.take(101, 1_000.0)
    assert allowance.take(100, 1_000.0)
