"""Append to or update existing tables."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage._utils.sql import quote, same
from tidyusage.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from tidyusage.export.table import Table
    from tidyusage.typing import Mode

# What of the types of two readers differs, and is the same; and the decimals of 38 digits.
_ALIKE: Final = ((r"large_(list|string)", r"\1"), ("list<\\w+: ", "list<"), (" not null", ""))
_NO_DECIMAL: Final = -1
_DECIMAL: Final = re.compile(r"decimal128\(38, (\d+)\)")


def merged(there: str, table: Table, mode: Mode) -> str:
    """Return the query of what a table holds after rows were added or replaced, in order."""
    columns = ", ".join(quote(column.name) for column in table.columns)
    kept = f"select {columns} from {there} as tu__old"
    if mode == "upsert":
        test = same("tu__old", "tu__new", *map(quote, table.owners))
        kept += f"\nwhere not exists (\n  from tu__owners as tu__new where {test}\n)"
        steps = f"with tu__owners as ({table.owned})\n"
    else:
        steps = ""
    by = ", ".join(f"{quote(name)} nulls last" for name in table.order)
    order = f"\norder by {by}" if by else ""
    return f"{steps}({kept})\nunion all\n(select {columns} from ({table.sql})){order}"


def deletion(place: str, table: Table) -> str:
    """Return the statement that deletes what a table's new rows replace."""
    test = same("tu__old", "tu__new", *map(quote, table.owners))
    return f"""delete from {place} as tu__old
where exists (
  select 1 from ({table.owned}) as tu__new
  where {test}
)"""


def require_new(connection: duckdb.DuckDBPyConnection, there: str, table: Table) -> None:
    """Raise if rows that are to be appended are there already, and others point to them."""
    keys = ", ".join(map(quote, table.key))
    old, new = f"select {keys} from {there}", f"select {keys} from ({table.sql})"
    ((count,),) = connection.execute(f"select count(*) from ({new} intersect {old})").fetchall()
    if count:
        raise ExportError(
            f"{count:,} of the records of {table.name} are there already.",
            "mode='upsert' puts new rows in the place of those that are there.",
        )


def is_there(what: str) -> ExportError:
    """Return the error of what an export would have to change, and was not told to."""
    return ExportError(
        f"{what} is there already.",
        "mode='overwrite' writes it anew, 'append' adds rows, 'upsert' puts rows in the place of "
        "those of the same records.",
    )


def require_columns(
    place: str, there: Sequence[str], ours: Sequence[str], name: str, *, in_order: bool = False
) -> None:
    """Raise if a table that is there has other columns than the one to be written."""
    if list(there) == list(ours) or (not in_order and set(there) == set(ours)):
        return
    raise ExportError(
        f"{place!r} has other columns than the table {name}: {_told(there, ours)}.",
        "Export with the same columns, or with mode='overwrite'.",
    )


def fitted(
    place: str,
    there: Mapping[str, object],
    table: Table,
    ours: Mapping[str, object] | None = None,
    *,
    in_order: bool = False,
) -> Table:
    """Return a table in the types of the one that is there; raise if that loses anything.

    Types are Arrow's, or as Arrow writes them; ``ours`` are those in which a target has the table.
    Decimals take more digits after the point, and nothing else is made to fit.
    """
    require_columns(place, list(there), table.names, table.name, in_order=in_order)
    ours = ours or {column.name: column.type for column in table.columns}
    wider = {
        name: old
        for name, type_ in ours.items()
        if (old := _scale(there[name])) > _scale(type_) > _NO_DECIMAL
    }
    words = {name: _word(type_) for name, type_ in ours.items()}
    olds = {name: _word(type_) for name, type_ in there.items()}
    require_types(place, olds, {**words, **{name: olds[name] for name in wider}}, table.name)
    return _widened(table, wider) if wider else table


def require_types(
    place: str, there: Mapping[str, str], ours: Mapping[str, str], table: str
) -> None:
    """Raise if a column that is there is of another type, in the target's own words."""
    for name, type_ in ours.items():
        if there[name] != type_:
            raise ExportError(
                f"{place!r} has the column {name!r} as {there[name]}, and the table {table} has it "
                f"as {type_}.",
                f"Bring it to {there[name]} first, or export with mode='overwrite'.",
            )


def _widened(table: Table, scales: Mapping[str, int]) -> Table:
    """Return a table whose decimals have more digits after the point."""
    types = {name: pa.decimal128(38, scale) for name, scale in scales.items()}
    columns = (replace(c, type=types.get(c.name, c.type)) for c in table.columns)
    casts = ", ".join(
        f"cast({quote(name)} as decimal(38, {scale})) as {quote(name)}"
        for name, scale in scales.items()
    )
    sql = f"select * replace ({casts}) from ({table.sql})"
    return replace(table, columns=tuple(columns), sql=sql, held=None)


def _scale(type_: object) -> int:
    found = _DECIMAL.fullmatch(str(type_))
    return int(found[1]) if found else _NO_DECIMAL


def _word(type_: object) -> str:
    word = str(type_)
    for sign, alike in _ALIKE:
        word = re.sub(sign, alike, word)
    return word


def _told(there: Sequence[str], ours: Sequence[str]) -> str:
    gone = [name for name in there if name not in ours]
    new = [name for name in ours if name not in there]
    parts = [f"without {gone[:5]}"] if gone else []
    parts += [f"with {new[:5]}"] if new else []
    return " and ".join(parts) or "the same, in another order"
