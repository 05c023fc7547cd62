"""One participant's pipeline: chunks → words, face crops and speech → windows.

What enters: the chunks of the participant's sources. What leaves: finished windows, in order. It
runs in one thread; live, the recogniser has a thread of its own. This module does not know Kafka.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import replace

import msgspec

from streamer import audio, capture, metrics
from streamer.capture.pace import Pace
from streamer.capture.sources import ParticipantSpec
from streamer.config import Config, to_ns
from streamer.errors import SourceError
from streamer.faces import FaceTracker
from streamer.notices import PROCESS, Notices
from streamer.plain_text import public_address
from streamer.policy import own_policy
from streamer.records import (
    AudioChunk,
    Modality,
    Notice,
    StreamEnd,
    VideoFrame,
    Window,
    Word,
)
from streamer.session.level import LevelWatch
from streamer.session.one_reading import Chunks
from streamer.session.plan import Plan
from streamer.session.sharing import Shared, Sharing
from streamer.session.threaded import ThreadedRecogniser, at_leisure
from streamer.session.word_delay import WordDelay
from streamer.speech.attribution import Everybody
from streamer.speech.given import Given
from streamer.speech.recognisers import choose, turns_of
from streamer.speech.streaming import Transcriber, Transcript
from streamer.windows import MAX_UNSETTLED, Windower

SEVERAL_FACES = (
    "several faces are in the image; the largest one is followed at its place, and vision is "
    "absent while it is away. Give each person a camera of their own"
)
CHOOSE_FACE = (
    ", or choose a face with #face:left, #face:right, #face:2 (the second from the left) or "
    "#face:largest, as in {}={}#face:left"
)
HandedIn = Callable[[threading.Event], Iterator[capture.Chunk | Shared]]
"""Chunks in place of the sources, with what is shared from when on."""
MEDIA: tuple[Modality, ...] = ("audio", "vision")


class Pipeline:
    """One participant: chunks in, encoded windows out, all in the caller's thread.

    In a replay everything happens in the order of event time, so that the same recording gives
    the same windows whatever the speed, each once. Live, recognition has a thread of its own, and
    windows are revised with late words (`windows.revisions`).

    The recogniser works in the recording's own time, everything behind it in session time; the
    recording begins at `plan.begins_ns`. Before it the participant has windows without evidence.
    """

    def __init__(
        self,
        plan: Plan,
        spec: ParticipantSpec,
        config: Config,
        pace: Pace | None = None,
        notices: Notices = PROCESS,
        chunks: HandedIn | None = None,
        recogniser: tuple[str, Transcriber] | None = None,
    ) -> None:
        """Choose the recogniser and prepare the windower; opens no device yet.

        Args:
            plan: of the session.
            spec: the participant.
            config: the settings.
            pace: of a replay.
            notices: what a user should know.
            chunks: gives the participant's chunks until an event is set, in place of the
                sources; such a participant has no windows from before the beginning.
            recogniser: its name, and what gives the words; None: chosen for the source.
        """
        self._chunks = chunks
        self._shared: Chunks | None = None
        self.spec = spec
        self._notices = notices
        self._pace = pace or Pace(plan.speed)
        self.counters: Counter[str] = Counter()
        metrics.watch("capture", self.counters)
        self._plan = plan
        self._config = config
        self._begin_ns = plan.begins_ns.get(spec.participant_id, 0)
        source = plan.sources[spec.participant_id]
        modalities: set[Modality] = set(config.session.modalities)
        self._sharing = Sharing(modalities)
        self._turns = turns_of(source)
        self._by_voice = bool(source.turns)
        self._everybody = Everybody(source.turns)
        self._decode: set[Modality] = set()
        if (source.speaker is None or source.face is not None) and spec.media:
            self._decode |= modalities & {"vision"}
        self.asr_name, transcriber = recogniser or choose(config, source, self._notice)
        self._hears = source.has_audio and (
            "audio" in modalities or ("text" in modalities and not self._reads_only_words)
        )
        if self._hears:
            self._decode.add("audio")
        self._transcriber: Transcriber = (
            ThreadedRecogniser(transcriber, self.counters) if plan.live else at_leisure(transcriber)
        )
        self._level = LevelWatch(live=plan.live)
        recognises = plan.live and not isinstance(transcriber, Given)
        self._delay = WordDelay() if recognises else None
        self._faces = (
            FaceTracker(config.faces, place=source.face) if "vision" in self._decode else None
        )
        expected: set[Modality] = {"text"}
        if source.has_audio:
            expected.add("audio")
        if source.has_video:
            expected.add("vision")
        if not expected & modalities:
            raise SourceError(
                f"{spec.participant_id} has none of the modalities "
                f"{', '.join(sorted(modalities))}; "
                "add a source that has one, or widen session.modalities."
            )
        again = revises(plan, config)
        self._flac = functools.lru_cache(MAX_UNSETTLED + 1 if again else 0)(encoded)
        self._windower = Windower(
            session_id=plan.session_id,
            participant_id=spec.participant_id,
            session_start_unix_ns=plan.start_unix_ns,
            modalities_expected=expected & modalities,
            windows=config.windows,
            face_rate_hz=config.faces.rate_hz,
            session_participants=len(plan.participants),
            identified_by=spec.identified_by,
            revises=again,
            patient=not plan.live,
        )

    def windows(self, stop: threading.Event) -> Iterator[Window]:
        """Yield windows until the sources end or `stop` is set; then what is left, flushed."""
        for window in self._before(stop):
            yield self._encode(window)
        for chunk in self._read(stop):
            if not isinstance(chunk, Notice):
                self._wait_until(chunk.event_time_ns, stop)
            for window in self._advance(chunk):
                yield self._encode(window)
        for window in self._only_words(stop):
            yield self._encode(window)
        self._notice(self._level.finish())
        self._notice(self._no_face())
        transcript = self._transcriber.finish()
        tail = [*self._hear(transcript), *self._windower.finish()]
        self.counters.update(self._windower.counters)
        for window in tail:
            yield self._encode(window)

    @property
    def _reads_only_words(self) -> bool:
        """Whether a transcript gives the words, and event time passes without sound."""
        length_s = self._plan.sources[self.spec.participant_id].duration_s
        return self.asr_name == "subtitles" and length_s is not None and not self._decode

    @property
    def reads(self) -> Hashable | None:
        """What of which recordings it reads, and from when on; None if it shares it with nobody."""
        if self._chunks is not None or self._plan.live or not self._decode:
            return None
        sources = tuple(replace(source, face=None) for source in self.spec.media)
        if self.channel is not None:
            sources = (replace(sources[0], channel=-1),)
        seen = self._plan.sources[self.spec.participant_id].has_video
        return sources, seen, frozenset(self._decode), self._begin_ns

    @property
    def channel(self) -> int | None:
        """The channel that it reads of its only source; None where it reads all, or several."""
        media = self.spec.media
        return media[0].channel if len(media) == 1 else None

    def take(self, chunks: Chunks) -> None:
        """Read these chunks, which are those of the sources."""
        self._shared = chunks

    def _read(self, stop: threading.Event) -> Iterator[capture.Chunk | Shared]:
        """Read the sources, or the chunks that are handed in."""
        chunks = self._chunks or self._shared or self.read
        return chunks(stop)

    def read(self, stop: threading.Event, channels: Sequence[int] = ()) -> Iterator[capture.Chunk]:
        """Read the sources; a transcript alone has no chunks.

        If there are `channels`, samples have the shape (channels, n).
        """
        if not self.spec.media:
            return iter(())
        return capture.read(
            self.spec,
            self._config,
            stop,
            self._config.faces.rate_hz,
            modalities=self._decode,
            channels=channels,
            start_unix_ns=self._plan.start_unix_ns,
            counters=self.counters,
        )

    def _notice(self, text: str) -> None:
        """Give a notice of this participant, once; an empty text is none."""
        if text and self._notices.give(f"{self.spec.participant_id}: {text}", once=True):
            self.counters["notices"] += 1

    def _tell(self, text: str) -> None:
        """Give a notice of this participant, each time; an empty text is none."""
        if text:
            self._notices.give(f"{self.spec.participant_id}: {text}")
            self.counters["notices"] += 1

    def _wait_until(self, own_time_ns: int, stop: threading.Event) -> None:
        if self._plan.live:
            return
        event_time_ns = self._begin_ns + own_time_ns
        self._pace.wait(event_time_ns, stop)
        speed = self._pace.slow_speed(event_time_ns)
        if speed is not None:
            self._notices.give(
                f"The replay runs at {speed:.1f} of real time, slower than asked for: a stage "
                "takes too long (the page shows how long each takes)."
            )

    def _before(self, stop: threading.Event) -> Iterator[Window]:
        """Let the time before the recording's beginning pass."""
        if self._chunks is not None:
            yield from self._windower.join(self._begin_ns)
            return
        step_ns = self._config.windows.hop_ns
        for event_time_ns in [*range(step_ns, self._begin_ns, step_ns), self._begin_ns]:
            if stop.is_set() or not event_time_ns:
                return
            self._wait_until(event_time_ns - self._begin_ns, stop)
            yield from self._windower.begin(event_time_ns)

    def _only_words(self, stop: threading.Event) -> Iterator[Window]:
        """Let event time pass for a recording whose subtitles are its only modality."""
        source = self._plan.sources[self.spec.participant_id]
        if self._decode or source.live or source.duration_s is None:
            return
        end_ns, step_ns = to_ns(source.duration_s), self._config.windows.hop_ns
        for event_time_ns in [*range(step_ns, end_ns, step_ns), end_ns]:
            if stop.is_set():
                return
            self._wait_until(event_time_ns, stop)
            yield from self._hear(self._transcriber.advance(event_time_ns))
            yield from self._windower.advance(self._begin_ns + event_time_ns)

    def _advance(self, chunk: capture.Chunk | Shared) -> Iterator[Window]:
        match chunk:
            case AudioChunk():
                self._notice(self._level.push(chunk))
                own = chunk if self._turns is None else self._turns.only(chunk)
                # Turns by voice cut off words, so their recogniser takes more of the sound.
                heard = self._transcriber.push(chunk if self._by_voice else own)
                if self._delay is not None:
                    self._tell(self._delay.push([*heard.words, *heard.unread], chunk.end_ns))
                yield from self._hear(heard)
                chunk = own
                if "audio" in self._sharing.now:
                    begin_ns = self._begin_ns + chunk.event_time_ns
                    yield from self._windower.push_audio(AudioChunk(begin_ns, chunk.samples))
                else:
                    yield from self._windower.withhold("audio", self._begin_ns + chunk.end_ns)
            case VideoFrame():
                if not self._hears_now:
                    yield from self._hear(self._transcriber.advance(chunk.event_time_ns))
                if self._faces is not None:
                    frame = VideoFrame(self._begin_ns + chunk.event_time_ns, chunk.image)
                    crop = self._faces.push(frame)
                    if self._faces.several:
                        self._notice(self._several_faces())
                    yield from self._windower.push_face(crop, frame.event_time_ns)
            case StreamEnd():
                if chunk.modality == "audio":
                    self._hears = False
                end = StreamEnd(chunk.modality, self._begin_ns + chunk.event_time_ns)
                yield from self._windower.end(end)
            case Shared():
                yield from self._share(chunk)
            case Notice():
                self._tell(chunk.message)

    def _several_faces(self) -> str:
        """What to do about several faces; who joins from a browser cannot name a face."""
        seen = [text for text in self.spec.sources if not text.startswith("mic:")]
        if self._chunks is not None or not seen:
            return f"{SEVERAL_FACES}."
        example = CHOOSE_FACE.format(self.spec.participant_id, public_address(seen[0]))
        return f"{SEVERAL_FACES}{example}."

    def _no_face(self) -> str:
        """Why no face was chosen; empty where one was, or none was asked for."""
        needed = 0 if self._faces is None else self._faces.still_needed
        if not needed:
            return ""
        faces = "a face is" if needed == 1 else f"{needed} faces are"
        return (
            f"no face was followed: one is chosen when {faces} in the image for a second"
            f"{'' if needed == 1 else ' together'}, which never happened."
        )

    @property
    def _hears_now(self) -> bool:
        """Whether there is sound for the recogniser."""
        return self._hears and bool(self._sharing.now & {"audio", "text"})

    def _share(self, change: Shared) -> Iterator[Window]:
        """Go on with what is shared from now on; nothing of the rest is waited for."""
        self._sharing.change(change)
        for modality in MEDIA:
            if modality in change.modalities:
                self._windower.resume(modality)
            else:
                at_ns = self._begin_ns + change.event_time_ns
                yield from self._windower.withhold(modality, at_ns)
        if self._hears and not self._hears_now:
            yield from self._hear(self._transcriber.advance(change.event_time_ns))

    def _hear(self, transcript: Transcript) -> Iterator[Window]:
        begin_ns = self._begin_ns
        speech = [(first + begin_ns, last + begin_ns) for first, last in transcript.speech]
        yield from self._windower.push_speech(speech, transcript.speech_watermark_ns + begin_ns)
        if transcript.unread:
            self._notice(not_read(self._config.asr.scored_languages))
        yield from self._windower.push_words(
            _later(self._sharing.words(transcript.words), begin_ns),
            transcript.watermark_ns + begin_ns,
            unread=_later(self._sharing.words(transcript.unread), begin_ns),
        )

    def _encode(self, window: Window) -> Window:
        if self._by_voice and self.spec.speaker is not None:
            times = window.start_ns - self._begin_ns, window.end_ns - self._begin_ns
            sure = self._everybody.certainty(self.spec.speaker, *times)
            window = msgspec.structs.replace(window, identity_confidence=sure)
        if window.audio is None or self._config.windows.audio_codec == "pcm16":
            return window
        return msgspec.structs.replace(window, audio=self._flac(window.audio), audio_codec="flac")


def revises(plan: Plan, config: Config) -> bool:
    """Return whether windows go out before their words are complete, and again with late ones.

    A replay never does so, and no session that publishes no single person: two values of the
    meeting in one window would tell whose words were late.
    """
    return plan.live and config.windows.revisions and own_policy(config).persons


def encoded(pcm16: bytes) -> bytes:
    """Return samples as FLAC."""
    return audio.encode_flac(audio.decode(pcm16, "pcm16"))


def _later(words: Sequence[Word], by_ns: int) -> list[Word]:
    return [
        msgspec.structs.replace(word, start_ns=word.start_ns + by_ns, end_ns=word.end_ns + by_ns)
        for word in words
    ]


def not_read(languages: Collection[str]) -> str:
    """Return the notice on words in other languages than these."""
    return (
        "words in a language that the model does not read are shown and not scored; it reads "
        f"{', '.join(languages)} (asr.scored_languages). Voice and face count as before."
    )
