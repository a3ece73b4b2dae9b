"""A metric's query as text for somebody's warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from tidyusage import schema
from tidyusage.engines import FRAME
from tidyusage.errors import OptionError, nearest
from tidyusage.sqltext import clauses, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlglot.expressions import Expr

    from tidyusage.typing import Separator

DUCKDB: Final = "duckdb"
_EPOCH: Final = "timestamp_ntz '1970-01-01 00:00:00'"


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


def written(table: Table, sql: str, needs: Iterable[str]) -> str:
    """Return a query over the columns that it needs of a table, in the table's dialect."""
    instants = {n for n, t in schema.layout_types("wide").items() if t == schema.ARROW["timestamp"]}
    columns = [
        f"timezone('UTC', {quote(name)}) as {quote(name)}" if name in instants else quote(name)
        for name in needs
    ]
    frame = f"{FRAME} as (\n  select\n    {clauses(columns)}\n  from {table.name}\n)"
    text = f"with {frame},\n{sql.removeprefix('with ')}"
    return text if table.dialect == DUCKDB else _translated(text, table.dialect)


def _is_table(name: str, dialect: str) -> bool:
    import sqlglot
    from sqlglot import exp

    try:
        found = sqlglot.parse(f"select * from {name}", dialect=dialect)
    except sqlglot.ParseError:
        return False
    tables = list(cast("Any", found[0]).find_all(exp.Table))
    return len(found) == len(tables) == 1 and tables[0].sql(dialect) == name


def _translated(text: str, dialect: str) -> str:
    import sqlglot
    from sqlglot.errors import UnsupportedError

    changes = {"spark": _for_spark, "postgres": _for_postgres, "bigquery": _for_bigquery}
    change = changes.get(dialect, _for_others)
    tree = cast("Any", sqlglot.parse_one(text, read=DUCKDB)).transform(change)
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


def _for_spark(node: Expr) -> Any:
    """Rewrite what depends on a Spark session's zone, or has other words there."""
    from sqlglot import exp, parse_one

    def spark(text: str, **parts: Any) -> Any:
        tree = parse_one(text, read="spark")
        return exp.replace_placeholders(tree, **parts)

    if isinstance(node, exp.Window) and isinstance(node.this, exp.RowNumber):
        has_order = node.args.get("order") or node.args.get("partition_by")
        return node if has_order else spark("monotonically_increasing_id()")
    if isinstance(node, exp.TimestampTrunc | exp.DateTrunc):
        value, unit = node.this.transform(_for_spark), node.text("unit").lower()
        if unit == "hour":
            parts = "year(:x), month(:x), day(:x), hour(:x), 0, 0"
            return spark(f"make_timestamp_ntz({parts})", x=value)
        date = f"trunc(:x, '{unit}')" if unit != "day" else "cast(:x as date)"
        return spark(f"cast({date} as timestamp_ntz)", x=value)
    zones = _zones(node)
    if zones is None:
        return node
    source, target, value = zones
    if source is None:  # an instant of the table
        return spark(f"timestampadd(microsecond, unix_micros(:x), {_EPOCH})", x=value)
    there = value.transform(_for_spark)
    return spark("convert_timezone(:a, :b, :x)", a=source, b=target, x=there)


def _zones(node: Expr) -> tuple[Any, Any, Any] | None:
    """Return from which clock to which a time is taken; from none if it is an instant."""
    is_zoned = _is_timezone(node)
    if not is_zoned:
        return None
    target, inner = node.expressions
    if _is_timezone(inner):
        source, value = inner.expressions
        return source, target, value
    return None, target, inner


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
