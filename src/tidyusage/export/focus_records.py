"""Account, period, service, money, region and quantity of a record in FOCUS terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import added, literal, quote, trimmed
from tidyusage.export import focus_columns, focus_currencies, focus_services, focus_units
from tidyusage.metrics import _charges
from tidyusage.metrics._periods import DATES, window_end_sql

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from tidyusage.export.focus_currencies import Price
    from tidyusage.export.focus_services import Service
    from tidyusage.export.table import Usage
    from tidyusage.typing import CreditSign

_ORGANIZATION: Final = "Organization"
_DEFAULTED: Final = "Billing Account"
_WORKSPACE: Final = "Workspace"
# Meters by which vendors name a type of token.
_TOKEN_TYPES: Final = {
    "input_tokens": "input",
    "uncached_input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write",
}
AMOUNTS: Final = (*_charges.amounts_of(_charges.BILLED), *_charges.OTHER_CHARGES)
_CODE: Final = _charges.code('"charges.currency"')


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller says of accounts, currencies and services, which records do not."""

    billing_account: str | None
    virtual: Mapping[str, Price]
    services: Mapping[str, Service]
    credit_sign: CreditSign | None = None


def record(usage: Usage, options: Options) -> dict[str, str]:
    """Return what each record tells, by the name that it has in the export or in the steps."""
    fields = {name: quote(path) for name, path in focus_columns.fields(usage).items()}
    mine = {alias(place): quote(name) for place, name in enumerate(usage.own)}
    parts = (fields, mine, _account(options), _period(), _service(), _money(options))
    return {name: sql for part in (*parts, _place(), _quantity()) for name, sql in part.items()}


def alias(place: int) -> str:
    """Return the name that a column of the caller's own has within the steps."""
    return f"tu__mine_{place}"


def _account(options: Options) -> dict[str, str]:
    organization = text("organization.id")
    of_own = f"when {organization} is not null then {literal(_ORGANIZATION)}"
    kind = f"case {of_own} else {literal(_DEFAULTED)} end"
    return {
        "BillingAccountId": f"coalesce({organization}, {literal(options.billing_account)})",
        "BillingAccountName": text("organization.name"),
        "BillingAccountType": kind,
        "tu__organization": quote("organization.id"),
    }


def _period() -> dict[str, str]:
    """Return the windows: FOCUS knows no part of a second, so what is touched is covered."""
    start, end = (f"timezone('UTC', {name})" for name in DATES)
    until = f"timezone('UTC', {window_end_sql(start=start, end=end)})"
    month = "date_trunc('month', timezone('UTC', start_date))"
    return {
        "tu__start": "start_date",
        "tu__end": "end_date",
        "ChargePeriodStart": "date_trunc('second', start_date)",
        "ChargePeriodEnd": f"date_trunc('second', {until} + interval 999999 microseconds)",
        "BillingPeriodStart": f"timezone('UTC', {month})",
        "BillingPeriodEnd": f"timezone('UTC', {month} + interval 1 month)",
    }


def _service() -> dict[str, str]:
    about = ", ".join([focus_services.SERVICE, *map(text, ("metric_name", "model.id", "surface"))])
    return {
        "ServiceName": focus_services.SERVICE,
        "ProviderName": focus_services.provider(text("model.provider")),
        "ServiceCategory": focus_services.CATEGORY,
        "ServiceSubcategory": focus_services.SUBCATEGORY,
        "tu__about": f"concat_ws(', ', {about})",
    }


def _money(options: Options) -> dict[str, str]:
    """Return the amounts that a record is charged, and their currencies."""
    unpaid = "len(list_filter(charges, lambda tu__e: tu__e.amount is not null)) > 0"
    return {
        "tu__currency": quote("charges.currency"),
        "BillingCurrency": focus_currencies.billing(_CODE, options.virtual),
        "PricingCurrency": focus_currencies.pricing(_CODE, options.virtual),
        "tu__price": focus_currencies.price(_CODE, options.virtual),
        "tu__billed": _charges.cost(_charges.BILLED),
        "tu__list": _list_cost(),
        "tu__tax": quote("charges.tax"),
        "tu__credit": _credit(options),
        "tu__is_charged": unpaid,
    }


def _credit(options: Options) -> str:
    """Return the SQL of a credit: below zero, it reduces the cost.

    Usage records do not declare the sign of a credit, so it is kept: a credit of -5 that +5 takes
    back adds up to 0.  A format that declares the sign would decide here.
    """
    credit = quote("charges.credit")
    # 0 - x, since the negative of 0 would be written as -0
    return f"0e0 - abs({credit})" if options.credit_sign == "negative" else credit


def _list_cost() -> str:
    """Return the SQL of the cost before discounts, where a record tells it; else of its cost."""
    net, total, included, discount = (
        quote(f"charges.{type_}") for type_ in ("net", "total", "included", "discount")
    )
    is_list = f"{net} * {total} >= 0 and abs({total}) >= abs({net}) and coalesce({included}, 0) = 0"
    parts = added(quote(f"charges.{type_}") for type_ in _charges.PARTS)
    return f"""case
      when {net} is not null and {is_list} then {total}
      when {net} >= 0 and {total} is null then {net} + coalesce(abs({discount}), 0)
      when {net} is null and {total} is null then {parts}
      else {_charges.cost(_charges.BILLED)}
    end"""


def missing_columns(known: Container[str]) -> dict[str, str]:
    """Return the charge columns that a wide frame lacks and that could change its charges.

    Each comes with a SQL test of whether it could change those of a row, as it does for the cost in
    `_charges.missing_columns`: tax and credits are rows of their own, and the list cost of a record
    with a net amount depends on its total, `included` and `discount`.
    """
    tests = _charges.missing_columns(_charges.BILLED, known)
    net, total = quote("charges.net"), quote("charges.total")
    may_have_total = f"{total} is not null" if "charges.total" in known else "true"
    of_list = {
        "charges.total": "true",
        "charges.included": f"{net} is not null and {may_have_total}",
        "charges.discount": f"{net} >= 0 and {total} is null",
    }
    tests |= {
        name: f"{tests[name]} or {test}" for name, test in of_list.items() if name not in known
    }
    return tests | {name: "true" for name in _charges.OTHER_CHARGES if name not in known}


def _place() -> dict[str, str]:
    """Return the resource and the workspace, where a record's resources leave no choice."""
    is_one = "len(resources) = 1"
    spaces = "list_distinct(list_transform(resources, lambda tu__r: tu__r.workspace.id))"
    of_space = f"list_filter(resources, lambda tu__r: tu__r.workspace.id = {spaces}[1])"
    names = f"list_transform({of_space}, lambda tu__r: tu__r.workspace.name)"
    named = f"list_filter({names}, lambda tu__n: tu__n is not null)[1]"
    has_one = f"len({spaces}) = 1"
    has_id = f"{is_one} and resources[1].id is not null"
    return {
        "ResourceId": f"case when {is_one} then resources[1].id end",
        "ResourceName": f"case when {has_id} then resources[1].name end",
        "SubAccountId": f"case when {has_one} then {spaces}[1] end",
        "SubAccountName": f"case when {has_one} then coalesce({named}, {spaces}[1]) end",
        "SubAccountType": f"case when {has_one} then {literal(_WORKSPACE)} end",
    }


def _quantity() -> dict[str, str]:
    unit = f"coalesce({focus_units.UNIT}, {literal(focus_units.UNITS)})"
    types = " ".join(f"when {literal(k)} then {literal(v)}" for k, v in _TOKEN_TYPES.items())
    return {
        "tu__quantity": quote("usage.quantity"),
        "tu__unit": f'case when "usage.quantity" is not null then {unit} end',
        "tu__type": f"case lower({text('metric_name')}) {types} end",
    }


def text(path: str) -> str:
    """Return the SQL of a text of a record; blank ones are none."""
    return f"nullif({trimmed(quote(path))}, '')"
