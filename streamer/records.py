"""What flows through the system: one struct per arrow of the data path.

In the process: AudioChunk, VideoFrame, Word, FaceCrop, StreamEnd, Notice.
On Kafka: Window (msgpack), Score, Sentiment, SessionSentiment, Alert, Session (JSON).

Times in the session are integer nanoseconds (`_ns`) from the session's start, half-open
`[start_ns, end_ns)`; the JSON records carry whole milliseconds (`_ms`), because JSON readers keep
only 53 bits of an integer. Nothing here knows Kafka, a clock, a device or a model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 1
SAMPLE_RATE_HZ = 16_000
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

Modality = Literal["audio", "text", "vision"]
MODALITIES: tuple[Modality, ...] = ("audio", "text", "vision")

CLASS_LABELS: tuple[str, ...] = (
    "strongly negative",
    "negative",
    "weakly negative",
    "neutral",
    "weakly positive",
    "positive",
    "strongly positive",
)
"""Names of the seven classes, lowest valence first: [-3,-2.5) [-2.5,-1.5) … [2.5,3]."""

Polarity = Literal["negative", "neutral", "positive"]
Publish = Literal["participant", "session"]
"""Whether records of single persons are published, or those of the session as a whole only."""
IdentifiedBy = Literal["source", "transcript", "channel", "diarization"]
"""How a participant is told from others: by a source of their own, by the transcript of a shared
recording, by a channel of it, or by the voice."""
Unit = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Valence = Annotated[float, msgspec.Meta(ge=-3.0, le=3.0)]
MAX_INTEGER = 2**53 - 1
"""The largest integer that every reader of JSON keeps; in nanoseconds, 104 days."""
MAX_TEXT = 20_000
"""The most characters in the words of one window."""
MAX_SPOKEN = 2_000
"""The most words, and the most spans of speech, that one record carries in `spoken`."""
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
Index = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
UnixNs = Annotated[int, msgspec.Meta(ge=0)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Label = Annotated[str, msgspec.Meta(max_length=500)]
Latencies = Annotated[dict[Label, float], msgspec.Meta(max_length=50)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^/\x00-\x1f\x7f-\x9f]+$")
]


# --- inside one process -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Sound from capture: float32 mono at SAMPLE_RATE_HZ in [-1, 1].

    Attributes:
        event_time_ns: time of the first sample in the session.
        samples: shape (n,), float32.
    """

    event_time_ns: int
    samples: NDArray[np.float32]

    @property
    def end_ns(self) -> int:
        """Time just after the last sample."""
        return self.event_time_ns + len(self.samples) * NS_PER_S // SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A video frame from capture: uint8 RGB of shape (height, width, 3), upright."""

    event_time_ns: int
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """A modality ended for good at `event_time_ns`: it no longer holds the watermark."""

    modality: Modality
    event_time_ns: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should hear of: a damaged tail, a device that left, a missing stream."""

    message: str


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recognised or subtitled word in session time. From asr to windows."""

    text: Text
    start_ns: Count
    end_ns: Count
    confidence: Unit = 1.0


class FaceCrop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tracked face at one instant, a JPEG. From faces to windows and inference."""

    event_time_ns: Count
    jpeg: bytes


# --- on the topics ------------------------------------------------------------------------------


class Presence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Share of a window, 0 to 1, in which each modality gives evidence.

    `audio` counts speech: silence is no evidence. `text` is the share of speech time that has words
    (1 when there are words and no audio); `vision` is the share of the expected face crops.
    """

    audio: Unit = 0.0
    text: Unit = 0.0
    vision: Unit = 0.0

    @property
    def any(self) -> bool:
        """Whether there is evidence at all."""
        return self.audio > 0 or self.text > 0 or self.vision > 0


class SpeechSpan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A time in which a participant speaks."""

    start_ms: Count
    end_ms: Count


class SpokenWord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A word with its time."""

    text: Text
    start_ms: Count
    end_ms: Count
    confidence: Unit = 1.0


class Spoken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A participant's speech and words before the window's end that no earlier window carries.

    So all of a participant's windows together, each in its highest revision, carry each word once.
    What became known late is in a later window than its time, or in a later revision.

    Attributes:
        speech: when the participant speaks, by the voice detector; by the words where there is no
            audio. By time.
        words: by time.
    """

    speech: Annotated[tuple[SpeechSpan, ...], msgspec.Meta(max_length=MAX_SPOKEN)] = ()
    words: Annotated[tuple[SpokenWord, ...], msgspec.Meta(max_length=MAX_SPOKEN)] = ()


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One aligned slice of one participant, from capture to inference (msgpack).

    Attributes:
        window_index: k; the window ends at (k+1)·hop, the last one at the stream's end.
        revision: 0; higher when the window is published again: with late words, or because it was
            judged later who spoke.
        session_start_unix_ns: wall clock at session time 0.
        audio: 16 kHz mono audio of the whole window in `audio_codec`, None when there is none.
        words: the words that overlap the window, by start time.
        faces: the face crops in the window, by time.
        presence: how much evidence each modality gives.
        context: words spoken before the window by the same participant, newest last.
        skipped: how many windows directly before this one were dropped under pressure.
        final: True on the participant's last window of the session.
        session_participants: how many participants the session has; 0 when it is not known.
        identified_by: how the participant is told from others.
        identity_confidence: how sure that is in this window, 0 to 1; null where it is not judged.
    """

    schema_version: Index = SCHEMA_VERSION
    session_id: Name
    participant_id: Name
    window_index: Index
    revision: Count = 0
    session_start_unix_ns: UnixNs
    start_ns: Count
    end_ns: Count
    sample_rate_hz: Index = SAMPLE_RATE_HZ
    audio_codec: Literal["flac", "pcm16"] = "pcm16"
    audio: bytes | None = None
    words: tuple[Word, ...] = ()
    faces: tuple[FaceCrop, ...] = ()
    presence: Presence = Presence()
    context: str = ""
    skipped: Count = 0
    final: bool = False
    session_participants: Count = 0
    identified_by: IdentifiedBy = "source"
    identity_confidence: Unit | None = None
    spoken: Spoken | None = None

    @property
    def window_id(self) -> str:
        """`session_id/participant_id/window_index`."""
        return window_id(self.session_id, self.participant_id, self.window_index)

    @property
    def text(self) -> str:
        """The words joined with spaces."""
        return " ".join(word.text for word in self.words)


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Share of each result that came through the inter-modal branch, 0 to 1.

    `val` is that of the valence, `cls` that of the class logits.
    """

    val: Unit
    cls: Unit


class Score(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model says of one window, from inference to smoothing (JSON).

    `valence`, `class_probabilities` and `gate` are null when the window has no evidence.
    `latency_ms` holds milliseconds spent per stage so far: `capture`, `queue`, `inference`.
    """

    schema_version: Index = SCHEMA_VERSION
    session_id: Name
    participant_id: Name
    window_id: Text
    window_index: Index
    revision: Count = 0
    session_start: Moment
    start_ms: Count
    end_ms: Count
    valence: Valence | None
    class_probabilities: tuple[Unit, Unit, Unit, Unit, Unit, Unit, Unit] | None
    gate: Gate | None
    presence: Presence
    evidence: tuple[Modality, ...]
    text: Text
    skipped: Count = 0
    final: bool = False
    session_participants: Count = 0
    identified_by: IdentifiedBy = "source"
    identity_confidence: Unit | None = None
    latency_ms: Latencies
    model: Label
    spoken: Spoken | None = None


class Sentiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The published record: one participant's smoothed sentiment at the end of one window (JSON).

    Attributes:
        event_time: wall clock of the window's end (RFC 3339).
        valence: smoothed, in [-3, 3]; null while there is no evidence.
        valence_raw: the model's own value for this window; null without evidence.
        uncertainty: standard deviation of `valence` in valence units; grows over gaps.
        label: one of CLASS_LABELS by smoothed valence; null without evidence.
        polarity: negative below -0.5, positive from 0.5, else neutral; null without evidence.
        trend_per_min: slope of the smoothed valence, valence units per minute.
        evidence: the modalities that counted in this window.
        latency_ms: milliseconds per stage and `total`.
        final: True on the participant's last record of the session.
        session_participants: how many participants the session has; 0 when it is not known.
        identified_by: how the participant is told from others.
        identity_confidence: how sure that is in this window, 0 to 1; null where it is not judged.
    """

    schema_version: Index = SCHEMA_VERSION
    session_id: Name
    participant_id: Name
    window_id: Text
    window_index: Index
    revision: Count = 0
    event_time: Moment
    start_ms: Count
    end_ms: Count
    valence: Valence | None
    valence_raw: Valence | None
    uncertainty: Annotated[float, msgspec.Meta(ge=0.0)] | None
    label: Label | None
    polarity: Polarity | None
    class_probabilities: tuple[Unit, Unit, Unit, Unit, Unit, Unit, Unit] | None
    trend_per_min: float | None
    gate: Gate | None
    presence: Presence
    evidence: tuple[Modality, ...]
    text: Text
    latency_ms: Latencies
    model: Label
    final: bool = False
    session_participants: Count = 0
    identified_by: IdentifiedBy = "source"
    identity_confidence: Unit | None = None
    spoken: Spoken | None = None


class SessionSentiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The meeting as a whole at the end of one window, over its participants (JSON).

    Attributes:
        window_id: `session_id/*/window_index`.
        revision: 0; higher when participants' reports that came late or were revised change it.
        valence: mean of the participants' smoothed valence weighted by certainty; who is silent
            counts with the last valence, ever less certain. Null when nobody gave evidence in
            this window, or fewer count than the session's `min_participants`.
        spread: standard deviation of valence between participants; null with fewer than two.
        participants: how many participants counted.
        divided: whether the participants are of opposite mood, so that `label` names nobody's: the
            spread is at least 1, and one spread below `valence` is negative, one above positive.
    """

    schema_version: Index = SCHEMA_VERSION
    session_id: Name
    window_id: Text
    window_index: Index
    revision: Count = 0
    event_time: Moment
    start_ms: Count
    end_ms: Count
    valence: Valence | None
    uncertainty: Annotated[float, msgspec.Meta(ge=0.0)] | None
    spread: Annotated[float, msgspec.Meta(ge=0.0)] | None
    label: Label | None
    polarity: Polarity | None
    trend_per_min: float | None
    participants: Count
    model: Label
    final: bool = False
    divided: bool = False

    @property
    def mood(self) -> str:
        """The meeting's mood in a word or two."""
        return "divided" if self.divided else self.label or "no evidence"


class Alert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition that began or ended (JSON); hysteresis keeps it from flickering.

    `alert_id` is deterministic. `participant_id` is null for the session as a whole.

    Attributes:
        kind: `sustained_negative`: below a threshold for some time; `sharp_drop`: fell fast;
            `rule`: a rule of the settings (`alerts.rules`).
        valence: the smoothed valence at that time; null, in the alert of a rule, without evidence.
        threshold: the setting that was crossed: of a rule in the unit of its number, else in
            valence units.
        rule: the name of the rule; null for other kinds.
        number: the number that the rule watches; null likewise.
        value: that number at that time; null likewise.
    """

    schema_version: Index = SCHEMA_VERSION
    alert_id: Text
    session_id: Name
    participant_id: Name | None
    kind: Literal["sustained_negative", "sharp_drop", "rule"]
    state: Literal["raised", "cleared"]
    event_time: Moment
    end_ms: Count
    valence: Valence | None
    threshold: float
    message: Label
    rule: Name | None = None
    number: Label | None = None
    value: float | None = None


class Sharing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person shares from a time on, by their own choice while they are in the session.

    Attributes:
        at: when they chose it.
        modalities: what they share from then on; it may be nothing.
    """

    at: Moment
    modalities: tuple[Modality, ...]


class Consent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person who joined a live session agreed to, before the first sound or image.

    Attributes:
        version: identifies the text that was shown, the session's `consent`: the first 12
            hexadecimal digits of its SHA-256.
        given_at: when the person agreed.
        withdrawn_at: when the person left; nothing is captured of them from then on.
        modalities: what they agreed to share.
        changes: what they shared from later times on; empty while they change nothing.
    """

    version: Label
    given_at: Moment
    withdrawn_at: Moment | None = None
    modalities: tuple[Modality, ...]
    changes: tuple[Sharing, ...] = ()


class Participant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is in a session, what is captured of them, and (at the end) how many windows.

    Attributes:
        begin_ms: session time at which their recordings begin, milliseconds.
        identified_by: how they are told from the other participants.
        consent: what they agreed to themselves, where they joined from a browser.
        merged_into: the participant whose voice theirs turned out to be.
        parted_from: the participant whose voice theirs was taken for before.
    """

    participant_id: Name
    sources: tuple[str, ...]
    windows: Count | None = None
    begin_ms: Count = 0
    identified_by: IdentifiedBy = "source"
    consent: Consent | None = None
    merged_into: Name | None = None
    parted_from: Name | None = None


class RecordedTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A time of a session that is recorded, as its host began and ended it.

    Attributes:
        begin_ms: session time at which recording began.
        end_ms: session time at which it stopped; null: it goes on, or went on to the end.
    """

    begin_ms: Count
    end_ms: Count | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session's own record, from capture: at the start, when people change, at the end (JSON).

    Every stage, recorder, page and client obeys its `modalities`, `publish` and
    `min_participants`, and handles no record of a session whose own record it has not read. Every
    recorder obeys its `recorded_times`.

    Attributes:
        consent: the statement of consent with which a live session was started.
        modalities: what may be captured and scored.
        publish: `session` if no record of a single person may be published; null from a producer
            that does not know the field: each reader then takes its own settings.
        min_participants: how many participants a value of the session needs; null likewise.
        counters: what was dropped, late or damaged; filled at the end.
        revision: 0; higher when the record is published again with other `names`. The names of the
            highest revision count.
        names: the name to show for a participant, by `participant_id`; without one, show the id.
        recorded_times: what recorders store, by time, where the host starts and stops recording;
            null: each recorder stores what it is started for.
    """

    schema_version: Index = SCHEMA_VERSION
    session_id: Name
    state: Literal["started", "ended"]
    started_at: Moment
    live: bool
    consent: str | None
    modalities: tuple[Modality, ...]
    participants: tuple[Participant, ...]
    asr: str
    publish: Publish | None = None
    min_participants: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    counters: dict[str, Count] = {}
    name: Name | None = None
    revision: Count = 0
    names: dict[Name, Name] = {}
    recorded_times: Annotated[tuple[RecordedTime, ...], msgspec.Meta(max_length=1000)] | None = None

    @property
    def edition(self) -> str:
        """Tells a session's records apart: a new one goes out whenever its people change.

        Another goes out whenever recording starts or stops.
        """
        if self.state == "ended":
            return self.state
        told: list[object] = [self.participants, sorted(self.names.items())]
        if self.recorded_times is not None:
            told.append(self.recorded_times)
        people = msgspec.json.encode(told)
        return f"{self.state}/{hashlib.blake2b(people, digest_size=4).hexdigest()}"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What nobody could read, or the broker refused, from any stage to whoever looks after it.

    Not a payload of its own: on the topic the value is the original bytes, and the rest lies in
    headers.

    Attributes:
        reason: why it could not be read or stored.
        topic: where it lay, with `partition` and `offset`; of a record that the broker refused,
            where it was to lie: its partition is -1, and its offset is made of its identity.
        timestamp_ms: its Kafka timestamp there, Unix milliseconds.
    """

    reason: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def window_id(session_id: str, participant_id: str, window_index: int) -> str:
    """Deterministic identity of a window: `session_id/participant_id/window_index`."""
    return f"{session_id}/{participant_id}/{window_index}"


def wall_clock(session_start_unix_ns: int, session_time_ns: int) -> datetime:
    """UTC wall clock, to the microsecond, of a session time."""
    microseconds = (session_start_unix_ns + session_time_ns) // 1_000
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
