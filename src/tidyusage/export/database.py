"""Write a DuckDB file: tables with comments, and views of the metrics."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.sql import literal, quote
from tidyusage._utils.whole import LOG, failed, telling
from tidyusage.export import manifest, upsert
from tidyusage.export.usage import WIDE
from tidyusage.metrics import sql as warehouse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import duckdb

    from tidyusage.export.job import Job
    from tidyusage.export.manifest import Manifest
    from tidyusage.export.table import Table
    from tidyusage.typing import Mode

_FILE: Final = "tu__file"
_MANIFESTS: Final = "tidyusage_manifest"
# The views of a file that holds the wide table: metric, dimensions, options.
VIEWS: Final[Mapping[str, tuple[str, tuple[str, ...], Mapping[str, Any]]]] = {
    "cost": ("cost_by", (), {}),
    "cost_by_product": ("cost_by", ("product.id",), {}),
    "cost_by_model": ("cost_by", ("model.id",), {}),
    "cost_by_user": ("cost_by", ("user.id", "user.email"), {}),
    "cost_by_day": ("cost_by", (), {"freq": "1d"}),
    "cost_by_month": ("cost_by", ("product.id",), {"freq": "1mo"}),
    "cost_per_million_tokens_by_model": ("cost_per_token", ("model.id",), {"per": 1_000_000}),
    "tokens_by_model": ("tokens_by", ("model.id",), {}),
    "active_users_by_day": ("active_users", (), {"freq": "1d"}),
    "acceptance_rate_by_product": ("acceptance_rate", ("product.id",), {}),
    "cache_hit_rate_by_model": ("cache_hit_rate", ("model.id",), {}),
}


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write tables to a database; what else is in it stays."""
    if os.path.exists(job.target.place):
        _write(connection, job, job.target.place)
        return
    with job.files.written(job.target.place) as partial:
        _write(connection, job, partial)


def _write(connection: duckdb.DuckDBPyConnection, job: Job, path: str) -> None:
    with telling(job.target.place), _attached(connection, path):
        there = _tables(connection)
        if job.adds and _MANIFESTS in there:
            manifest.require_same_privacy(path, job.told, _told(connection, there))
        for table in job.tables:
            if job.mode == "error" and table.name in there:
                raise upsert.is_there(f"The table {table.name} of {path!r}")
            mode = job.mode_of(table) if table.name in there else "overwrite"
            _put(connection, table, path, mode)
            _comment(connection, table)
            job.told.stands(table.name, _rows(connection, table.name))
        if any(table.name == WIDE for table in job.tables):
            _add_views(connection)
        _note(connection, job.told, is_new=_MANIFESTS not in there)


@contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, path: str) -> Iterator[None]:
    """Open a file beside the usage; what is done to it is done whole, or not at all."""
    import duckdb

    is_new = not os.path.exists(path)
    size, had_log = 0 if is_new else os.path.getsize(path), os.path.exists(path + LOG)
    try:
        _attach(connection, path)
    except duckdb.Error as error:  # it is open elsewhere, or no database
        raise failed(path, error) from error
    try:
        connection.execute("begin")
        yield
        connection.execute("commit")
        if is_new:  # what is moved without its log must hold all
            connection.execute(f"checkpoint {_FILE}")
        _detach(connection)
    except BaseException:
        with suppress(duckdb.Error):  # a commit that failed has rolled back already
            connection.execute("rollback")
        with suppress(duckdb.Error):  # after what it calls fatal, DuckDB does nothing more
            _detach(connection)
            _attach(connection, path)  # an empty log goes when the file is opened anew
            connection.execute(f"checkpoint {_FILE}")
            _detach(connection)
        if not is_new and not had_log:
            _shrink(path, size)
        raise


def _shrink(path: str, size: int) -> None:
    """Give back the room that a failed transaction took.

    DuckDB writes rows behind the end of the file before it commits, and its header, which it writes
    last, still describes the file of before.  On a full disk its log stays too; it holds nothing
    that was committed.  DuckDB 2.0; try without at the next version.
    """
    with suppress(OSError):
        if os.path.getsize(path) > size:
            os.truncate(path, size)
        os.remove(path + LOG)


def _attach(connection: duckdb.DuckDBPyConnection, path: str) -> None:
    connection.execute(f"attach {literal(path)} as {_FILE}")


def _detach(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("use memory")
    connection.execute(f"detach {_FILE}")


def _tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names of the file's tables."""
    query = f"""select table_name
from duckdb_tables()
where database_name = {literal(_FILE)} and schema_name = 'main'"""
    return {name for (name,) in connection.execute(query).fetchall()}


def _put(connection: duckdb.DuckDBPyConnection, table: Table, path: str, mode: Mode) -> None:
    place = f"{_FILE}.main.{quote(table.name)}"
    if mode not in {"append", "upsert"}:
        connection.execute(f"create or replace table {place} as {table.sql}")
        return
    there = connection.sql(f"from {place} limit 0").to_arrow_table().schema
    fitted = upsert.fitted(path, dict(zip(there.names, there.types, strict=True)), table)
    if mode == "append" and table.unique:
        upsert.require_new(connection, place, table)
    if mode == "upsert":
        connection.execute(upsert.deletion(place, fitted))
    connection.execute(f"insert into {place} by name {fitted.sql}")


def _comment(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    place = f"{_FILE}.main.{quote(table.name)}"
    connection.execute(f"comment on table {place} is {literal(table.description)}")
    for column in table.columns:
        if said := column.told:
            connection.execute(f"comment on column {place}.{quote(column.name)} is {literal(said)}")


def _add_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the metrics views, for which the file must be where names are looked up."""
    connection.execute(f"use {_FILE}.main")
    for name, (metric, by, options) in VIEWS.items():
        sql = warehouse.sql(metric, *by, **options)
        connection.execute(f"create or replace view {quote(name)} as {sql}")


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    counted = f"select count(*) from {_FILE}.main.{quote(table)}"
    return int(connection.execute(counted).fetchall()[0][0])


def _told(connection: duckdb.DuckDBPyConnection, there: Collection[str]) -> list[dict[str, Any]]:
    """Return the manifests of earlier exports, the latest last, of the tables that are there."""
    noted = f"select manifest from {_FILE}.main.{_MANIFESTS} order by exported_at, rowid"
    return [manifest.of_text(text, there) for (text,) in connection.execute(noted).fetchall()]


def _note(connection: duckdb.DuckDBPyConnection, told: Manifest, *, is_new: bool) -> None:
    """Add the manifest to those of earlier exports."""
    place = f"{_FILE}.main.{_MANIFESTS}"
    if is_new:
        connection.execute(f"create table {place} (exported_at timestamptz, manifest json)")
    connection.execute(
        f"insert into {place} values (?, ?)", [told.head["exported_at"], told.text()]
    )
