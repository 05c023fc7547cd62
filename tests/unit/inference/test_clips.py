"""Windows to clips, and predictions to scores; decoding is real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semi_iin.clips import Clip
from semi_iin.encoders.protocol import spread
from semi_iin.predict import Prediction
from streamer import audio
from streamer.config import Config
from streamer.errors import UnreadableRecord
from streamer.inference import clips
from streamer.inference.clips import faces_to_read, to_clip, to_score
from streamer.records import (
    MODALITIES,
    NS_PER_MS,
    NS_PER_S,
    SAMPLE_RATE_HZ,
    FaceCrop,
    Gate,
    Modality,
    Presence,
    Score,
    SpeechSpan,
    Spoken,
    SpokenWord,
    Window,
    Word,
)
from tests.made_records import START
from tests.made_windows import TONE, jpeg, pcm16, window


def clip_of(whole: Window, modalities: Sequence[Modality] = MODALITIES) -> Clip:
    """The clip of a window that has evidence."""
    clip = to_clip(whole, Config(), modalities)
    assert clip is not None
    return clip


def test_only_the_crops_that_the_encoder_reads_are_decoded() -> None:
    faces = [FaceCrop(k * NS_PER_MS, jpeg(side)) for k, side in enumerate(range(20, 45))]
    whole, read = (
        to_clip(window(faces=tuple(faces)), Config(), MODALITIES, most) for most in (None, 8)
    )
    assert whole is not None and read is not None and whole.faces is not None
    assert [face.shape for face in read.faces or []] == [f.shape for f in spread(whole.faces, 8)]


def of_faces(begin_s: float, times_s: Sequence[float], length_s: float = 5.0) -> Window:
    """A window with a face at each of these times that is in it."""
    start_ns, end_ns = round(begin_s * NS_PER_S), round((begin_s + length_s) * NS_PER_S)
    times_ns = [round(at_s * NS_PER_S) for at_s in times_s]
    faces = tuple(FaceCrop(at_ns, b"") for at_ns in times_ns if start_ns <= at_ns < end_ns)
    return window(start_ns=start_ns, end_ns=end_ns, faces=faces)


def times_read(whole: Window, limit: int) -> list[int]:
    return [face.event_time_ns for face in faces_to_read(whole, limit)]


@given(
    st.integers(0, 60),
    st.floats(3.0, 30.0),
    st.integers(1, 12),
    st.floats(1.0, 8.0),
    st.floats(0.0, 0.2),
)
def test_windows_of_one_length_read_the_same_crops_where_they_overlap(
    index: int, rate_hz: float, limit: int, length_s: float, late_s: float
) -> None:
    times_s = [late_s + count / rate_hz for count in range(round(75 * rate_hz))]
    here, next_one = (of_faces(index + hop, times_s, length_s) for hop in (0, 1))
    read = times_read(here, limit)
    assert len(read) <= limit
    assert read == sorted(set(read))
    assert set(read) <= {face.event_time_ns for face in here.faces}
    dense = rate_hz * length_s >= 2 * limit  # else too many of the shared times have no crop
    if dense and limit > 4:
        shared = [at_ns for at_ns in read if at_ns >= next_one.start_ns]
        again = [at_ns for at_ns in times_read(next_one, limit) if at_ns < here.end_ns]
        assert again[-len(shared) :] == shared or again == shared[-len(again) :]


def test_of_a_window_with_few_faces_all_are_read_or_spread_ones() -> None:
    few = of_faces(2, [2.1, 3.3, 6.0])
    assert times_read(few, 8) == [face.event_time_ns for face in few.faces]
    half = of_faces(2, [2 + count / 10 for count in range(20)])
    assert faces_to_read(half, 8) == spread(half.faces, 8)


@pytest.mark.parametrize("codec", ["pcm16", "flac"])
def test_a_clip_has_the_samples_words_and_faces_of_its_window(codec: str) -> None:
    encoded = pcm16(TONE) if codec == "pcm16" else audio.encode_flac(TONE)
    clip = clip_of(window(audio=encoded, audio_codec=codec, context="so far"))
    assert clip.audio is not None and clip.faces is not None
    np.testing.assert_allclose(clip.audio, TONE, atol=1e-4)
    assert (clip.text, clip.context) == ("good day", "so far")
    (face,) = clip.faces
    assert face.shape == (48, 48, 3) and face.dtype == np.uint8


def test_a_face_is_rgb() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    crop = FaceCrop(0, bytes(cv2.imencode(".jpg", red)[1]))
    (face,) = clip_of(window(faces=(crop,))).faces or ()
    assert face[16, 16, 0] > 200 and face[16, 16, 2] < 50


@pytest.mark.parametrize(
    ("modalities", "audio_there", "text_there", "vision_there"),
    [
        (["audio"], True, False, False),
        (["text"], False, True, False),
        (["vision"], False, False, True),
        (["audio", "text", "vision"], True, True, True),
    ],
)
def test_only_the_modalities_in_use_reach_the_model(
    modalities: list[Modality], audio_there: bool, text_there: bool, vision_there: bool
) -> None:
    clip = clip_of(window(context="before"), modalities)
    assert (clip.audio is not None, clip.text is not None, clip.faces is not None) == (
        audio_there,
        text_there,
        vision_there,
    )
    assert (clip.context is not None) == text_there


def test_a_modality_that_is_left_out_is_not_decoded() -> None:
    odd = window(audio=b"odd", faces=(FaceCrop(2 * NS_PER_S, b"no JPEG"),))
    clip = clip_of(odd, ["text"])
    assert clip == Clip(text="good day")


@pytest.mark.parametrize("missing", ["audio", "text", "vision"])
def test_a_modality_without_presence_is_no_evidence(missing: str) -> None:
    there = {"audio": 0.5, "text": 0.5, "vision": 0.5, missing: 0.0}
    clip = clip_of(window(presence=Presence(**there)))
    present = {"audio": clip.audio, "text": clip.text, "vision": clip.faces}
    assert [name for name, value in present.items() if value is None] == [missing]


@pytest.mark.parametrize(
    "empty",
    [
        {"presence": Presence()},
        {"audio": None, "words": (), "faces": ()},
        {"presence": Presence(text=1.0), "words": (Word("  ", 0, 1),)},
    ],
)
def test_a_window_without_evidence_gives_no_clip(empty: dict[str, Any]) -> None:
    assert to_clip(window(**empty), Config(), MODALITIES) is None


def bomb(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2) + width.to_bytes(2)
    return bytes(data)


def face(data: bytes) -> dict[str, Any]:
    return {"faces": (FaceCrop(0, data),)}


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (face(b""), "not a whole JPEG"),
        (face(b"\x89PNG\r\n\x1a\n" + b"\0" * 50), "not a whole JPEG"),
        (face(jpeg()[:200]), "not a whole JPEG"),
        (face(b"\xff\xd8\xff\xd9"), "without a frame"),
        (face(b"\xff\xd8\xff\xe0\x00\x00\xff\xd9"), "without a frame"),
        (face(jpeg()[:30] + b"\xff\xd9"), "without a frame"),
        (face(bomb(0, 48)), "has no size"),
        (face(bomb(65_000, 65_000)), "65000x65000 exceeds inference.max_face_px"),
        ({"faces": (FaceCrop(0, jpeg()),) * 2001}, "2001 face crops exceed"),
        ({"faces": (FaceCrop(0, bomb(2048, 2048)),) * 5}, "pixels together"),
        ({"audio": b"\x00"}, "cut inside a sample"),
        ({"audio": b"not a FLAC stream", "audio_codec": "flac"}, "cannot be decoded"),
        ({"audio": b"", "audio_codec": "flac"}, "cannot be decoded"),
        ({"audio": pcm16(TONE)[:-6400]}, "0.8 s of audio in a window of 1 s"),
        ({"audio": pcm16(np.tile(TONE, 3))}, "over the limit of 17600"),
        ({"end_ns": 0}, "ends before it starts"),
        ({"start_ns": 5 * NS_PER_S}, "ends before it starts"),
        ({"end_ns": 3600 * NS_PER_S}, "exceeds inference.max_window_s"),
        ({"end_ns": 2**63}, "exceeds inference.max_window_s"),
        ({"sample_rate_hz": 44_100}, "44100 Hz"),
        ({"context": "so " * 10_000}, "characters of text"),
        ({"words": (Word("o" * 30_000, 0, 1),)}, "characters of text"),
    ],
)
def test_a_poisoned_window_is_unreadable(poison: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableRecord, match=reason):
        to_clip(window(**poison), Config(), MODALITIES)


def test_audio_that_unpacks_to_minutes_is_not_unpacked() -> None:
    minutes = audio.encode_flac(np.zeros(600 * SAMPLE_RATE_HZ, np.float32))
    assert len(minutes) < 150_000
    with pytest.raises(UnreadableRecord, match="over 17600 samples"):
        to_clip(window(audio=minutes, audio_codec="flac"), Config(), MODALITIES)


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    progressive=st.booleans(),
    grey=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_size_in_the_header_is_the_size_of_the_image(
    width: int, height: int, progressive: bool, grey: bool
) -> None:
    shape = (height, width) if grey else (height, width, 3)
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    data = bytes(cv2.imencode(".jpg", np.full(shape, 99, np.uint8), flags)[1])
    assert clips._jpeg_size(data) == (width, height)
    assert clips._decode_jpeg(data).shape == (height, width, 3)


@pytest.mark.slow
@given(cut=st.integers(0, 1500), at=st.integers(0, 1500), noise=st.binary(max_size=64))
@settings(max_examples=150, deadline=None)
def test_damaged_faces_and_audio_give_a_clip_or_a_reason(cut: int, at: int, noise: bytes) -> None:
    image, flac = bytearray(jpeg()), bytearray(audio.encode_flac(TONE))
    image[at : at + len(noise)] = noise
    flac[at : at + len(noise)] = noise
    poisoned = window(
        faces=(FaceCrop(0, bytes(image[: len(image) - cut])),),
        audio=bytes(flac[: len(flac) - cut]),
        audio_codec="flac",
    )
    try:
        clip = to_clip(poisoned, Config(), MODALITIES)
    except UnreadableRecord as error:
        assert error.reason
    else:
        assert clip is not None and clip.audio is not None
        assert np.isfinite(clip.audio).all()


PREDICTION = Prediction(
    valence=1.23456789,
    class_probabilities=(0.0, 0.1, 0.1, 0.2, 0.3, 0.2, 0.1),
    valence_gate=0.25,
    class_gate=0.75,
    modalities=("audio", "text"),
)


def score(
    of: Window,
    prediction: Prediction | None = PREDICTION,
    modalities: Any = None,
    words: bool = True,
) -> Score:
    return to_score(
        of,
        prediction,
        model="m",
        modalities=modalities or ("audio", "text", "vision"),
        words=words,
        latency_ms={"queue": 1.0},
    )


def test_a_score_has_the_numbers_of_its_prediction() -> None:
    identity: dict[str, Any] = {"identified_by": "channel", "identity_confidence": 0.5}
    given = score(window(7, revision=2, skipped=3, final=True, **identity))
    assert given == Score(
        session_id="standup",
        participant_id="ana",
        window_id="standup/ana/7",
        window_index=7,
        revision=2,
        session_start=START,
        start_ms=7000,
        end_ms=8000,
        valence=1.234568,
        class_probabilities=(0.0, 0.1, 0.1, 0.2, 0.3, 0.2, 0.1),
        gate=Gate(val=0.25, cls=0.75),
        presence=Presence(audio=0.8, text=1.0, vision=0.6),
        evidence=("audio", "text"),
        text="good day",
        skipped=3,
        final=True,
        latency_ms={"queue": 1.0},
        model="m",
        **identity,
    )


@pytest.mark.parametrize(
    "prediction", [None, Prediction(None, None, None, None, ())], ids=["not asked", "no modality"]
)
def test_without_evidence_a_score_holds_no_numbers(prediction: Prediction | None) -> None:
    given = score(window(), prediction)
    assert (given.valence, given.class_probabilities, given.gate) == (None, None, None)
    assert given.evidence == ()


def test_a_score_without_words_has_no_text() -> None:
    given = score(window(), words=False)
    assert (given.text, given.evidence) == ("", ("audio", "text"))


def test_a_modality_that_is_left_out_is_not_published() -> None:
    given = score(window(), modalities=("audio",))
    assert given.presence == Presence(audio=0.8)
    assert (given.text, given.evidence) == ("", ("audio",))


def test_a_score_carries_what_was_spoken_as_far_as_its_session_allows() -> None:
    word = SpokenWord("good", 7100, 7300)
    of = window(7, spoken=Spoken((SpeechSpan(7000, 7500),), (word,)))
    assert score(of).spoken == of.spoken
    assert score(of, words=False).spoken is None
    assert score(of, modalities=("audio",)).spoken == Spoken((SpeechSpan(7000, 7500),))
    assert score(of, modalities=("text",)).spoken == Spoken((SpeechSpan(7100, 7300),), (word,))
    assert score(of, modalities=("vision",)).spoken is None


def test_a_last_window_under_a_millisecond_is_not_empty() -> None:
    given = score(window(start_ns=7 * NS_PER_S, end_ns=7 * NS_PER_S + 300))
    assert (given.start_ms, given.end_ms) == (7000, 7001)


def test_values_stay_in_their_range() -> None:
    given = score(window(), Prediction(3.0000002, (1.0000001, *[-1e-9] * 6), 1.1, -0.1, ("text",)))
    assert given.valence == 3.0
    assert given.class_probabilities == (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert given.gate == Gate(val=1.0, cls=0.0)
    assert msgspec.json.decode(msgspec.json.encode(given), type=Score) == given
