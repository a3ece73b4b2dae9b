"""`estimate_cost` and `cache_savings`: estimates from token prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from tidyusage._utils.sql import grouped, is_about, listed, literal, ordered, same
from tidyusage.engines.query import run_query
from tidyusage.errors import known_options, one_of
from tidyusage.metrics import _prices as prices_
from tidyusage.metrics import _token_convention
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._prices import MILLION, SORTS, UNKNOWN_TIER, Prices
from tidyusage.metrics._usage import INTEGER, NUMBER, TEXT, Usage, usage
from tidyusage.metrics.cost import Money
from tidyusage.metrics.cost_per_token import check_per
from tidyusage.typing import Scope

if TYPE_CHECKING:
    from tidyusage.engines.query import Query
    from tidyusage.typing import Charge, Conventions, Ends, FrameT, Freq, Overlap, People, WeekStart
    from tidyusage.typing import Prices as PricesLike


@known_options
def cache_savings(
    frame: FrameT,
    *by: str,
    prices: PricesLike | None = None,
    per: float = MILLION,
    currency: str = "USD",
    freq: Freq | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return what the prompt cache saved, at given prices.

    `saved` is the sum of `cache_read` × (price of input − price of cache_read); `spent` what
    writing cost beyond plain input: the sum of writes × (price of cache_write − price of input),
    those that live an hour at their own price; `savings` is `saved` − `spent`.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    prices
        By model, the prices of "input", "output", "cache_read", "cache_write" (that lives five
        minutes) and "cache_write_1h": a mapping `{"claude-opus-4-1": {"input": 15, …}}`, or a
        frame with a column `model.id` and those columns.  With a column `date`, a price is valid
        from that date (UTC) until the model's next one, and the latest at or before a record's
        `start_date` counts; records before the first date, or without a date, are unpriced.  None
        takes those of the package genai-prices (`tidyusage[prices]`) at each record's date; of a
        frame that is not lazy.
    per
        How many tokens a price is for.
    currency
        That of the prices.
    freq
        Adds a column `period`, first, as in `tokens_by`.
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`, as in `tokens_by`.
    fiscal_year_start, week_start
        As in `cost_by`.
    people
        A mapping from user ids and e-mail addresses to people, as in `active_users`; for the
        dimension "person".
    overlap
        What to do if rows at several grains hold the same usage, as `overlaps` shows, or if rows
        repeat an id over overlapping windows: "warn", "ignore", or "raise" an `OverlapError`.  A
        lazy frame is checked when it is collected; a DuckDB relation and a Spark frame can raise
        then, and cannot warn.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  After the dimensions: `currency` (str),
        `saved`, `spent`, `savings` (float64, in that currency), `records` (int64, those that used
        the cache and could be priced), `unpriced` (str, the models of those that could not, null if
        there are none), `tier_unknown` (int64, as in `estimate_cost`).  No such record gives null.
        By period, then the largest savings first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension, or a frame without a column of cached tokens.
    OptionError
        For an option's value that it cannot have.
    MissingExtraError
        Without `prices`, if genai-prices is not installed.

    Warns
    -----
    ModelWarning
        For models without a price, and for records whose tier is unknown; not on DuckDB and Spark.

    Notes
    -----
    The terms are those of Anthropic's prices, where writing costs 1.25 times the input, 2 times
    for an hour, and reading 0.1 times.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tokens = {"cache_read": 2_000_000, "cache_write": 400_000}
    >>> df = tu.flatten_usage({"id": "a", "model": {"id": "m"}, "usage": {"tokens": tokens}})
    >>> prices = {"m": {"input": 10, "cache_read": 1, "cache_write": 12.5}}
    >>> tu.cache_savings(df, prices=prices)  # 2 × (10 - 1), 0.4 × (12.5 - 10)
      currency  saved  spent  savings  records unpriced  tier_unknown
    0      USD   18.0    1.0     17.0        1      NaN             0
    """
    check_per(per)
    asked = usage(
        frame,
        by,
        Periods.of(freq, tz, end, fiscal_year_start, week_start),
        overlap=overlap,
        people=people,
    )
    known = Prices.of(prices, frame, per, currency)
    return known.warned(run_query(frame, savings_query(asked, known)), "cache_savings")


@known_options
def estimate_cost(
    frame: FrameT,
    *by: str,
    prices: PricesLike | None = None,
    per: float = MILLION,
    currency: str = "USD",
    scope: Scope = "unbilled",
    charge: Charge = "billed",
    token_convention: Conventions = "auto",
    freq: Freq | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return what tokens without a cost would have cost, at given prices.

    The sum over sorts of tokens × price: fresh input, output, what the cache served, and what it
    took up for five minutes and for an hour.  It is an estimate, apart from what was billed: list
    prices know no discount and no batch.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    prices
        As in `cache_savings`.
    per
        How many tokens a price is for.
    currency
        That of the prices.
    scope
        "unbilled": records that have tokens and no cost.  "all": every record that has tokens, to
        set the estimate beside `cost_by`.
    charge
        Which cost tells that a record is billed, as in `cost_by`.
    token_convention
        As in `tokens_by`.
    freq
        Adds a column `period`, first, as in `tokens_by`.
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`, as in `tokens_by`.
    fiscal_year_start, week_start
        As in `cost_by`.
    people
        A mapping from user ids and e-mail addresses to people, as in `active_users`; for the
        dimension "person".
    overlap
        What to do if rows at several grains hold the same usage, as `overlaps` shows, or if rows
        repeat an id over overlapping windows: "warn", "ignore", or "raise" an `OverlapError`.  A
        lazy frame is checked when it is collected; a DuckDB relation and a Spark frame can raise
        then, and cannot warn.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  After the dimensions: `currency` (str),
        `estimated_cost` (float64, in that currency), `tokens` (float64, of the records in it),
        `records` (int64, how many those are), `unpriced_records` (int64), `unpriced` (str, the
        models of those, null if there are none), `tier_unknown` (int64, priced records of several
        requests that may have reached the dearer price of long prompts, and have that of short
        ones).  What has no price is not 0, and is not in the estimate: a group without any price
        is null.  By period, then the largest first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension, or a frame without a column of tokens.
    OptionError
        For an option's value that it cannot have.
    MissingExtraError
        Without `prices`, if genai-prices is not installed.

    Warns
    -----
    ModelWarning
        For models without a price, and for records whose tier is unknown; not on DuckDB and Spark.

    Notes
    -----
    A record whose parts do not make its total is unpriced: pricing the parts alone would leave
    tokens out.  Vendors bill long prompts by the request.  A record of one request
    (`requests.total` is 1, or an event) has the price of its tier; the sum of several does not
    tell how long each was.  FOCUS 1.2 knows such a figure as ListCost.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tokens = {"input": 100, "output": 50}
    >>> df = tu.flatten_usage({"id": "a", "model": {"id": "m"}, "usage": {"tokens": tokens}})
    >>> prices = {"m": {"input": 10, "output": 40}}
    >>> tu.estimate_cost(df, prices=prices).iloc[:, :5]  # (100 × 10 + 50 × 40) / 1e6
      currency  estimated_cost  tokens  records  unpriced_records
    0      USD           0.003   150.0        1                 0
    """
    one_of("scope", scope, get_args(Scope))
    check_per(per)
    asked = usage(
        frame,
        by,
        Periods.of(freq, tz, end, fiscal_year_start, week_start),
        overlap=overlap,
        people=people,
    )
    known, money = Prices.of(prices, frame, per, currency), Money.of(charge)
    query = estimate_query(asked, known, money, scope, token_convention)
    return known.warned(run_query(frame, query), "estimate_cost")


def savings_steps(asked: Usage, prices: Prices) -> str:
    """Return the steps to ``users``: the records that used the cache, and which are priced."""
    uses = (
        "coalesce(cache_read, 0) > 0 or coalesce(cache_write, 0) > 0 or coalesce(tu__hour, 0) > 0"
    )
    is_priced = f"tu__price_input is not null and {prices.needed(SORTS[2:])}"
    return f"""{_token_convention.decided(asked, _token_convention.AUTO, *prices.columns)},
{prices.steps("decided")},
users as (
  select *, case when {is_priced} then 1 else 0 end as tu__is_priced
  from metered
  where {uses}
)"""


def savings_query(asked: Usage, prices: Prices) -> Query:
    """Return the query of `cache_savings`."""
    asked.require((*_token_convention.CACHED, prices_.HOUR), "cache_savings")
    figures = {
        "saved": f"-({prices.cost('cache_read', 'input')})",
        "spent": f"{prices.cost('cache_write', 'input')} + "
        f"{prices.cost('cache_write_1h', 'input')}",
    }
    sums = ", ".join(
        f"sum(case when tu__is_priced = 1 then {asked.share(sql)} end) as {name}"
        for name, sql in figures.items()
    )
    sql = _answer(
        asked,
        savings_steps(asked, prices),
        f"{sums}, {asked.count('case when tu__is_priced = 1 then 1 end')} as records, "
        f"{_tiers_unknown(asked)}",
        f"case when records > 0 then {literal(prices.currency)} end as currency, saved, spent, "
        "saved - spent as savings, coalesce(records, 0) as records, tu__names as unpriced, "
        f"coalesce({UNKNOWN_TIER}, 0) as {UNKNOWN_TIER}",
        "savings desc",
    )
    money = dict.fromkeys(("saved", "spent", "savings"), NUMBER)
    types = {"currency": TEXT, **money, "records": INTEGER, "unpriced": TEXT}
    types |= {UNKNOWN_TIER: INTEGER}
    return asked.query(sql, prices.fields, types, portable=False)


def estimate_steps(
    asked: Usage, prices: Prices, money: Money, scope: Scope, convention: Conventions
) -> str:
    """Return the steps to ``users``: the records to estimate, and which are priced."""
    has_sorts = "coalesce(input, output, cache_read, cache_write) is not null"
    parts = "coalesce(tu__fresh, 0) + coalesce(output, 0) + tu__cached"
    is_whole = f"(total is null or {is_about(parts, 'total')})"
    is_priced = f"tu__priced is not null and {has_sorts} and {is_whole} and {prices.needed(SORTS)}"
    is_in = f"({has_sorts} or total is not null)"
    is_in += " and tu__cost is null" if scope == "unbilled" else ""
    return f"""{money.amounts()},
{_token_convention.decided(asked, convention, "tu__cost", *prices.columns, source="amounts")},
{prices.steps("decided")},
users as (
  select *, case when {is_priced} then 1 else 0 end as tu__is_priced
  from metered
  where {is_in}
)"""


def estimate_query(
    asked: Usage, prices: Prices, money: Money, scope: Scope, convention: Conventions
) -> Query:
    """Return the query of `estimate_cost`."""
    asked.require(_token_convention.FIELDS[:-1], "estimate_cost")
    cost = " + ".join(prices.cost(sort) for sort in SORTS)
    sql = _answer(
        asked,
        estimate_steps(asked, prices, money, scope, convention),
        f"sum(case when tu__is_priced = 1 then {asked.share(cost)} end) as estimated_cost, "
        f"sum(case when tu__is_priced = 1 then {asked.share('tokens')} end) as tokens, "
        f"{asked.count('case when tu__is_priced = 1 then 1 end')} as records, "
        f"{asked.count('case when tu__is_priced = 0 then 1 end')} as unpriced_records, "
        f"{_tiers_unknown(asked)}",
        f"case when records > 0 then {literal(prices.currency)} end as currency, estimated_cost, "
        "tokens, coalesce(records, 0) as records, "
        "coalesce(unpriced_records, 0) as unpriced_records, tu__names as unpriced, "
        f"coalesce({UNKNOWN_TIER}, 0) as {UNKNOWN_TIER}",
        "estimated_cost desc",
    )
    types = {"currency": TEXT, "estimated_cost": NUMBER, "tokens": NUMBER}
    types |= {"records": INTEGER, "unpriced_records": INTEGER, "unpriced": TEXT}
    types |= {UNKNOWN_TIER: INTEGER}
    # Which records are unbilled depends on their charges.
    needed = money.charge if scope == "unbilled" else None
    fields = (*prices.fields, *money.fields)
    return asked.query(sql, fields, types, portable=False, charge=needed)


def _tiers_unknown(asked: Usage) -> str:
    """Return the SQL of how many priced records do not say which tier they reached."""
    is_one = f"tu__is_priced = 1 and {UNKNOWN_TIER} = 1"
    return f"{asked.count(f'case when {is_one} then 1 end')} as {UNKNOWN_TIER}"


def _answer(asked: Usage, steps: str, sums: str, columns: str, main: str) -> str:
    """Return a query: the sums over ``users``, a row for every group, the unpriced named."""
    keys = asked.keys
    others = (f"groups.{key}" for key in asked.dimensions)
    return f"""{steps},
{prices_.unpriced(asked, "users", "tu__is_priced = 0")},
sums as (
  select {listed(*keys)}{sums}
  from users
  {grouped(*keys)}
),
groups as (
  select {listed(*keys)}count(*) as tu__all
  from usage
  {grouped(*keys)}
)
select {listed(*(f"groups.{key} as {key}" for key in keys))}{columns}
from groups
left join sums on {same("groups", "sums", *keys)}
left join unpriced on {same("groups", "unpriced", *keys)}
order by {ordered(*(f"groups.{key}" for key in asked.period), main, *others)}"""
