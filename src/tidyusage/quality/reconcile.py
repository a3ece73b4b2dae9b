"""`reconcile`: compare two sources of the same figures."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.sql import given, listed, ordered, quote
from tidyusage.engines import frames
from tidyusage.engines.query import run_query
from tidyusage.errors import OptionError, UnknownFieldError, is_number, known_options
from tidyusage.metrics._charges import code
from tidyusage.metrics._measures import NAMES
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._ranked_measures import COST, TOKENS, Measured, check_by
from tidyusage.metrics._tolerance import LEAST_PLACES, places_sql, rounding_sql
from tidyusage.metrics._usage import INTEGER, NUMBER, TEXT, Usage, usage
from tidyusage.metrics.cost import Money, QueryOptions
from tidyusage.quality import invoice
from tidyusage.quality._pull_facts import PRODUCT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.engines.query import Query
    from tidyusage.typing import Charge, Conventions, Ends, Frame, FrameT, Freq, Overlap, Rates

# Sums of the same amounts in another order differ by this share of them.
_NOISE: Final = 1e-9
# How much other figures than costs may differ, where the caller does not say.
_LEAST: Final = "0.01"
# Where the amounts of an invoice stand in a wide frame.
_AMOUNTS: Final = {COST: "charges.net", TOKENS: "usage.tokens.total"}


@known_options
def reconcile(
    frame: FrameT,
    other: Frame,
    *by: str,
    measure: str = "cost",
    columns: Mapping[str, str] | None = None,
    products: Mapping[str, str] | None = None,
    currency: str | None = None,
    within: float | None = None,
    charge: Charge = "billed",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
    token_convention: Conventions = "auto",
    freq: Freq | None = "1mo",
    tz: str = "UTC",
    end: Ends = "exclusive",
    overlap: Overlap = "warn",
) -> FrameT:
    """Set a frame's figures beside another's, by period and product: matched, residual, missing.

    The other is a second report of the same usage, such as that of an organization's users, or a
    vendor's invoice.  Both are cut into the same periods.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling.
    other
        Another, of any library; or with `columns=` any frame, such as an invoice that was read
        from CSV.  It is read at once, also if it is lazy.
    *by
        Dimensions beside `product.id`, which both have: fields by path or by column, or columns of
        your own.
    measure
        "cost", "tokens", or another that `top` takes.
    columns
        Which column of an invoice is what: `{"date": "Invoice month", "product.id": "Service",
        "cost": "Amount", "currency": "Currency"}`, and likewise `end_date`, the dimensions, or the
        measure by the name that it has in `measure=`.  Dates are dates, or text such as
        2026-01-31 (a day) and 2026-01 (a month); without a zone they are of the calendar of `tz`.
    products
        What products of `other` are called in `frame`: `{"Claude Enterprise": "claude"}`.
    currency
        What an absent currency of an invoice means, such as "USD"; None leaves it unknown.
    within
        How much two figures may differ and match, in the currency or the measure's unit.  None is
        0.01, and for costs what rounding can explain: half a unit of the last decimal for each row
        of the side with more rows (of both sides, where they have as many), at most 1 % of the
        other side.  Decimals are those that the other side's amounts have in the product and
        currency, at least two; of converted amounts they are two.
    charge
        Of "cost", as in `cost_by`; an invoice's amount is what was billed.
    rates
        Of "cost", as in `cost_by`, for both.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts in either frame that name none, as in `cost_by`.  For an invoice
        `currency` is the same.
    token_convention
        Of "tokens", as in `tokens_by`, for both.
    freq
        "1h", "1d", "1w" from Monday, "1mo", "1q", "1y"; or None for all in one.  What a window
        that crosses a bound holds is split by the seconds on each side.
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`, or a mapping, as in `cost_by`.
    overlap
        What to do about rows that the sums of either frame count twice, as in `cost_by`.

    Returns
    -------
    frame
        Of the library of `frame`; if that is lazy, so is it.  `period`, `product.id`, the
        dimensions (str), of costs `currency` (str), `ours` and `theirs` (float64; null where that
        side has no figure), `matched` (float64: what both have, the smaller of two of one sign),
        `residual` (float64: ours less theirs, a figure that is missing counting nothing), `status`
        ("matched" if the residual is within `within`, "residual", "missing_here",
        "missing_there"), `records_ours`, `records_theirs` (int64, those with a figure).  By
        period, then the greatest residual first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension or measure, or a frame without the columns of either.
    OptionError
        For an option's value that it cannot have; if `columns` does not name what is needed.
    RecordError
        For a line of an invoice with a date or an amount that could be read in two ways, such as
        "1,234.50"; if a rate is missing, as in `cost_by`.

    Notes
    -----
    The sum of `residual` is the sum of `ours` less that of `theirs`, in each currency.  Amounts in
    a currency and such in an unknown one do not match.

    Examples
    --------
    >>> import pandas as pd
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> bill = pd.DataFrame({"Month": ["2026-01"] * 2, "Service": ["Claude", "Slack"]})
    >>> bill["Amount"] = [1200.00, 80.00]
    >>> names = {"date": "Month", "product.id": "Service", "cost": "Amount"}
    >>> found = tu.reconcile(
    ...     df[df["product.id"] == "claude"],
    ...     bill,
    ...     columns=names,
    ...     products={"Claude": "claude"},
    ...     currency="USD",
    ... )
    >>> found[["product.id", "ours", "theirs", "residual", "status"]]
      product.id     ours  theirs  residual        status
    0      Slack      NaN    80.0    -80.00  missing_here
    1     claude  1172.29  1200.0    -27.71      residual
    """
    if within is not None and (not is_number(within) or within < 0):
        raise OptionError(f"within={within!r} is no tolerance.", "Give one such as 0.01.")
    invoice.check(products, columns, currency)
    check_by(by, frames.columns(frame))
    periods, money = Periods.of(freq, tz, end), Money.of(charge, rates, to, assume_currency)
    asked = _asked(frame, by, periods, overlap)
    measured = Measured(asked, measure, money, token_convention, "reconcile")
    names = [dimension.path or dimension.name for dimension in asked.by]
    path = measure if measure in {COST, TOKENS, *NAMES} else measured.fields[0]
    if columns is not None:
        field = _AMOUNTS.get(measure, measured.fields[0])
        lines = invoice.Lines(columns, measure, field, tuple(names), currency)
        other = invoice.as_usage(other, lines, periods)
        periods = replace(periods, end="exclusive") if periods else None
    theirs = _other(other, names, periods, overlap)
    billed = money if columns is None else replace(money, charge="net")  # all an invoice has
    found = _rows(other, theirs, Measured(theirs, path, billed, token_convention, "reconcile"))
    if products:
        place = names.index(PRODUCT) + len(asked.period)
        found = [(*r[:place], products.get(r[place], r[place]), *r[place + 1 :]) for r in found]
    return run_query(frame, _query(asked, measured, found, within))


def _asked(frame: object, by: tuple[str, ...], periods: Periods | None, overlap: Overlap) -> Usage:
    """Look at a frame by product and further dimensions."""
    asked = usage(frame, by, periods, overlap=overlap)
    if any(dimension.path == PRODUCT for dimension in asked.by):
        return asked
    return usage(frame, (PRODUCT, *by), periods, overlap=overlap)


def _other(other: object, names: list[str], periods: Periods | None, overlap: Overlap) -> Usage:
    try:
        return usage(other, names, periods, overlap=overlap)
    except UnknownFieldError as error:
        raise UnknownFieldError(f"Of the other frame: {error}") from error


def _rows(other: Any, asked: Usage, measured: Measured) -> list[tuple[Any, ...]]:
    """Return the other frame's figures: period, dimensions, currency, figure, records."""
    columns = (*asked.keys, "currency", "tu__value", "records", "places")
    types = {"currency": TEXT, "tu__value": NUMBER, "records": INTEGER, "places": INTEGER}
    query = _sided(asked, measured, types, columns=columns, tail="from side")
    table = frames.collected(run_query(other, query))
    return [tuple(row.values()) for row in table.to_pylist()]


def _query(
    asked: Usage, measured: Measured, theirs: list[tuple[Any, ...]], within: float | None
) -> Query:
    """Return the query of both sides' figures, of which one is given as rows."""
    keys = asked.keys
    noise = f"{_NOISE} * greatest(abs(ours), abs(theirs))"
    allowed = _allowed(measured) if within is None else repr(float(within))
    steps = f""",
theirs as (
  {_given(asked, theirs)}
),
sides as (
  select {listed(*keys)}currency, tu__value as ours, records as records_ours,
    places as places_ours, null as theirs, null as records_theirs, null as places_theirs
  from side
  union all
  select {listed(*keys)}currency, null as ours, null as records_ours, null as places_ours,
    tu__value as theirs, records as records_theirs, places as places_theirs
  from theirs
),
pairs as (
  select {listed(*keys)}currency, sum(ours) as ours, sum(theirs) as theirs,
    max(places_ours) as places_ours, max(places_theirs) as places_theirs,
    coalesce(sum(records_ours), 0) as records_ours,
    coalesce(sum(records_theirs), 0) as records_theirs
  from sides
  group by {listed(*keys)}currency
),
compared as (
  select *,
    case
      when abs(ours - theirs) <= {noise} then 0
      else coalesce(ours, 0) - coalesce(theirs, 0)
    end as residual,
    case
      when ours * theirs > 0 then sign(ours) * least(abs(ours), abs(theirs))
      else 0
    end as matched,
    case
      when ours is null then 'missing_here'
      when theirs is null then 'missing_there'
      when abs(ours - theirs) <= {allowed} + {noise} then 'matched'
      else 'residual'
    end as status
  from pairs
)"""
    figures = ("ours", "theirs", "matched", "residual")
    counts = ("records_ours", "records_theirs")
    listed_ = (*keys, *(["currency"] if measured.is_cost else []), *figures, "status", *counts)
    types = {"currency": TEXT} if measured.is_cost else {}
    types |= dict.fromkeys(figures, NUMBER) | {"status": TEXT} | dict.fromkeys(counts, INTEGER)
    order = ordered(*asked.period, "abs(residual) desc", *asked.dimensions, "currency")
    tail = f"from compared\norder by {order}"
    return _sided(asked, measured, types, columns=listed_, tail=tail, steps=steps)


def _allowed(measured: Measured) -> str:
    """Return the SQL of what two figures may differ by, of a row of ``pairs``.

    The side with fewer records is the coarser one.  Where both have as many, both are rounded.
    """
    if not measured.is_cost:
        return _LEAST
    is_coarser = "records_ours < records_theirs"
    is_finer = "records_ours > records_theirs"
    both = "least(places_ours, places_theirs)"
    places = f"""case when {is_coarser} then places_ours when {is_finer} then places_theirs
          else {both} end"""
    rows = """case when records_ours = records_theirs then 2 * records_ours
          else greatest(records_ours, records_theirs) end"""
    total = f"case when {is_finer} then theirs else ours end"
    return rounding_sql(places, rows, total)


def _decimals(asked: Usage, measured: Measured) -> str:
    """Return the step to ``decimals``: how many amounts have, by product and currency."""
    product = next(quote(each.key) for each in asked.by if each.path == PRODUCT)
    total = [quote(name) for name in ("charges.total",) if name in measured.fields]
    currency = code("tu__currency")
    return f"""decimals as (
  select {product} as tu__product, {currency} as tu__code,
    max({places_sql("tu__cost", *total)}) as places
  from amounts
  where tu__cost is not null
  group by {product}, {currency}
)"""


def _sided(
    asked: Usage,
    measured: Measured,
    types: dict[str, Any],
    *,
    columns: tuple[str, ...],
    tail: str,
    steps: str = "",
) -> Query:
    """Return a query over ``side``, a frame's figures; dimensions are text, whatever they were."""
    texts = (f"cast({key} as varchar) as {key}" for key in asked.dimensions)
    decimals, places, joined = "", str(LEAST_PLACES), ""
    if measured.is_cost and not measured.unrated:
        product = next(quote(each.key) for each in asked.by if each.path == PRODUCT)
        decimals, places = f"{_decimals(asked, measured)},\n", "places"
        joined = f"""
  left join decimals on {product} is not distinct from tu__product
    and currency is not distinct from tu__code"""
    sql = f"""{measured.steps},
{decimals}side as (
  select {listed(*asked.period, *texts)}currency, tu__value, records, {places} as places
  from figures{joined}
){steps}
select {", ".join(columns)}{measured.unrated}
{tail}"""
    options: QueryOptions = {**measured.options, "portable": False}
    query = asked.query(sql, measured.fields, types, **options)
    plain = {name: TEXT if type_ is None else type_ for name, type_ in query.types.items()}
    return replace(query, types=plain, dimensions={})


def _given(asked: Usage, rows: list[tuple[Any, ...]]) -> str:
    """Write the other side's figures as a query."""
    periods = asked.periods
    types = ["timestamp" if periods.freq == "1h" else "date"] if periods else []
    types += ["varchar"] * len(asked.dimensions) + ["varchar", "double", "bigint", "bigint"]
    names = (*asked.keys, "currency", "tu__value", "records", "places")
    columns = dict(zip(names, types, strict=True))
    return given(columns, [tuple(map(_plain, row)) for row in rows])


def _plain(value: Any) -> Any:
    """Return a period as text, an instant in UTC; anything else as it is."""
    if isinstance(value, dt.datetime) and value.tzinfo:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return value.isoformat() if isinstance(value, dt.date) else value
