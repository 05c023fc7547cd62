"""Voices of people who agreed that they are recognised by them.

What enters: a recording of each, typed as `ana=ana.wav`, a statement of consent that names them,
and a file of voices, if one is stated. What leaves: a vector by name, which tells the person, and
so is biometric data. It is held in memory, and written to the stated file and nowhere else.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from streamer.capture.probe import info
from streamer.capture.sources import ParticipantSpec, checked_name, parse_participant
from streamer.config import Config
from streamer.errors import ConfigError, SourceError
from streamer.records import Name
from streamer.session.diarized import sound_of
from streamer.speakers.enrolment import Vector
from streamer.speakers.listening import Ear, networks, voices_in
from streamer.speakers.voices import WIDTH

LEAST_SPOKEN_S = 3.0
"""Speech of one person from which on a recording enrols the voice."""
LEAST_SHARE = 0.8
"""Of the speech in it, that the person speaks."""
_NUMBERED = re.compile(r"speaker-\d+")


class KeptVoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voice in a file: its vector, and the statement of that person's consent."""

    vector: Annotated[tuple[float, ...], msgspec.Meta(min_length=WIDTH, max_length=WIDTH)]
    consent: Annotated[str, msgspec.Meta(min_length=1)]


class KeptVoices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of voices."""

    version: Literal[1] = 1
    voices: dict[Name, KeptVoice]


@dataclass(frozen=True, slots=True)
class Voices:
    """Known voices.

    Attributes:
        vectors: by name; (WIDTH,) of length 1.
        consents: the statements of these people's consent, each once.
    """

    vectors: dict[str, Vector] = field(default_factory=dict, repr=False)
    consents: tuple[str, ...] = ()


def known_voices(
    texts: Sequence[str],
    consent: str,
    file: Path | None,
    config: Config,
    progress: Callable[[float], object] = lambda seconds: None,
    ear: Callable[[], Ear] = networks,
) -> Voices:
    """Return the voices of recordings and of a file; keep the former in the file, if one is stated.

    Args:
        texts: a recording of each person, as `ana=ana.wav`.
        consent: the statement of these people's consent, which names each of them.
        file: of voices; it need not exist.
        config: the settings.
        progress: gets the seconds of sound that are done.
        ear: loads what tells voices apart; called if there is a recording.

    Raises:
        ConfigError: the statement does not name somebody, a text has another form, or the file is
            none of voices.
        SourceError: a recording cannot be read, or does not hold enough speech of one person.
        ModelError: the networks are not on disk.
    """
    specs = [parse_participant(text) for text in texts]
    _check([spec.participant_id for spec in specs], consent)
    kept = {} if file is None or not file.exists() else _read(file)
    if file is not None and not specs and not kept:
        raise ConfigError(f"{file} contains no voices: add --voice ana=ana.wav to keep one there.")
    if specs:
        loaded = ear()
        new = {
            spec.participant_id: KeptVoice(_vector(spec, loaded, config, progress), consent)
            for spec in specs
        }
        kept = {**kept, **new}
        if file is not None:
            _write(file, KeptVoices(voices=kept))
    vectors = {name: np.asarray(voice.vector, np.float32) for name, voice in kept.items()}
    return Voices(vectors, tuple(dict.fromkeys(voice.consent for voice in kept.values())))


def _check(names: Collection[str], consent: str) -> None:
    """Refuse names that cannot be, and people whom the statement of consent does not name."""
    if names and not consent.strip():
        raise ConfigError(
            "A voice tells who a person is, so --voice needs that person's consent: state who "
            'agreed with --voice-consent "Ana agreed, 3 May" or speech.voice_consent.'
        )
    for name in names:
        checked_name(name)
        if _NUMBERED.fullmatch(name):
            raise ConfigError(f"{name} is how voices without a name are called; choose another.")
        if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", consent, re.IGNORECASE):
            raise ConfigError(
                f"The statement of consent {consent!r} does not name {name}, whose voice "
                "--voice would recognise: leave it out, or state that person's consent too."
            )
    if len(set(names)) < len(names):
        raise ConfigError("--voice names a person twice; give one recording for each.")


def _vector(
    spec: ParticipantSpec, ear: Ear, config: Config, progress: Callable[[float], object]
) -> tuple[float, ...]:
    name, source = spec.participant_id, ", ".join(spec.sources)
    if not info(spec).has_audio:
        raise SourceError(f"{source} has no sound: name a recording of {name}'s voice.")
    heard = voices_in(sound_of(spec, config, progress), ear)
    if not heard.spoken_s or max(heard.spoken_s) < LEAST_SPOKEN_S:
        raise SourceError(
            f"{source} has less than {LEAST_SPOKEN_S:g} s of speech: name a longer recording of "
            f"{name}'s voice."
        )
    if max(heard.spoken_s) < LEAST_SHARE * sum(heard.spoken_s):
        raise SourceError(
            f"{len(heard.spoken_s)} people speak in {source}: name a recording of {name} alone."
        )
    return tuple(heard.vectors[int(np.argmax(heard.spoken_s))].tolist())


def _read(file: Path) -> dict[str, KeptVoice]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=KeptVoices).voices
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no file of voices: {error}.") from None


def _write(file: Path, voices: KeptVoices) -> None:
    """Write a file whole, which its owner alone may read."""
    half = ""
    try:
        handle, half = tempfile.mkstemp(prefix=f".{file.name}", dir=file.parent)  # mode 0600
        with open(handle, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(voices), indent=1) + b"\n")
        os.replace(half, file)
    except OSError as error:
        if half:
            Path(half).unlink(missing_ok=True)
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}; choose --keep-voices."
        ) from None
