"""Data sets as published, to samples.

What enters: files of MOSI, MOSEI, MELD, SST, IEMOCAP, AMI, RAVDESS, FER2013, or any CSV of the
same conventions. What leaves: samples with what each row has; a modality that is not there stays
absent, nothing is imputed. Media are read only when a sample's clip is asked for. It does not
know encoders, models or training.
"""

import csv
import gzip
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import av
import numpy as np
from numpy.typing import NDArray

from semi_iin.errors import SemiIINError
from semi_iin.evaluate import emotion_name
from semi_iin.faces import Detector, FaceCutter, cascade
from semi_iin.features import SAMPLE_RATE_HZ, Clip
from semi_iin.model import Modality

SMALLEST_FACE_PX = 40
Split = Literal["train", "valid", "test", "unlabeled"]
Format = Literal["text-csv", "clips", "features", "ravdess", "expression-npz"]
FORMATS: tuple[Format, ...] = get_args(Format)

POLARITY_VALENCE = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}
SST_VALENCE = (-2.2, -1.1, 0.0, 1.1, 2.2)  # of its five classes
RAVDESS_EMOTIONS = (
    "neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised",
)  # fmt: skip


@dataclass(frozen=True)
class Media:
    """Where a sample's sound or picture lies.

    Attributes:
        path: a file that PyAV opens.
        start_s: seconds from the file's start at which the sample begins.
        end_s: where it ends, exclusive; None = the file's end.
    """

    path: Path
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class Sample:
    """One labelled (or unlabelled) utterance, voice or face.

    Attributes:
        id: unique within its data set.
        split: which part it belongs to.
        group: video, speaker or dialogue: what must not stand in two splits; "" = unknown.
        label: valence in [-3, 3]; None = none.
        emotion: a class as `semi_iin.evaluate.emotion_name` spells it; None = none.
        text: the words; None = absent.
        context: what was said before in the same video or dialogue; None = nothing.
        sound: where the voice is; None = absent.
        picture: where the face is; None = absent.
        crop: (H, W) uint8 grey or (H, W, 3) RGB: a single face; None = absent.
        features: modality to a `.npy` file of ready features (L, D).
    """

    id: str
    split: Split = "train"
    group: str = ""
    label: float | None = None
    emotion: str | None = None
    text: str | None = None
    context: str | None = None
    sound: Media | None = None
    picture: Media | None = None
    crop: NDArray[np.uint8] | None = None
    features: Mapping[Modality, Path] = field(default_factory=dict)

    def clip(self) -> Clip:
        """Read the sample's media.

        Raises:
            SemiIINError: when a file cannot be read.
        """
        faces: list[NDArray[np.uint8]] = []
        if self.crop is not None:
            faces = [self.crop if self.crop.ndim == 3 else np.repeat(self.crop[..., None], 3, 2)]
        elif self.picture is not None:
            faces = read_faces(self.picture)
        return Clip(
            audio=read_sound(self.sound) if self.sound is not None else None,
            text=self.text,
            context=self.context,
            faces=faces or None,
        )

    def arrays(self) -> dict[Modality, NDArray[np.float32]]:
        """Ready features (L, D) by modality.

        Raises:
            SemiIINError: when a file is missing or of another rank.
        """
        return {name: _array(path) for name, path in self.features.items()}


def read(
    path: str | Path, format: Format, *, split: Split | None = None, **options: Any
) -> list[Sample]:
    """Read a data set.

    Args:
        path: a file, or a folder where the format is one of folders.
        format: "text-csv", "clips" (media beside a label CSV), "features" (the paper's layout),
            "ravdess" or "expression-npz".
        split: keep only this one; None keeps all.
        options: passed to the format's reader.

    Raises:
        SemiIINError: naming what is missing or malformed.
    """
    readers = {
        "text-csv": read_text_csv,
        "clips": read_clips,
        "features": read_features,
        "ravdess": read_ravdess,
        "expression-npz": read_expressions,
    }
    if format not in readers:
        raise SemiIINError(f"there is no data format {format!r}: use one of {', '.join(FORMATS)}")
    place = Path(path)
    if not place.exists():
        raise SemiIINError(f"there are no data at {place}")
    samples: list[Sample] = readers[format](place, **options)  # type: ignore[operator]
    return [sample for sample in samples if split is None or sample.split == split]


def refuse_leaks(samples: Iterable[Sample]) -> None:
    """Check that no group (video, speaker, dialogue) stands in two splits.

    Raises:
        SemiIINError: naming one that does.
    """
    seen: dict[str, Split] = {}
    for sample in samples:
        if not sample.group:
            continue
        first = seen.setdefault(sample.group, sample.split)
        if first != sample.split:
            raise SemiIINError(
                f"{sample.group} stands in both {first} and {sample.split}: what is trained on "
                "must not be measured on"
            )


def carve(
    samples: Sequence[Sample], share: int, split: Split = "valid", salt: str = ""
) -> list[Sample]:
    """Move about one group in `share` of the training part to another split, by a fixed hash.

    It serves selection without touching the validation part that is reported. Samples without a
    group are moved one by one; another `salt` moves others.
    """
    moved = []
    for sample in samples:
        key = salt + (sample.group or sample.id)
        if sample.split == "train" and _hash(key) % share == 0:
            sample = replace(sample, split=split)
        moved.append(sample)
    return moved


# --- text -------------------------------------------------------------------------------------

_COLUMNS = {
    "id": ("id", "segment_id", "wav_file"),
    "group": ("video_id", "dialogue_id", "meeting", "meeting_id", "session", "video"),
    "part": ("clip_id", "utterance_id", "clip"),
    "speaker": ("speaker", "participant"),
    "start": ("start", "start_s", "starttime", "start_time", "begin"),
    "end": ("end", "end_s", "endtime", "end_time"),
    "text": ("text", "utterance", "sentence", "transcript", "transcription"),
    "label": ("label", "valence", "sentiment", "regression_labels"),
    "emotion": ("emotion",),
    "split": ("split", "mode", "partition"),
}
_SPLITS: dict[str, Split] = {
    "train": "train", "training": "train", "valid": "valid", "val": "valid", "dev": "valid",
    "validation": "valid", "test": "test", "unlabeled": "unlabeled", "unlabelled": "unlabeled",
}  # fmt: skip
_CONTEXT_WORDS = 60  # the latest that a sample carries; encoders read fewer


@dataclass(frozen=True)
class _Row:
    """One CSV row by our column names; absent cells are ""."""

    number: int
    cells: Mapping[str, str]

    def seconds(self, name: str) -> float | None:
        """A time cell: seconds, or `HH:MM:SS,mmm`; None where it is blank or no time."""
        try:
            parts = [float(part) for part in self.cells[name].replace(",", ".").split(":")]
        except (KeyError, ValueError):
            return None
        return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def read_text_csv(
    path: Path,
    *,
    scale: Literal["valence", "sst5"] = "valence",
    fallback_split: Split | None = None,
) -> list[Sample]:
    """Read a CSV (also `.csv.gz`) with a text column, by the conventions of any known set.

    Columns are found by their usual names, in any case: id, or video and clip; text or utterance;
    speaker; start and end; label or sentiment (a number, or negative, neutral, positive);
    emotion; split. What one speaker says in one video, dialogue or meeting becomes the context of
    what the same speaker says later. Text all in upper case is lowered.

    Args:
        path: the file.
        scale: "sst5" reads labels 0 to 4 as very negative to very positive.
        fallback_split: of rows where no column says it; None: the file's name tells, else
            "train".

    Raises:
        SemiIINError: for a file without a text column, or a cell that cannot be read.
    """
    rows = _rows(path)
    fallback = fallback_split or _split_of(path)
    samples = [_text_sample(path, row, scale, fallback) for row in rows]
    return _with_context(rows, samples)


def _text_sample(path: Path, row: _Row, scale: str, fallback: Split) -> Sample:
    cells = row.cells
    name = path.name.partition(".")[0]
    group, part = cells.get("group", ""), cells.get("part", "")
    split = cells.get("split", "").lower()
    if split and split not in _SPLITS:
        raise SemiIINError(f"{path}, line {row.number}: there is no split {split!r}")
    label = _label(path, row, scale)
    emotion = emotion_name(cells["emotion"]) if cells.get("emotion") else None
    return Sample(
        id=cells.get("id") or (f"{group}_{part}" if group and part else f"{name}-{row.number}"),
        split=_SPLITS.get(split, fallback if label is not None or emotion else "unlabeled"),
        group=f"{name}/{group}" if group else "",
        label=label,
        emotion=emotion,
        text=_readable(cells["text"]) or None,
    )


def _label(path: Path, row: _Row, scale: str) -> float | None:
    """The valence that a row's label says."""
    cell = row.cells.get("label", "").lower()
    if not cell:
        return None
    if cell in POLARITY_VALENCE:
        return POLARITY_VALENCE[cell]
    try:
        value = float(cell)
        return SST_VALENCE[int(value)] if scale == "sst5" else min(max(value, -3.0), 3.0)
    except (ValueError, IndexError):
        raise SemiIINError(
            f"{path}, line {row.number}: the label {cell!r} is no number of its scale, nor "
            f"{', '.join(POLARITY_VALENCE)}"
        ) from None


def _with_context(rows: Sequence[_Row], samples: Sequence[Sample]) -> list[Sample]:
    """Give each sample what its speaker said before it, in order of time."""
    order = sorted(range(len(rows)), key=lambda index: (rows[index].seconds("start") or 0.0, index))
    said: dict[tuple[str, str], list[str]] = defaultdict(list)
    result = list(samples)
    for index in order:
        sample = samples[index]
        if not sample.group:
            continue
        before = said[sample.group, rows[index].cells.get("speaker", "")]
        if before:
            result[index] = replace(sample, context=" ".join(before))
        before += (sample.text or "").split()
        del before[:-_CONTEXT_WORDS]
    return result


def _rows(path: Path) -> list[_Row]:
    """The rows of a CSV, their columns by our names."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            known = {(name or "").strip().lower(): name for name in reader.fieldnames or []}
            columns = {
                ours: known[theirs]
                for ours, names in _COLUMNS.items()
                for theirs in reversed(names)
                if theirs in known
            }
            if "text" not in columns:
                raise SemiIINError(f"{path} has no text column: name one 'text'")
            return [
                _Row(number, {ours: (row[name] or "").strip() for ours, name in columns.items()})
                for number, row in enumerate(reader, start=2)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SemiIINError(f"{path} cannot be read as CSV: {error}") from error


def _split_of(path: Path) -> Split:
    """The split that a file's name says, such as `meld_dev.csv`."""
    for word in re.split(r"[^a-z]+", path.name.lower()):
        if word in _SPLITS:
            return _SPLITS[word]
    return "train"


def _readable(text: str) -> str:
    """Text as people write it: what is all in upper case is lowered, white space is single."""
    text = " ".join(text.split())
    return text.lower() if text.isupper() and len(text) > 3 else text


# --- raw clips --------------------------------------------------------------------------------

_MEDIA = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".wav", ".flac", ".mp3", ".m4a", ".ogg")
_SOUND_ONLY = (".wav", ".flac", ".mp3", ".m4a", ".ogg")


def read_clips(
    path: Path,
    *,
    media: str | Path | None = None,
    scale: Literal["valence", "sst5"] = "valence",
) -> list[Sample]:
    """Read a label CSV with media beside it.

    Args:
        path: the CSV, as for `read_text_csv`.
        media: the folder of the media; None = the CSV's own. A row's media is the file (of any
            depth) named after its id, and is used whole; else the one named after its video,
            from the row's start to its end. A row without a file keeps its text alone.
        scale: as for `read_text_csv`.

    Raises:
        SemiIINError: as for `read_text_csv`, and when no row has a file.
    """
    folder = Path(media) if media is not None else path.parent
    files = {file.stem: file for file in sorted(folder.rglob("*")) if file.suffix.lower() in _MEDIA}
    rows = _rows(path)
    samples = read_text_csv(path, scale=scale)
    placed = [_with_media(row, sample, files) for row, sample in zip(rows, samples, strict=True)]
    if not any(sample.sound for sample in placed):
        raise SemiIINError(f"no media in {folder} are named after an id or a video of {path}")
    return placed


def _with_media(row: _Row, sample: Sample, files: Mapping[str, Path]) -> Sample:
    whole = files.get(sample.id)
    video = files.get(row.cells.get("group", ""))
    if whole is not None:
        found = Media(whole)
    elif video is not None and row.seconds("end") is not None:
        found = Media(video, row.seconds("start") or 0.0, row.seconds("end"))
    else:
        return sample
    heard_only = found.path.suffix.lower() in _SOUND_ONLY
    return replace(sample, sound=found, picture=None if heard_only else found)


def read_sound(media: Media) -> NDArray[np.float32] | None:
    """The sound of a file or of a part of it.

    Returns:
        (n,) float32 mono at 16 kHz in [-1, 1]; None where the file has no sound.

    Raises:
        SemiIINError: when the file cannot be opened.
    """
    parts: list[NDArray[np.float32]] = []
    with _opened(media.path) as container:
        if not container.streams.audio:
            return None
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        skipped = 0.0
        if media.start_s > 1:
            container.seek(int(media.start_s * av.time_base), backward=True)
        for frame in _readable_frames(container, container.streams.audio[0]):
            begin = float(frame.time or 0.0)
            if media.end_s is not None and begin >= media.end_s:
                break
            if not parts:
                skipped = begin
            parts += [made.to_ndarray().reshape(-1) for made in resampler.resample(frame)]
        parts += [made.to_ndarray().reshape(-1) for made in resampler.resample(None)]
    if not parts:
        return None
    sound = np.concatenate(parts).astype(np.float32)
    first = max(0, round((media.start_s - skipped) * SAMPLE_RATE_HZ))
    last = None if media.end_s is None else round((media.end_s - skipped) * SAMPLE_RATE_HZ)
    return np.clip(sound[first:last], -1.0, 1.0)


def read_faces(media: Media, rate_hz: float = 5.0) -> list[NDArray[np.uint8]]:
    """The largest face of a video, or of a part of it, at most `rate_hz` times a second.

    Found by OpenCV's bundled cascade; pictures without a face are left out.

    Returns:
        (H, W, 3) uint8 RGB crops in order of time.

    Raises:
        SemiIINError: when the file cannot be opened.
    """
    crops: list[NDArray[np.uint8]] = []
    due = media.start_s
    with _opened(media.path) as container:
        if not container.streams.video:
            return crops
        if media.start_s > 1:
            container.seek(int(media.start_s * av.time_base), backward=True)
        for frame in _readable_frames(container, container.streams.video[0]):
            time = float(frame.time or 0.0)
            if media.end_s is not None and time >= media.end_s:
                break
            if time + 1e-6 < due:
                continue
            due = max(due, time - 1 / rate_hz) + 1 / rate_hz
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
        detector: finds the faces; None = OpenCV's frontal-face cascade.

    Returns:
        A square crop as `FaceCutter` makes it; None where the frame has no face.
    """
    boxes = (detector or _cascade())(frame, SMALLEST_FACE_PX)
    if not boxes:
        return None
    return FaceCutter().crop(frame, max(boxes, key=lambda box: box[2] * box[3]))


@cache
def _cascade() -> Detector:
    return cascade()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        container = av.open(str(path))
    except (OSError, av.FFmpegError) as error:
        raise SemiIINError(f"{path} cannot be opened as a media file: {error}") from error
    with container:
        yield container


def _readable_frames(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream up to where the file is damaged."""
    frames = container.decode(stream)
    while True:
        try:
            yield next(frames)
        except (StopIteration, av.FFmpegError):
            return


# --- ready features, voices, faces ------------------------------------------------------------

# Folder of each modality in the paper's layout, by data set.
FEATURE_FOLDERS: dict[str, dict[Modality, str]] = {
    "mosi": {"audio": "together/audio", "text": "together/text", "vision": "together/visual"},
    "mosei": {"audio": "audio/hubert-FRA", "text": "text/roberta-4-FRA", "vision": "visual"},
    "ami": {"audio": "audio", "text": "text", "vision": "visual"},
}


def read_features(path: Path, *, labels: str | Path | None = None) -> list[Sample]:
    """Read ready features in the paper's layout: one `.npy` array (L, D) for each utterance.

    Args:
        path: the data set's folder, holding `together/{audio,text,visual}` (MOSI),
            `audio/hubert-FRA`, `text/roberta-4-FRA` and `visual` (MOSEI), or
            `{audio,text,visual}` (AMI, or what `semi-iin features` exported).
        labels: a CSV whose ids are the files' names, as for `read_text_csv`; its text is not
            used. None = the utterances are unlabeled.

    Raises:
        SemiIINError: for a folder of another layout, or labels of other ids.
    """
    folders = max(
        FEATURE_FOLDERS.values(),
        key=lambda known: sum((path / folder).is_dir() for folder in known.values()),
    )
    if not any((path / folder).is_dir() for folder in folders.values()):
        raise SemiIINError(f"{path} holds no features in a known layout, such as together/text")
    files: dict[str, dict[Modality, Path]] = defaultdict(dict)
    for modality, folder in folders.items():
        for file in sorted((path / folder).glob("*.npy")):
            files[file.stem][modality] = file
    if not files:
        raise SemiIINError(f"{path} holds no .npy arrays")
    if labels is None:
        return [Sample(id=name, split="unlabeled", features=found) for name, found in files.items()]
    samples = [
        replace(sample, text=None, context=None, features=files[sample.id])
        for sample in read_text_csv(Path(labels))
        if sample.id in files
    ]
    if not samples:
        raise SemiIINError(f"no id of {labels} names an array in {path}")
    return samples


def write_features(
    path: Path, samples: Sequence[Sample], rows: Sequence[Mapping[Modality, Any]]
) -> None:
    """Write features in a layout that `read_features` reads, with `labels.csv` beside them.

    Args:
        path: the folder; `audio`, `text` and `visual` are made in it as needed.
        samples: their ids name the files.
        rows: for each sample its features (L, D) by modality.
    """
    folders = FEATURE_FOLDERS["ami"]
    path.mkdir(parents=True, exist_ok=True)
    with (path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "video_id", "text", "label", "emotion", "split"])
        for sample, row in zip(samples, rows, strict=True):
            name = sample.id.replace("/", "_")
            label = "" if sample.label is None else sample.label
            emotion = sample.emotion or ""
            writer.writerow([name, sample.group, sample.text or "", label, emotion, sample.split])
            for modality, features in row.items():
                (path / folders[modality]).mkdir(exist_ok=True)
                np.save(path / folders[modality] / f"{name}.npy", np.asarray(features))


def read_ravdess(path: Path, *, valid_actors: Sequence[int] = (17, 18, 19, 20)) -> list[Sample]:
    """Read RAVDESS speech: emotion and actor stand in the files' names.

    Args:
        path: the folder, read at any depth.
        valid_actors: whose files are the validation part; the others train.

    Raises:
        SemiIINError: when no file there is named as RAVDESS names them.
    """
    samples = []
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() not in _MEDIA or not re.fullmatch(r"\d\d(-\d\d){6}", file.stem):
            continue
        parts = [int(part) for part in file.stem.split("-")]
        if not 1 <= parts[2] <= len(RAVDESS_EMOTIONS):
            raise SemiIINError(f"{file} names the emotion {parts[2]}, but RAVDESS has 1 to 8")
        samples.append(
            Sample(
                id=file.stem,
                split="valid" if parts[6] in valid_actors else "train",
                group=f"ravdess/{parts[6]}",
                emotion=RAVDESS_EMOTIONS[parts[2] - 1],
                sound=Media(file),
            )
        )
    if not samples:
        raise SemiIINError(f"{path} holds no RAVDESS recordings, such as 03-01-03-01-01-01-17.flac")
    return samples


def read_expressions(path: Path, *, fallback_split: Split | None = None) -> list[Sample]:
    """Read faces from an NPZ of `images` (N, H, W) or (N, H, W, 3) uint8, `labels` and `classes`.

    `labels` are indices into `classes`, whose names may be in any common spelling.

    Args:
        path: the file.
        fallback_split: of its samples; None: the file's name tells (`train.npz`,
            `public_test.npz`), else "train".

    Raises:
        SemiIINError: for missing arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
            names = [emotion_name(str(name)) for name in arrays["classes"]]
    except (OSError, ValueError, KeyError) as error:
        raise SemiIINError(
            f"{path} is no NPZ with plain arrays images, labels and classes: {error}"
        ) from error
    split = fallback_split or _split_of(path)
    return [
        Sample(
            id=f"{path.stem}-{index}",
            split=split,
            emotion=names[int(label)],
            crop=np.ascontiguousarray(image, dtype=np.uint8),
        )
        for index, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def _array(path: Path) -> NDArray[np.float32]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SemiIINError(f"{path} cannot be read as an array: {error}") from error
    if array.ndim != 2 or not len(array):
        raise SemiIINError(f"{path} holds an array of shape {array.shape}, not (frames, width)")
    return np.asarray(array, dtype=np.float32)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
