"""One person of a recording of several as a Transcriber: only that person's speech and words."""

from __future__ import annotations

from dataclasses import replace

from streamer.records import NS_PER_MS, AudioChunk
from streamer.spans import Span, union
from streamer.speech.attribution import Everybody, said_by
from streamer.speech.streaming import Transcriber, Transcript
from streamer.speech.turns import Turns

MARGIN_NS = 300 * NS_PER_MS
"""Sound before and after a turn that is recognised too: turns may cut off the ends of words."""


class OnePerson:
    """A Transcriber over another one, which gets the sound of one person's turns alone."""

    def __init__(self, inner: Transcriber, speaker: str, everybody: Everybody) -> None:
        """Recognise with `inner`; a word belongs to the speaker that it overlaps most."""
        self.description = inner.description
        self._inner = inner
        self._speaker = speaker
        self._everybody = everybody
        self._own = union(everybody.spans_of(speaker))
        self._turns = Turns((start - MARGIN_NS, end + MARGIN_NS) for start, end in self._own)

    def push(self, chunk: AudioChunk) -> Transcript:
        """Recognise the person's part of a chunk."""
        return self._part(self._inner.push(self._turns.only(chunk)))

    def advance(self, event_time_ns: int) -> Transcript:
        """Let event time pass without sound."""
        return self._part(self._inner.advance(event_time_ns))

    def finish(self) -> Transcript:
        """Settle the last utterance."""
        return self._part(self._inner.finish())

    def _part(self, transcript: Transcript) -> Transcript:
        return replace(
            transcript,
            words=said_by(transcript.words, self._speaker, self._everybody),
            unread=said_by(transcript.unread, self._speaker, self._everybody),
            speech=[part for span in transcript.speech for part in self._inside(span)],
        )

    def _inside(self, span: Span) -> list[Span]:
        start, end = span
        return [(max(start, a), min(end, b)) for a, b in self._own if a < end and b > start]
