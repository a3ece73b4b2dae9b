"""Write a folder of Delta Lake tables."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage._utils.sql import listed, quote, same
from tidyusage._utils.whole import failed, replaced, sweep
from tidyusage.errors import ExportError
from tidyusage.export import cells, folder, manifest, upsert
from tidyusage.export.partitions import Partitions
from tidyusage.export.table import Column

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from tidyusage.export.job import Job
    from tidyusage.export.table import Table
    from tidyusage.typing import Mode

_OLD: Final = "tu__there"
_GONE: Final = "tu__gone"


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write tables to a folder; a new one is there when all of them are."""
    place = job.target.place
    sweep(place)
    folder.require_ours(place)
    before = manifest.of_folder(place)
    if before:
        note = os.path.join(place, manifest.NAME)
        with _put_back(job, place) as done, replaced(note) as partial:
            _write(connection, job, place, done)
            job.told.write(partial, before)
        return
    with job.files.written(place) as partial:
        os.mkdir(partial)
        _write(connection, job, partial, [])
        job.told.write(os.path.join(partial, manifest.NAME))


@contextmanager
def _put_back(job: Job, place: str) -> Iterator[list[str]]:
    """Have tables as they were if one could not be written; yield where to note those that are.

    A commit is taken back by another; not if somebody else's came with it.
    """
    from deltalake import DeltaTable

    paths = [os.path.join(place, table.name) for table in job.tables]
    there = {p: DeltaTable(p).version() for p in paths if DeltaTable.is_deltatable(p)}
    done: list[str] = []
    try:
        yield done
    except BaseException:
        for path in paths:
            is_table = DeltaTable.is_deltatable(path)
            if path not in there and (path in done or not is_table):
                shutil.rmtree(path, ignore_errors=True)
            elif path in done and DeltaTable(path).version() == there[path] + 1:
                DeltaTable(path).restore(there[path])
        raise


def _write(connection: duckdb.DuckDBPyConnection, job: Job, place: str, done: list[str]) -> None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    for given in job.tables:
        path = os.path.join(place, given.name)
        partitions = Partitions.of(given, job.partition_by)
        partitions.require_writable(connection, given, empty=False)
        is_there = DeltaTable.is_deltatable(path)
        try:
            adds = job.adds and is_there
            table = _fitted(DeltaTable(path), given, partitions) if adds else given
            if adds and job.mode == "append" and table.unique:
                keys = DeltaTable(path).to_pyarrow_table(columns=list(table.key))
                connection.register(_OLD, keys)
                upsert.require_new(connection, _OLD, table)
            if job.mode == "error" and is_there:
                raise upsert.is_there(repr(path))
            if job.mode_of(table) == "upsert" and is_there:
                _merge(connection, table, DeltaTable(path), partitions)
            else:
                _commit(connection, table, path, job.mode, partitions)
            done.append(path)
            job.told.stands(table.name, _rows(DeltaTable(path)))
        except ExportError:
            raise
        except (DeltaError, OSError) as error:
            raise failed(os.path.join(job.target.place, given.name), error) from error


def _commit(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    path: str,
    mode: Mode,
    partitions: Partitions,
) -> None:
    from deltalake import write_deltalake

    adds = mode == "append"
    wider = partitions.widened(table)
    write_deltalake(
        path,
        _reader(connection, wider, wider.ordered),
        mode="append" if adds else "overwrite",
        schema_mode=None if adds else "overwrite",
        partition_by=list(partitions.names) or None,
        name=table.name,
        description=table.description,
    )


def _merge(
    connection: duckdb.DuckDBPyConnection, table: Table, there: Any, partitions: Partitions
) -> None:
    """Put new rows in the place of old ones, and take out those that have none, in one commit."""
    if unnamed := [name for name in table.names if "`" in name]:
        raise ExportError(
            f"Delta Lake puts no rows in the place of others by way of the column {unnamed[0]!r}.",
            "Rename it, or export with mode='overwrite'.",
        )
    wider = partitions.widened(table)
    query = f"select *, false as {_GONE} from ({wider.sql})"
    if table.owners != table.key:
        query += f"\nunion all by name\n{_without_successor(connection, table, there)}"
    marked = replace(wider, columns=(*wider.columns, Column(_GONE, pa.bool_())))
    gone = f"source.{quote(_GONE)}"
    merger = there.merge(
        _reader(connection, marked, query),
        predicate=" and ".join(map(_same, table.key)),
        source_alias="source",
        target_alias="target",
    )
    merger = merger.when_matched_delete(gone)
    merger = merger.when_matched_update_all(f"not {gone}", except_cols=[_GONE])
    merger.when_not_matched_insert_all(f"not {gone}", except_cols=[_GONE]).execute()


def _same(name: str) -> str:
    ours, theirs = f"source.{quote(name)}", f"target.{quote(name)}"
    return f"({ours} = {theirs} or ({ours} is null and {theirs} is null))"


def _without_successor(connection: duckdb.DuckDBPyConnection, table: Table, there: Any) -> str:
    """Return the query of old rows whose owner has new rows, but none of their key."""
    kept = dict.fromkeys((*table.owners, *table.key))
    connection.register(_OLD, there.to_pyarrow_table(columns=list(kept)))
    owners, keys = map(quote, table.owners), map(quote, table.key)
    return f"""select {listed(*map(quote, kept))}true as {_GONE}
from {_OLD}
where exists (from ({table.owned}) as tu__new where {same(_OLD, "tu__new", *owners)})
  and not exists (from ({table.sql}) as tu__new where {same(_OLD, "tu__new", *keys)})"""


def _reader(
    connection: duckdb.DuckDBPyConnection, table: Table, query: str
) -> pa.RecordBatchReader:
    """Return rows as a stream of the types that Delta has, with units and descriptions."""
    sql, schema = cells.selected(table, query, nested=True)
    schema = pa.schema([field.with_nullable(nullable=True) for field in schema])
    batches = connection.sql(sql).to_arrow_reader()
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in batches))


def _fitted(there: Any, table: Table, partitions: Partitions) -> Table:
    """Return a table as the one that is there can take its rows; raise if it cannot."""
    found = pa.schema(there.schema().to_arrow())
    types = {field.name: field.type for field in found if field.name not in partitions.made}
    ours = {column.name: cells.plain(column, nested=True)[1] for column in table.columns}
    fitted = upsert.fitted(there.table_uri, types, table, ours)
    partitions.require_same(there.metadata().partition_columns, there.table_uri)
    return fitted


def _rows(there: Any) -> int:
    return int(there.to_pyarrow_dataset().count_rows())
