"""`cost_per_token`."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from tidyusage._utils.sql import listed, ordered, quote
from tidyusage.engines.query import run_query
from tidyusage.errors import OptionError, is_number, known_options, one_of
from tidyusage.metrics import _token_convention
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._usage import INTEGER, NUMBER, TEXT, Usage, usage
from tidyusage.metrics.cost import Money, any_present, currencies
from tidyusage.typing import Tokens

if TYPE_CHECKING:
    from tidyusage.engines.query import Query
    from tidyusage.typing import (
        Charge,
        Conventions,
        Ends,
        FrameT,
        Freq,
        Overlap,
        People,
        Rates,
        WeekStart,
    )


@known_options
def cost_per_token(
    frame: FrameT,
    *by: str,
    per: float = 1,
    tokens: Tokens = "total",
    charge: Charge = "billed",
    token_convention: Conventions = "auto",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
    freq: Freq | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return what a token cost each group, over the records that have a cost and tokens.

    The sum of their costs over the sum of their tokens, times `per`: a ratio of sums, so that
    large records weigh more than small ones.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    per
        How many tokens the figure is for: 1_000_000 gives the cost of a million.
    tokens
        "total", or one sort as in `tokens_by`.
    charge
        As in `cost_by`.
    token_convention
        As in `tokens_by`.
    rates
        As in `cost_by`.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    freq
        Adds a column `period`, first, as in `cost_by`.
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
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
        `cost` (float64), `tokens` (float64), `cost_per_token` (float64, currency per `per`
        tokens), `records` (int64, those that have both).  No tokens give null.  A group of which
        no record has both is one row of nulls.  By period, then the highest first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension, or a frame without any column of charges or of tokens.
    OptionError
        For an option's value that it cannot have.
    RecordError
        If a rate is missing, as in `cost_by`.

    Notes
    -----
    A unit cost as vendors quote prices, per million tokens.  The cost of a record is that of
    `cost_by`, its tokens those of `tokens_by`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> tu.cost_per_token(df, "model.provider", per=1_000_000).iloc[:2, :5]
      model.provider currency     cost     tokens  cost_per_token
    0      anthropic      USD  1222.52  7198772.0      169.823409
    1         openai      USD  1202.79  8281776.0      145.233341
    """
    one_of("tokens", tokens, get_args(Tokens))
    check_per(per)
    asked = usage(
        frame,
        by,
        Periods.of(freq, tz, end, fiscal_year_start, week_start),
        overlap=overlap,
        people=people,
    )
    money = Money.of(charge, rates, to, assume_currency)
    query = cost_per_token_query(asked, money, per=per, tokens=tokens, convention=token_convention)
    return run_query(frame, query)


def check_per(per: float) -> None:
    """Raise if a figure cannot be for so many."""
    if not is_number(per) or not per > 0:
        raise OptionError(f"per={per!r} is no positive number.", "Give one such as 1_000_000.")


def cost_per_token_query(
    asked: Usage,
    money: Money,
    *,
    per: float = 1,
    tokens: Tokens = "total",
    convention: Conventions = _token_convention.AUTO,
    name: str = "cost_per_token",
) -> Query:
    """Return the query of `cost_per_token`; ``name`` is the column of the unit cost."""
    money.require(asked, "cost_per_token")
    asked.require(_token_convention.FIELDS[:-1], "cost_per_token")
    keys = asked.keys
    separate, within = {
        "total": ("tu__separate", "tu__within"),
        "input": ("input", "input - tu__cached"),
    }.get(tokens, (tokens, tokens))
    both = f"cost is not null and {separate} is not null"
    amount = ("tu__cost as cost", "tu__currency as currency")
    sql = f"""{money.amounts()},
{_token_convention.counted(asked, *amount, source="amounts")},
grouped as (
  select {listed(*keys)}currency, provider, tu__own, tu__apart, {asked.votes} as tu__count,
    sum(case when {both} then {asked.share("cost")} end) as cost,
    sum(case when {both} then {asked.share(separate)} end) as tu__separate,
    sum(case when {both} then {asked.share(within)} end) as tu__within,
    {asked.count(f"case when {both} then 1 end")} as records
  from counted
  group by {listed(*keys)}currency, provider, tu__own, tu__apart
),
{_token_convention.decision(convention, source="grouped")},
sums as (
  select {listed(*keys)}currency, sum(cost) as cost, sum(records) as records,
    sum(case when tu__inclusive = 1 then tu__within else tu__separate end) as tokens
  from conventions
  group by {listed(*keys)}currency
),
{unit_costs(asked, money, "tokens", name, per)}"""
    types = {
        "currency": TEXT,
        "cost": NUMBER,
        "tokens": NUMBER,
        name: NUMBER,
        "records": INTEGER,
    }
    return asked.query(sql, (*_token_convention.FIELDS, *money.fields), types, **money.options)


def unit_costs(asked: Usage, money: Money, quantity: str, name: str, per: float) -> str:
    """Return the end of a query: from ``sums`` of cost, a quantity and records to its answer."""
    keys, quantity, name = asked.keys, quote(quantity), quote(name)
    return f"""{currencies(asked, sums=("cost", quantity, "records"), present="records")},
figures as (
  select {listed(*keys)}currency, cost, {quantity},
    cast({float(per)!r} as double) * cost / nullif({quantity}, 0) as {name}, records,
    tu__present, {any_present(asked)} as tu__any
  from currencies
)
select {listed(*keys)}currency, cost, {quantity}, {name}, records{money.unrated}
from figures
where tu__present = 1 or tu__any = 0
order by {ordered(*asked.period, f"{name} desc", *asked.dimensions, "currency")}"""
