"""`top` and `trend`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidyusage._utils.sql import listed, ordered, partition, quote, same, share
from tidyusage.engines import frames
from tidyusage.engines.query import run_query
from tidyusage.errors import OptionError, is_count, known_options
from tidyusage.metrics import _missing_days, _token_convention
from tidyusage.metrics._charges import code
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._ranked_measures import Measured, check_by
from tidyusage.metrics._usage import BOOLEAN, INTEGER, NUMBER, Usage, usage
from tidyusage.metrics.cost import Money

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
def top(
    frame: FrameT,
    n: int,
    *by: str,
    measure: str = "cost",
    charge: Charge = "billed",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
    token_convention: Conventions = "auto",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return the n groups with the most of a measure, and one row for all the others.

    Of costs, the n of each currency.  Groups without a figure are in neither.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    n
        How many groups.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    measure
        "cost", "tokens", "commits", "pull_requests", "accepted_lines", "requests", or a count by
        its field.
    charge
        Of "cost", as in `cost_by`.
    rates
        Of "cost", as in `cost_by`.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    token_convention
        Of "tokens", as in `tokens_by`.
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
        Of the same library; a lazy one stays lazy.  After the dimensions: `rank` (int64, from 1;
        null for the others, whose dimensions are null too), of costs `currency` (str), the measure
        under its name (float64), `share` (float64, of all groups in that currency), `records`
        (int64, those that have a figure), `groups` (int64, how many the row combines).  The
        currency with the largest total comes first; within it, rows are ordered by rank.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension or measure, or a frame without the columns of either.
    OptionError
        For a measure that has no sum, such as `sessions.distinct`; for an option's value that it
        cannot have.
    RecordError
        If a rate is missing, as in `cost_by`.

    Notes
    -----
    The figures are those of `cost_by`, `tokens_by` and `totals`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> tu.top(df, 2, "product.id")
      product.id  rank currency     cost     share  records  groups
    0    datadog     1      USD  1265.90  0.251582       62       1
    1  confluent     2      USD  1218.87  0.242235       62       1
    2        NaN  <NA>      USD  2546.99  0.506183      186       3
    """
    if not is_count(n):
        hint = "Give one before the dimensions: top(10, 'user.id')."
        raise OptionError(f"n={n!r} is no number of groups.", hint)
    if not by:
        raise OptionError("top() needs a dimension.", "Name one, as in top(10, 'user.id').")
    check_by(by, frames.columns(frame))
    asked, money = (
        usage(frame, by, overlap=overlap, people=people),
        Money.of(charge, rates, to, assume_currency),
    )
    return run_query(frame, top_query(asked, n, measure, money, token_convention))


@known_options
def trend(
    frame: FrameT,
    *by: str,
    freq: Freq = "1mo",
    measure: str = "cost",
    charge: Charge = "billed",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
    token_convention: Conventions = "auto",
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return a measure by period, with its change from the period before.

    `change` is the figure less that of the same group (and currency) in the calendar period just
    before; `change_rate` is the change divided by that earlier figure.  A rate of change from zero
    or from a negative figure has no meaning, so it is null there.  A period with missing days is
    not compared with another.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    freq
        "1h", "1d", "1w" from Monday, "1mo", "1q" or "1y".  What a window that crosses a bound
        holds is split by the seconds on each side.  Records without dates have period null.
    measure
        "cost", "tokens", "commits", "pull_requests", "accepted_lines", "requests", or a count by
        its field.
    charge
        Of "cost", as in `cost_by`.
    rates
        Of "cost", as in `cost_by`.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    token_convention
        Of "tokens", as in `tokens_by`.
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
        Of the same library; a lazy one stays lazy.  `period`, the dimensions, of costs `currency`
        (str), the measure under its name (float64), `change` (float64, in the same unit; null if
        the group has no figure in the period before, or if days of either are missing),
        `change_rate` (float64; 0.1 is a tenth more; null unless the figure before is above zero),
        `share` (float64, of that period and currency), `records` (int64, those that have a
        figure), `complete` (bool; false if the period holds days that are missing, as the finding
        `missing_days` has them, in a product and organization of the group).  Groups without a
        figure in a period have no row there.  By period, then the largest first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension or measure, or a frame without the columns of either.
    OptionError
        For a measure that has no sum, such as `sessions.distinct`; for an option's value that it
        cannot have.
    RecordError
        If a rate is missing, as in `cost_by`.

    Notes
    -----
    The first and the last period of a frame may be covered in part.

    The figures are those of `cost_by`, `tokens_by` and `totals`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> tu.trend(df, freq="1w").iloc[:2, :5]
          period currency    cost   change  change_rate
    0 2025-12-29      USD   693.69     NaN          NaN
    1 2026-01-05      USD  1228.87  535.18     0.771497
    """
    check_by(by, frames.columns(frame))
    asked = usage(
        frame,
        by,
        Periods(freq, tz, end, fiscal_year_start, week_start),
        overlap=overlap,
        people=people,
    )
    money = Money.of(charge, rates, to, assume_currency)
    return run_query(frame, trend_query(asked, measure, money, token_convention))


def top_query(
    asked: Usage,
    n: int,
    measure: str,
    money: Money,
    convention: Conventions = _token_convention.AUTO,
) -> Query:
    """Return the query of `top`."""
    measured = Measured(asked, measure, money, convention, "top")
    keys, value = asked.keys, quote(measured.name)
    folded = ",\n    ".join(f"case when tu__place <= {n} then {key} end as {key}" for key in keys)
    falling = ordered("tu__value desc", *keys)
    place = f"least(row_number() over (partition by currency order by {falling}), {n + 1})"
    # A record may be in several groups of a list: among the others it counts once.
    is_same = same("measured", "ranked", *keys)
    members = f"""members as (
  select tu__place as tu__at, ranked.currency as tu__in, count(distinct tu__record) as tu__records
  from ranked
  join measured on {is_same} and {code("measured.currency")} is not distinct from ranked.currency
  where measured.{measured.present} is not null
  group by tu__place, ranked.currency
),
"""
    joined = """
  join members on tu__place = tu__at and currency is not distinct from tu__in"""
    records = "max(tu__records)" if asked.is_split else "sum(records)"
    sql = f"""{measured.steps},
ranked as (
  select {listed(*keys)}currency, tu__value, records, {place} as tu__place,
    {share("tu__value", "sum(tu__value) over (partition by currency)")} as share
  from figures
),
{members if asked.is_split else ""}folded as (
  select {folded},
    tu__place, currency, tu__value, share,
    {"tu__records" if asked.is_split else "records"}
  from ranked{joined if asked.is_split else ""}
),
places as (
  select {listed(*keys)}tu__place, currency, sum(tu__value) as tu__value, sum(share) as share,
    {records} as records, count(*) as groups
  from folded
  group by {listed(*keys)}tu__place, currency
),
sized as (
  select *, sum(tu__value) over (partition by currency) as tu__total
  from places
)
select {listed(*keys)}case when tu__place <= {n} then tu__place end as rank,
  {measured.currency}tu__value as {value}, share, records, groups{measured.unrated}
from sized
order by {ordered("tu__total desc", "currency", "tu__place")}"""
    types = {"rank": INTEGER, **measured.types, "share": NUMBER}
    types |= {"records": INTEGER, "groups": INTEGER}
    return asked.query(sql, measured.fields, types, nullable=("rank",), **measured.options)


def trend_query(
    asked: Usage, measure: str, money: Money, convention: Conventions = _token_convention.AUTO
) -> Query:
    """Return the query of `trend`; its question has periods."""
    measured = Measured(asked, measure, money, convention, "trend")
    keys, dims, value = asked.keys, asked.dimensions, quote(measured.name)
    periods = asked.periods
    before = periods.named(f"period - {periods.step()}") if periods else "null"
    earlier = f"over ({partition(*dims, 'currency')} order by period asc nulls last)"
    sql = f"""{measured.steps},
{_missing_days.incomplete(asked)},
judged as (
  select figures.*, {_missing_days.IS_COMPLETE} as complete
  from figures
  {_missing_days.joined(asked, "figures")}
),
earlier as (
  select {listed(*keys)}currency, tu__value, records, complete,
    lag(tu__value) {earlier} as tu__last, lag(period) {earlier} as tu__then,
    lag(complete) {earlier} as tu__was_complete
  from judged
),
compared as (
  select {listed(*keys)}currency, tu__value, records, complete,
    case when tu__then = {before} and complete and tu__was_complete
      then tu__last end as tu__before,
    {share("tu__value", "sum(tu__value) over (partition by period, currency)")} as share
  from earlier
)
select {listed(*keys)}{measured.currency}tu__value as {value}, tu__value - tu__before as change,
  case when tu__before > 0 then (tu__value - tu__before) / tu__before end as change_rate,
  share, records, complete{measured.unrated}
from compared
order by {ordered("period", "tu__value desc", *dims, "currency")}"""
    types = {**measured.types, "change": NUMBER, "change_rate": NUMBER, "share": NUMBER}
    types |= {"records": INTEGER, "complete": BOOLEAN}
    of_days = _missing_days.FIELDS
    return asked.query(sql, measured.fields, types, of_days=of_days, **measured.options)
