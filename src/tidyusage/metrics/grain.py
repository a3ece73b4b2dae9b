"""Grain: which of user, model, surface and resource a record names, and which grains overlap.

Sums of a coarser grain are set against those of a finer one in cells: a window, and whom of the
user, model, surface and resource the coarser rows name.  A window of either side that contains
several of the other's is one cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage import catalogue
from tidyusage.metrics import source
from tidyusage.metrics.policy import cost, fields_of
from tidyusage.metrics.time import DATES, Periods
from tidyusage.sqltext import clauses, literal, quote, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.columns import Columns

# What a grain is called by, one bit each.
PARTS: Final = ("user", "model", "surface", "resource")
KEYS: Final = ("organization.id", "product.id", "metric_name")
NAMED: Final = (
    *KEYS,
    *("user.id", "user.email", "user.name", "model.id", "surface", "resources"),
    *DATES,
)
_TOKENS: Final = tuple(
    field.column for field in catalogue.MEASURES if field.column.startswith("usage.tokens.")
)
FIGURES: Final = (*fields_of("billed"), *_TOKENS)
FIELDS: Final = (*NAMED, *FIGURES)

# Marks the rows that hold what a coarser grain has beyond a finer one: they overlap with nothing.
UNATTRIBUTED: Final = "unattributed"
# The coarser holds the finer if it reaches its sums in so many of the shared cells.
ENOUGH: Final = 0.95
_NOISE: Final = "1e-6"
_NEVER: Final = "timestamp '0001-01-01'"  # stands for the window of a record without dates
GROUP: Final = ("tu__organization", "tu__product", "tu__metric", "tu__grain")
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
    return source.needs(columns, _mark(columns), FIELDS)


def usage(columns: Columns) -> str:
    """Return the step from a frame to ``usage``, one row a record."""
    return f"usage as (\n  {source.select(columns, _mark(columns), FIELDS, split=False)}\n)"


def typed(columns: Columns) -> list[str]:
    """Return the SQL of the fields of a wide frame, of the step that has all its columns."""
    fields = [f"{source.cast(columns, field)} as {quote(field)}" for field in FIELDS]
    return [*fields, *(f"{quote(mark.name)} as {mark.key}" for mark in _mark(columns))]


def named(
    columns: Columns,
    products: Iterable[str | None] | None = None,
    rows: str = "usage",
    *,
    has_residuals: bool = False,
) -> str:
    """Return the steps from ``usage`` to ``named``: each record's keys, grain and window.

    Residuals are left out unless they are wanted; so are all products but some, if these are
    named.
    """
    texts = [f"nullif({trimmed(quote(name))}, '')" for name in ("user.id", "user.email")]
    user = f"coalesce({texts[0]}, lower({texts[1]}), {quote('user.name')})"
    ids = "list_sort(list_transform(resources, lambda tu__e: tu__e.id))"
    resource = f"case when len(resources) > 0 then array_to_string({ids}, ', ') end"
    present = (user, quote("model.id"), "surface", resource)
    cells = [f"{sql} as {name}" for sql, name in zip(present, CELL, strict=True)]
    tests = (*(f"{sql} is not null" for sql in present[:3]), "len(resources) > 0")
    bits = " + ".join(
        f"case when {test} then {1 << bit} else 0 end" for bit, test in enumerate(tests)
    )
    organization, product, metric = map(quote, KEYS)
    where = [] if products is None else [f"({_is_one(product, products)})"]
    marks = () if has_residuals else _mark(columns)
    where += [f"not coalesce(try_cast({mark.key} as boolean), false)" for mark in marks]
    return f"""windows as (
  select *, coalesce(start_date, {_NEVER}) as tu__from,
    coalesce({Periods("1d").ends()}, {_NEVER}) as tu__to
  from {rows}{f"{chr(10)}  where {' and '.join(where)}" if where else ""}
),
named as (
  select *, {organization} as tu__organization, {product} as tu__product, {metric} as tu__metric,
    {bits} as tu__grain,
    {clauses(cells)}
  from windows
)"""


def figures() -> str:
    """Return the steps from ``named`` to ``figures``: what each record cost, and its tokens."""
    names = {name.removeprefix("usage.tokens."): quote(name) for name in _TOKENS}
    lifetimes = [names.pop(f"cache_write_ephemeral_{life}") for life in ("5m", "1h")]
    total = names.pop("total")
    written = _sum(lifetimes)
    parts = [*(names[n] for n in ("input", "output", "cache_read")), "tu__written"]
    currency = quote("charges.currency")
    return f"""written as (
  select *, coalesce({names["cache_write"]}, {written}) as tu__written
  from named
),
figures as (
  select *, {cost("billed")} as tu__cost, nullif(upper({trimmed(currency)}), '') as tu__currency,
    coalesce({total}, {_sum(parts)}) as tu__tokens
  from written
)"""


def overlaps() -> str:
    """Return the steps from ``figures`` to ``overlapping``: a row a pair of grains and figure.

    Within a metric the coarser reaches the finer's sums; across metrics, and where the windows
    alone are longer, it equals them.
    """
    names = ", ".join(CELL)
    same_cell = same("c", "f", "pair", *CELL, "figure", "unit")
    of_coarser = same("facts", "pairs", *GROUP[:3])
    of_finer = same("facts", "pairs", *GROUP[:2])
    masked = ", ".join(
        f"case when coarse & {1 << bit} > 0 then {name} end as {name}"
        for bit, name in enumerate(CELL)
    )
    within = "{0}.tu__from <= {1}.tu__from and {1}.tu__to <= {0}.tu__to"
    longer = "c.tu__to - c.tu__from <> f.tu__to - f.tu__from"
    # A zero is reached by anything, and says nothing of whether one holds the other.
    reached = f"abs(coarser) >= abs(finer) * (1 - {_NOISE}) and coarser * finer > 0"
    equal = f"abs(coarser - finer) <= {_NOISE} * greatest(abs(coarser), abs(finer))"
    return f"""facts as materialized (
  {_fact("cost", "tu__currency")}
  union all
  {_fact("tokens", "'tokens'")}
),
grains as (
  select distinct {", ".join(GROUP)}
  from facts
),
pairs as materialized (
  select row_number() over () as pair, c.tu__organization, c.tu__product, c.tu__metric,
    f.tu__metric as tu__finer_metric, c.tu__grain as coarse, f.tu__grain as fine,
    c.tu__metric is not distinct from f.tu__metric as tu__one_metric
  from grains c
  join grains f on {same("c", "f", *GROUP[:2])}
    and c.tu__grain & f.tu__grain = c.tu__grain
    and (c.tu__grain <> f.tu__grain or c.tu__metric is not distinct from f.tu__metric)
),
coarser as (
  select pair, coarse = fine as tu__one_grain, {names}, tu__from, tu__to, figure, unit, value
  from facts
  join pairs on {of_coarser}
    and tu__grain = coarse
),
finer as (
  select pair, {masked}, tu__from, tu__to, figure, unit, sum(value) as value
  from facts
  join pairs on {of_finer}
    and facts.tu__metric is not distinct from tu__finer_metric
    and tu__grain = fine
  group by all
),
shared as (
  select {_of("c", "pair", *CELL)}, c.tu__from, c.tu__to, c.figure, c.unit,
    any_value(c.value) as coarser, sum(f.value) as finer
  from coarser c
  join finer f on {same_cell}
    and {within.format("c", "f")}
  where not tu__one_grain or {longer}
  group by all
  union all
  select {_of("c", "pair", *CELL)}, f.tu__from, f.tu__to, f.figure, f.unit,
    sum(c.value), any_value(f.value)
  from coarser c
  join finer f on {same_cell}
    and {within.format("f", "c")}
  where not tu__one_grain and {longer}
  group by all
),
cells as materialized (
  select *, max(case when finer <> 0 then 1 else 0 end) over cell as tu__telling,
    min(case when finer = 0 or {reached} then 1 else 0 end) over cell as tu__reached,
    min(case when {equal} then 1 else 0 end) over cell as tu__equal
  from shared
  window cell as (partition by pair, {names}, tu__from, tu__to)
),
verdicts as (
  select pair, count(distinct (tu__from, tu__to)) as windows,
    avg(tu__reached) >= {ENOUGH} as tu__reached, avg(tu__equal) >= {ENOUGH} as tu__equal
  from (
    select distinct pair, {names}, tu__from, tu__to, tu__reached, tu__equal
    from cells
    where tu__telling = 1
  )
  group by pair
),
overlapping as (
  select pairs.*, windows, case when tu__equal then 'equals' else 'contains' end as relation,
    figure, unit, coarser, finer
  from verdicts
  join pairs using (pair)
  join (
    select pair, figure, unit, sum(coarser) as coarser, sum(finer) as finer
    from cells
    where tu__telling = 1
    group by all
  ) using (pair)
  where tu__equal or tu__reached and tu__one_metric and coarse <> fine
)"""


def _mark(columns: Columns) -> tuple[source.Dimension, ...]:
    """Return the column that marks residuals, if the frame has it."""
    mark = source.Dimension(UNATTRIBUTED, UNATTRIBUTED, alias="tu__residual")
    return (mark,) if UNATTRIBUTED in columns.own else ()


def _is_one(product: str, products: Iterable[str | None]) -> str:
    return " or ".join(f"{product} is not distinct from {literal(name)}" for name in products)


def _fact(figure: str, unit: str) -> str:
    group = ", ".join((*GROUP, *CELL))
    return f"""select {group}, tu__from, tu__to, {literal(figure)} as figure, {unit} as unit,
    sum(tu__{figure}) as value
  from figures
  where tu__{figure} is not null
  group by all"""


def same(left: str, right: str, *names: str) -> str:
    """Return the test of columns that are alike, null and null too."""
    tests = (f"{left}.{name} is not distinct from {right}.{name}" for name in names)
    return "\n    and ".join(tests)


def _of(alias: str, *names: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


def _sum(parts: list[str]) -> str:
    added = " + ".join(f"coalesce({part}, 0)" for part in parts)
    return f"case when coalesce({', '.join(parts)}) is not null then {added} end"
