"""One sound of several people → each person's own sound.

What enters: chunks of a microphone, and turns that are decided up to a time. What leaves: for each
person who has spoken, chunks in the person's own time, which begins at the first turn; they are
silent where the person does not speak. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.spans import SpeakerTurn
from streamer.speech.turns import Turns


class DividedSound:
    """Holds the sound of which it is not decided yet whose it is: a second or two.

    Attributes:
        begins_ns: when each person was first noticed, by name, in the order of that.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self.begins_ns: dict[str, int] = {}
        self._waiting: deque[AudioChunk] = deque()

    def push(self, chunk: AudioChunk) -> None:
        """Take the next chunk."""
        self._waiting.append(chunk)

    def decide(
        self, turns: Sequence[SpeakerTurn], until_ns: int
    ) -> Iterator[tuple[str, AudioChunk]]:
        """Yield each person's part of the sound that ends at `until_ns`, in order of time.

        Args:
            turns: of everybody in that sound, by start.
            until_ns: the time up to which they are known.
        """
        for turn in turns:
            self.begins_ns.setdefault(turn.speaker, turn.start_ns)
        for chunk in self._released(until_ns):
            for name, begin_ns in self.begins_ns.items():
                if chunk.end_ns > begin_ns:
                    own = Turns((t.start_ns, t.end_ns) for t in turns if t.speaker == name)
                    yield name, _since(own.only(chunk), begin_ns)

    def _released(self, until_ns: int) -> Iterator[AudioChunk]:
        while self._waiting and self._waiting[0].event_time_ns < until_ns:
            chunk = self._waiting.popleft()
            if chunk.end_ns > until_ns:
                count = _samples(until_ns - chunk.event_time_ns)
                rest_ns = chunk.event_time_ns + count * NS_PER_S // SAMPLE_RATE_HZ
                self._waiting.appendleft(AudioChunk(rest_ns, chunk.samples[count:]))
                if not count:
                    return
                chunk = AudioChunk(chunk.event_time_ns, chunk.samples[:count])
            yield chunk


def _since(chunk: AudioChunk, begin_ns: int) -> AudioChunk:
    """Return what of a chunk is behind `begin_ns`, in time from there on."""
    cut = max(0, _samples(begin_ns - chunk.event_time_ns))
    start_ns = chunk.event_time_ns + cut * NS_PER_S // SAMPLE_RATE_HZ
    return AudioChunk(max(0, start_ns - begin_ns), chunk.samples[cut:])


def _samples(time_ns: int) -> int:
    return time_ns * SAMPLE_RATE_HZ // NS_PER_S
