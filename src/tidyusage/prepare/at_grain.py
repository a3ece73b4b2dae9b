"""`at_grain`: reduce a frame to one grain, the finest with residuals or the roll-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

import pyarrow as pa

from tidyusage._utils.sql import FRAME, prefixed, quote, same
from tidyusage.engines import frames
from tidyusage.engines.query import GUARD, Query, run_query
from tidyusage.errors import known_options, one_of
from tidyusage.metrics import _grain, _mixed_grains
from tidyusage.metrics._grain import GROUP, METRIC, SCOPE, UNATTRIBUTED
from tidyusage.metrics._overlap import checked
from tidyusage.metrics._periods import DATES, window_end_sql
from tidyusage.prepare import _members, _rewrite
from tidyusage.prepare._reports import GUARD_WORDS, one_report
from tidyusage.prepare._residual import CHANGED, residuals
from tidyusage.prepare._rewrite import ROW
from tidyusage.prepare.grains import with_known_costs
from tidyusage.typing import Grain

if TYPE_CHECKING:
    from tidyusage.engines.columns import Columns
    from tidyusage.typing import FrameT


@known_options
def at_grain(frame: FrameT, which: Grain) -> FrameT:
    """Return a frame in which nothing counts twice: one grain of those that `overlaps` shows.

    "coarsest" keeps the roll-ups, and drops the finer rows that they hold.  "finest" keeps the
    finer rows; in place of a roll-up comes a row of what it has beyond them, if anything but what
    rounding explains, so that the totals stay the roll-up's.  Rows that complete each other stay
    either way.

    Where two reports that records were fetched of list the same at one grain, the rows of one go:
    those stay of the report that tells more of cost and tokens, else of the first by name.  Of the
    other's rows stays what these do not tell, such as lines of code.

    Parameters
    ----------
    frame
        A wide frame of any library, of either spelling.
    which
        "finest" or "coarsest".

    Returns
    -------
    frame
        Of the same library and with the same columns; a lazy one stays lazy, and Spark runs at
        once, since it cannot plan so many steps in one.  "finest" adds
        `unattributed` (bool): true for rows of what is left over.  They have the roll-up's `id`,
        names and window; every additive measure and charge is the roll-up's less the finer rows'
        (below zero where these are more); measures that cannot be added are null.  Where the types
        of charges differ so much that what was billed would change, one charge `net` holds it.

    Raises
    ------
    FrameError
        If the frame is not a wide one.
    UnknownFieldError
        If the frame has amounts and lacks `charges.currency`.
    RecordError
        If rows of two grains, neither of which is part of the other (users' beside models'), tell
        of one metric on the same days; if with "coarsest" finer rows have tokens, or a cost in a
        currency, that their roll-up, or the report that stays, has not.  A lazy frame raises when
        it is collected.

    Warns
    -----
    MissingColumnWarning
        If the frame lacks charge columns that could change a cost, as in `cost_by`.

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
    found = _rewrite.wide(frame)
    frame = checked(frame, "warn", frames.columns(frame), has_pairs=False)
    frame = with_known_costs(frame, found, frames.columns(frame))
    # First the lengths of windows within each grain, so that grains are compared at one length;
    # then the reports, so that a grain tells of a figure once.
    alike = one_report(_of_one_length(frame, found, which), which)
    return _resolved(alike, which, "grains")


def _of_one_length(frame: FrameT, found: Columns, which: Grain) -> FrameT:
    """Return a frame in which no two lengths of a grain overlap; most have but one."""
    if frames.backend_of(frame) == "pyarrow":
        frame = cast("FrameT", frames.to_arrow(frame))  # a reader can be read but once
    if frames.backend_of(frame) == "pyspark":
        return frame if _is_of_one_length(frame, found) else _resolved(frame, which, "lengths")
    is_eager = not frames.is_lazy(frame) and frames.backend_of(frame) != "duckdb"
    if is_eager and _mixed_grains.is_of_one_length(frame, found):
        return frame
    return _resolved(frame, which, "lengths")


def _is_of_one_length(frame: Any, found: Columns) -> bool:
    """Tell whether all windows of a Spark frame are of one length, by looking at once."""
    if not {*DATES} <= set(found.known):
        return False
    start, end = (quote(found.known[name]) for name in DATES)
    sql = f"""with lengths as (
  select distinct coalesce(
    epoch_us({window_end_sql(start=start, end=end)}) - epoch_us({start}), -1
  ) as length
  from {FRAME}
)
select count(*) as lengths
from lengths"""
    needs = tuple(found.known[name] for name in DATES)
    query = Query(sql, needs, {"lengths": pa.int64()}, {}, kinds=dict.fromkeys(needs, "time"))
    return bool(frames.collected(run_query(frame, query))["lengths"][0].as_py() <= 1)


def _resolved(frame: FrameT, which: Grain, of: Literal["lengths", "grains"]) -> FrameT:
    """Return a frame in which no two lengths of a grain, or no two grains, overlap."""
    found = _rewrite.wide(frame)
    columns = [*found.known, *(name for name in found.own if name != UNATTRIBUTED)]
    is_marked = UNATTRIBUTED in found.own
    dropped = "coarser_rows" if which == "finest" else "finer_rows"
    parts = [_members.overlapping(found, of), _members.spots(), _members.members(), _kept(dropped)]
    parts += [_clashes() if of == "grains" else _none("clashes")]
    parts += [_lost() if which == "coarsest" else _none("lost")]
    steps = ",\n".join(parts)
    if which == "coarsest":
        sql = f"{steps}\n{_select([*columns, UNATTRIBUTED] if is_marked else columns, 'kept')}"
        return _rewrite.rewritten(frame, found, sql, guard=GUARD_WORDS)
    mark = f"coalesce(try_cast({quote(UNATTRIBUTED)} as boolean), false)" if is_marked else "false"
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
    return _rewrite.rewritten(frame, found, sql, changed=CHANGED, added=added, guard=GUARD_WORDS)


def _kept(dropped: str) -> str:
    """Return the step to ``kept``: the rows that stay."""
    return f"""kept as (
  select *
  from usage
  where {ROW} not in (select {ROW} from {dropped})
)"""


def _none(step: str) -> str:
    """Return a step that has nothing to say."""
    return f"{step} as (\n  select cast(null as varchar) as said\n)"


# What a record tells of: tokens, and cost in a currency.
_FIGURES: Final = """[
    case when tu__tokens is not null then 'tokens' end,
    case when tu__cost is not null
      then 'a cost in ' || coalesce(tu__currency, 'an unknown currency') end
  ]"""


def _lost() -> str:
    """Return the steps to ``lost``: figures of rows that go, which their roll-up has not."""
    told = "|| ' that their roll-up has not, and that would be lost'"
    return f"""going as (
  select {ROW}, tu__product, tu__grain, unnest({_FIGURES}) as tu__figure
  from figures
  where {ROW} in (select {ROW} from finer_rows)
),
staying_figures as (
  select distinct f.{ROW}, unnest({_FIGURES}) as tu__figure
  from finer_rows f
  join coarser_rows c using (spot)
  join figures on figures.{ROW} = c.{ROW}
),
lost as (
  select min(coalesce(tu__product, 'no product') || ': rows by ' || {_grain.label("tu__grain")}
    || ' have ' || g.tu__figure {told}) as said
  from going g
  anti join staying_figures s on s.{ROW} = g.{ROW} and s.tu__figure = g.tu__figure
  where g.tu__figure is not null
)"""


def _clashes() -> str:
    """Return the steps to ``clashes``: grains that stay, of which neither is part of the other.

    They meet on a day of which both tell.
    """
    group, key = ", ".join(GROUP), ", ".join(GROUP[:-1])
    labels = [_grain.label(name) for name in ("left_grain", "right_grain")]
    first, last = (
        "date_trunc('day', tu__from)",
        "greatest(tu__to - interval 1 microsecond, tu__from)",
    )
    alike = same("a", "b", *SCOPE, *METRIC)
    return f"""staying as (
  select distinct {group}, tu__from, tu__to, unnest({_FIGURES}) as tu__figure
  from figures
  where {ROW} in (select {ROW} from kept)
),
met_grains as (
  select distinct {prefixed("a", *SCOPE, *METRIC)}, a.tu__grain as left_grain,
    b.tu__grain as right_grain
  from (select distinct {group} from staying) a
  join (select distinct {group} from staying) b on {alike}
    and a.tu__grain < b.tu__grain and a.tu__grain & b.tu__grain <> a.tu__grain
),
stayed as (
  select distinct {key}, tu__grain, tu__figure,
    unnest(generate_series({first}, date_trunc('day', {last}), interval 1 day)) as tu__day
  from staying
  where tu__figure is not null
    and tu__grain in (select left_grain from met_grains union select right_grain from met_grains)
),
clashes as (
  select min(coalesce(m.tu__product, 'no product') || ': rows by ' || {labels[0]}
    || ' and rows by ' || {labels[1]} || ' cannot be compared: neither holds the other, so that no'
    || ' one grain can be kept') as said
  from met_grains m
  join stayed a on {same("m", "a", *SCOPE, *METRIC)}
    and a.tu__grain = left_grain
  join stayed b on {same("m", "b", *SCOPE, *METRIC)}
    and b.tu__grain = right_grain and a.tu__day = b.tu__day and a.tu__figure = b.tu__figure
)"""


def _select(columns: list[str], rows: str) -> str:
    return f"""select {_listed(columns)},
  coalesce((select said from clashes), (select said from lost)) as {GUARD}
from {rows}
order by {ROW}"""


def _listed(columns: list[str]) -> str:
    return ", ".join(map(quote, columns))
