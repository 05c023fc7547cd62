"""Header names that are not UTF-8, and headers without a value."""

from collections.abc import Sequence

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streamer.kafka.header_names import accept_any_header_name
from streamer.kafka.messages import header_values


class RawName(str):
    """A header name that is encoded as the bytes that it is made of."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return bytes(map(ord, self))


def batch_of(names: Sequence[str], codec: int = 0) -> bytes:
    from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

    builder = _DefaultRecordBatchBuilderPy(2, codec, False, -1, -1, -1, 100_000)
    for offset, name in enumerate(names):
        assert builder.append(
            offset, 1000 + offset, b"key", f"value {offset}".encode(), [(name, b"1")]
        )
    return bytes(builder.build())


@pytest.mark.parametrize("codec", [0, 1], ids=["plain", "gzip"])
def test_a_header_name_that_is_not_utf_8_hides_no_message(codec: int) -> None:
    accept_any_header_name()
    names = ["good", RawName("\xff\xfe"), "best"]
    records = fetcher.MemoryRecords(batch_of(names, codec) + batch_of(["next"]))
    read = []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        read += [(record.offset, bytes(record.value), record.headers) for record in batch]
    assert [value for _, value, _ in read] == [b"value 0", b"value 1", b"value 2", b"value 0"]
    assert [headers[0][0] for _, _, headers in read] == ["good", r"\xff\xfe", "best", "next"]


def test_a_header_without_a_value_is_empty() -> None:
    assert header_values([("a", None), ("b", b"1")]) == {"a": b"", "b": b"1"}
    assert header_values(None) == {}


def test_aiokafka_still_builds_batches_as_the_reader_expects() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1000)
    builder.append(0, 1000, None, b"value", [])
    records = fetcher.MemoryRecords(bytes(builder.build()))
    assert [bytes(record.value) for record in records.next_batch()] == [b"value"]
