"""The rules behind costs, unit costs and estimates, for `explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.sql import literal
from tidyusage.metrics import _charges, _token_convention, estimates
from tidyusage.metrics import _prices as prices
from tidyusage.metrics._charges import code
from tidyusage.metrics._measures import countable
from tidyusage.metrics._person import PERSON
from tidyusage.metrics._topics import Topic
from tidyusage.metrics.cost import Money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.metrics._usage import Usage

_BILLED_WORDS: Final = {
    "net": "by net, where it is there",
    "total less included": "else by total, less what the subscription covers and the total holds",
    "total": "else by total as it is",
    "parts": "else by on_demand + committed + usage_based + platform_fee, less discount",
}


def money_topic(chosen: Mapping[str, Any]) -> Topic:
    """Return the topic of how a record's cost is made."""
    money = _money(chosen)
    charge = money.charge
    rule = "tu__rule"
    kinds = _charges.kinds(charge)
    words = dict(_BILLED_WORDS) if _charges.BILLED in kinds else {}
    for kind in kinds:
        if kind != _charges.BILLED:
            words.setdefault(kind, f"by {kind}, as charge= asks")
    rules = {
        "priced": ("have a cost, and are used", "tu__cost is not null"),
        **{name: (text, f"{rule} = {literal(name)}") for name, text in words.items()},
        "no currency": (
            "have a cost in an unknown currency, which is added to no other",
            f"tu__cost is not null and {code('tu__currency')} is null",
        ),
        "unpriced": ("have no cost, and are set aside", "tu__cost is null"),
    }
    in_ = f", in {money.rates.to}, at given rates" if money.rates else ""
    title = f"Cost of a record: one of its charges, which are views of one amount{in_}"
    title += "; tax and credit are apart" if _charges.BILLED in kinds else ""

    def steps(_: Usage) -> tuple[str, str]:
        ruled = f"""{money.amounts()},
ruled as (
  select *, {_charges.rule(charge)} as {rule}
  from amounts
)"""
        return ruled, "ruled"

    return Topic("cost", title, rules, steps, lambda _: money.fields, (*words, "no currency"))


def pairs_topic(chosen: Mapping[str, Any]) -> Topic:
    """Return the topic of which records have a cost and tokens."""
    money = _money(chosen)
    sort = chosen.get("tokens", "total")
    count = "tokens" if sort == "total" else sort
    both = f"tu__cost is not null and {count} is not null"
    rules = {
        "used": ("have a cost and tokens, and are used", both),
        "set aside": ("lack one of them, and are set aside", f"not ({both})"),
    }
    title = "Cost of a token: the sum of costs over the sum of tokens"

    def steps(asked: Usage) -> tuple[str, str]:
        convention = chosen.get("token_convention", _token_convention.AUTO)
        decided = _token_convention.decided(asked, convention, "tu__cost", source="amounts")
        return f"{money.amounts()},\n{decided}", "decided"

    return Topic("pairs", title, rules, steps, lambda _: (*_token_convention.FIELDS, *money.fields))


def cost_per_topic(chosen: Mapping[str, Any]) -> Topic:
    """Return the topic of what takes part in the cost of something."""
    money = _money(chosen)
    measure = chosen.get("measure", "the measure")
    is_users, seats = measure == "users", chosen.get("seats")
    who = f"{PERSON} is not null"
    there = "true" if seats is not None else who if is_users else "tu__value is not null"
    what = "" if seats is not None else " and name a user" if is_users else f" and {measure}"
    both = f"tu__cost is not null and {there}"
    rules = {
        "used": (f"have a cost{what}, and are used", both),
        "set aside": ("do not, and are set aside", f"not ({both})"),
    }
    over = (
        "the seats" if seats is not None else "active users" if is_users else f"that of {measure}"
    )

    def steps(asked: Usage) -> tuple[str, str]:
        value = "null" if is_users else countable(asked, measure).sql
        return (
            f"{money.amounts()},\npaired as (select *, {value} as tu__value from amounts)",
            "paired",
        )

    def fields(asked: Usage) -> tuple[str, ...]:
        more = (PERSON,) if is_users else countable(asked, measure).fields
        return (*more, *money.fields)

    return Topic("pairs", f"Cost per one: the sum of costs over {over}", rules, steps, fields)


def savings_topic(chosen: Mapping[str, Any]) -> Topic:
    """Return the topic of which records the cache saved something on."""
    rules = {
        "considered": ("used the cache", "true"),
        **_priced("used"),
    }
    title = "Savings: what was read from the cache at its price, not at that of input; less writes"

    def steps(asked: Usage) -> tuple[str, str]:
        return estimates.savings_steps(asked, _prices(chosen)), "users"

    return Topic(
        "savings", title, rules, steps, lambda _: _prices(chosen).fields, ("priced", "unpriced")
    )


def estimate_topic(chosen: Mapping[str, Any]) -> Topic:
    """Return the topic of which records are estimated."""
    money = _money(chosen)
    scope = chosen.get("scope", "unbilled")
    without = " and no cost" if scope == "unbilled" else ""
    rules = {"considered": (f"have tokens{without}", "true"), **_priced("estimated")}
    title = "Estimate: tokens of each sort at its price, apart from what was billed"

    def steps(asked: Usage) -> tuple[str, str]:
        convention = chosen.get("token_convention", _token_convention.AUTO)
        of = _prices(chosen)
        return estimates.estimate_steps(asked, of, money, scope, convention), "users"

    def fields(_: Usage) -> tuple[str, ...]:
        return (*_prices(chosen).fields, *money.fields)

    return Topic("estimate", title, rules, steps, fields, ("priced", "unpriced"))


def _money(chosen: Mapping[str, Any]) -> Money:
    """Return the policy that a metric's options choose."""
    charge = chosen.get("charge", _charges.BILLED)
    return Money.of(charge, chosen.get("rates"), chosen.get("to"), chosen.get("assume_currency"))


def _priced(used: str) -> dict[str, tuple[str, str]]:
    return {
        "priced": (f"have every price that they need, and are {used}", "tu__is_priced = 1"),
        "unpriced": (
            "lack one, or do not add up to their total, and are named",
            "tu__is_priced = 0",
        ),
    }


def _prices(chosen: Mapping[str, Any]) -> prices.Prices:
    per, currency = chosen.get("per", prices.MILLION), chosen.get("currency", "USD")
    return prices.Prices.of(chosen.get("prices"), chosen.get("frame"), per, currency)
