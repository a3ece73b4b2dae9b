"""Write a Tableau extract, with Hyper's own types and instants in UTC."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage._utils import bounded
from tidyusage._utils.sql import quote
from tidyusage._utils.whole import failed
from tidyusage.errors import ExportError
from tidyusage.export import cells, upsert

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from tidyusage.export.job import Job
    from tidyusage.export.table import Table

# The first version of Hyper's files that has decimals of 38 digits, for Tableau 2022.4 and later.
_WITH_DECIMALS: Final = {"default_database_version": "3"}


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write tables to an extract."""
    place = job.target.place
    # Hyper is a process of its own, which writes a log where it is told to.
    with (
        bounded.temporary_folder() as logs,
        job.files.written(place) as partial,
    ):
        adds = job.adds and os.path.exists(place)
        tables = [_fitted(place, table, logs) if adds else table for table in job.tables]
        old = {table.name: _rows(place, table.name, logs) if adds else 0 for table in tables}
        if adds:
            shutil.copyfile(place, partial)
        try:
            _put(connection, tables, partial, "a" if adds else "w", logs)
            for table in job.tables:
                _require_rows(partial, table, old[table.name], job, logs)
        except (RuntimeError, ValueError) as error:
            raise failed(place, error) from error


def _require_rows(path: str, table: Table, old: int, job: Job, logs: str) -> None:
    """Raise if rows are missing: of a full disk Hyper says nothing (pantab 5.3; try with 6)."""
    wanted = old + job.told.tables[table.name]["rows"]
    try:
        rows = _rows(path, table.name, logs)
    except RuntimeError:
        rows = 0
    if rows != wanted:
        raise ExportError(
            f"{job.target.place!r} could not be written, and is as it was before: Hyper kept "
            f"{rows:,} of {wanted:,} rows of {table.name}, as it does where a disk is full.",
            f"Make room there and in {tempfile.gettempdir()!r}, and run it again.",
        )
    job.told.stands(table.name, rows)


def _put(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[Table],
    path: str,
    mode: Any,
    logs: str,
) -> None:
    """Write tables one after the other: of one connection, one query is read at a time."""
    import pantab

    has_decimals = any(pa.types.is_decimal(c.type) for table in tables for c in table.columns)
    params = {"log_dir": logs, **(_WITH_DECIMALS if has_decimals else {})}
    for table in tables:
        pantab.frame_to_hyper(
            connection.sql(cells.selected(table)[0]).to_arrow_reader(),
            path,
            table=table.name,
            table_mode=mode,
            not_null_columns={column.name for column in table.columns if column.required},
            process_params=params,
            atomic=False,  # what is written here is no one's yet; it would write to another disk
        )
        mode = "a"


def _fitted(path: str, table: Table, logs: str) -> Table:
    """Return a table as the one that is there can take its rows; raise if it cannot."""
    try:
        there = _asked(path, f"select * from {quote(table.name)} limit 0", logs)
    except RuntimeError as error:
        raise ExportError(
            f"{path!r} has no table {table.name}.", "Export with mode='overwrite'."
        ) from error
    types = dict(zip(there.schema.names, there.schema.types, strict=True))
    ours = {column.name: cells.plain(column)[1] for column in table.columns}
    return upsert.fitted(path, types, table, ours, in_order=True)


def _rows(path: str, table: str, logs: str) -> int:
    found = _asked(path, f"select count(*) as rows from {quote(table)}", logs)
    return int(found["rows"][0].as_py())


def _asked(path: str, query: str, logs: str) -> pa.Table:
    import pantab

    found: Any = pantab.frame_from_hyper_query(
        path, query, return_type="pyarrow", process_params={"log_dir": logs}
    )
    return cast("pa.Table", found)
