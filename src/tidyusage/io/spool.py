"""Write Python objects, frames and Parquet files as JSON lines into a temporary folder."""

from __future__ import annotations

import dataclasses
import glob
import os
import shutil
import stat
import sys
from collections import Counter
from io import TextIOBase
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final
from uuid import uuid4

from tidyusage import catalogue, schema
from tidyusage._utils import connections, json_lines
from tidyusage._utils.sql import FRAME, literal
from tidyusage.engines import frames
from tidyusage.errors import FrameError, OptionError, SourceError
from tidyusage.io import archives, compression, objects
from tidyusage.io.api_pages import Pages
from tidyusage.io.inputs import BOM, Text, is_parquet, starts_with_bom, text
from tidyusage.io.memory import Lines
from tidyusage.io.paths import STANDARD_INPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

_CHUNK: Final = 1 << 20
_BATCH: Final = 1_000
_LONGEST_PATH: Final = 4_096


def texts_of(path: str, folder: str) -> list[Text]:
    """Return the texts in a file: as it is, or copies in a folder if DuckDB cannot read it so."""
    if path == STANDARD_INPUT:
        return _texts_of_stream(sys.stdin.buffer, "standard input", folder)
    if is_stream(path):
        with open(path, "rb") as stream:
            return _texts_of_stream(stream, path, folder)
    return texts_of_file(path, path, folder)


def is_stream(path: str) -> bool:
    """Tell whether a path is that of a pipe, a socket or a terminal, which is read only once."""
    mode = os.stat(path).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def copy_stream(stream: IO[bytes], folder: str) -> str:
    """Copy a stream to a file in a folder, and return its path."""
    path = _new(folder)
    with open(path, "wb") as copy:
        while chunk := stream.read(_CHUNK):
            if isinstance(chunk, str):  # of an object that is not one of Python's own files
                raise open_as_text(stream)
            copy.write(chunk)
    return path


def _texts_of_stream(stream: IO[bytes], label: str, folder: str) -> list[Text]:
    return texts_of_file(copy_stream(stream, folder), label, folder)


def texts_of_file(path: str, label: str, folder: str) -> list[Text]:
    """Return the texts in a regular file that its owner calls by a label."""
    if archives.is_zip(path):
        return [
            text
            for member, name in archives.members(path, label, folder)
            for text in _texts_of_member(member, name, folder)
        ]
    if is_parquet(path, label):
        return [spool_parquet(path, label, folder)]
    return [_readable(text(path, label), folder)]


def _texts_of_member(path: str, label: str, folder: str) -> list[Text]:
    if archives.is_zip(path):
        raise SourceError(f"{label!r} is a zip archive within another.", "Unpack the outer one.")
    return texts_of_file(path, label, folder)


def _readable(found: Text, folder: str) -> Text:
    """Return a text as it is, or a copy in a folder if DuckDB cannot read it so."""
    packing = found.compression
    is_padded = found.unpacked is not None and found.unpacked.is_padded
    if packing not in compression.OF_DUCKDB or is_padded or starts_with_bom(found):
        return spool_unpacked(found, folder)
    return found


def spooled(records: Any, folder: str) -> Text:
    """Return what is in memory as text."""
    if isinstance(records, str | bytes | bytearray):
        return spool_text(bytes(records) if isinstance(records, bytearray) else records, folder)
    if frames.backend_of(records):
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


def require_binary(stream: IO[bytes]) -> None:
    """Raise for a file that is open as text."""
    if isinstance(stream, TextIOBase):
        raise open_as_text(stream)


def open_as_text(stream: object) -> OptionError:
    """Return the error over a file that gives text."""
    return OptionError(
        f"{getattr(stream, 'name', 'The file')!r} is open as text.",
        "Open it in binary mode, open(path, 'rb'), or give the path.",
    )


def spool_objects(records: object, folder: str) -> Text:
    """Write dicts, or objects that stand for them, one a line."""
    path = _new(folder)
    pages = Pages()
    items = objects.items(records, pages)
    with open(path, "wb", buffering=0) as stream:
        for number, batch in enumerate(iter(lambda: list(islice(items, _BATCH)), [])):
            if number == 0:
                _require_nested_record(batch[0])
            stream.write(b"\n".join([*json_lines.lines(batch), b""]))
    pages.tell()
    return dataclasses.replace(text(path, "records", indexed=True), shape="lines")


def in_memory(records: Sequence[object], folder: str) -> Text:
    """Take records as they are: they become lines while DuckDB reads."""
    first = records[0] if records else None
    _require_nested_record(first)
    source = first.get("source") if isinstance(first, dict) else None
    has_source = isinstance(source, dict) and "account" in source
    lines = Lines(records)
    return Text(_new(folder), "records", indexed=True, lines=lines, has_source=has_source)


def spool_frame(frame: Any, folder: str) -> Text:
    """Write a frame of nested columns, one row a line."""
    columns = frames.columns(frame)
    if not columns and not frames.height(frame):
        return dataclasses.replace(spool_objects([], folder), label="rows")
    _require_nested(columns)
    if frames.backend_of(frame) == "pandas" and any(kind.kind == "O" for kind in frame.dtypes):
        records = in_memory(frame.to_dict("records"), folder)
        return dataclasses.replace(records, label="rows", from_frame=True)
    path = _new(folder)
    if frames.backend_of(frame) == "duckdb":
        _copy(frame, path)
    else:
        with connections.connect() as connection:
            _copy(connection.from_arrow(frames.to_arrow(frame)), path)
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
                f"{label!r} cannot be read as Parquet: {frames.message(error)}",
                "The file may be damaged or cut off; fetch it again.",
            ) from error
    return Text(path, label, indexed=True, from_frame=True, has_source="source" in columns)


def spool_unpacked(file: Text, folder: str) -> Text:
    """Write a text unpacked and without its byte order mark, as far as it can be unpacked."""
    path = _new(folder)
    with file.open() as stream, open(path, "wb") as copy:
        try:
            copy.write(stream.read(len(BOM)).removeprefix(BOM))
            shutil.copyfileobj(stream, copy)
        except compression.ERRORS as error:
            if not compression.ends_early(error):  # `text` has found that already
                raise
    return dataclasses.replace(file, path=path, compression="none")


def flat_columns(names: Iterable[str]) -> list[str]:
    """Return the columns that only a frame has which was flattened, in either spelling."""
    flat = {
        schema.rename(column, sep)
        for column in schema.layout_types("wide") | schema.layout_types("long")
        for sep in "._"
    } - set(catalogue.tree())
    return [name for name in names if name in flat]


def _require_nested_record(record: object) -> None:
    """Raise for a row of a flat frame: read as a record, it would lose all but its id."""
    if not isinstance(record, dict) or any(isinstance(value, dict) for value in record.values()):
        return
    names = [name for name in record if isinstance(name, str)]
    if found := flat_columns(names):
        raise FrameError(
            f"These records are flat already: the first has the key {found[0]!r}.",
            "Make a frame of them: tu.restore(pd.DataFrame(records)).",
        )


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
    if found := flat_columns(columns):
        raise FrameError(
            f"{place} is flat already: it has the column {found[0]!r}.",
            "Use to_long() or to_wide() for another layout, and restore() for dtypes.",
        )
    if "id" not in columns:
        raise FrameError(
            f"{place} holds no Usage records: it has no column 'id', but {columns[:5]}.",
            "Each row must be a record: columns id, product, usage, charges, … as in the schema.",
        )
