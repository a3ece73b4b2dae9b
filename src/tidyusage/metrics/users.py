"""Users: who they are, who is active, and how many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypedDict

from tidyusage import answers, catalogue
from tidyusage.answers import GUARD, Query
from tidyusage.errors import OptionError, is_count, known_options
from tidyusage.metrics.lists import MOST
from tidyusage.metrics.query import INTEGER, Usage, usage
from tidyusage.metrics.time import Periods
from tidyusage.sqltext import grouped, identity, listed, literal, ordered, quote, trimmed

if TYPE_CHECKING:
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
FIELDS: Final = (ID, EMAIL, ACTIVE)
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
    overlap: Overlap = "warn",
) -> FrameT:
    """Return how many users were active in each group.

    A user is `user.id`, else the e-mail in lower case, both trimmed; rows without either are no
    people.  Active is who has `is_active`, or where that is not given any positive count of
    requests (but of tabs shown), sessions, conversations, code, tokens, tools or tool actions.
    Distinct users are counted, so that groups do not add up to the whole.

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
        Who is meant by a user id or e-mail, in any case, to join those of one person.
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
        Of the same library; a lazy one stays lazy.  After the dimensions `active_users` (int64;
        0 if nobody was active, null if the group names no user, or if a rolling window begins
        before the frame does).  By period, then the most first.

    Raises
    ------
    RecordError
        If the window of an active user's record crosses a bound of `freq`: it does not say on
        which side the user was active.  A lazy frame raises when it is collected.
    UnknownFieldError
        For an unknown dimension, or a frame without a column of users.
    OptionError
        For an option's value that it cannot have.

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
    asked = usage(frame, by, periods, whole=True, overlap=overlap)
    return answers.answer(frame, active_users_query(asked, rolling=rolling, people=people))


def active_users_query(
    asked: Usage, *, rolling: int | None = None, people: Mapping[str, str] | None = None
) -> Query:
    """Return the query of `active_users`."""
    asked.require((ID, EMAIL), "active_users")
    keys = asked.keys
    if rolling is not None:
        return _rolling_query(asked, rolling, people)
    sql = f"""{people_of(asked, people)},
counted as (
  select {listed(*keys)}{active_of("tu__active")} as active_users,
    sum(case when tu__person is not null then tu__crossing end) as tu__crossing
  from people
  {grouped(*keys)}
)
select {listed(*keys)}active_users, {crossings("sum(tu__crossing) over ()")} as {GUARD}
from counted
order by {ordered(*asked.period, "active_users desc", *asked.dimensions)}"""
    return asked.query(sql, fields_of(asked), {"active_users": INTEGER}, **limits(asked))


class Limits(TypedDict):
    """What `Usage.query` is told of a query that counts active users."""

    nullable: tuple[str, ...]
    guard: str


def limits(asked: Usage) -> Limits:
    """Return what a query that counts active users needs."""
    return {
        "nullable": ("active_users",),
        "guard": asked.periods.guard() if asked.periods else "",
    }


def fields_of(asked: Usage) -> tuple[str, ...]:
    """Return the columns that tell who is active."""
    return (*FIELDS, *filter(asked.holds, (*_POSITIVE, MOST)))


def people_of(
    asked: Usage, people: Mapping[str, str] | None = None, *, source: str = "usage"
) -> str:
    """Return the steps to ``people``: who is in each group, and whether active there.

    Rows without a user are one row of a group.  Who is active in a window that crosses a bound is
    counted in ``tu__crossing``.
    """
    keys = asked.keys
    crossing = "tu__crossing" if asked.periods and asked.whole else "0"
    return f"""deeds as (
  select {listed(*keys)}{quote(ID)} as tu__id, {quote(EMAIL)} as tu__email,
    case when {active(asked)} then 1 else 0 end as tu__active, {crossing} as tu__crossing
  from {source}
),
doers as (
  select {listed(*keys)}tu__id, tu__email,
    max(tu__active) as tu__active, sum(tu__active * tu__crossing) as tu__crossing
  from deeds
  group by {listed(*keys)}tu__id, tu__email
),
people as (
  select {listed(*keys)}tu__active, tu__crossing,
    {person("tu__id", "tu__email", people)} as tu__person
  from doers
)"""


def active_of(is_active: str) -> str:
    """Return the SQL of how many of a group's people are active; null if it names nobody."""
    active_people = f"count(distinct case when {is_active} = 1 then tu__person end)"
    return f"case when count(tu__person) > 0 then {active_people} end"


def crossings(count: str) -> str:
    """Return the SQL of a guard: how many records cross a bound, as text, null for none."""
    return f"cast(cast(nullif({count}, 0) as bigint) as varchar)"


def _rolling_query(asked: Usage, rolling: int, people: Mapping[str, str] | None) -> Query:
    """Return the query of the active users of so many periods, up to each."""
    periods = asked.periods
    if periods is None:
        raise OptionError("rolling= counts periods, and freq= is not given.", "Give freq='1d'.")
    if not is_count(rolling) or rolling > _LONGEST:
        raise OptionError(f"rolling={rolling!r} is no number of periods.", "Give one such as 7.")
    dims, before = asked.dimensions, periods.step(rolling - 1)
    at = "cast(period as timestamp)"
    series = f"generate_series({at}, {at} + {before}, {periods.step()})"
    sql = f"""{people_of(asked, people)},
covered as (
  select min({at}) as tu__first, max({at}) as tu__last
  from people
),
spine as (
  select tu__first, unnest(generate_series(tu__first, tu__last, {periods.step()})) as tu__at
  from covered
),
groups as (
  select distinct {", ".join(dims) or "1 as tu__one"}
  from people
),
reached as (
  select {listed(*dims)}tu__at, tu__first, cast(null as varchar) as tu__person, 0 as tu__active
  from groups
  cross join spine
  union all
  select {listed(*dims)}unnest({series}) as tu__at, cast(null as timestamp) as tu__first,
    tu__person, tu__active
  from people
  where tu__person is not null
),
counted as (
  select {listed(*dims)}tu__at, max(tu__first) + {before} as tu__full,
    {active_of("tu__active")} as active_users
  from reached
  group by {listed(*dims)}tu__at
  having max(tu__first) is not null
)
select {periods.named("tu__at")} as period,
  {listed(*dims)}case when tu__at >= tu__full then active_users end as active_users,
  {crossings("(select sum(tu__crossing) from people where tu__person is not null)")} as {GUARD}
from counted
order by {ordered("period", "active_users desc", *dims)}"""
    results = {"active_users": INTEGER}
    return asked.query(sql, fields_of(asked), results, **limits(asked), portable=False)


def person(id_: str, email: str, people: Mapping[str, str] | None = None) -> str:
    """Return the SQL of who a user is: the id, else the e-mail; spelled alike."""
    key = identity(id_, email)
    if people is None:
        return key
    if not isinstance(people, Mapping) or not all(
        isinstance(text, str) for pair in people.items() for text in pair
    ):
        raise OptionError("people= maps text to text.", "Give {'ada@example.com': 'Ada', …}.")
    folded = {name.strip().lower(): who for name, who in people.items()}
    if not folded:
        return key
    cases = " ".join(f"when {literal(name)} then {literal(who)}" for name, who in folded.items())
    of = [f"case lower({column}) {cases} end" for column in map(trimmed, (id_, email))]
    return f"coalesce({', '.join(of)}, {key})"


def active(asked: Usage) -> str:
    """Return the SQL of whether a record tells of activity."""
    counts = [quote(field) for field in _POSITIVE if asked.holds(field)]
    if asked.holds(MOST):
        counts.append(MOST)
    most = f"greatest({', '.join(counts)})" if len(counts) > 1 else (counts or ["null"])[0]
    return f"coalesce({quote(ACTIVE)}, {most} > 0, false)"
