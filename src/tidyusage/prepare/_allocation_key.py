"""The measure by which shared cost is distributed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tidyusage.metrics import _token_convention
from tidyusage.metrics._charges import cost
from tidyusage.metrics._measures import additive
from tidyusage.metrics._ranked_measures import COST, TOKENS
from tidyusage.metrics._usage import Usage
from tidyusage.metrics.cost import Money

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.engines.columns import Columns
    from tidyusage.typing import Charge, Conventions

EVEN: Final = "even"
OVERLAP: Final = """(
      cast(
        least(cells.tu__to, windows.tu__to) - greatest(cells.tu__from, windows.tu__from) as double
      ) / (windows.tu__to - windows.tu__from)
    )"""


@dataclass(frozen=True, slots=True)
class Bearing:
    """A measure that bears shared rows: the ``fields`` it reads, its ``value`` in a row.

    ``convention`` is what tells tokens, of which `tokens.decided` makes the value.
    """

    name: str
    asked: Usage
    money: Money
    fields: tuple[str, ...] = ()
    value: str = "1e0"
    convention: Conventions | None = None

    @classmethod
    def of(
        cls,
        found: Columns,
        by: str,
        charge: Charge,
        convention: Conventions,
        assume_currency: str | None = None,
    ) -> Bearing:
        """Return a measure by its name; raise for what has no sum or is not there."""
        asked, money = Usage.of(found, ()), Money.of(charge, assume_currency=assume_currency)
        _token_convention.decision(convention)  # raises if it is invalid
        if by == EVEN:
            return cls(by, asked, money)
        if by == COST:
            money.require(asked, "allocate_shared")
            return cls(by, asked, money, (), cost(charge))
        if by == TOKENS:
            asked.require(_token_convention.FIELDS[:-1], "allocate_shared")
            return cls(by, asked, money, _token_convention.FIELDS, "tokens", convention)
        measure = additive(asked, by, others=(COST, TOKENS, EVEN))
        return cls(by, asked, money, measure.fields, measure.sql)

    @property
    def is_cost(self) -> bool:
        """Whether it is money, which is compared within a currency alone."""
        return self.name == COST

    def steps(self, source: str, carried: Iterable[str]) -> str:
        """Return the steps from a source to ``valued``: each row's value, and what is carried."""
        names = tuple(carried)
        before = ""
        if self.convention is not None:
            decided = _token_convention.decided(self.asked, self.convention, *names, source=source)
            before, source = f"{decided},\n", "decided"
        return f"""{before}valued as (
  select {", ".join(names)}, {self.value} as tu__value
  from {source}
)"""

    def added(self, value: str) -> str:
        """Return the SQL of a value of several rows."""
        return f"max({value})" if self.name == EVEN else f"sum({value})"

    def within(self, value: str) -> str:
        """Return the SQL of the part of a window's value that a cell's window has of it."""
        return value if self.name == EVEN else f"{value} * {OVERLAP}"
