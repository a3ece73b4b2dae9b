"""Users who are no people, and people who are several users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage.checks.findings.check import Check, counted, found, sentence, spelled
from tidyusage.sqltext import literal, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.metrics.query import Usage

_FIELDS: Final = ("id", "user.id", "user.email", "user.name")
# Keys as vendors write them.  They have a digit, which a login that begins alike need not have.
KEY: Final = r"^(sk|pk|rk|gsk|xai|ghp|pat)[-_]\S*\d\S*$"
# What only a machine's address has.
_MACHINE: Final = (
    r"@([a-z0-9-]+\.)*gserviceaccount\.com$|\[bot\]@"
    r"|^(svc|service[-_.]?account|api[-_.]?key)[-_.+@]"
)
_PLACES: Final = (
    "prod|production|staging|stage|dev|test|ci|cd|live|backend|server|deploy|build|batch|cron"
    "|shared|default"
)
# Names that people give to keys and machines.  "Key" and "Bot" are surnames too: alone, or after a
# first name, they tell nothing.
_WORDS: Final = (
    r"^(api[-_ ]?key|key|svc[-_]?acct|serviceaccount)[-_:]\S",
    r"(^|[^a-z])api[-_ .]?(key|token)s?([^a-z]|$)",
    r"(^|[^a-z])service[-_ .]?(account|principal)s?([^a-z]|$)",
    r"\[bot\]$|^\S+[-_](bot|key|token)$",
    rf"^(\S+[-_ ])?({_PLACES})[-_. ]+(key|token|bot)$",
)


def _users(_: Usage) -> str:
    """Return the steps to ``users``: each way in which records name one, spelled alike."""
    ways = {name: trimmed(f'"user.{name}"') for name in ("id", "email", "name")}
    parts = ", ".join(f"nullif({sql}, '') as user_{name}" for name, sql in ways.items())
    return f"""raw_users as (
  select "user.id", "user.email", "user.name", count(*) as tu__count, max("id") as id
  from usage
  where coalesce("user.id", "user.email", "user.name") is not null
  group by "user.id", "user.email", "user.name"
),
named_users as (
  select {parts}, tu__count, id
  from raw_users
),
users as (
  select user_id, user_name, tu__count, id, user_email as text,
    case when user_email like '%@%' then lower(user_email) end as email
  from named_users
)"""


def _api_key_users(asked: Usage) -> str:
    columns = {"user_id": "user.id", "user_name": "user.name", "text": "user.email"}
    tests = {name: _matches(name, (KEY,)) if name == "user_id" else "false" for name in columns}
    no_mail = {name: _matches(name, (KEY, *_WORDS)) for name in columns}
    cases = " ".join(
        f"when {tests[name]} or email is null and {no_mail[name]} then {spelled(asked, path)}"
        for name, path in columns.items()
    )
    is_machine = f"when {_matches('email', (_MACHINE,))} then {spelled(asked, 'user.email')}"
    shown = " ".join(f"when {spelled(asked, path)} then {name}" for name, path in columns.items())
    secret = f"case when {_matches('shown', (KEY,))} then left(shown, 8) || '…' else shown end"
    said = found(
        id_="case when sum(tu__count) = 1 then max(id) end",
        column="place",
        value="value",
        expected="'a person'",
        message=sentence(
            "The user {}, of {}, looks like a key or a machine; leave such rows out where"
            " people are counted.",
            "value",
            counted("sum(tu__count)"),
        ),
        records="sum(tu__count)",
    )
    return f"""keys as (
  select *, case {cases} {is_machine} end as place
  from users
),
shown_keys as (
  select *, case place {shown} end as shown
  from keys
  where place is not null
),
masked_keys as (
  select *, {secret} as value
  from shown_keys
),
api_key_users as (
  select {said}
  from masked_keys
  group by place, shown, value
)"""


def _matches(column: str, patterns: Iterable[str]) -> str:
    """Return the SQL of whether a text fits a pattern, in whatever case; false for none."""
    whole = "|".join(f"({pattern})" for pattern in patterns)
    return f"coalesce(regexp_matches({column}, {literal(whole)}, 'i'), false)"


def _email_with_several_ids(asked: Usage) -> str:
    said = found(
        id_="null",
        column=spelled(asked, "user.id"),
        value=_listed("who"),
        expected="'one id'",
        message=sentence(
            "The e-mail {} stands with several ids ({}; rows without an id go by the"
            " e-mail), and is counted as so many people; join them with people=.",
            "email",
            _listed("who"),
        ),
        records="sum(tu__count)",
    )
    return f"""keyed as (
  select *, coalesce(user_id, email) as who
  from users
  where email is not null
),
email_with_several_ids as (
  select {said}
  from keyed
  group by email
  having count(distinct who) > 1
)"""


def _id_with_several_emails(asked: Usage) -> str:
    said = found(
        id_="null",
        column=spelled(asked, "user.email"),
        value=_listed("email"),
        expected="'one e-mail'",
        message=sentence(
            "The user id {} stands with several e-mails ({}), and is counted as one person;"
            " if these are several people, tell their ids apart.",
            "user_id",
            _listed("email"),
        ),
        records="sum(tu__count)",
    )
    return f"""id_with_several_emails as (
  select {said}
  from users
  where user_id is not null
  group by user_id
  having count(distinct email) > 1
)"""


def _listed(name: str, most: int = 5) -> str:
    """Return the SQL of a group's texts, each once and in order, the first few of them."""
    some = f"list_slice(list_sort(list_distinct(list({name}))), 1, {most})"
    more = f"case when count(distinct {name}) > {most} then ' and more' else '' end"
    return f"array_to_string({some}, ', ') || {more}"


_ANY: Final = (("user.id", "user.email", "user.name"),)
_BOTH: Final = (("user.id",), ("user.email",))
CHECKS: Final = (
    Check("api_key_users", "warning", _FIELDS, _ANY, (_users, _api_key_users)),
    Check("email_with_several_ids", "warning", _FIELDS, _BOTH, (_users, _email_with_several_ids)),
    Check("id_with_several_emails", "warning", _FIELDS, _BOTH, (_users, _id_with_several_emails)),
)
