"""Inference loads no module of training, also not while it loads a checkpoint and scores."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"

IMPORT = "import streamer.inference.worker"
SCORE = """
import sys
from streamer.config import build
from streamer.inference import batches, worker
config = build({"inference": {"checkpoint": sys.argv[1], "device": "cpu"}})
batches.Scorer(batches.load_predictor(config)).warm_up()
"""
LOADED = "\nimport sys; print(*(name for name in sys.modules if name.startswith('semi_iin')))"


def training_modules() -> list[str]:
    """Return the modules that the import contract keeps out of serving."""
    contracts = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [serving] = [each for each in contracts if each["name"] == "Serving imports no training"]
    return list(serving["forbidden_modules"])


def is_in(name: str, modules: list[str]) -> bool:
    return any(f"{name}.".startswith(f"{module}.") for module in modules)


@pytest.mark.slow
@pytest.mark.parametrize("code", [IMPORT, SCORE], ids=["import", "score"])
def test_inference_loads_no_module_of_training(code: str, checkpoint: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", code + LOADED, checkpoint],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = process.stdout.split()
    training = {"semi_iin.loop", "semi_iin.run", "semi_iin.data", "semi_iin.pretraining"}
    assert training <= set(training_modules())
    assert "semi_iin.predict" in loaded
    assert [name for name in loaded if is_in(name, training_modules())] == []
