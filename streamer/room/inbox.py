"""Decoded frames with RTP times → the chunks of one participant.

What enters: frames of the tracks, in the event loop. What leaves: AudioChunks and VideoFrames in
the participant's own time (0 is when they joined), in the pipeline's thread. Sound is never
stretched: where packets are lost there is silence. This module does not know WebRTC.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence

import av
import msgspec

from streamer.capture import Chunk
from streamer.capture.live import MAX_FILL_NS, LiveQueue
from streamer.capture.tracks import AudioTrack, VideoTrack
from streamer.config import Config
from streamer.records import NS_PER_MS, NS_PER_S, AudioChunk, Modality, StreamEnd, Word
from streamer.session.sharing import Shared
from streamer.speech.given import GivenWord, WordQueue

SOUND: frozenset[Modality] = frozenset({"audio", "text"})
"""What needs sound."""
GAP_NS = 10 * NS_PER_MS
"""Half of an Opus packet: a larger step between the times of two packets is a lost packet."""
DRIFT_NS = 300 * NS_PER_MS
"""How far the sender's clock may depart from ours before its times are set anew."""
HORIZON_NS = 10 * NS_PER_S
"""The departure is judged by the fastest packet of so long."""
SILENT_AFTER_NS = 2 * NS_PER_S
"""Time for which no packet has come by then is silence."""


class RtpClock:
    """The RTP times of one track → own time.

    A packet is never earlier than it was sent, so the fastest one of the last HORIZON_NS tells how
    far the clocks are apart; a burst of late packets changes nothing.
    """

    def __init__(self) -> None:
        """Start with the first packet."""
        self._offset_ns: int | None = None
        self._recent: deque[tuple[int, int]] = deque()  # arrival and offset; offsets rise

    def at(self, rtp_ns: int, arrival_ns: int) -> int:
        """Return the own time of a packet, from its RTP time and its arrival in own time."""
        self.note(rtp_ns, arrival_ns)
        return self.time_of(rtp_ns)

    def note(self, sent_ns: int, arrival_ns: int) -> None:
        """Take the time at which something was sent, and its arrival in own time."""
        offset_ns = arrival_ns - sent_ns
        while self._recent and self._recent[-1][1] >= offset_ns:
            self._recent.pop()
        self._recent.append((arrival_ns, offset_ns))
        while self._recent[0][0] < arrival_ns - HORIZON_NS:
            self._recent.popleft()
        least = self._recent[0][1]
        if self._offset_ns is None or abs(least - self._offset_ns) > DRIFT_NS:
            self._offset_ns = least

    def time_of(self, rtp_ns: int) -> int:
        """Return the own time of a moment on the sender's clock, once a packet is noted."""
        return max(0, rtp_ns + (self._offset_ns or 0))


class Inbox:
    """Takes a participant's frames without waiting; a full queue drops the oldest and counts it.

    `chunks` belongs to one thread, everything else to the event loop.

    Attributes:
        words: the words that the sender gives; None where they are recognised in the sound.
    """

    def __init__(
        self, modalities: tuple[Modality, ...], config: Config, clock_ns: Callable[[], int]
    ) -> None:
        """Take what `modalities` allow.

        Args:
            modalities: what the person agreed to share; `text` needs sound.
            config: the settings.
            clock_ns: own time.
        """
        self.counters: Counter[str] = Counter()
        self.has_audio = bool(SOUND & set(modalities))
        self.has_video = "vision" in modalities
        self.words: WordQueue | None = None
        self._agreed = self._shared = frozenset(modalities)
        self._clock_ns = clock_ns
        self._queue = LiveQueue(config.capture.queue_chunks, self.counters)
        self._audio = AudioTrack(0, GAP_NS, MAX_FILL_NS)
        self._video = VideoTrack(0, config.faces.rate_hz)
        self._ended = threading.Event()
        self.renew()

    def renew(self) -> None:
        """Expect a new connection, whose RTP times have nothing to do with those of the last."""
        self._audio_clock, self._video_clock = RtpClock(), RtpClock()
        self._next_rtp_ns: int | None = None

    def use_one_clock(self) -> None:
        """Take all times of the sender as those of one clock; RTP has one for each track."""
        self._video_clock = self._audio_clock

    def take_words(self) -> None:
        """Take the sender's words in place of those that are recognised in the sound."""
        self.words = WordQueue()

    def note(self, sent_ns: int) -> None:
        """Take the time on the sender's clock at which a message that has come was sent."""
        self._audio_clock.note(sent_ns, self._clock_ns())

    def push_words(self, words: Sequence[GivenWord], until_ns: int) -> None:
        """Take words in the sender's time; those that end before `until_ns` are complete.

        Without consent to words, or after the end, they are dropped.
        """
        if self.words is None or "text" not in self._shared or self._ended.is_set():
            return
        placed = [(self._placed(word), language) for word, language in words]
        if not self.words.put(placed, self._audio_clock.time_of(until_ns)):
            self.counters["dropped_words"] += len(words)

    def push_audio(self, frame: av.AudioFrame, rtp_ns: int) -> None:
        """Take decoded sound; what is not shared, and what comes after the end, is dropped."""
        if not self._takes_sound:
            return
        at_ns = self._audio_clock.at(rtp_ns, self._clock_ns())
        self._count_loss(rtp_ns, frame.samples * NS_PER_S // frame.sample_rate)
        self._put(self._audio.push(frame, at_ns))

    def push_video(self, frame: av.VideoFrame, rtp_ns: int) -> None:
        """Take a decoded image; what is not shared, and what comes after the end, is dropped."""
        if "vision" not in self._shared or self._ended.is_set():
            return
        at_ns = self._video_clock.at(rtp_ns, self._clock_ns())
        image = self._video.push(frame, at_ns, 1)
        if image is not None:
            self._queue.put(image)

    def share(self, modalities: Collection[Modality]) -> None:
        """Take only `modalities` from now on; the rest of what was agreed to is dropped.

        What came before is used as it was shared then.
        """
        if self._ended.is_set():
            return
        now_ns, had_sound = self._clock_ns(), self._takes_sound
        if had_sound:
            self._put(self._audio.flush())
        elif self.has_audio:
            self._skip_sound(now_ns)
        before, self._shared = self._shared, self._agreed & frozenset(modalities)
        if self._takes_sound and not had_sound:
            self._audio_clock = RtpClock()
        if "vision" in self._shared - before:
            self._video_clock = RtpClock()
        self._next_rtp_ns = None
        self._queue.put(Shared(now_ns, self._shared))

    def tick(self) -> None:
        """Let time pass: what has not come by now is silence, and no sound where none is shared."""
        if self._ended.is_set():
            return
        now_ns = self._clock_ns()
        until_ns = now_ns - SILENT_AFTER_NS
        if self._takes_sound and until_ns > self._audio.end_ns:
            self.counters["silent_ms"] += (until_ns - self._audio.end_ns) // NS_PER_MS
            self._put(self._audio.silence_until(until_ns))
        elif self.has_audio and not self._takes_sound:
            self._skip_sound(now_ns)

    def end(self) -> None:
        """Take nothing more; `chunks` ends after what is there."""
        if not self._ended.is_set():
            if self._takes_sound:
                self._put(self._audio.flush())
            self._ended.set()

    def chunks(self, stop: threading.Event) -> Iterator[Chunk | Shared]:
        """Yield chunks as they come until `end` or `stop`, then a StreamEnd for each modality.

        While less is shared than was agreed to, a `Shared` lets the time pass.
        """
        shared = self._agreed
        while not (self._ended.is_set() or stop.is_set()):
            item = self._queue.get(0.1)
            if isinstance(item, Shared):
                shared = item.modalities
            if item is not None:
                yield item
            elif shared != self._agreed:
                yield Shared(self._clock_ns(), shared)
        while (item := self._queue.get(0)) is not None:
            yield item
        if self.has_audio:
            yield StreamEnd("audio", self._audio.end_ns)
        if self.has_video:
            yield StreamEnd("vision", self._video.end_ns)

    @property
    def ends_ns(self) -> tuple[int, int]:
        """Own time up to which sound and images have come."""
        return self._audio.end_ns, self._video.end_ns

    @property
    def _takes_sound(self) -> bool:
        return bool(SOUND & self._shared) and not self._ended.is_set()

    def _skip_sound(self, until_ns: int) -> None:
        for _ in self._audio.silence_until(until_ns):
            pass

    def _placed(self, word: Word) -> Word:
        start_ns, end_ns = map(self._audio_clock.time_of, (word.start_ns, word.end_ns))
        return msgspec.structs.replace(word, start_ns=start_ns, end_ns=end_ns)

    def _count_loss(self, rtp_ns: int, length_ns: int) -> None:
        if self._next_rtp_ns is not None and rtp_ns - self._next_rtp_ns > GAP_NS:
            self.counters["lost_audio_ms"] += (rtp_ns - self._next_rtp_ns) // NS_PER_MS
        self._next_rtp_ns = rtp_ns + length_ns

    def _put(self, chunks: Iterator[AudioChunk]) -> None:
        for chunk in chunks:
            self._queue.put(chunk)
