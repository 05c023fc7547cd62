"""The tree of settings: names, defaults, and the checks of each value.

Every default works on the embedded broker and encoders. Nothing here opens, connects or loads.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from streamer.config.alerts import AlertsConfig
from streamer.config.section import (
    HostName,
    PositiveInt,
    PositiveSeconds,
    Seconds,
    Section,
    UnitFloat,
)
from streamer.records import MODALITIES, NS_PER_S, SAMPLE_RATE_HZ, Modality, Publish

KAFKA_MESSAGE_LIMIT_BYTES = 1_048_576
KAFKA_PORT = 9092
FLAC_RATIO = 0.75
"""Upper planning figure for FLAC against PCM16 on speech; `pcm16` plans with 1."""

ICE_URL = r"(stun:[^:?\s/@]+(:\d{1,5})?|turns?:[^:?\s/@]+(:\d{1,5})?(\?transport=(udp|tcp))?)"


def to_ns(seconds: float) -> int:
    """Whole nanoseconds in `seconds`."""
    return round(seconds * NS_PER_S)


def _check_networks(setting: str, networks: Iterable[str]) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(
                f"{setting}: {network!r} must be an address or a network, as in 10.0.0.0/8"
            ) from None


class SessionConfig(Section):
    """What is captured and whether it may be.

    `consent` states under which agreement a live session is recorded; live capture refuses to
    start without it. `modalities` is any subset of audio, text, vision: what is not listed is
    never decoded for scoring nor stored.
    """

    modalities: tuple[Modality, ...] = MODALITIES
    consent: str = ""

    @model_validator(mode="after")
    def _modalities_make_sense(self) -> Self:
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError("modalities must name each of audio, text, vision at most once")
        return self


class CaptureConfig(Section):
    """Devices and back-pressure.

    `queue_windows` bounds finished windows that wait for the broker: live capture drops the
    oldest and counts it, replay waits. `in_flight_bytes` bounds windows sent but not yet scored
    on the embedded broker (which keeps only 5 MB per partition). `max_gap_s`: a recording's time
    stamps may jump ahead by this much in all its streams at once and are still accepted.
    """

    camera_width: PositiveInt = 640
    camera_height: PositiveInt = 480
    camera_rate_hz: PositiveInt = 30
    queue_chunks: PositiveInt = 256
    queue_windows: PositiveInt = 16
    in_flight_bytes: PositiveInt = 3_000_000
    reconnect_s: PositiveSeconds = 2.0
    max_gap_s: PositiveSeconds = 10.0
    open_timeout_s: PositiveSeconds = 15.0


LanguageCode = Annotated[str, Field(pattern="^[a-z]{2,3}$")]


class AsrConfig(Section):
    """Speech recognition: the engine that gives the words, and when.

    `auto` takes subtitles beside or inside a recording, else Whisper. `whisper_model` is a short
    name, a folder, or a hub id; `auto` takes the best one on disk. `language` is a code such as
    `en`, or `auto` to detect it in each utterance; `translate` gives English words for speech in
    any language. `interval_s` is how often a running utterance is decoded; live, less often where
    so many speak at once that it would take more than half of a core. Words in a language that is
    not among `scored_languages`, those that the checkpoint reads, are shown and not scored;
    `transcript_language` is that of subtitles, where `auto` takes what they state, else detects it.
    """

    engine: Literal["auto", "subtitles", "whisper", "none"] = "auto"
    whisper_model: str = "auto"
    local_files_only: bool = True
    language: str = "en"
    translate: bool = False
    scored_languages: Annotated[tuple[LanguageCode, ...], Field(min_length=1)] = ("en",)
    transcript_language: Annotated[str, Field(pattern=r"^(auto|[A-Za-z]{2,3}([_-].+)?)$")] = "auto"
    device: str = "auto"
    threads: PositiveInt = 1
    interval_s: PositiveSeconds = 0.8
    max_utterance_s: PositiveSeconds = 15.0
    vad_threshold: UnitFloat = 0.5
    min_silence_s: PositiveSeconds = 0.4


class SpeechConfig(Section):
    """Who speaks: at most `max_speakers` people are told apart in a recording of several.

    `voice_consent` states, by name, who agreed to be recognised by the voice (`--voice`).
    """

    max_speakers: Annotated[int, Field(ge=1, le=50)] = 8
    voice_consent: str = ""


class FacesConfig(Section):
    """Face detection and crops.

    `detector` is `blazeface`, OpenCV's bundled `cascade`, or `auto`: BlazeFace where its weights
    are on disk (`streamer models get blazeface`), else the cascade, as in training. `yunet_model`
    is the path of a YuNet ONNX file, which is then used instead. `by_mouth` gives the people into
    whom a replay is split the faces whose mouths move when they speak, where that is certain.
    """

    rate_hz: Annotated[float, Field(gt=0, le=30)] = 5.0
    detector: Literal["auto", "blazeface", "cascade"] = "auto"
    yunet_model: str = ""
    by_mouth: bool = False
    size_px: Annotated[int, Field(ge=32, le=512)] = 112
    margin: UnitFloat = 0.0
    jpeg_quality: Annotated[int, Field(ge=10, le=100)] = 85
    min_face_share: UnitFloat = 0.08


class WindowsConfig(Section):
    """Length and step of windows, and how long the slow and the stalled are waited for.

    With `revisions` a window of a live session goes out at its close, and again with words that
    come up to `allowed_lateness_s` later (or 4 windows later, if that is sooner). Without, and in a
    replay, it waits for its words and goes out once; so it does where `smoothing.publish` is
    `session`, because two values of a meeting would show whose words were late.
    """

    length_s: PositiveSeconds = 5.0
    hop_s: PositiveSeconds = 1.0
    allowed_lateness_s: Seconds = 2.0
    stall_timeout_s: PositiveSeconds = 3.0
    audio_codec: Literal["flac", "pcm16"] = "flac"
    context_words: Annotated[int, Field(ge=0, le=500)] = 60
    revisions: bool = True

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.hop_s > self.length_s:
            raise ValueError(f"hop_s {self.hop_s} must not exceed length_s {self.length_s}")
        for name in ("length_s", "hop_s"):
            if abs(getattr(self, name) * 1000 - round(getattr(self, name) * 1000)) > 1e-9:
                raise ValueError(f"{name} must be a whole number of milliseconds")
        return self

    @property
    def length_ns(self) -> int:
        """Window length in nanoseconds."""
        return to_ns(self.length_s)

    @property
    def hop_ns(self) -> int:
        """Step between window ends in nanoseconds."""
        return to_ns(self.hop_s)

    @property
    def allowed_lateness_ns(self) -> int:
        """How long after a window's end its words are waited for, in nanoseconds."""
        return to_ns(self.allowed_lateness_s)

    @property
    def stall_timeout_ns(self) -> int:
        """How far a modality may fall behind before it is left out, in nanoseconds."""
        return to_ns(self.stall_timeout_s)


class InferenceConfig(Section):
    """One worker: one model on one device.

    A batch closes at `max_batch` windows or `max_wait_ms` after its first, whichever is first.
    `reproducible` has the model take each window of a batch alone, so that a score does not depend,
    in its last digits, on what else came at the same moment; `auto` does so on the CPU, where
    batching gains about a quarter, and not on a GPU, where it gains much; then each goes out at
    once, and nothing waits for a batch. `threads` are those of one operation on the CPU (0: as many
    as cores); more than one gain little on one window and lose much where other processes want the
    cores, so start more workers instead. `kept_bytes` bounds the encodings that are kept by
    content, where the CPU takes each window alone: of faces, sound and words
    that come again in another window (0: none). `compile` has torch compile the model, which pays
    where many windows are scored: the first ones of each kind wait minutes for it.
    """

    checkpoint: str = "default"
    device: str = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    compile: bool = False
    reproducible: Literal["auto", "always", "never"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 1
    max_batch: PositiveInt = 16
    max_wait_ms: Annotated[int, Field(ge=0)] = 50
    decode_threads: PositiveInt = 2
    kept_bytes: Annotated[int, Field(ge=0)] = 32 * 1024 * 1024
    consumer_group: str = "sentiment-inference"
    max_window_s: PositiveSeconds = 60.0
    max_faces: PositiveInt = 2000
    max_face_px: PositiveInt = 2048


class SmoothingConfig(Section):
    """Smoothing over event time.

    `time_constant_s` is the exponential's time constant; `lateness_s` how long (event time) a
    missing window is waited for before its successors go on without it.
    `drift_per_sqrt_min` is how fast uncertainty grows where there is no evidence. After
    `failover_s` without a heartbeat a worker counts as dead and its partitions go to the others;
    one that stood still for nearly as long starts over. The embedded broker has its own value.

    `publish` is `participant` or, to publish the meeting and no single person, `session`; a value
    of the meeting needs `session_min_participants`. Capture writes both into the session's record,
    which every stage obeys; a stage's own are for the sessions of producers that do not write them.
    """

    time_constant_s: PositiveSeconds = 5.0
    lateness_s: Seconds = 10.0
    trend_window_s: PositiveSeconds = 60.0
    drift_per_sqrt_min: Annotated[float, Field(ge=0)] = 0.5
    weight_audio: UnitFloat = 0.7
    weight_text: UnitFloat = 1.0
    weight_vision: UnitFloat = 0.5
    publish: Publish = "participant"
    session_min_participants: PositiveInt = 1
    idle_flush_s: PositiveSeconds = 5.0
    failover_s: Annotated[float, Field(ge=6, le=1800)] = 10.0
    consumer_group: str = "sentiment-smoothing"
    store: Literal["memory", "rocksdb"] = "memory"
    data_dir: str = "~/.local/share/streamer/faust"

    @model_validator(mode="after")
    def _session_hides_persons(self) -> Self:
        if self.publish == "session" and self.session_min_participants < 2:
            raise ValueError(
                'publish = "session" needs session_min_participants >= 2, '
                "because the mean over one participant is that person"
            )
        return self


class SecurityConfig(Section):
    """How clients prove themselves to the broker; names follow Kafka's own."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: str = ""
    password: SecretStr = SecretStr("")
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.protocol.startswith("SASL") and not (
            self.username and self.password.get_secret_value()
        ):
            raise ValueError(f"protocol {self.protocol} needs username and password")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file go together")
        return self


class KafkaConfig(Section):
    """Topics and the way to the broker.

    `broker` is `embedded` or `host[:port][,host[:port]…]`; the port is 9092 where none is given.
    `retention_ms` holds for every topic but windows (audio and faces), which have a shorter one of
    their own. The embedded broker ignores partitions (it has 4), replication and retention.
    """

    broker: str = "embedded"
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "sentiment"
    partitions: PositiveInt = 4
    replication: PositiveInt = 1
    retention_ms: PositiveInt = 7 * 24 * 3_600_000
    windows_retention_ms: PositiveInt = 3_600_000
    max_message_bytes: PositiveInt = KAFKA_MESSAGE_LIMIT_BYTES
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    connect_timeout_s: PositiveSeconds = 15.0
    security: SecurityConfig = SecurityConfig()

    @field_validator("broker")
    @classmethod
    def _broker_names_a_host(cls, broker: str) -> str:
        if broker == "embedded":
            return broker
        if SequenceMatcher(None, broker, "embedded").ratio() > 0.8:
            raise ValueError(f"broker {broker!r} has no port; did you mean 'embedded'?")
        return ",".join(_with_port(address.strip()) for address in broker.split(","))


class MetricsConfig(Section):
    """Prometheus metrics, `/healthz` and `/readyz` of each stage, over HTTP.

    `port` 0 is each stage's own: capture 9101, inference 9102, processing 9103, recording 9104.
    Else `run` and `replay` give the two ports above it to inference and processing.
    """

    enabled: bool = True
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65533)] = 0


def _as_browsers_write_it(origin: str) -> str:
    """Return an origin in lower case and without its scheme's own port."""
    match = re.fullmatch(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?", origin.lower())
    if match is None:
        raise ValueError(
            f"{origin!r} must be an origin without a path, as in https://app.example.com"
        )
    scheme, host, port = match.groups()
    own = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}" + (f":{port}" if port and port != own else "")


class DashboardConfig(Section):
    """The live page behind a proxy, and its data for pages of other origins.

    `hosts` are the names, without a port, that visitors may use for the page besides this
    machine's own. `trusted_proxies` are the addresses or networks whose `X-Forwarded-Host` and
    `X-Forwarded-Proto` are used. With either of them the page requires a token on every address.
    `base_path` is the path of the page at a proxy that forwards it; a proxy that removes the
    path from its requests needs no setting. Pages of the `origins` may read the event stream and
    the status with the token, which every visitor then needs.
    """

    hosts: tuple[HostName, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    base_path: Annotated[str, Field(pattern=r"^((/[A-Za-z0-9._~-]+)*/?)$")] = ""
    origins: tuple[str, ...] = ()

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_as_browsers_write_it, origins))

    @model_validator(mode="after")
    def _proxies_are_addresses(self) -> Self:
        _check_networks("trusted_proxies", self.trusted_proxies)
        return self


class IceServer(Section):
    """A STUN server, or a TURN server with its credentials, as browsers name them."""

    url: str
    username: str = ""
    credential: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not re.fullmatch(ICE_URL, self.url):
            raise ValueError(
                "url must be stun:host, turn:host or turns:host, each with :port if need be, and "
                "?transport=udp or ?transport=tcp for TURN"
            )
        if self.kind == "turn" and not (self.username and self.credential.get_secret_value()):
            raise ValueError(f"{self.url} needs username and credential")
        if self.url.startswith("turns:") and self.url.endswith("=udp"):
            raise ValueError(f"{self.url}: turns goes over TCP only")
        return self

    @property
    def kind(self) -> Literal["stun", "turn"]:
        """Which protocol the server speaks."""
        return "stun" if self.url.startswith("stun") else "turn"


class RoomConfig(Section):
    """The room that people join from a browser (`streamer room`).

    `max_participants` may be in, or about to join, at a time. `hosts` are the names, without a
    port, under which the join page is served besides this machine's own, as behind a proxy.
    `link_hours` is how long a join link lets people in; those who are in stay. `ice_servers` are at
    most one STUN and one TURN server, which the room asks for addresses. `ice_addresses` are the
    addresses or networks of this machine that media may use; empty for all.
    `admit`: whether `all` may join, or only those whom the `host` admits on the host's page.
    `start`: whether people may join `at_once`, or when the `host` starts the session there.
    `record`: whether a room with `--record` records `at_once`, or when the `host` starts it there.
    `watch`: whether the `host` alone, or `everyone` in the room, may open the live page. A lost
    connection that has not come back within `rejoin_s` ends the person's stay.
    """

    max_participants: Annotated[int, Field(ge=1, le=64)] = 12
    hosts: tuple[HostName, ...] = ()
    link_hours: Annotated[float, Field(gt=0, le=8760)] = 12.0
    ice_servers: tuple[IceServer, ...] = ()
    ice_addresses: tuple[str, ...] = ()
    admit: Literal["all", "host"] = "all"
    start: Literal["at_once", "host"] = "at_once"
    record: Literal["at_once", "host"] = "at_once"
    watch: Literal["host", "everyone"] = "host"
    rejoin_s: Annotated[float, Field(ge=0, le=600)] = 30.0

    @model_validator(mode="after")
    def _one_server_of_a_kind(self) -> Self:
        kinds = [server.kind for server in self.ice_servers]
        if len(kinds) > len(set(kinds)):
            raise ValueError("ice_servers: at most one STUN and one TURN server are used")
        return self

    @model_validator(mode="after")
    def _ice_addresses_are_addresses(self) -> Self:
        _check_networks("ice_addresses", self.ice_addresses)
        return self


class LogConfig(Section):
    """What is logged on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Config(Section):
    """The whole tree; `load` makes one."""

    session: SessionConfig = SessionConfig()
    capture: CaptureConfig = CaptureConfig()
    asr: AsrConfig = AsrConfig()
    speech: SpeechConfig = SpeechConfig()
    faces: FacesConfig = FacesConfig()
    windows: WindowsConfig = WindowsConfig()
    inference: InferenceConfig = InferenceConfig()
    smoothing: SmoothingConfig = SmoothingConfig()
    alerts: AlertsConfig = AlertsConfig()
    kafka: KafkaConfig = KafkaConfig()
    metrics: MetricsConfig = MetricsConfig()
    dashboard: DashboardConfig = DashboardConfig()
    room: RoomConfig = RoomConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _window_fits_a_message(self) -> Self:
        bytes_planned, arithmetic = planned_window_bytes(self)
        if bytes_planned > self.kafka.max_message_bytes:
            raise ValueError(
                f"a window would be about {bytes_planned:,} bytes ({arithmetic}), over "
                f"kafka.max_message_bytes = {self.kafka.max_message_bytes:,}; shorten "
                "windows.length_s or lower faces.rate_hz or faces.size_px"
            )
        return self


def _with_port(address: str) -> str:
    """Return the address of a broker as host:port."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]/]+)(?::(\d{1,5}))?", address)
    if match is None:
        raise ValueError(f"broker {address!r} must be `embedded` or host:port, as in kafka:9092")
    host, port = match.groups(default=str(KAFKA_PORT))
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"the port of {address} is not from 1 to 65535")
    return f"{host}:{port}"


def planned_window_bytes(config: Config) -> tuple[int, str]:
    """Largest window to plan for, in bytes, and the arithmetic in words.

    Audio: 16,000 samples/s × 2 bytes, times FLAC_RATIO for FLAC. A face crop: a third of a byte
    per pixel at JPEG quality 85, in proportion to quality elsewhere.
    """
    length_s, faces = config.windows.length_s, config.faces
    total, parts = 4096, ["4,096 for words and envelope"]
    if "audio" in config.session.modalities:
        ratio = FLAC_RATIO if config.windows.audio_codec == "flac" else 1.0
        audio = int(length_s * SAMPLE_RATE_HZ * 2 * ratio)
        total += audio
        parts.append(f"{length_s:g} s x {SAMPLE_RATE_HZ} Hz x 2 bytes x {ratio:g} = {audio:,}")
    if "vision" in config.session.modalities:
        crop = int(faces.size_px**2 * (faces.jpeg_quality / 85) ** 2 / 3)
        crops = int(length_s * faces.rate_hz + 1) * crop
        total += crops
        parts.append(f"{length_s:g} s x {faces.rate_hz:g} crops/s x {crop:,} = {crops:,}")
    return total, " + ".join(parts)
