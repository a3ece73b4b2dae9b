"""The schema of the records as the peers take it, made from the same catalogue as ours."""

from __future__ import annotations

from typing import Any, Final

import polars as pl
import pyarrow as pa

from tidyusage import catalogue
from tidyusage.catalogue import FIELDS, Field

# The vendor's own object has no schema: a reader that is given one leaves it out.
_TREE: Final = catalogue.tree(tuple(field for field in FIELDS if field.dtype != "json"))
_CLOSED: Final = catalogue.tree(
    tuple(field for field in FIELDS if field.dtype not in {"json", "counts"})
)

_DATE: Final = "%Y-%m-%dT%H:%M:%S%.fZ"


def polars_schema(dates: pl.DataType) -> dict[str, pl.DataType]:
    """Return the nested schema; ``tool_actions``, an open object, is read as text."""
    return {key: _polars(child, dates) for key, child in _TREE.items()}


def _polars(child: Any, dates: pl.DataType) -> pl.DataType:
    if isinstance(child, list):
        return pl.List(_polars(child[0], dates))
    if isinstance(child, dict):
        return pl.Struct({key: _polars(inner, dates) for key, inner in child.items()})
    types = {"number": pl.Float64(), "boolean": pl.Boolean(), "timestamp": dates}
    return types.get(child.dtype, pl.String())


def polars_leaves(*, parse_dates: bool) -> list[pl.Expr]:
    """Return the columns of wide: every leaf under its dotted name, and the lists as they are."""
    leaves = [*catalogue.SCALARS, catalogue.TOOL_ACTIONS]
    return [*(_leaf(field, parse_dates) for field in leaves), *map(pl.col, catalogue.LISTS)]


def _leaf(field: Field, parse_dates: bool) -> pl.Expr:
    first, *rest = field.keys
    expression = pl.col(first)
    for key in rest:
        expression = expression.struct.field(key)
    if parse_dates and field.dtype == "timestamp":
        expression = expression.str.to_datetime(_DATE, time_unit="us", time_zone="UTC")
    return expression.alias(field.column)


def arrow_schema() -> pa.Schema:
    """Return the nested schema without ``tool_actions``: Arrow reads no object as text."""
    return pa.schema([(key, _arrow(child)) for key, child in _CLOSED.items()])


def _arrow(child: Any) -> pa.DataType:
    if isinstance(child, list):
        return pa.list_(_arrow(child[0]))
    if isinstance(child, dict):
        return pa.struct([(key, _arrow(inner)) for key, inner in child.items()])
    return {
        "string": pa.string(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }[child.dtype]


def flat(table: pa.Table) -> pa.Table:
    """Flatten structs until none is left."""
    while any(pa.types.is_struct(column.type) for column in table.schema):
        table = table.flatten()
    return table
