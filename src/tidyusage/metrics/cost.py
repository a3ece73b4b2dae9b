"""`cost_by`, and the cost of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

from tidyusage import schema
from tidyusage._utils.sql import listed, literal, ordered, partition, quote, share
from tidyusage.engines.query import GUARD, run_query
from tidyusage.errors import UnknownFieldError, known_options
from tidyusage.metrics._charges import BILLED, amounts_of, code, cost, fields_of, kinds
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._rates import UNRATED, currency_code
from tidyusage.metrics._rates import Rates as Exchange
from tidyusage.metrics._usage import INTEGER, NUMBER, TEXT, Usage, usage

if TYPE_CHECKING:
    from tidyusage.engines.columns import Columns
    from tidyusage.engines.query import Query
    from tidyusage.typing import Charge, Ends, FrameT, Freq, Overlap, People, Rates, WeekStart

CURRENCY: Final = quote("charges.currency")


class QueryOptions(TypedDict):
    """What a query with amounts of money hands to `Usage.query`."""

    guard: str
    portable: bool
    charge: Charge | None


@known_options
def cost_by(
    frame: FrameT,
    *by: str,
    charge: Charge = "billed",
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
    """Return what each group cost, one row a group and currency.

    A record's charges overlap, so only one figure is its cost: the first of these that exists.

    1. `net`.
    2. `total`, less `included` where the total contains it: together with `on_demand`,
       `committed`, `usage_based` and `platform_fee` it makes the total; or there are none of
       these, and it has the total's sign and is not larger.
    3. The sum of those four, less the size of `discount`.

    `tax` and `credit` are never part of it.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    charge
        "billed" as above, one charge type, or a mapping from product id to either, such as
        `{"cursor": "total", "*": "billed"}`; products that it does not name are billed.
    rates
        What one of each currency is worth in that of `to`: `{"EUR": 1.08}`; or a frame with the
        columns `currency`, `date` and `rate`, of which the latest at or before a record's
        `start_date` counts.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts that name none, such as "USD": where the frame lacks the column
        `charges.currency` (`unit` in a long frame), or a row's is null.
    freq
        Adds a column `period`, first: "1h", "1d", "1w" from Monday, "1mo", "1q" or "1y".  What a
        window that crosses a bound holds is split by the seconds on each side.  A window without
        an end after its start is one day if it starts at 00:00 UTC, else an instant, which counts
        whole.  Records without dates have period null.
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
    fiscal_year_start
        The month in which the fiscal year starts, 1 to 12, for `freq` "1q" and "1y".  A year is
        named after the calendar year in which it ends; a period is still its first day.
    week_start
        The day on which weeks of `freq` "1w" begin: "monday" or "sunday".
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
        Of the same library; a lazy one stays lazy.  After the dimensions: `currency` (str; null
        if unknown, never added across), `cost` (float64, in that currency), `share` (float64, of
        that currency and period), `records` (int64, all of the group), `priced` (int64, those
        with a cost in that currency).  A group without any cost is one row of nulls.  By period,
        then the greatest cost first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension; for a frame that has none of the charge columns, or has them
        without `charges.currency` while `assume_currency` is not given.
    OptionError
        For an option's value that it cannot have.
    RecordError
        If a record has a cost in a currency of which there is no rate, unknown ones among them.  A
        lazy frame raises when it is collected.

    Warns
    -----
    MissingColumnWarning
        If the frame lacks charge columns that could change a record's cost: without
        `charges.total`, say, the cost of a record without a net amount is not known.  A lazy frame
        warns when it is collected; a DuckDB relation and a Spark frame cannot warn.

    Notes
    -----
    The order of precedence follows FOCUS 1.2: BilledCost is what is payable, ListCost (`total` of
    some vendors) what it was before discounts.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> tu.cost_by(df, "product.id")
      product.id currency     cost     share  records  priced
    0    datadog      USD  1265.90  0.251582       62      62
    1  confluent      USD  1218.87  0.242235       62      62
    2     claude      USD  1172.29  0.232978       62      62
    3      codex      USD  1089.21  0.216467       62      62
    4     cursor      USD   285.49  0.056738       62      62
    """
    asked = usage(
        frame,
        by,
        Periods.of(freq, tz, end, fiscal_year_start, week_start),
        overlap=overlap,
        people=people,
    )
    money = Money.of(charge, rates, to, assume_currency)
    return run_query(frame, cost_query(asked, money))


def cost_query(asked: Usage, money: Money) -> Query:
    """Return the query of `cost_by`."""
    money.require(asked, "cost_by")
    keys, period = asked.keys, asked.period
    sql = f"""{money.amounts()},
costs as (
  select {listed(*keys, *asked.marks)}tu__currency as currency, {asked.share("tu__cost")} as cost
  from amounts
),
sums as (
  select {listed(*keys)}currency, sum(cost) as cost,
    {asked.count()} as records, {asked.count("cost")} as priced
  from costs
  group by {listed(*keys)}currency
),
{currencies(asked, sums=("cost", "records", "priced"), present="priced")},
shares as (
  select {listed(*keys)}currency, cost,
    {share("cost", f"sum(cost) over ({partition(*period, 'currency')})")} as share,
    sum(records) over ({partition(*keys)}) as records, priced,
    tu__present, {any_present(asked)} as tu__any
  from currencies
)
select {listed(*keys)}currency, cost, share, records, priced{money.unrated}
from shares
where tu__present = 1 or tu__any = 0
order by {ordered(*period, "cost desc", *asked.dimensions, "currency")}"""
    types = {
        "currency": TEXT,
        "cost": NUMBER,
        "share": NUMBER,
        "records": INTEGER,
        "priced": INTEGER,
    }
    return asked.query(sql, money.fields, types, **money.options)


@dataclass(frozen=True, slots=True)
class Money:
    """A policy, the currency of amounts that name none, and exchange rates, if there are any."""

    charge: Charge = BILLED
    rates: Exchange | None = None
    assumed: str | None = None

    @classmethod
    def of(
        cls,
        charge: Charge,
        rates: Rates | None = None,
        to: str | None = None,
        assume_currency: str | None = None,
    ) -> Money:
        """Check the options; raise for an unknown policy and for invalid rates or currencies."""
        kinds(charge)  # raises for an unknown policy
        assumed = None
        if assume_currency is not None:
            assumed = currency_code("assume_currency", assume_currency)
        return cls(charge, Exchange.of(rates, to), assumed)

    @property
    def fields(self) -> tuple[str, ...]:
        """All columns that it reads."""
        dated = ("start_date",) if self.rates and self.rates.is_dated else ()
        return (*fields_of(self.charge), *dated)

    def currency_sql(self, column: str = CURRENCY) -> str:
        """Return the SQL of the currency of a row's amounts, as the row spells it."""
        if self.assumed is None:
            return column
        return f"coalesce({code(column)}, {literal(self.assumed)})"

    def require(self, asked: Usage, metric: str) -> None:
        """Raise if a frame has no amount that the policy reads, or does not say their currency."""
        asked.require(amounts_of(self.charge), metric)
        self.require_currency(asked)

    def has_amounts(self, asked: Usage) -> bool:
        """Tell whether a frame has any column of amounts that the policy reads."""
        return any(map(asked.holds, amounts_of(self.charge)))

    def require_currency(self, asked: Usage) -> None:
        """Raise if a frame has amounts that the policy reads and does not say their currency.

        It must also have products if the policy differs between them.
        """
        if not self.has_amounts(asked):
            return
        if self.assumed is None:
            require_currency(asked.columns)
        if isinstance(self.charge, Mapping) and "product.id" not in asked.columns.known:
            column = schema.rename("product.id", asked.columns.sep)
            raise UnknownFieldError(
                f"The column {column!r} is missing, by which charge= chooses the policy.",
                "Keep the column, or give one policy for all products.",
            )

    def amounts(self) -> str:
        """Return the steps from ``usage`` to ``amounts``: what each record cost, in what."""
        figure = cost(self.charge)
        if self.rates:
            return self.rates.steps(figure, code(self.currency_sql()))
        return f"""amounts as (
  select *, {figure} as tu__cost, {self.currency_sql()} as tu__currency
  from usage
)"""

    @property
    def unrated(self) -> str:
        """The SQL of a last column that names an amount without a rate."""
        missing = f"(select min({UNRATED}) from amounts)"
        return f",\n  {missing} as {GUARD}" if self.rates else ""

    @property
    def options(self) -> QueryOptions:
        """What a query with these amounts needs: its guard, and whether Polars can run it."""
        guard = self.rates.guard if self.rates else ""
        return {"guard": guard, "portable": self.rates is None, "charge": self.charge}


def require_currency(columns: Columns, *, can_assume: bool = True) -> None:
    """Raise if a frame lacks the column that says in which currency its amounts are.

    ``can_assume`` says whether the function has the option ``assume_currency``.
    """
    path = "unit" if columns.layout == "long" else "charges.currency"
    if path not in columns.known:
        name = schema.rename(path, columns.sep)
        remedy = (
            "name it instead, for example assume_currency='USD'."
            if can_assume
            else f"add it, for example df.assign(**{{{name!r}: 'USD'}}) in pandas."
        )
        raise UnknownFieldError(
            f"The column {name!r} is missing: without it, amounts in "
            "different currencies would be added.",
            f"Keep the column. If all amounts are in one currency, {remedy}",
        )


def currencies(asked: Usage, *, sums: tuple[str, ...], present: str) -> str:
    """Return the steps from ``sums`` by raw currency to ``currencies`` by its code.

    What has no figure, where ``present`` is 0, has no currency either.  Codes are spelled here,
    where there are few of them.
    """
    keys = asked.keys
    added = ", ".join(f"sum({name}) as {name}" for name in sums)
    return f"""coded as (
  select {listed(*keys, *sums)}case when {present} > 0 then 1 else 0 end as tu__present,
    case when {present} > 0 then {code("currency")} end as currency
  from sums
),
currencies as (
  select {listed(*keys)}currency, tu__present, {added}
  from coded
  group by {listed(*keys)}currency, tu__present
)"""


def any_present(asked: Usage) -> str:
    """Return the SQL of whether a group has a figure in any currency."""
    return f"max(tu__present) over ({partition(*asked.keys)})"
