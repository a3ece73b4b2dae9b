"""Turn a frame of any library into the DuckDB view that exports query."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from tidyusage import schema
from tidyusage._utils import bounded, connections
from tidyusage._utils.sql import FRAME, literal, quote
from tidyusage.engines import column_checks, frames, relations
from tidyusage.engines.columns import Columns, columns, rebuilt_charges
from tidyusage.errors import FrameError
from tidyusage.export import own
from tidyusage.export.held import held
from tidyusage.export.table import USAGE, Usage
from tidyusage.layouts import convert
from tidyusage.metrics import _source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb
    import pyarrow as pa

_GIVEN: Final = "tu__given"
_PIVOTED: Final = "tu__pivoted"
_WIDE: Final = "tu__wide"


@contextmanager
def staged(frame: Any) -> Iterator[tuple[duckdb.DuckDBPyConnection, Usage]]:
    """Open a DuckDB with the view `USAGE` of a wide or long frame, and tell its columns."""
    found = columns(frame)
    if found.layout not in {"wide", "long"}:
        raise FrameError(
            f"This is a frame of {found.layout}; exports are made of whole records.",
            "Give the wide or the long frame.",
        )
    if unnamed := [name for name in found.own if not name or "\0" in name]:
        raise FrameError(f"{unnamed[0]!r} is no name of a column.", "Rename or drop it.")
    home = None if frames.backend_of(frame) != "duckdb" else bounded.home(frame)
    within = home.folder if home else None
    with (
        # A sort that is left to itself may still spill into it.
        bounded.temporary_folder(within) as folder,
        connections.connect() as connection,
        _given(connection, frame, folder, home) as table,
    ):
        usage = _view(connection, found, table)
        rows = held(frame, table, found, usage.types) if table is not None else None
        yield connection, replace(usage, held=rows, given=found)


@contextmanager
def _given(
    connection: duckdb.DuckDBPyConnection, frame: Any, folder: str, home: bounded.Home | None
) -> Iterator[pa.Table | None]:
    """Put a frame into a connection; a relation, which is read but once, by way of a file."""
    path = os.path.join(folder, "usage.parquet")
    if frames.backend_of(frame) != "duckdb":
        table = _collected(frame)
        connection.register(_GIVEN, table)
        yield table
    elif home:
        with bounded.running(home.connection):
            frame.query(FRAME, f"copy {FRAME} to {literal(path)} (format parquet)")
        with bounded.lent(home, connection):
            connection.execute(f"create view {_GIVEN} as from read_parquet({literal(path)})")
            yield None
    else:
        connections.bound(connection, folder)
        _copy(connection, cast("duckdb.DuckDBPyRelation", frame), path)
        connection.execute(f"create view {_GIVEN} as from read_parquet({literal(path)})")
        yield None


def _copy(
    connection: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation, path: str
) -> None:
    connection.register("tu__rows", relation.to_arrow_reader())
    try:
        connection.execute(f"copy (from tu__rows) to {literal(path)} (format parquet)")
    finally:
        connection.unregister("tu__rows")


def _collected(frame: Any) -> pa.Table:
    """Return a frame as an Arrow table; raise for a column that Arrow has no type for."""
    try:
        return frames.collected(frame)
    except frames.UNTYPED as error:
        if (name := frames.untyped(frame)) is None:
            raise
        raise FrameError(
            f"The column {name!r} holds values of several kinds, or of one that no target has.",
            "Bring it to text first, or drop it.",
        ) from error


def _view(connection: duckdb.DuckDBPyConnection, found: Columns, table: pa.Table | None) -> Usage:
    """Make `USAGE`: every column of wide under its dotted name and in its type.

    A ``table`` is what was given, if that is in memory.
    """
    given = _types(connection, _GIVEN)
    _check(found, given)
    rows = _GIVEN
    if found.layout == "long":
        rows = _PIVOTED
        connection.execute(f"create temp table {rows} as {convert.wide_of_long(_GIVEN, found)}")
        given = _types(connection, rows)
        found = columns(connection.table(rows))
    types = schema.layout_types(
        "wide",
        remote_data="remote_data" in found.known,
        extra="extra" in found.known,
        source=bool(found.marks),
    )
    parts = [_column(name, type_, found, given) for name, type_ in types.items()]
    parts += [f"{own.typed(name, given[name])} as {quote(name)}" for name in found.own]
    durations = own.durations({name: given[name] for name in found.own})
    own.require_lengths(connection, rows, durations)
    connection.execute(f"create view {_WIDE} as select {', '.join(parts)} from {rows}")
    charges = f" replace ({rebuilt_charges()} as charges)" if "charges" not in found.known else ""
    connection.execute(f"create view {USAGE} as select *{charges} from {_WIDE}")
    figures = _figures(types, found)
    given_as = [found.known[name] for name in (*figures, "charges") if name in found.known]
    if table is None or rows != _GIVEN or own.may_be_infinite(table, given_as):
        own.require_finite(connection, USAGE, figures)  # which reads every row
    kept = connection.sql(f"from {USAGE} limit 0").to_arrow_table().schema
    types |= {name: kept.field(name).type for name in found.own}
    return Usage(types, found.own, found.marks, durations=durations)


def _figures(types: Mapping[str, pa.DataType], found: Columns) -> list[str]:
    number = schema.ARROW["number"]
    return [name for name, type_ in types.items() if type_ == number and name in found.known]


def _check(found: Columns, given: Mapping[str, str]) -> None:
    """Raise if a column holds what does not belong there."""
    wanted = _source.kinds(found, [path for path in found.known if path in _source.DTYPES])
    for path in ("start_date", "end_date"):
        if path in found.known:
            wanted[found.known[path]] = "time"
    column_checks.check(
        wanted, {name: column_checks.of_duckdb(type_) for name, type_ in given.items()}
    )


def _types(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[str, str]:
    relation = connection.sql(f"from {rows}")
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


def _column(name: str, type_: pa.DataType, found: Columns, given: Mapping[str, str]) -> str:
    wanted = schema.duckdb_type(type_)
    if name not in found.known:
        return f"cast(null as {wanted}) as {quote(name)}"
    actual = found.known[name]
    plain = relations.plain(actual, given[actual])
    if type_ == schema.ARROW["timestamp"]:
        return f"timezone('UTC', cast({plain} as timestamp)) as {quote(name)}"
    return f"cast({plain} as {wanted}) as {quote(name)}"
