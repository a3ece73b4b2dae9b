"""Figures by period and product that the page can add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tidyusage.metrics._missing_days import incomplete_query
from tidyusage.metrics._usage import INTEGER, TEXT
from tidyusage.metrics.acceptance import acceptance_query
from tidyusage.metrics.cost import cost_query
from tidyusage.metrics.cost_per_token import cost_per_token_query
from tidyusage.metrics.tokens import cache_hit_query, tokens_query
from tidyusage.reporting.members import MODELS, USERS, Dimension, Members, folded, named, ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidyusage.engines.query import Query
    from tidyusage.metrics._usage import Usage
    from tidyusage.reporting.asked import Asked, Row
    from tidyusage.reporting.calendar import Period

SORTS: Final = ("input", "cache_read", "cache_write", "output")
PRODUCT: Final = "product.id"
# How many members of a dimension a page names at most, and how many rows of a cube it takes for it.
MOST: Final = 200
_FEWEST: Final = 20
_ROWS: Final = 150_000
_DIGITS: Final = 12  # of a figure: what is beyond them is a sum's noise


@dataclass(frozen=True, slots=True)
class Cubes:
    """The questions of a report, by period, product and the members of a dimension."""

    asked: Asked
    periods: Sequence[Period]
    products: Members

    def members(self, dimension: Dimension) -> Members:
        """Return the members with the highest cost or the most tokens."""
        most = self._most()
        found: list[Row] = []
        for figure, query in (("cost", self._cost), ("tokens", self._tokens)):
            usage = self.asked.usage(*dimension.fields)
            if _holds(usage, query):
                best = ranked(query(usage), usage, dimension, figure, most=most)
                found += self.asked.run(best)
        return named(dimension, found, most)

    def cost(self, members: Members) -> dict[str, list[Any]]:
        """Return cost, by currency too."""
        return self._cube(self._cost, members, ("cost",), "currency")

    def tokens(self, members: Members) -> dict[str, list[Any]]:
        """Return tokens by sort; of users, all of them."""
        sums = ("tokens",) if members.dimension is USERS else (*SORTS, "tokens")
        return self._cube(self._tokens, members, sums)

    def unit(self, members: Members) -> dict[str, list[Any]]:
        """Return the cost and the tokens of records that have both."""
        return self._cube(self._unit, members, ("cost", "tokens"), "currency")

    def cache(self, members: Members) -> dict[str, list[Any]]:
        """Return what the cache served, and the prompts that it was a part of."""
        return self._cube(self._cache, members, ("cache_read", "prompt_tokens"))

    def acceptance(self) -> dict[str, list[Any]]:
        """Return what was accepted of what was offered, by kind."""
        return self._cube(acceptance_query, None, ("accepted", "offered"), "kind")

    def _most(self) -> int:
        """Return how many members a page of so many periods and products names."""
        cells = max(len(self.periods), 1) * max(len(self.products.keys), 1)
        return min(MOST, max(_FEWEST, _ROWS // cells))

    def _cube(
        self,
        query: Callable[[Usage], Query],
        members: Members | None,
        sums: tuple[str, ...],
        key: str = "",
    ) -> dict[str, list[Any]]:
        fields = members.dimension.fields if members else ()
        usage = self.asked.usage(PRODUCT, *fields, freq=self.asked.freq)
        keys: dict[str, tuple[str, Any]] = {
            "period": ("period", usage.periods.type if usage.periods else None),
            "product": (self.products.place(f"cast({usage.dimensions[0]} as varchar)"), INTEGER),
        }
        if members:
            member = members.dimension.member(usage, after=1)
            keys["member"] = (members.place(member), INTEGER)
        if key:
            keys[key] = (key, TEXT)
        found = self.asked.run(folded(query(usage), keys, sums))
        return self._columns(found, keys, sums, members)

    def _columns(
        self, found: list[Row], keys: Any, sums: tuple[str, ...], members: Members | None
    ) -> dict[str, list[Any]]:
        """Return rows as columns, with places instead of names."""
        columns: dict[str, list[Any]] = {name: [row[name] for row in found] for name in keys}
        columns["period"] = self.places(columns["period"])
        columns["product"] = [self.products.index(place) for place in columns["product"]]
        if members:
            columns["member"] = [members.index(place) for place in columns["member"]]
        return columns | {name: [plain(row[name]) for row in found] for name in sums}

    def incomplete(self) -> dict[str | None, list[int]]:
        """Return the periods in which days are missing, by product."""
        found: dict[str | None, list[int]] = {}
        if self.periods:
            usage = self.asked.usage(PRODUCT, freq=self.asked.freq)
            for row in self.asked.run(incomplete_query(usage)):
                period, product = row.values()
                found.setdefault(None if product is None else str(product), []).extend(
                    self.places([period])
                )
        return found

    def places(self, starts: list[Any]) -> list[int]:
        """Return which period begins on each of these days; none is the one after the last."""
        known: dict[Any, int] = {period.start: n for n, period in enumerate(self.periods)}
        known[None] = len(self.periods)
        return [known[start.date() if hasattr(start, "date") else start] for start in starts]

    def _cost(self, usage: Usage) -> Query:
        return cost_query(usage, self.asked.money)

    def _tokens(self, usage: Usage) -> Query:
        return tokens_query(usage, self.asked.options["token_convention"])

    def _cache(self, usage: Usage) -> Query:
        return cache_hit_query(usage, self.asked.options["token_convention"])

    def _unit(self, usage: Usage) -> Query:
        convention = self.asked.options["token_convention"]
        return cost_per_token_query(usage, self.asked.money, convention=convention)


def _holds(usage: Usage, query: Callable[[Usage], Query]) -> bool:
    """Tell whether a frame has the columns that a query needs."""
    from tidyusage.errors import UnknownFieldError

    try:
        query(usage)
    except UnknownFieldError:
        return False
    return True


def plain(value: float | None) -> float | int | None:
    """Return a figure without a sum's noise, as short as it can be written."""
    if value is None:
        return None
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 10**_DIGITS else short


__all__ = ["MODELS", "PRODUCT", "SORTS", "USERS", "Cubes", "plain"]
