"""Recordings of every kind, from media files to chunks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import wave
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamer import capture
from streamer.capture.files import ContainerReader, open_file, select_streams
from streamer.capture.tracks import AudioTrack, VideoTrack
from streamer.config import Config, build
from streamer.errors import SourceError
from streamer.records import (
    NS_PER_MS,
    NS_PER_S,
    SAMPLE_RATE_HZ,
    AudioChunk,
    Notice,
    StreamEnd,
    VideoFrame,
)
from tests import media
from tests.media import Audio, Video

TRUTH_TOLERANCE_S = 0.12
"""Grey is kept to about two levels, so a tenth of a second, through the codecs' colour spaces."""


@dataclass
class Read:
    """The chunks, notices and counters of one reading."""

    chunks: list[AudioChunk] = field(default_factory=list)
    frames: list[VideoFrame] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    order: list[tuple[str, int]] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)

    @property
    def audio(self) -> np.ndarray:
        """All samples; asserts that they follow each other without a gap from time 0."""
        samples = 0
        for chunk in self.chunks:
            assert chunk.event_time_ns == samples * NS_PER_S // SAMPLE_RATE_HZ
            assert chunk.samples.dtype == np.float32
            samples += len(chunk.samples)
        return np.concatenate([np.empty(0, np.float32), *(c.samples for c in self.chunks)])

    @property
    def audio_s(self) -> float:
        return len(self.audio) / SAMPLE_RATE_HZ


def spec(*sources: object) -> capture.ParticipantSpec:
    return capture.ParticipantSpec("ana", tuple(str(source) for source in sources))


def read(
    *sources: object, config: Config | None = None, rate_hz: float = 5, **options: Any
) -> Read:
    counters: Counter[str] = Counter()
    chunks = capture.read(
        spec(*sources),
        config or Config(),
        threading.Event(),
        rate_hz,
        counters=counters,
        **options,
    )
    result = collect(chunks)
    result.counters = counters
    return result


def collect(chunks: Iterable[capture.Chunk]) -> Read:
    result = Read()
    for chunk in chunks:
        match chunk:
            case AudioChunk():
                assert not result.ends
                result.chunks.append(chunk)
                result.order.append(("audio", chunk.event_time_ns))
            case VideoFrame():
                assert not result.ends
                result.frames.append(chunk)
                result.order.append(("vision", chunk.event_time_ns))
            case Notice():
                result.notices.append(chunk.message)
            case StreamEnd():
                assert chunk.modality not in result.ends
                result.ends[chunk.modality] = chunk.event_time_ns
    return result


def beep_times(audio: np.ndarray) -> list[float]:
    """The times in seconds at which audio begins after at least 0.2 s of silence."""
    loud = np.flatnonzero(np.abs(audio) > 0.2) / SAMPLE_RATE_HZ
    first = np.diff(loud, prepend=-1.0) > 0.2
    return [float(t) for t in loud[first]]


def shown_times(result: Read) -> list[tuple[float, float]]:
    """(event time, the time that the grey clock shows) of each frame, in seconds."""
    return [
        (frame.event_time_ns / NS_PER_S, media.read_grey_clock(frame.image))
        for frame in result.frames
    ]


def assert_true_times(result: Read, offset_s: float = 0.0) -> None:
    for event_s, shown_s in shown_times(result):
        assert shown_s == pytest.approx(event_s + offset_s, abs=TRUTH_TOLERANCE_S)


def assert_in_order(result: Read) -> None:
    """Event-time order over both streams, up to a chunk."""
    latest = 0
    for _, time_ns in result.order:
        assert time_ns >= latest - NS_PER_S // 2
        latest = max(latest, time_ns)


# --- containers and codecs ----------------------------------------------------------------------

BEEPS = media.beeps((0.5, 1.5, 2.5))
RECORDINGS = {
    "mp4": (Audio(codec="aac", wave=BEEPS, rate=44_100, layout="stereo"), Video()),
    "mov": (Audio(codec="aac", wave=BEEPS), Video(codec="mjpeg", pixels="yuvj420p")),
    "mkv": (Audio(wave=BEEPS, rate=22_050), Video(options={"bf": "3", "preset": "medium"})),
    "webm": (Audio(codec="libopus", wave=BEEPS, rate=48_000), Video(codec="libvpx")),
    "avi": (Audio(codec="pcm_s16le", wave=BEEPS), Video(codec="mjpeg", pixels="yuvj420p")),
    "ts": (Audio(codec="mp2", wave=BEEPS, rate=48_000), Video()),
    "flv": (Audio(codec="aac", wave=BEEPS, rate=44_100), Video(codec="flv")),
    "wav": (Audio(wave=BEEPS, codec="pcm_u8", rate=8_000),),
    "mp3": (Audio(codec="libmp3lame", wave=BEEPS, rate=44_100, layout="stereo"),),
    "flac": (Audio(codec="flac", wave=BEEPS, rate=96_000, layout="5.1"),),
    "ogg": (Audio(codec="libopus", wave=BEEPS, rate=48_000),),
    "m4a": (Audio(codec="alac", wave=BEEPS, rate=44_100),),
    "aac": (Audio(codec="aac", wave=BEEPS, rate=44_100),),
    "h264": (Video(),),
}


@pytest.mark.parametrize("suffix", RECORDINGS)
def test_every_common_container_keeps_its_times(tmp_path: Path, suffix: str) -> None:
    tracks = RECORDINGS[suffix]
    container = {"aac": "adts"}.get(suffix)
    path = media.write(tmp_path / f"talk.{suffix}", *tracks, container=container)
    result = read(path)
    assert_in_order(result)
    if isinstance(tracks[0], Audio):
        assert result.audio_s == pytest.approx(3.0, abs=0.06)
        assert result.ends["audio"] == pytest.approx(3 * NS_PER_S, abs=0.06 * NS_PER_S)
        assert beep_times(result.audio) == pytest.approx([0.5, 1.5, 2.5], abs=0.06)
    if isinstance(tracks[-1], Video):
        assert len(result.frames) in (15, 16)
        assert_true_times(result)
        assert result.frames[0].image.shape == (48, 64, 3)
        assert result.ends["vision"] == pytest.approx(3 * NS_PER_S, abs=0.11 * NS_PER_S)
    assert set(result.ends) == {{Audio: "audio", Video: "vision"}[type(t)] for t in tracks}


def test_an_mp4_of_whole_seconds_ends_on_the_second(tmp_path: Path) -> None:
    """What AAC adds to fill its last frame would make one window too many."""
    path = media.write(tmp_path / "a.mp4", Audio(codec="aac", rate=44_100), Video())
    assert max(read(path).ends.values()) == 3 * NS_PER_S


def test_the_same_file_gives_the_same_chunks(tmp_path: Path) -> None:
    path = media.talking_head(tmp_path / "head.mp4")
    first, second = read(path), read(path)
    assert first.order == second.order
    assert np.array_equal(first.audio, second.audio)
    pairs = zip(first.frames, second.frames, strict=True)
    assert all(np.array_equal(a.image, b.image) for a, b in pairs)


def test_chunks_are_tenths_of_a_second(tmp_path: Path) -> None:
    result = read(media.write(tmp_path / "a.wav", Audio(seconds=1.05)))
    assert [len(chunk.samples) for chunk in result.chunks] == [1600] * 10 + [800]


# --- missing and unwanted streams ----------------------------------------------------------------


def test_a_recording_without_audio_gives_a_notice_and_its_video(tmp_path: Path) -> None:
    result = read(media.write(tmp_path / "mute.mp4", Video()))
    assert len(result.frames) == 15
    assert set(result.ends) == {"vision"}
    assert any("has no audio" in notice for notice in result.notices)


def test_a_recording_without_video_gives_a_notice_and_its_audio(tmp_path: Path) -> None:
    result = read(media.write(tmp_path / "voice.wav", Audio()))
    assert result.audio_s == 3.0
    assert any("has no video" in notice for notice in result.notices)


def test_a_cover_image_is_not_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    media.write(
        path,
        Audio(codec="libmp3lame", rate=44_100),
        Video(seconds=0.1, codec="mjpeg", pixels="yuvj420p"),
    )
    covered = tmp_path / "covered.mp3"
    media.write_with_cover(path, covered)
    assert not capture.info(spec(covered)).has_video
    assert read(covered).frames == []


@pytest.mark.parametrize(
    ("modalities", "audio", "vision"),
    [
        ({"text"}, True, False),
        ({"audio"}, True, False),
        ({"vision"}, False, True),
        ({"text", "vision"}, True, True),
    ],
)
def test_only_the_requested_modalities_are_decoded(
    tmp_path: Path, modalities: Any, audio: bool, vision: bool
) -> None:
    path = media.write(tmp_path / "a.mkv", Audio(), Video())
    result = read(path, modalities=modalities)
    assert (bool(result.chunks), bool(result.frames)) == (audio, vision)
    assert set(result.ends) == {m for m, on in (("audio", audio), ("vision", vision)) if on}


def test_the_configured_modalities_are_decoded_by_default(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.mkv", Audio(), Video())
    config = build({"session": {"modalities": ["vision"]}})
    assert read(path, config=config).chunks == []


def test_the_first_of_several_audio_streams_is_read_with_a_notice(tmp_path: Path) -> None:
    path = media.write(
        tmp_path / "many.mkv", Audio(wave=media.tone(level=0.5)),
        Audio(wave=media.tone(level=0.1), default=False),
    )  # fmt: skip
    result = read(path)
    assert np.abs(result.audio).max() == pytest.approx(0.5, abs=0.01)
    assert any("2 audio streams" in n and "many.mkv#a:1" in n for n in result.notices)


def test_another_audio_stream_can_be_named(tmp_path: Path) -> None:
    path = media.write(
        tmp_path / "many.mkv", Audio(wave=media.tone(level=0.5)),
        Audio(wave=media.tone(level=0.1), default=False),
    )  # fmt: skip
    assert np.abs(read(f"{path}#a:1").audio).max() == pytest.approx(0.1, abs=0.01)
    with pytest.raises(SourceError, match="no #a:2"):
        read(f"{path}#a:2")


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4"])
def test_a_recording_that_starts_above_zero_begins_at_zero(tmp_path: Path, suffix: str) -> None:
    audio = Audio(
        codec="mp2", rate=48_000, start_s=100, wave=media.beeps((100.5, 101.5)), seconds=3
    )
    path = media.write(tmp_path / f"late.{suffix}", audio, Video(start_s=100, draw=later(100)))
    result = read(path)
    assert result.audio_s == pytest.approx(3.0, abs=0.05)
    assert beep_times(result.audio) == pytest.approx([0.5, 1.5], abs=0.03)
    assert_true_times(result)
    assert result.notices == []
    assert capture.info(spec(path)).duration_s == pytest.approx(3.0, abs=0.1)


def later(by_s: float) -> media.Drawing:
    clock = media.grey_clock()
    return lambda t: clock(t - by_s)


def test_audio_that_begins_late_starts_with_silence(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.mkv", Audio(seconds=2, start_s=1, wave=media.tone()), Video())
    audio = read(path).audio
    assert not audio[: SAMPLE_RATE_HZ - 10].any()
    assert beep_times(audio) == pytest.approx([1.0], abs=0.01)


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
@pytest.mark.parametrize("by_s", [20, 1000, 90_000])
def test_a_timestamp_jump_is_removed_from_both_streams(
    tmp_path: Path, suffix: str, by_s: int
) -> None:
    path = media.write(
        tmp_path / f"leap.{suffix}",
        Audio(seconds=6, codec="mp2", rate=48_000, wave=media.beeps((1, 2, 3.5, 5))),
        Video(seconds=6),
        stamp=media.jump(3.0, by_s),
    )
    result = read(path)
    assert beep_times(result.audio) == pytest.approx([1, 2, 3.5, 5], abs=0.1)
    assert_true_times(result)
    assert_in_order(result)
    assert max(result.ends.values()) == pytest.approx(6 * NS_PER_S, abs=0.1 * NS_PER_S)
    assert result.counters["clock_leaps"] >= 1
    assert any("timestamps jump" in notice for notice in result.notices)


def test_timestamps_that_restart_at_zero_continue_where_they_were(tmp_path: Path) -> None:
    """Two recordings joined byte for byte: the second begins at zero again."""
    parts = []
    for number in range(2):
        part = media.write(
            tmp_path / f"{number}.ts",
            Audio(codec="mp2", rate=48_000, wave=media.beeps((1, 2))),
            Video(),
        )
        parts.append(part.read_bytes())
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    result = read(joined)
    assert beep_times(result.audio) == pytest.approx([1, 2, 4, 5], abs=0.1)
    shown = shown_times(result)
    assert [s for t, s in shown if t > 3.1] == pytest.approx(
        [t - 3 for t, _ in shown if t > 3.1], abs=0.15
    )


def test_a_short_gap_in_all_streams_keeps_its_length(tmp_path: Path) -> None:
    path = media.write(
        tmp_path / "a.mkv", Audio(seconds=6, wave=media.beeps((1, 5))), Video(seconds=6),
        stamp=media.jump(3, 4),
    )  # fmt: skip
    result = read(path)
    assert beep_times(result.audio) == pytest.approx([1, 9], abs=0.03)
    assert result.audio_s == pytest.approx(10)
    assert result.counters["clock_leaps"] == 0


def test_the_longest_gap_is_configurable(tmp_path: Path) -> None:
    path = media.write(
        tmp_path / "a.mkv", Audio(seconds=6, wave=media.beeps((1, 5))), stamp=media.jump(3, 4)
    )
    config = build({"capture": {"max_gap_s": 2}})
    assert beep_times(read(path, config=config).audio) == pytest.approx([1, 5], abs=0.15)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_long_gap_in_the_audio_is_silence_while_the_video_continues(
    tmp_path: Path, suffix: str
) -> None:
    codec = {"mkv": "pcm_s16le", "mp4": "aac"}[suffix]
    path = media.write(
        tmp_path / f"hole.{suffix}",
        Audio(seconds=40, codec=codec, wave=media.beeps((1, 39)), holes=((2, 38),)),
        Video(seconds=40, rate=5, draw=media.grey_clock(levels_per_s=5)),
    )
    result = read(path)
    assert beep_times(result.audio) == pytest.approx([1, 39], abs=0.1)
    assert result.audio_s == pytest.approx(40, abs=0.1)
    assert_in_order(result)


def test_a_frame_shown_for_a_minute_keeps_its_time(tmp_path: Path) -> None:
    path = media.write(
        tmp_path / "slides.mkv",
        Audio(seconds=70, rate=8_000, wave=media.beeps((1, 69))),
        Video(times=(0.0, 3.0, 65.0), draw=media.grey_clock(levels_per_s=3)),
    )
    result = read(path)
    assert [f.event_time_ns / NS_PER_S for f in result.frames] == pytest.approx([0, 3, 65])
    assert beep_times(result.audio) == pytest.approx([1, 69], abs=0.02)
    assert_in_order(result)


@pytest.mark.parametrize("missing", ["audio", "video", "both"])
def test_missing_timestamps_are_filled_in(tmp_path: Path, missing: str) -> None:
    """No muxer writes such files any more; the demuxer's packets are stripped instead."""
    path = media.write(tmp_path / "a.mkv", Audio(wave=media.beeps((1, 2))), Video())
    with open_file(path) as container:
        streams = select_streams(container, "a.mkv")
        stripped = media.Stripped(container, missing)
        tracks: dict[str, Any] = {"audio": AudioTrack(0), "video": VideoTrack(0, 5)}
        result = collect(
            ContainerReader(stripped, streams, "a.mkv", 0, 10 * NS_PER_S, **tracks).read()
        )
    assert beep_times(result.audio) == pytest.approx([1, 2], abs=0.05)
    assert_true_times(result)
    assert len(result.frames) == 15


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times = (0.0, 0.05, 0.1, 0.7, 0.75, 1.5, 2.9)
    path = media.write(tmp_path / "vfr.mp4", Audio(codec="aac"), Video(times=times))
    result = read(path, rate_hz=30)
    assert [f.event_time_ns / NS_PER_S for f in result.frames] == pytest.approx(times, abs=0.002)
    assert_true_times(result)


def test_each_time_slot_has_at_most_one_frame(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.mkv", Video(seconds=3, rate=30))
    slots = [int(f.event_time_ns * 5 // NS_PER_S) for f in read(path, rate_hz=5).frames]
    assert slots == list(range(15))
    assert len(read(path, rate_hz=1).frames) == 3


def test_a_drifting_audio_clock_is_followed(tmp_path: Path) -> None:
    """A sound card 1 % slower than the timestamps: sample count and time stay together."""
    path = media.write(
        tmp_path / "drift.mkv",
        Audio(seconds=20, wave=media.beeps((1, 19)), rate=16_000),
        stamp=lambda t: t * 1.01,
    )
    result = read(path)
    assert beep_times(result.audio) == pytest.approx([1.01, 19.19], abs=0.11)


# --- frames -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quarters", "shape", "bright"),
    [
        (0, (48, 80), (24, 10)),
        (1, (80, 48), (10, 24)),
        (2, (48, 80), (24, 70)),
        (3, (80, 48), (70, 24)),
    ],
)
def test_rotated_frames_become_upright(
    tmp_path: Path, quarters: int, shape: tuple[int, ...], bright: tuple[int, ...]
) -> None:
    def left_is_bright(t: float) -> np.ndarray:
        image = np.zeros((48, 80, 3), np.uint8)
        image[:, :40] = 255
        return image

    path = media.rotate(media.write(tmp_path / "r.mp4", Video(draw=left_is_bright)), quarters)
    image = read(path).frames[0].image
    assert image.shape[:2] == shape
    assert image[bright].mean() > 200
    opposite = (shape[0] - 1 - bright[0], shape[1] - 1 - bright[1])
    assert image[opposite].mean() < 50


def test_frames_with_oblong_pixels_are_stretched_to_square_ones(tmp_path: Path) -> None:
    video = Video(codec="mpeg4", pixel_aspect=Fraction(4, 3))
    path = media.write(tmp_path / "dv.mkv", video)
    assert read(path).frames[0].image.shape == (48, 85, 3)


def test_large_frames_are_scaled_down(tmp_path: Path) -> None:
    video = Video(seconds=0.2, codec="mpeg4", draw=media.grey_clock((2560, 1440)))
    path = media.write(tmp_path / "big.mkv", video)
    assert read(path).frames[0].image.shape == (720, 1280, 3)


@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p10le", "gray"])
def test_other_pixel_formats_are_converted(tmp_path: Path, pixels: str) -> None:
    path = media.write(tmp_path / "p.mkv", Video(codec="ffv1", pixels=pixels))
    result = read(path)
    assert len(result.frames) == 15
    assert_true_times(result)


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4", "wav"])
def test_a_truncated_recording_is_read_to_its_end_with_a_notice(
    tmp_path: Path, suffix: str
) -> None:
    codec = "pcm_s16le" if suffix in ("mkv", "wav") else "mp2"
    rate_hz = 16_000 if suffix == "wav" else 48_000
    tracks: list[Audio | Video] = [Audio(seconds=8, codec=codec, rate=rate_hz)]
    if suffix != "wav":
        tracks.append(Video(seconds=8))
    options = {"movflags": "faststart"} if suffix == "mp4" else {}
    path = media.write(tmp_path / f"cut.{suffix}", *tracks, options=options)
    result = read(media.cut_tail(path, 0.6))
    assert 3.5 < result.audio_s < 6
    assert_in_order(result)
    if suffix in ("mkv", "mp4"):
        assert any("before its declared end" in notice for notice in result.notices)


def test_an_mp4_without_its_index_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = media.cut_tail(media.write(tmp_path / "cut.mp4", Audio(codec="aac"), Video()), 0.5)
    with pytest.raises(SourceError, match=r"cut\.mp4 cannot be read as media .* before its index"):
        read(path)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4", "avi"])
@pytest.mark.parametrize("seed", range(3))
def test_damaged_data_is_skipped_and_keeps_its_time(tmp_path: Path, suffix: str, seed: int) -> None:
    codec = "pcm_s16le" if suffix == "avi" else "mp2"
    path = media.write(
        tmp_path / f"bad.{suffix}",
        Audio(seconds=8, codec=codec, rate=48_000),
        Video(seconds=8, draw=media.face(size=(160, 120))),
    )
    result = read(media.damage(path, 0.45, 0.5, seed))
    # An AVI has no time stamps: what is lost makes it shorter.
    assert result.audio_s == pytest.approx(8, abs=0.6 if suffix == "avi" else 0.2)
    lost_s = 0.6 if suffix == "avi" else 0.3
    assert result.ends["vision"] == pytest.approx(8 * NS_PER_S, abs=lost_s * NS_PER_S)
    assert_in_order(result)
    assert len(result.notices) <= 20


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(SourceError, match=r"empty\.mp4 is empty"):
        read(tmp_path / "empty.mp4")


def test_an_empty_recording_ends_at_once(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "zero.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
    result = read(tmp_path / "zero.wav")
    assert result.chunks == []
    assert result.ends == {"audio": 0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "There is no file"),
        (lambda path: path.write_text("hello " * 100), "cannot be read as media"),
        (lambda path: path.write_bytes(os.urandom(5000)), "cannot be read as media"),
        (lambda path: path.mkdir(), "nothing to read"),
    ],
)
def test_a_path_that_is_not_a_recording_is_refused_in_one_sentence(
    tmp_path: Path, make: Any, message: str
) -> None:
    path = tmp_path / "odd.mp4"
    make(path)
    for call in (read, lambda source: capture.info(spec(source))):
        with pytest.raises(SourceError, match=message) as caught:
            call(path)
        assert "\n" not in str(caught.value)


def test_stop_ends_a_recording_early_with_its_stream_ends(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.mkv", Audio(seconds=20), Video(seconds=20))
    stop = threading.Event()
    got = []
    for chunk in capture.read(spec(path), Config(), stop, 5):
        got.append(chunk)
        if len(got) == 10:
            stop.set()
    assert [type(chunk) for chunk in got[10:]] == [StreamEnd, StreamEnd]
    last = got[-1]
    assert isinstance(last, StreamEnd) and last.event_time_ns < 3 * NS_PER_S


# --- several files ------------------------------------------------------------------------------


def test_a_folder_is_one_recording_in_the_order_of_its_names(tmp_path: Path) -> None:
    folder = tmp_path / "talk"
    folder.mkdir()
    for number, beep in ((10, 1.0), (2, 0.5), (1, 1.5)):
        media.write(
            folder / f"part{number}.mkv", Audio(seconds=2, wave=media.beeps((beep,))),
            Video(seconds=2),
        )  # fmt: skip
    (folder / "notes.txt").write_text("not media")
    (folder / ".hidden.mp4").write_bytes(b"junk")
    result = read(folder)
    assert beep_times(result.audio) == pytest.approx([1.5, 2.5, 5.0], abs=0.03)
    assert result.ends == {"audio": 6 * NS_PER_S, "vision": 6 * NS_PER_S}
    assert_in_order(result)
    info = capture.info(spec(folder))
    assert info.duration_s == pytest.approx(6)
    assert info.path == folder / "part1.mkv"


def test_a_folder_of_different_files_keeps_audio_and_video_together(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    media.write(folder / "1.mkv", Video(seconds=2))
    media.write(folder / "2.wav", Audio(seconds=2, wave=media.beeps((1,))))
    media.write(folder / "3.mp4", Audio(seconds=2, codec="aac", rate=44_100), Video(seconds=2))
    (folder / "4.mp4").write_bytes(b"")
    result = read(folder)
    assert beep_times(result.audio)[0] == pytest.approx(3.0, abs=0.03)
    assert result.audio_s == pytest.approx(6, abs=0.05)
    assert_in_order(result)
    frames = [frame.event_time_ns / NS_PER_S for frame in result.frames]
    assert not [t for t in frames if 2 <= t < 4]
    assert frames[-1] > 5.5
    assert any("4.mp4 is empty" in notice for notice in result.notices)


def test_a_stream_of_which_nothing_can_be_decoded_is_named(tmp_path: Path) -> None:
    path = media.write(tmp_path / "v.mp4", Video(seconds=2))
    data = path.read_bytes()
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    path.write_bytes(data[:begin] + bytes(end - begin) + data[end:])
    assert f"{path}: nothing of its video could be decoded." in read(path).notices


def write_stereo(path: Path, right_over_left: float, level: float = 8_000) -> None:
    left = level * np.sin(np.arange(SAMPLE_RATE_HZ) * 0.2)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.stack([left, right_over_left * left], axis=1).astype("<i2").tobytes())


def test_channels_that_cancel_are_of_one_file_of_a_folder(tmp_path: Path) -> None:
    write_stereo(tmp_path / "1.wav", -1.0)
    write_stereo(tmp_path / "2.wav", 1.0)
    notices = [notice for notice in read(tmp_path).notices if "channels cancel" in notice]
    assert [Path(notice.split(": ")[0]).name for notice in notices] == ["1.wav"]


def test_soft_channels_that_cancel_are_read_after_a_loud_file(tmp_path: Path) -> None:
    write_stereo(tmp_path / "1.wav", 1.0, level=30_000)
    write_stereo(tmp_path / "2.wav", -1.0, level=600)
    soft = read(tmp_path).audio[SAMPLE_RATE_HZ + SAMPLE_RATE_HZ // 10 :]
    assert np.abs(soft).max() == pytest.approx(600 / 32_768, rel=0.05)


def test_audio_and_video_from_two_files_are_merged(tmp_path: Path) -> None:
    media.write(tmp_path / "v.mp4", Video(seconds=4))
    media.write(tmp_path / "a.wav", Audio(seconds=3, wave=media.beeps((1,))))
    result = read(tmp_path / "v.mp4", tmp_path / "a.wav")
    assert beep_times(result.audio) == pytest.approx([1], abs=0.01)
    assert len(result.frames) == 20
    assert_in_order(result)
    assert capture.info(spec(tmp_path / "v.mp4", tmp_path / "a.wav")).duration_s == 4


def test_the_first_source_with_audio_provides_it(tmp_path: Path) -> None:
    media.write(tmp_path / "v.mkv", Audio(wave=media.tone(level=0.5)), Video())
    media.write(tmp_path / "a.wav", Audio(wave=media.tone(level=0.1)))
    result = read(tmp_path / "v.mkv", tmp_path / "a.wav")
    assert np.abs(result.audio).max() == pytest.approx(0.5, abs=0.01)
    assert result.audio_s == 3
    assert result.notices == [
        f"{tmp_path / 'a.wav'} is not used: an earlier source provides the same."
    ]


# --- size ---------------------------------------------------------------------------------------

MEASURE = """
import resource, sys, threading
from streamer import capture
from streamer.config import Config
from streamer.records import StreamEnd
spec = capture.ParticipantSpec("ana", (sys.argv[1],))
chunks = capture.read(spec, Config(), threading.Event(), 5)
for count, chunk in enumerate(chunks):
    if count == int(sys.argv[2]):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    last = chunk
assert isinstance(last, StreamEnd)
print(count, last.event_time_ns, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_twenty_minutes_of_audio_need_no_more_memory_than_two(tmp_path: Path) -> None:
    """Kept audio would be 69 MB."""
    path = media.sparse_wav(tmp_path / "long.wav", 20 * 60)
    count, end_ns, grown_kib = measured(path, after=2 * 60 * 10)
    assert end_ns == 20 * 60 * NS_PER_S
    assert count > 20 * 60 * 10
    assert grown_kib < 9_000


@pytest.mark.slow
def test_forty_minutes_of_video_need_no_more_memory_than_ten(tmp_path: Path) -> None:
    """Kept frames would be 50 MB."""
    path = media.write(
        tmp_path / "long.mkv",
        Video(codec="mjpeg", pixels="yuvj420p", rate=1, seconds=40 * 60, draw=still((96, 96, 3))),
    )
    count, end_ns, grown_kib = measured(path, after=10 * 60)
    assert end_ns == 40 * 60 * NS_PER_S
    assert count == 40 * 60 + 1
    assert grown_kib < 6_000


def measured(path: Path, after: int) -> tuple[int, int, int]:
    """How many chunks a file has, when it ends, and the KiB by which memory grew `after` chunks."""
    output = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), str(after)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    count, end_ns, grown_kib = map(int, output.split())
    return count, end_ns, grown_kib


def still(shape: tuple[int, int, int] = (16, 16, 3)) -> media.Drawing:
    image = np.zeros(shape, np.uint8)
    return lambda t: image


def test_audio_far_ahead_of_its_video_is_buffered_within_bounds(tmp_path: Path) -> None:
    """A file that shows nothing of its video for a long while must not be read into memory."""
    path = media.write(
        tmp_path / "sparse.mkv",
        Audio(seconds=100, rate=8_000, wave=media.silence),
        Video(times=(0.0, 99.0), draw=still()),
    )
    waiting = []
    chunks = capture.read(spec(path), Config(), threading.Event(), 5)
    for chunk in chunks:
        waiting.append(chunk)
        if isinstance(chunk, AudioChunk) and chunk.event_time_ns > 50 * NS_PER_S:
            break
    assert [type(chunk) for chunk in waiting].count(VideoFrame) == 1
    rest = [chunk for chunk in chunks if isinstance(chunk, VideoFrame)]
    assert [frame.event_time_ns for frame in rest] == [99 * NS_PER_S]


def test_audio_and_video_are_never_half_a_second_apart(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.mp4", Audio(codec="aac", seconds=10), Video(seconds=10))
    reached = {"audio": 0, "vision": 0}
    for kind, time_ns in read(path).order:
        reached[kind] = time_ns
        assert abs(reached["audio"] - reached["vision"]) < 500 * NS_PER_MS


@pytest.mark.slow
def test_real_talking_heads_are_read_completely(shared_data: Path) -> None:
    for path in sorted((shared_data / "clips").glob("*.mp4")):
        info = capture.info(spec(path))
        assert info.duration_s is not None
        result = read(path)
        assert result.audio_s == pytest.approx(info.duration_s, abs=0.1)
        assert len(result.frames) == pytest.approx(info.duration_s * 5, abs=1)
        assert max(result.ends.values()) <= info.duration_s * NS_PER_S + 1_000_000
        assert result.notices == []


def test_audio_after_the_declared_end_is_cut_and_nothing_waits_for_it() -> None:
    track = AudioTrack(0)
    track.limit_ns = NS_PER_S
    second = np.zeros(SAMPLE_RATE_HZ, np.float32)
    chunks = [*track.push_channels(second[None], SAMPLE_RATE_HZ, 0)]
    chunks += track.silence_until(3 * NS_PER_S)  # a frame of the video, which is longer
    chunks += track.push_channels(second[None], SAMPLE_RATE_HZ, 4 * NS_PER_S)
    chunks += track.flush()
    assert sum(len(chunk.samples) for chunk in chunks) == SAMPLE_RATE_HZ
