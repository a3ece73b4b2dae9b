"""Charges that contradict each other, are ambiguous, or appear twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import FRAME, literal, quote, trimmed
from tidyusage.metrics._tolerance import places_sql, rounding_sql
from tidyusage.quality.findings.check import (
    Check,
    counted,
    figure,
    found,
    named,
    only_one,
    sentence,
    spelled,
)

if TYPE_CHECKING:
    from tidyusage.metrics._usage import Usage

_PARTS: Final = ("on_demand", "committed", "usage_based", "platform_fee", "included")
_TYPES: Final = ("total", "net", "discount", *_PARTS)
_FIELDS: Final = ("id", "product.id", *(f"charges.{type_}" for type_ in _TYPES))
CHARGES: Final = "charges"
# By name: entries of the caller's own making need not have all of them.
_ENTRY: Final = 'struct(amount double, currency varchar, "type" varchar)'
ENTRIES: Final = "tu__entries"


def _bills(_: Usage) -> str:
    """Return the steps to ``bills``: records with a total, its parts and what noise is allowed.

    Vendors round.  Parts and their total may differ by the one tolerance for amounts
    (`metrics.tolerance`); a net, a total and a discount by half a unit of the last decimal of each.
    """
    columns = [f"{quote(f'charges.{type_}')} as {type_}" for type_ in _TYPES]
    rounding = rounding_sql(
        places_sql("total"), "given + cast(discount is not null as int)", "total"
    )
    parts = " + ".join(f"coalesce({type_}, 0)" for type_ in _PARTS[:-1])
    given = " + ".join(f"cast({type_} is not null as int)" for type_ in _PARTS)
    places = ", ".join(f"coalesce({_place(type_)}, 0)" for type_ in _TYPES)
    figures = " + ".join(f"cast({type_} is not null as int)" for type_ in _TYPES)
    return f"""charged as (
  select "id" as id, "product.id",
    {", ".join(columns)}
  from usage
  where "charges.total" is not null
),
counted_bills as (
  select *, {parts} as parts, coalesce(included, 0) as inside,
    abs(coalesce(discount, 0)) as taken_off, {given} as given,
    greatest(1e-6 * abs(total), 0.5 * greatest({places}) * ({figures})) as noise
  from charged
),
bills as (
  select *, greatest(1e-6 * abs(total), {rounding}) as rounding
  from counted_bills
)"""


def _place(number: str) -> str:
    """Return the SQL of what one of a number's last decimal is worth, 0 beyond the fourth."""
    is_cents = f"abs({number} - round({number}, 2)) <= 1e-9 * abs({number})"
    is_less = f"abs({number} - round({number}, 4)) <= 1e-9 * abs({number})"
    place = f"when {is_cents} then 1e-2 when {is_less} then 1e-4 else 0"
    return f"case when {number} = 0 then 0 {place} end"


def _parts_not_total(asked: Usage) -> str:
    # What is given back is negative, and so is its discount then.
    sums = ["parts", "parts + inside"]
    sums += [f"{some} - {off}" for some in sums for off in ("taken_off", "given_back")]
    listed = ", ".join(f"'{type_} ' || {figure(type_)}" for type_ in (*_PARTS, "discount"))
    said = found(
        id_="id",
        column=spelled(asked, "charges.total"),
        value=figure("total"),
        expected=figure("makes"),
        message=sentence(
            "The total is {}, and its parts ({}) make {}; find out which of them is wrong before"
            " you use any of them.",
            figure("total"),
            f"concat_ws(', ', {listed})",
            figure("makes"),
        ),
    )
    return f"""sums as (
  select *, case when total < 0 then -taken_off else taken_off end as given_back
  from bills
  where given > 0
),
makes as (
  select *,
    list_min(list_transform([{", ".join(sums)}], lambda tu__sum:
      {{off: abs(tu__sum - total), makes: tu__sum}})) as nearest,
    case when total >= 0 then parts - taken_off > total + rounding
      else parts + taken_off < total - rounding end as is_more
  from sums
),
parts_not_total as (
  select {said}
  from (select *, case when given > 1 then nearest.makes else parts end as makes from makes)
  where given > 1 and nearest.off > rounding or given = 1 and is_more
)"""


def _net_not_total_less_discount(asked: Usage) -> str:
    said = found(
        id_="id",
        column=spelled(asked, "charges.net"),
        value=figure("net"),
        expected=figure("due"),
        message=sentence(
            "The net is {}, and the total of {} less the discount of {} is {}; find out"
            " which was charged, and name it as charge=.",
            figure("net"),
            figure("total"),
            figure("taken_off"),
            figure("due"),
        ),
    )
    return f"""due as (
  select *, case when total < 0 and abs(net - total - taken_off) <= noise then total + taken_off
      else total - taken_off end as due
  from bills
  where net is not null
),
net_not_total_less_discount as (
  select {said}
  from due
  where case when discount is null and total >= 0 then net - due > noise
    when discount is null then due - net > noise
    else abs(net - due) > noise end
)"""


def _discount_without_net(asked: Usage) -> str:
    said = found(
        id_=only_one(),
        column=spelled(asked, "charges.discount"),
        value=figure("sum(taken_off)"),
        expected="null",
        message=sentence(
            "In {} of {} a total stands beside a discount, of {} in all, and there is no"
            " net: it is open whether the total is before the discount or after it. It is"
            " taken as charged; ask the vendor before you rely on it.",
            counted("count(*)"),
            named("product.id"),
            figure("sum(taken_off)"),
        ),
        records="count(*)",
    )
    return f"""discount_without_net as (
  select {said}
  from bills
  where net is null and taken_off > noise
    and not (given > 0 and (abs(parts - taken_off - total) <= noise
      or abs(parts + inside - taken_off - total) <= noise))
  group by "product.id"
)"""


def entries(asked: Usage) -> str:
    """Return the step to the charges of records that may hold one twice, or one without a currency.

    It reads the frame itself; in long there are no entries.
    """
    if CHARGES not in asked.columns.known:
        return ""
    own = f"cast({quote(asked.columns.known[CHARGES])} as {_ENTRY}[])"
    id_, product = (
        f"cast({quote(asked.columns.known[path])} as varchar)"
        if path in asked.columns.known
        else "cast(null as varchar)"
        for path in ("id", "product.id")
    )
    types, codes = (
        f"list_transform({own}, lambda tu__e: {sql})"
        for sql in ("tu__e.type", f"nullif({trimmed('tu__e.currency')}, '')")
    )
    return f"""{ENTRIES} as (
  select row_number() over () as tu__record, {id_} as id, {product} as "product.id",
    list_filter({own}, lambda tu__e: tu__e.amount is not null) as entries
  from {FRAME}
  where len({own}) > 1
    and (list_unique({types}) < len({own}) or list_count({codes}) < len({own}))
)"""


_AMOUNTS: Final = "string_agg(amount, ', ' order by tu__place)"


def _duplicate_charge_types(asked: Usage) -> str:
    said = found(
        id_="id",
        column=f"{literal(f'charges{asked.columns.sep}')} || type",
        value=_AMOUNTS,
        expected="null",
        message=sentence(
            "The charge {} stands {} times in the record, with the amounts {}, which are"
            " added up; if they are one charge twice, leave one out.",
            "type",
            "count(*)",
            _AMOUNTS,
        ),
    )
    return f"""amounts as (
  select tu__record, id, tu__place, tu__entry.type as type,
    {figure("tu__entry.amount")} as amount
  from (
    select tu__record, id, unnest(entries) as tu__entry,
      unnest(range(len(entries))) as tu__place
    from {ENTRIES}
  )
  where tu__entry.type is not null
),
duplicate_charge_types as (
  select {said}
  from amounts
  group by tu__record, id, type
  having count(*) > 1
)"""


_TOTALS: Final = (("charges.total",),)
_SHARES: Final = tuple(f"charges.{type_}" for type_ in _PARTS)
CHECKS: Final = (
    Check("parts_not_total", "error", _FIELDS, (*_TOTALS, _SHARES), (_bills, _parts_not_total)),
    Check(
        "net_not_total_less_discount",
        "error",
        _FIELDS,
        (*_TOTALS, ("charges.net",)),
        (_bills, _net_not_total_less_discount),
    ),
    Check(
        "discount_without_net",
        "warning",
        _FIELDS,
        (*_TOTALS, ("charges.discount",)),
        (_bills, _discount_without_net),
    ),
    Check(
        "duplicate_charge_types",
        "warning",
        ("id",),
        ((CHARGES,),),
        (entries, _duplicate_charge_types),
    ),
)
