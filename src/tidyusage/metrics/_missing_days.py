"""Quiet and missing days: the one definition, shared by findings, rolling values and trends.

A series is all the records of one product and one organization.  A day without records is missing
if the series usually has records on such days (weekdays and weekends are judged separately).  Any
other day between the first and the last day of the series is quiet: nothing happened on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import grouped, listed, ordered, quote, same
from tidyusage.metrics._periods import DATES, PERIOD
from tidyusage.metrics._source import RECORD

if TYPE_CHECKING:
    from tidyusage.engines.query import Query
    from tidyusage.metrics._periods import Periods
    from tidyusage.metrics._usage import Usage

SERIES: Final = ("product.id", "organization.id")
KEYS: Final = ", ".join(map(quote, SERIES))
# A series may be a dimension too, so steps that are joined to groups call its columns by place.
_ALIASES: Final = tuple(f"tu__series_{place}" for place, _ in enumerate(SERIES))
_ALIASED: Final = ", ".join(
    f"{quote(name)} as {alias}" for name, alias in zip(SERIES, _ALIASES, strict=True)
)
FIELDS: Final = (*SERIES, *DATES)
IS_COMPLETE: Final = f"incomplete.{PERIOD} is null"
_LONGEST: Final = 366  # days of a window; a longer one says nothing of single days
_ENOUGH: Final = 5  # days of a kind, below which no habit is known
_SHARE: Final = 0.75  # of a kind's days, from which a series has records every day
_MANY: Final = 3  # records a day, from which a day without any is no chance (5 % at 3, of Poisson)
_IS_WEEKEND: Final = "tu__day >= date_trunc('week', tu__day) + interval '5 day'"
# Microseconds per day with records: a sparser series is in order.
_DENSE: Final = 6 * 86_400_000_000


def same_series(one: str, other: str) -> str:
    """Return the SQL test that two rows are of one series."""
    return same(one, other, *map(quote, SERIES))


def is_of_one_day(start: str, end: str) -> str:
    """Return the SQL test of a window that belongs to the day it starts on; the end may be null."""
    return f"({end} is null or {end} <= {start} + interval '1 day')"


def covered(source: str, *, start: str, end: str, count: str = "count(*)") -> str:
    """Return the steps to ``day_covered``: each day of each series that a record's window touches.

    ``start`` and ``end`` are the SQL of a window's times without a zone; the end may be missing.
    """
    return f"""day_windows as (
  select {KEYS}, date_trunc('day', {start}) as tu__first,
    case when {is_of_one_day(start, end)} then date_trunc('day', {start})
      else date_trunc('day', {end} - interval '1 microsecond') end as tu__last,
    {count} as tu__count
  from {source}
  where {start} is not null
    and ({end} is null or {end} <= {start} + interval '{_LONGEST} day')
  group by {KEYS}, tu__first, tu__last
),
day_touches as (
  select {KEYS}, tu__count,
    unnest(generate_series(tu__first, tu__last, interval '1 day')) as tu__day
  from day_windows
),
day_covered as (
  select {KEYS}, tu__day, sum(tu__count) as tu__count
  from day_touches
  group by {KEYS}, tu__day
)"""


def holes() -> str:
    """Return the steps from ``day_covered`` to ``holes``: the missing days of each series."""
    return f"""day_spans as (
  select {KEYS}, min(tu__day) as tu__first, max(tu__day) as tu__last, sum(tu__count) as tu__records
  from day_covered
  group by {KEYS}
  having count(*) >= {_ENOUGH}
    and date_diff('microsecond', min(tu__day), max(tu__day)) < {_DENSE} * count(*)
),
day_calendar as (
  select *, {_IS_WEEKEND} as is_weekend
  from (
    select *, unnest(generate_series(tu__first, tu__last, interval '1 day')) as tu__day
    from day_spans
  ) as tu__days
),
day_marks as (
  select tu__a.*, tu__b.tu__count
  from day_calendar as tu__a
  left join day_covered as tu__b on {same_series("tu__a", "tu__b")}
    and tu__a.tu__day = tu__b.tu__day
),
day_sizes as (
  select {KEYS}, is_weekend, tu__count, count(*) as tu__days, count(tu__count) as tu__covered,
    sum(tu__count) as tu__all
  from day_marks
  group by {KEYS}, is_weekend, tu__count
),
day_habits as (
  select {KEYS}, is_weekend
  from day_sizes
  group by {KEYS}, is_weekend
  having sum(tu__covered) >= {_ENOUGH}
    and sum(tu__covered) >= {_SHARE} * sum(tu__days)
    and (sum(tu__all) >= {_MANY} * sum(tu__covered)
      or max(tu__covered) >= {_SHARE} * sum(tu__covered))
),
holes as (
  select tu__a.*
  from day_marks as tu__a
  join day_habits as tu__b on {same_series("tu__a", "tu__b")}
    and tu__a.is_weekend = tu__b.is_weekend
  where tu__a.tu__count is null
)"""


def incomplete(asked: Usage, *, reach: str = "") -> str:
    """Return the steps from ``day_records`` to ``incomplete``: each group's periods with holes.

    A group is of the series that its records are of.  ``reach`` is the SQL of the length by which
    a period's value looks back beyond the period.
    """
    periods = _periods(asked)
    dims = listed(*asked.dimensions)
    last = "tu__day + interval '1 day' - interval '1 microsecond'"
    until = f"cast(tu__last_hole as timestamp){f' + {reach}' if reach else ''}"
    series = f"generate_series(cast(tu__first_hole as timestamp), {until}, {periods.step()})"
    count = f"count(distinct {RECORD})" if asked.has_lists else "count(*)"
    end = f"({periods.given_end()})"
    return f"""{covered("day_records", start="start_date", end=end, count=count)},
{holes()},
hole_periods as (
  select {_ALIASED}, {periods.of_instant("tu__day")} as tu__first_hole,
    {periods.of_instant(f"({last})")} as tu__last_hole
  from holes
),
group_series as (
  select distinct {dims}{_ALIASED}
  from day_records
  where start_date is not null
),
incomplete_bounds as (
  select {dims}unnest({series}) as tu__at
  from hole_periods
  join group_series on {_of_group("hole_periods")}
),
incomplete as (
  select distinct {dims}{periods.named("tu__at")} as {PERIOD}
  from incomplete_bounds
)"""


def incomplete_query(asked: Usage) -> Query:
    """Return the query of the periods with missing days, by the question's dimensions."""
    order = ordered(*asked.period, *asked.dimensions)
    sql = f"{incomplete(asked)}\nselect {', '.join(asked.keys)}\nfrom incomplete\norder by {order}"
    return asked.query(sql, (), {}, of_days=FIELDS, portable=False)


def joined(asked: Usage, step: str) -> str:
    """Return the SQL that joins ``incomplete`` to a step with the question's keys."""
    return f"left join incomplete on {same(step, 'incomplete', *asked.keys)}"


def lives(asked: Usage) -> str:
    """Return the steps from ``day_records`` to ``lives``: each group's first and last period.

    They are those of the series that the group is of; between them, a day without a record and not
    missing is quiet.  `incomplete` comes before.
    """
    periods, dims = _periods(asked), asked.dimensions
    last = f"(max({periods.ends()}) - interval '1 microsecond')"
    return f"""series_lives as (
  select {_ALIASED}, {periods.of_instant("min(start_date)")} as tu__born,
    {periods.of_instant(last)} as tu__gone
  from day_records
  where start_date is not null
  group by {KEYS}
),
lives as (
  select {listed(*dims)}min(tu__born) as tu__born, max(tu__gone) as tu__gone
  from group_series
  join series_lives on {_of_group("series_lives")}
  {grouped(*dims)}
)"""


def _periods(asked: Usage) -> Periods:
    if asked.periods is None:
        raise TypeError("A question without periods has none that could be incomplete.")
    return asked.periods


def joined_lives(asked: Usage, step: str) -> str:
    """Return the SQL that joins ``lives`` to a step with the question's dimensions."""
    return f"left join lives on {same(step, 'lives', *asked.dimensions)}"


def is_alive(step: str) -> str:
    """Return the SQL test of a step's period that is within its group's life."""
    return f"coalesce({step}.{PERIOD} >= tu__born and {step}.{PERIOD} <= tu__gone, false)"


def _of_group(step: str) -> str:
    return same("group_series", step, *_ALIASES)
