"""Speech recognition: sound (or subtitles) → words with times, and who speaks when.

    subtitles     a WebVTT or SRT file beside a recording, or a text stream inside it
    whisper       OpenAI's Whisper through transformers, from weights on disk
    pocketsphinx  carries its own English model: the embedded default
    none          speech without words

`choose` picks one. Each is a Transcriber: synchronous and deterministic in event time, one per
participant. `listening` holds what the recognisers share, `vad` keeps silence away from them.
Nothing here knows windows, threads or Kafka.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

from streamer.config import AsrConfig, Config
from streamer.errors import ConfigError, SourceError
from streamer.speech import transcripts as subtitles
from streamer.speech.captions import Captions
from streamer.speech.listening import Engine, Listener, Transcriber, Transcript
from streamer.speech.models import fetch_command, on_disk
from streamer.speech.vad import Silero
from streamer.speech.whisper import Whisper

__all__ = ["Listener", "Source", "Transcriber", "Transcript", "choose"]

log = logging.getLogger(__name__)


class Source(Protocol):
    """What `choose` must know of a participant's source."""

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""

    @property
    def subtitle_path(self) -> Path | None:
        """A subtitle file that belongs to the recording."""

    @property
    def subtitle_stream(self) -> int | None:
        """Index of a text stream inside the recording at `path`."""

    @property
    def path(self) -> Path | None:
        """The recording; None when live."""


def choose(config: Config, source: Source) -> tuple[str, Transcriber]:
    """Pick what gives a participant's words, load it, and log which it is and why.

    Args:
        config: `asr.engine` names one, or `auto`: subtitles when there, Whisper when its weights
            are on disk, else PocketSphinx; none where text is not among the modalities.
        source: the participant's source.

    Returns:
        The engine's name and the transcriber, whose `description` says the reason too.

    Raises:
        ConfigError: the engine asked for cannot serve this source or language.
        ModelError: its model cannot be loaded.
        SourceError: the subtitles asked for cannot be read.
    """
    name, why, read = _pick(config, source)
    if read is not None:
        for notice in read.notices:
            log.warning("%s", notice)
        voice = Listener(Silero(), None, config.asr, why) if source.has_audio else None
        transcriber: Transcriber = Captions(read, voice, why)
    elif source.has_audio:
        transcriber = Listener(Silero(), _engine(name, config.asr), config.asr, why)
    else:
        transcriber = Captions(subtitles.Subtitles(()), None, why)
    log.info("words: %s", why)
    return name, transcriber


def _pick(config: Config, source: Source) -> tuple[str, str, subtitles.Subtitles | None]:
    """Name, reason and, where it is them, the subtitles."""
    wanted = config.asr.engine
    if "text" not in config.session.modalities:
        return "none", "none (text is not among the modalities)", None
    if wanted == "none":
        return "none", "none (asr.engine says so)", None
    missing = ""
    if wanted in ("auto", "subtitles"):
        found, where = _subtitles(source, required=wanted == "subtitles")
        if found is not None:
            return "subtitles", f"subtitles ({where})", found
        missing = where
    if not source.has_audio:
        return "none", f"none ({', '.join(filter(None, (missing, 'no sound')))})", None
    if wanted == "whisper":
        return "whisper", "Whisper (asr.engine is whisper)", None
    name = on_disk(config.asr)
    if name is None:
        return (
            "none",
            f"none ({missing}, and no Whisper model on disk; run `{fetch_command(config.asr)}`)",
            None,
        )
    return "whisper", f"{name} ({missing})", None


def _subtitles(source: Source, *, required: bool) -> tuple[subtitles.Subtitles | None, str]:
    """The source's subtitles and where they are, or None and why not.

    When they are required, why not is an error.
    """
    try:
        if source.subtitle_path is not None:
            return subtitles.parse_subtitles(source.subtitle_path), str(source.subtitle_path)
        if source.subtitle_stream is not None and source.path is not None:
            where = f"stream {source.subtitle_stream} of {source.path}"
            return subtitles.embedded_subtitles(source.path, source.subtitle_stream), where
    except SourceError as error:
        if required:
            raise
        log.warning("%s", error)
        return None, "no readable subtitles"
    if required:
        raise ConfigError(
            'asr.engine is "subtitles" but the source has none; put a .vtt or .srt file with '
            'the same name beside the recording, or set asr.engine to "auto".'
        )
    return None, "no subtitles"


def _engine(name: str, config: AsrConfig) -> Engine | None:
    match name:
        case "whisper":
            return Whisper(config)
        case _:
            return None
