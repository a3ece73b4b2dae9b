"""Parquet: compressed, sorted, with units and descriptions in Arrow's metadata of the fields."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from pyarrow import parquet

from tidyusage.export import upsert
from tidyusage.sqltext import literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb
    import pyarrow as pa

    from tidyusage.export.job import Job


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write a table to a file."""
    (table,), place = job.tables, job.target.place
    query = table.ordered
    with job.files.written(place) as partial:
        if job.adds and os.path.exists(place):
            upsert.require_columns(place, parquet.read_schema(place).names, table.names, table.name)
            query = upsert.merged(f"read_parquet({literal(place)})", table, job.mode)
        copy(connection, query, partial, table.schema)
        job.told.stands(table.name, rows(connection, partial))


def copy(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    path: str,
    schema: pa.Schema,
    *,
    partition_by: Iterable[str] = (),
    name: str = "",
) -> None:
    """Write a query to a file, or with partitions to a folder."""
    described = base64.b64encode(schema.serialize().to_pybytes()).decode()
    metadata = f"'ARROW:schema': {literal(described)}"
    options = ["format parquet", "compression zstd", f"kv_metadata {{{metadata}}}"]
    if partition_by:
        options += [
            f"partition_by ({', '.join(map(quote, partition_by))})",
            f"filename_pattern {literal(name + '-{i}')}",
            "overwrite_or_ignore",
        ]
    connection.execute(f"copy ({query}) to {literal(path)} ({', '.join(options)})")


def rows(connection: duckdb.DuckDBPyConnection, path: str) -> int:
    """Return how many rows a file has."""
    counted = f"select coalesce(sum(num_rows), 0) from parquet_file_metadata({literal(path)})"
    return int(connection.execute(counted).fetchall()[0][0])
