"""Recordings that repeat as live streams."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamer.capacity.senders import (
    TURN_S,
    HasSound,
    Recording,
    always,
    in_turn,
    send,
    sending,
)
from streamer.capture import ParticipantSpec, info
from streamer.errors import SourceError
from tests import media


class Over(Exception):
    """The stream is long enough."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    path = tmp_path_factory.mktemp("sent") / "one.mkv"
    media.write(path, media.Audio(seconds=1.0), media.Video(seconds=1.0))
    return Recording.load(path)


def sent(recording: Recording, seconds: float, has_sound: HasSound = always) -> Any:
    def pace(due: Fraction) -> None:
        if due > seconds:
            raise Over

    out = io.BytesIO()
    with pytest.raises(Over):
        send(recording, out, has_sound, pace)
    return av.open(io.BytesIO(out.getvalue()))


def test_a_stream_goes_on_where_the_recording_ends(recording: Recording) -> None:
    with sent(recording, 2.5) as container:
        times = [frame.time for frame in container.decode(video=0)]
    steps = np.diff(times)
    assert 2.4 <= times[-1] <= 2.5
    assert np.allclose(steps, float(1 / recording.rate), atol=0.002)


def test_no_picture_depends_on_a_later_one(recording: Recording) -> None:
    with sent(recording, 1.5) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    times = [packet.pts for packet in packets]
    assert times == sorted(times)
    assert packets[0].is_keyframe


def test_sound_is_the_recording_s_in_turn_and_silence_out_of_turn(recording: Recording) -> None:
    with sent(recording, 3.0, lambda at_s: at_s < 1.5) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    turn = int(1.5 * recording.rate_hz)
    repeated = np.tile(recording.samples, 3)
    assert np.array_equal(samples[:turn], repeated[:turn])
    assert samples[turn:].any() == np.False_
    assert len(samples) >= 2.9 * recording.rate_hz


def test_packets_are_due_in_order_and_sound_once_it_is_over(recording: Recording) -> None:
    dues: list[Fraction] = []

    def pace(due: Fraction) -> None:
        dues.append(due)
        if due > 1:
            raise Over

    with pytest.raises(Over):
        send(recording, io.BytesIO(), always, pace)
    assert dues == sorted(dues)
    assert dues[0] == 0
    assert Fraction(1, 20) in dues


def test_one_after_another_has_the_turn() -> None:
    turns = [in_turn(number, 3) for number in range(3)]
    speaking = [
        [number for number, has_sound in enumerate(turns) if has_sound(at_s)]
        for at_s in (0, TURN_S - 0.1, TURN_S, 2.5 * TURN_S, 3 * TURN_S)
    ]
    assert speaking == [[0], [0], [1], [2], [0]]


def test_each_participant_is_a_live_stream_with_sound_and_image(recording: Recording) -> None:
    with sending([(recording, always), (recording, in_turn(1, 2))]) as addresses:
        found = [info(ParticipantSpec("p1", (address,))) for address in addresses]
    assert [(each.live, each.has_audio, each.has_video) for each in found] == [(True,) * 3] * 2


@pytest.mark.parametrize(("kind", "missing"), [("sound", "image"), ("image", "sound")])
def test_a_recording_needs_sound_and_image(tmp_path: Path, kind: str, missing: str) -> None:
    path = tmp_path / f"{kind}.mkv"
    media.write(path, media.Audio() if kind == "sound" else media.Video())
    with pytest.raises(SourceError, match=f"has no {missing}"):
        Recording.load(path)
