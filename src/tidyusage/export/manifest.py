"""What an export was: rows, sums of money and of tokens, by which a load can be checked."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tidyusage import catalogue
from tidyusage.errors import ExportError
from tidyusage.sqltext import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from tidyusage.export.table import Table

NAME: Final = "_manifest.json"


@dataclass(slots=True)
class Manifest:
    """The manifest of one export, which learns what became of it."""

    head: Mapping[str, Any]
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def stands(self, table: str, rows: int) -> None:
        """Note how many rows a table of the target has when all is written."""
        self.tables[table]["rows_in_target"] = rows

    def holds(self, table: Table) -> None:
        """Note the types that a table's columns have in the target."""
        self.tables[table.name]["columns"] = _types(table)

    def told(self, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return all of it; tables of an earlier export that stayed are named as they were."""
        return {**self.head, "tables": {**(before or {}).get("tables", {}), **self.tables}}

    def text(self, before: Mapping[str, Any] | None = None) -> str:
        """Return all of it as JSON."""
        return json.dumps(self.told(before), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, path: str, before: Mapping[str, Any] | None = None) -> None:
        """Write all of it to a file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.text(before))


def begun(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[Table],
    *,
    partition_by: Sequence[str],
    **head: Any,
) -> Manifest:
    """Return the manifest of tables that are to be written."""
    from importlib.metadata import version

    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    manifest = Manifest(
        {
            "tidyusage": version("tidyusage"),
            "schema_version": catalogue.VERSION,
            "exported_at": now.isoformat().replace("+00:00", "Z"),
            **head,
        }
    )
    for table in tables:
        manifest.tables[table.name] = _entry(connection, table, partition_by)
    return manifest


def beside(path: str) -> str:
    """Return the place of the manifest of a file."""
    return f"{path}{NAME}"


def of_folder(folder: str) -> dict[str, Any] | None:
    """Return the manifest of a folder of exports, if it has one."""
    path = os.path.join(folder, NAME)
    if not os.path.isfile(path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
        if not isinstance(found["tables"], dict):
            raise TypeError("tables")  # noqa: TRY301 - told below
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"The manifest {path!r} cannot be read.",
            "Mend it, or move the folder away and export anew.",
        ) from error
    return found


def digest(path: str) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(
    connection: duckdb.DuckDBPyConnection, table: Table, partition_by: Sequence[str]
) -> dict[str, Any]:
    from tidyusage.export.partitions import Partitions

    names = Partitions.of(table, partition_by).names
    ((rows,),) = connection.sql(f"select count(*) from ({table.sql})").fetchall()
    return {
        "rows": rows,
        "key": list(table.key),
        "columns": _types(table),
        **({"partition_by": list(names)} if names else {}),
        "money": _money(connection, table),
        "tokens": _tokens(connection, table),
    }


def _types(table: Table) -> dict[str, str]:
    return {column.name: str(column.type) for column in table.columns}


def _money(connection: duckdb.DuckDBPyConnection, table: Table) -> dict[str, dict[str, float]]:
    """Return a table's sums of money, by currency; what is of none is under "unknown"."""
    found: dict[str, dict[str, float]] = {}
    for currency in dict.fromkeys(c for _, _, c in table.sums if c):
        sums = {name: sql for name, sql, of in table.sums if of == currency}
        for code, *amounts in _sums(connection, table, sums, currency):
            kept = {name: a for name, a in zip(sums, amounts, strict=True) if a is not None}
            if kept:
                found.setdefault(code or "unknown", {}).update(kept)
    return dict(sorted(found.items()))


def _tokens(connection: duckdb.DuckDBPyConnection, table: Table) -> dict[str, float]:
    sums = {name: sql for name, sql, currency in table.sums if currency is None}
    if not sums:
        return {}
    ((_, *counts),) = _sums(connection, table, sums, "null")
    return {name: n for name, n in zip(sums, counts, strict=True) if n is not None}


def _sums(
    connection: duckdb.DuckDBPyConnection, table: Table, sums: Mapping[str, str], by: str
) -> list[tuple[Any, ...]]:
    added = ", ".join(f"fsum({sql}) as {quote(name)}" for name, sql in sums.items())
    grouped = "group by 1 order by 1" if by != "null" else ""
    return connection.sql(f"select {by}, {added} from ({table.sql}) {grouped}").fetchall()
