"""Users who are not people, and people with several users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import literal, quote, trimmed
from tidyusage.metrics import _person
from tidyusage.quality.findings.check import Check, counted, found, sentence, spelled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.metrics._usage import Usage

_FIELDS: Final = ("id", *_person.FIELDS)


def _users(_: Usage) -> str:
    """Return the steps to ``users``: each way in which records name one, spelled alike."""
    ways = {name: trimmed(f'"user.{name}"') for name in ("id", "email", "name")}
    parts = ", ".join(f"nullif({sql}, '') as user_{name}" for name, sql in ways.items())
    return f"""raw_users as (
  select {", ".join(map(quote, _person.FIELDS))}, count(*) as tu__count, max("id") as id
  from usage
  where coalesce("user.id", "user.email", "user.name") is not null
  group by {", ".join(map(quote, _person.FIELDS))}
),
{_person.steps("raw_users")},
named_users as (
  select {parts}, "product.id" as product, tu__count, raw_users.id, {_person.PERSON}
  from raw_users
  left join persons on {_person.matched("raw_users")}
),
users as (
  select user_id, user_name, product, tu__count, id, {_person.PERSON}, user_email as text,
    case when user_email like '%@%' then lower(user_email) end as email
  from named_users
)"""


def _api_key_users(asked: Usage) -> str:
    columns = {"user_id": "user.id", "user_name": "user.name", "text": "user.email"}
    key, words = (_person.KEY,), (_person.KEY, *_person.WORDS)
    tests = {name: _matches(name, key) if name == "user_id" else "false" for name in columns}
    no_mail = {name: _matches(name, words) for name in columns}
    cases = " ".join(
        f"when {tests[name]} or email is null and {no_mail[name]} then {spelled(asked, path)}"
        for name, path in columns.items()
    )
    is_machine = f"when {_matches('email', (_person.MACHINE,))} then {spelled(asked, 'user.email')}"
    # An id that shows a machine's address elsewhere
    is_machine += f" when user_id is not null then {spelled(asked, 'user.id')}"
    shown = " ".join(f"when {spelled(asked, path)} then {name}" for name, path in columns.items())
    secret = (
        f"case when {_matches('shown', (_person.KEY,))} then left(shown, 8) || '…' else shown end"
    )
    said = found(
        id_="case when sum(tu__count) = 1 then max(id) end",
        column="place",
        value="value",
        expected="'a person'",
        message=sentence(
            "The user {} ({}) looks like an API key or a service account. It is not counted as a"
            " person; if it is one, name the person in people=.",
            "value",
            counted("sum(tu__count)"),
        ),
        records="sum(tu__count)",
    )
    return f"""keys as (
  select *, case {cases} {is_machine} end as place
  from users
  where {_person.PERSON} is null
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
            "The e-mail address {} appears with several user ids ({}). They are counted as one"
            " person; if several people share the address, tell their ids apart in people=.",
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
            "The user id {} appears with several e-mail addresses ({}). Each address is counted as"
            " a person, and rows with the id alone belong to none of them; people= can join them.",
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


def _number_in_several_products(asked: Usage) -> str:
    said = found(
        id_="null",
        column=spelled(asked, "user.id"),
        value="user_id",
        expected="'an e-mail address'",
        message=sentence(
            "The user id {} is a plain number without an e-mail address in several products ({})."
            " It is counted as one person; if these are several people, tell them apart before"
            " people are counted.",
            "user_id",
            _listed("product"),
        ),
        records="sum(tu__count)",
    )
    return f"""number_in_several_products as (
  select {said}
  from users
  where {_person.PERSON} = user_id and regexp_full_match(user_id, '[0-9]+')
  group by user_id
  having count(distinct coalesce(product, '')) > 1
)"""


def _listed(name: str, most: int = 5) -> str:
    """Return the SQL of a group's texts, each once and in order, the first few of them."""
    some = f"list_slice(list_sort(list_distinct(list({name}))), 1, {most})"
    more = f"case when count(distinct {name}) > {most} then ' and more' else '' end"
    return f"array_to_string({some}, ', ') || {more}"


_ANY: Final = (("user.id", "user.email", "user.name"),)
_BOTH: Final = (("user.id",), ("user.email",))
_NUMBERED: Final = (("user.id",), ("product.id",))
CHECKS: Final = (
    Check("api_key_users", "warning", _FIELDS, _ANY, (_users, _api_key_users)),
    Check("email_with_several_ids", "info", _FIELDS, _BOTH, (_users, _email_with_several_ids)),
    Check("id_with_several_emails", "warning", _FIELDS, _BOTH, (_users, _id_with_several_emails)),
    Check(
        "number_in_several_products",
        "warning",
        _FIELDS,
        _NUMBERED,
        (_users, _number_in_several_products),
    ),
)
