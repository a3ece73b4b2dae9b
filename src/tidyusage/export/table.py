"""A table of an export: its query, columns and description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage import catalogue, schema
from tidyusage._utils.sql import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from tidyusage.engines.columns import Columns

# The view of the usage that is exported: wide, one row a record, under dotted names.
USAGE: Final = "tu__usage"


@dataclass(frozen=True, slots=True)
class Usage:
    """The columns of `USAGE`: those of the wide layout, all there, then the caller's ``own``.

    ``marks`` are the columns that say what records were fetched for, where the frame has them.
    Columns that are ``left_out`` are null, and go into no table that can do without; own ones that
    were ``durations`` are seconds.  Rows that are ``held`` in memory are the wide table as it is to
    be exported.  ``given`` are the columns of the frame itself.
    """

    types: Mapping[str, pa.DataType]
    own: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    durations: tuple[str, ...] = ()
    held: pl.DataFrame | pa.Table | None = None
    given: Columns | None = None

    @property
    def lacks_currency(self) -> bool:
        """Whether the frame has amounts, and no column that says in which currency they are."""
        return self.given is not None and self.given.lacks_currency

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that tell a record from all others."""
        return (*(name for name in self.marks if name not in self.left_out), "id")

    def own_column(self, name: str) -> Column:
        """Return one of the caller's own columns as tables have it."""
        return Column(name, self.types[name], unit="seconds" if name in self.durations else "")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an exported table, as its target names it; a ``required`` one is never null."""

    name: str
    type: pa.DataType
    description: str = ""
    unit: str = ""
    required: bool = False

    @property
    def told(self) -> str:
        """What is said of it where there is but one text: its description, then its unit."""
        unit = f"Unit: {self.unit}." if self.unit else ""
        return " ".join(filter(None, [self.description, unit]))


@dataclass(frozen=True, slots=True)
class Table:
    """A table to be exported.

    ``sql`` is a query whose columns have the names and types of ``columns``.  ``key`` tells its
    rows apart; an upsert replaces all rows of an ``owner``, which is the key if none is named, and
    ``parents`` is the query of all owners, where one may have no rows.  ``references`` names,
    by column, the table and key that it points to; rows of a ``shared`` table are those of every
    export that has them, so that none is added twice.  No two
    rows of a ``unique`` one have a key, whatever is appended.  What is ``held`` are the rows.
    ``sums`` are what a load can be checked by: an amount's name with its SQL, and the SQL of its
    currency, or None for tokens.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    sql: str
    key: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    parents: str = ""
    order: tuple[str, ...] = ()
    references: Mapping[str, tuple[str, str]] | None = None
    shared: bool = False
    unique: bool = False
    held: pl.DataFrame | pa.Table | None = None
    sums: tuple[tuple[str, str, str | None], ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of its columns."""
        return [column.name for column in self.columns]

    @property
    def owners(self) -> tuple[str, ...]:
        """The columns that say which rows an upsert replaces."""
        return self.owner or self.key

    @property
    def owned(self) -> str:
        """The query of the owners whose rows an upsert replaces."""
        owners = ", ".join(map(quote, self.owners))
        return f"select distinct {owners} from ({self.parents or self.sql})"

    @property
    def schema(self) -> pa.Schema:
        """The table as Arrow describes it, with units and descriptions as the fields' metadata."""
        fields = [_field(column) for column in self.columns]
        return pa.schema(fields, metadata={"description": self.description})

    @property
    def ordered(self) -> str:
        """The query with its rows in order, the names as the target has them."""
        by = ", ".join(f"{quote(name)} nulls last" for name in self.order)
        return f"select * from ({self.sql}) order by {by}" if by else self.sql


def _field(column: Column) -> pa.Field[pa.DataType]:
    told = {"description": column.description, "unit": column.unit}
    metadata = {name: text for name, text in told.items() if text}
    return pa.field(column.name, column.type, nullable=not column.required, metadata=metadata)


def spelled(name: str) -> str:
    """Return a column's name as exports spell it."""
    return schema.rename(name, "_")


def described(path: str, *, type_: pa.DataType | None = None, required: bool = False) -> Column:
    """Return the column of a field of the catalogue."""
    field = _FIELDS.get(path)
    return Column(
        spelled(path),
        type_ or (schema.ARROW[field.dtype] if field else pa.string()),
        field.description if field else "",
        (field.unit or "") if field else "",
        required,
    )


_FIELDS: Final = {
    field.column: field for field in (*catalogue.FIELDS, *catalogue.SOURCE) if not field.parent_list
}
