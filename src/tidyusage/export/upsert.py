"""What stays of a table when rows are added to it, or put in the place of old ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidyusage.errors import ExportError
from tidyusage.sqltext import quote, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from tidyusage.export.table import Table
    from tidyusage.typing import Mode


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
    ((count,),) = connection.sql(f"select count(*) from ({new} intersect {old})").fetchall()
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


def _told(there: Sequence[str], ours: Sequence[str]) -> str:
    gone = [name for name in there if name not in ours]
    new = [name for name in ours if name not in there]
    parts = [f"without {gone[:5]}"] if gone else []
    parts += [f"with {new[:5]}"] if new else []
    return " and ".join(parts) or "the same, in another order"
