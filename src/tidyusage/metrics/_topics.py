"""The rules behind each metric, for `explain`: their text, and the records they apply to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.sql import quote
from tidyusage.metrics import _token_convention, users
from tidyusage.metrics._measures import countable
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._person import PERSON
from tidyusage.metrics.acceptance import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidyusage.metrics._usage import Usage
    from tidyusage.typing import Freq


@dataclass(frozen=True, slots=True)
class Topic:
    """A matter of rules: ``rules`` by name, each in words and as the test of a row of ``steps``.

    The rules ``within`` say of the first one's records how they come by their figure.  ``steps``
    gives the SQL up to a step of one row a record, and that step's name; ``fields`` the columns
    that it reads.
    """

    name: str
    title: str
    rules: Mapping[str, tuple[str, str]]
    steps: Callable[[Usage], tuple[str, str]]
    fields: Callable[[Usage], tuple[str, ...]]
    within: tuple[str, ...] = ()


def tokens_topic(chosen: Mapping[str, Any]) -> Topic:
    """Return the topic of how a record's tokens are counted."""
    convention = chosen.get("token_convention", _token_convention.AUTO)
    is_in = "input is not null and tu__cached > 0"
    rules = {
        "counted": ("have tokens, and are used", "tokens is not null"),
        "total": ("give their total", "total is not null"),
        "parts": ("give parts alone, which are added up", "total is null and tokens is not null"),
        "inside": (
            "have cached tokens inside their input, which are taken off it",
            f"{is_in} and tu__inclusive = 1",
        ),
        "beside": ("have cached tokens beside their input", f"{is_in} and tu__inclusive = 0"),
        "shown": ("show by their own total which of the two it is", "tu__own is not null"),
        "none": ("have no tokens, and are set aside", "tokens is null"),
    }
    title = f"Tokens of a record: its total, else its parts; token_convention={convention!r}"

    def steps(asked: Usage) -> tuple[str, str]:
        return _token_convention.decided(asked, convention), "decided"

    within = ("total", "parts", "inside", "beside", "shown")
    return Topic("tokens", title, rules, steps, lambda _: _token_convention.FIELDS, within)


def cache_topic(chosen: Mapping[str, Any]) -> Topic:
    """Return the topic of which records tell of the cache's share."""
    both = "input is not null and cache_read is not null"
    rules = {
        "used": ("have input and cache_read, and are used", both),
        "set aside": ("lack one of them, and are set aside", f"not ({both})"),
    }
    title = "Cache hit rate: cache_read over fresh input + cache_read + cache_write"

    def steps(asked: Usage) -> tuple[str, str]:
        convention = chosen.get("token_convention", _token_convention.AUTO)
        return _token_convention.decided(asked, convention), "decided"

    return Topic("cache", title, rules, steps, lambda _: _token_convention.FIELDS)


def users_topic(_: Mapping[str, Any]) -> Topic:
    """Return the topic of who is a user, and who is active."""
    who = f"{PERSON} is not null"
    flag = f"{quote(users.ACTIVE)} is not null"
    rules = {
        "named": ("name a person: an e-mail address, else a user.id without one", who),
        "flagged": ("name one and say whether they were active", f"{who} and {flag}"),
        "active": (
            "name one who was active: who is said to be, else who has a positive count",
            f"{who} and tu__active = 1",
        ),
        "unnamed": ("name none (keys are not people), and are set aside", f"not ({who})"),
    }

    def steps(asked: Usage) -> tuple[str, str]:
        told = f"case when {users.active(asked)} then 1 else 0 end as tu__active"
        return f"told as (\n  select *, {told}\n  from usage\n)", "told"

    title = "Users: different people, counted and never added"
    fields = partial(users.fields_of, by_record=True)
    return Topic("users", title, rules, steps, fields, ("flagged", "active"))


def acceptance_topic(chosen: Mapping[str, Any]) -> Topic:
    """Return the topic of which records tell of acceptance."""
    kind = chosen.get("kind")
    kinds = {name: fields for name, fields in KINDS.items() if kind in {None, name}}
    rules: dict[str, tuple[str, str]] = {
        name: (
            f"{name}: have both figures, and are used",
            " and ".join(f"{quote(field)} is not null" for field in fields),
        )
        for name, fields in kinds.items()
    }
    fields = tuple(field for group in kinds.values() for field in group)
    title = "Acceptance: the sum of what was accepted over that of what was offered, kind by kind"
    return Topic("acceptance", title, rules, lambda _: (_SAME, "same"), lambda _: fields)


def totals_topic(_: Mapping[str, Any]) -> Topic:
    """Return the topic of what may be added."""
    title = (
        "Totals: counts are added up, quantities within their unit and metric_name, charges within "
        "their type and currency; distinct counts, flags and text have no sum and are left out"
    )
    return Topic("totals", title, {}, lambda _: (_SAME, "same"), lambda _: ())


def measure_topic(chosen: Mapping[str, Any]) -> Topic:
    """Return the topic of which records have a measure."""
    measure = chosen.get("measure", "the one that is asked for")

    def steps(asked: Usage) -> tuple[str, str]:
        value = f"{countable(asked, measure).sql} as tu__value"
        return f"valued as (\n  select *, {value}\n  from usage\n)", "valued"

    def fields(asked: Usage) -> tuple[str, ...]:
        return countable(asked, measure).fields

    rules = {
        "used": ("have it, and are used", "tu__value is not null"),
        "set aside": ("do not, and are set aside", "tu__value is null"),
    }
    return Topic("measure", f"Measure: {measure}, added up", rules, steps, fields)


def windows_topic(chosen: Mapping[str, Any], *, is_whole: bool) -> Topic:
    """Return the topic of records at the bounds of periods."""
    freq: Freq = chosen.get("freq") or "1d"
    tz = chosen.get("tz", "UTC")
    periods = Periods(
        freq,
        tz,
        chosen.get("end", "exclusive"),
        chosen.get("fiscal_year_start", 1),
        chosen.get("week_start", "monday"),
    )
    crossing = "of which an active user's is an error" if is_whole else "and are split by seconds"
    undated = "are in no period" if is_whole else "are a period of their own"
    rules = {
        "crossing": (f"cross a bound, {crossing}", "tu__crossing = 1"),
        "undated": (f"have no dates, and {undated}", "start_date is null"),
    }

    def steps(_: Usage) -> tuple[str, str]:
        return (
            f"""{periods.assign("usage", "assigned")},
placed as (
  select start_date, tu__crossing from assigned
  union all
  select start_date, 0 as tu__crossing from usage where start_date is null
)""",
            "placed",
        )

    return Topic(
        "windows", f"Periods: {freq} in the zone {tz}", rules, steps, lambda _: periods.fields
    )


_SAME: Final = "same as (\n  select *\n  from usage\n)"
