"""Which grains look like roll-ups of others.

Sums of a coarser grain are set against those of a finer one in cells: a window, and whom of the
user, model, surface and resource the coarser rows name.  A window of either side that contains
several of the other's is one cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage.metrics.grain import CELL, GROUP, days, inside, masks
from tidyusage.sqltext import literal, prefixed, same

if TYPE_CHECKING:
    from typing import Literal

# The coarser holds the finer if it reaches its sums in so many of the shared cells.
ENOUGH: Final = 0.95
_NOISE: Final = "1e-6"


def overlaps(*, of: Literal["all", "lengths", "grains"] = "all") -> str:
    """Return the steps from ``figures`` to ``overlapping``: a row a pair of grains and figure.

    Within a metric the coarser reaches the finer's sums; across metrics, and where the windows
    alone are longer, it equals them.  Pairs may be those of one grain's ``lengths`` alone, or all
    but those.
    """
    names = ", ".join(CELL)
    among = {"all": "true", "lengths": "c.tu__grain = f.tu__grain"}
    wanted = among.get(of, "c.tu__grain <> f.tu__grain")
    masked = ", ".join(masks("coarse"))
    cell = same("c", "f", "pair", *CELL, "figure", "unit")
    key = ", ".join(("pair", *CELL, "tu__from", "tu__to", "figure", "unit"))
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
  where {wanted}
),
coarser as materialized (
  select pair, coarse = fine as tu__one_grain, {names}, tu__from, tu__to, figure, unit, value
  from facts
  join pairs on {same("facts", "pairs", *GROUP[:3])}
    and tu__grain = coarse
),
finer as materialized (
  select pair, coarse = fine as tu__one_grain, {masked}, tu__from, tu__to, figure, unit,
    sum(value) as value
  from facts
  join pairs on {same("facts", "pairs", *GROUP[:2])}
    and facts.tu__metric is not distinct from tu__finer_metric
    and tu__grain = fine
  group by all
),
{_lengths("coarser", "finer")},
{_lengths("finer", "coarser")},
met as (
  select {prefixed("c", "pair", *CELL)}, c.tu__from, c.tu__to, c.figure, c.unit,
    c.value as coarser, f.value as finer
  from coarser c
  join finer f on {cell}
    and c.tu__from = f.tu__from and c.tu__to = f.tu__to
  where not c.tu__one_grain
  union all
  select {prefixed("c", "pair", *CELL)}, c.tu__from, c.tu__to, c.figure, c.unit, c.value, f.value
  from long_coarser c
  join finer f on {cell}
    and {inside("f", "c")}
),
held as (
  select {prefixed("f", "pair", *CELL)}, f.tu__from, f.tu__to, f.figure, f.unit,
    sum(c.value) as coarser, any_value(f.value) as finer
  from long_finer f
  join coarser c on {cell}
    and {inside("c", "f")}
  where not f.tu__one_grain
  group by all
),
shared as (
  select {key}, any_value(coarser) as coarser, sum(finer) as finer
  from met
  group by all
  union all
  select {prefixed("f", "pair", *CELL)}, f.tu__from, f.tu__to, f.figure, f.unit, f.coarser, f.finer
  from held f
  anti join coarser c on {cell}
    and c.tu__from = f.tu__from and c.tu__to = f.tu__to
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


def _fact(figure: str, unit: str) -> str:
    group = ", ".join((*GROUP, *CELL))
    return f"""select {group}, tu__from, tu__to, {literal(figure)} as figure, {unit} as unit,
    sum(tu__{figure}) as value
  from figures
  where tu__{figure} is not null
  group by all"""
