"""Split a record into parts, each with its share of the measures.

Charges and counts are multiplied by the part's share.  What cannot be added, such as a distinct
count or a flag, is a statement about the whole record, and is null in a part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from tidyusage import catalogue, schema
from tidyusage._utils.sql import quote
from tidyusage.layouts.convert_sql import COUNTS

if TYPE_CHECKING:
    from tidyusage.engines.columns import Columns

_ADDED: Final = (
    tuple(f.column for f in catalogue.MEASURES if f.addition != "never") + catalogue.CHARGE_AMOUNTS
)
_NEVER: Final = {
    f.column: schema.duckdb_type(schema.ARROW[f.dtype])
    for f in catalogue.MEASURES
    if f.addition == "never"
}
# Lists whose entries hold a number that is split: the list, and that number.
_LISTS: Final = {"charges": "amount", COUNTS: "count"}


def measures(found: Columns, share: str, is_part: str) -> dict[str, str]:
    """Return the SQL of a frame's measures by path, in a row that may be part of a record.

    ``share`` is the SQL of the part's share, ``is_part`` of whether the row is one: a whole record
    keeps its measures as they are.
    """
    parts = {
        path: f"case when {is_part} then {_double(path)} * {share} else {_double(path)} end"
        for path in _ADDED
    }
    parts |= {
        path: f"case when {is_part} then null else cast({quote(path)} as {_NEVER[path]}) end"
        for path in _NEVER
    }
    parts |= {path: _entries(path, share, is_part) for path in _LISTS}
    return {path: sql for path, sql in parts.items() if path in found.known}


def scaled(weight: str, most: str) -> str:
    """Return the SQL of a weight brought near 1, so that no sum of several overflows.

    It is divided by a power of two, which is exact, near the greatest of them.
    """
    return f"{weight} / pow(2e0, greatest(floor(log2({most})) - 1, -1022))"


def _double(path: str) -> str:
    return f"cast({quote(path)} as double)"


def _entries(path: str, share: str, is_part: str) -> str:
    """Return the SQL of a list of which each entry's number is multiplied by a share."""
    type_, number = cast("Any", schema.layout_types("wide")[path]), _LISTS[path]
    entries = f"cast({quote(path)} as {schema.duckdb_type(type_)})"
    members = {field.name: f"tu__e.{quote(field.name)}" for field in type_.value_type}
    members[number] = f"{members[number]} * {share}"
    entry = ", ".join(f"{quote(name)}: {sql}" for name, sql in members.items())
    # A null among the entries stays one.
    part = f"case when tu__e is not null then {{{entry}}} end"
    return f"""case
      when {is_part} then list_transform({entries}, lambda tu__e: {part})
      else {entries}
    end"""
