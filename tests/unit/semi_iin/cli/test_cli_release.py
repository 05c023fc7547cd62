"""Releasing a checkpoint: measured on held-out data, with a model card."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semi_iin import checkpoint
from tests.unit.semi_iin.cli.conftest import CommandLine
from tests.unit.semi_iin.generated import recordings, tones

CONFIG = """
name = "tiny-1"
device = "cpu"

[[data]]
path = "mosi/mosi_text.csv"
part = "mosi"
selection = 3

[[data]]
path = "ravdess"
format = "ravdess"
selection = 3

[[data]]
path = "fer2013/public_test.npz"
format = "expression-npz"
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data sets that a release is measured on, generated."""
    root = tmp_path / "data"
    for name in ("mosi", "mosei", "meld", "fer2013"):
        (root / name).mkdir(parents=True)
    texts = [("i love this", 2.0), ("it was bad", -2.0), ("this film", 0.0), ("good", 1.4)]
    rows = [
        f"{index},v{index // 2},{text},{label},{'valid' if index % 8 > 5 else 'train'}"
        for index, (text, label) in enumerate(texts * 6)
    ]
    lines = "\n".join(["id,video_id,text,label,split", *rows])
    for name in ("mosi", "mosei"):
        (root / name / f"{name}_text.csv").write_text(lines, encoding="utf-8")
    meld = ["Utterance,Sentiment", "good,positive", "bad,negative", "it was,neutral"]
    (root / "meld" / "meld_dev.csv").write_text("\n".join(meld), encoding="utf-8")
    for actor in (1, 17):
        quiet = [("neutral", samples) for _, samples in tones(2, 5)]
        recordings(root / "ravdess", [*tones(4, actor), *quiet], actor)
    np.savez(
        root / "fer2013" / "public_test.npz",
        images=np.random.default_rng(0).integers(0, 255, (9, 48, 48), dtype=np.uint8),
        labels=np.arange(9) % 3,
        classes=np.array(["happy", "sad", "neutral"]),
    )
    (root / "run.toml").write_text(CONFIG, encoding="utf-8")
    return root


@pytest.mark.slow
def test_a_release_has_its_weights_metrics_and_card(
    run: CommandLine, tiny: Path, data: Any, tmp_path: Path
) -> None:
    shutil.copytree(tiny, tmp_path / "run" / "checkpoint")
    target = tmp_path / "released"
    code, _, err = run(
        "release", tmp_path / "run", "--config", data / "run.toml", "--data-root", data,
        "--to", target,
    )  # fmt: skip
    assert code == 0, err
    released = checkpoint.load(target)
    assert released.tensors.keys() == checkpoint.load(tiny).tensors.keys()
    metrics = released.config["metrics"]
    assert metrics["mosi"]["n"] == metrics["mosi_no_context"]["n"] == 6
    assert {"meld", "ravdess", "fer2013", "composed audio + text + vision"} <= metrics.keys()
    card = (target / "README.md").read_text(encoding="utf-8")
    assert f"{metrics['mosi']['mae']['value']:.3f}" in card
    assert "| Composed audio + text + vision | 6 |" in card


def test_a_release_without_its_data_is_refused(
    run: CommandLine, tiny: Path, data: Any, tmp_path: Path
) -> None:
    shutil.copytree(tiny, tmp_path / "run" / "checkpoint")
    shutil.rmtree(data / "mosi")
    code, _, err = run("release", tmp_path / "run", "--config", data / "run.toml",
                       "--data-root", data, "--to", tmp_path / "released")  # fmt: skip
    assert code == 1
    assert "there are no data at" in " ".join(err.split())
    assert not (tmp_path / "released").exists()


@pytest.mark.slow
def test_a_report_has_a_row_for_every_data_set_at_hand(
    run: CommandLine, tiny: Path, data: Any, tmp_path: Path
) -> None:
    numbers = tmp_path / "numbers.json"
    code, out, err = run("report", tiny, "--data-root", data, "--to", numbers)
    assert code == 0, err
    metrics = json.loads(numbers.read_text(encoding="utf-8"))
    assert {"mosi", "mosi_no_context", "mosei", "meld", "ravdess", "fer2013"} == metrics.keys() - {
        "mosei_no_context",
        "meld_no_context",
    }
    assert "| MOSI valid, words alone | 6 |" in out
    assert "| FER2013 public test, face alone | 9 |" in out
    assert "| MOSI valid, words alone | 6 | seven |" in out  # its calibration
    code, _, err = run("report", tiny, "--data-root", tmp_path)
    assert code == 1 and "none of the reported data sets" in " ".join(err.split())


def test_a_report_of_disturbed_words_has_a_row_for_each_share(
    run: CommandLine, tiny: Path, data: Any
) -> None:
    code, out, err = run(
        "report", tiny, "--data-root", data, "--only", "mosi", "--disturb", "0,0.5"
    )
    assert code == 0, err
    titles = [line.split(" | ")[0] for line in out.splitlines() if line.startswith("| MOSI")]
    assert titles[:2] == [
        "| MOSI valid, words with context, bare, 0% disturbed",
        "| MOSI valid, words with context, bare, 50% disturbed",
    ]
    assert not any("MOSEI" in line or "RAVDESS" in line for line in out.splitlines())


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (("--only", "mosy"), "mosy is not reported: choose from mosi,"),
        (("--disturb", "5"), "--disturb takes shares from 0 to 1"),
    ],
)
def test_a_report_names_the_option_that_is_wrong(
    run: CommandLine, tiny: Path, data: Any, wrong: tuple[str, str], expected: str
) -> None:
    code, _, err = run("report", tiny, "--data-root", data, *wrong)
    assert code == 1
    assert expected in " ".join(err.split())


@pytest.mark.slow
def test_a_report_with_a_configuration_has_every_combination_of_modalities(
    run: CommandLine, tiny: Path, data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("report", tiny, "--data-root", data, "--only", "mosi",
                         "--config", data / "run.toml")  # fmt: skip
    assert code == 0, err
    assert sum(line.startswith("| Composed ") for line in out.splitlines()) == 2 * 7
