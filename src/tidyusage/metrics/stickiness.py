"""`stickiness`: daily over monthly active users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidyusage._utils.sql import listed, ordered
from tidyusage.engines.query import run_query
from tidyusage.errors import known_options
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._usage import INTEGER, NUMBER, Usage, usage
from tidyusage.metrics.users import active_of, fields_of, limits, people_of, said_of_crossing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.engines.query import Query
    from tidyusage.typing import Crossing, Ends, FrameT, Overlap


@known_options
def stickiness(
    frame: FrameT,
    *by: str,
    tz: str = "UTC",
    end: Ends = "exclusive",
    people: Mapping[str, str] | None = None,
    crossing: Crossing = "raise",
    overlap: Overlap = "warn",
) -> FrameT:
    """Return by calendar month how many of its users come on a day.

    `dau` is the mean number of active users a day, over the month's days from the frame's first
    day to its last; `mau` the number of different users active in the month; `stickiness` is `dau`
    / `mau`.  Users, and who is active, are as in `active_users`.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
    people
        A mapping from user ids and e-mail addresses to people, as in `active_users`.
    crossing
        What to do with an active user's window that crosses midnight, as in `active_users`.
    overlap
        What to do if rows at several grains hold the same usage, as `overlaps` shows, or if rows
        repeat an id over overlapping windows: "warn", "ignore", or "raise" an `OverlapError`.  A
        lazy frame is checked when it is collected; a DuckDB relation and a Spark frame can raise
        then, and cannot warn.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  `period` (the month's first day), the
        dimensions, `dau` (float64, users), `mau` (int64, users), `stickiness` (float64, 0 to 1).
        Null where no user is named, and no users give no stickiness.  Records without dates are in
        no month.  By month, then the highest first.

    Raises
    ------
    RecordError
        If an active user's window crosses midnight, unless `crossing` says otherwise: the data does
        not say on which day the user was active.  A lazy frame raises on collection.
    UnknownFieldError
        For an unknown dimension, or a frame without a column of users.
    OptionError
        For an option's value that it cannot have.

    Warns
    -----
    CrossingWarning
        With `crossing="exclude"`, if windows are left out.

    Notes
    -----
    The usual ratio of daily to monthly active users, DAU / MAU, with the mean over the days on
    top.

    Examples
    --------
    >>> import tidyusage as tu
    >>> days = [("ada", "05"), ("ada", "06"), ("bob", "06"), ("ada", "07")]
    >>> records = [{"id": user + day, "user": {"id": user}, "start_date": f"2026-01-{day}",
    ...             "usage": {"activity": {"is_active": True}}} for user, day in days]
    >>> tu.stickiness(tu.flatten_usage(records))  # (1 + 2 + 1) / 3 days, of two users
          period       dau  mau  stickiness
    0 2026-01-01  1.333333    2    0.666667
    """
    days = Periods("1d", tz, end)
    asked = usage(frame, by, days, whole=True, overlap=overlap, people=people)
    return run_query(frame, stickiness_query(asked, crossing))


def stickiness_query(asked: Usage, crossing: Crossing = "raise") -> Query:
    """Return the query of `stickiness`."""
    asked.require(asked.user_fields, "stickiness")
    dims = asked.dimensions
    month = "cast(date_trunc('month', cast(period as timestamp)) as date)"
    sql = f"""{people_of(asked, crossing)},
covered as (
  select cast(min(period) as timestamp) as tu__first, cast(max(period) as timestamp) as tu__last
  from people
),
spine as (
  select unnest(generate_series(tu__first, tu__last, interval '1 day')) as tu__at
  from covered
),
lengths as (
  select cast(date_trunc('month', tu__at) as date) as tu__month, count(*) as tu__days
  from spine
  group by cast(date_trunc('month', tu__at) as date)
),
daily as (
  select {listed(*dims)}period, {month} as tu__month, {active_of("tu__active")} as tu__users
  from people
  group by {listed(*dims)}period
),
monthly as (
  select {listed(*dims)}{month} as tu__month, {active_of("tu__active")} as tu__users
  from people
  group by {listed(*dims)}{month}
),
sides as (
  select {listed(*dims)}tu__month, tu__users as tu__daily, cast(null as bigint) as tu__monthly
  from daily
  union all
  select {listed(*dims)}tu__month, cast(null as bigint) as tu__daily, tu__users as tu__monthly
  from monthly
),
figures as (
  select {listed(*dims)}tu__month, sum(tu__daily) as tu__daily, max(tu__monthly) as mau
  from sides
  group by {listed(*dims)}tu__month
),
rates as (
  select {listed(*dims)}figures.tu__month as period, mau,
    cast(tu__daily as double) / tu__days as dau
  from figures
  join lengths on figures.tu__month = lengths.tu__month
)
select period, {listed(*dims)}dau, mau, dau / nullif(mau, 0) as stickiness\
{said_of_crossing(asked, crossing)}
from rates
order by {ordered("period", "stickiness desc", *dims)}"""
    types = {"dau": NUMBER, "mau": INTEGER, "stickiness": NUMBER}
    found = limits(asked, crossing, has_freq=False)
    found["nullable"] = ("mau",)
    return asked.query(sql, fields_of(asked), types, **found, portable=False)
