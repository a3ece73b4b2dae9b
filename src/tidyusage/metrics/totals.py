"""`totals`: every additive measure, each by its own rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage import catalogue, schema
from tidyusage._utils.sql import grouped, listed, literal, ordered, partition, quote, values
from tidyusage.engines.query import run_query
from tidyusage.errors import UnknownFieldError, known_options
from tidyusage.layouts.convert_sql import COUNTS
from tidyusage.metrics._charges import BILLED, code
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._source import CHARGES, RECORD
from tidyusage.metrics._usage import INTEGER, NUMBER, TEXT, Usage, usage
from tidyusage.metrics.cost import Money, require_currency

if TYPE_CHECKING:
    from tidyusage.engines.columns import Columns
    from tidyusage.engines.query import Query
    from tidyusage.typing import Ends, FrameT, Freq, Overlap, People, WeekStart

_QUANTITY: Final = "usage.quantity"
_NAME: Final = "metric_name"
_UNIT: Final = "usage.unit"
_ADDED: Final = {field.column: field for field in catalogue.MEASURES if field.addition == "sum"}


@known_options
def totals(
    frame: FrameT,
    *by: str,
    assume_currency: str | None = None,
    freq: Freq | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return the sum of every measure that may be added, one row a group and measure.

    Counts are added up.  A quantity is added within its unit and `metric_name`, which is part of
    its metric's name; a charge within its type, known or not, and currency; a tool action within
    its tool.  Distinct counts
    (`sessions.distinct` and the like), flags and text have no sum and are left out.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    freq
        Adds a column `period`, first: "1h", "1d", "1w" from Monday, "1mo", "1q" or "1y".  What a
        window that crosses a bound holds is split by the seconds on each side.  Records without
        dates have period null.
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
        Of the same library; a lazy one stays lazy.  After the dimensions: `metric` (str, dotted as
        in long), `unit` (str; a charge's is its currency), `value` (float64), `records` (int64,
        those that have it).  A measure that no record of a group has is left out; a group without
        any is one row of nulls.  By period, then the largest first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension; for a frame without any measure, with amounts and without
        `charges.currency` while `assume_currency` is not given, or with `usage.quantity` and
        without `usage.unit`.
    OptionError
        For a dimension that is named twice, or is called like a column of the answer.

    Notes
    -----
    `charges` are overlapping views of one amount: their totals are not to be added again, and
    `cost_by` gives what was billed.  So are the parts of a count and the count itself.

    What may be added over what is this library's own catalogue, which the page Fields shows.

    Examples
    --------
    >>> import tidyusage as tu
    >>> records = [{"id": n, "usage": {"quantity": 2, "unit": "GB", "requests": {"total": 3}}}
    ...            for n in "ab"]
    >>> tu.totals(tu.flatten_usage(records))
                     metric      unit  value  records
    0  usage.requests.total  requests    6.0        2
    1        usage.quantity        GB    4.0        2
    """
    asked = usage(
        frame,
        by,
        Periods.of(freq, tz, end, fiscal_year_start, week_start),
        overlap=overlap,
        people=people,
    )
    money = Money.of(BILLED, assume_currency=assume_currency)
    return run_query(frame, totals_query(asked, money))


def totals_query(asked: Usage, money: Money) -> Query:
    """Return the query of `totals`."""
    added = list(filter(asked.holds, _ADDED))
    charges = list(filter(asked.holds, catalogue.CHARGE_AMOUNTS))
    asked.require((*_ADDED, _QUANTITY, *catalogue.CHARGE_AMOUNTS, CHARGES, COUNTS), "totals")
    if charges and money.assumed is None:
        require_currency(asked.columns)
    require_unit(asked.columns)
    keys = asked.keys
    has_counts, has_charges = asked.holds(COUNTS), asked.holds(CHARGES)
    entries = [
        _entry(asked, "sums", literal(column), literal(_ADDED[column].unit), place)
        for place, column in enumerate(added)
    ]
    entries += [
        _entry(asked, "currencies", literal(column), "currency", place)
        for place, column in enumerate(charges)
    ]
    entries += [f"select {listed(*keys)}metric, unit, value, records from quantities"]
    entries += [f"select {listed(*keys)}metric, unit, value, records from actions"] * has_counts
    entries += [f"select {listed(*keys)}metric, unit, value, records from others"] * has_charges
    currency = code(money.currency_sql())
    metric = f"case when {_NAME} is null then '{_QUANTITY}' else '{_QUANTITY}.' || {_NAME} end"
    sql = f"""sums as (
  select {listed(*keys)}{_sums(asked, added)}count(*) as tu__all
  from usage
  {grouped(*keys)}
),
currencies as (
  select {listed(*keys)}{currency} as currency, {_sums(asked, charges)}count(*) as tu__all
  from usage
  group by {listed(*keys)}{currency}
),
named as (
  select {listed(*keys, *asked.marks)}{metric} as metric, {quote(_UNIT)} as unit,
    {asked.share(quote(_QUANTITY))} as tu__value
  from usage
),
quantities as (
  select {listed(*keys)}metric, unit, sum(tu__value) as value, {asked.count("tu__value")} as records
  from named
  group by {listed(*keys)}metric, unit
),
{_actions(asked) if has_counts else ""}{_others(asked, money) if has_charges else ""}entries as (
  {" union all ".join(entries)}
),
ranked as (
  select *, max(case when value is not null then 1 else 0 end) over ({partition(*keys)}) as tu__any,
    row_number() over ({partition(*keys)} order by metric) as tu__first
  from entries
)
select {listed(*keys)}case when value is not null then metric end as metric,
  case when value is not null then unit end as unit, value,
  case when value is not null then records else 0 end as records
from ranked
where value is not null or tu__any = 0 and tu__first = 1
order by {ordered(*asked.period, "value desc", *asked.dimensions, "metric", "unit")}"""
    fields = (*added, _QUANTITY, _NAME, _UNIT, *charges, "charges.currency")
    types = {"metric": TEXT, "unit": TEXT, "value": NUMBER, "records": INTEGER}
    lists = (*[COUNTS] * has_counts, *[CHARGES] * has_charges)
    return asked.query(sql, (*fields, *lists), types)


def require_unit(columns: Columns) -> None:
    """Raise if a wide frame has quantities and lacks the column of their unit.

    The unit of a long frame's quantities is in the column of the currencies.
    """
    if columns.layout == "wide" and _QUANTITY in columns.known and _UNIT not in columns.known:
        raise UnknownFieldError(
            f"The column {schema.rename(_UNIT, columns.sep)!r} is missing: without it, quantities "
            "in different units would be added.",
            f"Keep the column, or drop {schema.rename(_QUANTITY, columns.sep)!r}.",
        )


def _sums(asked: Usage, columns: list[str]) -> str:
    return "".join(
        f"sum({asked.share(quote(column))}) as tu__sum_{place}, "
        f"{asked.count(quote(column))} as tu__records_{place}, "
        for place, column in enumerate(columns)
    )


def _entry(asked: Usage, source: str, metric: str, unit: str, place: int) -> str:
    return (
        f"select {listed(*asked.keys)}{metric} as metric, {unit} as unit, "
        f"tu__sum_{place} as value, tu__records_{place} as records from {source}"
    )


def _actions(asked: Usage) -> str:
    """Return the steps to the sums of tool actions."""
    keys, lists = asked.keys, asked.lists
    # One record may count an action twice, under two spellings of its name.
    rows = lists.unnested(_numbered(asked), quote(COUNTS), "tu__entry")
    tool, action = (lists.member("tu__entry", name) for name in ("tool", "action"))
    count = lists.count("tu__entry")
    those = f"\n  where {tool} = {asked.tool}" if asked.tool else ""
    unit = literal(catalogue.TOOL_ACTIONS.unit)
    return f"""tool_counts as (
  select {listed(*keys)}{RECORD}, {asked.share_of_tool(count)} as tu__value,
    concat_ws('.', {literal(COUNTS)}, {tool}, {action}) as metric
  from {rows}{those}
),
actions as (
  select {listed(*keys)}metric, {unit} as unit, sum(tu__value) as value,
    count(distinct {RECORD}) as records
  from tool_counts
  group by {listed(*keys)}metric
),
"""


def _others(asked: Usage, money: Money) -> str:
    """Return the steps to the sums of charges whose type the schema does not know.

    They are not columns; a record's list of charges has them.
    """
    keys, lists = asked.keys, asked.lists
    type_, currency = (lists.member("tu__entry", name) for name in ("type", "currency"))
    amount = lists.number("tu__entry", "amount")
    unit = f"coalesce({code(money.currency_sql())}, {code(money.currency_sql(currency))})"
    rows = lists.unnested(_numbered(asked), quote(CHARGES), "tu__entry")
    return f"""other_charges as (
  select {listed(*keys)}{RECORD}, {asked.share(amount)} as tu__value, {unit} as unit,
    concat_ws('.', {literal(CHARGES)}, {type_}) as metric
  from {rows}
  where {amount} is not null
    and ({type_} is null or {type_} not in ({values(catalogue.CHARGE_TYPES)}))
),
others as (
  select {listed(*keys)}metric, unit, sum(tu__value) as value, count(distinct {RECORD}) as records
  from other_charges
  group by {listed(*keys)}metric, unit
),
"""


def _numbered(asked: Usage) -> str:
    """Return the rows of ``usage`` with a number for each record."""
    if asked.is_split:
        return "usage"
    return f"(select *, row_number() over () as {RECORD} from usage) as tu__numbered"
