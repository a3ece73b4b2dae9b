"""Users: who they are, who is active, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage import answers, catalogue
from tidyusage.answers import GUARD, Query
from tidyusage.errors import OptionError, known_options
from tidyusage.metrics.lists import MOST
from tidyusage.metrics.query import INTEGER, Usage, usage
from tidyusage.metrics.time import Periods
from tidyusage.sqltext import grouped, listed, literal, ordered, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.typing import End, FrameT, Freq

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


@known_options
def active_users(
    frame: FrameT,
    *by: str,
    freq: Freq | None = None,
    tz: str = "UTC",
    end: End = "exclusive",
    people: Mapping[str, str] | None = None,
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
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end.
    people
        Who is meant by a user id or e-mail, in any case, to join those of one person.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  After the dimensions `active_users` (int64;
        0 if nobody was active, null if the group names no user).  By period, then the most first.

    Raises
    ------
    RecordError
        If the window of an active user's record crosses a bound of `freq`: it does not say on
        which side the user was active.  A lazy frame raises when it is collected.
    UnknownFieldError
        For an unknown dimension, or a frame without a column of users.
    OptionError
        For an option's value that it cannot have.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example(backend="polars")
    >>> tu.active_users(df, freq="1w").rows()[0]
    (datetime.date(2025, 12, 29), 6)
    """
    periods = Periods.of(freq, tz, end)
    asked = usage(frame, by, periods, whole=True)
    return answers.answer(frame, active_users_query(asked, people=people))


def active_users_query(asked: Usage, *, people: Mapping[str, str] | None = None) -> Query:
    """Return the query of `active_users`."""
    asked.require((ID, EMAIL), "active_users")
    keys = asked.keys
    crossing = "tu__crossing" if asked.periods else "0"
    sql = f"""deeds as (
  select {listed(*keys)}{quote(ID)} as tu__id, {quote(EMAIL)} as tu__email,
    case when {active(asked)} then 1 else 0 end as tu__active, {crossing} as tu__crossing
  from usage
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
),
counted as (
  select {listed(*keys)}case when count(tu__person) > 0
      then count(distinct case when tu__active = 1 then tu__person end) end as active_users,
    sum(case when tu__person is not null then tu__crossing end) as tu__crossing
  from people
  {grouped(*keys)}
)
select {listed(*keys)}active_users,
  cast(cast(nullif(sum(tu__crossing) over (), 0) as bigint) as varchar) as {GUARD}
from counted
order by {ordered(*asked.period, "active_users desc", *asked.dimensions)}"""
    results = {"active_users": INTEGER}
    guard = asked.periods.guard() if asked.periods else ""
    fields = (*FIELDS, *filter(asked.holds, (*_POSITIVE, MOST)))
    return asked.query(sql, fields, results, nullable=("active_users",), guard=guard)


def person(id_: str, email: str, people: Mapping[str, str] | None = None) -> str:
    """Return the SQL of who a user is: the id, else the e-mail; spelled alike."""
    key = f"coalesce(nullif(trim({id_}), ''), nullif(lower(trim({email})), ''))"
    if not people:
        return key
    if not all(isinstance(text, str) for pair in people.items() for text in pair):
        raise OptionError("people= maps text to text.", "Give {'ada@example.com': 'Ada', …}.")
    folded = {name.strip().lower(): who for name, who in people.items()}
    cases = " ".join(f"when {literal(name)} then {literal(who)}" for name, who in folded.items())
    of = [f"case lower(trim({column})) {cases} end" for column in (id_, email)]
    return f"coalesce({', '.join(of)}, {key})"


def active(asked: Usage) -> str:
    """Return the SQL of whether a record tells of activity."""
    counts = [quote(field) for field in _POSITIVE if asked.holds(field)]
    if asked.holds(MOST):
        counts.append(MOST)
    most = f"greatest({', '.join(counts)})" if len(counts) > 1 else (counts or ["null"])[0]
    return f"coalesce({quote(ACTIVE)}, {most} > 0, false)"
