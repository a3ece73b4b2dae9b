"""The columns of a DuckDB relation, as queries see them and back in their own types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils.sql import FRAME, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

ALL: Final = "tu__all"
_PLAIN: Final = "tu__plain"
_INSTANT: Final = "TIMESTAMP WITH TIME ZONE"


def plain(name: str, type_: str) -> str:
    """Return the SQL of a column, of a type as DuckDB writes it, as queries are to see it."""
    column = quote(name)
    if type_ == _INSTANT:
        return f"timezone('UTC', {column})"
    if type_.startswith(("TIMESTAMP", "DATE")):
        return f"cast({column} as timestamp)"
    if type_ in {"DOUBLE", "FLOAT"}:
        return f"nullif({column}, cast('nan' as double))"
    return f"cast({column} as varchar)" if type_.startswith("ENUM") else column


def typed(column: str, type_: pa.DataType) -> str:
    """Return the SQL of a quoted column of an answer in its type."""
    if pa.types.is_timestamp(type_):
        return f"timezone('UTC', {column})"
    return f"cast({column} as {schema.duckdb_type(type_)})"


def of_own_type(column: str, type_: str) -> str:
    """Return the SQL of a quoted column of an answer in the type that it has in the relation."""
    return f"timezone('UTC', {column})" if type_ == _INSTANT else f"cast({column} as {type_})"


def beside(relation: duckdb.DuckDBPyRelation, needs: Iterable[str], sql: str) -> tuple[str, str]:
    """Return the step `ALL`, a relation's own rows, and a query beside it over the plain ones.

    Both see the rows in one order.
    """
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    columns = ", ".join(f"{plain(name, types[name])} as {quote(name)}" for name in needs)
    steps = f"""with {ALL} as materialized (
  select *
  from {FRAME}
),
{_PLAIN} as (
  select {columns}
  from {ALL}
)"""
    return steps, sql.replace(FRAME, _PLAIN)
