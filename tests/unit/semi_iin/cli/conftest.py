"""The command line in the test's process, a tiny checkpoint, and generated data."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from semi_iin import checkpoint, cli
from semi_iin.features import Encoders
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig

CommandLine = Callable[..., tuple[int, str, str]]
"""Words of a command line to the exit code, standard output and standard error."""

EMOTIONS = ["angry", "happy", "neutral", "sad"]


@pytest.fixture(scope="module")
def tiny(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights over all three tiny encoders."""
    torch.manual_seed(0)
    encoders = Encoders.build(
        {
            "text": {"kind": "transformer_text", "source": str(tiny_bert), "context_tokens": 8},
            "audio": {
                "kind": "log_mel_audio",
                "width": 12,
                "channels": [4, 4, 4, 4],
                "emotions": EMOTIONS,
            },
            "vision": {
                "kind": "face_cnn",
                "width": 10,
                "channels": [4, 4, 4, 4],
                "emotions": EMOTIONS,
            },
        }
    )
    model = SemiIIN(
        SemiIINConfig(
            audio_width=12,
            text_width=16,
            vision_width=10,
            hidden=16,
            heads=2,
            head_widths=(8,),
            max_audio=50,
            max_text=40,
            max_vision=20,
        )
    )
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    return checkpoint.save(
        tmp_path_factory.mktemp("checkpoints") / "tiny",
        weights | encoders.tensors(),
        {
            "name": "tiny-1",
            "model": model.config.to_dict(),
            "encoders": encoders.specs(),
            "temperatures": {"audio+text+vision": 2.0},
            "provenance": {"data": "made up"},
        },
    )


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Run the command line; return exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return call


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    rows = [("I love this film", 2.4), ("it was bad", -1.6), ("it was it", 0.0), ("good", 1.0)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


CONFIG = """
name = "made-up"
device = "cpu"

[[data]]
path = "set"
format = "features"
labels = "set/labels.csv"
part = "made up"
selection = 3

[[data]]
path = "pool"
format = "features"

[model]
audio_width = 4
text_width = 5
vision_width = 3
hidden = 8
heads = 2
head_widths = [8]
max_audio = 6
max_text = 6
max_vision = 6
audio_convs = [[3, 1, 1]]

[training]
epochs = 1
batch_size = 8
learning_rate = 3e-3

[self_training]
k = 2
"""


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration over generated features: 36 labelled utterances of 12 videos, 20 without."""
    root = tmp_path_factory.mktemp("made-up")
    generator = np.random.default_rng(0)

    def write(name: str, folder: str, valence: float) -> None:
        for part, width in (("audio", 4), ("text", 5), ("visual", 3)):
            (root / folder / part).mkdir(parents=True, exist_ok=True)
            rows = generator.normal(0, 0.3, (5, width)).astype(np.float32)
            rows[:, 0] += valence
            np.save(root / folder / part / f"{name}.npy", rows)

    lines = ["id,video_id,text,label,split"]
    for index, valence in enumerate(generator.uniform(-2.8, 2.8, 36).round(2)):
        video = index // 3
        write(f"u{index}", "set", valence)
        lines.append(f"u{index},v{video},x,{valence},{'valid' if video > 8 else 'train'}")
    for index, valence in enumerate(generator.uniform(-2.8, 2.8, 20)):
        write(f"p{index}", "pool", valence)
    (root / "set" / "labels.csv").write_text("\n".join(lines))
    (root / "made_up.toml").write_text(CONFIG)
    return root


@pytest.fixture
def on_made_up(run: CommandLine, made_up: Path, tmp_path: Path) -> CommandLine:
    """Run a command on that configuration, in a directory of its own."""

    def call(command: object, *more: object) -> tuple[int, str, str]:
        where = ("--run", tmp_path / "run", "--data-root", made_up)
        return run(command, made_up / "made_up.toml", *where, *more)

    return call
