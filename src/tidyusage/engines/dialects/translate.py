"""Translate a metric's query into the SQL of a warehouse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from tidyusage import schema
from tidyusage._utils.sql import FRAME, clauses, quote
from tidyusage.engines.dialects import spark
from tidyusage.errors import OptionError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlglot.expressions import Expr

    from tidyusage.typing import Separator

DUCKDB: Final = "duckdb"


@dataclass(frozen=True, slots=True)
class Table:
    """A wide table in a warehouse: to the metrics a frame, whose answer is the SQL."""

    name: str
    sep: Separator = "."
    dialect: str = DUCKDB
    columns_: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no dialect, or no name of a table."""
        import sqlglot

        known = [name for name in sqlglot.Dialect.classes if name]
        if self.dialect not in known:
            hint = nearest(str(self.dialect), known)
            raise OptionError(f"dialect={self.dialect!r} is none.", hint)
        if not _is_table(self.name, self.dialect):
            raise OptionError(
                f"table={self.name!r} is no name of a table.", "Give one such as 'sales.usage'."
            )

    @property
    def columns(self) -> list[str]:
        """Those that it is said to have, else those of the wide layout."""
        return list(self.columns_) or [
            schema.rename(name, self.sep) for name in schema.layout_types("wide")
        ]


def written(table: Table, sql: str, needs: Iterable[str], keys: Mapping[str, str]) -> str:
    """Return a query over the columns that it needs of a table, in the table's dialect.

    ``keys`` are what the query calls its dimensions, by name.
    """
    instants = {n for n, t in schema.layout_types("wide").items() if t == schema.ARROW["timestamp"]}
    columns = [
        f"timezone('UTC', {quote(name)}) as {quote(name)}" if name in instants else quote(name)
        for name in needs
    ]
    frame = f"{FRAME} as (\n  select\n    {clauses(columns)}\n  from {table.name}\n)"
    text = f"with {frame},\n{_with_names(sql, keys).removeprefix('with ')}"
    return text if table.dialect == DUCKDB else translated(text, table.dialect)


def _with_names(sql: str, keys: Mapping[str, str]) -> str:
    """Return a query whose answer has the dimensions by name."""
    steps, select, last = sql.rpartition("\nselect ")
    columns, source, rest = last.partition("\nfrom ")
    rest, order, ordered = rest.rpartition("\norder by ")
    for name, key in keys.items():
        inner, outer = quote(key), quote(name)
        if f"as {inner}" in columns:
            columns = columns.replace(f"as {inner}", f"as {outer}", 1)
        else:
            columns = columns.replace(inner, f"{inner} as {outer}", 1)
        ordered = re.sub(rf"(?<!\.){re.escape(inner)}", outer, ordered)
    return f"{steps}{select}{columns}{source}{rest}{order}{ordered}"


def _is_table(name: str, dialect: str) -> bool:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    if not name.isprintable():
        return False
    try:
        found = sqlglot.parse(f"select * from {name}", dialect=dialect)
    except SqlglotError:
        return False
    tables = list(cast("Any", found[0]).find_all(exp.Table))
    return len(found) == len(tables) == 1 and tables[0].sql(dialect) == name


def translated(text: str, dialect: str) -> str:
    """Return a query in DuckDB's words in those of another dialect; raise if it has none."""
    return spoken(parsed(text, dialect), dialect)


def parsed(text: str, dialect: str) -> Any:
    """Return the tree of a query in DuckDB's words that another dialect is to have."""
    import sqlglot

    return sqlglot.parse_one(spark.prepared(text) if dialect == "spark" else text, read=DUCKDB)


def spoken(tree: Any, dialect: str) -> str:
    """Return a tree's query in the words of a dialect; raise if it has none."""
    import sqlglot
    from sqlglot.errors import UnsupportedError

    changes = {"spark": spark.rewritten, "postgres": _for_postgres, "bigquery": _for_bigquery}
    tree = tree.transform(changes.get(dialect, _for_others))
    try:
        level = sqlglot.ErrorLevel.RAISE
        return cast("str", tree.sql(dialect=dialect, pretty=True, unsupported_level=level))
    except UnsupportedError as error:
        raise OptionError(
            f"{dialect} has no words for this metric: {str(error).partition(chr(10))[0]}",
            "Ask without resources.* and tool, or in DuckDB, PostgreSQL or Spark.",
        ) from error


def _for_postgres(node: Expr) -> Any:
    """Rewrite what sqlglot leaves as it is: a series is rows in PostgreSQL, not an array."""
    from sqlglot import exp

    if isinstance(node, exp.GenerateSeries):
        return exp.Array(expressions=[exp.select(node.copy())])
    return node


def _is_timezone(node: Any) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Anonymous) and node.name.lower() == "timezone"


def _for_others(node: Expr) -> Any:
    from sqlglot import exp

    if _is_timezone(node):
        zone, value = node.expressions
        return exp.AtTimeZone(this=value.transform(_for_others), zone=zone)
    return node


def _for_bigquery(node: Expr) -> Any:
    """Rewrite weeks, which begin on Sunday there if nothing is said."""
    from sqlglot import exp

    if isinstance(node, exp.TimestampTrunc | exp.DateTrunc) and node.text("unit") == "WEEK":
        node.set("unit", exp.var("ISOWEEK"))
    return _for_others(node)
