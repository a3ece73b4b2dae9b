"""Running totals that look like daily amounts.

Within one month, growth and a running total look alike.  Something must tell them apart: that the
series begins anew each month, or that tokens do not accumulate while cost does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import quote, same
from tidyusage.metrics._missing_days import SERIES
from tidyusage.quality.findings.check import Check, counted, figure, found, named, sentence
from tidyusage.quality.findings.days import CHARGED, DAILY, daily

if TYPE_CHECKING:
    from tidyusage.metrics._usage import Usage

_GROUP: Final = (*SERIES, "metric_name", "currency")
_KEYS: Final = ", ".join(map(quote, _GROUP))
_NOISE: Final = 0.01  # of an amount: what a running total may fall by when it is corrected
_RISING: Final = 0.6  # of the steps: on days without use it stands still
_RESET_STEPS: Final = 8  # within months, where each next month begins anew
_STEPS: Final = 6  # within a month that is the only one
_BEND: Final = 0.25  # of the last amount: how far from a straight line from zero it may be
_RESET: Final = 0.5
_TOKEN_FALLS: Final = 0.25  # of the steps: then tokens do not accumulate


def _running_totals(_: Usage) -> str:
    said = found(
        id_="null",
        column="'charges'",
        value=figure("sum(cost)"),
        expected=figure("sum(cost) filter (where is_last)"),
        message=sentence(
            "Of {} the amounts rise from day to day and from zero in each month, as running"
            " totals do; those of {} add up to {}, and the last of each month to {}, so keep"
            " the last alone.",
            named(*SERIES, "metric_name"),
            counted("sum(tu__count)"),
            figure("sum(cost)"),
            figure("sum(cost) filter (where is_last)"),
        ),
        records="sum(tu__count)",
    )
    is_same = same("tu__a", "tu__b", *map(quote, _GROUP))
    return f"""day_costs as (
  select {_KEYS}, day, date_trunc('month', day) as month, cost, tokens, tu__count,
    lag(tokens) over (partition by {_KEYS} order by day) as tokens_before,
    lag(cost) over (partition by {_KEYS} order by day) as before,
    lag(date_trunc('month', day)) over (partition by {_KEYS} order by day) as month_before,
    last_value(cost) over (partition by {_KEYS}, date_trunc('month', day) order by day
      rows between unbounded preceding and unbounded following) as month_cost,
    last_value(day) over (partition by {_KEYS}, date_trunc('month', day) order by day
      rows between unbounded preceding and unbounded following) as month_day
  from daily
  where cost is not null
),
steps as (
  select *, month = month_before as is_within, month <> month_before as is_between,
    day = month_day as is_last,
    abs(cost - month_cost * day(day) / day(month_day)) > {_BEND} * month_cost as is_bent
  from day_costs
),
shapes as (
  select {_KEYS},
    count(*) filter (where is_within) as within,
    count(*) filter (where is_within and cost > before) as rising,
    count(*) filter (where is_within and cost < before * (1 - {_NOISE})) as falling,
    count(*) filter (where is_between) as bounds,
    count(*) filter (where is_between and cost < {_RESET} * before) as resets,
    count(*) filter (where is_bent) as bent,
    count(*) filter (where is_within and tokens < tokens_before) as token_falls
  from steps
  group by {_KEYS}
  having min(cost) >= 0
),
running as (
  select *
  from shapes
  where falling = 0 and rising >= {_RISING} * within and resets = bounds
    and (bounds > 0 and within >= {_RESET_STEPS}
      or within >= {_STEPS} and bent = 0 and token_falls >= {_TOKEN_FALLS} * within)
),
running_totals as (
  select {said}
  from steps as tu__a
  semi join running as tu__b on {is_same}
  group by {_KEYS}
)"""


CHECKS: Final = (
    Check(
        "running_totals",
        "error",
        DAILY,
        (("start_date",), CHARGED),
        (daily, _running_totals),
    ),
)
