"""`drift`: what changed between two pulls of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage import catalogue, schema
from tidyusage._utils.sql import given, literal, ordered, values
from tidyusage.engines import frames
from tidyusage.engines import spark as sparks
from tidyusage.engines.query import Query, run_query
from tidyusage.errors import OptionError, is_count, is_number, known_options
from tidyusage.metrics._usage import NUMBER, TEXT
from tidyusage.quality._pull_facts import FACT, PRODUCT, TYPE, Facts, dtypes

if TYPE_CHECKING:
    from tidyusage.typing import Frame, FrameT

_KINDS: Final = ("key", "value", "dtype", "nulls", "volume")


@known_options
def drift(
    before: FrameT,
    after: Frame,
    *,
    nulls: float = 0.05,
    volume: float = 0.5,
    min_records: int = 30,
) -> FrameT:
    """Return what changed between two pulls, by product: keys, values, dtypes, nulls, volume.

    Keys and values are compared exactly: one record that has a new one is enough.  Shares of nulls
    and volumes always differ a little, and are told from a threshold on.

    Parameters
    ----------
    before
        A wide frame of any library, of either spelling: the earlier pull.
    after
        A wide frame of any library: the later pull.  It is read at once, also if it is lazy; so
        are both of Spark.
    nulls
        From which difference on a share of nulls has changed: 0.05 is five points in a hundred.
    volume
        From which change on a volume has: 0.5 is half as much again, or two thirds of it.
    min_records
        Of how many records of a product a share of nulls is told, and of how many in the larger
        pull a volume.

    Returns
    -------
    frame
        Of the library of `before`; if that is lazy, so is it.  `product.id` (str; null for what
        is said of the whole frame), `what`, `column` (str, dotted), `before` and `after` (str;
        null where nothing stood), `change` (float64), `message` (str).  By product, then as here:

        - "key": `before` and `after` count the records that have the column, the tool action or
          the key of `extra`; null is none.
        - "value": a value of `metric_name`, `model.id`, `model.provider`, `surface`, `usage.unit`,
          `charges.currency` or `charges.type` that is new (in `after`) or gone (in `before`); or
          a product that is.
        - "dtype": the type of the frame's column, as Arrow names it.
        - "nulls": the share of records without the column, of those that some records of both
          have; `change` is the difference.
        - "volume": records by day of the pull, from its first `start_date` to its last, whatever
          their product; of records without dates their number.  `change` is the ratio.

    Raises
    ------
    FrameError
        If a frame is no wide one.
    OptionError
        If a threshold is none.

    Notes
    -----
    Columns of your own are compared too.  Keys that the schema does not know are seen if both
    pulls were read with `unknown="keep"`, which is exact; `unknown="warn"` looks at a sample.
    A product that is new or gone is one row, and nothing of it is compared.

    Examples
    --------
    >>> import tidyusage as tu
    >>> claude = {"product": {"id": "claude"}}
    >>> before = tu.flatten_usage([{"id": "a", "surface": "chat", **claude}])
    >>> after = tu.flatten_usage([{"id": "b", "surface": "cli", **claude}])
    >>> tu.drift(before, after)[["what", "column", "before", "after"]]
        what   column before after
    0  value  surface   chat   NaN
    1  value  surface    NaN   cli
    """
    _check(nulls, volume, min_records)
    ours, theirs = Facts.of(before), Facts.of(after)
    place = f"list_position([{values(_KINDS)}], what)"
    is_spark = frames.backend_of(before) == "pyspark"
    # What is compared is few rows, of which Spark would plan thousands of steps.
    facts = f"facts as (\n  {given(FACT, ours.asked(before))}\n)" if is_spark else ours.steps()
    sql = f"""with {facts},
{_compared(theirs.asked(after), _changed(ours, theirs))},
{_changes(nulls, volume, min_records)}
select product, what, name, before, after, change, message
from changes
order by {ordered("product", place, "name", "before", "after")}"""
    product = schema.rename(PRODUCT, ours.found.sep)
    texts = (product, "what", "column", "before", "after")
    types = {**dict.fromkeys(texts, TEXT), "change": NUMBER, "message": TEXT}
    keys = {product: "product", "column": "name"}
    query = Query(sql, ("tu__nothing",) if is_spark else ours.needs, types, {}, keys=keys)
    if is_spark:
        return cast("FrameT", sparks.of_arrow(before, run_query(_NOTHING, query)))
    return run_query(before, query)


_NOTHING: Final = pa.table({"tu__nothing": pa.array([], pa.string())})


def _check(nulls: float, volume: float, min_records: int) -> None:
    for option, value in (("nulls", nulls), ("volume", volume)):
        if not is_number(value) or value < 0:
            raise OptionError(f"{option}={value!r} is no threshold.", "Give one such as 0.05.")
    if not is_count(min_records):
        raise OptionError(f"min_records={min_records!r} is no count.", "Give one such as 30.")


def _changed(ours: Facts, theirs: Facts) -> list[tuple[str, str, str]]:
    """Return the columns whose type differs, with both."""
    before, after = dtypes(ours.types), dtypes(theirs.types)
    return [
        (name, type_, after[name])
        for name, type_ in before.items()
        if name in after and type_ != after[name]
    ]


def _compared(theirs: list[tuple[Any, ...]], types: list[tuple[str, str, str]]) -> str:
    """Return the steps to ``compared``: how many records of each pull have what, side by side."""
    return f"""theirs as (
  {given(FACT, theirs)}
),
sides as (
  select product, kind, name, value, seen as old, null as new
  from facts
  union all
  select product, kind, name, value, null as old, seen as new
  from theirs
),
counted as (
  select product, kind, name, value, max(old) as old, max(new) as new
  from sides
  group by product, kind, name, value
),
compared as (
  select *,
    max(case when kind = 'records' then old end) over (partition by product) as records_old,
    max(case when kind = 'records' then new end) over (partition by product) as records_new,
    max(case when kind = 'dated' then old end) over (partition by product) as dated_old,
    max(case when kind = 'dated' then new end) over (partition by product) as dated_new,
    count(old) over (partition by product, kind, name) > 0
      and count(new) over (partition by product, kind, name) > 0 as is_in_both
  from counted
),
types as (
  {given(dict.fromkeys(("name", "old", "new"), "varchar"), types)}
)"""


def _changes(nulls: float, volume: float, min_records: int) -> str:
    """Return the steps to ``changes``: what differs, in words."""
    columns = "product, what, name, before, after, change, message"
    told = (f"select {columns} from {step} where is_told" for step in ("null_shares", "volumes"))
    parts = (_products(), _keys(), _values(), _dtypes(), *told)
    listed = "\n  union all\n  ".join(parts)
    return f"""{_null_shares(nulls, min_records)},
{_volumes(volume, min_records)},
changes as (
  {listed}
)"""


def _products() -> str:
    said = "case when product is null then 'No product at all' else 'The product ' || product end"
    return f"""select product, 'value' as what, {literal(PRODUCT)} as name,
    case when old is not null then product end as before,
    case when new is not null then product end as after,
    null as change,
    case when old is null then concat({said}, ' came: ', {_records("new")}, '.')
      else concat({said}, ' went: it had ', {_records("old")}, '.')
    end as message
  from compared
  where kind = 'records' and (old is null) <> (new is null)"""


def _keys() -> str:
    new = f"concat(name, ' is new, in ', {_n('new')}, ' of ', {_records('records_new')}, '.')"
    gone = (
        f"concat(name, ' is gone: it was in ', {_n('old')}, ' of ', {_records('records_old')}, '.')"
    )
    return f"""select product, 'key' as what, name, cast(old as varchar) as before,
    cast(new as varchar) as after, null as change,
    case when old is null then {new} else {gone} end as message
  from compared
  where (kind = 'column' or kind = 'key') and (old is null) <> (new is null)
    and records_old is not null and records_new is not null"""


def _values() -> str:
    known = values(catalogue.CHARGE_TYPES)
    strange = f"name = {literal(TYPE)} and value not in ({known})"
    unknown = f"case when {strange} then ' The schema does not know it.' else '' end"
    new = f"concat(name, ' has a new value ', value, ': ', {_records('new')}, '.', {unknown})"
    gone = f"concat(name, ' has no value ', value, ' any more; it was in ', {_records('old')}, '.')"
    return f"""select product, 'value' as what, name,
    case when old is not null then value end as before,
    case when new is not null then value end as after,
    null as change,
    case when old is null then {new} else {gone} end as message
  from compared
  where kind = 'value' and is_in_both and (old is null) <> (new is null)"""


def _dtypes() -> str:
    return """select null as product, 'dtype' as what, types.name, types.old as before,
    types.new as after, null as change,
    concat(types.name, ' was ', types.old, ' and is ', types.new, '.') as message
  from types
  where types.name in (
    select name
    from compared
    where kind = 'column' or kind = 'amount' or kind = 'identity'
    group by name
    having count(old) > 0 and count(new) > 0
  )"""


def _null_shares(nulls: float, min_records: int) -> str:
    old, new = (f"1 - cast({side} as double) / records_{side}" for side in ("old", "new"))
    message = (
        f"concat(name, ' was null in ', {_percent('share_old')}, "
        f"' of ', {_records('records_old')}, ' and is in ', {_percent('share_new')}, "
        f"' of ', {_n('records_new')}, '.')"
    )
    return f"""shares as (
  select product, name, records_old, records_new, {old} as share_old, {new} as share_new
  from compared
  where (kind = 'column' or kind = 'amount') and old is not null and new is not null
),
null_shares as (
  select product, 'nulls' as what, name, {_text("share_old")} as before,
    {_text("share_new")} as after, share_new - share_old as change, {message} as message,
    abs(share_new - share_old) >= greatest({float(nulls)!r} - 1e-9, 1e-9)
      and least(records_old, records_new) >= {int(min_records)} as is_told
  from shares
)"""


def _volumes(volume: float, min_records: int) -> str:
    days = "(select {} from counted where kind = 'span')"
    # Records without dates are counted, of those with dates how many a day.
    has_dates = "dated_old > 0 and dated_new > 0"
    bare = "dated_old = 0 and dated_new = 0"
    old, new = (
        f"case when {has_dates} then dated_{side} / cast({days.format(side)} as double) "
        f"when {bare} then cast({side} as double) end"
        for side in ("old", "new")
    )
    unit = f"case when {has_dates} then ' records a day' else ' records' end"
    message = f"concat({_text('rate_old')}, {unit}, ', and then ', {_text('rate_new')}, '.')"
    most = f"{1 + float(volume)!r}"
    return f"""rates as (
  select *, {old} as rate_old, {new} as rate_new
  from compared
  where kind = 'records' and old is not null and new is not null
),
volumes as (
  select product, 'volume' as what, 'records' as name, {_text("rate_old")} as before,
    {_text("rate_new")} as after, rate_new / rate_old as change, {message} as message,
    rate_new <> rate_old and greatest(old, new) >= {int(min_records)}
      and greatest(rate_new / rate_old, rate_old / rate_new) >= {most} - 1e-9 as is_told
  from rates
)"""


def _n(count: str) -> str:
    return f"format('{{:,}}', cast({count} as bigint))"


def _records(count: str) -> str:
    """Return the SQL of a count of records, with its noun."""
    return f"{_n(count)} || case when {count} = 1 then ' record' else ' records' end"


def _text(number: str) -> str:
    return f"cast(round({number}, 4) as varchar)"


def _percent(share: str) -> str:
    return f"format('{{:.1f}} %', 100 * {share})"
