"""Missing days, and an incomplete last day.

A series is what one product tells of one organization.  Mon-Fri and the weekend are judged apart:
many series rest at weekends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage.metrics import _missing_days as missing_days
from tidyusage.metrics._charges import BILLED, code, fields_of
from tidyusage.metrics._missing_days import KEYS as _KEYS
from tidyusage.metrics._missing_days import SERIES
from tidyusage.metrics.cost import CURRENCY
from tidyusage.quality.findings.check import (
    Check,
    cost_in_currency,
    figure,
    found,
    named,
    sentence,
    spelled,
)

if TYPE_CHECKING:
    from tidyusage.metrics._usage import Usage

_TOKENS: Final = ("usage.tokens.total", "usage.tokens.input", "usage.tokens.output")
_DATES: Final = ("start_date", "end_date")
_FIELDS: Final = ("id", *SERIES, *_DATES)
CHARGED: Final = tuple(field for field in fields_of(BILLED) if field != "charges.currency")
DAILY: Final = (*_FIELDS, "metric_name", *fields_of(BILLED), *_TOKENS)
# A column without any value may have no type.
_START, _END = (f"cast({name} as timestamp)" for name in _DATES)
_DAY: Final = missing_days.is_of_one_day(_START, _END)
_BEFORE: Final = 20  # days of its kind to which the last one is compared
_COMPARED: Final = 16  # how many of them there must be
_HALF: Final = 0.5
_DEEPER: Final = 2  # than any of them fell
_DEVIATIONS: Final = 3.5  # of the robust z-score: Iglewicz and Hoaglin, 1993
_SIGMA: Final = 1.4826  # a normal distribution's standard deviation, in median deviations
_LEAST: Final = 0.1  # of the median, below which no deviation is taken to be


def _covered(_: Usage) -> str:
    return missing_days.covered("usage", start=_START, end=_END)


def _missing_days(asked: Usage) -> str:
    gap = (
        "strftime(min(day), '%Y-%m-%d') ||"
        " case when count(*) > 1 then ' to ' || strftime(max(day), '%Y-%m-%d') else '' end"
    )
    said = found(
        id_="null",
        column=spelled(asked, "start_date"),
        value=gap,
        expected="'a record every day'",
        message=sentence(
            "Of {} there are records on most days of this kind, and none on {}; read those days"
            " again, or say that they are missing where you compare periods.",
            named(*SERIES),
            gap,
        ),
        records="max(tu__records)",
    )
    return f"""{missing_days.holes()},
hole_runs as (
  select {_KEYS}, tu__day as day, tu__records,
    date_diff('day', tu__first, tu__day) - row_number() over (
      partition by {_KEYS} order by tu__day
    ) as tu__run
  from holes
),
missing_days as (
  select {said}
  from hole_runs
  group by {_KEYS}, tu__run
)"""


def daily(asked: Usage) -> str:
    """Return the step to ``daily``: what the records of one day tell, by series and metric."""
    parts = 'coalesce("usage.tokens.input", 0) + coalesce("usage.tokens.output", 0)'
    any_ = 'coalesce("usage.tokens.input", "usage.tokens.output") is not null'
    return f"""raw_days as (
  select {_KEYS}, "metric_name", date_trunc('day', {_START}) as day,
    {CURRENCY} as tu__currency, {cost_in_currency(asked)} as cost,
    coalesce("usage.tokens.total", case when {any_} then {parts} end) as tokens
  from usage
  where start_date is not null and {_DAY}
),
raw_daily as (
  select {_KEYS}, "metric_name", day, tu__currency,
    sum(cost) as cost, sum(tokens) as tokens, count(*) as tu__count
  from raw_days
  group by all
),
daily as (
  select {_KEYS}, "metric_name", day, {code("tu__currency")} as currency,
    sum(cost) as cost, sum(tokens) as tokens, sum(tu__count) as tu__count
  from raw_daily
  group by all
)"""


def _late_days(asked: Usage) -> str:
    tokens = spelled(asked, "usage.tokens.total")
    said = found(
        id_="null",
        column=f"case rank when 1 then 'charges' when 2 then {tokens} else 'id' end",
        value=figure("last_figure"),
        expected=figure("usual"),
        message=sentence(
            "On {}, the last day of {}, the {} is {}, and on days of its kind it was {} before;"
            " the day is likely not whole yet, so read it again later or leave it out.",
            "strftime(day, '%Y-%m-%d')",
            named(*SERIES),
            "what",
            figure("last_figure"),
            figure("usual"),
        ),
        records="tu__count",
    )
    of = {"cost": "'cost' || coalesce(' in ' || currency, '')", "tokens": "'sum of tokens'"}
    kinds = [
        f"select {_KEYS}, day, {rank} as rank, {what} as what, sum({name}) as figure from daily"
        f" where {name} is not null group by all"
        for rank, (name, what) in enumerate({**of, "tu__count": "'number of records'"}.items(), 1)
    ]
    union = "\n  union all\n  ".join(kinds)
    keys = f"{_KEYS}, rank, what"
    return f"""figures as (
  {union}
),
lasts as (
  select *, max(day) over (partition by {_KEYS}) as last_day, isodow(day) > 5 as is_weekend
  from figures
),
alike as (
  select *, row_number() over (partition by {keys} order by day desc) as tu__back
  from lasts
  where is_weekend = (isodow(last_day) > 5)
),
before_last as (
  select *, median(figure) filter (where day < last_day) over (partition by {keys}) as usual
  from alike
  where tu__back <= {_BEFORE + 1}
),
compared as (
  select {keys}, max(last_day) as day, max(usual) as usual,
    max(figure) filter (where day = last_day) as last_figure,
    min(figure) filter (where day < last_day) as lowest,
    median(abs(figure - usual)) filter (where day < last_day) as deviation
  from before_last
  group by {keys}
  having count(*) filter (where day < last_day) >= {_COMPARED}
),
dropped as (
  select *, row_number() over (partition by {_KEYS} order by rank, what) as tu__place
  from compared
  where usual > 0 and last_figure < {_HALF} * usual
    and usual - last_figure >= {_DEEPER} * (usual - lowest)
    and usual - last_figure >= {_DEVIATIONS} * greatest({_SIGMA} * deviation, {_LEAST} * usual)
),
last_counts as (
  select {_KEYS}, day, sum(tu__count) as tu__count
  from daily
  group by {_KEYS}, day
),
late_days as (
  select {said}
  from (
    select tu__a.*, tu__b.tu__count
    from dropped as tu__a
    join last_counts as tu__b on {missing_days.same_series("tu__a", "tu__b")}
      and tu__a.day = tu__b.day
    where tu__a.tu__place = 1
  )
)"""


def _end_before_start(asked: Usage) -> str:
    start, end = (
        f"strftime({date}, '%Y-%m-%d') || 'T' || strftime({date}, '%H:%M:%S') || 'Z'"
        for date in (_START, _END)
    )
    said = found(
        id_="id",
        column=spelled(asked, "end_date"),
        value=end,
        expected=f"'after ' || {start}",
        message=sentence(
            "The window ends at {}, before it starts at {}. Metrics ignore the end: a start at"
            " midnight counts as one day, any other as an instant. Correct the dates.",
            end,
            start,
        ),
    )
    return f"""end_before_start as (
  select {said}
  from usage
  where {_END} < {_START}
)"""


CHECKS: Final = (
    Check(
        "end_before_start",
        "warning",
        ("id", *_DATES),
        (("start_date",), ("end_date",)),
        (_end_before_start,),
    ),
    Check("missing_days", "warning", _FIELDS, (("start_date",),), (_covered, _missing_days)),
    Check("late_days", "info", DAILY, (("start_date",),), (daily, _late_days)),
)
