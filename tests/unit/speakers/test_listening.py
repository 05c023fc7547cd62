"""A recording's sound → stretches → who speaks when."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from semi_iin import weights
from streamer import capture
from streamer.config import Config
from streamer.errors import ModelError
from streamer.records import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.spans import SpeakerTurn
from streamer.speakers.clustering import Stretch
from streamer.speakers.listening import (
    BRIEF,
    DESCRIBED,
    LENGTH,
    STEP,
    networks,
    one_voice,
    speakers_of,
    stretches_as_they_come,
    stretches_of,
)
from streamer.speakers.segmentation import FRAME_FIELD, FRAME_STEP, VOICES

FRAMES = (LENGTH - FRAME_FIELD) // FRAME_STEP + 1


class LoudnessEar:
    """An `Ear` that takes loud sound for one person and soft sound for another."""

    def __init__(self) -> None:
        self.given: list[tuple[int, int, int]] = []
        self.brief_from: list[int | None] = []

    def stretch(
        self,
        samples: NDArray[np.float32],
        first_sample: int,
        end: int = LENGTH,
        brief_from: int | None = None,
    ) -> Stretch:
        self.given.append((len(samples), first_sample, end))
        self.brief_from.append(brief_from)
        middles = np.arange(FRAMES) * FRAME_STEP + FRAME_FIELD // 2
        level = np.abs(samples[middles[middles < end]])
        active = np.stack([level > 0.5, (level > 0.1) & (level < 0.5), level > 9], axis=1)
        vectors = np.eye(VOICES, 4, dtype=np.float32) * np.expand_dims(active.any(axis=0), 1)
        alone_s = active.sum(axis=0) * FRAME_STEP / SAMPLE_RATE_HZ
        return Stretch(round(first_sample / FRAME_STEP), active, vectors, alone_s)


def sound(*levels: float, from_s: float = 0.0) -> list[AudioChunk]:
    """A chunk of a second for each level."""
    return [
        AudioChunk(round((from_s + n) * NS_PER_S), np.full(SAMPLE_RATE_HZ, level, np.float32))
        for n, level in enumerate(levels)
    ]


def about(turns: list[SpeakerTurn]) -> list[tuple[str, float, float]]:
    """The turns in tenths of seconds."""
    return [
        (t.speaker, round(t.start_ns / NS_PER_S, 1), round(t.end_ns / NS_PER_S, 1)) for t in turns
    ]


def test_speakers_are_numbered_as_they_first_speak_and_have_their_times() -> None:
    turns = speakers_of(sound(0, 0.3, 0.3, 0, 0.8, 0.8, 0.3, 0), LoudnessEar(), most=8)
    assert about(turns) == [
        ("speaker-1", 1.0, 3.0),
        ("speaker-2", 4.0, 6.0),
        ("speaker-1", 6.0, 7.0),
    ]
    assert abs(turns[0].start_ns - NS_PER_S) < 20 * NS_PER_MS


def test_stretches_end_at_every_step_and_at_the_recordings_end() -> None:
    ear = LoudnessEar()
    chunks = [AudioChunk(0, np.zeros(STEP * 2 + 100, np.float32))]
    assert len(list(stretches_as_they_come(chunks, ear))) == 3
    ends = (STEP, 2 * STEP, 2 * STEP + 100)
    assert ear.brief_from == [None] * 3
    assert ear.given == [(LENGTH, end - LENGTH, LENGTH) for end in ends]


def test_a_recordings_first_stretches_have_its_first_ten_seconds_at_hand() -> None:
    ear = LoudnessEar()
    samples = np.arange(LENGTH + 2 * STEP, dtype=np.float32)
    assert len(list(stretches_of([AudioChunk(0, samples)], ear))) == 8
    first = [(LENGTH, 0, end) for end in range(DESCRIBED, LENGTH, STEP)]
    assert ear.given == [*first, *((LENGTH, n * STEP, LENGTH) for n in range(3))]
    newest = [DESCRIBED + n * STEP - BRIEF for n in range(1, 6)]
    assert ear.brief_from == [0, *newest, LENGTH - BRIEF, LENGTH - BRIEF]


@pytest.mark.parametrize(
    ("ana", "bo", "voice"),
    [
        ("#" * 89, "", 0),
        ("#" * 10, "." * 20 + "#" * 60, 1),
        ("#" * 20, "." * 20 + "#" * 60, None),
        ("#" * 89, "#" * 30, None),
        ("#" * 45, "", None),
    ],
    ids=["one", "nearly one", "two in turn", "two at once", "a word"],
)
def test_a_brief_piece_is_of_one_voice(ana: str, bo: str, voice: int | None) -> None:
    speaks = [[mark == "#" for mark in marks.ljust(89, ".")] for marks in (ana, bo)]
    assert one_voice(np.array(speaks).T) == voice


def test_the_published_networks_describe_each_step_of_one_voice(shared_data: Path) -> None:
    if weights.find("speakers") is None:
        pytest.skip("no speaker networks; run `streamer models get speakers`")
    path = shared_data / "ravdess" / "Actor_01" / "03-01-01-01-01-01-01.flac"
    spec = capture.ParticipantSpec("ana", (str(path),))
    sound = list(capture.read(spec, Config(), threading.Event(), 1, modalities={"audio"}))
    samples = np.concatenate([c.samples for c in sound if isinstance(c, AudioChunk)])
    whole = list(stretches_of([AudioChunk(0, np.tile(samples, 3))], networks()))
    pieces = [brief for stretch in whole for brief in stretch.briefs]
    begins = [piece.first_frame for piece in pieces]
    assert len(pieces) >= 3 and begins == sorted(set(begins))
    assert {piece.end_frame - piece.first_frame for piece in pieces} <= {88, 89, 90}
    ana = pieces[0].vector
    assert all(np.linalg.norm(p.vector) == pytest.approx(1, abs=1e-5) for p in pieces)
    assert np.median([ana @ piece.vector for piece in pieces]) > 0.4


@pytest.mark.parametrize(
    ("seconds", "ends_s"), [(0.5, [0.5]), (3, [3]), (6.5, [5, 6, 6.5]), (9, [5, 6, 7, 8, 9])]
)
def test_a_recording_shorter_than_a_stretch_is_told_apart(
    seconds: float, ends_s: list[float]
) -> None:
    ear = LoudnessEar()
    samples = np.full(round(seconds * SAMPLE_RATE_HZ), 0.8, np.float32)
    [(speaker, start_s, end_s)] = about(speakers_of([AudioChunk(0, samples)], ear, most=8))
    assert (speaker, start_s) == ("speaker-1", 0.0)
    assert abs(end_s - seconds) <= 0.1
    assert ear.given == [(LENGTH, 0, round(end * SAMPLE_RATE_HZ)) for end in ends_s]


def test_how_the_sound_is_cut_into_chunks_changes_nothing() -> None:
    samples = np.repeat(np.array([0, 0.3, 0.8, 0.3, 0], np.float32), SAMPLE_RATE_HZ)
    whole = speakers_of([AudioChunk(0, samples)], LoudnessEar(), most=8)
    pieces = [
        AudioChunk(first * NS_PER_S // SAMPLE_RATE_HZ, samples[first : first + 1600])
        for first in range(0, len(samples), 1600)
    ]
    assert speakers_of(pieces, LoudnessEar(), most=8) == whole


def test_a_hole_in_the_sound_is_silence() -> None:
    chunks = [*sound(0.8, 0.8), *sound(0.8, 0.8, from_s=6)]
    turns = about(speakers_of(chunks, LoudnessEar(), most=8))
    assert turns == [("speaker-1", 0.0, 2.0), ("speaker-1", 6.0, 8.0)]


def test_no_sound_has_no_speakers() -> None:
    assert speakers_of([], LoudnessEar(), most=8) == []


def test_missing_networks_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ModelError, match="run `streamer models get speakers`"):
        networks()


def test_the_published_networks_find_nobody_in_noise() -> None:
    if weights.find("speakers") is None:
        pytest.skip("no speaker networks; run `streamer models get speakers`")
    noise = np.random.default_rng(0).normal(0, 0.01, 2 * SAMPLE_RATE_HZ).astype(np.float32)
    assert speakers_of([AudioChunk(0, noise)], networks(), most=8) == []
