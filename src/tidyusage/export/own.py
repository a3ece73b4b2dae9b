"""Convert the caller's own columns to the types that exports support."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage._utils.sql import quote, values
from tidyusage.engines import relations
from tidyusage.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

_DURATION: Final = "INTERVAL"
_AS: Final = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT"), "bigint"),
    "UINTEGER": "bigint",
    "UBIGINT": "decimal(38, 0)",
    "HUGEINT": "decimal(38, 0)",
    '"NULL"': "varchar",
    "NULL": "varchar",
    "DATE": "date",
}
_DECIMAL: Final = re.compile(r"DECIMAL\(\d+, ?(\d+)\)")


def typed(name: str, type_: str) -> str:
    """Return the SQL of a column, of a type as DuckDB writes it, in that of exports.

    Whole numbers have 64 bits, decimals 38 digits, floats 64 bits, and time goes by microseconds: a
    library's choice of fewer must not make two exports of one column differ.  Durations are
    seconds; categories and columns without a value are text.
    """
    column = quote(name)
    if type_ == _DURATION:
        return f"epoch({column})"
    if type_.startswith("TIMESTAMP"):
        return _by_microseconds(column, type_)
    if found := _DECIMAL.fullmatch(type_):
        return f"cast({column} as decimal(38, {found[1]}))"
    if type_ in _AS:
        return f"cast({column} as {_AS[type_]})"
    plain = relations.plain(name, type_)
    return f"cast({plain} as double)" if type_ == "FLOAT" else plain


def _by_microseconds(column: str, type_: str) -> str:
    """Return the SQL of a time to the microsecond; a cast of nanoseconds would round."""
    has_zone = "TZ" in type_ or "ZONE" in type_
    if type_.endswith("_NS"):
        whole = f"(epoch_ns({column}) - ((epoch_ns({column}) % 1000 + 1000) % 1000)) // 1000"
        return f"{'make_timestamptz' if has_zone else 'make_timestamp'}({whole})"
    return f"cast({column} as {'timestamptz' if has_zone else 'timestamp'})"


def durations(types: Mapping[str, str]) -> tuple[str, ...]:
    """Return the columns that hold durations, of types as DuckDB writes them."""
    return tuple(name for name, type_ in types.items() if type_ == _DURATION)


def require_lengths(connection: duckdb.DuckDBPyConnection, rows: str, names: Iterable[str]) -> None:
    """Raise if a duration is of months, of which nobody can tell the seconds."""
    for name in names:
        column = quote(name)
        months = f"extract(year from {column}) <> 0 or extract(month from {column}) <> 0"
        query = f"select {column}::varchar from {rows} where {months} limit 1"
        if found := connection.execute(query).fetchall():
            raise FrameError(
                f"The column {name!r} holds {found[0][0]!r}: how many seconds a month has, nothing "
                "says.",
                "Make it text, or days.",
            )


def may_be_infinite(table: pa.Table, names: Iterable[str]) -> bool:
    """Tell whether a float of a table's columns, or of lists of charges in one, is infinite."""
    return any(_has_infinity(table[name]) for name in names)


def _has_infinity(column: Any) -> bool:
    from pyarrow import compute as pc

    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        entries = pc.list_flatten(column)
        if not pa.types.is_struct(entries.type) or entries.type.get_field_index("amount") < 0:
            return True  # of another form: the query looks at it
        column = pc.struct_field(entries, "amount")
    if pa.types.is_nested(column.type):
        return True
    return pa.types.is_floating(column.type) and bool(pc.any(pc.is_inf(column)).as_py())


def require_finite(connection: duckdb.DuckDBPyConnection, rows: str, names: Iterable[str]) -> None:
    """Raise if a figure of a record is infinite: no sum can be told of it, and no JSON holds it."""
    tests = {name: f"isinf({quote(name)})" for name in names}
    tests["charges"] = "len(list_filter(charges, lambda tu__e: isinf(tu__e.amount))) > 0"
    cases = " ".join(f"when {test} then {values([name])}" for name, test in tests.items())
    query = f"select id, tu__name from (select id, case {cases} end as tu__name from {rows})"
    found = connection.execute(f"{query} where tu__name is not null limit 1").fetchall()
    if found:
        ((id_, name),) = found
        raise FrameError(
            f"The column {name!r} holds an infinity, of the record {id_!r}.",
            "Put a number or null in its place.",
        )
