"""Which recogniser gives a participant's words: subtitles, Whisper, or none.

What enters: the settings and a source. What leaves: a transcriber, and a phrase that says which one
it is and why. `streaming` runs a recogniser; `whisper` is one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from streamer.config import AsrConfig, Config
from streamer.errors import ConfigError, SourceError
from streamer.notices import PROCESS
from streamer.spans import SpeakerTurn
from streamer.speech import detection
from streamer.speech import transcripts as subtitles
from streamer.speech.activity import Silero
from streamer.speech.attribution import Everybody, part_of
from streamer.speech.captions import Captions
from streamer.speech.given import Given, WordQueue
from streamer.speech.languages import language_code
from streamer.speech.models import on_disk, remedy
from streamer.speech.shared import OnePerson
from streamer.speech.streaming import Engine, StreamingRecogniser, Transcriber
from streamer.speech.turns import Turns
from streamer.speech.whisper import Whisper

log = logging.getLogger(__name__)


class Source(Protocol):
    """What `choose` needs of a participant's source."""

    @property
    def has_audio(self) -> bool:
        """Whether there is audio."""

    @property
    def subtitle_path(self) -> Path | None:
        """A subtitle file that belongs to the recording."""

    @property
    def subtitle_stream(self) -> int | None:
        """Index of a text stream inside the recording at `path`."""

    @property
    def path(self) -> Path | None:
        """The recording; None when live."""

    @property
    def speaker(self) -> str | None:
        """Whom of the recording's people the participant is; None for the only one."""

    @property
    def transcript_offset_ns(self) -> int:
        """Added to the times of the subtitles."""

    @property
    def turns(self) -> Sequence[SpeakerTurn]:
        """Who speaks when, as the voices tell; empty where they were not told apart."""


def choose(
    config: Config, source: Source, give: Callable[[str], object] = PROCESS.give
) -> tuple[str, Transcriber]:
    """Choose what gives a participant's words, load it, and log the choice and the reason.

    Args:
        config: `asr.engine` names one, or `auto`: subtitles if there are any, else Whisper if a
            model is on disk, else none. None if text is not among the modalities.
        source: the participant's source.
        give: gets the notices on the subtitles.

    Returns:
        The engine's name, and the transcriber, whose `description` contains the reason.

    Raises:
        ConfigError: the engine cannot serve this source or language.
        ModelError: its model is missing or cannot be loaded.
        SourceError: the subtitles cannot be read.
    """
    name, why, read = _pick(config, source)
    if read is not None:
        for notice in read.notices:
            give(notice)
        scored = source.has_audio and "audio" in config.session.modalities
        voice = _recogniser(None, source, config.asr, why) if scored else None
        transcriber: Transcriber = _captions(read, voice, why, config.asr, give)
    elif source.has_audio:
        transcriber = _recogniser(_engine(name, config.asr), source, config.asr, why)
    else:
        transcriber = Captions(subtitles.Subtitles(()), None, why)
    missing_model = name == "none" and "no Whisper model" in why
    log.log(logging.WARNING if missing_model else logging.INFO, "words: %s", why)
    return name, transcriber


def _recogniser(engine: Engine | None, source: Source, config: AsrConfig, why: str) -> Transcriber:
    """Return a recogniser of a source's sound, or of one person's part of it."""
    recogniser = StreamingRecogniser(Silero(), engine, config, why)
    if source.speaker is None or not source.turns:
        return recogniser
    return OnePerson(recogniser, source.speaker, Everybody(source.turns))


def _captions(
    read: subtitles.Subtitles,
    voice: Transcriber | None,
    why: str,
    config: AsrConfig,
    give: Callable[[str], object],
) -> Captions:
    """Return the captions, with the languages that nobody states detected."""
    if config.transcript_language != "auto":
        read = replace(read, language=language_code(config.transcript_language))
    others: Mapping[subtitles.Utterance, str] = {}
    if not read.language:
        others = detection.others(read.utterances, config.scored_languages)
    if others:
        give(_taken_as(Counter(others.values()), len(read.utterances)))
    languages = {word: language for said, language in others.items() for word in said.words}
    return Captions(read, voice, why, config.scored_languages, languages)


def _taken_as(languages: Counter[str], utterances: int) -> str:
    named = ", ".join(f"{code} ({count})" for code, count in languages.most_common())
    return (
        f"{languages.total()} of {utterances} cues of the transcript are, by their words, in "
        f"another language than the model reads: {named}; if they are not, set "
        "asr.transcript_language."
    )


def given(words: WordQueue, config: Config) -> tuple[str, Transcriber]:
    """Return the recogniser of words that the sender of the sound gives, and its name."""
    voice = StreamingRecogniser(Silero(), None, config.asr, Given.description)
    return "sender", Given(words, voice, config.asr.scored_languages)


def turns_of(source: Source) -> Turns | None:
    """Return when the participant speaks in a recording of several people; None where it is alone.

    Raises:
        SourceError: the transcript cannot be read.
    """
    if source.speaker is None:
        return None
    if source.turns:
        return Turns(Everybody(source.turns).spans_of(source.speaker))
    if source.subtitle_path is None:
        return None
    read = subtitles.parse_subtitles(source.subtitle_path).later(source.transcript_offset_ns)
    return Turns((said.start_ns, said.end_ns) for said in read.of(source.speaker).utterances)


def _pick(config: Config, source: Source) -> tuple[str, str, subtitles.Subtitles | None]:
    """Return the name, the reason and, if they were chosen, the subtitles."""
    engine = config.asr.engine
    if "text" not in config.session.modalities:
        return "none", "none (text is not among the modalities)", None
    if engine == "none":
        return "none", 'none (asr.engine is "none")', None
    missing = ""
    if engine in ("auto", "subtitles"):
        read, where = _subtitles(source, required=engine == "subtitles")
        if read is not None:
            return "subtitles", f"subtitles ({where})", read
        missing = where
    if not source.has_audio:
        return "none", f"none ({', '.join(filter(None, (missing, 'no audio')))})", None
    if engine == "whisper":
        return "whisper", f'Whisper {config.asr.whisper_model} (asr.engine is "whisper")', None
    name = on_disk(config.asr)
    if name is None:
        why = f"{missing}, no Whisper model on disk; {remedy(config.asr)}"
        return "none", f"none ({why})", None
    return "whisper", f"{name} ({missing})", None


def _subtitles(source: Source, *, required: bool) -> tuple[subtitles.Subtitles | None, str]:
    """The source's subtitles and where they are, or None and why not.

    When they are required, why not is an error.
    """
    try:
        if source.subtitle_path is not None:
            read = subtitles.parse_subtitles(source.subtitle_path)
            if read.words or not read.utterances:
                own = _own(read.later(source.transcript_offset_ns), source)
                return own, str(source.subtitle_path)
            if not required:
                return None, "a transcript without words"
        if source.subtitle_stream is not None and source.path is not None:
            where = f"stream {source.subtitle_stream} of {source.path}"
            inside = subtitles.embedded_subtitles(source.path, source.subtitle_stream)
            return _own(inside, source), where
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


def _own(read: subtitles.Subtitles, source: Source) -> subtitles.Subtitles:
    """Return what of a transcript the participant says."""
    if source.speaker is None:
        return read
    if source.turns:
        return part_of(read, source.speaker, Everybody(source.turns))
    return read.of(source.speaker)


def _engine(name: str, config: AsrConfig) -> Engine | None:
    return Whisper(config) if name == "whisper" else None
