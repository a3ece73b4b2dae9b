"""`active_users`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict, get_args

from tidyusage import catalogue
from tidyusage._utils.sql import grouped, listed, ordered, quote, trimmed
from tidyusage.engines.dialects.lists import MOST
from tidyusage.engines.query import GUARD, NOTICE, Query, run_query
from tidyusage.errors import OptionError, is_count, known_options, one_of
from tidyusage.metrics import _missing_days, _person
from tidyusage.metrics._periods import FIRST, LAST, Periods
from tidyusage.metrics._person import PERSON
from tidyusage.metrics._source import CUT
from tidyusage.metrics._usage import BOOLEAN, INTEGER, Usage, usage
from tidyusage.typing import Crossing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.typing import Ends, FrameT, Freq, Overlap, WeekStart

ID: Final = "user.id"
EMAIL: Final = "user.email"
ACTIVE: Final = "usage.activity.is_active"
_ACTIVITIES: Final = ("requests", "sessions", "conversations", "code", "tokens", "tools")
# What was shown is no deed of the user's.
_POSITIVE: Final = tuple(
    field.column
    for field in catalogue.MEASURES
    if field.dtype == "number"
    and field.keys[0] == "usage"
    and field.keys[1] in _ACTIVITIES
    and field.column != "usage.requests.tab_shown"
)
_LONGEST: Final = 10_000


@known_options
def active_users(
    frame: FrameT,
    *by: str,
    freq: Freq | None = None,
    rolling: int | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: Mapping[str, str] | None = None,
    crossing: Crossing = "raise",
    overlap: Overlap = "warn",
) -> FrameT:
    """Count the people who were active in each group.

    A person is an e-mail address; a record without one belongs to the single address that the frame
    shows for its `user.id`, else to the `user.id` itself.  API keys, service accounts and rows
    without a user are not people.  A person is active if `is_active` is true or, where it is
    missing, if any activity count is above zero (`tab_shown` does not count).  People are counted,
    never added: groups do not add up to the whole.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
    freq
        Adds a column `period`, first: "1h", "1d", "1w" from Monday, "1mo", "1q" or "1y".  Records
        without dates are in none.
    rolling
        Counts the different users of so many periods up to and with each: 7 with "1d" gives the
        users of the last 7 days, for every day from the frame's first to its last.
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
    people
        A mapping from user ids and e-mail addresses, in any case, to the people that they belong
        to, where the data does not show it.
    fiscal_year_start, week_start
        As in `cost_by`.
    crossing
        What to do with an active user's window that crosses a bound of `freq`, or that `between`
        or `daily` has cut: "raise"; "exclude" to leave it out, with a warning that counts such
        records; "touch" to count the user in every period that the window touches.
    overlap
        What to do if rows at several grains hold the same usage, as `overlaps` shows, or if rows
        repeat an id over overlapping windows: "warn", "ignore", or "raise" an `OverlapError`.  A
        lazy frame is checked when it is collected; a DuckDB relation and a Spark frame can raise
        then, and cannot warn.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  After the dimensions `active_users` (int64;
        0 if nobody was active, null if the group names no user or only windows that are excluded,
        or if a rolling window begins before the frame does).  Every period that a named user's
        window touches has a row.  With `rolling`, every period of the frame has a row for each
        group, quiet days count as 0 between the first and the last day of the group's products,
        and `complete` (bool) is false where the window holds days that are missing, as the finding
        `missing_days` has them, or begins before the frame does.  By period, then the most first.

    Raises
    ------
    RecordError
        If an active user's window crosses a bound of `freq`, unless `crossing` says otherwise: the
        data does not say on which side the user was active.  A lazy frame raises on collection.
    UnknownFieldError
        For an unknown dimension, or a frame without a column of users.
    OptionError
        For an option's value that it cannot have.

    Warns
    -----
    CrossingWarning
        With `crossing="exclude"`, if windows are left out.  A relation and a Spark frame cannot
        warn.

    Notes
    -----
    `is_active` is a vendor's own flag, as Cursor's `isActive`.  With `rolling=7` and 30, by day,
    these are what is called weekly and monthly active users.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example(backend="polars")
    >>> tu.active_users(df, freq="1w").rows()[0]
    (datetime.date(2025, 12, 29), 6)
    """
    periods = Periods.of(freq, tz, end, fiscal_year_start, week_start)
    asked = usage(frame, by, periods, whole=True, overlap=overlap, people=people)
    return run_query(frame, active_users_query(asked, rolling=rolling, crossing=crossing))


def active_users_query(
    asked: Usage, *, rolling: int | None = None, crossing: Crossing = "raise"
) -> Query:
    """Return the query of `active_users`."""
    asked.require(asked.user_fields, "active_users")
    keys = asked.keys
    if rolling is not None:
        return _rolling_query(asked, rolling, crossing)
    sql = f"""{people_of(asked, crossing)},
counted as (
  select {listed(*keys)}{active_of("tu__active")} as active_users
  from people
  {grouped(*keys)}
)
select {listed(*keys)}active_users{said_of_crossing(asked, crossing)}
from counted
order by {ordered(*asked.period, "active_users desc", *asked.dimensions)}"""
    return asked.query(sql, fields_of(asked), {"active_users": INTEGER}, **limits(asked, crossing))


class Limits(TypedDict):
    """What `Usage.query` is told of a query that counts active users."""

    nullable: tuple[str, ...]
    guard: str
    notice: str


def limits(asked: Usage, crossing: Crossing, *, has_freq: bool = True) -> Limits:
    """Return what a query that counts active users needs; refuse an unknown ``crossing``."""
    one_of("crossing", crossing, get_args(Crossing))
    guard = notice = ""
    if asked.periods:
        longer = ", or choose a longer freq=" if has_freq else ""
        side = "so the data does not say on which side a user was active"
        bound = f"a bound of freq={asked.periods.freq!r} in the time zone {asked.periods.tz}"
        touch = "Pass crossing='touch' to count users in every period that a window touches"
        if crossing == "raise":
            guard = (
                f"{{}} a window that crosses {bound}, {side}.\n\n"
                f"{touch}, crossing='exclude' to leave these records out{longer}."
            )
        elif crossing == "exclude":
            notice = f"{{}} a window that crosses {bound}, {side}: left out.\n\n{touch}{longer}."
    return {"nullable": ("active_users",), "guard": guard, "notice": notice}


def said_of_crossing(asked: Usage, crossing: Crossing) -> str:
    """Return the SQL of a last column that names the records whose windows cross a bound."""
    if asked.periods is None or crossing == "touch":
        return ""
    name = GUARD if crossing == "raise" else NOTICE
    return f",\n  (select tu__said from crossing_records) as {name}"


def fields_of(asked: Usage, *, by_record: bool = False) -> tuple[str, ...]:
    """Return the columns that tell who is active; with ``by_record``, also who each record is."""
    counts = filter(asked.holds, (*_POSITIVE, MOST))
    windows = ("id", *asked.cut_fields) if asked.periods else ()
    identity = _identity(asked, by_record=by_record)
    users = (PERSON,) if PERSON in identity else asked.person_fields
    return (*users, ACTIVE, *counts, *windows)


def people_of(
    asked: Usage, crossing: Crossing = "raise", *, source: str = "usage", by_record: bool = False
) -> str:
    """Return the steps to ``people``: who is in each group, and whether active there.

    Rows without a user are one row of a group.  Records are grouped by what they say of their
    user, and the person is looked up afterwards: text functions over every row would cost more
    than all else.
    """
    identity = _identity(asked, by_record=by_record)
    columns = [f"{sql} as {name}" for name, sql in identity.items()]
    is_active = f"case when {active(asked)} then 1 else 0 end as tu__active"
    if asked.periods is None:
        groups = (*asked.dimensions, *identity)
        return f"""deeds as (
  select {listed(*asked.dimensions, *columns)}{is_active}
  from {source}
),
doers as (
  select {listed(*groups)}max(tu__active) as tu__active
  from deeds
  {grouped(*groups)}
),
{_looked_up(asked, identity, "people")}"""
    # Most windows touch one period: a last one that is null costs little to compare.
    last = f"case when {FIRST} <> {LAST} then {LAST} end"
    groups = (*asked.dimensions, *identity, FIRST, LAST)
    crosses = f"{LAST} is not null" + f" or coalesce({CUT}, false)" * bool(asked.cut_fields)
    cut = listed(*asked.cut_fields)
    counted = "case when tu__active = 1 and ({}) then {} end"
    return f"""deeds as (
  select {listed(*asked.dimensions, *columns)}{FIRST}, {last} as {LAST}, {cut}"id" as tu__id_of,
    {is_active}
  from {source}
),
doers as (
  select {listed(*groups)}max(tu__active) as tu__any_active,
    max(case when {crosses} then 0 else tu__active end) as tu__active,
    sum({counted.format(crosses, "1")}) as tu__crossing, count(*) as tu__records,
    min({counted.format(crosses, "tu__id_of")}) as tu__least_id,
    max({counted.format(crosses, "tu__id_of")}) as tu__most_id
  from deeds
  group by {", ".join(groups)}
),
{_looked_up(asked, identity, "identified", _PLACED)},
{_CROSSING_RECORDS},
{_by_period(asked, crossing)}"""


_PLACED: Final = (
    FIRST,
    LAST,
    "tu__any_active",
    "tu__crossing",
    "tu__records",
    "tu__least_id",
    "tu__most_id",
)
_CROSSING_RECORDS: Final = """crossing_sums as (
  select sum(tu__crossing) as tu__count, min(tu__least_id) as tu__least,
    max(tu__most_id) as tu__most
  from identified
  where tu__person is not null
),
crossing_records as (
  select case when tu__count > 0 then cast(cast(tu__count as bigint) as varchar)
    || case when tu__count = 1 then ' record (' else ' records (' end || tu__least
    || case when tu__most <> tu__least then ', ' || tu__most else '' end
    || case when tu__count > 2 then ', …' else '' end
    || case when tu__count = 1 then ') has' else ') have' end end as tu__said
  from crossing_sums
)"""


def _identity(asked: Usage, *, by_record: bool = False) -> dict[str, str]:
    """Return the SQL of what a record says of its user, by the names of columns."""
    if by_record or any(dimension.is_person for dimension in asked.by):
        return {PERSON: PERSON}
    own = {_person.OWN: _person.OWN} if asked.has_persons else {}
    return own if own and not asked.people else {**_person.IDENTITY, **own}


def _looked_up(
    asked: Usage, identity: dict[str, str], step: str, carried: tuple[str, ...] = ()
) -> str:
    """Return the steps from ``doers`` to a step that has their person."""
    columns = listed(*(f"doers.{name}" for name in (*asked.dimensions, *carried)))
    who, lookup, joined = PERSON, "", ""
    if [*identity] == [_person.OWN]:
        who = f"nullif({trimmed(_person.OWN)}, '')"
    elif PERSON not in identity:
        own = asked.has_persons
        lookup = f"{_person.steps('doers', asked.people, own=own, is_keyed=True)},\n"
        on = _person.matched("doers", own=own, is_keyed=True)
        joined = f"\n  left join persons on {on}"
        who = f"persons.{PERSON}"
    return f"""{lookup}{step} as (
  select {columns}doers.tu__active, {who} as {PERSON}
  from doers{joined}
)"""


def _by_period(asked: Usage, crossing: Crossing) -> str:
    """Return the step from windows to ``people``: each in every period that it touches.

    Records that name nobody are in their first period alone.  Where windows are excluded, what is
    left of them names nobody.
    """
    dims, who, active_ = asked.dimensions, PERSON, "tu__any_active"
    if crossing == "exclude":
        who = f"case when tu__records > coalesce(tu__crossing, 0) then {PERSON} end"
        active_ = "tu__active"
    step = asked.periods.step() if asked.periods else ""
    series = f"generate_series(cast({FIRST} as timestamp), cast({LAST} as timestamp), {step})"
    named = asked.periods.named("tu__at") if asked.periods else ""
    several = f"{PERSON} is not null and {LAST} is not null"
    return f"""touched as (
  select {listed(*dims)}unnest({series}) as tu__at, {active_} as tu__active, {who} as {PERSON}
  from identified
  where {several}
),
people as (
  select {listed(*dims)}{FIRST} as period, {active_} as tu__active, {who} as {PERSON}
  from identified
  where {FIRST} is not null and not ({several})
  union all
  select {listed(*dims)}{named} as period, tu__active, {PERSON}
  from touched
)"""


def active_of(is_active: str) -> str:
    """Return the SQL of how many of a group's people are active; null if it names nobody."""
    active_people = f"count(distinct case when {is_active} = 1 then {PERSON} end)"
    return f"case when count({PERSON}) > 0 then {active_people} end"


def _rolling_query(asked: Usage, rolling: int, crossing: Crossing) -> Query:
    """Return the query of the active users of so many periods, up to each."""
    periods = asked.periods
    if periods is None:
        raise OptionError("rolling= counts periods, and freq= is not given.", "Give freq='1d'.")
    if not is_count(rolling) or rolling > _LONGEST:
        raise OptionError(f"rolling={rolling!r} is no number of periods.", "Give one such as 7.")
    dims, before = asked.dimensions, periods.step(rolling - 1)
    at = "cast(period as timestamp)"
    series = f"generate_series({at}, {at} + {before}, {periods.step()})"
    sql = f"""{people_of(asked, crossing)},
{_missing_days.incomplete(asked, reach=before)},
{_missing_days.lives(asked)},
covered as (
  select min({at}) as tu__first, max({at}) as tu__last
  from people
),
spine as (
  select tu__first, unnest(generate_series(tu__first, tu__last, {periods.step()})) as tu__at
  from covered
),
groups as (
  select {listed(*dims)}max(case when {PERSON} is not null then 1 else 0 end) as tu__named
  from people
  {grouped(*dims)}
),
reached as (
  select {listed(*dims)}tu__at, tu__first, tu__named, cast(null as varchar) as {PERSON},
    0 as tu__active
  from groups
  cross join spine
  union all
  select {listed(*dims)}unnest({series}) as tu__at, cast(null as timestamp) as tu__first,
    cast(null as integer) as tu__named, {PERSON}, tu__active
  from people
),
counted as (
  select {listed(*dims)}tu__at, max(tu__first) + {before} as tu__full,
    max(tu__named) = 1 and count(*) = 1 as tu__is_quiet,
    {active_of("tu__active")} as active_users
  from reached
  group by {listed(*dims)}tu__at
  having max(tu__first) is not null
),
rolled as (
  select {periods.named("tu__at")} as period, {listed(*dims)}tu__at >= tu__full as tu__is_full,
    active_users, tu__is_quiet
  from counted
),
judged as (
  select rolled.*, {_missing_days.IS_COMPLETE} as tu__is_complete,
    {_missing_days.is_alive("rolled")} as tu__is_alive
  from rolled
  {_missing_days.joined(asked, "rolled")}
  {_missing_days.joined_lives(asked, "rolled")}
)
select period, {listed(*dims)}
  case when not tu__is_full then null
    when tu__is_quiet and tu__is_alive then 0
    else active_users end as active_users,
  tu__is_full and tu__is_complete as complete{said_of_crossing(asked, crossing)}
from judged
order by {ordered("period", "active_users desc", *dims)}"""
    results = {"active_users": INTEGER, "complete": BOOLEAN}
    of_days, told = _missing_days.FIELDS, limits(asked, crossing)
    return asked.query(sql, fields_of(asked), results, **told, of_days=of_days, portable=False)


def active(asked: Usage) -> str:
    """Return the SQL of whether a record tells of activity."""
    counts = [quote(field) for field in _POSITIVE if asked.holds(field)]
    if asked.holds(MOST):
        counts.append(MOST)
    most = f"greatest({', '.join(counts)})" if len(counts) > 1 else (counts or ["null"])[0]
    return f"coalesce({quote(ACTIVE)}, {most} > 0, false)"
