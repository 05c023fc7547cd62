r"""Lets aiokafka read messages whose header names are not UTF-8.

Kafka's brokers store a header's name as any bytes. aiokafka decodes it as UTF-8 and raises where it
is none, for every fetch that contains the message, so that one such message stops its partition
for good. Here such a batch is decoded a second time, by aiokafka's own Python code over a buffer
whose text never fails; the bytes show as `\xff`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

__all__ = ["accept_any_header_name"]

_MAGIC = 2
"""The first format of messages that has headers."""


def accept_any_header_name() -> None:
    """Make aiokafka's consumers in this process, Faust's too, read any header name."""
    fetcher.MemoryRecords = _Records


class _LenientText(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


class _LenientBuffer(bytearray):
    """A buffer whose slices decode without an error."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        value = super().__getitem__(index)
        return _LenientText(value) if isinstance(value, bytearray) else value


class _Batch:
    """A batch of messages that is decoded again where a header's name is not UTF-8."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        count = 0
        try:
            for record in self._batch:
                count += 1
                yield record
        except UnicodeDecodeError:
            lenient: Any = _DefaultRecordBatchPy(self._data)
            lenient._maybe_uncompress()
            lenient._buffer = _LenientBuffer(lenient._buffer)
            for number, record in enumerate(lenient):
                if number >= count:
                    yield record


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of one fetch."""

    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        if batch is None or data is None or data[self.MAGIC_OFFSET] < _MAGIC:
            return batch
        return _Batch(batch, data)
