"""Write values for which a target has no type, or whose text it would misread."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage._utils.sql import literal, quote

if TYPE_CHECKING:
    from tidyusage.export.table import Column, Table

_INSTANT: Final = pa.timestamp("us", tz="UTC")
# Spaces and control characters, which spreadsheets drop before they look at a cell.
_BLANK: Final = r"\x00-\x20\x7f\xa0" + "\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff"
# What spreadsheets take for the beginning of a formula, full-width signs included, after quotes of
# our own.  Python, DuckDB and Polars read this pattern alike.
_SIGNS: Final = r"=+\-@" + "\uff1d\uff0b\uff0d\uff20"
FORMULA: Final = rf"^'*([\t\r\n\x00]|[{_BLANK}]*[{_SIGNS}])"
_CLOCK: Final = pa.timestamp("us")
_PLAIN: Final = (pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.date32(), _INSTANT, _CLOCK)


def plain(column: Column, *, nested: bool = False) -> tuple[str, pa.DataType]:
    """Return the SQL of a column as one of eight types that targets have, and which.

    They are text, floats, integers of 64 bits, decimals, booleans, dates, instants in UTC, and
    times without a zone; lists and structs become JSON unless the target takes them ``nested``,
    and whatever else there is, text.
    """
    name, type_ = quote(column.name), column.type
    if type_ in _PLAIN or pa.types.is_decimal(type_) or (nested and pa.types.is_nested(type_)):
        return name, type_
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return name, pa.string()
    if pa.types.is_nested(type_):
        return f"cast(to_json({name}) as varchar)", pa.string()
    return f"cast({name} as varchar)", pa.string()


def is_clock(type_: pa.DataType) -> bool:
    """Tell whether a type is of times without a zone."""
    return type_ == _CLOCK


def selected(table: Table, query: str = "", *, nested: bool = False) -> tuple[str, pa.Schema]:
    """Return a query of a table in types that every target has, and what they are."""
    found = {column.name: plain(column, nested=nested) for column in table.columns}
    named = (f"{sql} as {quote(name)}" for name, (sql, _) in found.items())
    schema = pa.schema(
        [table.schema.field(name).with_type(type_) for name, (_, type_) in found.items()]
    )
    return f"select {', '.join(named)} from ({query or table.sql})", schema


def harmless(text: str) -> str:
    """Return the SQL of text that no spreadsheet takes for a formula.

    An apostrophe stands before what begins like one, and before what already begins with
    apostrophes and then so: taking one away gives back what was there.
    """
    return (
        f"case when regexp_matches({text}, {literal(FORMULA)}) then '''' || {text} else {text} end"
    )


def harmless_text(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if re.match(FORMULA, text) else text
