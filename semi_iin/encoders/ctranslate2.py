"""Whisper weights of CTranslate2: reading a `model.bin` as data, without that package.

What enters: the file that CTranslate2's converter writes (version 6 of its format). What leaves:
its arrays by name, and those of the encoder's lower layers under the names of
`encoders.whisper.WhisperBackbone`.

The file, little-endian: the version, the name of the specification, its revision; the number of
arrays, and for each its name, the number of dimensions, these, the type, the number of bytes, and
the values. A text is its length with the closing zero byte, then the bytes.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semi_iin.errors import SemiIINError

VERSION, SPECIFICATION = 6, "WhisperSpec"
_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)


def read_arrays(path: Path, prefix: str = "") -> dict[str, NDArray[np.generic]]:
    """Read the arrays of a Whisper `model.bin` whose names begin with `prefix`.

    Raises:
        SemiIINError: when the file is missing, cut off, or no Whisper model of this format.
    """
    arrays = {}
    try:
        with path.open("rb") as file:
            if _number(file, "I") != VERSION or _text(file) != SPECIFICATION:
                raise SemiIINError(f"{path} is no Whisper model of CTranslate2's format {VERSION}")
            _number(file, "I")  # revision of the specification
            for _ in range(_number(file, "I")):
                name = _text(file)
                shape = [_number(file, "I") for _ in range(_number(file, "B"))]
                dtype, size = _TYPES[_number(file, "B")], _number(file, "I")
                if not name.startswith(prefix):
                    file.seek(size, 1)
                    continue
                arrays[name] = np.frombuffer(_bytes(file, size), dtype).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise SemiIINError(f"{path} cannot be read as a CTranslate2 model: {error}") from error
    return arrays


def encoder_state(arrays: Mapping[str, NDArray[np.generic]], layers: int) -> dict[str, Tensor]:
    """Return the lower `layers` layers of the encoder as a state of `WhisperBackbone`, float32.

    Raises:
        SemiIINError: when the encoder has fewer layers, or an array is missing.
    """
    state: dict[str, Tensor] = {}

    def take(target: str, source: str, weight: str = "weight", bias: str = "bias") -> None:
        for name, original in (("weight", weight), ("bias", bias)):
            values = np.array(arrays[f"encoder/{source}/{original}"], np.float32)
            state[f"{target}{name}"] = torch.from_numpy(values)

    try:
        take("conv1.", "conv1")
        take("conv2.", "conv2")
        for index in range(layers):
            layer, source = f"layers.{index}.", f"layer_{index}"
            take(f"{layer}self_attn.in_proj_", f"{source}/self_attention/linear_0")
            take(f"{layer}self_attn.out_proj.", f"{source}/self_attention/linear_1")
            take(f"{layer}norm1.", f"{source}/self_attention/layer_norm", "gamma", "beta")
            take(f"{layer}linear1.", f"{source}/ffn/linear_0")
            take(f"{layer}linear2.", f"{source}/ffn/linear_1")
            take(f"{layer}norm2.", f"{source}/ffn/layer_norm", "gamma", "beta")
    except KeyError as error:
        raise SemiIINError(
            f"the Whisper encoder has no array {error}: does it have {layers} layers?"
        ) from error
    return state


def _number(file: BinaryIO, kind: str) -> int:
    size = struct.calcsize(f"<{kind}")
    return int(struct.unpack(f"<{kind}", _bytes(file, size))[0])


def _text(file: BinaryIO) -> str:
    return _bytes(file, _number(file, "H"))[:-1].decode()


def _bytes(file: BinaryIO, size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise EOFError("it is cut off")
    return content
