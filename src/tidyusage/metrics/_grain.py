"""Grain: which of user, model, surface and resource a record names; windows within windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage import catalogue
from tidyusage._utils.sql import added, clauses, identity, literal, quote
from tidyusage.metrics import _source
from tidyusage.metrics._charges import code, cost, fields_of
from tidyusage.metrics._periods import DATES, Periods

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from tidyusage.engines.columns import Columns

# What a grain is called by, one bit each.
PARTS: Final = ("user", "model", "surface", "resource")
KEYS: Final = ("organization.id", "product.id", "metric_name")
NAMED: Final = (
    *KEYS,
    *catalogue.SOURCE_COLUMNS,
    *("user.id", "user.email", "user.name", "model.id", "surface", "resources"),
    *DATES,
)
TOKENS: Final = tuple(
    field.column for field in catalogue.MEASURES if field.column.startswith("usage.tokens.")
)
FIGURES: Final = (*fields_of("billed"), *TOKENS)
FIELDS: Final = (*NAMED, *FIGURES)

# Marks the rows that hold what a coarser grain has beyond a finer one: they overlap with nothing.
UNATTRIBUTED: Final = "unattributed"
_NEVER: Final = "timestamp '0001-01-01'"  # stands for the window of a record without dates
# Rows are compared within a scope.  Two reports tell of one metric as two metrics would: they need
# not add up to each other.
SCOPE: Final = ("tu__organization", "tu__account", "tu__product")
METRIC: Final = ("tu__metric", "tu__report")
FINER_METRIC: Final = ("tu__finer_metric", "tu__finer_report")
GROUP: Final = (*SCOPE, *METRIC, "tu__grain")
CELL: Final = ("tu__user", "tu__model", "tu__surface", "tu__resource")


def label(grain: str) -> str:
    """Return the SQL of a grain's name."""
    names = ", ".join(
        f"case when {grain} & {1 << bit} > 0 then {literal(name)} end"
        for bit, name in enumerate(PARTS)
    )
    return f"coalesce(nullif(concat_ws(' × ', {names}), ''), 'organization')"


def needs(columns: Columns) -> tuple[str, ...]:
    """Return the frame's columns that are read."""
    return _source.needs(columns, _mark(columns), FIELDS)


def usage(columns: Columns) -> str:
    """Return the step from a frame to ``usage``, one row a record."""
    return f"usage as (\n  {_source.select(columns, _mark(columns), FIELDS, split=False)}\n)"


def typed(columns: Columns) -> list[str]:
    """Return the SQL of the fields of a wide frame, of the step that has all its columns."""
    fields = [f"{_source.cast(columns, field)} as {quote(field)}" for field in FIELDS]
    return [*fields, *(f"{quote(mark.name)} as {mark.key}" for mark in _mark(columns))]


def named(
    columns: Columns,
    products: Iterable[str | None] | None = None,
    rows: str = "usage",
    *,
    has_residuals: bool = False,
    prefix: str = "",
) -> str:
    """Return the steps from ``usage`` to ``named``: each record's keys, grain and window.

    Residuals are left out unless they are wanted; so are all products but some, if these are
    named.  Spark has no two steps of one name in a query: a ``prefix`` tells them apart.
    """
    id_, email, name = map(quote, ("user.id", "user.email", "user.name"))
    user = f"coalesce({identity(id_, email)}, {name})"
    known = "lambda tu__e: coalesce(tu__e.id, tu__e.name)"
    ids = f"list_sort(list_transform(resources, {known}))"
    resource = f"case when len(resources) > 0 then array_to_string({ids}, ', ') end"
    present = (user, quote("model.id"), "surface", resource)
    cells = [f"{sql} as {name}" for sql, name in zip(present, CELL, strict=True)]
    tests = (*(f"{sql} is not null" for sql in present[:3]), "len(resources) > 0")
    bits = " + ".join(
        f"case when {test} then {1 << bit} else 0 end" for bit, test in enumerate(tests)
    )
    organization, product, metric = map(quote, KEYS)
    account, report = map(quote, catalogue.SOURCE_COLUMNS)
    where = [] if products is None else [f"({_is_one(product, products)})"]
    marks = () if has_residuals else _mark(columns)
    where += [f"not coalesce(try_cast({mark.key} as boolean), false)" for mark in marks]
    return f"""{windows(rows, " and ".join(where), prefix=prefix)},
{prefix}named as (
  select *, {organization} as tu__organization, {account} as tu__account,
    {product} as tu__product, {metric} as tu__metric, {report} as tu__report,
    {bits} as tu__grain,
    {clauses(cells)}
  from {prefix}windows
)"""


def windows(rows: str, where: str = "", *, prefix: str = "") -> str:
    """Return the step to ``windows``: rows with their window; without dates it is of no length."""
    return f"""{prefix}windows as (
  select *, coalesce(start_date, {_NEVER}) as tu__from,
    coalesce({Periods("1d").ends()}, {_NEVER}) as tu__to
  from {rows}{f"{chr(10)}  where {where}" if where else ""}
)"""


def figures(prefix: str = "") -> str:
    """Return the step from ``named`` to ``figures``: what each record cost, and its tokens."""
    return f"""{prefix}figures as (
  select *, {cost("billed")} as tu__cost, {code(quote("charges.currency"))} as tu__currency,
    {tokens()} as tu__tokens
  from {prefix}named
)"""


def tokens(fields: Container[str] = FIELDS) -> str:
    """Return the SQL of a record's tokens: its total, else its parts; of the fields there are."""
    names = {
        path.removeprefix("usage.tokens."): quote(path) if path in fields else _source.null(path)
        for path in TOKENS
    }
    lifetimes = [names.pop(f"cache_write_ephemeral_{life}") for life in ("5m", "1h")]
    written = f"coalesce({names['cache_write']}, {added(lifetimes)})"
    parts = [*(names[name] for name in ("input", "output", "cache_read")), written]
    return f"coalesce({names['total']}, {added(parts)})"


def masks(grain: str) -> list[str]:
    """Return the SQL of what a grain's rows name, of rows that may name more."""
    return [
        f"case when {grain} & {1 << bit} > 0 then {name} end as {name}"
        for bit, name in enumerate(CELL)
    ]


def days(rows: str, where: str = "true") -> str:
    """Return the query of windows that may hold others, once for each day that they touch.

    They begin and end on a quarter of an hour, as calendars do in any zone; sessions and events
    seldom do.  By the day, windows are joined to those in them without a look at all others.
    """
    quarter = "epoch_us({}) % 900000000 = 0"
    first, last = "date_trunc('day', tu__from)", "tu__to - interval 1 microsecond"
    return f"""select *, unnest(generate_series({first}, {last}, interval 1 day)) as tu__day
  from {rows}
  where {quarter.format("tu__from")} and {quarter.format("tu__to")} and {where}"""


def inside(inner: str, outer: str) -> str:
    """Return the test of a window that lies in a longer one, of those that `days` makes."""
    return f"""{outer}.tu__day = date_trunc('day', {inner}.tu__from)
    and {outer}.tu__from <= {inner}.tu__from and {inner}.tu__to <= {outer}.tu__to
    and {outer}.tu__to - {outer}.tu__from > {inner}.tu__to - {inner}.tu__from"""


def _mark(columns: Columns) -> tuple[_source.Dimension, ...]:
    """Return the column that marks residuals, if the frame has it."""
    mark = _source.Dimension(UNATTRIBUTED, UNATTRIBUTED, alias="tu__residual")
    return (mark,) if UNATTRIBUTED in columns.own else ()


def _is_one(product: str, products: Iterable[str | None]) -> str:
    return " or ".join(f"{product} is not distinct from {literal(name)}" for name in products)
