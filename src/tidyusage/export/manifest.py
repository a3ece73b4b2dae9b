"""The manifest of an export: rows and sums of money and tokens, to verify a load with."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tidyusage import catalogue
from tidyusage.errors import ExportError, FrameError, counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import duckdb

    from tidyusage.export.table import Table

NAME: Final = "_manifest.json"


class ExportManifest(dict[str, Any]):
    """What an export wrote, as a dict that shows itself in a few lines."""

    def __repr__(self) -> str:
        lines = [f"Export to {self['target']}"]
        for name, table in self["tables"].items():
            money = (
                f"{currency} {sums['cost']:,.2f}"
                for currency, sums in table.get("money", {}).items()
                if sums.get("cost") is not None
            )
            lines.append(", ".join([f"  {name}: {counted(table['rows'], 'row')}", *money]))
        return "\n".join(lines)


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

    def told(self, before: Mapping[str, Any] | None = None) -> ExportManifest:
        """Return all of it; tables of an earlier export that stayed are named as they were."""
        stayed = {
            name: {**_hidden(before or {}, name), **entry}
            for name, entry in (before or {}).get("tables", {}).items()
        }
        return ExportManifest({**self.head, "tables": {**stayed, **self.tables}})

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
    return _of(os.path.join(folder, NAME))


def of_file(path: str) -> dict[str, Any] | None:
    """Return the manifest beside a file, if both are there."""
    return _of(beside(path)) if os.path.isfile(path) else None


def of_text(text: str, there: Collection[str]) -> dict[str, Any]:
    """Return a manifest that a database keeps, with the tables that are still there."""
    found: dict[str, Any] = json.loads(text)
    kept = {name: entry for name, entry in found["tables"].items() if name in there}
    return {**found, "tables": kept}


def require_same_privacy(place: str, told: Manifest, before: Iterable[Mapping[str, Any]]) -> None:
    """Raise if rows would come to stand beside others in which something else is hidden.

    ``before`` are the manifests of what is there, the latest last.
    """
    for name in told.tables:
        there = [_hidden(found, name) for found in before if name in found["tables"]]
        ours = _hidden(told.told(), name)
        if there and there[-1] != ours:
            raise ExportError(
                f"The rows of {name} in {place!r} have {_said(there[-1])}, and these have "
                f"{_said(ours)}.",
                "Give anonymise= and drop= as they were, or export to another place: so nobody is "
                "two persons in one table, or named by what is there already.",
            )


def _of(path: str) -> dict[str, Any] | None:
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


def _hidden(told: Mapping[str, Any], table: str) -> dict[str, list[str]]:
    """Return what was hidden of a table's users; its own entry tells it, else the manifest."""
    entry = told["tables"][table]
    return {
        option: sorted({*entry.get(option, told.get(option, []))})
        for option in ("anonymised", "dropped")
    }


def _said(hidden: Mapping[str, list[str]]) -> str:
    parts = [f"{', '.join(names)} {option}" for option, names in hidden.items() if names]
    return " and ".join(parts) or "nothing hidden"


def _entry(
    connection: duckdb.DuckDBPyConnection, table: Table, partition_by: Sequence[str]
) -> dict[str, Any]:
    from tidyusage.export.partitions import Partitions

    names = Partitions.of(table, partition_by).names
    rows, tokens = _counts(connection, table)
    return {
        "rows": rows,
        "key": list(table.key),
        "columns": _types(table),
        **({"partition_by": list(names)} if names else {}),
        "money": _money(connection, table),
        "tokens": tokens,
    }


def _types(table: Table) -> dict[str, str]:
    return {column.name: str(column.type) for column in table.columns}


def _counts(connection: duckdb.DuckDBPyConnection, table: Table) -> tuple[int, dict[str, float]]:
    """Return how many rows a table has, and its sums of tokens."""
    names = {name: sql for name, sql, currency in table.sums if currency is None}
    chosen = ", ".join(["count(*)", *map(_sum, names.values())])
    ((rows, *counts),) = connection.execute(f"select {chosen} from ({table.sql})").fetchall()
    return rows, _told(table, names, counts)


def _money(connection: duckdb.DuckDBPyConnection, table: Table) -> dict[str, dict[str, float]]:
    """Return a table's sums of money, by currency; what is of none is under "unknown"."""
    found: dict[str, dict[str, float]] = {}
    for currency in dict.fromkeys(c for _, _, c in table.sums if c):
        names = {name: sql for name, sql, of in table.sums if of == currency}
        chosen = ", ".join([currency, *map(_sum, names.values())])
        query = f"select {chosen} from ({table.sql}) group by 1"
        for code, *amounts in connection.execute(query).fetchall():
            if kept := _told(table, names, amounts):
                found.setdefault(code or "unknown", {}).update(kept)
    return dict(sorted(found.items()))


def _sum(sql: str) -> str:
    return f"fsum({sql})"


def _told(table: Table, names: Iterable[str], sums: Iterable[float | None]) -> dict[str, float]:
    """Return the sums that there are, by name; raise if one is more than a number can be."""
    found = {name: n for name, n in zip(names, sums, strict=True) if n is not None}
    if endless := [name for name, n in found.items() if not math.isfinite(n)]:
        raise FrameError(
            f"The sum of {endless[0]} of {table.name} is more than a number can be.",
            "Look for amounts that cannot be, as in tu.findings(df).",
        )
    return found
