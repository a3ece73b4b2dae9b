"""Token prices, from the caller or from genai-prices."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import polars as pl

from tidyusage._utils.sql import grouped, listed, literal, quote
from tidyusage.engines import frames
from tidyusage.errors import (
    MissingExtraError,
    ModelWarning,
    OptionError,
    is_number,
    nearest,
    warn,
)
from tidyusage.metrics._periods import DATES, is_instant_sql
from tidyusage.metrics._rates import instant, instant_sql
from tidyusage.metrics._token_convention import FIELDS as TOKENS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from tidyusage.metrics._usage import Usage
    from tidyusage.typing import FrameT
    from tidyusage.typing import Prices as PricesLike

MODEL: Final = "model.id"
HOUR: Final = "usage.tokens.cache_write_ephemeral_1h"
REQUESTS: Final = "usage.requests.total"
SORTS: Final = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
UNKNOWN_TIER: Final = "tier_unknown"
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
    "Give {'claude-opus-4-1': {'input': 15, 'output': 75}}, or a frame with a column model.id, "
    f"columns of {', '.join(SORTS)}, and a column date if prices change."
)
MILLION: Final = 1_000_000
_SHOWN: Final = 5
Sorts: TypeAlias = "tuple[float | None, ...]"


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model's tokens, by sort: from when until when, for which prompts.

    The times are instants of UTC without a zone; None is no bound.  A prompt of ``above`` tokens
    or fewer, or of more than ``upto``, has another price.
    """

    model: str
    sorts: Sorts
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    above: float | None = None
    upto: float | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """What tokens cost."""

    rows: tuple[Price, ...]
    per: float = MILLION
    currency: str = "USD"

    @classmethod
    def of(cls, prices: PricesLike | None, frame: Any, per: float, currency: str) -> Prices:
        """Look at the option ``prices``; without it, look the frame's models up in genai-prices."""
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
        return cls(tuple(found), per, currency.strip().upper())

    @property
    def is_dated(self) -> bool:
        """Whether a price holds from a date on."""
        return any(row.since for row in self.rows)

    @property
    def is_tiered(self) -> bool:
        """Whether a price depends on the length of the prompt."""
        return any(row.upto is not None for row in self.rows)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of records that are read."""
        dated = DATES[:1] if self.is_dated else ()
        return (*TOKENS, MODEL, *dated, *((REQUESTS, *DATES) if self.is_tiered else ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of records, as SQL, that prices need beside the tokens."""
        found = [f"{quote(MODEL)} as tu__model", f"{quote(HOUR)} as tu__hour"]
        if self.is_dated:
            found.append("start_date as tu__at")
        if self.is_tiered:
            # Only a single request says how long its prompt was; an event is one.
            count = quote(REQUESTS)
            is_single = f"{count} = 1 or {count} is null and {is_instant_sql()}"
            found.append(f"case when {is_single} then 1 else 0 end as tu__single")
        return tuple(found)

    def steps(self, source: str) -> str:
        """Return the steps from records' tokens to ``metered``, with their prices beside them.

        What is written to the cache lives five minutes, unless the record says an hour.  Where a
        longer prompt has another price and the record is several requests, it has the price of
        short ones, and `UNKNOWN_TIER` is 1 if one of its requests may have been longer.
        """
        names = ", ".join(f"tu__price_{sort}" for sort in SORTS)
        values = ",\n    ".join(map(_row, self.rows or (Price("", (None,) * len(SORTS)),)))
        prompt = "(coalesce(tu__fresh, 0) + tu__cached)"
        tests, unknown = ["tu__model = tu__priced"], "0"
        if self.is_dated:
            tests += [
                "(tu__since is null or tu__at >= tu__since)",
                "(tu__until is null or tu__at < tu__until)",
            ]
        if self.is_tiered:
            known = f"(case when tu__single = 1 then {prompt} else 0 end)"
            tests += [
                f"(tu__above is null or {known} > tu__above)",
                f"(tu__upto is null or {known} <= tu__upto)",
            ]
            unknown = f"case when tu__single = 0 and {prompt} > tu__upto then 1 else 0 end"
        return f"""prices as (
  select *
  from (values
    {values}
  ) as tu__prices(tu__priced, tu__since, tu__until, tu__above, tu__upto, {names})
),
metered as (
  select {source}.*, {names}, tu__priced, {unknown} as {UNKNOWN_TIER},
    greatest(coalesce(cache_write, 0) - coalesce(tu__hour, 0), 0) as tu__five
  from {source}
  left join prices on {" and ".join(tests)}
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

    def warned(self, answer: FrameT, metric: str) -> FrameT:
        """Return an answer; warn of models without a price, of a lazy one when it is collected."""
        known = {row.model for row in self.rows}
        if frames.backend_of(answer) in {None, "duckdb", "pyspark"}:
            return answer  # neither they nor a warehouse's text can warn
        if isinstance(answer, pl.LazyFrame):

            def look(eager: pl.DataFrame) -> pl.DataFrame:
                _warn(eager["unpriced"].to_list(), eager[UNKNOWN_TIER].to_list(), known, metric)
                return eager

            return cast("FrameT", answer.map_batches(look, schema=answer.collect_schema()))
        found = frames.collected(answer)
        _warn(found["unpriced"].to_pylist(), found[UNKNOWN_TIER].to_pylist(), known, metric)
        return answer


def _warn(
    unpriced: Iterable[str | None], unknown: Iterable[Any], known: set[str], metric: str
) -> None:
    named = {name for text in unpriced if text for name in text.split(", ")}
    if models := sorted(named - known - {"unknown"}):
        more = f" and {len(models) - _SHOWN:,} more" if len(models) > _SHOWN else ""
        warn(
            f"{metric}() has no price for {', '.join(map(repr, models[:_SHOWN]))}{more}; their "
            "records are not in the figures.\n\n"
            "rename_models() turns the names that Bedrock, Vertex AI, Azure and Cursor use into "
            "those of price lists; or add the models to prices=.",
            ModelWarning,
        )
    if tiers := sum(unknown):
        warn(
            f"{metric}() cannot tell whether {tiers:,} records of several requests reached the "
            f"dearer price of long prompts; they have the price of short ones ({UNKNOWN_TIER}).\n\n"
            "Records of single requests (requests.total = 1, or events) have the right tier.",
            ModelWarning,
        )


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


def _row(price: Price) -> str:
    """Return a row of the table of prices as SQL."""
    columns = (
        f"cast({literal(price.model or None)} as varchar)",
        instant_sql(price.since),
        instant_sql(price.until),
        *map(_number_sql, (price.above, price.upto, *price.sorts)),
    )
    return f"({', '.join(columns)})"


def _number_sql(number: float | None) -> str:
    return f"cast({'null' if number is None else repr(number)} as double)"


def _of_mapping(prices: Mapping[Any, Any]) -> Iterator[Price]:
    for model, sorts in prices.items():
        if not isinstance(model, str) or not isinstance(sorts, Mapping):
            raise OptionError(f"prices= has {model!r}: {sorts!r}.", _SHAPE)
        if unknown := [sort for sort in sorts if sort not in SORTS]:
            raise OptionError(
                f"prices= has a price of {unknown[0]!r} for {model!r}.",
                nearest(str(unknown[0]), SORTS),
            )
        yield Price(model, tuple(_number(model, sort, sorts.get(sort)) for sort in SORTS))


def _of_frame(prices: Any) -> Iterator[Price]:
    """Yield the prices of a frame; with a column ``date``, each holds from then to the next."""
    if frames.backend_of(prices) is None:
        raise OptionError(f"prices= is {type(prices).__name__}.", _SHAPE)
    table = frames.collected(prices)
    names = set(table.column_names)
    model = next((name for name in (MODEL, "model_id", "model") if name in names), None)
    sorts = [sort for sort in SORTS if sort in names]
    if model is None or not sorts:
        raise OptionError(f"prices= has the columns {table.column_names}.", _SHAPE)
    dates = ["date"] if "date" in names else []
    found: dict[Any, dict[dt.datetime | None, Price]] = defaultdict(dict)
    for row in table.select([model, *dates, *sorts]).to_pylist():
        name = row.pop(model)
        since = instant("prices", row.pop("date")) if dates else None
        if since in found[name]:
            at = f" at {since.isoformat(' ')}" if since else ""
            hint = "Keep one row for each model and date." if dates else "Keep one row a model."
            raise OptionError(f"prices= has {name!r} twice{at}.", hint)
        (price,) = _of_mapping({name: row})
        found[name][since] = price
    for name, by_date in found.items():
        yield from _in_turn(name, {date: price.sorts for date, price in by_date.items()})


def _in_turn(model: str, by_date: Mapping[dt.datetime | None, Sorts]) -> Iterator[Price]:
    """Yield a model's prices, each until the next one."""
    starts = sorted(by_date, key=lambda date: (date is not None, date))
    for since, until in zip(starts, [*starts[1:], None], strict=True):
        yield Price(model, by_date[since], since, until)


def _number(model: str, sort: str, price: Any) -> float | None:
    if price is None or (isinstance(price, float) and math.isnan(price)):
        return None
    if not is_number(price) or price < 0:
        raise OptionError(f"prices= has the price {price!r} of {sort!r} for {model!r}.", _SHAPE)
    return float(price)


def _models(frame: Any) -> list[str]:
    """Return the names of a frame's models."""
    from tidyusage.engines.columns import columns as columns_of

    if frames.is_lazy(frame) or frames.backend_of(frame) in {None, "duckdb", "pyspark"}:
        raise OptionError(
            "Without prices=, the frame is asked for its models, and this one is not read yet.",
            f"Collect it; or {_SHAPE[0].lower()}{_SHAPE[1:]}",
        )
    column = columns_of(frame).known.get(MODEL)
    if column is None:
        return []
    values = frame[[column]] if hasattr(frame, "loc") else frame.select([column])
    found = frames.to_arrow(values)[column].unique().to_pylist()
    return sorted(str(name) for name in found if name is not None)


def _of_package(models: list[str]) -> Iterator[Price]:
    """Yield the prices of models as genai-prices has them, none for those it does not know.

    Its prices may change at a date and be dearer for prompts beyond a length.  Those by the time of
    day are passed over: windows are seldom shorter than a day.
    """
    try:
        from genai_prices import data_snapshot
    except ImportError as error:
        raise MissingExtraError(
            "Prices come from the package genai-prices, which is not installed.",
            "Install tidyusage[prices], or give prices=.",
        ) from error
    snapshot = data_snapshot.get_snapshot()
    for model in models:
        try:
            _, known = snapshot.find_provider_model(model, None, None, None)
        except LookupError:
            continue
        by_date = dict(_dated(known.prices))
        starts = sorted(by_date, key=lambda date: (date is not None, date))
        for since, until in zip(starts, [*starts[1:], None], strict=True):
            for above, upto, sorts in _tiers(by_date[since]):
                yield Price(model, sorts, since, until, above, upto)


def _dated(prices: Any) -> Iterator[tuple[dt.datetime | None, Any]]:
    """Yield a model's prices in genai-prices by the date from which they hold, the first by None.

    Later entries take precedence over earlier ones; without any that holds, the first one does.
    """
    if not isinstance(prices, list):
        yield None, prices
        return
    plain = [each for each in prices if not hasattr(each.constraint, "start_time")]
    dates = [getattr(each.constraint, "start_date", None) for each in plain]
    for since in dict.fromkeys([None, *dates]):
        holding = [
            each
            for each, date in zip(plain, dates, strict=True)
            if date is None or (since is not None and date <= since)
        ]
        instant_ = instant("prices", since) if since is not None else None
        yield instant_, (holding[-1] if holding else prices[0]).prices


def _tiers(prices: Any) -> Iterator[tuple[float | None, float | None, Sorts]]:
    """Yield the price of each sort for prompts of more than so many tokens, up to so many.

    Beyond a tier's start its price holds for all of a request's tokens.
    """
    listed_ = {sort: getattr(prices, name, None) for sort, (name, _) in _OF_PACKAGE.items()}
    tiers = (tier for price in listed_.values() for tier in getattr(price, "tiers", ()))
    starts: list[float | None] = [None, *sorted({float(tier.start) for tier in tiers})]
    for above, upto in zip(starts, [*starts[1:], None], strict=True):
        found: dict[str, float | None] = {}
        for sort, (_, other) in _OF_PACKAGE.items():
            price = _within(listed_[sort], above)
            found[sort] = found.get(other) if price is None else price
        yield above, upto, tuple(found.values())


def _within(price: Any, above: float | None) -> float | None:
    """Return a price of genai-prices for prompts of more than so many tokens."""
    reached = [
        tier.price
        for tier in getattr(price, "tiers", ())
        if above is not None and float(tier.start) <= above
    ]
    base = reached[-1] if reached else getattr(price, "base", price)
    return None if base is None else float(base)
