"""Choose one report where two reports list the same usage at the same grain.

What only they tell, such as lines of code beside another report's tokens, stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage import catalogue
from tidyusage._utils.sql import clauses, literal, prefixed, quote, same
from tidyusage.catalogue import CHARGE_AMOUNTS
from tidyusage.engines.query import GUARD
from tidyusage.layouts.convert_sql import CHARGES, COUNTS
from tidyusage.metrics import _grain, _overlap_sql
from tidyusage.metrics._charges import OTHER_CHARGES
from tidyusage.metrics._grain import CELL, METRIC, SCOPE, TOKENS
from tidyusage.prepare import _rewrite
from tidyusage.prepare._members import linked, overlapping
from tidyusage.prepare._residual import CHANGED
from tidyusage.prepare._rewrite import ROW

if TYPE_CHECKING:
    from tidyusage.engines.columns import Columns
    from tidyusage.typing import FrameT, Grain

GUARD_WORDS: Final = "{}.\n\nTake one of them out of the frame first, or keep 'finest'."
_TOKENS: Final = "told.tokens"
_COST: Final = "told.cost"
_CURRENCY: Final = "charges.currency"
_QUANTITY: Final = "usage.quantity"


def one_report(frame: FrameT, which: Grain) -> FrameT:
    """Return a frame in which no two reports of one grain list the same.

    The rows stay of the report that tells more of cost and tokens, else of the first by name.  The
    others stay with what these do not tell, if anything; with "coarsest", a cost or tokens that do
    so raise, as those that a roll-up has not.
    """
    found = _rewrite.wide(frame)
    if not found.marks:
        return frame
    columns = [*found.known, *found.own]
    rows = ", ".join(map(quote, columns))
    steps = ",\n".join([overlapping(found, "reports"), linked(), _met(), _told(found)])
    lost = f"{_lost()},\n" if which == "coarsest" else ""
    sql = f"""{steps},
{_left_over(found)},
{lost}answer as (
  select {rows}, {ROW}
  from usage
  where {ROW} not in (select {ROW} from told)
  union all
  select {rows}, {ROW}
  from left_over
)
select {rows}{f", (select said from lost) as {GUARD}" if lost else ""}
from answer
order by {ROW}"""
    return _rewrite.rewritten(frame, found, sql, changed=CHANGED, guard=GUARD_WORDS if lost else "")


def _met() -> str:
    """Return the steps to ``staying_rows`` and ``going_rows``: which row counts in which place.

    A place has a pair's rows of exactly its window, or those that lie in it.
    """
    return f"""places as materialized (
  select row_number() over () as place, *
  from (
    select distinct linked.*, {", ".join(CELL)}, tu__from, tu__to
    from cells
    join linked using (pair)
  )
),
long_places as (
  {_grain.days("places")}
),
{_side("staying_rows", same("f", "p", *METRIC))},
{_side("going_rows", _overlap_sql.is_finer("f", "p"))}"""


def _side(step: str, is_of_metric: str) -> str:
    of_place = f"{same('f', 'p', *SCOPE, *CELL)}\n      and f.tu__grain = p.fine and {is_of_metric}"
    return f"""{step} as materialized (
  select {ROW}, place, tu__metric, tu__report
  from (
    select f.{ROW}, place, {prefixed("p", *METRIC)}, 1 as tu__exact
    from figures f
    join places p on {of_place}
      and f.tu__from = p.tu__from and f.tu__to = p.tu__to
    union all
    select f.{ROW}, place, {prefixed("p", *METRIC)}, 0
    from figures f
    join long_places p on {of_place}
      and {_grain.inside("f", "p")}
  )
  qualify tu__exact = max(tu__exact) over (partition by place)
)"""


def _told(found: Columns) -> str:
    """Return the step to ``told``: of each row that goes, what the rows that stay tell."""
    is_money = "s.tu__currency is not distinct from g.tu__currency"
    tests = {_TOKENS: "s.tu__tokens is not null", _COST: f"s.tu__cost is not null and {is_money}"}
    tests |= {f"told.{n}": f"s.{quote(n)} is not null and {is_money}" for n in OTHER_CHARGES}
    tests |= {f"told.{n}": f"u.{quote(n)} is not null" for n in _others(found)}
    if _QUANTITY in found.known and "usage.unit" in found.known:
        unit = "u.{0} is not distinct from o.{0}".format(quote("usage.unit"))
        tests[f"told.{_QUANTITY}"] += f" and {unit}"
    if COUNTS in found.known:
        tests[f"told.{COUNTS}"] = f"coalesce(len(u.{quote(COUNTS)}) > 0, false)"
    told = [f"bool_or({test}) as {quote(name)}" for name, test in tests.items()]
    return f"""told as materialized (
  select going.{ROW}, min(staying.tu__report) as tu__staying,
    {clauses(told)}
  from going_rows going
  join staying_rows staying using (place)
  join figures g on g.{ROW} = going.{ROW}
  join figures s on s.{ROW} = staying.{ROW}
  join usage o on o.{ROW} = going.{ROW}
  join usage u on u.{ROW} = staying.{ROW}
  group by going.{ROW}
)"""


def _others(found: Columns) -> list[str]:
    """Return the measures of a frame that are neither tokens nor money."""
    measures = [field.column for field in catalogue.MEASURES]
    return [name for name in measures if name in found.known and name not in TOKENS]


def _left(found: Columns) -> dict[str, str]:
    """Return the SQL of what a row that goes tells alone, by column."""
    flags = dict.fromkeys((name for name in TOKENS if name in found.known), _TOKENS)
    flags |= {name: f"told.{name}" for name in _others(found)}
    flags |= {name: _COST for name in CHARGE_AMOUNTS if name in found.known}
    flags |= {name: f"told.{name}" for name in (*OTHER_CHARGES, COUNTS) if name in found.known}
    left = {
        name: f"case when not {quote(flag)} then usage.{quote(name)} end"
        for name, flag in flags.items()
    }
    if "charges" in found.known:
        own = (
            f"when {literal(_type(name))} then {quote(f'told.{name}')}" for name in OTHER_CHARGES
        )
        is_told = f"case tu__e.type {' '.join(own)} else {quote(_COST)} end"
        left["charges"] = f"nullif(list_filter(usage.charges, lambda tu__e: not {is_told}), [])"
    return left


def _left_over(found: Columns) -> str:
    """Return the step to ``left_over``: the rows that go with what they tell alone, if anything."""
    left = _left(found)
    amounts = [f"{left[name]} is not null" for name in CHARGE_AMOUNTS if name in left]
    shown = dict(left)
    if _CURRENCY in found.known and amounts:
        shown[_CURRENCY] = f"case when {' or '.join(amounts)} then usage.{quote(_CURRENCY)} end"
    replaced = [f"{sql} as {quote(name)}" for name, sql in shown.items()]
    tests = [
        f"coalesce(len({sql}) > 0, false)" if name == COUNTS else f"{sql} is not null"
        for name, sql in left.items()
    ]
    return f"""left_over as (
  select usage.* replace (
    {clauses(replaced)}
  )
  from usage
  join told using ({ROW})
  where {" or ".join(tests)}
)"""


def _lost() -> str:
    """Return the step to ``lost``: a cost or tokens of rows that go, which those that stay lack."""
    money = "'a cost in ' || coalesce(tu__currency, 'an unknown currency')"
    of = "coalesce('report ''' || {} || '''', 'no report')"
    return f"""lost as (
  select min(coalesce(tu__product, 'no product') || ': rows by ' || {_grain.label("tu__grain")}
    || ' of ' || {of.format("tu__report")} || ' have '
    || case when {quote(_COST)} or tu__cost is null then 'tokens' else {money} end
    || ' that those of ' || {of.format("tu__staying")} || ' have not, and that would be lost'
  ) as said
  from told
  join figures using ({ROW})
  where tu__cost is not null and not {quote(_COST)}
    or tu__tokens is not null and not {quote(_TOKENS)}
)"""


def _type(amount: str) -> str:
    """Return the type of charge that a column holds."""
    return amount.removeprefix(CHARGES)
