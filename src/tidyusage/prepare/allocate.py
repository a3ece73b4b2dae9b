"""`allocate`: distribute a record's measures over its resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from tidyusage import catalogue
from tidyusage._utils.sql import clauses, quote
from tidyusage.engines import frames
from tidyusage.engines.columns import columns
from tidyusage.engines.query import GUARD
from tidyusage.errors import FrameError, OptionError, UnknownFieldError, known_options, one_of
from tidyusage.metrics._usage import INTEGER, NUMBER, TEXT
from tidyusage.prepare import _parts
from tidyusage.prepare._rewrite import ROW, rewritten, wide
from tidyusage.prepare._weights import GIVEN, NAMED, Weights, attached

if TYPE_CHECKING:
    import polars as pl

    from tidyusage.engines.columns import Columns
    from tidyusage.typing import Divided, FrameT
    from tidyusage.typing import Weights as Given

RESOURCES: Final = "resources"
PART: Final = "part"
SHARE: Final = "share"
_RESOURCE: Final = tuple(field.column for field in catalogue.LISTS[RESOURCES])


@known_options
def allocate(
    frame: FrameT, child: Divided = "resources", *, weights: Given | None = None
) -> FrameT:
    """Return one row a record and resource, among which the record is divided.

    Charges and all measures that may be added are divided evenly or by weights; the parts of a
    record add up to it within 1e-12 of it, in any order.  Distinct counts and flags tell of the
    whole record alone and are null in its parts; so nothing is counted twice.  A record with one
    resource or none stays whole, and keeps them all.

    Parameters
    ----------
    frame
        A wide frame of any library, of either spelling, with its column `resources`.
    child
        Over what records are divided: "resources".
    weights
        None divides evenly.  A mapping gives a weight to each resource id, and under "*" to all
        others.  The name of a column of your own gives each record a list of numbers, one for each
        of its resources in their order.  A function takes the frame that `tu.resources(frame,
        duplicates="keep")` gives, with a row for each record and resource, and returns a number for
        each row (a column, an array, a list); of a relation it returns the SQL, or the DuckDB
        expression, of one.  Weights are relative: 1 and 3 are a quarter and three quarters.  A
        resource of weight 0 has a row, and nothing in it.  Records that stay whole need none.

    Returns
    -------
    frame
        Of the same library; lazy frames and relations stay lazy.  All columns of the frame, then
        `resources.id`, `resources.name`, `resources.workspace.id`, `resources.workspace.name` (str,
        null for a record without resources), `part` (int64, the resource's place in its record,
        from 0) and `share` (float64, of the record; 1 where it stays whole).  The list `resources`
        keeps the row's own entry alone.  `id` repeats: `id` and `part` tell rows apart.  Text,
        dates and columns of your own are the record's in each of its parts.

    Raises
    ------
    UnknownFieldError
        If the frame has no resources, or not the column that `weights` names.
    FrameError
        If the frame is no wide one, or has a column that is called like one of the answer.
    OptionError
        If a weight of a mapping is negative or no number, or a function gives not one a row.
    RecordError
        If a weight is missing or negative, or all weights of a record are 0.  A lazy frame raises
        when it is collected.

    Notes
    -----
    Other functions see each part as a record: `records` counts parts, and `to_long` wants
    `duplicates="keep"`.  What keeps one row an `id` goes before the allocation.

    Examples
    --------
    >>> import tidyusage as tu
    >>> record = {
    ...     "id": "a",
    ...     "resources": [{"id": "lkc-1"}, {"id": "lkc-2"}],
    ...     "charges": [{"type": "net", "amount": 10, "currency": "USD"}],
    ... }
    >>> df = tu.flatten_usage(record)
    >>> names = ["id", "part", "resources.id", "share", "charges.net"]
    >>> tu.allocate(df)[names]
      id  part resources.id  share  charges.net
    0  a     0        lkc-1    0.5          5.0
    1  a     1        lkc-2    0.5          5.0
    >>> tu.allocate(df, weights={"lkc-1": 3, "*": 1})[names]
      id  part resources.id  share  charges.net
    0  a     0        lkc-1   0.75          7.5
    1  a     1        lkc-2   0.25          2.5
    """
    one_of("child", child, (RESOURCES,))
    found = _allocable(frame)
    if not callable(weights):
        return _divided(frame, found, Weights.of(weights, found))
    if frames.backend_of(frame) == "duckdb":
        return _divided(frame, found, Weights.of_relation(weights, frame))
    if frames.backend_of(frame) == "pyspark":
        raise OptionError(
            "weights= is a function, which Spark cannot run on its executors.",
            "Give a mapping, or the name of a column of your own that lists them.",
        )
    if frames.is_lazy(frame):
        lazy = cast("pl.LazyFrame", frame)
        types = _divided(lazy, found, Weights()).collect_schema()
        asked = lazy.map_batches(lambda eager: allocate(eager, weights=weights), schema=types)
        return cast("FrameT", asked)
    given = attached(frame, weights)
    return cast("FrameT", _divided(given, wide(given), Weights.of(GIVEN, wide(given))))


def _allocable(frame: object) -> Columns:
    """Look at a frame's columns; raise if it holds no resources to divide by."""
    found = columns(frame)
    if found.layout == "long":
        raise FrameError("A long frame holds no resources.", "Call allocate() on the wide frame.")
    found = wide(frame)
    if RESOURCES not in found.known:
        raise UnknownFieldError(
            f"The frame has no column {RESOURCES!r}.",
            "It holds the entries; flatten_usage() and read_usage() make it in the wide layout.",
        )
    return found


def _divided(frame: FrameT, found: Columns, weights: Weights) -> FrameT:
    """Return a frame's records, divided by weights."""
    divided = _parts.measures(found, "tu__share", "tu__count > 1")
    own = {path: quote(path) for path in (*found.known, *found.own) if path != GIVEN}
    entry = "case when tu__entry is null then resources else [tu__entry] end"
    members = {name: _member(name) for name in _RESOURCE}
    selected = own | divided | {RESOURCES: entry} | members
    selected |= {PART: "tu__part", SHARE: "tu__share"}
    if weights.sql:
        selected[GUARD] = weights.problem
    named = [f"{sql} as {quote(name)}" for name, sql in selected.items()]
    sql = f"""named as (
  select * {NAMED}
  from usage
),
{weights.steps}{_shares(weights)},
parts as (
  select *, unnest(tu__shares) as tu__share,
    unnest(case when len(resources) > 0 then resources else [null] end) as tu__entry,
    unnest(range(len(tu__shares))) as tu__part
  from shares
)
select
  {clauses(named)}
from parts"""
    types = {**dict.fromkeys(members, TEXT), PART: INTEGER, SHARE: NUMBER}
    return rewritten(
        frame,
        found,
        f"{sql}\norder by {ROW}, tu__part" if weights.steps else sql,
        changed=(*divided, RESOURCES),
        added=types,
        without=(GIVEN,),
        guard=weights.guard,
        kinds={weights.column: "list"} if weights.column else {},
    )


def _shares(weights: Weights) -> str:
    """Return the steps to ``shares``: the shares of each record's resources."""
    count = "greatest(coalesce(len(resources), 0), 1) as tu__count"
    if not weights.sql:
        even = "list_transform(range(tu__count), lambda tu__i: 1e0 / tu__count)"
        return f"""counted as (
  select *, {count}
  from {weights.source}
),
shares as (
  select *, {even} as tu__shares
  from counted
)"""
    # Where all are 0, or none is there, the guard speaks.
    most = "case when tu__most > 0 then tu__most end"
    scaled = f"list_transform(tu__weights, lambda tu__w: {_parts.scaled('tu__w', most)})"
    share = "list_transform(tu__scaled, lambda tu__w: tu__w / tu__all)"
    return f"""weighed as (
  select *, {count}, {weights.sql} as tu__weights
  from {weights.source}
),
topped as (
  select *, list_max(tu__weights) as tu__most
  from weighed
),
scaled as (
  select *, {scaled} as tu__scaled
  from topped
),
summed as (
  select *, list_sum(tu__scaled) as tu__all
  from scaled
),
shares as (
  select *, case when tu__count > 1 then {share} else [1e0] end as tu__shares
  from summed
)"""


def _member(column: str) -> str:
    """Return the SQL of a field of a part's resource."""
    return ".".join(["tu__entry", *map(quote, column.split(".")[1:])])
