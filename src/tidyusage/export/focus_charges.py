"""SQL from usage records to charges in FOCUS terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage import schema
from tidyusage._utils.sql import clauses, literal, quote
from tidyusage.engines.columns import Columns
from tidyusage.export import focus_services, focus_units
from tidyusage.export.focus_records import Options, record, text
from tidyusage.export.table import USAGE
from tidyusage.metrics import _charges, _token_convention
from tidyusage.metrics._measures import countable
from tidyusage.metrics._usage import Usage as Asked

if TYPE_CHECKING:
    from tidyusage.export.table import Usage

USED: Final = "Usage"
# What a record is charged for, each a row of its own: its amount, its list price, how often.
_CHARGES: Final = {
    USED: ("tu__billed", "tu__list", "Usage-Based", ""),
    "Tax": ("tu__tax", "tu__tax", "Usage-Based", "Tax on "),
    "Credit": ("tu__credit", "tu__credit", "One-Time", "Credit on "),
}
CATEGORIES: Final = tuple(_CHARGES)


def steps(usage: Usage, options: Options) -> str:
    """Return the steps to ``charges``: one row a charge, and in ``tu__reason`` why it is no row."""
    told, asked = record(usage, options), _asked(usage)
    product, name = text("product.id"), text("product.name")
    requests = countable(asked, "requests").sql
    columns = clauses(f"{sql} as {quote(name)}" for name, sql in told.items())
    kept = (f"{quote(name)} as {quote(name)}" for name in (*told, "tu__requests"))
    decided = _token_convention.decided(asked, _token_convention.AUTO, *kept, source="records")
    tokens = ", ".join(f"{quote(path)}" for path in _token_convention.FIELDS)
    return f"""{focus_services.steps(options.services, USAGE, product, name)},
{focus_units.steps(USAGE, '"usage.unit"')},
records as (
  select
    {columns},
    {requests} as tu__requests, {tokens}
  from {USAGE}
  left join offers on {focus_services.PRODUCT} is not distinct from {product}
    and {focus_services.NAME} is not distinct from {name}
  left join formats on {focus_units.TEXT} = {text("usage.unit")}
),
{decided},
entries as (
  select *, unnest({_entries()}) as tu__charge
  from decided
),
charges as (
  select *,
    {clauses(f"{sql} as {quote(name)}" for name, sql in _charge().items())}
  from entries
)"""


def _asked(usage: Usage) -> Asked:
    """Return the usage as the metrics look at a frame, so that tokens are theirs."""
    wide = schema.layout_types("wide", source=bool(usage.marks))
    return Asked.of(Columns("wide", ".", {name: name for name in wide}, usage.own), ())


def _entries() -> str:
    """Return the SQL of a record's charges; of one that has no amount to pay, one without."""
    entries = ", ".join(
        f"{{category: {literal(category)}, amount: {amount}, listed: {listed}, "
        f"frequency: {literal(frequency)}, about: {literal(about)}}}"
        for category, (amount, listed, frequency, about) in _CHARGES.items()
    )
    amounts = ", ".join(amount for amount, *_ in _CHARGES.values())
    is_unpaid = f"coalesce({amounts}) is null and tu__is_charged"
    is_one = f"tu__e.amount is not null or {is_unpaid} and tu__e.category = {literal(USED)}"
    return f"list_filter([{entries}], lambda tu__e: {is_one})"


def _charge() -> dict[str, str]:
    """Return what each charge has of its own."""
    amount, listed = "tu__charge.amount", "tu__charge.listed"
    worth = "coalesce(tu__price, 1e0)"
    costs = dict.fromkeys(("ContractedCost", "EffectiveCost"), f"{amount} * {worth}")
    constants = dict.fromkeys(
        ("AvailabilityZone", "ChargeClass", "CommitmentDiscountStatus", "InvoiceId"),
        "cast(null as varchar)",
    )
    return {
        "ChargeCategory": "tu__charge.category",
        "ChargeFrequency": "tu__charge.frequency",
        "ChargeDescription": "concat(tu__charge.about, tu__about)",
        "BilledCost": f"case when tu__price is null then {amount} else 0e0 end",
        **costs,
        "ListCost": f"{listed} * {worth}",
        "PricingCurrencyEffectiveCost": amount,
        "PublisherName": quote("ProviderName"),
        "InvoiceIssuerName": quote("ProviderName"),
        "tu__reason": _reason(),
        **constants,
        **{name: f"case when {_is_used()} then {sql} end" for name, sql in _counts().items()},
    }


def _is_used() -> str:
    return f"tu__charge.category = {literal(USED)}"


def _counts() -> dict[str, str]:
    """Return what was used: the quantity, else tokens, else requests, else the days it took."""
    days = 'epoch("ChargePeriodEnd" - "ChargePeriodStart") / 86400e0'
    quantity = f"coalesce(tu__quantity, tokens, tu__requests, {days})"
    unit = f"""case
      when tu__quantity is not null then tu__unit
      when tokens is not null then {literal(focus_units.TOKENS)}
      when tu__requests is not null then {literal(focus_units.REQUESTS)}
      else {literal(focus_units.DAYS)} end"""
    types = {"input": "tu__fresh", "output": "output"}
    types |= {name: name for name in ("cache_read", "cache_write")}
    whole = " ".join(f"when {sql} = tokens then {literal(name)}" for name, sql in types.items())
    return {
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "x_TokenType": f"coalesce(tu__type, case when tokens > 0 then case {whole} end end)",
        "x_InputTokens": "tu__fresh",
        "x_OutputTokens": "output",
        "x_CacheReadTokens": "cache_read",
        "x_CacheWriteTokens": "cache_write",
        "x_TotalTokens": "tokens",
        "x_RequestCount": "tu__requests",
    }


def _reason() -> str:
    """Return the SQL of why a charge cannot be a row of FOCUS; null if it can."""
    is_odd = f"tu__price is not null and not {_is_used()}"
    reasons = {
        "no amount to pay": "tu__charge.amount is null",
        "amount is not finite": "not (isfinite(tu__charge.amount) and isfinite(tu__charge.listed))",
        "no start_date": "tu__start is null",
        "no currency": f"{_charges.code('tu__currency')} is null",
        "no ISO currency": f'"BillingCurrency" is null or {is_odd}',
        "no account": '"BillingAccountId" is null',
        "no product": '"ServiceName" is null',
    }
    cases = "\n      ".join(f"when {test} then {literal(why)}" for why, test in reasons.items())
    return f"case\n      {cases}\n    end"
