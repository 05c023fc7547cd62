"""A sender's packets of sound in order; those that are lost are given up in time.

What enters: RTP packets as they come. What leaves: the content of each, by sequence number.

In aiortc's own buffer a lost packet stops everything until the buffer is full; then each packet
that comes pushes out one of those that wait before the lost one, and they are lost as well.
"""

from __future__ import annotations

from typing import Any

from aiortc.jitterbuffer import JitterBuffer, JitterFrame

CAPACITY = 64
"""Packets, of 20 ms each as browsers send Opus, from the next one on; a power of 2."""
PREFETCH = 4
"""So many packets are behind one that is given out, as in aiortc's own buffer."""
PATIENCE = 8
"""A missing packet is given up once so many later ones wait."""


class SoundBuffer(JitterBuffer):  # type: ignore[misc]  # aiortc has no types
    """A jitter buffer of sound, in which each packet is a frame (RFC 3551, section 4.2)."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__(CAPACITY, PREFETCH)

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        """Return the next frame, if it is time for it; called once for each packet that came."""
        waiting = sum(packet is not None for packet in self._packets)
        in_a_row = next((n for n in range(CAPACITY) if self._at(n) is None), CAPACITY)
        if in_a_row <= PREFETCH and waiting < PATIENCE:
            return None
        while (packet := self._at(0)) is None:
            self.remove(1)
        self.remove(1)
        return JitterFrame(data=packet._data, timestamp=packet.timestamp)

    def _at(self, place: int) -> Any:
        """Return the packet at a place behind the next one; None where it has not come."""
        return self._packets[((self._origin or 0) + place) % CAPACITY]


def use_for_sound(receiver: Any) -> None:
    """Let a receiver of aiortc, which has no setting for it, order its packets by this buffer."""
    receiver._RTCRtpReceiver__jitter_buffer = SoundBuffer()
