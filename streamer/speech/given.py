"""Words that a sender gives while the session runs, as a recogniser.

What enters: words with their times, from one thread. What leaves: the same words, in another
thread, and where speech is in the sound. This module does not know the sender.
"""

from __future__ import annotations

import queue
from collections.abc import Collection, Sequence

from streamer.records import AudioChunk, Word
from streamer.speech.languages import split
from streamer.speech.streaming import Transcriber, Transcript

GivenWord = tuple[Word, str]
"""A word and its language, empty where that is not known."""
MAX_WAITING = 1_000
"""Messages with words that may wait for the recogniser's thread."""


class WordQueue:
    """Hands words from the thread that receives them to the recogniser's, without waiting."""

    def __init__(self) -> None:
        """Start without words."""
        self._waiting: queue.Queue[tuple[Sequence[GivenWord], int]] = queue.Queue(MAX_WAITING)

    def put(self, words: Sequence[GivenWord], until_ns: int) -> bool:
        """Add words; every word that ends before `until_ns` has then been given.

        Returns:
            Whether there was room for them.
        """
        try:
            self._waiting.put_nowait((words, until_ns))
        except queue.Full:
            return False
        return True

    def take(self) -> tuple[list[GivenWord], int]:
        """Remove and return the words that wait, by time, and until when all have been given."""
        words: list[GivenWord] = []
        until_ns = 0
        while True:
            try:
                more, ns = self._waiting.get_nowait()
            except queue.Empty:
                return sorted(words, key=lambda given: given[0].start_ns), until_ns
            words += more
            until_ns = max(until_ns, ns)


class Given:
    """A Transcriber whose words a WordQueue gives; the sound tells only when somebody speaks.

    Its watermark is as far as the sender has promised, and never beyond the sound.
    """

    description = "given by the sender"

    def __init__(
        self, words: WordQueue, speech: Transcriber, scored_languages: Collection[str]
    ) -> None:
        """Take the words of `words`, and the spans of speech of `speech`."""
        self._queue = words
        self._speech = speech
        self._languages = scored_languages
        self._until_ns = 0

    def push(self, chunk: AudioChunk) -> Transcript:
        """Return the speech in the chunk, and the words that have been given."""
        return self._transcript(self._speech.push(chunk))

    def advance(self, event_time_ns: int) -> Transcript:
        """Return the words that have been given."""
        return self._transcript(self._speech.advance(event_time_ns))

    def finish(self) -> Transcript:
        """Return the last words; no others follow."""
        last = self._speech.finish()
        self._until_ns = max(self._until_ns, last.watermark_ns)
        return self._transcript(last)

    def _transcript(self, heard: Transcript) -> Transcript:
        words, until_ns = self._queue.take()
        self._until_ns = max(self._until_ns, until_ns)
        read, unread = split(words, self._languages)
        reached_ns = heard.speech_watermark_ns
        return Transcript(read, heard.speech, min(self._until_ns, reached_ns), reached_ns, unread)
