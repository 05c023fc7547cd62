"""How much a sender may send: so much a second, and a reserve for what a network held up (pure)."""

from __future__ import annotations


class Allowance:
    """Grows by `per_s` units a second up to `reserve`; what is taken beyond it is refused."""

    def __init__(self, per_s: float, reserve: float, now_s: float) -> None:
        """Start with the whole reserve."""
        self._per_s = per_s
        self._reserve = self._left = reserve
        self._at_s = now_s

    def take(self, units: float, now_s: float) -> bool:
        """Take `units` at `now_s`, seconds on any clock; False where there are not so many."""
        grown = self._left + (now_s - self._at_s) * self._per_s
        self._left, self._at_s = min(self._reserve, grown), now_s
        if units > self._left:
            return False
        self._left -= units
        return True
