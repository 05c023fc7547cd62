"""Files of a recorded session: numbered Parquet parts, written whole or not at all.

A part is written under another name, synced and renamed: a file with its final name is complete. A
merged file supersedes the parts whose numbers it spans, so a kill between the two changes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from streamer.media_types import is_file, playable_path
from streamer.recording.arrow import arrow_schema, from_arrow, to_arrow
from streamer.recording.recorded import STRUCTS, RecordedKind, Summary

log = logging.getLogger(__name__)

READ_ROWS = 64
"""Windows in a row group; one weighs a hundred thousand bytes."""
LIGHT_READ_ROWS = 1024
"""Other records in a row group. Four times as many take 16 MB to be merged instead of 7."""
PART_NAME = re.compile(r"([a-z_]+)-(\d{6,})-(\d{6,})\.parquet")
INDEX_FILE = "session.json"
MEDIA_FOLDER = "media"
HALF_WRITTEN = ".streamer-tmp"
"""Ends the name of a file that is being written; a killed writer leaves it behind."""


@dataclass(frozen=True)
class _Part:
    path: Path
    first: int
    last: int


def parts_of(folder: Path, kind: RecordedKind) -> list[_Part]:
    """Return the parts of one kind of record, in order of their numbers."""
    parts = []
    for path in folder.glob(f"{kind}-*.parquet"):
        match = PART_NAME.fullmatch(path.name)
        if match and match[1] == kind:
            parts.append(_Part(path, int(match[2]), int(match[3])))
    return sorted(parts, key=lambda part: (part.first, -part.last))


def current_parts(parts: Sequence[_Part]) -> list[_Part]:
    """Those not spanned by another one; `parts` by first number, the widest first."""
    current: list[_Part] = []
    for part in parts:
        if not current or part.last > current[-1].last:
            current.append(part)
    return current


def write_part(folder: Path, kind: RecordedKind, number: int, records: Sequence[Any]) -> None:
    """Write records as one new part."""
    path = folder / f"{kind}-{number:06d}-{number:06d}.parquet"
    schema = arrow_schema(STRUCTS[kind])
    table = pa.Table.from_pylist([to_arrow(record) for record in records], schema=schema)
    with replacing(path) as half:
        pq.write_table(table, half, compression="zstd", row_group_size=group_rows(kind))


def merge_parts(folder: Path, kind: RecordedKind, parts: Sequence[_Part]) -> None:
    """Write the rows of several parts as one file that supersedes them."""
    path = folder / f"{kind}-{parts[0].first:06d}-{parts[-1].last:06d}.parquet"
    schema = arrow_schema(STRUCTS[kind])
    with (
        replacing(path) as half,
        pq.ParquetWriter(half, schema, compression="zstd") as writer,
    ):
        for group in _groups(_tables(parts, kind), group_rows(kind)):
            writer.write_table(group)
    for part in parts:
        part.path.unlink()


def _tables(parts: Iterable[_Part], kind: RecordedKind) -> Iterator[pa.Table]:
    for part in parts:
        with opened(part.path) as file:
            for batch in batches(file, group_rows(kind)):
                yield with_current_schema(batch, kind)


def _groups(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Join tables of at most `rows` rows to tables of at most so many; holds one table more."""
    group: list[pa.Table] = []
    for table in tables:
        if group and sum(map(len, group)) + len(table) > rows:
            yield pa.concat_tables(group)
            group.clear()
        group.append(table)
    if group:
        yield pa.concat_tables(group)


def with_current_schema(batch: pa.RecordBatch, kind: RecordedKind) -> pa.Table:
    """The batch with today's columns, where another version wrote it."""
    struct, schema = STRUCTS[kind], arrow_schema(STRUCTS[kind])
    if batch.schema.equals(schema):
        return pa.Table.from_batches([batch])
    known = [name for name in struct.__struct_fields__ if name in batch.schema.names]
    rows = [from_arrow(row) for row in batch.select(known).to_pylist()]
    records = [msgspec.convert(row, struct) for row in rows]
    return pa.Table.from_pylist([to_arrow(record) for record in records], schema=schema)


def group_rows(kind: RecordedKind) -> int:
    """Rows that are read or written at once."""
    return READ_ROWS if kind == "windows" else LIGHT_READ_ROWS


@contextlib.contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; close it with the context."""
    with path.open("rb") as stream, parquet(stream) as file:
        yield file


def parquet(stream: BinaryIO) -> pq.ParquetFile:
    """Open a stream as a Parquet file, which is read in the calling thread alone."""
    return pq.ParquetFile(stream, pre_buffer=False)


def batches(
    file: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read a file, at most `rows` rows at once, in the calling thread alone.

    Arrow would start threads of its own, each with memory of its own that is never given back.
    """
    yield from file.iter_batches(rows, columns=columns, use_threads=False)


def set_aside(parts: Iterable[_Part]) -> list[_Part]:
    """The parts that can be read; a damaged one gets another name and is never merged."""
    sound = []
    for part in parts:
        try:
            with opened(part.path):
                sound.append(part)
        except pa.ArrowException:
            part.path.rename(part.path.with_suffix(".damaged"))
            log.warning("%s is damaged and set aside.", part.path)
    return sound


def media_file(source: str) -> Path | None:
    """Return the playable media file that a source names on this machine, or None."""
    path = playable_path(source)
    return path if path is not None and is_file(path) else None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write to; afterwards the file is synced and has its final name, or is gone."""
    half = path.with_name(f".{path.name}{HALF_WRITTEN}")
    try:
        yield half
        sync_folder(half)
        half.replace(path)
        sync_folder(path.parent)
    finally:
        half.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file completely or not at all."""
    with replacing(path) as half:
        half.write_bytes(data)


def sync_folder(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def index_json(summary: Summary) -> bytes:
    """Return the index entry of a session as JSON."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
