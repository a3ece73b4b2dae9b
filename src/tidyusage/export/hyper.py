"""A Tableau extract: a table each, with Hyper's own types and nulls, and instants in UTC."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, cast

from tidyusage.errors import ExportError
from tidyusage.export import cells, upsert
from tidyusage.export.whole import failed
from tidyusage.sqltext import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

    from tidyusage.export.job import Job
    from tidyusage.export.table import Table


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write tables to an extract."""
    place = job.target.place
    # Hyper is a process of its own, which writes a log where it is told to.
    with (
        tempfile.TemporaryDirectory(prefix="tidyusage-") as logs,
        job.files.written(place) as partial,
    ):
        adds = job.adds and os.path.exists(place)
        old = {table.name: _old_rows(place, table, logs) if adds else 0 for table in job.tables}
        if adds:
            shutil.copyfile(place, partial)
        try:
            _put(connection, job.tables, partial, "a" if adds else "w", logs)
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

    for table in tables:
        pantab.frame_to_hyper(
            connection.sql(cells.selected(table)[0]).to_arrow_reader(),
            path,
            table=table.name,
            table_mode=mode,
            not_null_columns={column.name for column in table.columns if column.required},
            process_params={"log_dir": logs},
            atomic=False,  # what is written here is no one's yet; it would write to another disk
        )
        mode = "a"


def _old_rows(path: str, table: Table, logs: str) -> int:
    """Return how many rows a table has; raise if it has other columns."""
    try:
        there = _asked(path, f"select * from {quote(table.name)} limit 0", logs)
    except RuntimeError as error:
        raise ExportError(
            f"{path!r} has no table {table.name}.", "Export with mode='overwrite'."
        ) from error
    upsert.require_columns(path, there.column_names, table.names, table.name, in_order=True)
    return _rows(path, table.name, logs)


def _rows(path: str, table: str, logs: str) -> int:
    found = _asked(path, f"select count(*) as rows from {quote(table)}", logs)
    return int(found["rows"][0].as_py())


def _asked(path: str, query: str, logs: str) -> pa.Table:
    import pantab

    found: Any = pantab.frame_from_hyper_query(
        path, query, return_type="pyarrow", process_params={"log_dir": logs}
    )
    return cast("pa.Table", found)
