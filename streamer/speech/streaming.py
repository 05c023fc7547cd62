"""Audio → words, in event time: where speech is, which words are committed, how far that is known.

A StreamingRecogniser runs voice activity before a recogniser (an Engine): silence never reaches it,
and the speech between two silences is an utterance. The detector misses shouts, so a loud sound
that stands out from its background is read too; its words count if the engine is sure of them.
While an utterance lasts, the engine decodes it again and again; words on which two consecutive
hypotheses agree are committed and given out, the rest when the utterance ends. Everything is
counted in samples, nothing in wall-clock time: the same audio gives the same words at the same
event times, in whatever chunks and however fast it arrives.
This module knows no engine, thread or window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.config import AsrConfig, to_ns
from streamer.records import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, AudioChunk, Word
from streamer.speech import languages
from streamer.speech.activity import FRAME_NS, FRAME_SAMPLES, VoiceActivity
from streamer.speech.loudness import Loudness

PRE_ROLL_FRAMES = 8
"""Frames (256 ms) before speech is detected that the recogniser reads too: soft first sounds."""
MAYBE_SPEECH, MAYBE_FRAMES = 0.1, 40
"""Frames of this probability shortly before speech are read too, 1.28 s at most: the detector is
unsure of shouted and of whispered beginnings."""
RELEASE = 0.15
"""Speech goes on until the probability falls this far below the threshold at which it began."""
GAP_NS = 100 * NS_PER_MS
"""A hole between chunks from which on the utterance ends; a smaller one is clock jitter."""
SAME_TIME_NS = 200 * NS_PER_MS
"""How far apart two answers may place a word and still agree on it."""
SETTLED_NS = 2 * NS_PER_S
"""A word is given out this long after its end, whether or not the last two answers agree on it."""
UNSURE_FRAMES, LONGEST_UNSURE_NS = 3, 4 * NS_PER_S
"""A loud sound that the detector does not take for speech is read if so many of its frames have
MAYBE_SPEECH; it is cut at this length."""
UNSURE_CONFIDENCE = 0.5
"""Mean confidence of the words of such a sound below which they are inventions."""
LOUD_GOES_ON_NS = 2 * NS_PER_S
"""So long after the last certain speech a loud sound still belongs to the utterance."""
PAUSE_NS = 100 * NS_PER_MS
"""A pause from which on a running utterance is not decoded: its end is, or what follows."""
CUT_FROM = 0.8
"""Share of the longest utterance after which the first quiet frame ends it."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What has become known, from a transcriber to the windower.

    Attributes:
        words: newly committed words, by time; never before the last watermark.
        unread: the same, in a language that the model does not read: shown, not scored.
        speech: new spans `[start_ns, end_ns)` in which somebody speaks, by time, without overlap.
        watermark_ns: every word that ends before it has been given out. Never falls.
        speech_watermark_ns: the same for speech; never behind `watermark_ns`.
    """

    words: list[Word]
    speech: list[tuple[int, int]]
    watermark_ns: int
    speech_watermark_ns: int = 0
    unread: list[Word] = field(default_factory=list)


class Transcriber(Protocol):
    """Gives the words of one participant; called from one thread, blocks while it computes."""

    description: str
    """What gives the words and why it was chosen, a phrase for people."""

    def push(self, chunk: AudioChunk) -> Transcript:
        """Hear a chunk, contiguous with the last one or after a hole."""

    def advance(self, event_time_ns: int) -> Transcript:
        """Let event time pass without sound, for a participant who has none (any more)."""

    def finish(self) -> Transcript:
        """End of stream: commit what is still open; the watermark passes the last sound."""


@dataclass(frozen=True, slots=True)
class WordHypothesis:
    """A stretch of an utterance as an engine hears it; `text` is empty for a pause or a noise.

    Times are nanoseconds from the start of the utterance, `[start_ns, end_ns)`. `language` is a
    two-letter code, empty where it is not known. `tokens` are the engine's own spelling.
    """

    text: str
    start_ns: int
    end_ns: int
    confidence: float
    language: str = ""
    tokens: tuple[int, ...] = ()


class Engine(Protocol):
    """A recogniser of one utterance after another; deterministic."""

    longest_ns: int
    """The longest utterance that it can hear."""

    def begin(self) -> None:
        """A new utterance starts."""

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Hear more of the utterance: (n,) at SAMPLE_RATE_HZ in [-1, 1]."""

    def settle(self, words: Sequence[WordHypothesis]) -> None:
        """Take these words as said, by time: later answers contain only what follows them."""

    def hypothesis(self) -> list[WordHypothesis]:
        """What the utterance seems to say so far, by time; may change with more sound."""

    def end(self) -> list[WordHypothesis]:
        """What the rest of the utterance says, by time; it is over."""


@dataclass(slots=True)
class _News:
    """A Transcript in the making."""

    words: list[tuple[Word, str]] = field(default_factory=list)  # each with its language
    speech: list[tuple[int, int]] = field(default_factory=list)

    def add_speech(self, start_ns: int, end_ns: int) -> None:
        if self.speech and self.speech[-1][1] == start_ns:
            start_ns = self.speech.pop()[0]
        self.speech.append((start_ns, end_ns))


class _PreRoll:
    """The frames before speech that may belong to it.

    The last PRE_ROLL_FRAMES, and up to MAYBE_FRAMES while one in PRE_ROLL_FRAMES may be speech.
    """

    def __init__(self) -> None:
        self._frames: deque[NDArray[np.float32]] = deque(maxlen=MAYBE_FRAMES)
        self._unlikely = 0  # the newest frames, none of which may be speech

    def __len__(self) -> int:
        return len(self._frames)

    def append(self, frame: NDArray[np.float32], probability: float) -> None:
        self._frames.append(frame)
        self._unlikely = 0 if probability >= MAYBE_SPEECH else self._unlikely + 1
        while self._unlikely > PRE_ROLL_FRAMES and len(self._frames) > PRE_ROLL_FRAMES:
            self._frames.popleft()

    def frames(self) -> list[NDArray[np.float32]]:
        return list(self._frames)

    def clear(self) -> None:
        self._frames.clear()
        self._unlikely = 0


class StreamingRecogniser:
    """A Transcriber over voice activity and, when words are wanted, an engine.

    Memory is bounded by the longest utterance (`asr.max_utterance_s`, or less if the engine cannot
    hear as much); a longer one is cut, at a quiet moment if there is one in its last fifth.

    Attributes:
        description: the engine, and why it was chosen.
        interval_ns: how often a running utterance is decoded.
        may_ask: whether a running utterance may be decoded now, given the audio in ns since it
            began or was last decoded. Live sessions wait where others speak too, or audio waits.
    """

    def __init__(
        self, voice: VoiceActivity, engine: Engine | None, config: AsrConfig, description: str
    ) -> None:
        """Listen with `engine`; None gives speech spans and no words."""
        self.description = description
        self.may_ask: Callable[[int], bool] = lambda _: True
        self._voice = voice
        self._utterance = _Utterance(engine, config) if engine is not None else None
        self._languages = config.scored_languages
        self._threshold = config.vad_threshold
        self._release = max(0.01, config.vad_threshold - RELEASE)
        self.interval_ns = to_ns(config.interval_s)
        self._silence_ns = to_ns(config.min_silence_s)
        self._longest_ns = to_ns(config.max_utterance_s)
        if engine is not None:
            self._longest_ns = min(self._longest_ns, engine.longest_ns)
        self._rest: NDArray[np.float32] = np.zeros(0, np.float32)
        self._frame_ns: int | None = None  # time of the first sample in _rest
        self._pre_roll = _PreRoll()
        self._loudness = Loudness()
        self._speaking = False  # an utterance runs,
        self._sure = False  # some of which is certainly speech
        self._unsure_frames = 0
        self._heard_ns = 0  # the end of its newest speech or loud sound
        self._begun_ns = 0
        self._ask_ns = self._asked_ns = 0
        self._spoken_ns = 0  # speech is known up to here
        self._watermark_ns = 0

    def push(self, chunk: AudioChunk) -> Transcript:
        """Hear a chunk; a hole before it ends the utterance, an overlap is heard once."""
        news = _News()
        if self._frame_ns is None:
            self._jump(chunk.event_time_ns, news)
        # A recurrent model that has seen one NaN (float files may hold them) stays deaf.
        samples = np.nan_to_num(np.asarray(chunk.samples, np.float32), posinf=0.0, neginf=0.0)
        hole_ns = chunk.event_time_ns - self._received_ns
        if hole_ns > GAP_NS:
            self._jump(chunk.event_time_ns, news)
        elif hole_ns <= -GAP_NS:
            samples = samples[-hole_ns * SAMPLE_RATE_HZ // NS_PER_S :]
        self._rest = np.concatenate([self._rest, samples])
        self._process_frames(news)
        return self._transcript(news)

    def advance(self, event_time_ns: int) -> Transcript:
        """Let event time pass without sound: what was being said is over."""
        news = _News()
        if self._frame_ns is None or event_time_ns > self._received_ns:
            self._jump(event_time_ns, news)
        return self._transcript(news)

    def finish(self) -> Transcript:
        """Settle the last utterance."""
        news = _News()
        if self._frame_ns is not None:
            self._jump(self._received_ns, news)
        return self._transcript(news)

    @property
    def speaks(self) -> bool:
        """Whether an utterance runs whose words an engine gives."""
        return self._sure and self._utterance is not None

    @property
    def _received_ns(self) -> int:
        """Time just after the last sample pushed."""
        return (self._frame_ns or 0) + len(self._rest) * NS_PER_S // SAMPLE_RATE_HZ

    def _jump(self, event_time_ns: int, news: _News) -> None:
        """Hear the unfinished frame, end the utterance, go on at `event_time_ns`."""
        end_ns = self._received_ns
        if len(self._rest):
            missing = np.zeros(FRAME_SAMPLES - len(self._rest), np.float32)
            self._rest = np.concatenate([self._rest, missing])
            self._process_frames(news, until_ns=end_ns)
        if self._speaking:
            self._end_utterance(end_ns, news)
        self._voice.forget()
        self._pre_roll.clear()
        self._frame_ns = event_time_ns
        self._spoken_ns = max(self._spoken_ns, event_time_ns)
        self._watermark_ns = max(self._watermark_ns, event_time_ns)

    def _process_frames(self, news: _News, until_ns: int | None = None) -> None:
        """Hear every whole frame in `_rest`; speech is not said to last beyond `until_ns`."""
        assert self._frame_ns is not None
        whole = len(self._rest) // FRAME_SAMPLES * FRAME_SAMPLES
        frames = self._rest[:whole].reshape(-1, FRAME_SAMPLES)
        self._rest = self._rest[whole:].copy()
        for frame, probability in zip(frames, self._voice.probabilities(frames), strict=True):
            end_ns = self._frame_ns + FRAME_NS
            known_ns = end_ns if until_ns is None else min(end_ns, until_ns)
            self._process_frame(frame, probability, self._frame_ns, known_ns, news)
            self._frame_ns = end_ns

    def _process_frame(
        self,
        frame: NDArray[np.float32],
        probability: float,
        start_ns: int,
        end_ns: int,
        news: _News,
    ) -> None:
        loud = self._loudness.stands_out(frame)
        if not self._speaking:
            self._process_silence(frame, probability, start_ns, end_ns, news)
            return
        if self._utterance is not None:
            self._utterance.feed(frame)
        self._judge(probability, loud, start_ns, end_ns, news)
        if self._is_over(end_ns, quiet=probability < self._threshold and not loud):
            self._end_utterance(end_ns, news)
        elif self._may_ask(end_ns):
            missed = (end_ns - self._ask_ns) // self.interval_ns
            self._ask_ns += (missed + 1) * self.interval_ns
            self._asked_ns = end_ns
            if self._utterance is not None:
                news.words += self._utterance.commit()
                self._watermark_ns = max(self._watermark_ns, self._utterance.committed_ns)

    def _judge(
        self, probability: float, loud: bool, start_ns: int, end_ns: int, news: _News
    ) -> None:
        """Say what a frame of the running utterance is: speech, loud, or neither."""
        self._unsure_frames += probability >= MAYBE_SPEECH
        if not self._sure:
            self._spoken_ns = start_ns
            self._sure = probability >= self._threshold
        if not self._sure:
            self._spoken_ns = end_ns
        elif probability >= self._release:
            news.add_speech(self._spoken_ns, end_ns)
            self._spoken_ns = self._heard_ns = end_ns
        if loud and end_ns - self._spoken_ns < LOUD_GOES_ON_NS:
            self._heard_ns = end_ns

    def _is_over(self, end_ns: int, *, quiet: bool) -> bool:
        length_ns = end_ns - self._begun_ns
        longest_ns = self._longest_ns
        if not self._sure:
            longest_ns = min(longest_ns, LONGEST_UNSURE_NS)
        return (
            end_ns - self._heard_ns >= self._silence_ns
            or length_ns >= longest_ns
            or (length_ns >= CUT_FROM * self._longest_ns and quiet)
        )

    def _may_ask(self, end_ns: int) -> bool:
        """Whether to decode the running utterance; in a pause it may be about to end.

        Two answers soon after one another agree on a word that is not yet over.
        """
        return (
            self._sure
            and end_ns >= self._ask_ns
            and end_ns - self._asked_ns >= self.interval_ns // 2
            and end_ns - self._heard_ns < PAUSE_NS
            and self.may_ask(end_ns - self._asked_ns)
        )

    def _process_silence(
        self,
        frame: NDArray[np.float32],
        probability: float,
        start_ns: int,
        end_ns: int,
        news: _News,
    ) -> None:
        self._spoken_ns = end_ns
        self._sure = probability >= self._threshold
        if not self._sure and (self._utterance is None or not self._loudness.lasts):
            self._pre_roll.append(frame, probability)
            held_ns = len(self._pre_roll) * FRAME_NS
            self._watermark_ns = max(self._watermark_ns, end_ns - held_ns)
            return
        self._speaking = True
        self._begun_ns = start_ns - len(self._pre_roll) * FRAME_NS
        self._asked_ns = self._begun_ns
        self._ask_ns = self._begun_ns + self.interval_ns
        self._heard_ns, self._unsure_frames = end_ns, 0
        if self._sure:
            news.add_speech(start_ns, end_ns)
        if self._utterance is not None:
            self._utterance.begin(self._begun_ns)
            for earlier in (*self._pre_roll.frames(), frame):
                self._utterance.feed(earlier)
        self._pre_roll.clear()

    def _end_utterance(self, end_ns: int, news: _News) -> None:
        if self._utterance is not None and (self._sure or self._unsure_frames >= UNSURE_FRAMES):
            words = self._utterance.end(end_ns)
            if self._sure or _mean_confidence(words) >= UNSURE_CONFIDENCE:
                news.words += words
        self._speaking = self._sure = False
        self._spoken_ns = max(self._spoken_ns, end_ns)
        self._watermark_ns = max(self._watermark_ns, end_ns)

    def _transcript(self, news: _News) -> Transcript:
        if self._utterance is None:
            self._watermark_ns = max(self._watermark_ns, self._spoken_ns)
        read, unread = languages.split(news.words, self._languages)
        return Transcript(read, news.speech, self._watermark_ns, self._spoken_ns, unread)


def _mean_confidence(words: list[tuple[Word, str]]) -> float:
    return sum(word.confidence for word, _ in words) / len(words) if words else 0.0


class _Utterance:
    """One utterance at a time, and its committed words (local agreement of two hypotheses)."""

    def __init__(self, engine: Engine, config: AsrConfig) -> None:
        self._engine = engine
        self._overdue_ns = max(SETTLED_NS - to_ns(config.interval_s), SETTLED_NS // 2)
        self._begun_ns = 0
        self._length_ns = 0
        self._before: list[WordHypothesis] = []  # the last answer, without what is committed
        self._committed_ns = 0  # from the utterance's start

    @property
    def committed_ns(self) -> int:
        """Session time up to which the words are committed."""
        return self._begun_ns + self._committed_ns

    def begin(self, begun_ns: int) -> None:
        self._begun_ns, self._length_ns, self._committed_ns = begun_ns, 0, 0
        self._before = []
        self._engine.begin()

    def feed(self, frame: NDArray[np.float32]) -> None:
        self._length_ns += FRAME_NS
        self._engine.feed(frame)

    def commit(self) -> list[tuple[Word, str]]:
        """Ask the engine; the words that it also gave the time before are committed.

        So are those that must be settled before it is asked again.
        """
        newest = self._engine.hypothesis()
        answer = newest or self._before  # an engine may reject its own text once
        agreed = 0
        for now, before in zip(newest, self._before, strict=False):
            if (
                _spoken(now.text) != _spoken(before.text)
                or abs(now.start_ns - before.start_ns) > SAME_TIME_NS
                or abs(now.end_ns - before.end_ns) > SAME_TIME_NS
            ):
                break
            agreed += 1
        while agreed < len(answer) and answer[agreed].end_ns <= self._length_ns - self._overdue_ns:
            agreed += 1
        self._engine.settle(answer[:agreed])
        words = self._give(answer[:agreed])
        self._before = answer[agreed:]
        return words

    def end(self, end_ns: int) -> list[tuple[Word, str]]:
        """The utterance is over at `end_ns`: everything that is left."""
        self._length_ns = min(self._length_ns, end_ns - self._begun_ns)
        return self._give(self._engine.end())

    def _give(self, agreed: list[WordHypothesis]) -> list[tuple[Word, str]]:
        """Words of `agreed`, in order and inside the utterance, none before what was committed."""
        words = []
        for word in agreed:
            start_ns = max(word.start_ns, self._committed_ns)
            end_ns = min(max(word.end_ns, start_ns + NS_PER_MS), self._length_ns)
            if end_ns <= start_ns:
                continue
            if word.text:
                begun_ns, confidence = self._begun_ns, min(1.0, max(0.0, word.confidence))
                given = Word(word.text, begun_ns + start_ns, begun_ns + end_ns, confidence)
                words.append((given, word.language))
            self._committed_ns = end_ns
        return words


def _spoken(text: str) -> str:
    """Return a word without case and punctuation, which change from one hypothesis to the next."""
    return "".join(filter(str.isalnum, text)).casefold()
