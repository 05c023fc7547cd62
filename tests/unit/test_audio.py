from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamer import audio
from streamer.errors import UnreadableRecord
from tests import media


def resampled(path: Path) -> np.ndarray:
    resampler = audio.Resampler()
    with av.open(str(path)) as container:
        parts = [resampler.push(frame) for frame in container.decode(audio=0)]
    return np.concatenate([*parts, resampler.flush()])


@pytest.mark.parametrize(
    ("codec", "suffix", "rate", "layout"),
    [
        ("pcm_s16le", "wav", 16_000, "mono"),
        ("pcm_u8", "wav", 8_000, "mono"),
        ("pcm_s24le", "wav", 96_000, "5.1"),
        ("pcm_f64le", "wav", 11_025, "3 channels"),
        ("pcm_s16le", "wav", 48_000, "16 channels"),
        ("pcm_s16le", "wav", 44_100, "stereo"),
        ("flac", "flac", 48_000, "7.1"),
        ("aac", "mp4", 48_000, "7.1"),
        ("aac", "mp4", 48_000, "quad"),
        ("libopus", "mka", 48_000, "stereo"),
    ],
)
def test_a_tone_survives_every_rate_codec_and_channel_layout(
    tmp_path: Path, codec: str, suffix: str, rate: int, layout: str
) -> None:
    path = media.write(
        tmp_path / f"tone.{suffix}",
        media.Audio(seconds=1, codec=codec, rate=rate, layout=layout, bit_rate=256_000),
    )
    samples = resampled(path)
    assert samples.dtype == np.float32
    assert abs(len(samples) - 16_000) <= 1024 * 16_000 / rate + 1
    middle = samples[4000:12_000]
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) * 16_000 / len(middle) == pytest.approx(440, abs=3)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, abs=0.03)


def test_ten_planar_channels_are_decoded(tmp_path: Path) -> None:
    track = media.Audio(
        seconds=1, codec="libopus", rate=48_000, layout="10 channels",
        options={"mapping_family": "255"},
    )  # fmt: skip
    assert np.abs(resampled(media.write(tmp_path / "ten.mka", track))).max() > 0.4


def test_audio_at_16_khz_is_not_changed() -> None:
    wave = np.random.default_rng(1).uniform(-1, 1, 1000).astype(np.float32)
    assert np.array_equal(audio.Resampler().push_mono(wave, 16_000), wave)


def test_a_change_of_rate_loses_no_samples() -> None:
    resampler = audio.Resampler()
    out = [
        resampler.push_mono(np.full(44_100, 0.5, np.float32), 44_100),
        resampler.push_mono(np.full(8_000, 0.5, np.float32), 8_000),
        resampler.flush(),
    ]
    assert sum(map(len, out)) == 32_000


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_even_the_shortest_audio_keeps_its_length(rate_hz: int) -> None:
    for count in (1, 2, 6, 50, 300, 1000):
        resampler = audio.Resampler()
        wave = np.full(count, 0.5, np.float32)
        out = np.concatenate([resampler.push_mono(wave, rate_hz), resampler.flush()])
        assert len(out) == -(-count * 16_000 // rate_hz)
        assert np.abs(out).max() < 0.55  # no overshoot at the end
        assert len(resampler.flush()) == 0


def test_the_centre_channel_is_louder_than_the_bass_in_a_downmix() -> None:
    def level(position: int) -> float:
        data = np.zeros((100, 6), np.float32)
        data[:, position] = 1.0
        frame = av.AudioFrame.from_ndarray(data.reshape(1, -1), format="flt", layout="5.1")
        frame.sample_rate = 48_000
        return float(audio.downmix(frame).max())

    assert level(2) > level(0) == level(1) > level(4) > level(3) == 0


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1"])
def test_a_downmix_never_clips(layout: str) -> None:
    count = av.AudioLayout(layout).nb_channels
    data = np.full((1, 10 * count), 1.0, np.float32)
    frame = av.AudioFrame.from_ndarray(data, format="flt", layout=layout)
    frame.sample_rate = 48_000
    assert audio.downmix(frame) == pytest.approx(np.ones(10))


def test_nan_becomes_silence_and_infinity_full_scale() -> None:
    data = np.array([[np.nan, np.inf, -np.inf, 0.25]], np.float32)
    frame = av.AudioFrame.from_ndarray(data, format="flt", layout="mono")
    frame.sample_rate = 16_000
    assert audio.downmix(frame).tolist() == [0.0, 1.0, -1.0, 0.25]


@pytest.mark.parametrize("length", [0, 1, 15, 4607, 80_000])
def test_flac_is_lossless(length: int) -> None:
    pcm = np.random.default_rng(length).integers(-32_768, 32_767, length).astype(np.int16)
    back = audio.decode(audio.encode_flac(pcm), "flac")
    assert np.array_equal(audio.to_pcm16(back), pcm)


def test_flac_bytes_depend_only_on_the_samples() -> None:
    samples = np.sin(np.arange(16_000) / 20).astype(np.float32)
    first, second = audio.encode_flac(samples), audio.encode_flac(samples.copy())
    assert first == second
    assert b"Lavf" not in first


def test_floats_are_rounded_and_clipped() -> None:
    samples = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, np.nan], np.float32)
    expected = [0, 32_767, -32_768, 32_767, -32_768, 16_384, 0]
    assert audio.to_pcm16(samples).tolist() == expected


def test_pcm16_is_little_endian() -> None:
    assert audio.decode(b"\x00\x40\x00\xc0", "pcm16").tolist() == [0.5, -0.5]


def foreign(rate: int, layout: str, sample_format: str = "s16") -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=rate, layout=layout, format=sample_format)
        channels = av.AudioLayout(layout).nb_channels
        kind = {"s16": np.int16, "s32": np.int32}[sample_format]
        data = np.zeros((1, 100 * channels), kind)
        frame = av.AudioFrame.from_ndarray(data, format=sample_format, layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "codec", "reason"),
    [
        (b"", "flac", "cannot be decoded"),
        (b"not audio" * 40, "flac", "cannot be decoded"),
        (audio.encode_flac(np.zeros(9999, np.float32))[:30], "flac", "cannot be decoded"),
        (audio.encode_flac(np.ones(1999, np.float32))[:-5], "flac", "ends after"),
        (foreign(8000, "mono"), "flac", "8000 Hz"),
        (foreign(16_000, "stereo"), "flac", "2 channels"),
        (foreign(16_000, "mono", "s32"), "flac", "not s16"),
        (b"\x00", "pcm16", "inside a sample"),
        (b"", "mp3", "neither flac nor pcm16"),
        (audio.encode_flac(np.zeros(2001, np.float32)), "flac", "limit"),
        (bytes(2 * 2001), "pcm16", "limit"),
    ],
)
def test_bytes_that_are_not_valid_audio_are_refused(data: bytes, codec: str, reason: str) -> None:
    with pytest.raises(UnreadableRecord, match=reason):
        audio.decode(data, codec, max_samples=2000)


def test_one_channel_is_read_alone_and_silence_where_it_is_missing() -> None:
    both = np.stack([np.full(1600, 0.25), np.full(1600, -0.5)]).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(both, format="fltp", layout="stereo")
    frame.sample_rate = 16_000
    read = [audio.Resampler(channel).push(frame).mean() for channel in (0, 1, 2, None)]
    assert read == pytest.approx([0.25, -0.5, 0.0, -0.125])
