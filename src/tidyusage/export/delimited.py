"""Write CSV by RFC 4180, in which no cell is a formula to a spreadsheet."""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
from contextlib import ExitStack, contextmanager
from itertools import compress
from typing import IO, TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage._utils.sql import quote
from tidyusage.export import cells, upsert
from tidyusage.export.held import in_polars

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import polars as pl

    from tidyusage.export.job import Job
    from tidyusage.export.table import Column, Table

_ROWS: Final = 100_000
_END: Final = "\r\n"
_INSTANT: Final = "%Y-%m-%dT%H:%M:%S%.fZ"
_PACKED: Final = ".gz"
_LEVEL: Final = 6


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write a table to a file."""
    (table,), place = job.tables, job.target.place
    packed = place.lower().endswith(_PACKED)
    with job.files.written(place) as partial:
        adds = job.adds and os.path.exists(place)
        if adds:
            _require_same(place, table, packed=packed)
            shutil.copyfile(place, partial)
        old = _rows(place) if adds else 0
        if table.held is not None and not adds and not packed:
            frame = _of_held(connection, table)
            names = dict(zip(table.names, _names(table), strict=True))
            _put(frame.rename(names), partial, header=True)  # through Python it takes a fifth more
        else:
            with _opened(partial, packed=packed) as file:
                if not adds:
                    file.write(_header(table))
                for frame in _frames(connection, table):
                    _put(frame, file, header=False)
    job.told.stands(table.name, old + job.told.tables[table.name]["rows"])


def _put(frame: pl.DataFrame, file: str | IO[bytes], *, header: bool) -> None:
    frame.write_csv(file, include_header=header, line_terminator=_END, datetime_format=_INSTANT)


def _frames(connection: duckdb.DuckDBPyConnection, table: Table) -> Iterator[pl.DataFrame]:
    """Yield a table's rows as they are written."""
    import polars as pl

    if table.held is not None:
        yield _of_held(connection, table)
        return
    query = f"select {', '.join(map(_cell, table.columns))} from ({table.sql})"
    for batch in connection.sql(query).to_arrow_reader(_ROWS):
        yield cast("pl.DataFrame", pl.from_arrow(batch))


def _of_held(connection: duckdb.DuckDBPyConnection, table: Table) -> pl.DataFrame:
    """Return rows that are in memory; what is neither text nor of a plain type is made by SQL."""
    import polars as pl

    made = [column for column in table.columns if _plain(column)[0] != quote(column.name)]
    frame = in_polars(table)
    if made:
        query = f"select {', '.join(map(_cell, made))} from ({table.sql})"
        found = pl.from_arrow(connection.sql(query).to_arrow_table())
        frame = frame.with_columns(cast("pl.DataFrame", found))
    done = {column.name for column in made}
    texts = [n for n, type_ in frame.schema.items() if type_ == pl.String and n not in done]
    may = frame.select(map(_may_begin_formula, texts)).row(0)
    return frame.with_columns(map(_harmless, compress(texts, may)))


def _may_begin_formula(name: str) -> pl.Expr:
    """Tell whether a text of a column may be one; comparing costs far less than the pattern."""
    import polars as pl

    # Before 0 are control characters, blanks, the apostrophe, plus and minus; beyond ASCII are
    # other blanks and full-width signs.
    text = pl.col(name)
    return ((text < "0") | ((text >= "=") & (text < "A")) | (text >= "\x7f")).any()


def _harmless(name: str) -> pl.Expr:
    import polars as pl

    text = pl.col(name)
    return pl.when(text.str.contains(cells.FORMULA)).then("'" + text).otherwise(text).alias(name)


def _cell(column: Column) -> str:
    sql, type_ = _plain(column)
    return f"{cells.harmless(sql) if type_ == pa.string() else sql} as {quote(column.name)}"


def _plain(column: Column) -> tuple[str, pa.DataType]:
    """Return the SQL of a column as it is written; a time without a zone must get no Z."""
    sql, type_ = cells.plain(column)
    return (f"replace(cast({sql} as varchar), ' ', 'T')" if cells.is_clock(type_) else sql), type_


def _header(table: Table) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator=_END).writerow(_names(table))
    return line.getvalue().encode()


def _names(table: Table) -> list[str]:
    return [cells.harmless_text(column.name) for column in table.columns]


@contextmanager
def _opened(path: str, *, packed: bool) -> Iterator[IO[bytes]]:
    """Open a file to be added to; what is added to gzip is a member of its own."""
    with ExitStack() as stack:
        file: Any = stack.enter_context(open(path, "ab"))
        if packed:
            member = gzip.GzipFile("", "ab", compresslevel=_LEVEL, fileobj=file, mtime=0)
            file = stack.enter_context(member)
        yield file


def _require_same(path: str, table: Table, *, packed: bool) -> None:
    """Raise if a file that is there has other columns, or the same in another order."""
    opened: Any = gzip.open if packed else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        there = next(csv.reader(file), [])
    upsert.require_columns(path, there, _names(table), table.name, in_order=True)


def _rows(path: str) -> int:
    import polars as pl

    counted = pl.scan_csv(path, infer_schema=False).select(pl.len()).collect()
    return int(counted.item())
