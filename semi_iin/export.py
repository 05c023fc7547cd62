"""Export of a checkpoint's Semi-IIN as one file for other runtimes, checked against the model.

What enters: a model. What leaves: a `.pt2` file (torch.export) or an ONNX file that takes encoder
features and has the outputs of `SemiIIN`. The encoders are not part of it.

The batch size is free. Lengths are the model's maxima: shorter inputs are padded and masked, which
by construction changes no result. A modality that is absent is all zeros under a mask of all False.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from semi_iin.errors import SemiIINError
from semi_iin.labels import CLASS_NAMES
from semi_iin.modalities import MODALITIES
from semi_iin.model import SemiIIN, SemiIINOutput
from semi_iin.model_config import SemiIINConfig

Format = Literal["torch", "onnx"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[Format, str] = {"torch": ".pt2", "onnx": ".onnx"}
TOLERANCE = 1e-4
MAX_BATCH = 4096

Run = Callable[[dict[str, Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Exported:
    """A written file.

    Attributes:
        path: the file.
        format: "torch" or "onnx".
        inputs: name to shape, the batch as "B".
        outputs: names in order.
        largest_difference: over several batches and masks, from the model in eager mode.
    """

    path: Path
    format: Format
    inputs: dict[str, tuple[str | int, ...]]
    outputs: tuple[str, ...]
    largest_difference: float


def export(model: SemiIIN, path: str | Path, format: Format, name: str = "") -> Exported:
    """Write a model for another runtime, and compare the outputs of file and model.

    Args:
        model: any variant; it is set to evaluation.
        path: the file to write; its folder is made.
        format: "torch" for `torch.export`, "onnx" for ONNX.
        name: of the checkpoint, for the file's metadata.

    Raises:
        SemiIINError: for an unknown format, an exporter that is not installed, or a file with
            other outputs (which is removed).
    """
    if format not in FORMATS:
        raise SemiIINError(f"there is no export format {format!r}: use one of {', '.join(FORMATS)}")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    write = {"torch": _write_torch, "onnx": _write_onnx}[format]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters use deprecated names of their own
        run = write(model, target, name)
        difference = _largest_difference(model, run)
    if not difference <= TOLERANCE:
        target.unlink()
        raise SemiIINError(
            f"the {format} export differs from the model by {difference:.2g}, more than "
            f"{TOLERANCE:.0e}: it was removed"
        )
    inputs: dict[str, tuple[str | int, ...]] = {
        name: ("B", *value.shape[1:]) for name, value in example(model.config, 1).items()
    }
    return Exported(target, format, inputs, SemiIINOutput._fields, difference)


def example(config: SemiIINConfig, batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Return random inputs of full length with random padding; the last sample has no audio."""
    generator = torch.Generator().manual_seed(seed)
    inputs: dict[str, Tensor] = {}
    for modality in MODALITIES:
        frames = config.max_frames(modality)
        inputs[modality] = torch.randn(batch, frames, config.width(modality), generator=generator)
        real = torch.randint(1, frames + 1, (batch, 1), generator=generator)
        inputs[f"{modality}_mask"] = torch.arange(frames) < real
    inputs["audio_mask"][-1] &= batch == 1
    return inputs


class _PlainTuple(nn.Module):
    """The model with a plain tuple as its result, because exported files have no named tuples."""

    def __init__(self, model: SemiIIN) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        audio: Tensor,
        audio_mask: Tensor,
        text: Tensor,
        text_mask: Tensor,
        vision: Tensor,
        vision_mask: Tensor,
    ) -> tuple[Tensor, ...]:
        """`SemiIIN.forward` with every input given."""
        return tuple(
            self.model(
                audio=audio,
                audio_mask=audio_mask,
                text=text,
                text_mask=text_mask,
                vision=vision,
                vision_mask=vision_mask,
            )
        )


def _batch_is_free(config: SemiIINConfig) -> dict[str, Any]:
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    return {name: {0: batch} for name in example(config, 1)}


def metadata(config: SemiIINConfig, name: str) -> dict[str, str]:
    """Return what an ONNX file tells of itself."""
    shapes = (
        f"{modality} (batch, {config.max_frames(modality)}, {config.width(modality)}) float32, "
        f"{modality}_mask (batch, {config.max_frames(modality)}) bool"
        for modality in MODALITIES
    )
    return {
        "name": name,
        "description": "Semi-IIN without its encoders: features of an utterance to its sentiment",
        "inputs": "; ".join(shapes) + "; a mask is true where a frame is real",
        "outputs": "valence from -3 to 3; class_logits before softmax, of `classes` in order; "
        "valence_gate, class_gate and attention_entropy from 0 to 1",
        "classes": ", ".join(CLASS_NAMES) if config.classes == len(CLASS_NAMES) else "",
    }


def _write_torch(model: SemiIIN, target: Path, name: str) -> Run:
    program = torch.export.export(
        _PlainTuple(model),
        (),
        example(model.config, 2),
        dynamic_shapes=_batch_is_free(model.config),
    )
    torch.export.save(program, target)
    loaded = torch.export.load(target).module()
    return lambda inputs: list(loaded(**inputs))


def _write_onnx(model: SemiIIN, target: Path, name: str) -> Run:
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise SemiIINError(
            f"ONNX export needs {' and '.join(missing)}: install streamer[onnx], or export with "
            "--format torch"
        )
    from onnx.reference import ReferenceEvaluator

    program = torch.onnx.export(
        _PlainTuple(model),
        (),
        kwargs=example(model.config, 2),
        dynamic_shapes=_batch_is_free(model.config),
        input_names=list(example(model.config, 1)),
        output_names=list(SemiIINOutput._fields),
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # only the legacy exporter returns nothing
    program.model.metadata_props.update(metadata(model.config, name))
    program.save(target)
    session = ReferenceEvaluator(str(target))

    def run(inputs: dict[str, Tensor]) -> list[Tensor]:
        arrays = {name: value.numpy() for name, value in inputs.items()}
        return [torch.as_tensor(value) for value in session.run(None, arrays)]

    return run


def _largest_difference(model: SemiIIN, run: Run) -> float:
    """Return the largest difference of any output over batches of one, two and five samples."""
    largest = 0.0
    for batch in (1, 2, 5):
        inputs = example(model.config, batch, seed=batch)
        for expected, actual in zip(model(**inputs), run(inputs), strict=True):
            both = torch.isnan(expected) & torch.isnan(actual)
            difference = torch.where(both, 0.0, (expected - actual).abs()).max()
            largest = max(largest, float(difference.nan_to_num(nan=torch.inf)))
    return largest
