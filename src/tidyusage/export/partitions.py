"""By what the files of a table are told apart: columns of it, or the time of its records."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage import schema
from tidyusage.errors import ExportError, OptionError, UnknownFieldError, nearest
from tidyusage.export.table import Column, spelled
from tidyusage.sqltext import literal, quote, values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidyusage.export.table import Table

_FORMATS: Final = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}
_MADE: Final = "When the window begins, in UTC; a partition."
_START: Final = quote("start_date")
_DATE_KEY: Final = quote("date_key")
# Hive's readers disagree on how anything else is written in the name of a folder.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_ .-]+")


@dataclass(frozen=True, slots=True)
class Partitions:
    """The columns of a table by which it is parted; ``made`` are the SQL of those added to it."""

    names: tuple[str, ...]
    made: Mapping[str, str]
    types: Mapping[str, str]

    @classmethod
    def of(cls, table: Table, wanted: Sequence[str]) -> Partitions:
        """Return the partitions of a table; none of a dimension, or of one without such columns."""
        if table.shared:
            return cls((), {}, {})
        columns = {column.name: column.type for column in table.columns}
        made: dict[str, str] = {}
        names = [_spelled(name, columns) for name in wanted]
        for name in names:
            if name in columns:
                continue
            start = _start(columns)
            if name not in _FORMATS or start is None:
                return cls((), {}, {})
            made[name] = f"strftime({start}, {literal(_FORMATS[name])})"
        types = {n: schema.duckdb_type(columns[n]) if n in columns else "varchar" for n in names}
        return cls(tuple(names), made, types)

    def widened(self, table: Table) -> Table:
        """Return a table with the columns that are made for partitions."""
        made = "".join(f", {sql} as {quote(name)}" for name, sql in self.made.items())
        columns = (Column(name, pa.string(), _MADE) for name in self.made)
        sql = f"select *{made} from ({table.sql})"
        return replace(table, columns=(*table.columns, *columns), sql=sql) if made else table

    def read(self, files: Sequence[str]) -> str:
        """Return the SQL of the rows of files, with what their folders' names say."""
        listed = f"[{values(files)}]"
        if not self.names:
            return f"read_parquet({listed})"
        types = ", ".join(f"{quote(name)}: {literal(type_)}" for name, type_ in self.types.items())
        return f"read_parquet({listed}, hive_partitioning = true, hive_types = {{{types}}})"

    def require_same(self, there: Sequence[str], place: str) -> None:
        """Raise if the files that are there are parted in another way."""
        if list(there) != list(self.names):
            raise ExportError(
                f"{place!r} is partitioned by {list(there)}, and not by {list(self.names)}.",
                f"Give partition_by={list(there)}, or mode='overwrite'.",
            )


def check(wanted: object, tables: Sequence[Table]) -> tuple[str, ...]:
    """Return the names to partition by; raise if no table has them."""
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted or ())  # type: ignore[arg-type]
    known = [column.name for table in tables for column in table.columns]
    for name in names:
        if not isinstance(name, str) or not _PLAIN.fullmatch(name):
            raise OptionError(
                f"{name!r} is no name to partition by.",
                "It becomes part of a path: use letters, digits, and _ . - or spaces.",
            )
        if name not in _FORMATS and spelled(name) not in known and f"usage_{name}" not in known:
            raise UnknownFieldError(
                f"There is nothing to partition by {name!r}.", nearest(name, [*_FORMATS, *known])
            )
    if len(set(names)) < len(names):
        raise OptionError(f"partition_by={list(names)} names a column twice.", "Name it once.")
    return names


def _spelled(name: str, columns: Mapping[str, object]) -> str:
    return next((n for n in (name, spelled(name), f"usage_{name}") if n in columns), name)


def _start(columns: Mapping[str, object]) -> str | None:
    """Return the SQL of when a row's window begins, in UTC."""
    if "start_date" in columns:
        return f"timezone('UTC', {_START})"
    if "date_key" in columns:
        return f"try_strptime(cast({_DATE_KEY} as varchar), '%Y%m%d')"
    return None
