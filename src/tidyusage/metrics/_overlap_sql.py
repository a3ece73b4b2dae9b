"""SQL that finds grains which look like roll-ups of others.

Sums of a coarser grain are set against those of a finer one in cells: a window, and whom of the
user, model, surface and resource the coarser rows name.  A window of either side that contains
several of the other's is one cell.  Two reports that have rows of one grain are set against each
other in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import literal, prefixed, quote, same
from tidyusage.metrics._grain import (
    CELL,
    FIGURES,
    FINER_METRIC,
    GROUP,
    METRIC,
    SCOPE,
    days,
    inside,
    masks,
)
from tidyusage.metrics._tolerance import SHARE, places_sql, rounding_sql

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    # Which pairs are looked at.
    Pairs: TypeAlias = Literal["all", "lengths", "reports", "grains"]

# The coarser holds the finer if it reaches its sums in so many of the shared cells.
ENOUGH: Final = 0.95
_NOISE: Final = "1e-6"


def overlaps(*, of: Pairs = "all", has_reports: bool) -> str:
    """Return the steps from ``figures`` to ``overlapping``: a row a pair of grains and figure.

    Within a metric the coarser reaches the finer's sums; across metrics and reports, and where the
    windows alone are longer, it equals them.  Two reports of one grain are a pair too, of which the
    one that tells more, else the first by name, stands for the coarser.  Pairs may be those of one
    grain's ``lengths`` alone, of its ``reports`` alone, or of several ``grains``.
    """
    names = ", ".join(CELL)
    is_length = f"{same('c', 'f', 'tu__grain', *METRIC)}"
    is_report = "c.tu__grain = f.tu__grain and c.tu__rank < f.tu__rank"
    is_report += " and c.tu__metric is not distinct from f.tu__metric"
    is_report += " and c.tu__report is distinct from f.tu__report"
    among = {
        "lengths": [is_length],
        "reports": [is_report],
        "grains": ["c.tu__grain <> f.tu__grain"],
    }
    wanted = among.get(of) or [test for tests in among.values() for test in tests]
    masked = ", ".join(masks("coarse"))
    one_metric = same("c", "f", *METRIC).replace("\n    ", " ")
    renamed = ", ".join(
        f"f.{own} as {name}" for own, name in zip(METRIC, FINER_METRIC, strict=True)
    )
    cell = same("c", "f", "pair", *CELL, "figure", "unit")
    key = ", ".join(("pair", *CELL, "tu__from", "tu__to", "figure", "unit"))
    # A zero is reached by anything, and says nothing of whether one holds the other.
    reached = "abs(coarser) >= abs(finer) - allowed and coarser * finer > 0"
    equal = "abs(coarser - finer) <= allowed"
    near = f"abs(coarser - finer) <= greatest(allowed, {SHARE} * abs(coarser))"
    noise = f"{_NOISE} * greatest(abs(coarser), abs(finer))"
    rounding = rounding_sql("places", "tu__rows", "coarser")
    return f"""facts as materialized (
  {_fact("cost", "tu__currency", places_sql("tu__cost", quote("charges.total")))}
  union all
  {_fact("tokens", "'tokens'", "null")}
),
{_grains(has_reports=has_reports)},
pairs as materialized (
  select row_number() over () as pair, {prefixed("c", *SCOPE, *METRIC)},
    {renamed}, c.tu__grain as coarse, f.tu__grain as fine,
    {one_metric} as tu__one_metric,
    c.tu__grain = f.tu__grain and {one_metric} as tu__itself
  from grains c
  join grains f on {same("c", "f", *SCOPE)}
    and c.tu__grain & f.tu__grain = c.tu__grain
  where {" or ".join(wanted)}
),
coarser as materialized (
  select pair, tu__itself, {names}, tu__from, tu__to, figure, unit, value, tu__places
  from facts
  join pairs on {same("facts", "pairs", *SCOPE, *METRIC)}
    and tu__grain = coarse
),
finer as materialized (
  select pair, tu__itself, {masked}, tu__from, tu__to, figure, unit, sum(value) as value,
    sum(tu__rows) as tu__rows
  from facts
  join pairs on {same("facts", "pairs", *SCOPE)}
    and {is_finer("facts", "pairs")}
    and tu__grain = fine
  group by all
),
{_lengths("coarser", "finer")},
{_lengths("finer", "coarser")},
met as (
  select {prefixed("c", "pair", *CELL)}, c.tu__from, c.tu__to, c.figure, c.unit,
    c.value as coarser, f.value as finer, f.tu__rows
  from coarser c
  join finer f on {cell}
    and c.tu__from = f.tu__from and c.tu__to = f.tu__to
  where not c.tu__itself
  union all
  select {prefixed("c", "pair", *CELL)}, c.tu__from, c.tu__to, c.figure, c.unit, c.value, f.value,
    f.tu__rows
  from long_coarser c
  join finer f on {cell}
    and {inside("f", "c")}
),
held as (
  select {prefixed("f", "pair", *CELL)}, f.tu__from, f.tu__to, f.figure, f.unit,
    sum(c.value) as coarser, any_value(f.value) as finer, any_value(f.tu__rows) as tu__rows
  from long_finer f
  join coarser c on {cell}
    and {inside("c", "f")}
  where not f.tu__itself
  group by all
),
shared as (
  select {key}, any_value(coarser) as coarser, sum(finer) as finer, sum(tu__rows) as tu__rows
  from met
  group by all
  union all
  select {prefixed("f", "pair", *CELL)}, f.tu__from, f.tu__to, f.figure, f.unit, f.coarser, f.finer,
    f.tu__rows
  from held f
  anti join coarser c on {cell}
    and c.tu__from = f.tu__from and c.tu__to = f.tu__to
),
decimals as (
  select pair, unit, max(tu__places) as places
  from coarser
  join least_finer using (pair)
  where figure = 'cost' and (not tu__itself or tu__to - tu__from > least)
  group by pair, unit
),
allowances as (
  select shared.*, greatest({noise}, {rounding}) as allowed
  from shared
  left join decimals on {same("shared", "decimals", "pair", "unit")}
    and figure = 'cost'
),
cells as materialized (
  select *, max(case when finer <> 0 then 1 else 0 end) over cell as tu__telling,
    min(case when finer = 0 or {reached} then 1 else 0 end) over cell as tu__reached,
    min(case when {equal} then 1 else 0 end) over cell as tu__equal,
    min(case when {near} then 1 else 0 end) over cell as tu__near,
    max(case when figure = 'tokens' and finer <> 0 and {equal} then 1 else 0 end) over cell
      as tu__same_tokens
  from allowances
  window cell as (partition by pair, {names}, tu__from, tu__to)
),
verdicts as (
  select pair, count(distinct (tu__from, tu__to)) as windows,
    avg(tu__reached) >= {ENOUGH} as tu__reached,
    avg(tu__equal) >= {ENOUGH}
      or min(tu__same_tokens) = 1 and avg(tu__near) >= {ENOUGH} as tu__equal
  from (
    select distinct pair, {names}, tu__from, tu__to, tu__reached, tu__equal, tu__near,
      tu__same_tokens
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


def is_finer(rows: str, pairs: str) -> str:
    """Return the test of rows that tell of the metric, and are of the report, of the finer."""
    return " and ".join(
        f"{rows}.{own} is not distinct from {pairs}.{name}"
        for own, name in zip(METRIC, FINER_METRIC, strict=True)
    )


def _grains(*, has_reports: bool) -> str:
    """Return the step to ``grains``; those of several reports are ranked, what tells most first."""
    group = ", ".join(GROUP)
    if not has_reports:
        return f"grains as (\n  select distinct {group}, 0 as tu__rank\n  from facts\n)"
    told = " + ".join(f"cast(count({quote(name)}) > 0 as int)" for name in FIGURES)
    return f"""grains as (
  select {group},
    row_number() over (order by {told} desc, tu__report asc nulls last) as tu__rank
  from figures
  where coalesce(tu__cost, tu__tokens) is not null
  group by {group}
)"""


def _lengths(side: str, other: str) -> str:
    """Return the step to the windows of one side that are longer than some of the other's."""
    is_longer = "tu__to - tu__from > least"
    joined = f"{side} join least_{other} using (pair)"
    return f"""least_{other} as (
  select pair, min(tu__to - tu__from) as least
  from {other}
  group by pair
),
long_{side} as (
  {days(joined, is_longer)}
)"""


def _fact(figure: str, unit: str, places: str) -> str:
    group = ", ".join((*GROUP, *CELL))
    return f"""select {group}, tu__from, tu__to, {literal(figure)} as figure, {unit} as unit,
    sum(tu__{figure}) as value, count(*) as tu__rows, max({places}) as tu__places
  from figures
  where tu__{figure} is not null
  group by all"""
