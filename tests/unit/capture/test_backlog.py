"""When the first packets of a network stream were sent."""

from __future__ import annotations

from collections.abc import Iterator

from streamer.capture.backlog import read_backlog
from streamer.records import NS_PER_MS

MS = NS_PER_MS


class Stream:
    """Packets, each a pair of its own time and the time at which it comes, in milliseconds."""

    def __init__(self, *packets: tuple[int | None, int]) -> None:
        self.now_ms = 0
        self._packets = packets

    def packets(self) -> Iterator[int | None]:
        for own_ms, comes_ms in self._packets:
            self.now_ms = max(self.now_ms, comes_ms)
            yield own_ms

    def read(self) -> tuple[list[int | None], int, int]:
        backlog = read_backlog(
            self.packets(),
            lambda: self.now_ms * MS,
            lambda own_ms: None if own_ms is None else own_ms * MS,
        )
        return backlog.packets, backlog.begin_ns // MS, backlog.sent_ns // MS


def test_packets_that_waited_were_sent_before_the_one_that_was_waited_for() -> None:
    """
    own time    1000   1100   1200   1300
    read at        0      0      0     50      the last one alone was waited for
    """
    stream = Stream((1000, 0), (1100, 0), (1200, 0), (1300, 50), (1400, 150))
    assert stream.read() == ([1000, 1100, 1200, 1300], 1000, 50 - 300)


def test_a_stream_without_a_backlog_begins_when_its_first_packet_comes() -> None:
    assert Stream((700, 40), (740, 80)).read() == ([700], 700, 40)


def test_the_earliest_packet_need_not_be_the_first() -> None:
    assert Stream((1020, 0), (1000, 0), (1040, 30)).read() == ([1020, 1000, 1040], 1000, 30 - 40)


def test_no_more_than_some_seconds_count_as_waiting() -> None:
    playlist = Stream(*((second * 1000, 0) for second in range(10)))
    assert playlist.read() == ([0, 1000, 2000, 3000], 0, -3000)


def test_a_stream_that_fails_keeps_its_packets() -> None:
    def packets() -> Iterator[int]:
        yield 500
        raise OSError

    backlog = read_backlog(packets(), lambda: 0, lambda own_ns: own_ns)
    assert backlog.packets == [500]
    assert isinstance(backlog.failure, OSError)


def test_packets_without_times_begin_now() -> None:
    assert Stream((None, 0), (None, 25), (None, 30)).read() == ([None, None], 0, 25)
    assert Stream().read() == ([], 0, 0)
