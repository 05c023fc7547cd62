"""Data and configurations that the tests of semi_iin generate."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from semi_iin.data.samples import Sample
from semi_iin.labels import valence_class
from semi_iin.modalities import Modality
from semi_iin.model_config import SemiIINConfig
from semi_iin.settings import RunConfig, Training
from semi_iin.task import Example

SMALL = SemiIINConfig(
    audio_width=6, text_width=5, vision_width=4, hidden=16, head_widths=(16, 8),
    audio_convs=((3, 2, 1),), feature_dropout=0.1,
)  # fmt: skip


def tones(count: int, seed: int) -> list[tuple[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    result = []
    for index in range(count):
        low = index % 2 == 0
        time = np.arange(int(random.integers(6000, 12_000))) / 16_000
        hz = random.uniform(150, 300) if low else random.uniform(1500, 3000)
        result.append(("sad" if low else "happy", np.sin(2 * np.pi * hz * time).astype(np.float32)))
    return result


def recordings(folder: Path, voices: Sequence[tuple[str, np.ndarray]], actor: int) -> None:
    """Write tones as RAVDESS names its recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, (emotion, samples) in enumerate(voices):
        code = {"sad": 4, "happy": 3, "neutral": 1}[emotion]
        path = folder / f"03-01-{code:02d}-01-01-{index:02d}-{actor:02d}.flac"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("flac", rate=16_000)
            frame = av.AudioFrame.from_ndarray(
                (samples * 20_000).astype(np.int16)[None], format="s16", layout="mono"
            )
            frame.sample_rate = 16_000
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)


def drawings(count: int, seed: int) -> list[Sample]:
    """Crops that are bright above (happy) or below (sad)."""
    random = np.random.default_rng(seed)
    result = []
    for index in range(count):
        crop = random.integers(0, 80, (48, 48), dtype=np.uint8)
        crop[:24] += 150 * (index % 2 == 0)
        crop[24:] += 150 * (index % 2 == 1)
        result.append(Sample(f"{seed}-{index}", emotion=("happy", "sad")[index % 2], face=crop))
    return result


def run_config(tiny_bert: Path) -> RunConfig:
    quick = Training(epochs=2, batch_size=8, learning_rate=3e-3)
    return RunConfig.model_validate(
        {
            "name": "made",
            "device": "cpu",
            "data": [
                {"path": "talk.csv", "part": "talk", "selection": 3},
                {"path": "voices", "format": "ravdess"},
                {"path": "faces.npz", "format": "expression-npz", "selection": 3},
            ],
            "encoders": {
                "text": {
                    "spec": {
                        "kind": "transformer_text", "source": str(tiny_bert), "context_tokens": 4,
                    },
                    "rank": 4,
                    "training": quick.model_dump(),
                },
                "audio": {
                    "spec": {"kind": "log_mel_audio", "width": 12, "channels": [4, 4, 4, 4]},
                    "training": quick.model_dump(),
                },
                "vision": {
                    "spec": {"kind": "face_cnn", "width": 10, "channels": [4, 4, 4, 4]},
                    "training": quick.model_dump(),
                },
            },
            "model": {"hidden": 16, "head_widths": [16, 8], "audio_convs": [[3, 2, 1]]},
            "training": quick.model_dump(),
        }
    )  # fmt: skip


def write_sets(root: Path) -> None:
    root.mkdir()
    texts = [("i love this", 2.0), ("it was bad", -2.0), ("this film", 0.0), ("good", 1.4)]
    lines = ["id,video_id,start,text,label"]
    for index in range(48):
        text, label = texts[index % 4]
        lines.append(f"{index},v{index // 3},{index % 3},{text},{label}")
    (root / "talk.csv").write_text("\n".join(lines), encoding="utf-8")
    for actor in (1, 17):
        voices = tones(8, actor)
        quiet = [("neutral", voices[0][1][::-1].copy()), ("neutral", voices[1][1][::-1].copy())]
        recordings(root / "voices", [*voices, *quiet], actor)
    faces = drawings(45, 0)
    np.savez(
        root / "faces.npz",
        images=np.stack([sample.face for sample in faces if sample.face is not None]),
        labels=np.arange(45) % 3,
        classes=np.array(["happy", "sad", "neutral"]),
    )


def write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def tone_file(path: Path, seconds: float, rate: int = 16_000, hz: float = 440.0) -> Path:
    """A mono file whose amplitude rises from 0 to 0.5."""
    time = np.arange(round(seconds * rate)) / rate
    samples = np.sin(2 * np.pi * hz * time) * 0.5 * time / seconds
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac" if path.suffix == ".flac" else "pcm_s16le", rate=rate)
        frame = av.AudioFrame.from_ndarray(
            (samples * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


FEATURE_WIDTH = 6
PAIR: tuple[Modality, ...] = ("text", "audio")


def valence_examples(count: int, seed: int, labelled: bool = True) -> list[Example]:
    """Words and voices whose first channel is the valence."""
    generator = torch.Generator().manual_seed(seed)
    result = []
    for valence in np.linspace(-2.8, 2.8, count):
        features: dict[Modality, Tensor | Path] = {}
        for name in PAIR:
            rows = torch.randn(4, FEATURE_WIDTH, generator=generator)
            rows[:, 0] += float(valence)
            features[name] = rows
        result.append(
            Example(
                features=features,
                valence=float(valence) if labelled else None,
                sentiment=int(valence_class(valence)) if labelled else 0,
            )
        )
    return result


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """White noise at 16 kHz."""
    random = np.random.default_rng(seed)
    return (random.normal(size=round(seconds * 16_000)) * level).astype(np.float32)


def random_faces(count: int, side: int = 60, seed: int = 0) -> list[np.ndarray]:
    """RGB crops of random pixels."""
    random = np.random.default_rng(seed)
    return [random.integers(0, 255, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def fab_net_state() -> dict[str, torch.Tensor]:
    """Names and shapes of the published encoder, written out by hand."""
    torch.manual_seed(0)
    widths = [(3, 32), (32, 64), (64, 128), (128, 256)] + [(256, 256)] * 4
    state = {}
    for index, (at, (inner, outer)) in enumerate(
        zip((0, 2, 5, 8, 11, 14, 17, 20), widths, strict=True)
    ):
        state[f"encoder.{at}.weight"] = torch.randn(outer, inner, 4, 4) * 0.05
        state[f"encoder.{at}.bias"] = torch.randn(outer) * 0.05
        if 0 < index < 7:
            for name, value in (
                ("weight", torch.ones(outer)), ("bias", torch.zeros(outer)),
                ("running_mean", torch.zeros(outer)), ("running_var", torch.ones(outer)),
                ("num_batches_tracked", torch.tensor(7)),
            ):  # fmt: skip
                state[f"encoder.{at + 1}.{name}"] = value
    return state
