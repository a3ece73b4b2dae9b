"""Which rows belong to which cell of a roll-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidyusage._utils.sql import clauses, prefixed, quote, same
from tidyusage.metrics import _grain, _overlap_sql, _source
from tidyusage.metrics._charges import OTHER_CHARGES
from tidyusage.metrics._grain import CELL, FINER_METRIC, METRIC, SCOPE
from tidyusage.prepare._rewrite import ROW

if TYPE_CHECKING:
    from tidyusage.engines.columns import Columns
    from tidyusage.metrics._overlap_sql import Pairs


def overlapping(found: Columns, of: Pairs) -> str:
    """Return the steps from ``usage`` to ``overlapping`` and its cells, with each row's place."""
    others = [f"{_source.cast(found, name)} as {quote(name)}" for name in OTHER_CHARGES]
    typed = clauses([ROW, *_grain.typed(found), *others])
    pairs = _overlap_sql.overlaps(of=of, has_reports=bool(found.marks))
    rows = f"tu__rows as (\n  select\n    {typed}\n  from usage\n)"
    return ",\n".join([rows, _grain.named(found, rows="tu__rows"), _grain.figures(), pairs])


def linked() -> str:
    """Return the step to ``linked``: the pairs that overlap."""
    keys = ("pair", *SCOPE, *METRIC, *FINER_METRIC, "coarse", "fine")
    return f"""linked as materialized (
  select distinct {prefixed("overlapping", *keys)}
  from overlapping
)"""


def spots() -> str:
    """Return the steps to ``linked``, the pairs that overlap, and ``spots``, their cells."""
    return f"""{linked()},
spots as materialized (
  select row_number() over () as spot, *, tu__to - tu__from as tu__length
  from (
    select distinct {", ".join((*SCOPE, *METRIC, "coarse", *CELL))}, tu__from, tu__to
    from cells
    join linked using (pair)
  )
)"""


def members() -> str:
    """Return the steps to ``coarser_rows`` and ``finer_rows``: which row counts in which cell.

    A cell has the coarser rows of exactly its window, or, if it is a finer row's window, all that
    lie in it.  A finer row is in the cell of the nearest coarser rows: of the finest grain, then of
    the shortest window.  Rows of several metrics or reports may hold it beside each other; those
    that hold others of them hold it as part of these.
    """
    exact = "f.tu__from = s.tu__from and f.tu__to = s.tu__to"
    coarser = f"{same('f', 's', *SCOPE, *METRIC, *CELL)}\n    and f.tu__grain = s.coarse"
    group = (*SCOPE, *METRIC, "coarse")
    finer = same("s", "f", *group, *CELL)
    names = prefixed("p", *group, "fine")
    masked = ", ".join(_grain.masks("coarse"))
    return f"""long_spots as (
  {_grain.days("spots")}
),
candidates as (
  select {ROW}, spot, tu__length, 1 as tu__exact
  from figures f
  join spots s on {coarser}
    and {exact}
  union all
  select {ROW}, spot, tu__length, 0
  from figures f
  join long_spots s on {coarser}
    and {_grain.inside("f", "s")}
),
coarser_rows as materialized (
  select {ROW}, spot
  from (
    select *, max(tu__exact) over (partition by spot) as tu__any_exact
    from candidates
  )
  where tu__exact = tu__any_exact
  qualify row_number() over (partition by {ROW} order by tu__length desc, spot) = 1
),
linked_rows as (
  select {ROW}, {names}, {masked}, tu__from, tu__to
  from figures f
  join linked p on {same("f", "p", *SCOPE)}
    and {_overlap_sql.is_finer("f", "p")} and f.tu__grain = p.fine
),
nearest_rows as materialized (
  select {ROW}, spot, {", ".join(group)}
  from (
    select f.{ROW}, s.spot, {prefixed("s", *group)}, tu__length
    from linked_rows f
    join spots s on {finer}
      and {exact}
    where s.coarse <> f.fine
    union all
    select f.{ROW}, s.spot, {prefixed("s", *group)}, tu__length
    from linked_rows f
    join long_spots s on {finer}
      and {_grain.inside("f", "s")}
  )
  where spot in (select spot from coarser_rows)
  qualify row_number() over (
    partition by {ROW}, {", ".join(METRIC)}
    order by bit_count(coarse) desc, tu__length, spot
  ) = 1
),
held_by as (
  select n.{ROW}, n.spot, {prefixed("p", *group)}
  from nearest_rows n
  join linked p on {same("n", "p", *SCOPE)}
    and {_overlap_sql.is_finer("n", "p")} and n.coarse = p.fine
),
finer_rows as materialized (
  select {ROW}, spot
  from nearest_rows n
  anti join held_by h on {same("n", "h", ROW, *group)}
    and n.spot <> h.spot
)"""
