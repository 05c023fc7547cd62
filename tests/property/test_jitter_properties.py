"""Packets of sound that are lost and overtake each other: all that come go out once, in order."""

from __future__ import annotations

from aiortc.rtp import RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from streamer.room.jitter import PATIENCE, SoundBuffer

RUNS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 5)), min_size=1, max_size=12)
"""So many packets come, then so many are lost."""


def packet(number: int) -> RtpPacket:
    """The packet of that number; sequence numbers begin again on the way."""
    made = RtpPacket(sequence_number=(65_520 + number) % 65_536, timestamp=960 * number)
    made._data = b"%d" % number
    return made


def given_out(numbers: list[int]) -> list[int]:
    buffer = SoundBuffer()
    frames = [buffer.add(packet(number))[1] for number in numbers]
    return [int(frame.data) for frame in frames if frame is not None]


LATE = st.dictionaries(st.integers(1, 150), st.integers(1, 3), max_size=30)
"""Numbers of packets that so many later ones overtake."""


@given(RUNS, LATE)
def test_what_comes_goes_out_once_and_in_order(
    runs: list[tuple[int, int]], late: dict[int, int]
) -> None:
    coming: list[int] = []
    number = 0
    for received, lost in runs:
        coming += range(number, number + received)
        number += received + lost
    end = range(number, number + 16)
    order = sorted(coming, key=lambda each: (each + late.get(each, 0), each))
    out = given_out([*order, *end])
    assert out == [each for each in [*coming, *end] if each <= out[-1]]
    assert len(coming) + len(end) - len(out) < PATIENCE


@given(st.integers(1, 1000))
def test_after_an_outage_the_sound_goes_on(lost: int) -> None:
    before, after = range(50), range(50 + lost, 100 + lost)
    out = given_out([*before, *after])
    assert out == sorted(set(out))
    assert set(before) - set(out) <= set(before[-PATIENCE:])
    assert set(after) - set(out) <= set(after[-PATIENCE:])
