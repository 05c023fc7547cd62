"""The records' structs as Arrow schemas and rows."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import inspect

from streamer.records import (
    Sentiment,
    Session,
)

MAPS = ("latency_ms", "counters", "names")
"""Fields that are mappings, which Arrow stores as lists of pairs."""


@cache
def arrow_schema(struct: type[msgspec.Struct]) -> pa.Schema:
    """The Arrow schema of a record: a column per field, times in UTC to the microsecond."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return pa.schema([_arrow_field(field) for field in info.fields])


def _arrow_field(field: inspect.Field) -> pa.Field:
    kind = field.type
    if isinstance(kind, inspect.UnionType):
        (kind,) = (member for member in kind.types if not isinstance(member, inspect.NoneType))
        return pa.field(field.name, _arrow_type(kind), nullable=True)
    return pa.field(field.name, _arrow_type(kind), nullable=False)


def _arrow_type(kind: inspect.Type) -> pa.DataType:
    match kind:
        case inspect.IntType():
            return pa.int64()
        case inspect.FloatType():
            return pa.float64()
        case inspect.BoolType():
            return pa.bool_()
        case inspect.StrType() | inspect.LiteralType():
            return pa.string()
        case inspect.BytesType():
            return pa.binary()
        case inspect.DateTimeType():
            return pa.timestamp("us", tz="UTC")
        case inspect.TupleType():
            return pa.list_(_arrow_type(kind.item_types[0]))
        case inspect.VarTupleType():
            return pa.list_(_arrow_type(kind.item_type))
        case inspect.DictType():
            return pa.map_(_arrow_type(kind.key_type), _arrow_type(kind.value_type))
        case inspect.StructType():
            return pa.struct([_arrow_field(field) for field in kind.fields])
    raise TypeError(f"a column cannot hold {kind}")


def to_arrow(record: msgspec.Struct) -> dict[str, Any]:
    """Return a record as a row of its Arrow schema."""
    row = msgspec.to_builtins(record, builtin_types=(datetime, bytes))
    if type(record) in (Sentiment, Session):
        for name in MAPS:
            if name in row:
                row[name] = list(row[name].items())
    return dict(row)


def from_arrow(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the mapping from which its struct is read."""
    for name in MAPS:
        if name in row:
            row[name] = dict(row[name])
    return row
