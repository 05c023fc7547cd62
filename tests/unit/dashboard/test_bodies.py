"""The page's records in little memory: they are the same, from whatever place they are read."""

from __future__ import annotations

import pytest

from streamer.dashboard.bodies import BLOCK, Bodies

LINES = [b'{"k":%d}' % number for number in range(5 * BLOCK + 7)]


def filled(count: int = len(LINES)) -> Bodies:
    bodies = Bodies()
    for line in LINES[:count]:
        bodies.append(line)
    return bodies


@pytest.mark.parametrize("count", [0, 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, len(LINES)])
def test_all_lines_come_again_in_order(count: int) -> None:
    bodies = filled(count)
    assert len(bodies) == count
    assert bodies.read(0, count + 1) == LINES[:count]


@pytest.mark.parametrize("begin", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 5, 4 * BLOCK, len(LINES)])
@pytest.mark.parametrize("count", [0, 1, 500, 2 * BLOCK])
def test_lines_are_read_from_any_place(begin: int, count: int) -> None:
    assert filled().read(begin, count) == LINES[begin : begin + count]


def test_the_oldest_are_forgotten_and_no_older_block_is_taken_for_a_newer_one() -> None:
    bodies = filled()
    assert bodies.read(0, 1) == LINES[:1]
    for dropped in range(1, 6):
        bodies.forget()
        assert len(bodies) == len(LINES) - dropped * BLOCK
        assert bodies.read(0, 3) == LINES[dropped * BLOCK :][:3]


def test_old_lines_take_a_fraction_of_their_size() -> None:
    bodies = filled()
    held = sum(map(len, bodies._blocks)) / sum(map(len, LINES[: len(bodies._blocks) * BLOCK]))
    assert held < 0.5
