"""SDP offers of senders: what they may contain, and what is adapted in them (pure).

What enters: the offer as it came. What leaves: the offer as aiortc takes it, and aiortc's answer as
the sender expects it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from streamer.room.people import Refused

MOST_CANDIDATES = 40
"""Addresses in an offer; each one is tried."""
CANNOT_BE_ANSWERED = (
    "The SDP offer cannot be answered: offer Opus for sound, and VP8 or H.264 for images."
)
PROFILE = "42e01f"
"""The profile of H.264 by which aiortc knows it; its decoder takes all of them."""
_END = re.compile(r"^a=end-of-candidates\r?\n", re.MULTILINE)
_FORMAT = re.compile(r"^a=fmtp:(\d+) (?=.*profile-level-id=)(.*)$", re.MULTILINE)
_LEVEL = re.compile(r"profile-level-id=([0-9A-Fa-f]{6})")


@dataclass
class Offer:
    """One sender's offer.

    Attributes:
        sdp: for aiortc.
        profiles: of the payload types whose profile of H.264 was exchanged, the sender's own.
    """

    sdp: str
    profiles: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check it, and let a sender of H.264 alone use any profile.

        The end of the candidates is taken out: aiortc would give up where it reaches none of them,
        as names of browsers that hide their address, although the sender may reach the room.

        Raises:
            Refused: it is no offer of at most one sound and one image.
        """
        if self.sdp.count("\na=candidate:") > MOST_CANDIDATES:
            raise Refused(400, f"Offer at most {MOST_CANDIDATES} candidates.")
        kinds = [line[2:7].lower() for line in self.sdp.splitlines() if line.startswith("m=")]
        if not kinds or sorted(kinds) not in (["audio"], ["video"], ["audio", "video"]):
            raise Refused(400, "Offer one audio track, one video track, or one of each.")
        self.sdp = _END.sub("", self.sdp)
        if " VP8/" not in self.sdp.upper():
            self.sdp = _FORMAT.sub(self._known, self.sdp)

    def answered(self, answer: str) -> str:
        """Return aiortc's answer with the profiles that the sender offered."""
        return _FORMAT.sub(self._own, answer)

    def _known(self, found: re.Match[str]) -> str:
        number, settings = found.groups()
        level = _LEVEL.search(settings)
        if level is not None:
            self.profiles[number] = level[1]
        return f"a=fmtp:{number} {_LEVEL.sub(f'profile-level-id={PROFILE}', settings)}"

    def _own(self, found: re.Match[str]) -> str:
        number, settings = found.groups()
        own = self.profiles.get(number)
        if own is not None:
            settings = _LEVEL.sub(f"profile-level-id={own}", settings)
        return f"a=fmtp:{number} {settings}"
