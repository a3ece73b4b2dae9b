"""`latest` and `restatements`: the newest version of each record, and what changed before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast, get_args

import pyarrow as pa

from tidyusage import catalogue, schema
from tidyusage._utils.sql import FRAME, clauses, identity, quote, trimmed
from tidyusage.engines import columns, frames
from tidyusage.engines.query import Query, run_query
from tidyusage.errors import known_options, one_of
from tidyusage.layouts import convert_sql
from tidyusage.metrics import _duplicates, _grain, _source
from tidyusage.metrics._charges import code
from tidyusage.metrics._periods import AT_START, DATES, FROM, TO, Periods
from tidyusage.prepare import _rewrite
from tidyusage.prepare._rewrite import ROW
from tidyusage.typing import Identity

if TYPE_CHECKING:
    from tidyusage.engines.columns import Columns
    from tidyusage.typing import Ends, FrameT


KEY: Final = "tu__key"
VERSION: Final = "tu__version"
VERSIONS: Final = "tu__versions"
STAMPS: Final = ("updated_at", "created_at")
_USER: Final = ("user.id", "user.email", "user.name")
_NAMES: Final = (
    "product.id",
    "metric_name",
    "organization.id",
    "model.id",
    "model.provider",
    "surface",
)
_RESOURCES: Final = "resources"
NATURAL: Final = (*_NAMES, *_USER, _RESOURCES, *DATES)


def fields_of(key: Identity, marks: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the columns that tell records and their versions apart; refuse what is no key."""
    one_of("key", key, get_args(Identity))
    return (*marks, "id", *(NATURAL if key == "natural" else ()), *STAMPS)


def versions(key: Identity, source: str = "usage", marks: tuple[str, ...] = ()) -> str:
    """Return the step ``versions``: each row's key, its version from one, and how many there are.

    Records with other ``marks`` are never versions of one.  The last version has the greatest
    `updated_at`, then `created_at`, or was last seen.
    """
    parts = clauses([*map(quote, marks), *(_natural() if key == "natural" else _id())])
    order = ", ".join([*(f"{quote(name)} asc nulls first" for name in STAMPS), ROW])
    return f"""keyed as (
  select *, min({ROW}) over (partition by
    {parts}
  ) as {KEY}
  from {source}
),
versions as (
  select *, row_number() over (partition by {KEY} order by {order}) as {VERSION},
    count(*) over (partition by {KEY}) as {VERSIONS}
  from keyed
)"""


def _id() -> list[str]:
    # A row without an id is the version of no other.
    return ['"id"', f'case when "id" is null then {ROW} end']


def _natural() -> list[str]:
    """Return what a record is about, as SQL: each term with null a value of its own."""
    id_, email, name = map(quote, _USER)
    user = f"coalesce({identity(id_, email)}, nullif({trimmed(name)}, ''))"
    entry = "coalesce(tu__e.id, tu__e.name, tu__e.workspace.id)"
    ids = f"list_transform({_RESOURCES}, lambda tu__e: {entry})"
    resources = f"coalesce(list_sort(list_distinct({ids})), [])"
    return [*map(quote, _NAMES), user, resources, "start_date", Periods("1d").ends()]


_NUMBER: Final = schema.ARROW["number"]
_INSTANT: Final = schema.ARROW["timestamp"]
_WIDE: Final = (
    *convert_sql.LONG_KEYS,
    *(field.column for field in catalogue.MEASURES),
    *catalogue.CHARGE_COLUMNS,
    *("usage.unit", "resources", "charges", convert_sql.COUNTS),
    *STAMPS,
)
_CURRENCY: Final = ("charges.currency",)
_DAY: Final = 86_400e6  # microseconds


@known_options
def latest(frame: FrameT, *, key: Identity = "id") -> FrameT:
    """Return the newest version of each record.

    For frames that were put together from several pulls.  Of the rows of one key whose windows
    overlap, the newest stays: the one with the greatest `updated_at`, then `created_at`, then the
    last one in the frame.

    Parameters
    ----------
    frame
        A wide frame of any library, of either spelling; absent columns count as null.
    key
        "id", or "natural" where a vendor gives a restated record a new `id`: rows then are
        versions of one record if they agree in product, `metric_name`, organization, user, model,
        `surface`, resources and window.

    Returns
    -------
    frame
        Of the same library; lazy frames and relations stay lazy.  Some of its rows, unchanged and
        in their order, with their index in pandas.

    Raises
    ------
    OptionError
        If `key` is neither of the two.
    FrameError
        If the frame is not wide.

    Notes
    -----
    Rows of two accounts or reports of fetched records are never versions of one record.

    With "id", rows of one `id` all stay if their windows do not overlap: they are the pieces that
    `daily` and `between` cut, not versions.  A window without a start overlaps every other one.  A
    row without an `id` stays.  The parts of `allocate`, the new rows of `allocate_shared` and the
    rests of `at_grain` are identified by their part, target and currency too.  The result has no
    finding `repeated_id`.

    With "natural", null agrees with null; a user is `user.id`, else the e-mail in lower case, else
    the name, all trimmed; a model is its id and provider; resources are the set of their ids, in
    any order; a window without an end is one day if it starts at 00:00 UTC, else an instant.  The
    currency is not part of the key.  What the schema has no field for cannot tell records apart: a
    vendor's rows by terminal, or two events of one instant without an id of their own, would be
    taken for versions of one.

    Examples
    --------
    >>> import tidyusage as tu
    >>> records = [
    ...     {"id": "a", "updated_at": "2026-01-03", "charges": [{"type": "net", "amount": 7}]},
    ...     {"id": "a", "updated_at": "2026-01-02", "charges": [{"type": "net", "amount": 5}]},
    ... ]
    >>> df = tu.flatten_usage(records, duplicates="keep")
    >>> tu.latest(df)[["id", "charges.net"]]
      id  charges.net
    0  a          7.0
    """
    fields_of(key)  # raises for an unknown key
    found = _rewrite.wide(frame)
    if key == "id":
        return _without_superseded(frame, found)
    fields = fields_of(key, found.marks)
    steps = f"{_typed(found, fields)},\n{versions(key, 'typed', found.marks)}"
    is_newest = f"{VERSION} = {VERSIONS}"
    return _rewrite.chosen(frame, found, steps, fields, of="versions", where=is_newest)


def _without_superseded(frame: FrameT, found: Columns) -> FrameT:
    """Return a frame without the rows that a newer one of the same id overlaps."""
    is_eager = frames.backend_of(frame) in {"pandas", "polars"} and not frames.is_lazy(frame)
    suspects = _duplicates.suspects(frame, found) if is_eager else None
    if is_eager and suspects is None:
        return cast("FrameT", cast("Any", frame)[:])
    fields = (*found.marks, "id", *STAMPS, *DATES, *_CURRENCY)
    identity = _duplicates.wide_keys(found, _rewrite.ROW)
    keys_ = [f"tu__key_{place}" for place, _ in enumerate(identity)]
    named = [f"{sql} as {key}" for sql, key in zip(identity, keys_, strict=True)]
    are_uniform = suspects is not None and suspects.are_uniform
    dates = ", ".join(f"cast({name} as timestamp) as {name}" for name in DATES)
    steps = f"""{_typed(found, fields)},
dated as (
  select * replace ({dates})
  from typed
),
{_grain.windows("dated")},
identified as (
  select *,
    {", ".join(named)}
  from windows
),
{_duplicates.compared_sql("identified", keys_, _rewrite.ROW, are_uniform=are_uniform)}"""
    return _rewrite.chosen(
        frame,
        found,
        steps,
        fields,
        of="compared_rows",
        where="not tu__is_superseded",
        aliased=_duplicates.own_columns(found),
    )


@known_options
def restatements(frame: FrameT, *, key: Identity = "id", end: Ends = "exclusive") -> FrameT:
    """Return what changed from one version of a record to the next: by how much, and how late.

    Parameters
    ----------
    frame
        A wide frame of any library that holds the versions: of one pull, read it with
        `duplicates="keep"`; of several, put them one below the other.
    key
        "id" or "natural", as in `latest`.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either.  It decides from where `lag` counts.

    Returns
    -------
    frame
        Of the same library; lazy frames and relations stay lazy.  One row a measure that differs
        between a version and the one before it: `id` (str, of the newest version), `product.id`
        (str), `metric` (str, dotted as in long: `usage.tokens.input`, `charges.net`), `unit` (str;
        a charge's is its currency), `before`, `after` and `change` (float64, in that unit; change
        is `after` − `before`), `version` (int64, of the later one, from 2), `versions` (int64, how
        many the record has), `start_date` (timestamp, UTC), `restated_at` (timestamp, UTC: the
        later version's `updated_at`, else `created_at`), `lag` (float64, days from the window's
        end to then).  By the order of rows in the frame, then version and metric.

    Raises
    ------
    OptionError
        For what is no key, or no kind of end.
    FrameError
        If the frame is no wide one, or dtypes do not fit.

    Notes
    -----
    Each step is a row, so that the changes of a measure add up to its last figure less its first.
    A figure that was missing before, or is after, is null there and its change is null.  A charge
    that changes its currency is two rows: one that ends, one that begins.  Flags are 0 and 1.

    Examples
    --------
    >>> import tidyusage as tu
    >>> records = [
    ...     {"id": "a", "start_date": "2026-01-01", "updated_at": f"2026-01-{day}",
    ...      "charges": [{"type": "net", "amount": amount, "currency": "USD"}]}
    ...     for day, amount in [("03", 5), ("05", 7)]
    ... ]
    >>> df = tu.flatten_usage(records, duplicates="keep")
    >>> tu.restatements(df)[["id", "metric", "unit", "before", "after", "change", "lag"]]
      id       metric unit  before  after  change  lag
    0  a  charges.net  USD     5.0    7.0     2.0  3.0
    """
    fields_of(key)  # raises if it is invalid
    found, days = _rewrite.wide(frame), Periods("1d", end=end)
    wanted = tuple(name for name in (*_WIDE, *found.marks) if name in found.known)
    own = {name: schema.rename(name, found.sep) for name in ("id", "product.id", "start_date")}
    query = Query(
        f"with {_usage(found)},\n{_steps(key, days, found.marks)}",
        tuple(found.known[name] for name in wanted),
        {
            own["id"]: None,
            own["product.id"]: None,
            "metric": schema.ARROW["string"],
            "unit": schema.ARROW["string"],
            **dict.fromkeys(("before", "after", "change"), _NUMBER),
            **dict.fromkeys(("version", "versions"), pa.int64()),
            **dict.fromkeys((own["start_date"], "restated_at"), _INSTANT),
            "lag": _NUMBER,
        },
        {own[name]: found.known.get(name) for name in ("id", "product.id")},
        kinds=_source.kinds(found, [name for name in wanted if name in _source.DTYPES]),
        keys={spelled: name for name, spelled in own.items()},
    )
    return run_query(frame, query)


def _typed(found: Columns, fields: tuple[str, ...]) -> str:
    """Return the step ``typed``: columns that may be without any value have their types too."""
    casts = [
        f"cast({quote(name)} as {schema.duckdb_type(type_)}) as {quote(name)}"
        for name, type_ in columns.layout_types("wide").items()
        if name in fields and name in found.known and type_ != _INSTANT
    ]
    return f"typed as (\n  select * replace ({', '.join(casts)})\n  from usage\n)"


def _usage(found: Columns) -> str:
    """Return the step ``usage``: the columns of wide that count, typed, each row with its place."""
    rows = columns.typed(FRAME, found, (*_WIDE, *found.marks))
    if "charges" not in found.known:
        rows = f"(select * replace ({columns.rebuilt_charges()} as charges) from {rows})"
    times = ", ".join(
        f"cast({quote(name)} as timestamp) as {quote(name)}" for name in (*STAMPS, *DATES)
    )
    return f"""usage as (
  select * replace ({times}), row_number() over () - 1 as {_rewrite.ROW}
  from {rows}
)"""


def _steps(key: Identity, days: Periods, marks: tuple[str, ...]) -> str:
    """Return the steps from ``usage`` to the rows of the answer."""
    own = (KEY, VERSION, VERSIONS)
    currency = code("unit")
    return f"""{versions(key, marks=marks)},
restated as materialized (
  select *
  from versions
  where {VERSIONS} > 1
),
measures as (
  {convert_sql.long("restated", own=own).strip()}
),
sides as (
  select {KEY}, {VERSION}, metric, unit, cast(null as double) as before, value as after
  from measures
  where {VERSION} > 1
  union all
  select {KEY}, {VERSION} + 1 as {VERSION}, metric, unit, value as before, null as after
  from measures
  where {VERSION} < {VERSIONS}
),
named as (
  select {KEY}, {VERSION}, metric, before, after,
    case when metric like 'charges%' then {currency} else unit end as unit
  from sides
),
changes as (
  select {KEY}, {VERSION}, metric, unit, max(before) as before, max(after) as after
  from named
  group by {KEY}, {VERSION}, metric, unit
),
windows as (
  select *, start_date as {FROM}, {days.ends(instant=AT_START)} as {TO},
    coalesce(updated_at, created_at) as restated_at,
    last_value("id") over (
      partition by {KEY} order by {VERSION}
      rows between unbounded preceding and unbounded following
    ) as tu__newest
  from restated
)
select tu__newest as "id", "product.id", metric, unit, before, after, after - before as change,
  {VERSION} as version, {VERSIONS} as versions, start_date, restated_at,
  cast(date_diff('microsecond', {TO}, restated_at) as double) / {_DAY!r} as lag
from changes
join windows using ({KEY}, {VERSION})
where before is distinct from after
order by {KEY}, {VERSION}, metric, unit nulls last"""
