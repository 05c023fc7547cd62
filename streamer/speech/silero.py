"""Silero's network for 16 kHz, as products of small matrices in numpy.

What enters: frames of sound, one after another. What leaves: how likely each is speech. The package
silero_vad carries the weights, and its own model gives the same probabilities to four places; but a
frame is so small that TorchScript takes four fifths of its time for calls. Weights are loaded once
in a process, and each listener keeps 2 kB. Knows neither loudness nor utterances.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.speech.torch_threads import one_thread

FRAME, CONTEXT = 512, 64
"""Samples of a frame, and how many before it the network reads too."""
FIELD, STEP = 256, 128
"""Samples of a spectrum, and from one to the next."""
BINS, WIDTH = 129, 128
Array = NDArray[np.float32]


def _fields() -> NDArray[np.intp]:
    """Return which samples each spectrum reads; beyond the frame, those before its end again."""
    end = CONTEXT + FRAME - 1
    places = np.arange(0, FRAME, STEP)[:, None] + np.arange(FIELD)
    return np.asarray(end - np.abs(end - places), np.intp)


def _threes(channels: int, length: int, step: int) -> NDArray[np.intp]:
    """Return where three steps in a row are in (length + 2, channels), from every so many on."""
    return np.arange(0, length, step)[:, None] * channels + np.arange(3 * channels)


_LOADING = threading.Lock()
"""Held while the model loads: Python's warning filters belong to all threads."""
FIELDS = _fields()
SHAPES = (BINS, 4, 1), (128, 4, 2), (64, 2, 2)
"""Of the convolutions but the last: channels, steps, and from one step that is read to the next."""
THREES = tuple(_threes(*shape) for shape in SHAPES)


@dataclass(frozen=True)
class Weights:
    """Matrices that multiply from the right, and what is added to their products.

    Attributes:
        transform: (FIELD, 2 * BINS), real parts first.
        layers: of the four convolutions, (3 * channels, filters); of the last one only the middle,
            (channels, filters), because it reads a single step between zeros.
        cell: of the LSTM, (2 * WIDTH, 4 * WIDTH), input before state.
        last: (WIDTH,), and a number.
    """

    transform: Array
    layers: tuple[tuple[Array, Array], ...]
    cell: tuple[Array, Array]
    last: tuple[Array, np.float32]

    @classmethod
    def of(cls, tensors: Mapping[str, Array]) -> Weights:
        """Arrange the tensors of silero_vad's model, by their names.

        Raises:
            KeyError: one is missing.
        """
        convolutions = [
            (tensors[f"encoder.{k}.reparam_conv.weight"], tensors[f"encoder.{k}.reparam_conv.bias"])
            for k in range(4)
        ]
        *first, (weight, bias) = convolutions
        inputs, states = tensors["decoder.rnn.weight_ih"], tensors["decoder.rnn.weight_hh"]
        return cls(
            _right(tensors["stft.forward_basis_buffer"][:, 0]),
            (*((_unrolled(each), added) for each, added in first), (_right(weight[:, :, 1]), bias)),
            (
                _right(np.concatenate([inputs, states], axis=1)),
                tensors["decoder.rnn.bias_ih"] + tensors["decoder.rnn.bias_hh"],
            ),
            (
                tensors["decoder.decoder.2.weight"][0, :, 0].copy(),
                tensors["decoder.decoder.2.bias"][0],
            ),
        )


def _right(weight: Array) -> Array:
    """Return (out, in) as the matrix (in, out)."""
    return np.ascontiguousarray(weight.T)


def _unrolled(weight: Array) -> Array:
    """Return a convolution's (out, in, 3) as the matrix (3 * in, out) of three steps in a row."""
    return _right(weight.transpose(0, 2, 1).reshape(len(weight), -1))


def weights() -> Weights:
    """Return the package's weights, which are loaded once.

    Raises:
        ImportError, OSError, RuntimeError, AttributeError, KeyError: the package is absent, damaged
            or another.
    """
    with _LOADING:
        return _loaded()


@functools.cache
def _loaded() -> Weights:
    with one_thread(), warnings.catch_warnings():
        # torch deprecates TorchScript, in which this model is published.
        warnings.filterwarnings("ignore", r".*torch\.jit\.load.*", DeprecationWarning)
        import silero_vad  # on import it sets torch to one thread, for everybody

        model = silero_vad.load_silero_vad()._model
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return Weights.of({name: tensor.detach().numpy() for name, tensor in tensors})


class Network:
    """The network of one listener: remembers the frames before."""

    def __init__(self, of: Weights) -> None:
        """Start without memory."""
        self._of = of
        self._padded = [
            np.zeros((steps + 2, channels), np.float32) for channels, steps, _ in SHAPES
        ]
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self._context: Array = np.zeros(CONTEXT, np.float32)
        self._cell: Array = np.zeros(WIDTH, np.float32)
        self._read: Array = np.zeros(2 * WIDTH, np.float32)  # the encoded frame, and the state

    def probability(self, frame: Array) -> float:
        """Return how likely the next frame, (FRAME,) in [-1, 1], is speech: 0 to 1."""
        samples = np.concatenate([self._context, frame])
        self._context = samples[-CONTEXT:]
        self._read[:WIDTH] = self._encoded(samples)
        matrix, bias = self._of.cell
        gates = self._read @ matrix + bias
        opened = _sigmoid(gates)
        new = np.tanh(gates[2 * WIDTH : 3 * WIDTH])
        self._cell = opened[WIDTH : 2 * WIDTH] * self._cell + opened[:WIDTH] * new
        self._read[WIDTH:] = opened[3 * WIDTH :] * np.tanh(self._cell)
        last, added = self._of.last
        return float(_sigmoid(np.maximum(self._read[WIDTH:], 0.0) @ last + added))

    def _encoded(self, samples: Array) -> Array:
        """Return what the convolutions make of a frame and its context, (WIDTH,)."""
        spectra = samples.take(FIELDS) @ self._of.transform
        spectra *= spectra
        values = np.sqrt(spectra[:, :BINS] + spectra[:, BINS:])
        for (matrix, bias), padded, threes in zip(
            self._of.layers, self._padded, THREES, strict=False
        ):
            padded[1 : 1 + len(values)] = values
            values = padded.take(threes) @ matrix
            values += bias
            np.maximum(values, 0.0, out=values)
        matrix, bias = self._of.layers[3]
        return np.asarray(np.maximum(values[0] @ matrix + bias, 0.0), np.float32)


def _sigmoid(values: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-values)), np.float32)
