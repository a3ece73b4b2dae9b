"""Rows that repeat an identity over overlapping windows: usually one record that was pulled twice.

A record's identity is `source.account`, `source.report_type` and `id`.  Some frames hold one
identity several times by nature, and their rows are identified by more than that:

- long: by the metric as well; one identity's rows of one metric count twice.
- `allocate`: by the part, and by the resource that it belongs to.
- `allocate_shared`: new rows by their target, that is by the other dimensions and own columns.
- `at_grain("finest")`: rows of what is left over by their currency as well.
- `daily` and `between`: by the window.  Windows that do not overlap are never duplicates.

Of the rows of one identity, a row is *superseded* if a newer row's window overlaps its own.  The
newer row has the greater `updated_at`, then `created_at`, or stands further down in the frame.
What superseded rows add to a sum is what a frame counts twice.

`suspects` is the quick look: most frames repeat no id, and pay for one pass over hashes of
their ids.  `compared_sql` is the exact definition; only the rows of suspicious ids reach it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import polars as pl
import pyarrow as pa

from tidyusage import catalogue, schema
from tidyusage._utils.sql import FRAME, clauses, quote
from tidyusage.engines import frames
from tidyusage.metrics import _grain, _source
from tidyusage.metrics._charges import code
from tidyusage.metrics._periods import DATES
from tidyusage.metrics._source import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tidyusage.engines.columns import Columns

ROW: Final = "tu__position"
STAMPS: Final = ("updated_at", "created_at")
_COPY: Final = "tu__copy"
_FIELDS: Final = (*_grain.FIELDS, "id", *STAMPS)
# Columns by which the rows of an allocated frame differ; see `prepare.allocate`, `prepare.shared`.
_PART: Final = "part"
_SHARE: Final = "share"
_MEMBERS: Final = tuple(field.column for field in catalogue.LISTS["resources"])
_ALLOCATED: Final = "allocated"
_ALLOCATED_SHARE: Final = "allocated_share"
_TARGETS: Final = tuple(
    field.column for field in catalogue.DIMENSIONS if field.column != "source.report_type"
)
# All windows of a chain are compared with each other.  In a longer chain, all but the newest row
# count as superseded.
_MOST_WINDOWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What the superseded rows of a frame add: ``money`` by currency, and ``tokens``."""

    rows: int
    money: Mapping[str | None, float]
    tokens: float | None
    positions: Sequence[int] = ()

    @property
    def fact(self) -> str:
        """How many rows there are, and what they add, as a sentence."""
        many = self.rows != 1
        adds = [f"{amount:,.2f} {_currency(code)}" for code, amount in self.money.items()]
        if not adds and self.tokens is not None:
            adds = [f"{self.tokens:,.0f} tokens"]
        added = f" and add{'' if many else 's'} {', '.join(adds)}" if adds else ""
        repeats = "rows repeat" if many else "row repeats"
        return f"{self.rows:,} {repeats} an id over an overlapping window{added}."


def _currency(code: str | None) -> str:
    return "of unknown currency" if code is None else code


# The quick look


@dataclass(frozen=True, slots=True)
class Suspects:
    """Which rows of a frame have an id that may be repeated, and if its windows are all one."""

    rows: np.ndarray[Any, Any]
    are_uniform: bool


def suspects(frame: Any, found: Columns) -> Suspects | None:
    """Return which rows of an eager frame have an id that may be repeated; None if there are none.

    The look works on hashes of ids.  Two ids with one hash make it look closer, and nothing else.
    """
    ids = _series(frame, found.known["id"])
    if ids is None:
        return None
    hashes = ids.hash().to_numpy()
    if found.layout == "wide" and not _has_repeats(hashes, ids.null_count()):
        return None
    keys = hashes
    for seed, name in enumerate(_key_columns(found), start=1):
        column = _series(frame, name)
        if column is not None:
            keys = keys ^ column.hash(seed).to_numpy()
    if keys is not hashes and not _has_repeats(keys, ids.null_count()):
        return None
    ordered = np.sort(keys)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    may_repeat = np.isin(keys, twice) & ids.is_not_null().to_numpy()
    rows = np.flatnonzero(may_repeat)
    overlapping, are_uniform = _overlapping(frame, found, keys, rows)
    if not overlapping.any():
        return None
    return Suspects(np.isin(hashes, np.unique(hashes[rows[overlapping]])), are_uniform)


def _has_repeats(keys: np.ndarray[Any, Any], nulls: int) -> bool:
    """Tell whether hashes repeat, beyond those of the rows without an id."""
    ordered = np.sort(keys)
    return int(np.count_nonzero(ordered[1:] == ordered[:-1])) > max(nulls - 1, 0)


def _key_columns(found: Columns) -> list[str]:
    """Return the columns that identify rows beside the id, in every row of the frame."""
    names = [*found.marks, *(["metric"] if found.layout == "long" else [])]
    own = [part.column for part in _parts(found) if part.column]
    return [*(found.known[name] for name in names if name in found.known), *own]


def _overlapping(
    frame: Any, found: Columns, keys: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], bool]:
    """Return the rows whose key may have overlapping windows, and whether all windows are equal.

    Where windows of a key are sorted by their start, some overlap only if two neighbours do.
    """
    picked = pl.DataFrame({"key": keys[rows]}).with_row_index("place")
    dates = {path: _instants(frame, found, path) for path in DATES}
    start, end = (
        pl.Series(path, [None], pl.Int64).new_from_index(0, len(rows))
        if column is None
        else column.gather(rows).alias(path)
        for path, column in dates.items()
    )
    day = 86_400_000_000
    windows = picked.with_columns(start, end).with_columns(
        pl.when(pl.col("end_date") > pl.col("start_date"))
        .then("end_date")
        .otherwise(pl.col("start_date") + day)
        .alias("until")
    )
    ordered = windows.sort("key", "start_date", nulls_last=True)
    # A window that is not known may overlap any other of its key.
    meets = pl.col("start_date").is_null() | (pl.col("start_date") < pl.col("until").shift())
    neighbours = ordered.with_columns(
        meets=meets,
        differs=pl.any_horizontal(
            pl.col(name).ne_missing(pl.col(name).shift()) for name in ("start_date", "until")
        ),
        is_same=pl.col("key") == pl.col("key").shift(),
    ).filter("is_same")
    meeting = neighbours.filter("meets")["key"].unique()
    return picked["key"].is_in(meeting.implode()).to_numpy(), not neighbours["differs"].any()


def _instants(frame: Any, found: Columns, path: str) -> pl.Series | None:
    """Return a date as microseconds; None where the frame does not hold it as a date."""
    column = _series(frame, found.known[path]) if path in found.known else None
    if column is None or not column.dtype.is_temporal():
        return None
    return column.cast(pl.Datetime("us")).cast(pl.Int64)


def _series(frame: Any, name: str) -> pl.Series | None:
    """Return a column of an eager frame in Polars; None if it cannot be hashed."""
    if frames.backend_of(frame) == "polars":
        column = cast("pl.DataFrame", frame)[name]
    else:
        arrow = frames.column(frame, name)
        if arrow is None:
            return None
        column = cast("pl.Series", pl.from_arrow(arrow))
    return None if column.dtype.is_object() else column


# The exact definition


def needs(columns: Columns) -> tuple[str, ...]:
    """Return the frame's columns that `steps` read."""
    own = (name for name in _conditional(columns) if name)
    parts = tuple(part.column for part in _parts(columns) if part.column)
    return tuple(dict.fromkeys((*_grain.needs(columns), *_ids(columns), *parts, *own)))


def _ids(columns: Columns) -> list[str]:
    known = columns.known
    wanted = ["id", "record", "metric", *STAMPS, *columns.marks, "charges.currency"]
    return [known[name] for name in wanted if name in known]


def steps(columns: Columns, *, are_uniform: bool = False) -> str:
    """Return the steps from a frame to ``superseded``: a row for each record that counts twice.

    It has the record's `ROW`, ``tu__id``, ``tu__product``, ``tu__currency``, ``tu__cost`` and
    ``tu__tokens``.
    """
    is_long = columns.layout == "long"
    known = dict(columns.known)
    copy = ""
    if is_long:
        # The first row of a metric belongs to the first copy of a record, the second to the second.
        names = [known[n] for n in ("record", *catalogue.IDENTITY, "metric") if n in known]
        listed = ", ".join(map(quote, names))
        order = f"partition by {listed} order by {ROW}"
        own = f"cast({quote(known['record'])} as varchar)" if "record" in known else "''"
        copy = f"{own} || ':' || cast(row_number() over ({order}) as varchar)"
        known["record"] = _COPY
    numbered = replace(columns, known=known)
    extra = _extra(numbered)
    by = (Dimension(ROW, ROW), *_brought(numbered))
    rows = _source.select(numbered, by, _FIELDS, split=False).replace(FRAME, "tu__numbered")
    marks = [quote(name) for name in catalogue.SOURCE_COLUMNS]
    identity = [*marks, quote("id"), *extra]
    keys = [f"tu__key_{place}" for place, _ in enumerate(identity)]
    named = [f"{sql} as {key}" for sql, key in zip(identity, keys, strict=True)]
    copies = (
        f"tu__numbered as (\n  select *, {copy} as {_COPY}\n  from tu__placed\n)"
        if is_long
        else "tu__numbered as (\n  select *\n  from tu__placed\n)"
    )
    return f"""tu__placed as (
  select *, row_number() over () - 1 as {ROW}
  from {FRAME}
),
{copies},
repeat_usage as (
  {rows}
),
{_grain.named(columns, rows="repeat_usage", has_residuals=True, prefix="repeat_")},
{_grain.figures("repeat_")},
identified as (
  select {ROW}, "id" as tu__id, tu__product, start_date, tu__from, tu__to,
    {", ".join(map(quote, STAMPS))},
    tu__cost, tu__currency, tu__tokens,
    {clauses(named)}
  from repeat_figures
  where "id" is not null
),
{compared_sql("identified", keys, ROW, has_all=False, are_uniform=are_uniform)},
superseded as (
  select *
  from compared_rows
  where tu__is_superseded
)"""


def compared_sql(
    rows: str, keys: Iterable[str], row: str, *, has_all: bool = True, are_uniform: bool = False
) -> str:
    """Return the steps from rows to ``compared_rows``: the rows, and if each is superseded.

    Rows have their number, from 0, in ``row``, their window in ``tu__from`` and ``tu__to``, a
    ``start_date`` that is null where the window is not known, and `STAMPS`.  A row is superseded if
    a newer row with the same keys overlaps its window; a window that is not known overlaps all
    others.  Without ``has_all``, rows whose keys are on no other row are left out.  Where the
    windows of each identity ``are_uniform``, only their age is compared.

    Window functions alone do this, so that Spark, which numbers rows anew when it reads them again,
    reads them once.
    """
    identity = ", ".join(keys)
    where = "" if has_all else "\n  where tu__times > 1"
    newness = ", ".join([*(f"{quote(name)} asc nulls first" for name in STAMPS), row])
    group = "partition by tu__group"
    by_start = f"{group} order by tu__from, tu__until, {row}"
    before = "rows between unbounded preceding and 1 preceding"
    through = "rows between unbounded preceding and current row"
    # All others are a part of their own, so that no list is longer than a chain that is compared.
    compared = f"tu__is_window = 1 and tu__windows between 2 and {_MOST_WINDOWS}"
    chain = f"{group}, tu__chain, case when {compared} then -1 else {row} end"
    window = "{begin: tu__from, until: tu__until, age: tu__age}"
    is_newer = "tu__o.age > tu__age and tu__o.begin < tu__until and tu__from < tu__o.until"
    aged = f"""grouped_rows as (
  select *, greatest(tu__to, tu__from + interval 1 microsecond) as tu__until,
    min({row}) over (partition by {identity}) as tu__group,
    count(*) over (partition by {identity}) as tu__times
  from {rows}
),
aged_rows as (
  select *, row_number() over ({group} order by {newness}) as tu__age
  from grouped_rows{where}
)"""
    if are_uniform:
        is_older = "tu__age < tu__times as tu__is_superseded"
        return f"{aged},\ncompared_rows as (\n  select *, {is_older}\n  from aged_rows\n)"
    return f"""{aged},
chained_rows as (
  select *,
    max(tu__age) over ({group}, tu__from, tu__until) as tu__newest_of_window,
    max(case when start_date is null then tu__age else 0 end) over ({group}) as tu__newest_undated,
    max(tu__until) over ({by_start} {before}) as tu__reach
  from aged_rows
),
linked_rows as (
  select *,
    case when tu__age = tu__newest_of_window and tu__times > 1 and start_date is not null
      then 1 else 0 end as tu__is_window,
    sum(case when tu__from < tu__reach then 0 else 1 end) over ({by_start} {through}) as tu__chain
  from chained_rows
),
measured_rows as (
  select *,
    sum(tu__is_window) over ({group}, tu__chain) as tu__windows,
    max(tu__age) over ({group}, tu__chain) as tu__newest_of_chain
  from linked_rows
),
windowed_rows as (
  select *, list({window}) over ({chain}) as tu__others
  from measured_rows
),
compared_rows as (
  select *,
    tu__age < tu__newest_of_window or tu__age < tu__newest_undated
      or start_date is null and tu__age < tu__times
      or tu__windows > {_MOST_WINDOWS} and tu__age < tu__newest_of_chain
      or {compared}
        and len(list_filter(tu__others, lambda tu__o: {is_newer})) > 0 as tu__is_superseded
  from windowed_rows
)"""


SUPERSEDED: Final = f"""select {ROW} as position, tu__currency as currency, tu__cost as cost,
  tu__tokens as tokens
from superseded
order by {ROW}"""
TYPES: Final[Mapping[str, pa.DataType]] = {
    "position": pa.int64(),
    "currency": pa.string(),
    "cost": pa.float64(),
    "tokens": pa.float64(),
}


def added(superseded: pa.Table) -> Duplicates | None:
    """Return what the rows of the query `SUPERSEDED` add; None if there are none."""
    rows = cast("pl.DataFrame", pl.from_arrow(superseded))
    if rows.is_empty():
        return None
    priced = rows.filter(pl.col("cost").is_not_null())
    sums = priced.group_by("currency").agg(pl.col("cost").sum()).sort("currency", nulls_last=True)
    counted = rows["tokens"].drop_nulls()
    return Duplicates(
        rows.height,
        dict(sums.select("currency", "cost").iter_rows()),
        float(counted.sum()) if len(counted) else None,
        rows["position"].to_list(),
    )


def fact_sql() -> str:
    """Return the query of one text: what the ``superseded`` rows add; null if there are none."""
    money = "cast(round(sum(tu__cost), 2) as varchar) || ' ' || "
    money += "coalesce(tu__currency, 'of unknown currency')"
    tokens = "cast(cast(round(sum(tu__tokens)) as bigint) as varchar) || ' tokens'"
    sums = "string_agg(case when tu__is_money = {} then tu__sum end, ', ' order by tu__sum)"
    return f"""select case when max(tu__rows) > 0
    then case when max(tu__rows) = 1
        then '1 row repeats an id over an overlapping window'
        else cast(max(tu__rows) as varchar) || ' rows repeat an id over an overlapping window'
      end
      || coalesce(', which adds ' || coalesce({sums.format(1)}, {sums.format(0)}), '')
  end as said
from (
  select 1 as tu__is_money, {money} as tu__sum, 0 as tu__rows
  from superseded
  where tu__cost is not null
  group by tu__currency
  union all
  select 0 as tu__is_money, {tokens} as tu__sum, count(*) as tu__rows
  from superseded
)"""


# What identifies the rows of frames that hold one identity several times by nature


def own_columns(columns: Columns) -> dict[str, str]:
    """Return the frame's columns that `wide_keys` reads beside those of its records, by alias."""
    return {each.key: each.column for each in _brought(columns) if each.column}


def wide_keys(columns: Columns, row: str) -> list[str]:
    """Return the SQL of what identifies a row of a wide frame; without an id, it is the row."""
    currency = code(quote("charges.currency")) if "charges.currency" in columns.known else "null"
    absent = f'case when "id" is null then {row} end'
    return [*map(quote, columns.marks), quote("id"), absent, *_extra(columns, currency)]


def _parts(columns: Columns) -> list[Dimension]:
    """Return the columns by which an allocated record's parts differ."""
    own = set(columns.own)
    members = [schema.rename(name, columns.sep) for name in _MEMBERS]
    found = [name for name in members if name in own]
    is_part = _PART in own and (found or _SHARE in own)
    names = [*([_PART] if is_part else []), *found]
    return [Dimension(n, n, alias=f"tu__part_{place}") for place, n in enumerate(names)]


def _conditional(columns: Columns) -> list[str]:
    """Return the own columns by which only some rows are identified, and those that mark them."""
    own = [name for name in (_grain.UNATTRIBUTED,) if name in columns.own]
    if _ALLOCATED not in columns.own:
        return own
    targets = [columns.known[name] for name in _TARGETS if name in columns.known]
    return list(dict.fromkeys([*own, *columns.own, *targets]))


def _brought(columns: Columns) -> list[Dimension]:
    """Return the own columns that the exact definition reads, each under a name of its own."""
    taken = {part.column for part in _parts(columns)}
    names = [name for name in _conditional(columns) if name not in taken]
    spelled = [Dimension(n, n, alias=f"tu__by_{place}") for place, n in enumerate(names)]
    return [*_parts(columns), *spelled]


def _extra(columns: Columns, currency: str = "tu__currency") -> list[str]:
    """Return the SQL of what identifies a row beside its account, report and id."""
    brought = {each.column: each.key for each in _brought(columns)}
    keys = [part.key for part in _parts(columns)]
    if _grain.UNATTRIBUTED in brought:
        test = f"coalesce(try_cast({brought[_grain.UNATTRIBUTED]} as boolean), false)"
        keys.append(f"case when {test} then {currency} end")
    if _ALLOCATED in brought:
        test = f"coalesce(try_cast({brought[_ALLOCATED]} as boolean), false)"
        taken = {_ALLOCATED, _ALLOCATED_SHARE, _grain.UNATTRIBUTED}
        names = [key for column, key in brought.items() if column not in taken]
        keys += [f"case when {test} then cast({key} as varchar) end" for key in names]
    return keys
