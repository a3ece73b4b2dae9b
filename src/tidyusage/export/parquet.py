"""Write Parquet: compressed, sorted, with units and descriptions in the field metadata."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final

from pyarrow import parquet

from tidyusage._utils import connections
from tidyusage._utils.sql import literal, quote
from tidyusage._utils.whole import failed
from tidyusage.export import upsert
from tidyusage.export.held import in_polars

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb
    import pyarrow as pa

    from tidyusage.export.job import Job
    from tidyusage.export.table import Table

# Where Arrow's readers look for the types and the metadata of fields.
_KEY: Final = "ARROW:schema"
# Rows of a group: more take less time to write, fewer let more cores read.
_GROUP: Final = 250_000


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write a table to a file."""
    (table,), place = job.tables, job.target.place
    with job.files.written(place) as partial:
        if job.adds and os.path.exists(place):
            there = parquet.read_schema(place)
            fitted = upsert.fitted(place, dict(zip(there.names, there.types, strict=True)), table)
            query = upsert.merged(f"read_parquet({literal(place)})", fitted, job.mode)
            copy(connection, query, partial, fitted.schema)
        elif table.held is not None:
            _put(table, partial, place)
        else:
            copy(connection, table.ordered, partial, table.schema)
        job.told.stands(table.name, rows(connection, partial))


def _put(table: Table, path: str, place: str) -> None:
    """Write rows that are in memory, in order; Polars does so on all cores."""
    import polars as pl

    ordered = in_polars(table).sort(table.order, nulls_last=True, maintain_order=True)
    metadata = {_KEY: _described(table.schema)}
    try:
        ordered.write_parquet(path, compression="zstd", row_group_size=_GROUP, metadata=metadata)
    except pl.exceptions.ComputeError as error:
        raise failed(place, error) from error


def _described(schema: pa.Schema) -> str:
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def copy(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    path: str,
    schema: pa.Schema,
    *,
    partition_by: Iterable[str] = (),
    name: str = "",
    partial: str | None = None,
) -> None:
    """Write a query to a file, or with partitions to a folder; of what is whole later, a part."""
    metadata = f"{literal(_KEY)}: {literal(_described(schema))}"
    options = ["format parquet", "compression zstd", f"kv_metadata {{{metadata}}}"]
    if not partition_by:
        options += ["use_tmp_file false"]  # the path is of such a one
    else:
        options += [
            f"partition_by ({', '.join(map(quote, partition_by))})",
            f"filename_pattern {literal(name + '-{i}')}",
            "overwrite_or_ignore",
        ]
    statement = f"copy ({query}) to {literal(path)} ({', '.join(options)})"
    connections.write(connection, statement, partial or path)


def rows(connection: duckdb.DuckDBPyConnection, path: str) -> int:
    """Return how many rows a file has."""
    counted = f"select coalesce(sum(num_rows), 0) from parquet_file_metadata({literal(path)})"
    return int(connection.execute(counted).fetchall()[0][0])
