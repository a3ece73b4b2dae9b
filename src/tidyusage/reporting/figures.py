"""All figures of a report, unformatted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tidyusage.metrics import (
    acceptance_rate,
    active_users,
    cache_hit_rate,
    cost_by,
    cost_per_token,
    summary,
    tokens_by,
)
from tidyusage.reporting import calendar, trust
from tidyusage.reporting.activity import Activity, activity
from tidyusage.reporting.asked import attempted
from tidyusage.reporting.cubes import PRODUCT, Cubes
from tidyusage.reporting.members import MODELS, PRODUCTS, USERS, Members, named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidyusage.reporting.asked import Asked, Row
    from tidyusage.reporting.calendar import Period, Span
    from tidyusage.typing import Overlap

# Products that can be chosen on a page; all others are one choice more.
MOST_PRODUCTS: Final = 24
PER: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What a page tells of a frame."""

    asked: Asked
    span: Span | None
    periods: list[Period]
    overview: list[Row]
    by_product: list[Row]
    products: Members
    incomplete: Mapping[str | None, list[int]]
    totals: Mapping[str, list[Row]]
    cubes: Mapping[str, Any]
    missing: Mapping[str, str]
    activity: Activity
    findings: list[Row]
    twice: list[str]
    rules: list[trust.Rule]
    has_users: bool

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(int(row["records"] or 0) for row in self.overview if row["figure"] == "records")


def figures(asked: Asked, overlap: Overlap, *, users: bool) -> Figures:
    """Ask a frame for everything that a page tells."""
    twice = trust.twice(asked, overlap)
    trust.check_charges(asked)
    overview = asked.ask(summary)
    span = _span(overview, asked)
    asked = replace(asked, freq=calendar.chosen(asked.freq, span))
    starts = asked.options["fiscal_year_start"], asked.options["week_start"]
    periods = calendar.periods(asked.freq, span, *starts)
    by_product = asked.ask(summary, PRODUCT)
    products = _products(by_product)
    cubes = Cubes(asked, periods, products)
    found, missing = _cubes(cubes, users=users)
    totals, lacking = _totals(asked)
    return Figures(
        asked,
        span,
        periods,
        overview,
        by_product,
        products,
        cubes.incomplete(),
        totals,
        found,
        missing | lacking,
        activity(cubes),
        trust.suspects(asked, users=users),
        twice,
        trust.explained(asked, trust.EXPLAINED),
        users,
    )


def _span(overview: list[Row], asked: Asked) -> Span | None:
    """Return from when until when there is data."""
    dated = next((row for row in overview if row["figure"] == "days"), None)
    if dated is None:
        return None
    return calendar.Span.of(dated["start_date"], dated["end_date"], asked.options["tz"])


def product_of(row: Row) -> str | None:
    """Return the product of an overview's row, whose column is spelled as the frame's."""
    key = next(iter(row.values()))
    return None if key is None else str(key)


def _products(overview: list[Row]) -> Members:
    """Return the products of a page: by cost, then tokens, then records."""
    figures_: dict[str, dict[str, float]] = {}
    for row in overview:
        product = product_of(row)
        if product is not None:
            of = figures_.setdefault(product, {})
            of[row["figure"]] = max(of.get(row["figure"], 0), row["value"] or 0)
    order = sorted(
        figures_,
        key=lambda name: (
            *(-figures_[name].get(f, 0) for f in ("cost", "tokens", "records")),
            name,
        ),
    )
    placed = ({"member": k, "label": k, "place": place} for place, k in enumerate(order))
    return named(PRODUCTS, placed, MOST_PRODUCTS)


def _cubes(cubes: Cubes, *, users: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the figures by period and product, and why some cannot be told."""
    models = cubes.members(MODELS)
    people = cubes.members(USERS) if users else Members(USERS)
    asks: dict[str, Callable[[], Any]] = {
        "cost": lambda: cubes.cost(models),
        "tokens": lambda: cubes.tokens(models),
        "unit": lambda: cubes.unit(models),
        "cache": lambda: cubes.cache(models),
        "acceptance": cubes.acceptance,
    }
    if users:
        asks |= {
            "user_cost": lambda: cubes.cost(people),
            "user_tokens": lambda: cubes.tokens(people),
        }
    found: dict[str, Any] = {"models": models, "users": people}
    missing = {}
    for name, ask in asks.items():
        cube, why = attempted(ask)
        if why:
            missing[name] = why
        else:
            found[name] = cube
    return found, missing


def _totals(asked: Asked) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """Return the figures of the whole frame, as the metrics themselves give them."""
    asks: dict[str, Callable[[], list[Row]]] = {
        "cost": lambda: asked.ask(cost_by),
        "tokens": lambda: asked.ask(tokens_by),
        "unit": lambda: asked.ask(cost_per_token, per=PER),
        "cache": lambda: asked.ask(cache_hit_rate),
        "users": lambda: asked.ask(active_users),
        "acceptance": lambda: asked.ask(acceptance_rate),
    }
    attempts = {name: attempted(ask) for name, ask in asks.items()}
    totals = {name: rows or [] for name, (rows, _) in attempts.items()}
    return totals, {name: why for name, (_, why) in attempts.items() if why}
