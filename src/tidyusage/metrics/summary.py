"""`summary`: what a frame contains, and how complete it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tidyusage._utils.sql import grouped, listed, ordered, partition, quote
from tidyusage.engines.query import run_query
from tidyusage.errors import known_options
from tidyusage.metrics import _token_convention
from tidyusage.metrics import users as users_
from tidyusage.metrics._charges import code
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._person import PERSON
from tidyusage.metrics._usage import INSTANT, INTEGER, NUMBER, TEXT, Usage, usage
from tidyusage.metrics.cost import Money

if TYPE_CHECKING:
    from tidyusage.engines.query import Query
    from tidyusage.typing import Charge, Conventions, Ends, FrameT, Overlap, People, Rates


class _Figure(NamedTuple):
    """A figure: its unit and its value of a group as SQL, and which records take part in it."""

    name: str
    unit: str
    value: str
    present: str


_COST: Final = "cost"
_FIGURES: Final = (
    _Figure("records", "'records'", "{count}", "true"),
    _Figure("days", "'days'", "null", "tu__from is not null"),
    _Figure("products", "'products'", "count(distinct tu__product)", "tu__product is not null"),
    _Figure("models", "'models'", "count(distinct tu__model)", "tu__model is not null"),
    _Figure("users", "'users'", "count(distinct tu__person)", "tu__person is not null"),
    _Figure(
        "active_users",
        "'users'",
        # nobody active is 0, nobody named is null
        users_.active_of("case when tu__active then 1 end"),
        "tu__person is not null and tu__active",
    ),
    _Figure("tokens", "'tokens'", "sum({tokens})", "tokens is not null"),
)
_ORDER: Final = (*(figure.name for figure in _FIGURES), _COST)


@known_options
def summary(
    frame: FrameT,
    *by: str,
    charge: Charge = "billed",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
    token_convention: Conventions = "auto",
    end: Ends = "exclusive",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return what a frame holds, one row a figure: the first thing to look at.

    Records; days that their windows touch (of UTC); different products, models, users and active
    users; tokens; the cost in each currency.  Each figure is as the metric of its name gives it,
    and says of how many records it was made.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    charge
        As in `cost_by`.
    rates
        As in `cost_by`.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    token_convention
        As in `tokens_by`.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
    people
        A mapping from user ids and e-mail addresses to people, as in `active_users`.
    overlap
        What to do if rows at several grains hold the same usage, as `overlaps` shows, or if rows
        repeat an id over overlapping windows: "warn", "ignore", or "raise" an `OverlapError`.  A
        lazy frame is checked when it is collected; a DuckDB relation and a Spark frame can raise
        then, and cannot warn.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  After the dimensions: `figure` (str: records,
        days, products, models, users, active_users, tokens, cost), `unit` (str; of cost, the
        currency), `value` (float64; null if no record tells), `records` (int64, those that take
        part), `coverage` (float64, their share of the group's records), `start_date` and
        `end_date` (instants, UTC: from when until when those records are).  By group, figures in
        that order, the greatest cost first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension.
    OptionError
        For an option's value that it cannot have.
    RecordError
        If a rate is missing, as in `cost_by`.

    Notes
    -----
    The figures are those of `cost_by`, `tokens_by` and `active_users`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.summary(tu.load_example()).iloc[:, :5]
             figure      unit        value  records  coverage
    0       records   records       310.00      310  1.000000
    1          days      days        31.00      310  1.000000
    2      products  products         5.00      310  1.000000
    3        models    models         6.00      186  0.600000
    4         users     users         6.00      186  0.600000
    5  active_users     users         6.00      175  0.564516
    6        tokens    tokens  17645468.00      186  0.600000
    7          cost       USD      5031.76      310  1.000000
    """
    money, periods = Money.of(charge, rates, to, assume_currency), Periods("1d", end=end)
    query = summary_query(
        usage(frame, by, overlap=overlap, people=people), money, token_convention, periods
    )
    return run_query(frame, query)


def summary_query(asked: Usage, money: Money, convention: Conventions, periods: Periods) -> Query:
    """Return the query of `summary`."""
    money.require_currency(asked)
    keys = asked.keys
    more = {
        "tu__cost": "tu__cost",
        "tu__currency": "tu__currency",
        "tu__product": quote("product.id"),
        "tu__model": quote("model.id"),
        PERSON: PERSON,
        "tu__active": users_.active(asked),
        "tu__from": "start_date",
        "tu__to": f"case when start_date is not null then {periods.ends()} end",
    }
    columns = [f"{sql} as {name}" for name, sql in more.items()]
    priced = _Figure(_COST, code("tu__currency"), f"sum({asked.share('tu__cost')})", _PRICED)
    unpriced = _Figure(_COST, "cast(null as varchar)", "null", _PRICED)
    nobody = f"{grouped(*keys)} {'having' if keys else 'and'} max(tu__cost) is null"
    entries = [
        *(_entry(asked, figure, grouped(*keys)) for figure in _FIGURES),
        _entry(
            asked,
            priced,
            f"group by {listed(*keys)}{priced.unit} having max(tu__cost) is not null",
        ),
        _entry(asked, unpriced, nobody),
        _DAYS.format(keys=listed(*keys), place=_ORDER.index("days"), group=grouped(*keys)),
    ]
    begin = "date_trunc('day', tu__from)"
    days = f"generate_series({begin}, tu__to - interval '1 microsecond', interval '1 day')"
    sql = f"""{money.amounts()},
{_token_convention.decided(asked, convention, *columns, source="amounts")},
touched as (
  select {listed(*keys)}unnest({days}) as tu__day
  from (select distinct {listed(*keys)}tu__from, tu__to from decided) as tu__windows
  where tu__from is not null
),
entries as (
  {(chr(10) + "  union all" + chr(10) + "  ").join(entries)}
),
figures as (
  select {listed(*keys)}figure, tu__place, unit, max(value) as value, max(records) as records,
    min(start_date) as start_date, max(end_date) as end_date
  from entries
  group by {listed(*keys)}figure, tu__place, unit
),
covered as (
  select *,
    max(case when figure = 'records' then records end) over ({partition(*keys)}) as tu__all
  from figures
)
select {listed(*keys)}figure, unit, value, records,
  cast(records as double) / tu__all as coverage, start_date, end_date{money.unrated}
from covered
order by {ordered(*keys, "tu__place", "value desc", "unit")}"""
    fields = (
        *_token_convention.FIELDS,
        *money.fields,
        *users_.fields_of(asked, by_record=True),
        *("product.id", "model.id"),
        *periods.fields,
    )
    types = {"figure": TEXT, "unit": TEXT, "value": NUMBER, "records": INTEGER}
    types |= {"coverage": NUMBER, "start_date": INSTANT, "end_date": INSTANT}
    # Without any amounts there is no cost, and nothing to warn of.
    charge = money.charge if money.has_amounts(asked) else None
    guard = money.options["guard"]
    return asked.query(sql, fields, types, guard=guard, portable=False, charge=charge)


_PRICED: Final = "tu__cost is not null"
_DAYS: Final = """select {keys}'days' as figure, {place} as tu__place, 'days' as unit,
    cast(count(distinct tu__day) as double) as value, 0 as records,
    cast(null as timestamp) as start_date, cast(null as timestamp) as end_date
  from touched {group}"""


def _entry(asked: Usage, figure: _Figure, group: str) -> str:
    """Return the SQL of a figure's rows; one that counts what no record names is null."""
    value = figure.value.format(count=asked.count(), tokens=asked.share("tokens"))
    is_there = f"case when {figure.present} then 1 end"
    if value.startswith("count(distinct"):
        value = f"nullif({value}, 0)"
    return (
        f"select {listed(*asked.keys)}'{figure.name}' as figure, "
        f"{_ORDER.index(figure.name)} as tu__place, {figure.unit} as unit, "
        f"cast({value} as double) as value, {asked.count(is_there)} as records, "
        f"min(case when {figure.present} then tu__from end) as start_date, "
        f"max(case when {figure.present} then tu__to end) as end_date "
        f"from decided {group}"
    )
