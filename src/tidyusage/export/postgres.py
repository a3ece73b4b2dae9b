"""Write to PostgreSQL through ADBC: COPY, in a single transaction."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage._utils.sql import clauses, quote, same
from tidyusage.errors import ExportError
from tidyusage.export import cells, manifest, upsert
from tidyusage.export.target import LONGEST

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import duckdb

    from tidyusage.export.job import Job
    from tidyusage.export.manifest import Manifest
    from tidyusage.export.table import Column, Table
    from tidyusage.export.target import Target

_TYPES: Final[dict[Any, str]] = {
    pa.string(): "text",
    pa.float64(): "double precision",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp with time zone",
    pa.timestamp("us"): "timestamp without time zone",
}
_DECIMAL: Final = "numeric"
_JSON: Final = "jsonb"
_STAGED: Final = "tu__staged"
_OWNERS: Final = "tu__owners"
_ROWS: Final = 100_000
_MANIFESTS: Final = "tidyusage_manifest"
_LOCK: Final = "tidyusage "


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write tables to a database's schema; what else is in it stays."""
    tables, target, mode, told = job.tables, job.target, job.mode, job.told
    for table in tables:
        _require_names(table)
    with _transaction(target) as cursor:
        _wait_for_others(cursor, target.schema)
        _make_schema(cursor, target.schema)
        there = {table.name: _columns(cursor, target.schema, table) for table in tables}
        if job.adds:
            stand = [name for name, columns in there.items() if columns]
            manifest.require_same_privacy(target.place, told, _told(cursor, target.schema, stand))
        if mode == "overwrite":
            _clear(cursor, target.schema, tables, there)
        for table in tables:
            place = f"{quote(target.schema)}.{quote(table.name)}"
            if not there[table.name]:
                _create(cursor, target.schema, table)
            elif mode == "error":
                raise upsert.is_there(f"The table {target.schema}.{table.name}")
            else:
                upsert.require_columns(place, list(there[table.name]), table.names, table.name)
                upsert.require_types(place, there[table.name], _types(table), table.name)
            if job.mode_of(table) == "upsert" and there[table.name]:
                _merge(connection, cursor, table, place)
            else:
                _copy(connection, cursor, table, table.name, db_schema_name=target.schema)
            told.stands(table.name, _count(cursor, place))
        _note(cursor, target.schema, told)


@contextmanager
def _transaction(target: Target) -> Iterator[Any]:
    """Connect, and commit what is done if nothing is raised."""
    import adbc_driver_postgresql.dbapi as adbc

    failure: ExportError | None = None
    try:
        with adbc.connect(target.address) as server:
            try:
                with server.cursor() as cursor:
                    yield cursor
                server.commit()
            except BaseException:
                with suppress(adbc.Error):
                    server.rollback()
                raise
    except adbc.Error as error:
        failure = _failed(target, error)
    if failure:  # raised out here, it has no context whose frames hold the address
        raise failure


def _failed(target: Target, error: Exception) -> ExportError:
    """Return the error of a database that refused, without the password of its address."""
    text = str(error).partition("[libpq]")[2].strip() or str(error)
    lines = [line for line in target.hide(text).splitlines() if line and "SQLSTATE" not in line]
    said = " ".join(lines).removeprefix("Failed to execute COPY statement: PGRES_FATAL_ERROR ")
    said = said.rpartition("': ERROR:  ")[2]  # not the query too, which may fill pages
    hints = {
        "duplicate key": "mode='upsert' puts new rows in the place of those that are there.",
        "depend on it": "Drop what depends on the table, or export with the same columns.",
        "connect": "Is the server there, and the address right?",
        "0x00": "PostgreSQL keeps no NUL character in text: replace it before.",
    }
    hint = next(
        (hint for sign, hint in hints.items() if sign in said), "Mend it, and run it again."
    )
    return ExportError(f"{target.place} was not written, and is as it was before: {said}", hint)


def _wait_for_others(cursor: Any, schema: str) -> None:
    """Have exports to one schema come one after the other: what a later one replaces is all there.

    It then sees what the others committed, whatever the server's own setting is.
    """
    cursor.execute("set transaction isolation level read committed")
    cursor.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", (f"{_LOCK}{schema}",))
    cursor.fetchall()


def _make_schema(cursor: Any, schema: str) -> None:
    """Make a schema that is not there; asking for one that is needs rights that few have."""
    cursor.execute("select 1 from pg_namespace where nspname = $1", (schema,))
    if not cursor.fetchall():
        cursor.execute(f"create schema {quote(schema)}")


def _columns(cursor: Any, schema: str, table: Table) -> dict[str, str]:
    """Return a table's columns with their types, none if it is not there."""
    cursor.execute(
        "select column_name::text, data_type::text from information_schema.columns "
        "where table_schema = $1 and table_name = $2 order by ordinal_position",
        (schema, table.name),
    )
    return dict(cursor.fetchall())


def _clear(
    cursor: Any, schema: str, tables: Sequence[Table], there: dict[str, dict[str, str]]
) -> None:
    """Empty the tables that are there; those of other columns or types are made anew."""
    old = [table for table in tables if there[table.name]]
    places = ", ".join(f"{quote(schema)}.{quote(table.name)}" for table in old)
    if not old:
        return
    if all(list(there[t.name].items()) == list(_types(t).items()) for t in tables):
        cursor.execute(f"truncate {places}")
        return
    cursor.execute(f"drop table {places}")
    there.update({table.name: {} for table in old})


def _create(cursor: Any, schema: str, table: Table) -> None:
    place = f"{quote(schema)}.{quote(table.name)}"
    lines = [_definition(column) for column in table.columns]
    if _is_keyed(table):
        lines.append(f"primary key ({', '.join(map(quote, table.key))})")
    for name, (other, key) in (table.references or {}).items():
        where = f"{quote(schema)}.{quote(other)} ({quote(key)})"
        lines.append(f"foreign key ({quote(name)}) references {where}")
    cursor.execute(f"create table {place} (\n  {clauses(lines)}\n)")
    cursor.execute(f"comment on table {place} is {_text(table.description)}")
    for column in table.columns:
        if said := column.told:
            cursor.execute(f"comment on column {place}.{quote(column.name)} is {_text(said)}")


def _definition(column: Column) -> str:
    required = " not null" if column.required else ""
    return f"{quote(column.name)} {_type(column)}{required}"


def _types(table: Table) -> dict[str, str]:
    return {column.name: _type(column) for column in table.columns}


def _type(column: Column) -> str:
    """Return the type of a column, in the words of the information schema."""
    if pa.types.is_nested(column.type):
        return _JSON
    type_ = cells.plain(column)[1]
    return _DECIMAL if pa.types.is_decimal(type_) else _TYPES[type_]


def _is_keyed(table: Table) -> bool:
    required = {column.name for column in table.columns if column.required}
    return bool(table.key) and required.issuperset(table.key)


def _merge(connection: duckdb.DuckDBPyConnection, cursor: Any, table: Table, place: str) -> None:
    """Put new rows in the place of old ones, by way of a table that goes with the transaction."""
    columns = ", ".join(map(quote, table.names))
    staged = f"create temp table {_STAGED} on commit drop as select {columns} from {place} limit 0"
    cursor.execute(staged)
    _copy(connection, cursor, table, _STAGED, temporary=True)
    if _is_keyed(table) and table.owners == table.key:
        others = [quote(name) for name in table.names if name not in table.key]
        changes = ", ".join(f"{name} = excluded.{name}" for name in others)
        conflict = f"update set {changes}" if changes else "nothing"
        keys = ", ".join(map(quote, table.key))
        then = f"on conflict ({keys}) do {conflict}"
    else:
        _delete(connection, cursor, table, place)
        then = ""
    cursor.execute(f"insert into {place} ({columns}) select {columns} from {_STAGED} {then}")
    cursor.execute(f"drop table {_STAGED}")


def _delete(connection: duckdb.DuckDBPyConnection, cursor: Any, table: Table, place: str) -> None:
    """Delete all rows of the owners of this export, who may have none now."""
    owners = ", ".join(map(quote, table.owners))
    cursor.execute(
        f"create temp table {_OWNERS} on commit drop as select {owners} from {place} limit 0"
    )
    rows = connection.sql(table.owned).to_arrow_reader()
    cursor.adbc_ingest(_OWNERS, rows, mode="append", temporary=True)
    test = same("tu__old", "tu__new", *map(quote, table.owners))
    cursor.execute(f"delete from {place} as tu__old using {_OWNERS} as tu__new where {test}")
    cursor.execute(f"drop table {_OWNERS}")


def _copy(
    connection: duckdb.DuckDBPyConnection, cursor: Any, table: Table, name: str, **where: Any
) -> None:
    """Stream a table's rows into a table that is there."""
    sql, schema = cells.selected(table)
    typed = pa.schema(
        [
            (column.name, pa.json_() if pa.types.is_nested(column.type) else type_)
            for column, type_ in zip(table.columns, schema.types, strict=True)
        ]
    )
    reader = connection.sql(sql).to_arrow_reader(_ROWS)
    batches = (pa.record_batch(_as(batch, typed), schema=typed) for batch in reader)
    rows = pa.RecordBatchReader.from_batches(typed, batches)
    cursor.adbc_ingest(name, rows, mode="append", **where)


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> list[Any]:
    """Return a batch's columns, JSON marked as such."""
    return [
        pa.ExtensionArray.from_storage(type_, column.cast(pa.string()))
        if isinstance(type_, pa.BaseExtensionType)
        else column.cast(type_)
        for column, type_ in zip(batch.columns, schema.types, strict=True)
    ]


def _count(cursor: Any, place: str) -> int:
    cursor.execute(f"select count(*) from {place}")
    ((rows,),) = cursor.fetchall()
    return int(rows)


def _told(cursor: Any, schema: str, there: Collection[str]) -> list[dict[str, Any]]:
    """Return the manifests of earlier exports, the latest last, of the tables that are there."""
    cursor.execute("select to_regclass($1)::text", (f"{quote(schema)}.{_MANIFESTS}",))
    if cursor.fetchall() == [(None,)]:
        return []
    place = f"{quote(schema)}.{_MANIFESTS}"
    cursor.execute(f"select manifest::text from {place} order by exported_at, ctid")
    return [manifest.of_text(text, there) for (text,) in cursor.fetchall()]


def _note(cursor: Any, schema: str, told: Manifest) -> None:
    """Add the manifest to those of earlier exports."""
    place = f"{quote(schema)}.{_MANIFESTS}"
    cursor.execute(
        f"create table if not exists {place} (exported_at timestamptz not null, manifest jsonb)"
    )
    cursor.execute(
        f"insert into {place} values (cast($1 as timestamptz), cast($2 as jsonb))",
        (told.head["exported_at"], told.text()),
    )


def _text(text: str) -> str:
    """Write a text as PostgreSQL's SQL; a backslash in it is one, whatever the server is set to."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def _require_names(table: Table) -> None:
    for name in (table.name, *table.names):
        if len(name.encode()) > LONGEST or "\0" in name:
            raise ExportError(
                f"The column {name!r} has a longer name than PostgreSQL keeps.",
                f"Rename it to {LONGEST} bytes at most.",
            )
