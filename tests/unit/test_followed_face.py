"""Which of several faces is followed: by boxes alone. Each letter of a drawing is a face.

A drawing is a row of the picture, a face's width per letter; `.` is nobody.
"""

from __future__ import annotations

import pytest

from semi_iin.faces import Box
from streamer.followed_face import CHOSEN_FROM, FollowedFace, box_at, exact_place
from streamer.records import NS_PER_S

FRAME_NS = NS_PER_S // 5
HOLD_NS = 4 * FRAME_NS
WIDTH = 60


class Pictures:
    """Pushes drawings as frames; returns where the followed face is, None while it is away."""

    def __init__(self, place: str) -> None:
        self.followed = FollowedFace(place)
        self._now_ns = 0

    def see(self, drawing: str, times: int = 1) -> float | None:
        """The last frame's face, in widths from the left."""
        box = None
        for _ in range(times):
            self._now_ns += FRAME_NS
            oldest_ns = self._now_ns - HOLD_NS
            box = self.followed.push(boxes_of(drawing), self._now_ns, oldest_ns)
        return None if box is None else box[0] / WIDTH

    def at(self, *widths: float) -> float | None:
        """As `see`, with one frame of faces anywhere."""
        self._now_ns += FRAME_NS
        boxes: list[Box] = [(width * WIDTH, 40, WIDTH, WIDTH) for width in widths]
        box = self.followed.push(boxes, self._now_ns, self._now_ns - HOLD_NS)
        return None if box is None else box[0] / WIDTH


def boxes_of(drawing: str) -> list[Box]:
    return [(n * WIDTH, 40, WIDTH, WIDTH) for n, who in enumerate(drawing) if who != "."]


@pytest.mark.parametrize(("place", "at"), [("left", 1), ("right", 7), ("1", 1), ("2", 4), ("3", 7)])
def test_a_place_is_counted_from_the_left(place: str, at: int) -> None:
    pictures = Pictures(place)
    assert pictures.see(".a..b..c.", CHOSEN_FROM - 1) is None
    assert pictures.see(".a..b..c.") == at


def test_the_largest_is_followed_though_a_larger_one_comes() -> None:
    followed = FollowedFace("largest")
    small, large = (0.0, 0.0, 60.0, 60.0), (200.0, 0.0, 90.0, 90.0)
    for n in range(1, 9):
        assert followed.push([small], n * FRAME_NS, 0) == (small if n >= CHOSEN_FROM else None)
    for n in range(9, 30):
        assert followed.push([small, large], n * FRAME_NS, 0) == small


@pytest.mark.parametrize(("place", "drawing"), [("left", ".a"), ("right", ".a"), ("3", "a.b")])
def test_nobody_is_chosen_before_all_who_are_counted_are_in_view(place: str, drawing: str) -> None:
    pictures = Pictures(place)
    assert pictures.see(drawing, 50) is None
    assert not pictures.followed.chosen


def test_who_stays_is_not_taken_for_who_leaves() -> None:
    pictures = Pictures("left")
    assert pictures.see(".a..b.", 10) == 1
    assert pictures.see("....b.", 50) is None
    for widths in (3.5, 3.0, 2.5, 2.0, 1.5, 1.0):  # b moves to a's place
        assert pictures.at(widths) is None
    assert pictures.see(".b....", 50) is None


def test_a_face_that_comes_back_to_its_place_is_followed_again() -> None:
    pictures = Pictures("left")
    pictures.see(".a..b.", 10)
    pictures.see("....b.", 50)
    assert pictures.see(".a..b.") is None
    assert pictures.see(".a..b.") == 1


def test_a_face_that_comes_back_elsewhere_is_not_followed() -> None:
    pictures = Pictures("right")
    pictures.see("a..b......", 10)
    assert pictures.see("a.........", 10) is None
    assert pictures.see("a.......b.", 50) is None


def test_a_moving_head_is_followed_and_absent_while_it_leans_out() -> None:
    pictures = Pictures("left")
    pictures.see("..a....b", 10)
    for widths in (2.3, 2.6, 2.9):
        assert pictures.at(widths, 7) == pytest.approx(widths)
    for widths in (3.4, 3.7, 3.4):
        assert pictures.at(widths, 7) is None
    assert pictures.at(2.9, 7) == pytest.approx(2.9)


def test_who_passes_before_the_followed_face_is_not_followed() -> None:
    """One who is seen coming, stops before the face, and leaves to the other side."""
    pictures = Pictures("left")
    pictures.see("...a........b", 10)
    for widths in (6.0, 5.5, 5.0, 4.5):
        assert pictures.at(3, widths, 12) == 3
    for widths in (4.0, 3.5, 3.2, 3.0):
        assert pictures.at(widths, 12) is None
    assert pictures.see("...x........b", 50) is None
    for widths in (2.6, 2.2, 1.8):
        assert pictures.at(widths, 12) is None
    for widths in (1.4, 1.0, 0.6, 0.2):
        found = pictures.at(3, widths, 12)
        assert found in (None, 3)
    assert pictures.see("...a........b", 3) == 3


def test_who_cannot_be_told_from_another_is_absent() -> None:
    pictures = Pictures("left")
    pictures.see("..a.b", 10)
    for widths in (3.6, 3.2):
        pictures.at(2, widths)
    assert pictures.at(2.5) is None  # one of two
    assert pictures.at(2.4) is None


def test_a_neighbour_who_looks_away_changes_nothing() -> None:
    pictures = Pictures("left")
    pictures.see(".a.b", 10)
    assert pictures.see(".a..", 50) == 1
    assert pictures.see(".a.b", 50) == 1


def test_several_boxes_of_a_face_are_one_face() -> None:
    followed = FollowedFace("left")
    face, again, other = (0.0, 0.0, 60.0, 60.0), (4.0, 2.0, 56.0, 56.0), (200.0, 0.0, 60.0, 60.0)
    for n in range(1, 20):
        box = followed.push([again, face], n * FRAME_NS, 0)
    assert box is None and not followed.chosen
    for n in range(20, 30):
        box = followed.push([again, other, face], n * FRAME_NS, 0)
    assert box == face


def test_a_place_in_percent_is_that_of_a_face_and_needs_no_other_one() -> None:
    there, elsewhere = (120.0, 50.0, 60.0, 60.0), (220.0, 50.0, 60.0, 60.0)
    place = exact_place(there, 300, 200)
    assert (place, box_at(place, 300, 200), box_at("left", 300, 200)) == ("50x40x20", there, None)
    followed = FollowedFace(place, box_at(place, 300, 200))
    assert followed.push([elsewhere], FRAME_NS, 0) is None
    assert followed.push([elsewhere, there], 2 * FRAME_NS, 0) is None
    assert followed.push([elsewhere, there], 3 * FRAME_NS, 0) == there
