"""A Tableau extract: a table each, with Hyper's own types and nulls, and instants in UTC."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, cast

from tidyusage.errors import ExportError
from tidyusage.export import cells, upsert
from tidyusage.export.whole import failed, replaced
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
    adds = job.adds and os.path.exists(place)
    # Hyper is a process of its own, which writes a log where it is told to.
    with tempfile.TemporaryDirectory(prefix="tidyusage-") as logs, replaced(place) as partial:
        if adds:
            for table in job.tables:
                _require_same(place, table, logs)
            shutil.copyfile(place, partial)
        try:
            _put(connection, job.tables, partial, "a" if adds else "w", logs)
            for table in job.tables:
                job.told.stands(table.name, _rows(partial, table.name, logs))
        except (RuntimeError, ValueError) as error:
            raise failed(place, error) from error


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
        )
        mode = "a"


def _require_same(path: str, table: Table, logs: str) -> None:
    try:
        there = _asked(path, f"select * from {quote(table.name)} limit 0", logs)
    except RuntimeError as error:
        raise ExportError(
            f"{path!r} has no table {table.name}.", "Export with mode='overwrite'."
        ) from error
    upsert.require_columns(path, there.column_names, table.names, table.name, in_order=True)


def _rows(path: str, table: str, logs: str) -> int:
    found = _asked(path, f"select count(*) as rows from {quote(table)}", logs)
    return int(found["rows"][0].as_py())


def _asked(path: str, query: str, logs: str) -> pa.Table:
    import pantab

    found: Any = pantab.frame_from_hyper_query(
        path, query, return_type="pyarrow", process_params={"log_dir": logs}
    )
    return cast("pa.Table", found)
