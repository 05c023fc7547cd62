"""The lower layers of Whisper's encoder as an audio encoder, to be fine-tuned on voices.

What enters: clips with audio. What leaves: one feature every 80 ms. The weights to start from are
read from a CTranslate2 file; a checkpoint stores all weights and needs no such file.
"""

import hashlib
import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from semi_iin.encoders.audio import VoiceEncoder, band_power, mask_until, speech_frames
from semi_iin.encoders.ctranslate2 import encoder_state, read_arrays
from semi_iin.encoders.protocol import EMOTIONS, Spec
from semi_iin.encoders.transformer import locate
from semi_iin.errors import SemiIINError
from semi_iin.mel import slaney_filters
from semi_iin.state import load_exactly


class WhisperBackbone(nn.Module):
    """Two convolutions over log-mel energies, the second halving time, and transformer layers."""

    LONGEST = 1500  # states: 30 s, all that Whisper was trained on

    positions: Tensor

    def __init__(self, width: int, layers: int, mels: int, heads: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                heads,
                4 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )
        self.register_buffer("positions", _sinusoids(self.LONGEST, width), persistent=False)

    def forward(self, energies: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return states (B, L, W) and their mask (B, L) bool; arguments as of `VoiceEncoder`."""
        inside = mask_until(lengths, energies.shape[1])[:, None]
        states = functional.gelu(self.conv1(energies.transpose(1, 2) * inside)) * inside
        states = functional.gelu(self.conv2(states)).transpose(1, 2)
        mask = mask_until((lengths + 1) // 2, states.shape[1])
        states = states + self.positions[: states.shape[1]]
        padding = None if bool(mask.all()) else ~mask  # a mask costs a quarter of a layer's time
        # The backward pass of the fused kernels is several times slower on a CPU.
        with sdpa_kernel(SDPBackend.MATH) if self.training else nullcontext():
            for layer in self.layers:
                states = layer(states, src_key_padding_mask=padding)
        return states, mask


class WhisperEncoder(VoiceEncoder):
    """The lower layers of Whisper's encoder, and a projection of their states: 80 ms a frame.

    Energies are Whisper's, with two differences: the loudest becomes the same in every clip, so
    that the microphone's gain does not count, and silence before and after the speech is cut off.
    States are averaged over four neighbours. A clip's frames do not depend on the rest of its
    batch.

    Spec of kind `whisper_audio`: `source`, "weights:NAME" (an entry of `semi_iin.weights`) or a
    directory with a CTranslate2 Whisper `model.bin`, "" = random weights; `sha256` of that file,
    checked where given; `layers`, how many of the encoder's layers; `width` of the projection;
    `max_frames`, how many of the latest frames are kept; `emotions`, the classes of the emotion
    head; `emotion_columns`, see `EmotionEncoder`. `states` and `mels`, the width of Whisper's
    states and the number of bands, are those of the source. The source is read only where no
    stored weights are given.
    """

    HOP = 160  # samples: 10 ms
    WINDOW = 400  # samples
    POOL = 4  # states in one frame
    HEAD_WIDTH = 64  # of each attention head, in every Whisper model

    mel_filters: Tensor
    window: Tensor

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.spec = {
            "source": "",
            "layers": 3,
            "width": 192,
            "states": 384,
            "mels": 80,
            "max_frames": 200,
            "emotions": list(EMOTIONS),
            "emotion_columns": False,
            **spec,
        }
        published = {} if stored else _published(self.spec)
        if published:
            self.spec["states"], self.spec["mels"] = published["conv1.weight"].shape[:2]
        states, mels = int(self.spec["states"]), int(self.spec["mels"])
        projected = int(self.spec["width"])
        self.width = projected + self.columns
        heads = max(1, states // self.HEAD_WIDTH)
        self.backbone = WhisperBackbone(states, int(self.spec["layers"]), mels, heads)
        self.state_norm = nn.LayerNorm(states)
        self.project = nn.Linear(states, projected)
        self.norm = nn.LayerNorm(projected)
        self.dropout = nn.Dropout(0.2)
        self.emotion = nn.Linear(2 * projected, len(self.spec["emotions"]))
        filters = torch.from_numpy(slaney_filters(mels, self.WINDOW)).float().T
        self.register_buffer("mel_filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(self.WINDOW), persistent=False)
        if published:
            load_exactly(self.backbone, published, f"the layers of {self.spec['source']}")
        if stored:
            load_exactly(self, stored, "the audio encoder's weights")

    @property
    def longest(self) -> int:
        """Log-mel frames that `forward` takes at most."""
        return min(2 * self.POOL * int(self.spec["max_frames"]), 2 * WhisperBackbone.LONGEST)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Return log-mel energies (frames, mels) of the speech in samples (n,).

        Energies are those of Whisper (ten times the power is 0.25 more), moved so that the highest
        is 1; those more than 80 dB below it are raised to -1. Frames more than 0.1 s before
        the first or after the last frame of speech are cut off.
        """
        bands = band_power(waveform, self.mel_filters, self.window, self.HOP)
        bands = (bands / bands.max().clamp(min=1e-10)).clamp(min=1e-8)
        energies = 1 + bands.log10() / 4
        frames = speech_frames(bands).nonzero()[:, 0]
        return energies.T[max(0, int(frames[0]) - 10) : int(frames[-1]) + 11]

    def forward(self, energies: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return projected states (B, L, W) and their mask (B, L) bool; see `VoiceEncoder`."""
        states, mask = self.backbone(energies, lengths)
        return self.frames(states, mask)

    def frames(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Project the backbone's states (B, L, V): to (B, L / 4, W) and their mask."""
        states = self.state_norm(states) * mask[..., None]
        surplus = -states.shape[1] % self.POOL
        shape = (len(states), -1, self.POOL)
        states = functional.pad(states, (0, 0, 0, surplus)).view(*shape, states.shape[2])
        counts = functional.pad(mask, (0, surplus)).view(shape).sum(dim=2)
        pooled = states.sum(dim=2) / counts.clamp(min=1)[..., None]
        frames = self.norm(functional.gelu(self.project(self.dropout(pooled))))
        return frames * (counts > 0)[..., None], counts > 0

    def classify(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return emotion logits (B, classes) of states (B, L, W), by mean and deviation."""
        counts = mask.sum(dim=1, keepdim=True)
        mean = (states * mask[..., None]).sum(dim=1) / counts
        centred = (states - mean[:, None]) * mask[..., None]
        deviation = (centred.square().sum(dim=1) / counts + 1e-6).sqrt()
        logits: Tensor = self.emotion(self.dropout(torch.cat([mean, deviation], dim=-1)))
        return logits


def _published(spec: Spec) -> dict[str, Tensor]:
    """Return the backbone's state of the spec's source; empty without a source.

    Raises:
        SemiIINError: when the source is missing, has another digest or too few layers.
    """
    source = str(spec["source"])
    if not source:
        return {}
    path = Path(locate(source)) / "model.bin"
    if spec.get("sha256") and path.is_file():
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != spec["sha256"]:
                raise SemiIINError(
                    f"{source} contains other weights than the encoder's spec names: its SHA-256 "
                    "differs"
                )
    return encoder_state(read_arrays(path, "encoder/"), int(spec["layers"]))


def _sinusoids(length: int, width: int) -> Tensor:
    """Return Whisper's position encodings (length, width): sines, then cosines."""
    rates = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
