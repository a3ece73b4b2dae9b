"""One grain of a frame that holds several: its finest with what is left over, or its roll-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import pyarrow as pa

from tidyusage.answers import GUARD
from tidyusage.errors import known_options, one_of
from tidyusage.metrics import grain, source
from tidyusage.metrics.grain import CELL, GROUP, UNATTRIBUTED
from tidyusage.prepare import frames
from tidyusage.prepare.frames import ROW
from tidyusage.prepare.residual import CHANGED, residuals
from tidyusage.sqltext import clauses, quote
from tidyusage.typing import Grain

if TYPE_CHECKING:
    from tidyusage.columns import Columns
    from tidyusage.typing import FrameT

_CLASH: Final = (
    "{} cannot be compared: neither holds the other, so that no one grain can be kept.\n\n"
    "Take one of them out of the frame first."
)
_OTHER_CHARGES: Final = ("charges.tax", "charges.credit")  # never part of what was billed
_PAIR: Final = ("pair", "tu__organization", "tu__product", "coarse", "fine")


@known_options
def at_grain(frame: FrameT, which: Grain) -> FrameT:
    """Return a frame in which nothing counts twice: one grain of those that `overlaps` shows.

    "coarsest" keeps the roll-ups, and drops the finer rows that they hold.  "finest" keeps the
    finer rows; in place of a roll-up comes a row of what it has beyond them, if anything, so that
    the totals stay the roll-up's.  Rows that complete each other stay either way.

    Parameters
    ----------
    frame
        A wide frame of any library, of either spelling.
    which
        "finest" or "coarsest".

    Returns
    -------
    frame
        Of the same library and with the same columns; a lazy one stays lazy.  "finest" adds
        `unattributed` (bool): true for rows of what is left over.  They have the roll-up's `id`,
        names and window; every additive measure and charge is the roll-up's less the finer rows'
        (below zero where these are more); measures that cannot be added are null.  Where the types
        of charges differ so much that what was billed would change, one charge `net` holds it.

    Raises
    ------
    FrameError
        If the frame is no wide one.
    RecordError
        If rows of two grains, neither of which is part of the other (users' beside models'), tell
        of one metric in the same windows.  A lazy frame raises when it is collected.

    Examples
    --------
    >>> import tidyusage as tu
    >>> rows = [("all", None, 50), ("1", "ada", 30), ("2", "bob", 15)]
    >>> df = tu.flatten_usage(
    ...     {"id": id, "user": {"id": user}, "usage": {"tokens": {"total": tokens}}}
    ...     for id, user, tokens in rows
    ... )
    >>> tu.at_grain(df, "finest")[["id", "user.id", "usage.tokens.total", "unattributed"]]
        id user.id  usage.tokens.total  unattributed
    0  all     NaN                 5.0          True
    1    1     ada                30.0         False
    2    2     bob                15.0         False
    """
    one_of("which", which, get_args(Grain))
    found = frames.wide(frame)
    columns = [*found.known, *(name for name in found.own if name != UNATTRIBUTED)]
    is_marked = UNATTRIBUTED in found.own
    dropped = "coarser_rows" if which == "finest" else "finer_rows"
    steps = ",\n".join([_overlapping(found), _spots(), _members(), _kept(dropped), _clashes()])
    if which == "coarsest":
        sql = f"{steps}\n{_select([*columns, UNATTRIBUTED] if is_marked else columns, 'kept')}"
        return frames.rewritten(frame, found, sql, guard=_CLASH)
    mark = f"coalesce({quote(UNATTRIBUTED)}, false)" if is_marked else "false"
    sql = f"""{steps},
{residuals(found, columns)},
answer as (
  select {_listed(columns)}, {mark} as {quote(UNATTRIBUTED)}, {ROW}
  from kept
  union all
  select {_listed(columns)}, true, {ROW}
  from residuals
)
{_select([*columns, UNATTRIBUTED], "answer")}"""
    added = {} if is_marked else {UNATTRIBUTED: pa.bool_()}
    return frames.rewritten(frame, found, sql, changed=CHANGED, added=added, guard=_CLASH)


def _overlapping(found: Columns) -> str:
    """Return the steps from ``usage`` to ``overlapping`` and its cells, with each row's place."""
    others = [f"{source.cast(found, name)} as {quote(name)}" for name in _OTHER_CHARGES]
    typed = clauses([ROW, *grain.typed(found), *others])
    rows = f"tu__rows as (\n  select\n    {typed}\n  from usage\n)"
    return ",\n".join(
        [rows, grain.named(found, rows="tu__rows"), grain.figures(), grain.overlaps()]
    )


def _spots() -> str:
    """Return the steps to ``linked``, the pairs that overlap, and ``spots``, their cells."""
    keys = ", ".join(f"overlapping.{name}" for name in (*_PAIR, "tu__metric", "tu__finer_metric"))
    return f"""linked as materialized (
  select distinct {keys}
  from overlapping
),
spots as materialized (
  select row_number() over () as spot, *, tu__to - tu__from as tu__length
  from (
    select distinct {", ".join((*GROUP[:3], "coarse", *CELL))}, tu__from, tu__to
    from cells
    join linked using (pair)
  )
)"""


def _members() -> str:
    """Return the steps to ``coarser_rows`` and ``finer_rows``: which row counts in which cell.

    A cell has the coarser rows of exactly its window, or, if it is a finer row's window, all that
    lie in it.  A finer row is in the cell of the nearest coarser rows: of the finest grain, then of
    the shortest window.
    """
    inside = "s.tu__from <= f.tu__from and f.tu__to <= s.tu__to"
    length = "f.tu__to - f.tu__from"
    masked = "\n    and ".join(
        f"(s.coarse & {1 << bit} = 0 or f.{name} is not distinct from s.{name})"
        for bit, name in enumerate(CELL)
    )
    return f"""candidates as (
  select {ROW}, spot, tu__length, case when {length} = tu__length then 1 else 0 end as tu__exact
  from figures f
  join spots s on {grain.same("f", "s", *GROUP[:3], *CELL)}
    and f.tu__grain = s.coarse and {inside}
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
finer_rows as materialized (
  select {ROW}, spot
  from figures f
  join linked p on {grain.same("f", "p", *GROUP[:2])}
    and f.tu__metric is not distinct from p.tu__finer_metric and f.tu__grain = p.fine
  join spots s on {grain.same("s", "p", *GROUP[:3], "coarse")}
    and {inside}
    and {masked}
  where (p.coarse <> p.fine or {length} < tu__length)
    and spot in (select spot from coarser_rows)
  qualify row_number() over (
    partition by {ROW}
    order by bit_count(s.coarse) desc, tu__length, spot
  ) = 1
)"""


def _kept(dropped: str) -> str:
    """Return the step to ``kept``: the rows that stay."""
    return f"""kept as (
  select *
  from usage
  where {ROW} not in (select {ROW} from {dropped})
)"""


def _clashes() -> str:
    """Return the steps to ``clashes``: grains that stay, of which neither is part of the other."""
    group = ", ".join(GROUP)
    labels = [grain.label(f"{side}.tu__grain") for side in "ab"]
    product = "coalesce(a.tu__product, 'no product')"
    return f"""staying as (
  select distinct {group}, tu__from, tu__to, tu__tokens is not null as tu__has_tokens,
    case when tu__cost is not null then coalesce(tu__currency, '') end as tu__currency
  from figures
  where {ROW} in (select {ROW} from kept)
),
clashes as (
  select min({product} || ': rows by ' || {labels[0]} || ' and rows by ' || {labels[1]}) as said
  from staying a
  join staying b on {grain.same("a", "b", *GROUP[:3])}
    and a.tu__grain < b.tu__grain and a.tu__grain & b.tu__grain <> a.tu__grain
    and a.tu__from < b.tu__to and b.tu__from < a.tu__to
    and (a.tu__has_tokens and b.tu__has_tokens or a.tu__currency = b.tu__currency)
)"""


def _select(columns: list[str], rows: str) -> str:
    return f"""select {_listed(columns)}, (select said from clashes) as {GUARD}
from {rows}
order by {ROW}"""


def _listed(columns: list[str]) -> str:
    return ", ".join(map(quote, columns))
