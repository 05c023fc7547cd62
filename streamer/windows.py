"""Audio, words and face crops → aligned windows of one participant.

Input: AudioChunk, Word, speech spans and FaceCrop in session time, each from its own stream, in
any interleaving. Output: Window records, in order, each once or, where windows are revised, again
with its late words. The same input gives the same windows byte for byte, at any speed and, within
the allowed lateness, in any arrival order. This module does not depend on clocks, threads, devices,
codecs, Kafka or models.

Window k ends at `(k+1)·hop` and is the half-open `[max(0, end − length), end)`; a stream of D
seconds has `ceil(D/hop)` windows, the last one cut at D and marked `final`:

    length 3 s, hop 1 s, D = 4.5 s      0   1   2   3   4   5 s
    window 0                            [───)
    window 1                            [───────)
    window 2                            [───────────)
    window 3                                [───────────)
    window 4, final                             [─────────)

A window closes as soon as the watermark reaches its end and the stream is known to continue after
it (so that the last window, and only the last one, is final); `finish` closes the rest.

A windower that revises does not wait for words. It keeps a window that is out until its words are
complete, and gives it out again as revision 1 if they differ: 0, 1, 0 (revision 1), 2, …
"""

from __future__ import annotations

import sys
from bisect import insort
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamer.config import WindowsConfig
from streamer.records import (
    NS_PER_S,
    SAMPLE_RATE_HZ,
    AudioChunk,
    FaceCrop,
    IdentifiedBy,
    Modality,
    Presence,
    StreamEnd,
    Window,
    Word,
)
from streamer.spans import Span, complement, covered, union
from streamer.spoken import Untold, WordsAtHand, span_of

MAX_UNSETTLED = 4
"""Most windows that are out and may be revised; beyond it the oldest is settled as it is."""


@dataclass(slots=True)
class _Stream:
    """Progress of one stream: everything before `reached_ns` has arrived."""

    reached_ns: int = 0
    ended: bool = False
    stalled: bool = False


class Windower:
    """Cuts one participant's streams into windows; pure, synchronous, without a clock.

    The watermark is the time before which every stream has arrived. Audio and faces hold it back
    by their latest event time; words and speech spans by the watermark given with them, but never
    by more than `allowed_lateness` behind audio and faces, unless it is patient. A stream of audio
    or faces that falls more than `stall_timeout` behind the furthest one stops holding the
    watermark back until it has caught up. A stream that has ended does not hold it back.

    Data that belongs to a window that has already closed (words: that is not revised any more) is
    late. It is counted in `counters` (`late_words`, `late_audio_samples`, `late_faces`) and still
    goes into the later windows that cover it. `counters` also has `windows`, `stalled` (how often a
    stream began to stall) and `words_past_end` (words that begin after the stream's end and so are
    in no window).

    Memory: audio, words and faces of at most length + max(stall_timeout, allowed_lateness, or the
    longest utterance if it is patient) + one hop of the furthest stream, `context_words` earlier
    words, words given ahead of their time, and MAX_UNSETTLED windows.
    """

    def __init__(
        self,
        session_id: str,
        participant_id: str,
        session_start_unix_ns: int,
        modalities_expected: Collection[Modality],
        windows: WindowsConfig,
        face_rate_hz: float,
        *,
        session_participants: int = 0,
        identified_by: IdentifiedBy = "source",
        revises: bool = False,
        patient: bool = False,
    ) -> None:
        """Start at session time 0.

        Args:
            session_id: written into every window.
            participant_id: written into every window.
            session_start_unix_ns: wall clock at session time 0.
            modalities_expected: the streams that windows wait for and contain; others are
                ignored. With `audio`, windows wait for speech spans as they do for words. With
                neither `audio` nor `vision`, only `advance` moves the stream on.
            windows: lengths, hop, lateness and stall timeout.
            face_rate_hz: crops per second to expect, for `Presence.vision`.
            session_participants: written into every window.
            identified_by: written into every window.
            revises: close windows before their words are complete, and revise them.
            patient: wait for words however late they come, as of a recording.
        """
        if not modalities_expected:
            raise ValueError("a windower needs at least one expected modality")
        self._session_id = session_id
        self._participant_id = participant_id
        self._session_start_unix_ns = session_start_unix_ns
        self._settings = windows
        self._face_rate_hz = face_rate_hz
        self._session_participants = session_participants
        self._identified_by = identified_by
        self._patient = patient

        self._expected = frozenset(modalities_expected)
        self._media = {name: _Stream() for name in modalities_expected if name != "text"}
        self._advanced_ns = 0
        self._words_reached_ns = 0
        self._speech_reached_ns = 0
        self._text_ended = False
        self._watermark_ns = self._complete_ns = 0

        self._next_index = self._skipped = 0
        self._closed_ns = 0
        self._audio: list[tuple[int, NDArray[np.int16]]] = []
        self._faces: list[FaceCrop] = []
        self._words = WordsAtHand(windows.context_words)
        self._speech: list[Span] = []
        self._withheld: list[Span] = []
        self._untold = Untold(voice="audio" in self._expected, words="text" in self._expected)
        self._revises = revises and "text" in self._expected
        self._unsettled: deque[Window] = deque()
        self._again_before = 0
        self.counters: Counter[str] = Counter()

    @property
    def watermark_ns(self) -> int:
        """Windows that end at or before this time may close; it never falls."""
        return self._watermark_ns

    def push_audio(self, chunk: AudioChunk) -> list[Window]:
        """Add audio; each sample goes to its nearest position on the 16 kHz grid.

        Gaps are silence. Where chunks overlap, the chunk pushed last wins.

        Args:
            chunk: float32 mono; values outside [-1, 1] are clipped, NaN is silence.

        Returns:
            The windows that this closes or revises, in order.
        """
        first = _sample_at(chunk.event_time_ns)
        late = min(len(chunk.samples), max(0, _sample_at(self._closed_ns) - first))
        self.counters["late_audio_samples"] += late
        if "audio" in self._expected and len(chunk.samples) and not self._finished:
            self._audio.append((first, _pcm16(chunk.samples)))
        return self._advance_stream("audio", chunk.end_ns)

    def push_face(self, face: FaceCrop | None, event_time_ns: int) -> list[Window]:
        """Add the face in the frame at `event_time_ns`, or None for a frame without a face.

        Frames must come in event-time order.

        Returns:
            The windows that this closes or revises, in order.
        """
        if face is not None:
            self.counters["late_faces"] += face.event_time_ns < self._closed_ns
            if "vision" in self._expected and not self._finished:
                insort(self._faces, face, key=_face_order)
        return self._advance_stream("vision", event_time_ns)

    def push_words(
        self, words: Sequence[Word], watermark_ns: int, *, unread: Sequence[Word] = ()
    ) -> list[Window]:
        """Add recognised words, in any order, and the recogniser's watermark.

        A word belongs to every window that overlaps its `[start_ns, end_ns)`; a word without a
        duration to the windows that contain its start.

        Args:
            words: new words, each given once.
            unread: new words in a language that the model does not read. A window contains them,
                but where one is, text is no evidence; they are no context of later windows.
            watermark_ns: no later word starts before this time; it may be after the stream's end
                (a transcript is complete from the start).

        Returns:
            The windows that this closes or revises, in order.
        """
        for word in (*words, *unread):
            self.counters["late_words"] += word.start_ns < self._settled_ns
        if "text" in self._expected and not self._finished:
            self._words.add(words, unread)
            self._untold.add_words([*words, *unread])
        self._words_reached_ns = max(self._words_reached_ns, watermark_ns)
        return self._close_ready()

    def push_speech(self, spans: Sequence[Span], watermark_ns: int) -> list[Window]:
        """Add spans of time that contain speech; they may touch and overlap.

        Args:
            spans: `[start_ns, end_ns)` each; a span that grows may be given in parts.
            watermark_ns: all speech before this time has been given.

        Returns:
            The windows that this closes or revises, in order.
        """
        if not self._finished:
            self._speech = union([*self._speech, *spans])
            self._untold.add_speech(spans)
        self._speech_reached_ns = max(self._speech_reached_ns, watermark_ns)
        return self._close_ready()

    def advance(self, event_time_ns: int) -> list[Window]:
        """Let event time pass without data of an expected stream.

        In a text-only session only the recogniser gets the audio; the audio's time drives the
        windows through this method.

        Returns:
            The windows that this closes or revises, in order.
        """
        self._advanced_ns = max(self._advanced_ns, event_time_ns)
        return self._close_ready()

    def begin(self, event_time_ns: int) -> list[Window]:
        """Let event time pass before the participant's streams begin.

        None of them has anything before this time, so none holds the watermark back or stalls.

        Returns:
            The windows that this closes or revises, in order.
        """
        for stream in self._media.values():
            stream.reached_ns = max(stream.reached_ns, event_time_ns)
        self._words_reached_ns = max(self._words_reached_ns, event_time_ns)
        self._speech_reached_ns = max(self._speech_reached_ns, event_time_ns)
        return self.advance(event_time_ns)

    def join(self, event_time_ns: int) -> list[Window]:
        """Begin with the window that contains `event_time_ns`; call it before any data.

        The participant has no earlier windows: the first one carries their number in `skipped`.

        Returns:
            No window: the one that contains the time is still open.
        """
        self._next_index = self._skipped = event_time_ns // self._settings.hop_ns
        self._closed_ns = self._next_index * self._settings.hop_ns
        return self.begin(event_time_ns)

    def end(self, end: StreamEnd) -> list[Window]:
        """End a modality for good; `text` ends words and speech spans.

        The end of a modality that is not expected lets event time pass, as `advance` does.

        Returns:
            The windows that this closes or revises, in order.
        """
        if end.modality in self._media:
            self._media[end.modality].ended = True
            return self._advance_stream(end.modality, end.event_time_ns)
        self._text_ended |= end.modality == "text"
        return self._close_ready() if end.modality == "text" else self.advance(end.event_time_ns)

    def withhold(self, modality: Modality, event_time_ns: int) -> list[Window]:
        """Let event time pass without a modality that the participant does not share any more.

        Nothing of it is waited for until `resume`, and speech without shared sound is no evidence
        of sound.

        Returns:
            The windows that this closes, oldest first.
        """
        if modality == "audio" and modality in self._media:
            since_ns = self._media[modality].reached_ns
            self._withheld = union([*self._withheld, (since_ns, event_time_ns)])
        return self.end(StreamEnd(modality, event_time_ns))

    def resume(self, modality: Modality) -> None:
        """Wait for a modality again that the participant shares again."""
        if modality in self._media:
            self._media[modality].ended = False

    def finish(self) -> list[Window]:
        """Revise what may be revised and close every remaining window; the last one is final.

        The stream's end D is the latest time that audio, faces or `advance` reached. An empty
        stream (D = 0) has no window. Data pushed afterwards is late.
        """
        self._complete_ns = sys.maxsize
        end_ns, closed = self._extent_ns, self._settle()
        while self._closed_ns < end_ns and not self._finished:
            closed.append(self._close(end_ns))
        self.counters["words_past_end"] += self._words.beginning_from(end_ns)
        self._audio, self._faces, self._speech = [], [], []
        self._words = WordsAtHand(0)
        self._closed_ns = sys.maxsize
        return closed

    @property
    def _finished(self) -> bool:
        return self._closed_ns == sys.maxsize

    @property
    def _settled_ns(self) -> int:
        """End of the last window that takes no more words."""
        if self._unsettled:
            return self._unsettled[0].end_ns - self._settings.hop_ns
        return self._closed_ns

    @property
    def _extent_ns(self) -> int:
        return max([self._advanced_ns, *(s.reached_ns for s in self._media.values())])

    def _advance_stream(self, modality: Modality, reached_ns: int) -> list[Window]:
        if modality in self._media:
            stream = self._media[modality]
            stream.reached_ns = max(stream.reached_ns, reached_ns)
        return self._close_ready()

    def _close_ready(self) -> list[Window]:
        self._mark_stalled()
        media_ns = self._media_watermark_ns()
        self._complete_ns = max(self._complete_ns, self._words_watermark_ns(media_ns))
        closing_ns = media_ns if self._revises else self._complete_ns
        self._watermark_ns = max(self._watermark_ns, closing_ns)
        extent_ns, closed = self._extent_ns, self._settle()
        while (next_end_ns := self._closed_ns + self._settings.hop_ns) <= self._watermark_ns:
            if next_end_ns >= extent_ns:
                break
            closed.append(self._close(extent_ns))
            closed += self._settle()
        return closed

    def _mark_stalled(self) -> None:
        furthest_ns = self._extent_ns
        for stream in self._media.values():
            behind_ns = furthest_ns - stream.reached_ns
            stalled = not stream.ended and behind_ns > self._settings.stall_timeout_ns
            self.counters["stalled"] += stalled and not stream.stalled
            stream.stalled = stalled

    def _media_watermark_ns(self) -> int:
        holding = [s.reached_ns for s in self._media.values() if not (s.ended or s.stalled)]
        return min(holding, default=self._extent_ns)

    def _words_watermark_ns(self, media_ns: int) -> int:
        """Windows that end at or before this time take no more words."""
        if self._patient:
            return min(media_ns, self._text_watermark_ns())
        latest_wait_ns = media_ns - self._settings.allowed_lateness_ns
        return min(media_ns, max(self._text_watermark_ns(), latest_wait_ns))

    def _text_watermark_ns(self) -> int:
        """Watermark of words and speech spans; no limit once they have ended."""
        if self._text_ended:
            return sys.maxsize
        watermark_ns = self._words_reached_ns if "text" in self._expected else sys.maxsize
        audio = self._media.get("audio")
        if audio is None or (audio.ended and self._speech_reached_ns >= audio.reached_ns):
            return watermark_ns
        return min(watermark_ns, self._speech_reached_ns)

    def _settle(self) -> list[Window]:
        """Revise the windows whose words are complete by now.

        Those that went out between a window and its revision are revised too, with or without
        other words, so that smoothing takes each again after the windows before it.
        """
        revised = []
        while self._unsettled and (
            self._unsettled[0].end_ns <= self._complete_ns or len(self._unsettled) > MAX_UNSETTLED
        ):
            sent = self._unsettled.popleft()
            complete = self._with_words(sent)
            if sent.window_index < self._again_before or _says(complete) != _says(sent):
                if complete != sent:
                    self._again_before = self._next_index
                spoken = self._untold.take(sent.end_ns, sent.spoken)
                revised.append(msgspec.structs.replace(complete, revision=1, spoken=spoken))
        return revised

    def _close(self, extent_ns: int) -> Window:
        settings, nominal_end_ns = self._settings, self._closed_ns + self._settings.hop_ns
        start_ns = max(0, nominal_end_ns - settings.length_ns)
        end_ns = min(nominal_end_ns, extent_ns)
        self._words.retire(self._kept_from_ns(start_ns))
        window = Window(
            session_id=self._session_id,
            participant_id=self._participant_id,
            window_index=self._next_index,
            session_start_unix_ns=self._session_start_unix_ns,
            start_ns=start_ns,
            end_ns=end_ns,
            audio=self._audio_between(start_ns, end_ns),
            faces=tuple(f for f in self._faces if start_ns <= f.event_time_ns < end_ns),
            final=nominal_end_ns >= extent_ns,
            session_participants=self._session_participants,
            identified_by=self._identified_by,
            spoken=self._untold.take(end_ns),
            skipped=self._skipped,
        )
        window = self._with_words(window)
        if self._revises and end_ns > self._complete_ns:
            self._unsettled.append(window)
        self._next_index, self._skipped = self._next_index + 1, 0
        self._closed_ns = nominal_end_ns
        self.counters["windows"] += 1
        self._prune(max(0, nominal_end_ns + settings.hop_ns - settings.length_ns))
        return window

    def _with_words(self, window: Window) -> Window:
        """Return the window with its words, context and presence as they are known by now."""
        words = self._words.between(window.start_ns, window.end_ns)
        return msgspec.structs.replace(
            window,
            words=words,
            presence=self._presence(window, words),
            context=" ".join(word.text for word in self._words.before(window.start_ns)),
        )

    def _presence(self, window: Window, words: Sequence[Word]) -> Presence:
        start_ns, end_ns = window.start_ns, window.end_ns
        length_ns = end_ns - start_ns
        speech_ns = covered(self._speech, start_ns, end_ns)
        shared = complement(self._withheld, start_ns, end_ns)
        sounding_ns = sum(covered(self._speech, *span) for span in shared)
        read = self._words.are_read(words)
        spoken_ns = covered(map(span_of, words), start_ns, end_ns)
        expected_faces = max(1, round(length_ns * self._face_rate_hz / NS_PER_S))
        return Presence(
            audio=_share(sounding_ns, length_ns) if window.audio is not None else 0.0,
            text=_share(spoken_ns, speech_ns or spoken_ns) if words and read else 0.0,
            vision=_share(len(window.faces), expected_faces),
        )

    def _audio_between(self, start_ns: int, end_ns: int) -> bytes | None:
        """PCM16 of every sample in `[start_ns, end_ns)`, gaps as zeros; None without a sample."""
        first, last = _sample_at(start_ns), _sample_at(end_ns)
        samples, has_audio = np.zeros(last - first, dtype="<i2"), False
        for chunk_first, chunk in self._audio:
            low, high = max(first, chunk_first), min(last, chunk_first + len(chunk))
            if low < high:
                samples[low - first : high - first] = chunk[low - chunk_first : high - chunk_first]
                has_audio = True
        return samples.tobytes() if has_audio else None

    def _kept_from_ns(self, start_ns: int) -> int:
        """Words and speech from this time on are kept; the next window starts at `start_ns`."""
        return self._unsettled[0].start_ns if self._unsettled else start_ns

    def _prune(self, start_ns: int) -> None:
        """Drop data from before the start of the next window."""
        first = _sample_at(start_ns)
        self._audio = [(at, chunk) for at, chunk in self._audio if at + len(chunk) > first]
        self._faces = [face for face in self._faces if face.event_time_ns >= start_ns]
        kept_from_ns = self._kept_from_ns(start_ns)
        self._speech = [span for span in self._speech if span[1] > kept_from_ns]
        self._withheld = [span for span in self._withheld if span[1] > kept_from_ns]


def _sample_at(time_ns: int) -> int:
    """Index of the sample nearest to a time; exact on whole milliseconds."""
    return (time_ns * SAMPLE_RATE_HZ * 2 + NS_PER_S) // (2 * NS_PER_S)


def _pcm16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Float samples to int16, the exact inverse of `int16 / 32768`."""
    scaled = np.nan_to_num(samples.astype(np.float64), posinf=1.0, neginf=-1.0) * 32768.0
    return np.rint(np.clip(scaled, -32768.0, 32767.0)).astype(np.int16)


def _says(window: Window) -> tuple[object, ...]:
    """What must differ for a window to be revised: words, and which of audio and text count."""
    presence = window.presence
    return window.words, window.context, presence.audio > 0, presence.text > 0


def _face_order(face: FaceCrop) -> tuple[int, bytes]:
    return face.event_time_ns, face.jpeg


def _share(part: int, whole: int) -> float:
    """`part / whole` in [0, 1], rounded up to 1/10,000, so that a present part is never 0."""
    return min(10_000, -(-10_000 * part // whole)) / 10_000 if part else 0.0
