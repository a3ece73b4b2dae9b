"""Python objects, frames and Parquet become lines of JSON in a folder of ours."""

from __future__ import annotations

import dataclasses
import glob
import json
import marshal
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from io import TextIOBase
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Any, Final, cast
from uuid import UUID, uuid4

import orjson

from tidyusage import catalogue, engines, schema
from tidyusage.errors import FrameError, OptionError, SourceError
from tidyusage.sources import Text, is_parquet, text
from tidyusage.sql import literal

if TYPE_CHECKING:
    import duckdb

_BATCH: Final = 1_000
_LONGEST_PATH: Final = 4_096
# How marshal writes an infinity, of either sign, as 8 bytes and as NumPy's 4.
_INFINITIES: Final = (
    b"\x00\x00\x00\x00\x00\x00\xf0\x7f",
    b"\x00\x00\x00\x00\x00\x00\xf0\xff",
    b"s\x04\x00\x00\x00\x00\x00\x80\x7f",
    b"s\x04\x00\x00\x00\x00\x00\x80\xff",
)


def spool_text(data: str | bytes, folder: str) -> Text:
    """Write JSON text to a file."""
    if isinstance(data, str) and _is_path(data):
        raise OptionError(
            f"flatten_usage() was given the path {data!r}.",
            "Use read_usage() for files; flatten_usage() takes records or JSON text.",
        )
    path = _new(folder)
    with open(path, "wb") as stream:
        stream.write(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    return text(path, "text")


def _is_path(data: str) -> bool:
    return (
        0 < len(data) < _LONGEST_PATH and "\0" not in data and os.path.exists(data.strip() or data)
    )


def spool_stream(stream: IO[bytes], folder: str) -> Text:
    """Copy an open binary file."""
    if isinstance(stream, TextIOBase):
        raise OptionError(
            f"{getattr(stream, 'name', 'The file')!r} is open as text.",
            "Open it in binary mode, open(path, 'rb'), or give the path.",
        )
    path = _new(folder)
    with open(path, "wb") as copy:
        shutil.copyfileobj(stream, copy)
    label = str(getattr(stream, "name", "file"))
    return spool_parquet(path, label, folder) if is_parquet(path) else text(path, label)


def spool_objects(records: object, folder: str) -> Text:
    """Write dicts, or objects that stand for them, one a line."""
    path = _new(folder)
    items = _items(records)
    with open(path, "wb", buffering=0) as stream:
        while batch := list(islice(items, _BATCH)):
            stream.write(_encoded(batch))
    return Text(path, "records", indexed=True)


def spool_frame(frame: Any, folder: str) -> Text:
    """Write a frame of nested columns, one row a line."""
    columns = engines.columns(frame)
    if not columns and not engines.height(frame):
        return dataclasses.replace(spool_objects([], folder), label="rows")
    _require_nested(columns)
    if engines.backend_of(frame) == "pandas" and any(kind.kind == "O" for kind in frame.dtypes):
        return dataclasses.replace(
            spool_objects(frame.to_dict("records"), folder), label="rows", from_frame=True
        )
    path = _new(folder)
    if engines.backend_of(frame) == "duckdb":
        _copy(frame, path)
    else:
        with engines.connect() as connection:
            _copy(connection.from_arrow(engines.to_arrow(frame)), path)
    return Text(path, "rows", indexed=True, from_frame=True)


def spool_parquet(file: str, label: str, folder: str) -> Text:
    """Write a Parquet file of nested rows, one row a line."""
    import duckdb

    path = _new(folder)
    with engines.connect() as connection:
        try:
            rows = connection.sql(f"select * from read_parquet({literal(glob.escape(file))})")
            _require_nested(rows.columns, label)
            _copy(rows, path)
        except duckdb.Error as error:
            raise SourceError(
                f"{label!r} cannot be read as Parquet: {engines.message(error)}",
                "The file may be damaged or cut off; fetch it again.",
            ) from error
    return Text(path, label, indexed=True, from_frame=True)


def spool_without_bom(file: Text, folder: str) -> Text:
    """Copy a text without its byte order mark."""
    path = _new(folder)
    with file.open() as stream, open(path, "wb") as copy:
        stream.read(3)
        shutil.copyfileobj(stream, copy)
    return dataclasses.replace(file, path=path, compression="none")


def _new(folder: str) -> str:
    return os.path.join(folder, f"{uuid4().hex}.ndjson")


def _copy(rows: duckdb.DuckDBPyRelation, path: str) -> None:
    # Without rows DuckDB's writer would write one line for no record.
    rows.query(engines.FRAME, f"copy {engines.FRAME} to {literal(path)} (format json)")


def _require_nested(columns: Iterable[str], place: str = "This frame") -> None:
    columns = list(columns)
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise FrameError(f"{place} has two columns {twice[0]!r}.", "Rename or drop one.")
    flat = {
        schema.rename(column, sep)
        for column in schema.layout_types("wide") | schema.layout_types("long")
        for sep in "._"
    } - set(catalogue.tree())
    if found := [column for column in columns if column in flat]:
        raise FrameError(
            f"{place} is flat already: it has the column {found[0]!r}.",
            "Use to_long() or to_wide() for another layout, and restore() for dtypes.",
        )
    if "id" not in columns:
        raise FrameError(
            f"{place} holds no Usage records: it has no column 'id', but {columns[:5]}.",
            "Each row must be a record: columns id, product, usage, charges, … as in the schema.",
        )


def _items(records: object) -> Iterator[object]:
    if isinstance(records, Mapping) or _is_object(records):
        return iter(_unpaged(records))
    if not isinstance(records, Iterable):
        raise FrameError(
            f"{type(records).__name__} holds no Usage records.",
            "Give dicts, JSON text, or a frame; use read_usage() for files.",
        )
    items = iter(records)
    first = list(islice(items, 1))
    if first and _is_page(first[0]):
        return chain.from_iterable(map(_unpaged, chain(first, items)))
    return chain(first, items)


def _is_object(value: object) -> bool:
    """Tell whether a value is a record as an object: pydantic, dataclass, attrs or msgspec."""
    kind = type(value)
    return hasattr(kind, "model_dump") or any(
        hasattr(kind, mark)
        for mark in ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__")
    )


def _is_page(value: object) -> bool:
    return isinstance(value, Mapping) and "result" in value and "id" not in value


def _unpaged(value: Any) -> Iterable[object]:
    if not _is_page(value):
        return [value]
    result = value["result"]
    return list(result.values()) if isinstance(result, Mapping) else result or []


def _encoded(batch: list[object]) -> bytes:
    """Return records as lines of JSON.

    orjson writes NaN and infinities alike as null.  NaN is how pandas says missing; an infinity
    is a fault and must stay one, so a record with a null is looked at, and written the exact way
    if it holds an infinity.
    """
    try:
        lines = [orjson.dumps(record, option=_ORJSON) for record in batch]
    except (TypeError, ValueError):
        return b"".join(map(_line, batch))
    return b"".join(
        _line(record) if b"null" in line and _may_hold_infinity(record) else line
        for record, line in zip(batch, lines, strict=True)
    )


_ORJSON: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


def _may_hold_infinity(record: object) -> bool:
    try:
        image = marshal.dumps(cast("Any", record), 2)
    except ValueError:  # it holds more than plain Python values
        return True
    return any(mark in image for mark in _INFINITIES)


def _line(record: object) -> bytes:
    try:
        return json.dumps(_plain(record)).encode() + b"\n"
    except RecursionError:
        return b'["an object that contains itself"]\n'


def _plain(value: Any) -> Any:
    """Return a value as plain JSON; what it has no word for is a list, which no field takes."""
    if value is None or (isinstance(value, str | bool | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, Decimal):
        return None if value.is_nan() else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if repr(value) in {"NaT", "<NA>"}:  # pandas' other ways to say missing
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, UUID):
        return str(value)
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump())
    for mark in ("__dataclass_fields__", "__struct_fields__"):
        if names := getattr(type(value), mark, ()):
            return {name: _plain(getattr(value, name)) for name in names}
    if names := getattr(type(value), "__attrs_attrs__", ()):
        return {member.name: _plain(getattr(value, member.name)) for member in names}
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        inner = value.tolist()
        return str(value) if type(inner) is type(value) else _plain(inner)
    return [repr(value)]
