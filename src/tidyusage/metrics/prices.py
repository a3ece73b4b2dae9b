"""Prices of tokens: a table of them, from the caller or from genai-prices."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tidyusage import engines
from tidyusage.errors import MissingExtraError, OptionError, is_number, nearest
from tidyusage.metrics.conventions import FIELDS as TOKENS
from tidyusage.sqltext import grouped, listed, literal, quote

if TYPE_CHECKING:
    from tidyusage.metrics.query import Usage
    from tidyusage.typing import Prices as PricesLike

MODEL: Final = "model.id"
HOUR: Final = "usage.tokens.cache_write_ephemeral_1h"
FIELDS: Final = (*TOKENS, MODEL)
SORTS: Final = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
# How a record's tokens of each sort are called in ``metered``.
COUNTS: Final[dict[str, str]] = dict(
    zip(SORTS, ("tu__fresh", "output", "cache_read", "tu__five", "tu__hour"), strict=True)
)
# What genai-prices calls a price, and whose price holds there where it has none.
_OF_PACKAGE: Final = {
    "input": ("input_mtok", ""),
    "output": ("output_mtok", ""),
    "cache_read": ("cache_read_mtok", "input"),
    "cache_write": ("cache_write_mtok", "input"),
    "cache_write_1h": ("cache_write_1h_mtok", "cache_write"),
}
_SHAPE: Final = (
    "Give {'claude-opus-4-1': {'input': 15, 'output': 75}}, or a frame with a column model.id and "
    f"columns of {', '.join(SORTS)}."
)
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """What tokens cost by model: ``rows`` of a model and a price for each of `SORTS`, or None."""

    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    per: float = MILLION
    currency: str = "USD"

    @classmethod
    def of(cls, prices: PricesLike | None, frame: Any, per: float, currency: str) -> Prices:
        """Look at the option ``prices``; without it, ask genai-prices about the frame's models."""
        if not isinstance(currency, str) or not currency.strip():
            raise OptionError(f"currency={currency!r} is no currency.", "Give one as 'USD'.")
        if prices is None:
            if per != MILLION or currency != "USD":
                raise OptionError(
                    "per= and currency= are about a table of prices, and prices= is not given.",
                    "Without it, prices are US dollars for a million tokens.",
                )
            return cls(tuple(_of_package(_models(frame))))
        found = _of_mapping(prices) if isinstance(prices, Mapping) else _of_frame(prices)
        return cls(tuple(found.items()), per, currency.strip().upper())

    def steps(self, source: str) -> str:
        """Return the steps from records' tokens to ``metered``, with their prices beside them.

        What is written to the cache lives five minutes, unless the record says an hour.
        """
        rows = self.rows or ((None, (None,) * len(SORTS)),)
        names = ", ".join(f"tu__price_{sort}" for sort in SORTS)
        values = ",\n    ".join(
            f"(cast({literal(model)} as varchar), {', '.join(map(_price, prices))})"
            for model, prices in rows
        )
        return f"""prices as (
  select *
  from (values
    {values}
  ) as tu__prices(tu__priced, {names})
),
metered as (
  select {source}.*, {names}, tu__priced,
    greatest(coalesce(cache_write, 0) - coalesce(tu__hour, 0), 0) as tu__five
  from {source}
  left join prices on tu__model = tu__priced
)"""

    def needed(self, sorts: tuple[str, ...]) -> str:
        """Return the SQL of whether every price is there that a record's tokens need."""
        tests = (f"(coalesce({COUNTS[s]}, 0) <= 0 or tu__price_{s} is not null)" for s in sorts)
        return " and ".join(tests)

    def cost(self, sort: str, less: str = "") -> str:
        """Return the SQL of what a record's tokens of a sort cost, or cost more than others."""
        price = f"tu__price_{sort}" + (f" - tu__price_{less}" if less else "")
        count = f"coalesce({COUNTS[sort]}, 0)"
        return f"coalesce({count} * ({price}) / cast({float(self.per)!r} as double), 0)"


def columns() -> tuple[str, ...]:
    """Return the columns of records, as SQL, that prices need beside the tokens."""
    return (f"{quote(MODEL)} as tu__model", f"{quote(HOUR)} as tu__hour")


def unpriced(asked: Usage, source: str, where: str) -> str:
    """Return the steps to ``unpriced``: by group, the names of the models of some rows."""
    keys = asked.keys
    return f"""models as (
  select distinct {listed(*keys)}coalesce(tu__model, 'unknown') as tu__name
  from {source}
  where {where}
),
unpriced as (
  select {listed(*keys)}string_agg(tu__name, ', ' order by tu__name) as tu__names
  from models
  {grouped(*keys)}
)"""


def _of_mapping(prices: Mapping[Any, Any]) -> dict[str, tuple[float | None, ...]]:
    found = {}
    for model, sorts in prices.items():
        if not isinstance(model, str) or not isinstance(sorts, Mapping):
            raise OptionError(f"prices= has {model!r}: {sorts!r}.", _SHAPE)
        if unknown := [sort for sort in sorts if sort not in SORTS]:
            raise OptionError(
                f"prices= has a price of {unknown[0]!r} for {model!r}.",
                nearest(str(unknown[0]), SORTS),
            )
        found[model] = tuple(_number(model, sort, sorts.get(sort)) for sort in SORTS)
    return found


def _of_frame(prices: Any) -> dict[str, tuple[float | None, ...]]:
    if engines.backend_of(prices) is None:
        raise OptionError(f"prices= is {type(prices).__name__}.", _SHAPE)
    table = engines.collected(prices)
    names = set(table.column_names)
    model = next((name for name in (MODEL, "model_id", "model") if name in names), None)
    sorts = [sort for sort in SORTS if sort in names]
    if model is None or not sorts:
        raise OptionError(f"prices= has the columns {table.column_names}.", _SHAPE)
    rows = table.select([model, *sorts]).to_pylist()
    names_ = [row[model] for row in rows]
    if twice := [name for name in names_ if names_.count(name) > 1]:
        raise OptionError(f"prices= has {twice[0]!r} twice.", "Keep one row a model.")
    return _of_mapping({row.pop(model): row for row in rows})


def _number(model: str, sort: str, price: Any) -> float | None:
    if price is None or (isinstance(price, float) and math.isnan(price)):
        return None
    if not is_number(price) or price < 0:
        raise OptionError(f"prices= has the price {price!r} of {sort!r} for {model!r}.", _SHAPE)
    return float(price)


def _models(frame: Any) -> list[str]:
    """Return the names of a frame's models."""
    from tidyusage.columns import columns as columns_of

    if engines.is_lazy(frame) or engines.backend_of(frame) in {None, "duckdb", "pyspark"}:
        raise OptionError(
            "Without prices=, the frame is asked for its models, and this one is not read yet.",
            f"Collect it; or {_SHAPE[0].lower()}{_SHAPE[1:]}",
        )
    column = columns_of(frame).known.get(MODEL)
    if column is None:
        return []
    values = frame[[column]] if hasattr(frame, "loc") else frame.select([column])
    found = engines.to_arrow(values)[column].unique().to_pylist()
    return sorted(str(name) for name in found if name is not None)


def _of_package(models: list[str]) -> list[tuple[str, tuple[float | None, ...]]]:
    """Return today's prices of models as genai-prices has them; those it does not know have none.

    Where long prompts are dearer, those of short ones: a record does not tell how long each was.
    """
    try:
        from genai_prices import data_snapshot
    except ImportError as error:
        raise MissingExtraError(
            "Prices come from the package genai-prices, which is not installed.",
            "Install tidyusage[prices], or give prices=.",
        ) from error
    snapshot, now, found = data_snapshot.get_snapshot(), dt.datetime.now(dt.UTC), []
    for model in models:
        try:
            _, known = snapshot.find_provider_model(model, None, None, None)
        except LookupError:
            continue
        listed_, prices = known.get_prices(now), dict[str, float | None]()
        for sort, (name, other) in _OF_PACKAGE.items():
            price = getattr(listed_, name, None)
            base = getattr(price, "base", price)
            prices[sort] = prices.get(other) if base is None else float(base)
        found.append((model, tuple(prices.values())))
    return found


def _price(price: float | None) -> str:
    return f"cast({'null' if price is None else repr(price)} as double)"
