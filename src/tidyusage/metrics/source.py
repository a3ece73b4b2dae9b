"""The first step of every metric: a frame's columns under dotted names, one row a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tidyusage import catalogue, schema
from tidyusage.engines import FRAME
from tidyusage.reshape import COUNTS, count_entry
from tidyusage.sql import clauses, literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.columns import Columns

WEIGHT: Final = "tu__weight"
RECORD: Final = "tu__record"
DTYPES: Final = {field.column: field.dtype for field in catalogue.SCALARS} | {
    **dict.fromkeys((f"charges.{type_}" for type_ in catalogue.CHARGE_TYPES), "number"),
    "charges.currency": "string",
    COUNTS: "counts",
}
_TYPES: Final = {
    "number": "double",
    "boolean": "boolean",
    "string": "varchar",
    "timestamp": "timestamp",
    "counts": schema.duckdb_type(schema.COUNTS),
}
# Fields that long holds as the unit of certain metrics.
_UNITS: Final = {"charges.currency": "charges.%", "usage.unit": "usage.quantity"}


@dataclass(frozen=True, slots=True)
class Dimension:
    """What an answer is grouped by: ``name`` in the answer, ``column`` in the frame, if there.

    One that stands in a list of the record has that list as its ``child``.
    """

    name: str
    column: str | None
    path: str = ""
    child: str = ""


def select(columns: Columns, by: Iterable[Dimension], fields: Iterable[str], *, split: bool) -> str:
    """Return the query of a frame's dimensions and fields, one row a record.

    If ``split``, with a number and a weight; a record that stands under several entries of a list
    has a row for each, of equal weights.
    """
    by = tuple(by)
    is_long = columns.layout == "long"
    value = _from_long if is_long else _from_wide
    parts = {dimension.name: _dimension(dimension, is_long=is_long) for dimension in by}
    parts = {field: value(columns, field) for field in fields} | parts
    children = tuple(dict.fromkeys(dimension.child for dimension in by if dimension.child))
    if split:
        shares = [f"greatest(len({_entries(columns, child)}), 1)" for child in children]
        parts[WEIGHT] = f"1e0 / ({' * '.join(shares)})" if shares else "1e0"
        parts[RECORD] = RECORD if children else "row_number() over ()"
    listed = [f"{sql} as {quote(name)}" for name, sql in parts.items()] or ["1 as tu__row"]
    source = _unnested(columns, children) if children else FRAME
    keys = [columns.known[name] for name in ("record", "id") if name in columns.known]
    grouped = f"\n  group by {', '.join(map(quote, keys))}" if is_long else ""
    return f"select\n    {clauses(listed)}\n  from {source}{grouped}"


def needs(columns: Columns, by: Iterable[Dimension], fields: Iterable[str]) -> tuple[str, ...]:
    """Return the frame's columns that are read."""
    known = columns.known
    wanted = [dimension.column for dimension in by if dimension.column]
    wanted += [known[field] for field in fields if field in known]
    if columns.layout == "long":
        wanted += [known[n] for n in ("record", "id", "metric", "value", "unit") if n in known]
    return tuple(dict.fromkeys(wanted or [known["id"]]))


def null(field: str) -> str:
    """Return the SQL of a field that is not there."""
    return f"cast(null as {_TYPES[DTYPES.get(field, 'string')]})"


def _dimension(dimension: Dimension, *, is_long: bool) -> str:
    if dimension.column is None:
        return null(dimension.path)
    if dimension.child == "tool_actions":
        return "tu__tool_actions"
    if dimension.child:
        path = dimension.path.split(".")[1:]
        return ".".join([f"tu__{dimension.child}", *map(quote, path)])
    return f"max({quote(dimension.column)})" if is_long else quote(dimension.column)


def _from_wide(columns: Columns, field: str) -> str:
    if field not in columns.known:
        return null(field)
    column, dtype = quote(columns.known[field]), DTYPES[field]
    return column if dtype in {"timestamp", "counts"} else f"cast({column} as {_TYPES[dtype]})"


def _from_long(columns: Columns, field: str) -> str:
    known, dtype = columns.known, DTYPES[field]
    metric = quote(known["metric"])
    if field == COUNTS:
        return _counts_of_long(columns)
    if field in _UNITS and "unit" in known:
        return f"max({quote(known['unit'])}) filter (where {metric} like '{_UNITS[field]}')"
    if dtype in {"number", "boolean"}:
        value = f"sum(cast({quote(known['value'])} as double))"
        total = f"{value} filter (where {metric} = {literal(field)})"
        return f"({total} <> 0)" if dtype == "boolean" else total
    return f"max({quote(known[field])})" if field in known else null(field)


def _counts_of_long(columns: Columns) -> str:
    metric, value = quote(columns.known["metric"]), quote(columns.known["value"])
    entry = count_entry(metric, f"cast({value} as double)")
    return f"list({entry}) filter (where {metric} like {literal(COUNTS + '.%')})"


def _unnested(columns: Columns, children: Iterable[str]) -> str:
    """Return the SQL of a frame with a row for each entry of its lists, one if it has none."""
    rows = f"(select *, row_number() over () as {RECORD} from {FRAME})"
    for child in children:  # one by one: two in one list of columns would go side by side
        entries = _entries(columns, child)
        present = f"case when len({entries}) > 0 then {entries} else [null] end"
        rows = f"(select *, unnest({present}) as tu__{child} from {rows})"
    return rows


def _entries(columns: Columns, child: str) -> str:
    if child == "tool_actions":
        column = quote(columns.known[COUNTS])
        return f"list_distinct(list_transform({column}, lambda tu__e: tu__e.tool))"
    return quote(columns.known[child])
