"""Exported files have the outputs of the model, also for batches that they were not traced with."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor

from semi_iin import export
from semi_iin.errors import SemiIINError
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig

DOCUMENT = Path(__file__).parents[3] / "docs" / "onnx.md"


def small(**changes: object) -> SemiIIN:
    torch.manual_seed(0)
    sizes = {
        "audio_width": 6,
        "text_width": 5,
        "vision_width": 4,
        "hidden": 8,
        "heads": 2,
        "head_widths": (8,),
        "max_audio": 6,
        "max_text": 7,
        "max_vision": 5,
    }
    return SemiIIN(SemiIINConfig.from_dict(sizes | changes)).eval()


Made = Callable[..., export.Exported]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Export `small(**changes)`, once for all tests that ask for the same."""

    @functools.cache
    def made(format: export.Format, **changes: Any) -> export.Exported:
        folder = tmp_path_factory.mktemp("export") / "made"
        path = folder / f"model{export.SUFFIXES[format]}"
        return export.export(small(**changes), path, format, "made-1")

    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "changes"),
    [
        ("torch", {}),
        ("torch", {"variant": "global"}),
        ("torch", {"sparse_top_k": 3}),
        ("onnx", {}),
        ("onnx", {"variant": "global", "sparse_top_k": 3}),
    ],
)
def test_the_file_has_the_outputs_of_the_model(
    made: Made, format: export.Format, changes: dict[str, Any]
) -> None:
    exported = made(format, **changes)
    assert exported.path.stat().st_size > 0
    assert exported.largest_difference < 1e-5
    assert exported.inputs["audio"] == ("B", 51, 6)
    assert exported.outputs[:2] == ("valence", "class_logits")


@pytest.mark.slow
def test_the_documented_example_runs_and_the_file_describes_itself(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made("onnx").path.parent)
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    assert len(code.splitlines()) <= 10
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["outputs"]["valence"].shape == (1,)
    assert names["outputs"]["class_logits"].shape == (1, 7)

    about = {each.key: each.value for each in onnx.load("model.onnx").metadata_props}
    assert about["name"] == "made-1"
    assert about["classes"].startswith("strongly negative, negative")
    assert "audio (batch, 51, 6) float32, audio_mask (batch, 51) bool" in about["inputs"]
    inputs = [each.name for each in onnx.load("model.onnx").graph.input]
    assert inputs == list(export.example(small().config, 1))


@pytest.mark.slow
def test_a_torch_export_takes_any_batch_and_mask(made: Made) -> None:
    model = small()
    program = torch.export.load(made("torch").path).module()
    inputs = export.example(model.config, 9, seed=77)
    inputs["vision_mask"][:] = False
    torch.testing.assert_close(tuple(program(**inputs)), tuple(model(**inputs)))


def test_a_file_with_other_outputs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(model: SemiIIN, target: Path, name: str) -> export.Run:
        def run(inputs: dict[str, Tensor]) -> list[Tensor]:
            first, *rest = model(**inputs)
            return [first + 2 * export.TOLERANCE, *rest]

        target.write_bytes(b"a file")
        return run

    monkeypatch.setattr(export, "_write_torch", other)
    with pytest.raises(SemiIINError, match="differs from the model"):
        export.export(small(), tmp_path / "model.pt2", "torch")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="no export format 'tflite'"):
        export.export(small(), tmp_path / "x", "tflite")  # type: ignore[arg-type]
