"""The packets that wait when a network stream is opened, and when they were sent.

FFmpeg reads a stream for a while before it can tell what it contains, and a server may begin with
the seconds before. All of that is read at once, so the time at which a packet is read does not tell
when it was sent; the packet that was waited for does. Input: packets, and a clock. Output: the
first of them, and the time of the newest one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from streamer.records import NS_PER_MS, NS_PER_S

WAITED_NS = 10 * NS_PER_MS
"""A packet that took this long to come was sent now; those before it had waited."""
MOST_NS = 3 * NS_PER_S
"""The most of a stream that is taken for waiting; a playlist begins with more than that, and sends
all that follows in such pieces too."""


@dataclass(frozen=True)
class Backlog:
    """The first packets of a stream.

    Attributes:
        packets: in the order of reading.
        begin_ns: the earliest of their own times; 0 where they have none.
        sent_ns: by the clock, when that one was sent.
        failure: why there are no more packets; None if there may be.
    """

    packets: list[Any]
    begin_ns: int
    sent_ns: int
    failure: Exception | None = None


def read_backlog(
    packets: Iterator[Any], now: Callable[[], int], time_ns: Callable[[Any], int | None]
) -> Backlog:
    """Read packets until one had to be waited for, or they are MOST_NS long; may block.

    Args:
        packets: of the stream; the rest stays in it.
        now: the clock, in nanoseconds.
        time_ns: a packet's own time, if it has one.
    """
    taken: list[Any] = []
    first_ns = last_ns = None
    before_ns = read_ns = now()
    failure: Exception | None = None
    try:
        for packet in packets:
            before_ns, read_ns = read_ns, now()
            taken.append(packet)
            if (at_ns := time_ns(packet)) is not None:
                first_ns = at_ns if first_ns is None else min(first_ns, at_ns)
                last_ns = at_ns if last_ns is None else max(last_ns, at_ns)
            if read_ns - before_ns >= WAITED_NS or (last_ns or 0) - (first_ns or 0) >= MOST_NS:
                break
    except Exception as error:
        failure = error
    length_ns = (last_ns or 0) - (first_ns or 0)
    return Backlog(taken, first_ns or 0, read_ns - length_ns, failure)
