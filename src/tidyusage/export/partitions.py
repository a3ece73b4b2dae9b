"""Partition a table's files by its columns or by the time of its records."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote as escape

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils.sql import literal, quote, values
from tidyusage.errors import ExportError, OptionError, UnknownFieldError, nearest
from tidyusage.export.table import Column, spelled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from tidyusage.export.table import Table

_FORMATS: Final = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}
_MADE: Final = "When the window begins, in UTC; a partition."
_START: Final = quote("start_date")
_DATE_KEY: Final = quote("date_key")
# Hive's word for null, and how many bytes file systems allow a name.
_NOTHING: Final = "__HIVE_DEFAULT_PARTITION__"
_LONGEST: Final = 255
_SHOWN: Final = 40
_TEXT: Final = schema.duckdb_type(pa.string())
_TYPES: Final = (pa.string(), pa.int64(), pa.bool_(), pa.date32(), schema.ARROW["timestamp"])
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

    def require_writable(
        self, connection: duckdb.DuckDBPyConnection, table: Table, *, empty: bool
    ) -> None:
        """Raise if a value cannot be part of a path, or would not come back from it."""
        texts = [name for name, type_ in self.types.items() if type_ == _TEXT]
        for name in texts:
            value = quote(name)
            escaped = f"octet_length(encode(url_encode({value})))"
            room = _LONGEST - len(f"{escape(name)}=")
            tests = [f"{escaped} > {room}", f"{value} = {literal(_NOTHING)}"]
            tests += [] if empty else [f"{value} = ''"]
            found = connection.sql(
                f"select {value} from ({self.widened(table).sql}) "
                f"where {' or '.join(tests)} order by length({value}) limit 1"
            ).fetchall()
            if found:
                raise ExportError(
                    f"The value {_short(found[0][0])} of {name!r} cannot be the name of a folder.",
                    "Partition by another column, or change the value.",
                )

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
    names = _names(wanted)
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
        _require_type(name, tables)
    if len(set(names)) < len(names):
        raise OptionError(f"partition_by={list(names)} names a column twice.", "Name it once.")
    return names


def _names(wanted: object) -> tuple[str, ...]:
    found = () if wanted is None else (wanted,) if isinstance(wanted, str) else wanted
    if not isinstance(found, Iterable):
        raise OptionError(f"partition_by={wanted!r} names nothing.", "Write ['month'].")
    return tuple(found)


def _require_type(name: str, tables: Sequence[Table]) -> None:
    """Raise if a column's values are not such that all readers find them in names of folders."""
    for table in (table for table in tables if not table.shared):
        types = {column.name: column.type for column in table.columns}
        type_ = types.get(_spelled(name, types), pa.string())
        if type_ not in _TYPES:
            raise OptionError(
                f"{name!r} is of type {type_}, by which readers cannot tell folders apart.",
                "Partition by text, whole numbers, booleans, dates or instants.",
            )


def _short(value: str) -> str:
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}…"


def _spelled(name: str, columns: Mapping[str, object]) -> str:
    return next((n for n in (name, spelled(name), f"usage_{name}") if n in columns), name)


def _start(columns: Mapping[str, object]) -> str | None:
    """Return the SQL of when a row's window begins, in UTC."""
    if "start_date" in columns:
        return f"timezone('UTC', {_START})"
    if "date_key" in columns:
        return f"try_strptime(cast({_DATE_KEY} as varchar), '%Y%m%d')"
    return None
