"""Measures that records and groups can be ranked by, as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import listed
from tidyusage.errors import OptionError
from tidyusage.metrics import _token_convention
from tidyusage.metrics._measures import NAMES, additive
from tidyusage.metrics._usage import NUMBER, TEXT, Usage
from tidyusage.metrics.cost import Money, QueryOptions, currencies

if TYPE_CHECKING:
    from collections.abc import Container

    from tidyusage.typing import Conventions

COST: Final = "cost"
TOKENS: Final = "tokens"


def check_by(by: tuple[str, ...], columns: Container[str]) -> None:
    """Raise if a measure is named among the dimensions, and the frame has no such column."""
    named = {COST, TOKENS, *NAMES}
    if meant := [
        name for name in by if isinstance(name, str) and name in named and name not in columns
    ]:
        raise OptionError(f"{meant[0]!r} is no dimension.", f"Ask with measure={meant[0]!r}.")


class Measured:
    """A measure that may be ranked: its steps to ``measured`` by record, ``figures`` by group."""

    def __init__(
        self, asked: Usage, measure: str, money: Money, convention: Conventions, metric: str
    ) -> None:
        self.is_cost = measure == COST
        self.name = measure
        self.options = (
            money.options if self.is_cost else QueryOptions(guard="", portable=True, charge=None)
        )
        self.unrated = money.unrated if self.is_cost else ""
        self.currency = "currency, " if self.is_cost else ""
        value, currency, source = "", "cast(null as varchar)", "usage"
        if self.is_cost:
            money.require(asked, metric)
            self.fields = money.fields
            steps, value, currency, source = money.amounts(), "tu__cost", "tu__currency", "amounts"
        elif measure == TOKENS:
            asked.require(_token_convention.FIELDS[:-1], metric)
            self.fields = _token_convention.FIELDS
            steps, value, source = _token_convention.decided(asked, convention), "tokens", "decided"
        else:
            found = additive(asked, measure, others=(COST, TOKENS))
            self.name, self.fields, steps, value = found.name, found.fields, "", found.sql
        # An amount without a rate is there, so that its guard has a row to stand on.
        self.present = "currency" if self.is_cost and money.rates else "tu__value"
        keys = asked.keys
        self.types = {**({"currency": TEXT} if self.is_cost else {}), self.name: NUMBER}
        self.steps = f"""{f"{steps},{chr(10)}" if steps else ""}measured as (
  select {listed(*keys, *asked.marks)}{currency} as currency, {asked.share(value)} as tu__value
  from {source}
),
sums as (
  select {listed(*keys)}currency, sum(tu__value) as tu__value,
    {asked.count(self.present)} as records
  from measured
  group by {listed(*keys)}currency
),
{currencies(asked, sums=("tu__value", "records"), present="records")},
figures as (
  select {listed(*keys)}currency, tu__value, records
  from currencies
  where tu__present = 1
)"""
