"""Amounts that look like cents where dollars belong.

Costs differ by more than a hundred for good reasons.  What they differ little in is the cost of
one unit: of tokens, each sort weighed by what it is priced at beside fresh input, or of a quantity
of one metric.  Only where nothing is counted, a day's cost is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import quote, same, values
from tidyusage.metrics._charges import code
from tidyusage.quality.findings.check import Check, counted, figure, found, named, sentence
from tidyusage.quality.findings.days import CHARGED, DAILY, daily
from tidyusage.quality.findings.tokens import COSTS, costed

if TYPE_CHECKING:
    from tidyusage.metrics._usage import Usage

# What tokens cost beside fresh input.  These ratios hold for Anthropic's and OpenAI's lists, within
# a factor of two; the cheapest and the dearest sort of one model are fifty apart.
_OUTPUT: Final = 5
_READ: Final = 0.1
_WRITE: Final = 1.25
# A model on a public list costs 150 dollars a million input tokens at most (o1-pro).
_DEAREST: Final = 200e-6
_DOLLARS: Final = ("USD", "EUR", "GBP", "CHF", "CAD", "AUD")
_TOKENS: Final = 1e6
_DEAR_RECORDS: Final = 5
_DEAR_SHARE: Final = 0.75
_GAP: Final = 10  # between the two clumps, in which nothing is
_SPREAD: Final = 10  # within a clump
_NEAREST: Final = 50
_FARTHEST: Final = 200
_CLUMP: Final = 5  # records, or days, of each clump
_GROUP: Final = ("product.id", "model.id", "metric_name", "usage.unit", "currency", "kind")
_KEYS: Final = ", ".join(map(quote, _GROUP))
_SORTED, _IN_ALL, _QUANTITY, _DAYS = range(1, 5)  # the kinds: what a cost is set against


def _unit_costs(_: Usage) -> str:
    """Return the steps to ``bins``: how often a unit cost so much, by quarters of a power of ten.

    Grouped so, a million records are some dozen rows.
    """
    any_ = "coalesce(input, output, cache_read, cache_write) is not null"
    weighed = (
        f"coalesce(tu__fresh, 0) + {_OUTPUT} * coalesce(output, 0)"
        f" + {_READ} * coalesce(cache_read, 0) + {_WRITE} * coalesce(cache_write, 0)"
    )
    keys = _KEYS.replace('"currency"', "tu__currency")
    return f"""sizes as (
  select *, case when {any_} then {_SORTED}
      when tokens is not null then {_IN_ALL} else {_QUANTITY} end as kind,
    case when {any_} then {weighed} else coalesce(tokens, "usage.quantity") end as size
  from decided
  where cost > 0
),
unit_costs as (
  select *, cost / size as unit_cost
  from sizes
  where size > 0 and cost / size > 0 and isfinite(cost / size)
),
day_costs_alone as (
  select tu__a."product.id", tu__a."metric_name", currency, cost, day
  from daily as tu__a
  where cost > 0 and isfinite(cost) and not exists (
    select 1
    from unit_costs as tu__b
    where tu__a."product.id" is not distinct from tu__b."product.id"
  )
),
raw_bins as (
  select {keys}, floor(4 * log10(unit_cost)) as bin, {_binned("unit_cost", "start_date")},
    sum(size) as size, count(*) filter (where unit_cost > {_DEAREST}) as dear
  from unit_costs
  group by {keys}, floor(4 * log10(unit_cost))
  union all
  select "product.id", null, "metric_name", null, currency as tu__currency, {_DAYS} as kind,
    floor(4 * log10(cost)) as bin, {_binned("cost", "day")}, null as size, null as dear
  from day_costs_alone
  group by "product.id", "metric_name", currency, floor(4 * log10(cost))
),
coded_bins as (
  select *, {code("tu__currency")} as currency
  from raw_bins
),
bins as (
  select {_KEYS}, bin, sum(tu__count) as tu__count, min(least) as least, max(most) as most,
    sum(logs) as logs, sum(amount) as amount, sum(whole) as whole,
    min(tu__first) as tu__first, max(tu__last) as tu__last, sum(size) as size, sum(dear) as dear
  from coded_bins
  group by {_KEYS}, bin
)"""


def _binned(unit_cost: str, day: str) -> str:
    return (
        f"count(*) as tu__count, min({unit_cost}) as least, max({unit_cost}) as most,"
        f" sum(ln({unit_cost})) as logs, sum(cost) as amount,"
        f" count(*) filter (where cost = round(cost)) as whole,"
        f" min({day}) as tu__first, max({day}) as tu__last"
    )


def _clumps(_: Usage) -> str:
    """Return the steps to ``jumps``: groups in two clumps, about a hundred times apart."""
    before = ", ".join(
        f"lag({name}) over groups as low_{name}"
        for name in ("tu__count", "least", "most", "middle", "whole", "tu__first", "tu__last")
    )
    return f"""gaps as (
  select *, case when least > {_GAP} * lag(most) over (partition by {_KEYS} order by bin)
      then 1 else 0 end as is_gap
  from bins
),
numbered_bins as (
  select *, sum(is_gap) over (
      partition by {_KEYS} order by bin rows between unbounded preceding and current row
    ) as clump
  from gaps
),
clumps as (
  select {_KEYS}, clump, sum(tu__count) as tu__count, min(least) as least, max(most) as most,
    exp(sum(logs) / sum(tu__count)) as middle, sum(amount) as amount, sum(whole) as whole,
    min(tu__first) as tu__first, max(tu__last) as tu__last
  from numbered_bins
  group by {_KEYS}, clump
),
pairs as (
  select *, max(clump) over (partition by {_KEYS}) as highest, {before}
  from clumps
  window groups as (partition by {_KEYS} order by clump)
),
jumps as (
  select *
  from pairs
  where highest = 1 and clump = 1
    and tu__count >= {_CLUMP} and low_tu__count >= {_CLUMP}
    and most <= {_SPREAD} * least and low_most <= {_SPREAD} * low_least
    and middle between {_NEAREST} * low_middle and {_FARTHEST} * low_middle
    and (tu__first > low_tu__last or tu__last < low_tu__first
      or kind in ({_SORTED}, {_IN_ALL}) and whole = tu__count and low_whole < low_tu__count)
)"""


def _amounts_in_cents(_: Usage) -> str:
    of = named("product.id", "model.id", "metric_name")
    currency = "coalesce(currency, 'an unknown currency')"
    each = f"case kind when {_QUANTITY} then 'unit of quantity' else 'token' end"
    days = counted("tu__count", "day", "days")
    jump = sentence(
        "Of {}, {} in {} cost about {} times what the others do{}; if they are in cents,"
        " divide them by 100.",
        of,
        f"case kind when {_DAYS} then {days} else {counted('tu__count')} end",
        currency,
        figure("round(middle / low_middle)"),
        f"case kind when {_DAYS} then '' else ' for each ' || {each} end",
    )
    dear = sentence(
        "Of {}, {} cost {} {} for a million tokens, each sort weighed by its price, and"
        " no list asks more than 150; if they are in cents, divide them by 100.",
        of,
        counted("tu__count"),
        figure("1e6 * amount / size"),
        currency,
    )
    mean = "amount / tu__count"
    said = {"column": "'charges'", "value": figure(mean), "expected": figure(f"{mean} / 100")}
    is_same = same("tu__a", "tu__b", *map(quote, _GROUP))
    return f"""dear as (
  select {_KEYS}, sum(tu__count) as tu__count, sum(amount) as amount, sum(size) as size
  from bins as tu__a
  where kind = {_SORTED} and currency in ({values(_DOLLARS)})
    and not exists (select 1 from jumps as tu__b where {is_same})
  group by {_KEYS}
  having sum(tu__count) >= {_DEAR_RECORDS} and sum(size) >= {_TOKENS}
    and sum(dear) >= {_DEAR_SHARE} * sum(tu__count) and sum(amount) > {_DEAREST} * sum(size)
),
amounts_in_cents as (
  select {found(id_="null", **said, message=jump, records="tu__count")}
  from jumps
  union all
  select {found(id_="null", **said, message=dear, records="tu__count")}
  from dear
)"""


CHECKS: Final = (
    Check(
        "amounts_in_cents",
        "warning",
        (*DAILY, *COSTS),
        (CHARGED,),
        (costed, daily, _unit_costs, _clumps, _amounts_in_cents),
    ),
)
