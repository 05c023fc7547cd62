"""Options on known voices: whose they are, and what their consent adds to a session's.

What enters: option values. What leaves: the voices by name, and settings with the consent in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer import config as settings
from streamer.cli.app import screen
from streamer.cli.context import Chosen
from streamer.cli.options import Split
from streamer.errors import ConfigError


@dataclass(frozen=True)
class VoiceOptions:
    """What is stated of voices: recordings as `ana=ana.wav`, who agreed, and a file of voices."""

    recordings: Sequence[str]
    consent: str | None
    file: Path | None

    @property
    def are_stated(self) -> bool:
        """Whether anything is stated of voices."""
        return bool(self.recordings or self.file or self.consent)

    def known(self, chosen: Chosen, split: Split) -> tuple[Chosen, Mapping[str, Any]]:
        """Return the settings, whose `session.consent` has these people's, and the voices by name.

        Raises:
            ConfigError: voices are stated without `--split speakers`, or without consent.
        """
        if self.are_stated and split is not Split.speakers:
            raise ConfigError("Voices name the people of --split speakers: add it.")
        if not self.recordings and self.file is None:
            return chosen, {}
        from streamer.session.enrolled import known_voices

        consent = chosen.config.speech.voice_consent if self.consent is None else self.consent
        with screen.status("Learning voices …"):
            known = known_voices(self.recordings, consent, self.file, chosen.config)
        all_consents = "; ".join(filter(None, (chosen.config.session.consent, *known.consents)))
        overrides = (*chosen.overrides, f"session.consent={json.dumps(all_consents)}")
        config = settings.load(chosen.path, overrides)
        return Chosen(config, chosen.path, overrides), known.vectors
