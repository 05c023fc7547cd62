"""Audio samples: float32 mono at SAMPLE_RATE_HZ, and the encoded bytes inside a Window.

Input: decoded frames of any rate, format and channel layout; the audio of one window. Output:
samples in [-1, 1], or FLAC and PCM16 bytes. The same samples always give the same bytes.
This module does not depend on sources or times.
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

from streamer.errors import UnreadableRecord
from streamer.records import SAMPLE_RATE_HZ
from streamer.stereo import Stereo

PCM_SCALE = 32_768
MAX_DECODED_S = 60
_FLAC_HEADER_BYTES = 42
_LOOKAHEAD_SAMPLES = 64
"""More than the taps of FFmpeg's resampling filter, at the lower of the two rates."""
_MAX_PLANES = 7
"""Planar frames of more channels are packed first, because PyAV 18 reads one plane too many."""
_SURROUND_WEIGHTS = (0.7, 0.7, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5)
"""By position in 5.1 and 7.1: left, right, centre (speech), low frequencies, surrounds."""


class Resampler:
    """Converts the frames of one audio stream to float32 mono at SAMPLE_RATE_HZ.

    n input samples at a rate give ceil(n * SAMPLE_RATE_HZ / rate) output samples once flushed,
    however the input is split: output sample k lies k / SAMPLE_RATE_HZ after the first input
    sample. A frame of another rate flushes the filter and starts a new conversion.
    """

    def __init__(self, channel: int | None = None) -> None:
        """Start without a rate; the first frame sets it. `channel` is read alone, None: all."""
        self._channel = channel
        self._rate_hz = 0
        self._filter: Any = None
        self._samples_in = 0
        self._samples_out = 0
        self._last_sample = np.float32(0)
        self.stereo = Stereo()

    def begin_stream(self) -> None:
        """Forget what the channels of the last stream were to each other."""
        self.stereo = Stereo()

    def push(self, frame: av.AudioFrame) -> NDArray[np.float32]:
        """Return the samples that are ready after `frame`, shape (n,); n may be 0."""
        return self.push_channels(_unit_scale(_channels_first(frame)), frame.sample_rate)

    def push_channels(self, channels: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
        """Like `push`, for float32 samples of shape (channels, n)."""
        return self.push_mono(mixed(channels, rate_hz, self.stereo, self._channel), rate_hz)

    def push_mono(self, samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
        """Like `push`, for float32 mono samples of shape (n,)."""
        flushed = self.flush() if rate_hz != self._rate_hz else _empty()
        self._rate_hz = rate_hz
        if rate_hz == SAMPLE_RATE_HZ:
            return np.concatenate([flushed, samples])
        if not len(samples):
            return flushed
        self._samples_in += len(samples)
        self._last_sample = samples[-1]
        return np.concatenate([flushed, self._filtered(samples)])

    def flush(self) -> NDArray[np.float32]:
        """Return the samples that the filter still holds, shape (n,), and start anew.

        The filter looks ahead: repeating the last input sample makes it return the rest.
        """
        parts = [_empty()]
        total = -(-self._samples_in * SAMPLE_RATE_HZ // self._rate_hz) if self._samples_in else 0
        repeats = _LOOKAHEAD_SAMPLES * (1 + self._rate_hz // SAMPLE_RATE_HZ)
        padding = np.full(repeats, self._last_sample, np.float32)
        while (missing := total - self._samples_out) > 0:
            parts.append(self._filtered(padding)[:missing])
        self._filter, self._rate_hz = None, 0
        self._samples_in = self._samples_out = 0
        return np.concatenate(parts)

    def _filtered(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._filter is None:
            self._filter = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        frames = self._filter.resample(_frame(samples[None], "flt", self._rate_hz))
        parts = [frame.to_ndarray().reshape(-1) for frame in frames]
        out: NDArray[np.float32] = np.concatenate([_empty(), *parts])
        self._samples_out += len(out)
        return np.clip(out, -1.0, 1.0)


def downmix(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Mix the channels of a decoded frame to mono: float32 in [-1, 1], shape (n,)."""
    return mixed(_unit_scale(_channels_first(frame)), frame.sample_rate)


def mixed(
    channels: NDArray[np.float32],
    rate_hz: int,
    stereo: Stereo | None = None,
    channel: int | None = None,
) -> NDArray[np.float32]:
    """Mix samples of shape (channels, n) to mono: float32 in [-1, 1], shape (n,).

    The result is a weighted mean and so never clips: 6 and 8 channels have the weights of 5.1 and
    7.1, other layouts equal weights. With `stereo`, two channels that cancel give the louder one.
    With `channel`, that one alone; silence where there is no such channel.
    """
    clean = channels
    if channels.size and not np.abs(channels).max() <= 1.0:  # or there is a NaN
        clean = np.clip(np.nan_to_num(channels), -1.0, 1.0)
    if len(clean) == 1 and not channel:
        return np.ascontiguousarray(clean[0])
    if channel is not None:
        if channel >= len(clean):
            return np.zeros(clean.shape[1], np.float32)
        return np.ascontiguousarray(clean[channel])  # FFmpeg's frames take nothing else
    if stereo is not None and len(clean) == 2 and clean.shape[1]:
        return stereo.mix(clean, rate_hz)
    weights = np.ones(len(channels), np.float32)
    if len(channels) in (6, 8):
        weights = np.array(_SURROUND_WEIGHTS[: len(channels)], np.float32)
    mono: NDArray[np.float32] = (weights / weights.sum()) @ clean
    return mono


def to_pcm16(samples: NDArray[np.float32] | NDArray[np.int16]) -> NDArray[np.int16]:
    """Convert samples to int16, shape (n,): float32 is rounded, and clipped outside [-1, 1]."""
    if samples.dtype == np.int16:
        return samples.astype(np.int16, copy=False)
    scaled = np.rint(np.nan_to_num(samples.astype(np.float32)) * PCM_SCALE)
    return np.clip(scaled, -PCM_SCALE, PCM_SCALE - 1).astype(np.int16)


def encode_flac(samples: NDArray[np.float32] | NDArray[np.int16]) -> bytes:
    """Encode mono samples of shape (n,) at SAMPLE_RATE_HZ as a FLAC file of 16-bit samples.

    The bytes depend only on the samples: they contain no date and no encoder version.
    """
    pcm = to_pcm16(samples)
    file = io.BytesIO()
    bitexact = {"fflags": "+bitexact"}
    with av.open(file, "w", format="flac", container_options=bitexact) as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono", format="s16")
        stream.codec_context.flags |= Flags.bitexact
        stream.codec_context.thread_count = 1
        if len(pcm):
            container.mux(stream.encode(_frame(pcm[None], "s16", SAMPLE_RATE_HZ)))
        container.mux(stream.encode(None))
    return file.getvalue()


def decode(audio: bytes, codec: str, max_samples: int | None = None) -> NDArray[np.float32]:
    """Decode the audio of a window.

    Args:
        audio: the bytes of `Window.audio`.
        codec: `flac` or `pcm16`.
        max_samples: the most samples to accept; by default MAX_DECODED_S seconds.

    Returns:
        float32 in [-1, 1], shape (n,), at SAMPLE_RATE_HZ.

    Raises:
        UnreadableRecord: the bytes are damaged, of another codec or rate, not mono, or too long.
    """
    limit = MAX_DECODED_S * SAMPLE_RATE_HZ if max_samples is None else max_samples
    if codec == "pcm16":
        pcm = _decode_pcm16(audio, limit)
    elif codec == "flac":
        pcm = _decode_flac(audio, limit)
    else:
        raise UnreadableRecord(f"audio codec {codec[:20]!r} is neither flac nor pcm16")
    return pcm.astype(np.float32) / np.float32(PCM_SCALE)


def _decode_pcm16(audio: bytes, limit: int) -> NDArray[np.int16]:
    if len(audio) % 2:
        raise UnreadableRecord(f"pcm16 audio of {len(audio)} bytes is cut inside a sample")
    if len(audio) // 2 > limit:
        raise UnreadableRecord(f"audio holds {len(audio) // 2} samples, over the limit of {limit}")
    return np.frombuffer(audio, dtype="<i2").astype(np.int16)


def _decode_flac(audio: bytes, limit: int) -> NDArray[np.int16]:
    if len(audio) < _FLAC_HEADER_BYTES or audio[:4] != b"fLaC":
        raise UnreadableRecord("audio cannot be decoded: it is not FLAC")
    declared = int.from_bytes(audio[18:26], "big") & (2**36 - 1)
    parts: list[NDArray[np.int16]] = []
    total = 0
    try:
        with av.open(io.BytesIO(audio), "r", format="flac") as container:
            for frame in container.decode(audio=0):
                if frame.sample_rate != SAMPLE_RATE_HZ or frame.layout.nb_channels != 1:
                    raise UnreadableRecord(
                        f"flac audio is {frame.sample_rate} Hz with {frame.layout.nb_channels} "
                        f"channels, not {SAMPLE_RATE_HZ} Hz mono"
                    )
                total += frame.samples
                if total > limit:
                    raise UnreadableRecord(f"audio holds over {limit} samples, the limit")
                if frame.format.name != "s16":
                    raise UnreadableRecord(f"flac audio has {frame.format.name} samples, not s16")
                parts.append(frame.to_ndarray().reshape(-1))
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise UnreadableRecord(f"flac audio cannot be decoded: {type(error).__name__}") from None
    if declared not in (0, total):
        raise UnreadableRecord(f"flac audio ends after {total} of {declared} samples")
    return np.concatenate([np.empty(0, np.int16), *parts])


def _frame(data: NDArray[Any], sample_format: str, rate_hz: int) -> av.AudioFrame:
    """Wrap `data` of shape (1, n) in a mono frame."""
    frame = av.AudioFrame.from_ndarray(data, format=sample_format, layout="mono")
    frame.sample_rate = rate_hz
    frame.time_base = Fraction(1, rate_hz)
    return frame


def _channels_first(frame: av.AudioFrame) -> NDArray[Any]:
    """The frame's samples as (channels, n), in its own sample type."""
    count = frame.layout.nb_channels
    if frame.format.is_planar and count > _MAX_PLANES:
        packer = av.AudioResampler(format=frame.format.packed.name)
        frame.pts = None
        frame = packer.resample(frame)[0]
    data: NDArray[Any] = frame.to_ndarray()
    return data if frame.format.is_planar else data.reshape(-1, count).T


def _unit_scale(data: NDArray[Any]) -> NDArray[np.float32]:
    """Convert any of FFmpeg's sample types to float32 with full scale 1."""
    if data.dtype == np.uint8:
        return (data.astype(np.float32) - 128) / np.float32(128)
    if np.issubdtype(data.dtype, np.signedinteger):
        return data.astype(np.float32) / np.float32(-float(np.iinfo(data.dtype).min))
    return data.astype(np.float32)


def _empty() -> NDArray[np.float32]:
    return np.empty(0, np.float32)
