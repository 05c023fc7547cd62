"""Which of several faces in a picture is the chosen one; boxes only.

What enters: the boxes of all faces, frame by frame, and a place: `left` and `right`, a number
counted from the left, `largest`, or the place itself, as in `25x40x18`. What leaves: the box of the
chosen face, or None where it is away or cannot be told from another. Pure; knows no picture.

    frame   1: [A] [B]      `left` chooses A; its place is around A, a face's width to each side
            2:     [B]      A is away: None. B was seen elsewhere and is never taken for A
            3: [?] [B]      a face that appears at the place is A's again
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semi_iin.faces import Box

SAME_FACE_OVERLAP = 0.3
"""Boxes with a larger intersection over union show the same face."""
CONFIRMATIONS = 2
"""A face is used from its second detection on."""
CHOSEN_FROM = 5
"""A face is chosen among those that have been detected so often, without a pause."""
PLACE_WIDTHS, NEAR_WIDTHS = 1.0, 1.75
"""How far from its place, in its own widths, the chosen face may be; and another one near it."""
MOST_LARGER = 2.0
"""The same, for its width."""
DRIFT = 0.02
"""How much of the way to its face the place moves with each detection."""


@dataclass(slots=True, eq=False)
class _Face:
    """A face over time."""

    box: Box
    seen_ns: int
    elsewhere: bool
    """Whether it was away from the place while the chosen face was there."""
    times: int = 1


class FollowedFace:
    """One face among several, chosen once and followed at its place.

    It is never swapped for another: a face that was seen elsewhere is never taken for it, and
    while another one is hidden near the place, none is. A new face at an empty place counts as
    the same person's.
    """

    def __init__(self, place: str, chosen: Box | None = None) -> None:
        """Follow the face at `place`: left, right, largest, or a number from 1.

        It is `chosen` where it is known already.
        """
        self._choice = place
        self._faces: list[_Face] = []
        self._place = chosen
        self._hidden_beside = 0  # faces that were in view when one near the place vanished

    @property
    def chosen(self) -> bool:
        """Whether a face has been chosen."""
        return self._place is not None

    @property
    def needed(self) -> int:
        """How many faces must be in view before one is chosen."""
        if self._choice == "largest":
            return 1
        return 2 if self._choice in ("left", "right") else max(2, int(self._choice))

    @property
    def known(self) -> list[Box]:
        """The last boxes of all faces in view."""
        return [face.box for face in self._faces]

    def push(self, boxes: list[Box], now_ns: int, oldest_ns: int) -> Box | None:
        """Return the chosen face's box in a frame; None where it is not certain to be there.

        Args:
            boxes: all faces found; several may show one face.
            now_ns: the frame's time.
            oldest_ns: a face not detected since then is out of view.
        """
        self._match(_distinct(boxes), now_ns)
        self._faces = [face for face in self._faces if face.seen_ns >= oldest_ns]
        if self._place is None:
            self._choose(now_ns)
        if self._place is None:
            return None
        self._watch(self._place, now_ns)
        return self._at(self._place, now_ns)

    def _match(self, boxes: list[Box], now_ns: int) -> None:
        """Move each face to the box that it overlaps most; other boxes are new faces."""
        pairs = [(overlap(face.box, box), face, box) for face in self._faces for box in boxes]
        left = list(boxes)
        for share, face, box in sorted(pairs, key=lambda pair: -pair[0]):
            if share <= SAME_FACE_OVERLAP:
                break
            if face.seen_ns < now_ns and box in left:
                face.box, face.seen_ns, face.times = box, now_ns, face.times + 1
                left.remove(box)
        place = self._place
        self._faces += [
            _Face(box, now_ns, place is not None and not within(place, box, PLACE_WIDTHS))
            for box in left
        ]

    def _choose(self, now_ns: int) -> None:
        """Choose when enough faces are in view."""
        faces = [f for f in self._faces if f.seen_ns == now_ns and f.times >= CHOSEN_FROM]
        if len(faces) < self.needed:
            return
        faces.sort(key=lambda face: _centre(face.box)[0])
        if self._choice == "largest":
            own = max(faces, key=lambda face: area(face.box))
        else:
            side = {"left": 0, "right": -1}.get(self._choice)
            own = faces[int(self._choice) - 1 if side is None else side]
        self._place = own.box
        for face in self._faces:
            face.elsewhere = face is not own

    def _watch(self, place: Box, now_ns: int) -> None:
        """Note when another face vanishes near the place: it may be the one that is seen there.

        That lasts until as many faces are in view again, or nobody is at the place.
        """
        seen = sum(face.seen_ns == now_ns for face in self._faces)
        hidden = [
            face
            for face in self._faces
            if face.elsewhere and face.seen_ns < now_ns and within(place, face.box, NEAR_WIDTHS)
        ]
        if hidden:
            self._hidden_beside = max(self._hidden_beside, seen + len(hidden))
        elif seen >= self._hidden_beside or not self._here(place):
            self._hidden_beside = 0

    def _here(self, place: Box) -> list[_Face]:
        return [face for face in self._faces if within(place, face.box, PLACE_WIDTHS)]

    def _at(self, place: Box, now_ns: int) -> Box | None:
        here = self._here(place)
        own = [f for f in here if not f.elsewhere and f.times >= CONFIRMATIONS]
        if self._hidden_beside or len(own) != 1 or own[0].seen_ns < now_ns:
            return None
        for face in self._faces:
            face.elsewhere |= face not in here
        self._place = blend(place, own[0].box, DRIFT)
        return own[0].box


def exact_place(box: Box, width: int, height: int) -> str:
    """Return the place of a face in an image of that size, as in `25x40x18`.

    These are percentages: the middle's from the left and from the top, and the face's width.
    """
    x, y = _centre(box)
    shares = (x / width, y / height, box[2] / width)
    return "x".join(str(min(999, max(0, round(100 * share)))) for share in shares)


def box_at(place: str, width: int, height: int) -> Box | None:
    """Return the box of an exact place; None where the place is of another kind."""
    if "x" not in place:
        return None
    x, y, side = (int(part) / 100 for part in place.split("x"))
    side_px = max(1.0, side * width)
    return x * width - side_px / 2, y * height - side_px / 2, side_px, side_px


def area(box: Box) -> float:
    """Return a box's area."""
    return box[2] * box[3]


def overlap(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (area(a) + area(b) - common)


def blend(old: Box, new: Box, weight: float) -> Box:
    """Return a box that lies `weight` of the way from one box to another."""
    x, y, w, h = (o + weight * (n - o) for o, n in zip(old, new, strict=True))
    return x, y, w, h


def _centre(box: Box) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def within(place: Box, box: Box, widths: float) -> bool:
    """Return whether a face lies at most so many widths from a place, and is about as large."""
    (x, y), (place_x, place_y) = _centre(box), _centre(place)
    near = max(abs(x - place_x), abs(y - place_y)) <= widths * place[2]
    return near and 1 / MOST_LARGER <= box[2] / place[2] <= MOST_LARGER


def _distinct(boxes: list[Box]) -> list[Box]:
    """Return one box, the largest, for each face."""
    kept: list[Box] = []
    for box in sorted(boxes, key=area, reverse=True):
        if all(overlap(box, other) <= SAME_FACE_OVERLAP for other in kept):
            kept.append(box)
    return kept
