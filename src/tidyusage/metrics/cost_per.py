"""`cost_per`: cost per commit, request, user or seat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from tidyusage._utils.sql import grouped, listed, literal, ordered, partition, quote
from tidyusage.engines import frames
from tidyusage.engines.query import run_query
from tidyusage.errors import OptionError, SeatsWarning, is_number, known_options, nearest, warn
from tidyusage.metrics import users as users_
from tidyusage.metrics._measures import countable
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._person import PERSON
from tidyusage.metrics._usage import INTEGER, NUMBER, TEXT, Usage, usage
from tidyusage.metrics.cost import Money, any_present, currencies
from tidyusage.metrics.cost_per_token import check_per, cost_per_token_query, unit_costs

if TYPE_CHECKING:
    import polars as pl

    from tidyusage.engines.query import Query
    from tidyusage.typing import Charge, Ends, FrameT, Freq, Overlap, Rates, WeekStart

    Seats = float | Mapping[Any, float]

USERS: Final = "users"
TOKENS: Final = "tokens"
_SHOWN: Final = 5


@known_options
def cost_per(
    frame: FrameT,
    measure: str,
    *by: str,
    per: float = 1,
    seats: float | Mapping[Any, float] | None = None,
    charge: Charge = "billed",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
    people: Mapping[str, str] | None = None,
    freq: Freq | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    overlap: Overlap = "warn",
) -> FrameT:
    """Return what one of something cost each group.

    Of a count: the sum of costs over the sum of counts, of the records that have both.  Of users:
    the cost of the records that name a user, over the number of different active users (as in
    `active_users`), whatever their own records cost.  With `seats`: all of the group's cost, also
    what names no user, over the seats.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    measure
        "users", "tokens" (as in `cost_per_token`), "commits", "pull_requests",
        "accepted_lines" (`code.lines_accepted_added`), "requests" (`requests.total`, else the sum
        by kind, else by billing), "sessions", "conversations" (`conversations.distinct`, else
        `conversations.thread_count`), or a count by its field.  A session or conversation that
        runs over two windows counts in both.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    per
        How many the figure is for: 1_000 gives the cost of a thousand.
    seats
        With "users", how many seats are paid for: a number, or with one dimension a mapping from
        its values.  A value that no row has is named in a `SeatsWarning`.
    charge
        As in `cost_by`.
    rates
        As in `cost_by`.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    people
        With "users", who is meant by a user id or e-mail, as in `active_users`.
    freq
        Adds a column `period`, first, as in `cost_by`; not with "users".
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
    fiscal_year_start, week_start
        As in `cost_by`.
    overlap
        What to do if rows at several grains hold the same usage, as `overlaps` shows, or if rows
        repeat an id over overlapping windows: "warn", "ignore", or "raise" an `OverlapError`.  A
        lazy frame is checked when it is collected; a DuckDB relation and a Spark frame can raise
        then, and cannot warn.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  After the dimensions: `currency` (str),
        `cost` (float64), the measure under its name (float64; users int64, followed by `seats`
        where they are given), `cost_per` (float64, in the currency), `records` (int64, those whose
        cost is in `cost`).  None of it gives null.  A group of which no record has both is one row
        of nulls.  By period, then the highest first.

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
    The unit cost of FinOps.  The cost of a record is that of `cost_by`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> tu.cost_per(df, "commits", "product.id").iloc[:1]
      product.id currency     cost  commits  cost_per  records
    0     claude      USD  1172.29    666.0  1.760195       62
    """
    check_per(per)
    money, periods = (
        Money.of(charge, rates, to, assume_currency),
        Periods.of(freq, tz, end, fiscal_year_start, week_start),
    )
    if measure == TOKENS:
        _only_users(measure, seats=seats, people=people)
        asked = usage(frame, by, periods, overlap=overlap)
        query = cost_per_token_query(asked, money, per=per, name="cost_per")
    elif measure != USERS:
        _only_users(measure, seats=seats, people=people)
        query = _of_count(usage(frame, by, periods, overlap=overlap), money, measure, per)
    elif periods is not None:
        raise OptionError(
            "The cost of users has no freq=: money is split over periods, and users are not.",
            "Ask cost_by(freq=…) and active_users(freq=…).",
        )
    else:
        query = _of_users(usage(frame, by, overlap=overlap, people=people), money, per, seats)
    answer = run_query(frame, query)
    return _check_seats(answer, by[0], seats) if isinstance(seats, Mapping) else answer


def _check_seats(answer: FrameT, dimension: str, seats: Mapping[Any, float]) -> FrameT:
    """Warn of values that `seats=` names and the answer lacks; a relation cannot warn."""
    if frames.backend_of(answer) in {"duckdb", "pyspark"}:
        return answer
    if frames.is_lazy(answer):
        lazy = cast("pl.LazyFrame", answer)
        return cast("FrameT", lazy.map_batches(lambda eager: _check_seats(eager, dimension, seats)))
    values = frames.to_arrow(answer).column(0).to_pylist()
    known = [_spelled(value) for value in values if value is not None]
    absent = [name for name in seats if name is not None and _spelled(name) not in known]
    if absent:
        names = ", ".join(map(repr, absent[:_SHOWN]))
        warn(
            f"seats= names {len(absent)} of {dimension} that no row has: {names}.\n\n"
            f"{nearest(_spelled(absent[0]), known)}",
            SeatsWarning,
        )
    return answer


def _only_users(measure: str, **options: object) -> None:
    """Raise if an option is given that only "users" has."""
    for option, value in options.items():
        if value is not None:
            raise OptionError(
                f"{option}= applies to users, not to {measure!r}.",
                "Pass 'users' as the measure, or leave the option out.",
            )


def _of_count(asked: Usage, money: Money, measure: str, per: float) -> Query:
    keys = asked.keys
    money.require(asked, "cost_per")
    counted = countable(asked, measure, others=(USERS, TOKENS))
    name = quote(counted.name)
    both = f"cost is not null and {name} is not null"
    sql = f"""{money.amounts()},
pairs as (
  select {listed(*keys, *asked.marks)}tu__currency as currency, tu__cost as cost,
    {counted.sql} as {name}
  from amounts
),
sums as (
  select {listed(*keys)}currency,
    sum(case when {both} then {asked.share("cost")} end) as cost,
    sum(case when {both} then {asked.share(name)} end) as {name},
    {asked.count(f"case when {both} then 1 end")} as records
  from pairs
  group by {listed(*keys)}currency
),
{unit_costs(asked, money, counted.name, "cost_per", per)}"""
    types = {
        "currency": TEXT,
        "cost": NUMBER,
        counted.name: NUMBER,
        "cost_per": NUMBER,
        "records": INTEGER,
    }
    return asked.query(sql, (*counted.fields, *money.fields), types, **money.options)


def _of_users(
    asked: Usage,
    money: Money,
    per: float,
    seats: Seats | None,
) -> Query:
    keys = asked.keys
    money.require(asked, "cost_per")
    asked.require(asked.user_fields, "cost_per('users')")
    columns: tuple[str, ...] = ("users",)
    divisor = "users"
    named = f"{PERSON} is not null"
    if seats is not None:
        columns, divisor, named = ("users", "seats"), "seats", "true"
    seated = f"cast({_seats(asked, seats)} as double) as seats"
    sql = f"""{money.amounts()},
{users_.people_of(asked, source="amounts", by_record=True)},
counted as (
  select {listed(*keys)}{users_.active_of("tu__active")} as users
  from people
  {grouped(*keys)}
),
spent as (
  select {listed(*keys, *asked.marks)}tu__currency as currency,
    case when {named} then tu__cost end as cost
  from amounts
),
sums as (
  select {listed(*keys)}currency, sum({asked.share("cost")}) as cost,
    {asked.count("cost")} as records
  from spent
  group by {listed(*keys)}currency
),
{currencies(asked, sums=("cost", "records"), present="records")},
entries as (
  select {listed(*keys)}currency, cost, records, tu__present, cast(null as bigint) as users
  from currencies
  where tu__present = 1
  union all
  select {listed(*keys)}cast(null as varchar) as currency, cast(null as double) as cost,
    0 as records, 0 as tu__present, users
  from counted
),
filled as (
  select {listed(*keys)}currency, cost, records, tu__present, {seated},
    max(users) over ({partition(*keys)}) as users, {any_present(asked)} as tu__any
  from entries
)
select {listed(*keys)}currency, cost, {listed(*columns)}
  cast({float(per)!r} as double) * cost / nullif({divisor}, 0) as cost_per, records{money.unrated}
from filled
where tu__present = 1 or tu__any = 0
order by {ordered("cost_per desc", *keys, "currency")}"""
    types = {"currency": TEXT, "cost": NUMBER, "users": INTEGER}
    types |= {"seats": NUMBER} if seats is not None else {}
    types |= {"cost_per": NUMBER, "records": INTEGER}
    fields = (*users_.fields_of(asked, by_record=True), *money.fields)
    return asked.query(sql, fields, types, nullable=("users",), **money.options)


def _seats(asked: Usage, seats: Seats | None) -> str:
    """Return the SQL of a group's seats."""
    if seats is None:
        return "null"
    if not isinstance(seats, Mapping):
        if asked.dimensions:
            raise OptionError(
                f"seats={seats!r} is one number, and there is a dimension.",
                "Give a mapping from its values, such as {'cursor': 40}.",
            )
        return repr(_number(seats))
    if len(asked.dimensions) != 1:
        raise OptionError(
            f"seats= is a mapping, and there are {len(asked.dimensions)} dimensions.",
            "Give one dimension, whose values it names; or without any, one number.",
        )
    dimension = asked.dimensions[0]
    cases = " ".join(
        f"when {dimension} is null then {_number(number)!r}"
        if value is None
        else f"when cast({dimension} as varchar) = {_text(value)} then {_number(number)!r}"
        for value, number in seats.items()
    )
    if not cases:
        raise OptionError("seats= is empty.", "Give how many seats are paid for.")
    return f"case {cases} end"


def _text(value: object) -> str:
    """Return the SQL of a dimension's value as text."""
    if not isinstance(value, str | int):
        raise OptionError(f"seats= names {value!r}.", "Name the dimension's values as text.")
    return literal(_spelled(value))


def _spelled(value: object) -> str:
    """Return a dimension's value as SQL casts it to text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(seats: Any) -> float:
    if not is_number(seats) or not seats > 0:
        raise OptionError(f"seats= has {seats!r}.", "Give how many seats are paid for.")
    return float(seats)
