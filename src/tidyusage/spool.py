"""Python objects, frames and Parquet become lines of JSON in a folder of ours."""

from __future__ import annotations

import dataclasses
import glob
import os
import shutil
from collections import Counter
from io import TextIOBase
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final
from uuid import uuid4

from tidyusage import catalogue, connections, engines, objects, schema
from tidyusage.envelope import Pages
from tidyusage.errors import FrameError, OptionError, SourceError
from tidyusage.memory import Lines
from tidyusage.sources import Text, is_parquet, starts_with_bom, text
from tidyusage.sqltext import FRAME, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

_BATCH: Final = 1_000
_LONGEST_PATH: Final = 4_096


def text_of(path: str, folder: str) -> Text:
    """Return a file as it is, or as lines in a folder if DuckDB cannot read it so."""
    if is_parquet(path):
        return spool_parquet(path, path, folder)
    found = text(path)
    return spool_without_bom(found, folder) if starts_with_bom(found) else found


def spooled(records: Any, folder: str) -> Text:
    """Return what is in memory as text."""
    if isinstance(records, str | bytes | bytearray):
        return spool_text(bytes(records) if isinstance(records, bytearray) else records, folder)
    if engines.backend_of(records):
        return spool_frame(records, folder)
    if objects.can_be_read_again(records):
        return in_memory(records, folder)
    return spool_objects(records, folder)


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
    pages = Pages()
    items = objects.items(records, pages)
    with open(path, "wb", buffering=0) as stream:
        while batch := list(islice(items, _BATCH)):
            stream.write(b"\n".join([*objects.lines(batch), b""]))
    pages.tell()
    return dataclasses.replace(text(path, "records", indexed=True), shape="lines")


def in_memory(records: Sequence[object], folder: str) -> Text:
    """Take records as they are: they become lines while DuckDB reads."""
    first = records[0] if records else None
    source = first.get("source") if isinstance(first, dict) else None
    has_source = isinstance(source, dict) and "account" in source
    lines = Lines(records)
    return Text(_new(folder), "records", indexed=True, lines=lines, has_source=has_source)


def spool_frame(frame: Any, folder: str) -> Text:
    """Write a frame of nested columns, one row a line."""
    columns = engines.columns(frame)
    if not columns and not engines.height(frame):
        return dataclasses.replace(spool_objects([], folder), label="rows")
    _require_nested(columns)
    if engines.backend_of(frame) == "pandas" and any(kind.kind == "O" for kind in frame.dtypes):
        records = in_memory(frame.to_dict("records"), folder)
        return dataclasses.replace(records, label="rows", from_frame=True)
    path = _new(folder)
    if engines.backend_of(frame) == "duckdb":
        _copy(frame, path)
    else:
        with connections.connect() as connection:
            _copy(connection.from_arrow(engines.to_arrow(frame)), path)
    has_source = "source" in columns
    return Text(path, "rows", indexed=True, from_frame=True, has_source=has_source)


def spool_parquet(file: str, label: str, folder: str) -> Text:
    """Write a Parquet file of nested rows, one row a line."""
    import duckdb

    path = _new(folder)
    with connections.connect() as connection:
        try:
            rows = connection.sql(f"select * from read_parquet({literal(glob.escape(file))})")
            columns = rows.columns
            _require_nested(columns, label)
            _copy(rows, path)
        except duckdb.Error as error:
            raise SourceError(
                f"{label!r} cannot be read as Parquet: {engines.message(error)}",
                "The file may be damaged or cut off; fetch it again.",
            ) from error
    return Text(path, label, indexed=True, from_frame=True, has_source="source" in columns)


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
    rows.query(FRAME, f"copy {FRAME} to {literal(path)} (format json)")


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
