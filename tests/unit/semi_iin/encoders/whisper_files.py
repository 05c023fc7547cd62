"""A small Whisper encoder with random weights, and its CTranslate2 file."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder as ReferenceEncoder

FRAMES = 40  # log-mel frames that the reference takes


def reference_encoder() -> ReferenceEncoder:
    """Return the encoder of transformers: two layers, states of width 64, eight bands."""
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=64, encoder_layers=2, encoder_attention_heads=1, encoder_ffn_dim=256,
        num_mel_bins=8, max_source_positions=FRAMES // 2,
    )  # fmt: skip
    return ReferenceEncoder(config).eval()


def encoder_arrays(encoder: ReferenceEncoder) -> dict[str, NDArray[np.float16]]:
    """Return the encoder's weights under CTranslate2's names."""
    arrays = {}

    def put(name: str, weight: torch.Tensor, bias: torch.Tensor, norm: bool = False) -> None:
        suffixes = ("gamma", "beta") if norm else ("weight", "bias")
        for suffix, value in zip(suffixes, (weight, bias), strict=True):
            arrays[f"encoder/{name}/{suffix}"] = value.detach().numpy().astype(np.float16)

    put("conv1", encoder.conv1.weight, encoder.conv1.bias)
    put("conv2", encoder.conv2.weight, encoder.conv2.bias)
    for index, layer in enumerate(encoder.layers):
        name, attention = f"layer_{index}", layer.self_attn
        query, key, value = attention.q_proj, attention.k_proj, attention.v_proj
        put(
            f"{name}/self_attention/linear_0",
            torch.cat([query.weight, key.weight, value.weight]),
            torch.cat([query.bias, torch.zeros_like(query.bias), value.bias]),
        )
        output, norm = attention.out_proj, layer.self_attn_layer_norm
        put(f"{name}/self_attention/linear_1", output.weight, output.bias)
        put(f"{name}/self_attention/layer_norm", norm.weight, norm.bias, norm=True)
        put(f"{name}/ffn/linear_0", layer.fc1.weight, layer.fc1.bias)
        put(f"{name}/ffn/linear_1", layer.fc2.weight, layer.fc2.bias)
        norm = layer.final_layer_norm
        put(f"{name}/ffn/layer_norm", norm.weight, norm.bias, norm=True)
    return arrays


def write_model(path: Path, arrays: Mapping[str, NDArray[np.float16]]) -> None:
    """Write a `model.bin` with these arrays, after one of the decoder's."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    everything = {"decoder/scale": np.ones(3, np.float16), **arrays}
    content = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(everything))
    for name, value in everything.items():
        content += text(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        content += struct.pack("<BI", 4, value.nbytes) + value.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content + struct.pack("<I", 0))
