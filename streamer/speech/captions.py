"""Subtitles as a Transcriber: the words come from a file, the sound only says who speaks when."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from streamer.records import AudioChunk, Word
from streamer.speech.languages import split
from streamer.speech.streaming import Transcriber, Transcript
from streamer.speech.transcripts import Subtitles


class Captions:
    """A Transcriber that gives each word when event time reaches its start.

    Its watermark is the event time that it has seen, so windows never wait for it.
    """

    def __init__(
        self,
        subtitles: Subtitles,
        speech: Transcriber | None,
        description: str,
        scored_languages: Collection[str] = ("en",),
        detected: Mapping[Word, str] = MappingProxyType({}),
    ) -> None:
        """Words of `subtitles`; speech spans from `speech`, None for a recording without sound.

        `detected` holds the languages of words that are not in the one which `subtitles` states.
        """
        self.description = description
        self._languages = scored_languages
        self._language = subtitles.language
        self._detected = detected
        self._words = subtitles.words
        self._speech = speech
        self._given = 0
        self._now_ns = 0

    def push(self, chunk: AudioChunk) -> Transcript:
        """The words that start before the end of the chunk, and the speech in it."""
        transcript = self._speech.push(chunk) if self._speech is not None else None
        self._now_ns = max(self._now_ns, chunk.end_ns)
        return self._transcript(self._due(), transcript)

    def advance(self, event_time_ns: int) -> Transcript:
        """The words that start before `event_time_ns`."""
        transcript = self._speech.advance(event_time_ns) if self._speech is not None else None
        self._now_ns = max(self._now_ns, event_time_ns)
        return self._transcript(self._due(), transcript)

    def finish(self) -> Transcript:
        """All the words that are left: the pictures may last longer than the sound."""
        transcript = self._speech.finish() if self._speech is not None else None
        words = list(self._words[self._given :])
        self._given = len(self._words)
        self._now_ns = max([self._now_ns, *(word.end_ns for word in words)])
        return self._transcript(words, transcript)

    def _due(self) -> list[Word]:
        first = self._given
        while self._given < len(self._words) and self._words[self._given].start_ns < self._now_ns:
            self._given += 1
        return list(self._words[first : self._given])

    def _transcript(self, words: list[Word], transcript: Transcript | None) -> Transcript:
        detected = ((word, self._detected.get(word, self._language)) for word in words)
        read, unread = split(detected, self._languages)
        if transcript is None:
            return Transcript(read, [], self._now_ns, self._now_ns, unread)
        reached_ns = transcript.speech_watermark_ns
        return Transcript(read, transcript.speech, self._now_ns, reached_ns, unread)
