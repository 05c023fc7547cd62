"""Media files: the audio of a file, and the largest face of its frames."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from semi_iin.blazeface import default_detector
from semi_iin.clips import SAMPLE_RATE_HZ
from semi_iin.errors import SemiIINError
from semi_iin.faces import Detector, FaceCutter

SMALLEST_FACE_PX = 40
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".ogg")
MEDIA_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", *AUDIO_SUFFIXES)


@dataclass(frozen=True)
class Media:
    """A media file, or a part of one.

    Attributes:
        path: a file that PyAV opens.
        start_s: seconds from the file's start at which the part begins.
        end_s: where the part ends, exclusive; None = the file's end.
    """

    path: Path
    start_s: float = 0.0
    end_s: float | None = None


def read_audio(media: Media) -> NDArray[np.float32] | None:
    """Read the audio of a file or of a part of it.

    Returns:
        (n,) float32 mono at 16 kHz in [-1, 1]; None where the file has no audio.

    Raises:
        SemiIINError: when the file cannot be opened.
    """
    parts: list[NDArray[np.float32]] = []
    with _open(media.path) as container:
        if not container.streams.audio:
            return None
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        skipped_s = 0.0
        if media.start_s > 1:
            container.seek(int(media.start_s * av.time_base), backward=True)
        for frame in _readable_frames(container, container.streams.audio[0]):
            frame_start_s = float(frame.time or 0.0)
            if media.end_s is not None and frame_start_s >= media.end_s:
                break
            if not parts:
                skipped_s = frame_start_s
            parts += [made.to_ndarray().reshape(-1) for made in resampler.resample(frame)]
        parts += [made.to_ndarray().reshape(-1) for made in resampler.resample(None)]
    if not parts:
        return None
    audio = np.concatenate(parts).astype(np.float32)
    first = max(0, round((media.start_s - skipped_s) * SAMPLE_RATE_HZ))
    last = None if media.end_s is None else round((media.end_s - skipped_s) * SAMPLE_RATE_HZ)
    return np.clip(audio[first:last], -1.0, 1.0)


def read_faces(media: Media, rate_hz: float = 5.0) -> list[NDArray[np.uint8]]:
    """Read the largest face of a video, or of a part of it, at most `rate_hz` times a second.

    Frames without a face are left out.

    Returns:
        (H, W, 3) uint8 RGB crops in order of time.

    Raises:
        SemiIINError: when the file cannot be opened.
    """
    crops: list[NDArray[np.uint8]] = []
    due_s = media.start_s
    with _open(media.path) as container:
        if not container.streams.video:
            return crops
        if media.start_s > 1:
            container.seek(int(media.start_s * av.time_base), backward=True)
        for frame in _readable_frames(container, container.streams.video[0]):
            time_s = float(frame.time or 0.0)
            if media.end_s is not None and time_s >= media.end_s:
                break
            if time_s + 1e-6 < due_s:
                continue
            due_s = max(due_s, time_s - 1 / rate_hz) + 1 / rate_hz
            face = largest_face(frame.to_ndarray(format="rgb24"))
            if face is not None:
                crops.append(face)
    return crops


def largest_face(
    frame: NDArray[np.uint8], detector: Detector | None = None
) -> NDArray[np.uint8] | None:
    """Cut the largest face out of an RGB frame (H, W, 3), as serving does.

    Args:
        frame: the whole frame.
        detector: finds the faces; None = BlazeFace, or the cascade where BlazeFace is not on
            disk.

    Returns:
        A square crop as `FaceCutter` makes it; None where the frame has no face.
    """
    boxes = (detector or _detector())(frame, SMALLEST_FACE_PX)
    if not boxes:
        return None
    return FaceCutter().crop(frame, max(boxes, key=lambda box: box[2] * box[3]))


@cache
def _detector() -> Detector:
    return default_detector()


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        container = av.open(str(path))
    except (OSError, av.FFmpegError) as error:
        raise SemiIINError(f"{path} cannot be opened as a media file: {error}") from error
    with container:
        yield container


def _readable_frames(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of a stream up to the first damaged one."""
    frames = container.decode(stream)
    while True:
        try:
            yield next(frames)
        except (StopIteration, av.FFmpegError):
            return
