"""A PortAudio without devices of the machine, for tests of microphones."""

from __future__ import annotations

import types
from typing import Any

import numpy as np


class FakePortAudio(types.ModuleType):
    """The part of sounddevice that capture uses, with one microphone of 48 kHz stereo."""

    class PortAudioError(Exception):
        pass

    def __init__(self, blocks: int) -> None:
        super().__init__("sounddevice")
        self.blocks = blocks
        self.scans = 0
        self.streams: list[FakeMicrophone] = []

    def query_devices(self, device: str | None = None, kind: str | None = None) -> Any:
        entries = [
            {"name": "Speaker", "max_input_channels": 0, "default_samplerate": 48_000.0},
            {"name": "Headset", "max_input_channels": 2, "default_samplerate": 48_000.0},
        ]
        if kind is None:
            return entries
        if device not in (None, 1, "Headset"):
            raise ValueError(f"No input device matching {device!r}")
        return entries[1]

    def _terminate(self) -> None:
        assert not self.streams
        self.scans += 1

    def _initialize(self) -> None:
        pass

    def InputStream(self, **settings: Any) -> Any:
        return FakeMicrophone(self, **settings)


class FakeMicrophone:
    def __init__(
        self,
        owner: FakePortAudio,
        *,
        samplerate: float,
        channels: int,
        blocksize: int,
        callback: Any,
        **rest: Any,
    ) -> None:
        self._owner = owner
        self._callback = callback
        wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(blocksize) / samplerate)
        self._block = np.stack([wave, -0.5 * wave][:channels], axis=1).astype(np.float32)

    def start(self) -> None:
        self._owner.streams.append(self)
        for _ in range(self._owner.blocks):
            self._callback(self._block, len(self._block), None, None)

    def close(self, ignore_errors: bool) -> None:
        self._owner.streams.remove(self)
