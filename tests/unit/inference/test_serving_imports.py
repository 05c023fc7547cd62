"""Serving loads no module of training, and no package whose slow import it does not need."""

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
config = build({"inference": {"device": "cpu"}})
batches.Scorer(batches.load_predictor(config)).warm_up()
"""
LOADED = "\nimport sys; print(*sys.modules)"
SLOW = {"transformers", "sklearn", "sympy", "torch._dynamo"}
"""Packages whose imports take seconds."""
BEFORE_CAPTURE = "import streamer.cli.main, streamer.local.run, streamer.session.running"


def training_modules() -> list[str]:
    """Return the modules that the import contract keeps out of serving."""
    contracts = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [serving] = [each for each in contracts if each["name"] == "Serving imports no training"]
    return list(serving["forbidden_modules"])


def is_in(name: str, modules: list[str]) -> bool:
    return any(f"{name}.".startswith(f"{module}.") for module in modules)


def loaded_by(code: str) -> list[str]:
    process = subprocess.run(
        [sys.executable, "-c", code + LOADED], check=True, capture_output=True, text=True
    )
    return process.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("code", [IMPORT, SCORE], ids=["import", "score"])
def test_inference_loads_no_module_of_training_and_no_slow_package(code: str) -> None:
    loaded = loaded_by(code)
    training = {"semi_iin.loop", "semi_iin.run", "semi_iin.data", "semi_iin.pretraining"}
    assert training <= set(training_modules())
    assert "semi_iin.predict" in loaded
    assert [name for name in loaded if is_in(name, training_modules())] == []
    assert SLOW.isdisjoint(loaded)


def test_a_command_starts_its_stages_before_it_imports_torch() -> None:
    loaded = loaded_by(BEFORE_CAPTURE)
    assert "streamer.session.participant" in loaded
    assert (SLOW | {"torch", "faust"}).isdisjoint(loaded)
