"""Amounts without a currency, or with an unknown one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage import catalogue
from tidyusage._utils.iso4217 import ISO_4217, WITHDRAWN
from tidyusage._utils.sql import quote, values
from tidyusage.metrics._charges import code
from tidyusage.metrics.cost import CURRENCY
from tidyusage.quality.findings.check import Check, counted, found, named, sentence, spelled
from tidyusage.quality.findings.money import CHARGES, ENTRIES, entries

if TYPE_CHECKING:
    from tidyusage.metrics._usage import Usage

_CODE: Final = "charges.currency"
_NEEDS: Final = (catalogue.CHARGE_AMOUNTS,)
_FIELDS: Final = ("id", "product.id", _CODE, *catalogue.CHARGE_AMOUNTS)


def _priced(_: Usage) -> str:
    """Return the steps to ``priced``: records with an amount, and the code of its currency."""
    return f"""raw_codes as (
  select "product.id", {CURRENCY}, count(*) as tu__count, max("id") as id
  from usage
  where coalesce({", ".join(map(quote, catalogue.CHARGE_AMOUNTS))}) is not null
  group by "product.id", {CURRENCY}
),
priced as (
  select "product.id", {code(CURRENCY)} as code, sum(tu__count) as tu__count, max(id) as id
  from raw_codes
  group by "product.id", {code(CURRENCY)}
)"""


def _currency_missing(asked: Usage) -> str:
    count = "sum(tu__count)"
    said = found(
        id_=f"case when {count} = 1 then max(id) end",
        column=spelled(asked, _CODE),
        value="null",
        expected="'a code of ISO 4217'",
        message=sentence(
            "In {} of {} an amount has no currency, and is added to no other; name the"
            " currency that the vendor means as currency= when you read the records.",
            counted(count),
            named("product.id"),
        ),
        records=count,
    )
    own = CHARGES in asked.columns.known
    in_part = f"""
    union all
    select "product.id", count(*), max(id)
    from {ENTRIES}
    where list_unique(list_transform(entries, lambda tu__e: {code("tu__e.currency")})) = 1
      and len(list_filter(entries, lambda tu__e: {code("tu__e.currency")} is null)) > 0
    group by "product.id"
"""
    return f"""unknown as (
    select "product.id", tu__count, id
    from priced
    where code is null{in_part if own else ""}
),
currency_missing as (
  select {said}
  from unknown
  group by "product.id"
)"""


def _currency_not_iso(asked: Usage) -> str:
    said = found(
        id_="case when tu__count = 1 then id end",
        column=spelled(asked, _CODE),
        value="code",
        expected="'a code of ISO 4217'",
        message=sentence(
            "In {} of {} amounts are in {}, which is no currency of ISO 4217; give what one"
            " is worth as rates= and to= before you compare it with money.",
            counted("tu__count"),
            named("product.id"),
            "code",
        ),
        records="tu__count",
    )
    return f"""currency_not_iso as (
  select {said}
  from priced
  where code not in ({values((*ISO_4217, *WITHDRAWN))})
)"""


CHECKS: Final = (
    Check("currency_missing", "warning", _FIELDS, _NEEDS, (_priced, entries, _currency_missing)),
    Check("currency_not_iso", "info", _FIELDS, _NEEDS, (_priced, _currency_not_iso)),
)
